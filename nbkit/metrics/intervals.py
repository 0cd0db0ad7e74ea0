"""95 % confidence intervals of medians, ratios of medians (both by bootstrap) and shares."""

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbkit.language import say

FEWEST = 5
"""Four values are all on one side of the true median in 2 of 16 cases: too often for 95 %."""
_RESAMPLES = 2_000
_AT_ONCE = 2_000_000
"""Numbers held in memory at once: 16 MB."""
_Z = NormalDist().inv_cdf(0.975)

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Interval(NamedTuple):
    """A 95 % confidence interval, ends included. Taught in notebook 09."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


class Sample:
    """Measurements of one metric, and the group of each.

    `groups` holds the question of each value: the bootstrap draws the values of one question
    together, so asking five questions many times does not make the interval narrower. Without
    groups, or with only one, each value is drawn alone.

    `together` is how many requests were in flight at once: they share a server, so neighbouring
    values are similar. `values` must then be in order of time.
    """

    def __init__(
        self,
        values: Sequence[float] | Floats,
        groups: Sequence[Hashable] | None = None,
        *,
        together: int = 1,
    ) -> None:
        self.values = np.asarray(values, dtype=float)
        self.dependence = dependence_of(self.values, together)
        self.grouped = groups is not None and len(set(groups)) > 1
        belonging = groups if groups is not None and self.grouped else range(len(values))
        self.names = sorted(set(belonging), key=str)
        places = {name: place for place, name in enumerate(self.names)}
        order = np.argsort(self.values)
        self._sorted = self.values[order]
        self._places = np.array([places[name] for name in belonging], dtype=int)[order]

    @property
    def lacks(self) -> str | None:
        """The reason why there is no interval; `None` if there is one."""
        found = len(self.names)
        if found >= FEWEST:
            return None
        if self.grouped and (why := too_few_questions(found, len(self.values))):
            return why
        return say(
            "{found} measured is too few for an interval ({fewest} are needed)",
            found=found,
            fewest=FEWEST,
        )

    def by_group(self) -> dict[Hashable, float]:
        """The median of each group."""
        return {
            name: float(np.median(self._sorted[self._places == place]))
            for place, name in enumerate(self.names)
        }

    def medians(self, drawn: Counts) -> Floats:
        """The median of each resample; `drawn` (resamples × groups) counts each group in it."""
        found = []
        for part in np.array_split(drawn, math.ceil(drawn.shape[0] * len(self.values) / _AT_ONCE)):
            reached = np.cumsum(part[:, self._places], axis=1)
            middle = reached[:, -1:] / 2
            below, above = (reached >= middle).argmax(axis=1), (reached > middle).argmax(axis=1)
            found.append((self._sorted[below] + self._sorted[above]) / 2)
        return np.concatenate(found)


def too_few_questions(found: int, n: int) -> str | None:
    """The reason why n values of `found` questions give no interval; `None` if they give one."""
    if not 1 < found < FEWEST or n == found:
        return None
    return say(
        "{found} different questions are too few for an interval ({fewest} are needed): asking "
        "them again says nothing about other questions",
        found=found,
        fewest=FEWEST,
    )


def median_interval(of: Sample, *, seed: int = 0) -> Interval | None:
    """The 95 % interval of the median over all questions like these; `None` if `of.lacks`.

    A seeded bootstrap of whole groups: the expanded percentile interval (T. Hesterberg, "What
    teachers should know about the bootstrap", 2015), wider if requests depend on each other.
    """
    groups = len(of.names)
    if groups < FEWEST:
        return None
    return _middle(of.medians(_drawn(groups, seed)), groups, of.dependence)


def pairs_of(over: Sample, under: Sample) -> Sample | None:
    """The ratio of the medians in each group that both have; `None` below five groups.

    Differences between questions cancel out in these ratios.
    """
    if not (over.grouped and under.grouped):
        return None
    above, below = over.by_group(), under.by_group()
    ratios = [above[name] / below[name] for name in above if below.get(name)]
    if len(ratios) < FEWEST:
        return None
    pairs = Sample(ratios)
    pairs.dependence = max(over.dependence, under.dependence)
    return pairs


def ratio_interval(over: Sample, under: Sample, *, seed: int = 0) -> Interval | None:
    """The 95 % interval of the ratio of two samples, by the same bootstrap; `None` below five.

    It is about the median ratio of `pairs_of`, or without pairs about median(over) / median(under).
    """
    if pairs := pairs_of(over, under):
        return median_interval(pairs, seed=seed)
    fewest = min(len(over.names), len(under.names))
    if fewest < FEWEST:
        return None
    drawn, again = _drawn(len(over.names), seed), _drawn(len(under.names), seed + 1)
    dependence = max(over.dependence, under.dependence)
    return _middle(over.medians(drawn) / under.medians(again), fewest, dependence)


def share_interval(hits: int, n: int, dependence: float = 1.0) -> Interval:
    """The 95 % interval of a share, from `hits` of `n`: the score interval.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. With
    a `dependence` above 1, n requests count as n / dependence independent ones.
    """
    share = hits / n
    n_alone = n / dependence
    z = _Z if dependence == 1 else _students_t(max(n_alone - 1, FEWEST - 1))
    spare = z**2 / n_alone
    centre = (share + spare / 2) / (1 + spare)
    reach = z * math.sqrt(share * (1 - share) / n_alone + spare / (4 * n_alone)) / (1 + spare)
    return Interval(max(centre - reach, 0.0), min(centre + reach, 1.0))


def _drawn(groups: int, seed: int) -> Counts:
    """How often each group is in each resample; shape (resamples, groups)."""
    random = np.random.default_rng(seed)
    return random.multinomial(groups, [1 / groups] * groups, size=_RESAMPLES)


def _middle(estimates: Floats, groups: int, dependence: float) -> Interval:
    # Resamples vary too little: widen by the ratio of Student's t to the normal distribution.
    spread = math.sqrt(dependence * groups / (groups - 1)) * _students_t(groups - 1)
    tail = NormalDist().cdf(-spread)
    low = np.quantile(estimates, tail, method="lower")
    high = np.quantile(estimates, 1 - tail, method="higher")
    return Interval(float(low), float(high))


def dependence_of(values: Floats, together: int) -> float:
    """The factor by which similar neighbours raise the variance of a median or share; at least 1.

    The long-run variance of the signs about the median, divided by their variance: the estimator
    of W. K. Newey and K. D. West (1987), for lags up to `together`.
    """
    if together < 2 or len(values) < FEWEST:
        return 1.0
    signs = np.sign(values - np.median(values))
    signs -= signs.mean()
    variance = float(signs @ signs)
    if not variance:
        return 1.0
    lags = np.arange(1, min(together, len(values) - 1) + 1)
    correlations = np.array([signs[lag:] @ signs[:-lag] for lag in lags]) / variance
    # Signs about the sample's own median look a little less correlated than they are.
    weighted_sum = (1 - lags / (together + 1)) @ (correlations + 1 / len(values))
    return max(1.0, 1 + 2 * float(weighted_sum))


def repeats_of(hits: Sequence[bool], groups: Sequence[Hashable]) -> float:
    """The factor by which repeated questions raise the variance of a share; at least 1.

    The design effect of cluster samples (L. Kish, "Survey sampling", 1965).
    """
    n, share = len(hits), sum(hits) / len(hits)
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    if len(places) in (1, n) or share in (0, 1):
        return 1.0
    excess = np.bincount([places[group] for group in groups], np.array(hits) - share)
    spread = float(excess @ excess) * len(places) / (len(places) - 1)
    return max(1.0, spread / (n * share * (1 - share)))


def _students_t(freedom: float) -> float:
    """The 97.5 % quantile of Student's t; within 0.3 % from 4 degrees of freedom up.

    The expansion of R. A. Fisher and E. A. Cornish (1960).
    """
    z, v = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
