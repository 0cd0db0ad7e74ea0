"""What was measured of one thing at one load: requests, and the figures that follow."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from nbkit.measured import NotMeasured, Row
from nbkit.percentiles import Spread, Summary, values_of
from nbkit.service_levels import SLO, Goodput, judged

Kind = Literal["concurrency", "rate"]
UNITS = {"concurrency": "requests at once", "rate": "requests arriving a second"}


@dataclass(frozen=True)
class LoadPoint:
    """All requests of one label at one load. Taught in notebook 08."""

    label: str
    kind: Kind
    load: float
    """Requests kept in flight (closed loop), or mean arrivals a second (open loop)."""
    rows: list[Row]
    seconds: float
    """From first start to last end, summed over the repetitions."""

    def called(self, label: str) -> "LoadPoint":
        """Give the same under another label."""
        return replace(self, label=label)

    @property
    def asked(self) -> int:
        """Requests that were made."""
        return len(self.rows)

    @property
    def n(self) -> int:
        """Complete answers with text: what latency figures rest on."""
        return sum(row.counts for row in self.rows)

    @property
    def errors(self) -> int:
        """Requests that are in no latency figure: failed, cut, without text, slept through."""
        return self.asked - self.n

    @property
    def throughput(self) -> float:
        """Complete answers a second, as the vLLM benchmark has it: n / seconds."""
        return self.n / self.seconds if self.seconds > 0 else 0.0

    @property
    def token_throughput(self) -> float | None:
        """Tokens a second over all complete answers; `None` where the server counted none."""
        tokens = [row.trace.tokens for row in self.rows if row.counts and row.trace]
        if not tokens or self.seconds <= 0 or None in tokens:
            return None
        return sum(number for number in tokens if number) / self.seconds

    @property
    def in_flight(self) -> float:
        """Requests in flight on average: the sum of what each took / `seconds`.

        Little's law (J. D. C. Little, "A proof for the queuing formula L = λW", 1961).
        """
        taken = [
            row.trace.end - row.trace.start for row in self.rows if row.trace and row.trace.end
        ]
        return sum(taken) / self.seconds if self.seconds > 0 else 0.0

    def spread(self, metric: str) -> Spread:
        """The percentiles of a metric."""
        return Spread(values_of(self.rows, metric))

    def summary(self) -> Summary:
        """All metrics, with what must be known beside them."""
        return Summary(self.rows)

    def goodput(self, slo: SLO) -> Goodput:
        """How many of the requests met an objective."""
        return judged(self.rows, slo, self.seconds)


def read_points(measured: Any) -> list[LoadPoint]:
    """Give the points of an experiment, or of a list of `LoadPoint`.

    Raises `NotMeasured` for anything else, and if not one request was answered.
    """
    points = getattr(measured, "points", measured)
    points = list(points) if isinstance(points, Iterable) else [points]
    if not points or not all(isinstance(point, LoadPoint) for point in points):
        raise NotMeasured(
            f"Got {type(measured).__name__} where an experiment was expected — pass what "
            "`await nbkit.measure(...)` returned."
        )
    if len({point.kind for point in points}) > 1:
        raise NotMeasured(
            "Some of these were measured by concurrency, others by rate — look at them one by one."
        )
    if not any(point.n for point in points):
        raise NotMeasured(
            "Not one request of this experiment was answered, so there is nothing to draw — "
            "look at its `.failures`, then measure again."
        )
    return points
