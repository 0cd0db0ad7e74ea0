"""How far a figure can be trusted: 95 % intervals by the bootstrap, and for shares."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FEWEST = 5
"""Below five measurements not even the range from least to greatest holds the median 9 times in
10: each of n lies above it with probability one half, so all lie on one side with 2 / 2**n."""
_RESAMPLES = 2_000
_LEVEL = 0.95
_Z = 1.959964
"""The standard normal distribution holds 95 % between −z and z."""

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """Where the true value lies with 95 % confidence. Taught in notebook 08."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


class Sample(NamedTuple):
    """Measurements of one thing, and what each of them belongs to."""

    values: Sequence[float]
    groups: Sequence[Hashable]
    """The question that was asked, say: measurements of one group come and go together, so that
    asking the same five questions again and again does not make the interval ever narrower."""


def sample(values: Sequence[float], groups: Sequence[Hashable] | None = None) -> Sample:
    """Give a sample; of fewer than five groups, every measurement stands for itself."""
    if groups is None or len(set(groups)) < FEWEST:
        groups = range(len(values))
    return Sample(values, groups)


def median_interval(of: Sample, *, seed: int = 0) -> Interval | None:
    """Give the 95 % interval of a median; `None` below five measurements.

    The percentile bootstrap (B. Efron, "Bootstrap methods: another look at the jackknife", 1979):
    2,000 samples as large as this one are drawn from it, with replacement and by whole groups, and
    the middle 95 % of their medians is the interval. Seeded, so that it is the same each time.
    """
    names = sorted(set(of.groups), key=str)
    if len(names) < FEWEST:
        return None
    return _middle(_medians(of, names, _drawn(len(names), seed)))


def ratio_interval(over: Sample, under: Sample, *, seed: int = 0) -> Interval | None:
    """Give the 95 % interval of median(over) / median(under); `None` below five measurements.

    The same bootstrap. Where both samples have the same groups (the same questions were asked), a
    group is drawn for both at once: what a question costs either way then cancels out.
    """
    names, others = (sorted(set(one.groups), key=str) for one in (over, under))
    if min(len(names), len(others)) < FEWEST:
        return None
    drawn = _drawn(len(names), seed)
    paired = names == others and not _standing_alone(over, under)
    again = drawn if paired else _drawn(len(others), seed + 1)
    return _middle(_medians(over, names, drawn) / _medians(under, others, again))


def share_interval(hits: int, n: int) -> Interval:
    """Give the 95 % interval of a share of which `hits` of `n` were seen.

    The score interval (E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", 1927), which holds for few measurements and for shares near 0 and 1 too.
    """
    share, spare = hits / n, _Z**2 / n
    centre = (share + spare / 2) / (1 + spare)
    reach = _Z * math.sqrt(share * (1 - share) / n + spare / (4 * n)) / (1 + spare)
    return Interval(max(centre - reach, 0.0), min(centre + reach, 1.0))


def _standing_alone(*samples: Sample) -> bool:
    return any(isinstance(one.groups, range) for one in samples)


def _drawn(groups: int, seed: int) -> NDArray[np.int64]:
    """How often each group is in each of the samples drawn."""
    random = np.random.default_rng(seed)
    return random.multinomial(groups, [1 / groups] * groups, size=_RESAMPLES)


def _medians(of: Sample, names: list[Hashable], drawn: NDArray[np.int64]) -> Floats:
    """The median of each sample drawn."""
    values = np.asarray(of.values, dtype=float)
    place = {name: number for number, name in enumerate(names)}
    order = np.argsort(values)
    columns = np.array([place[name] for name in of.groups])[order]
    reached = np.cumsum(drawn[:, columns], axis=1)
    middle = reached[:, -1:] / 2
    below, above = (reached >= middle).argmax(axis=1), (reached > middle).argmax(axis=1)
    found: Floats = (values[order][below] + values[order][above]) / 2
    return found


def _middle(estimates: Floats) -> Interval:
    tail = (1 - _LEVEL) / 2
    low = np.quantile(estimates, tail, method="lower")
    high = np.quantile(estimates, 1 - tail, method="higher")
    return Interval(float(low), float(high))
