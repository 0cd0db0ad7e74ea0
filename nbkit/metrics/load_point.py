"""What was measured for one label at one load: the requests and their numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from nbkit.language import say, to_say
from nbkit.metrics.percentiles import Spread, values_of
from nbkit.metrics.requests import NotMeasured, Row, windows_of
from nbkit.metrics.slo import SLO, Goodput, judged

Kind = Literal["concurrency", "rate"]
UNITS = {"concurrency": to_say("requests at once"), "rate": to_say("requests arriving a second")}


@dataclass(frozen=True)
class LoadPoint:
    """All requests of one label at one load. Taught in notebook 09."""

    label: str
    kind: Kind
    load: float
    """Requests kept in flight (closed loop), or mean arrivals a second (open loop)."""
    rows: list[Row]

    @property
    def n(self) -> int:
        """Complete answers with text, after the ramp: the ones in latency numbers."""
        return sum(row.counts for row in self.rows)

    @property
    def seconds(self) -> float:
        """The time that rates are divided by, summed over the repetitions: see `windows_of`."""
        return sum(window.seconds for window in windows_of(self.rows))

    @property
    def throughput(self) -> float:
        """Complete answers per second at full load; answers partly in that time count in part."""
        answers = sum(share for row, share in self._shares() if row.complete)
        return answers / self.seconds if self.seconds > 0 else 0.0

    @property
    def token_throughput(self) -> float | None:
        """Tokens per second of the same answers; `None` if the server did not count tokens."""
        written = [
            (row.trace.tokens, share) for row, share in self._shares() if row.complete and row.trace
        ]
        if not written or self.seconds <= 0 or any(tokens is None for tokens, _ in written):
            return None
        return sum(share * (tokens or 0) for tokens, share in written) / self.seconds

    @property
    def in_flight(self) -> float:
        """The mean number of requests in flight at full load (Little's law, 1961)."""
        windows = windows_of(self.rows)
        taken = sum(window.taken(row) for window in windows for row in window.rows)
        return taken / self.seconds if self.seconds > 0 else 0.0

    def spread(self, metric: str) -> Spread:
        """The percentiles of a metric."""
        return values_of(self.rows, metric)

    def goodput(self, slo: SLO) -> Goodput:
        """How many of the requests met an objective."""
        return judged(self.rows, slo)

    def _shares(self) -> list[tuple[Row, float]]:
        windows = windows_of(self.rows)
        return [(row, window.share(row)) for window in windows for row in window.rows]


def read_points(measured: Any) -> list[LoadPoint]:
    """The points of an experiment, or a list of `LoadPoint` as it is.

    Raises `NotMeasured` for anything else, and if no request was answered.
    """
    points = getattr(measured, "points", measured)
    points = list(points) if isinstance(points, Iterable) else [points]
    if not points or not all(isinstance(point, LoadPoint) for point in points):
        raise NotMeasured(
            say("Got {kind} where an experiment was expected", kind=type(measured).__name__),
            say("pass what `await nbkit.measure(...)` returned."),
        )
    if len({point.kind for point in points}) > 1:
        raise NotMeasured(
            say("Some of these were measured by concurrency, others by rate"),
            say("pass them separately."),
        )
    if not any(point.n for point in points):
        raise NotMeasured(
            say("No request of this experiment was answered, so there is nothing to draw"),
            say("look at its `.failures`, then measure again."),
        )
    return points
