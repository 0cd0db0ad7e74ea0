"""What an experiment found: every request, figures by label and load, and how to keep them."""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from nbkit.batch.file_path import file_path
from nbkit.experiment.measurements import ExperimentError, Measurement
from nbkit.experiment.saved import read, write
from nbkit.experiment.table import (
    failures_of,
    listed,
    notes_of_points,
    notes_of_requests,
    table_row,
)
from nbkit.experiment.verdicts import Comparison, compared
from nbkit.metrics.load_point import Kind, LoadPoint
from nbkit.metrics.requests import read_rows
from nbkit.metrics.slo import SLO
from nbkit.wording import count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


_PLAIN = "tex2jax_ignore mathjax_ignore"
"""A price in a label is not a formula."""


def _figure(value: float) -> str:
    """Write a figure with digits that mean something, be it small or large."""
    return f"{value:.3g}" if abs(value) < 1 else f"{value:,.2f}"


@dataclass
class Experiment:
    """What `nbkit.measure` found: table, figure, verdicts, file. Taught in notebook 09."""

    kind: Kind
    """What the loads are: requests kept in flight, or arrivals a second."""
    planned: int
    """How many requests were to be made; fewer `results` mean that it was stopped."""
    parameters: dict[str, Any]
    """The settings, and by label what decides the answers."""
    environment: dict[str, Any] = field(default_factory=dict)
    """When, on which machine, with which versions."""
    questions: list[str] | None = field(default=None, repr=False)
    """What was asked; `None` where a file does not hold it."""
    results: list[Measurement] = field(default_factory=list, repr=False)
    """Every request that ended, in the order of ending, failed ones too."""

    _latest: ClassVar["Experiment | None"] = None

    @classmethod
    def latest(cls) -> "Experiment":
        """The newest experiment of this process, also one that was stopped."""
        if cls._latest is None:
            raise ExperimentError("Nothing was measured yet", "run `await nbkit.measure(...)`.")
        return cls._latest

    @property
    def stopped(self) -> bool:
        """It was stopped before every request was made."""
        return len(self.results) < self.planned

    @property
    def labels(self) -> list[str]:
        """What was measured, in the order given."""
        return list(self.parameters["against"])

    @property
    def loads(self) -> list[float]:
        """At which loads, in ascending order."""
        return sorted({one.load for one in self.results})

    @property
    def failures(self) -> dict[str, int]:
        """What went wrong, and how often; the most frequent first."""
        return failures_of(self.results)

    def requests_of(self, label: str | None = None, at: float | None = None) -> list[Measurement]:
        """The requests of a label, at a load, or both; `ExperimentError` if not measured."""
        if label is not None and label not in self.labels:
            raise ExperimentError(f"There is no {label!r} here", f"choose one of {self.labels}.")
        if at is not None and at not in self.loads:
            raise ExperimentError(
                f"Nothing was measured at {self.kind} {at!r}", f"choose one of {self.loads}."
            )
        return [
            one for one in self.results if label in (None, one.label) and at in (None, one.load)
        ]

    @property
    def points(self) -> list[LoadPoint]:
        """Figures by label and load, for plots and code of your own."""
        return [
            LoadPoint(label, self.kind, load, read_rows(ended))
            for label in self.labels
            for load in self.loads
            if (ended := self.requests_of(label, load))
        ]

    def table(self, slo: SLO | None = None) -> "pd.DataFrame":
        """One row per label and load; times in seconds, rates per second.

        Of the `asked` requests `ramp` met an idle server and are left out, `n` others are complete
        (all latency figures are of these), `errors` are the rest. `throughput`, `tokens_per_s` and
        the mean number `in_flight` are of the time while the load was full. With an SLO also
        `slo_share`, the share of `slo_n` requests (errors included) that met it, and `goodput`, how
        many a second did. What n is too small for or the server did not report is <NA>; a column
        without any figure is left out.
        """
        import pandas as pd

        rows = [table_row(point, slo) for point in self.points]
        table = pd.DataFrame(rows, columns=None if rows else ["label", self.kind])
        table = table.set_index(["label", self.kind])
        whole = {name: "int64" for name in ("asked", "ramp", "n", "errors") if name in table}
        parts = {name: "Float64" for name in table.columns if name not in whole}
        return table.astype(whole | parts).dropna(axis="columns", how="all")

    def compare(self, a: str, b: str, metric: str = "ttft", *, at: Any = None) -> Comparison:
        """Say whether label `a` is faster or slower than `b`, or whether n is too small to tell.

        `metric` is "ttft", "tpot", "gaps" or "end_to_end". If several loads were measured, `at`
        names one; a pair of loads compares a at the first with b at the second. The verdict rests
        on the 95 % interval of the ratio (`nbkit.metrics.intervals.ratio_interval`).

        Raises `ExperimentError` for labels and loads that were not measured, `NotMeasured` for
        unknown metrics and for sides without figures.
        """
        if at is None and len(self.loads) > 1:
            raise ExperimentError(
                f"{self.kind.capitalize()} was {listed(self.loads)}",
                "say which with at=, or give a pair to compare one with the other.",
            )
        loads = at if isinstance(at, tuple) else (at, at)
        sides = [self.requests_of(label, load) for label, load in zip((a, b), loads, strict=True)]
        names = [a, b] if loads[0] == loads[1] else [f"{a} at {loads[0]:g}", f"{b} at {loads[1]:g}"]
        return compared(names, [read_rows(side) if side else [] for side in sides], metric)

    def plot(
        self, *, metric: str | None = None, slo: SLO | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw what fits what was measured.

        `plots.slo` with `slo`, `plots.knee` of several loads, `plots.ecdf` of several labels or of
        a metric, otherwise `plots.breakdown`.
        """
        from nbkit import plots

        if slo is not None:
            return plots.slo(self, slo, ax=ax)
        if len(self.loads) > 1:
            return plots.knee(self, metric=metric or "end_to_end", ax=ax)
        if metric is not None or len(self.labels) > 1:
            groups = {label: self.requests_of(label) for label in self.labels}
            return plots.ecdf(groups, metric=metric or "ttft", ax=ax)
        return plots.breakdown(self, ax=ax)

    def save(self, path: str | Path, *, text: bool = False) -> Path:
        """Write it to a file of JSON lines: parameters, versions and machine, then the requests.

        No key is written, and unless `text=True` no question, answer or server message either. A
        file of that name is replaced as a whole.

        Raises `ExperimentError` if it cannot be written.
        """
        names = ("kind", "planned", "parameters", "environment")
        header = {name: getattr(self, name) for name in names}
        header["questions"] = self.questions if text else None
        return write(file_path(path, ExperimentError), header, self.results, text=text)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a line torn off at its end is left out.

        Raises `ExperimentError` for a file of something else, or of another version.
        """
        header, results = read(file_path(path, ExperimentError))
        return cls(**header, results=results)

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the figures, in sentences."""
        told = [] if not self.stopped else [f"Stopped after {self._done()}."]
        return [*told, *notes_of_requests(self.results), *notes_of_points(self.points)]

    def _done(self) -> str:
        return f"{len(self.results)} of {count(self.planned, 'request')}"

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"{self.table().to_html(float_format=_figure, classes=_PLAIN)}{notes}"

    def __repr__(self) -> str:
        failed = sum(one.error is not None for one in self.results)
        parts = [
            f"{', '.join(self.labels)} at {self.kind} {listed(self.loads)}",
            f"stopped after {self._done()}" if self.stopped else count(self.planned, "request"),
            f"{failed} failed" if failed else "none failed",
        ]
        return f"<Experiment {' · '.join(parts)}>"
