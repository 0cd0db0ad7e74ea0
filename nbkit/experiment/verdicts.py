"""Whether one label is faster than another, or whether n is too small to say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nbkit.language import say
from nbkit.metrics.intervals import Interval, pairs_of, ratio_interval
from nbkit.metrics.percentiles import METRICS, values_of
from nbkit.metrics.requests import NotMeasured, Row

_SMALL = 1.05
"""Below 5 % a difference is called small: a model varies more than that from day to day."""


@dataclass(frozen=True)
class Comparison:
    """The comparison of two labels by one metric. Taught in notebook 09."""

    a: str
    b: str
    metric: str
    medians: tuple[float, float]
    """Seconds, of a and of b."""
    n: tuple[int, int]
    ratio: float
    """a / b, above 1 if a is slower: the median over the pairs, or the ratio of the medians."""
    interval: Interval | None
    """The 95 % interval of `ratio` over all questions like these; `None` if `lacks`."""
    pairs: int | None = None
    """How many questions both answered, each one pair; `None` if fewer than five."""
    lacks: str | None = None
    """The reason why there is no interval."""

    @property
    def differ(self) -> bool:
        """Whether the interval excludes that both are equally fast."""
        return self.interval is not None and 1.0 not in self.interval

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        what = say(METRICS[self.metric])
        sizes = self._sizes()
        if self.interval is None:
            return say(
                "{what}: {a} cannot be told from {b}, {sizes}: {lacks}",
                what=what,
                a=self.a,
                b=self.b,
                sizes=sizes,
                lacks=self.lacks,
            )
        low, high = self.interval
        if not self.differ:
            return say(
                "{what}: no difference between {a} and {b} that {sizes} can show (ratio "
                "{low:.2f}–{high:.2f})",
                what=what,
                a=self.a,
                b=self.b,
                sizes=sizes,
                low=low,
                high=high,
            )
        if low > 1:
            return say(
                "{what}: {a} is slower than {b}, {size}",
                what=what,
                a=self.a,
                b=self.b,
                size=_size(low, high, sizes),
            )
        return say(
            "{what}: {a} is faster than {b}, {size}",
            what=what,
            a=self.a,
            b=self.b,
            size=_size(1 / high, 1 / low, sizes),
        )

    def _sizes(self) -> str:
        if self.pairs is not None:
            return say("n = {pairs} pairs", pairs=self.pairs)
        first, second = self.n
        if first == second:
            return f"n = {first}"
        return say("n = {first} and {second}", first=first, second=second)

    def __repr__(self) -> str:
        return self.verdict


def compared(names: Sequence[str], sides: Sequence[Sequence[Row]], metric: str) -> Comparison:
    """The comparison of two sides; raises `NotMeasured` if one has no values."""
    over, under = (values_of(rows, metric) for rows in sides)
    for name, side in zip(names, (over, under), strict=True):
        if not len(side.values):
            raise NotMeasured(
                say("{name} has no {metric} to compare", name=name, metric=say(METRICS[metric])),
                say("see `.failures` and `.table()`."),
            )
    first, second = (float(np.median(side.values)) for side in (over, under))
    if second == 0:
        raise NotMeasured(
            say("{name} has a {metric} of zero", name=names[1], metric=say(METRICS[metric])),
            say("choose another metric."),
        )
    pairs = pairs_of(over, under)
    return Comparison(
        names[0],
        names[1],
        metric,
        (first, second),
        (len(over.values), len(under.values)),
        first / second if pairs is None else float(np.median(pairs.values)),
        ratio_interval(over, under),
        None if pairs is None else len(pairs.values),
        None if pairs else over.lacks or under.lacks,
    )


def _size(low: float, high: float, sizes: str) -> str:
    """The size of a difference as text; a small one is called small."""
    least = 2 if low < 1.1 else 1
    digits = next((number for number in range(least, 6) if round(low, number) != 1), 6)
    told = [f"{value:.{digits}f}" for value in (low, high)]
    times = f"{told[0]} ×" if told[0] == told[1] else f"{told[0]}–{told[1]} ×"
    if high >= _SMALL:
        return f"{times} ({sizes})"
    percent = math.floor(100 * (float(told[1]) - 1) + 1e-9) + 1
    return say(
        "but by less than {percent} % ({times}, {sizes})", percent=percent, times=times, sizes=sizes
    )
