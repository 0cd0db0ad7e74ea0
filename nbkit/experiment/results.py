"""The result of an experiment: every request, numbers by label and load, and its file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from nbkit.batch.file_path import file_path, write_text
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
from nbkit.language import say
from nbkit.metrics.html_table import html_table
from nbkit.metrics.load_point import Kind, LoadPoint
from nbkit.metrics.requests import read_rows
from nbkit.metrics.slo import SLO
from nbkit.streaming.cost import Cost, total_cost
from nbkit.streaming.trace import Usage
from nbkit.wording import count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def _figure(value: float) -> str:
    """A number as text: three significant digits below 1, otherwise two decimals."""
    return f"{value:.3g}" if abs(value) < 1 else f"{value:,.2f}"


@dataclass
class Experiment:
    """What `nbkit.measure` found: table, figure, verdicts, file. Taught in notebook 09."""

    kind: Kind
    """What the loads are: requests kept in flight, or arrivals a second."""
    planned: int
    """How many requests were planned; fewer `results` mean that it was stopped."""
    parameters: dict[str, Any]
    """The settings, and what decides the answers, by label."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Start time, machine and versions."""
    questions: list[str] | None = field(default=None, repr=False)
    """What was asked; `None` if it was loaded from a file without text."""
    results: list[Measurement] = field(default_factory=list, repr=False)
    """Every request that ended, in that order, failed ones included."""
    warmed: list[list[Usage]] = field(default_factory=list, repr=False)
    """The calls of models of each warm-up request."""

    _latest: ClassVar["Experiment | None"] = None

    @classmethod
    def latest(cls) -> "Experiment":
        """The newest experiment of this process, also one that was stopped."""
        if cls._latest is None:
            raise ExperimentError(
                say("Nothing was measured yet"), say("run `await nbkit.measure(...)`.")
            )
        return cls._latest

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before all requests had ended."""
        return len(self.results) < self.planned

    @property
    def labels(self) -> list[str]:
        """What was measured, in the order given."""
        return list(self.parameters["against"])

    @property
    def loads(self) -> list[float]:
        """The loads, in ascending order."""
        return sorted({one.load for one in self.results})

    @property
    def failures(self) -> dict[str, int]:
        """How often each error happened, most frequent first."""
        return failures_of(self.results)

    def requests_of(self, label: str | None = None, at: float | None = None) -> list[Measurement]:
        """The requests of a label, at a load, or both; `ExperimentError` if not measured."""
        if label is not None and label not in self.labels:
            raise ExperimentError(
                say("There is no {label!r} here", label=label),
                say("choose one of {labels}.", labels=self.labels),
            )
        if at is not None and at not in self.loads:
            raise ExperimentError(
                say("Nothing was measured at {kind} {at!r}", kind=self.kind, at=at),
                say("choose one of {loads}.", loads=self.loads),
            )
        return [
            one for one in self.results if label in (None, one.label) and at in (None, one.load)
        ]

    @property
    def points(self) -> list[LoadPoint]:
        """Numbers by label and load, for plots and your own code."""
        return [
            LoadPoint(label, self.kind, load, read_rows(ended))
            for label in self.labels
            for load in self.loads
            if (ended := self.requests_of(label, load))
        ]

    def table(self, slo: SLO | None = None) -> "pd.DataFrame":
        """One row per label and load; times in seconds, rates per second.

        `asked` counts all requests: `ramp` of them met an idle server and are left out, `n` are
        complete (latency is computed from these), and `errors` are the rest. `throughput`,
        `tokens_per_s` and the mean number `in_flight` are from the time at full load. With an SLO
        also `slo_share`, the share of `slo_n` requests (errors included) that met it, and
        `goodput`, how many per second met it. A value is <NA> if n is too small or the server did
        not report it; a column without any value is left out.
        """
        import pandas as pd

        rows = [table_row(point, slo) for point in self.points]
        table = pd.DataFrame(rows, columns=None if rows else ["label", self.kind])
        table = table.set_index(["label", self.kind])
        whole = {name: "int64" for name in ("asked", "ramp", "n", "errors") if name in table}
        parts = {name: "Float64" for name in table.columns if name not in whole}
        return table.astype(whole | parts).dropna(axis="columns", how="all")

    def compare(self, a: str, b: str, metric: str = "ttft", *, at: Any = None) -> Comparison:
        """Whether label `a` is faster or slower than `b`, or whether n is too small to say.

        `metric` is "ttft", "ttfo", "tpot", "gaps" or "end_to_end". If several loads were measured,
        `at` names one; a pair of loads compares a at the first with b at the second. The verdict
        uses the 95 % interval of the ratio (`nbkit.metrics.intervals.ratio_interval`).

        Raises `ExperimentError` for labels and loads that were not measured, `NotMeasured` for
        unknown metrics and for a side without values.
        """
        if at is None and len(self.loads) > 1:
            raise ExperimentError(
                say("{kind} was {loads}", kind=self.kind.capitalize(), loads=listed(self.loads)),
                say("choose one with at=, or give a pair to compare two loads."),
            )
        loads = at if isinstance(at, tuple) else (at, at)
        sides = [self.requests_of(label, load) for label, load in zip((a, b), loads, strict=True)]
        names = [a, b]
        if loads[0] != loads[1]:
            names = [
                say("{label} at {load:g}", label=label, load=load)
                for label, load in zip(names, loads, strict=True)
            ]
        return compared(names, [read_rows(side) if side else [] for side in sides], metric)

    def cost(self) -> Cost:
        """What all requests cost, the warm-up's too, at the prices in your file (`Prices`) now."""
        return total_cost([*self.warmed, *(one.trace.usage for one in self.results)])

    def plot(
        self, *, metric: str | None = None, slo: SLO | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw the plot that fits what was measured.

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

        No API key is written and, without `text=True`, no question, answer or server message. An
        existing file is replaced.

        Raises `ExperimentError` if it cannot be written.
        """
        names = ("kind", "planned", "parameters", "environment")
        header = {name: getattr(self, name) for name in names}
        header["warmed"] = self.warmed
        header["questions"] = self.questions if text else None
        return write(file_path(path, ExperimentError), header, self.results, text=text)

    def report(
        self,
        path: str | Path,
        *others: "Experiment",
        slo: SLO | None = None,
        text: bool = False,
    ) -> Path:
        """Write a report as one HTML file for people who have no notebook; returns its path.

        It holds verdicts, tables, figures, notes, circumstances and definitions, runs no code and
        loads nothing. With `others`, such as `Experiment.load("last_week.jsonl")`, each is a run in
        the same report: what has the same label and load is compared across the runs. With an SLO
        also goodput. No API key is written and, without `text=True`, no question or server message;
        answers never. An existing file is replaced.

        Raises `ExperimentError` for other objects, and if it cannot be written.
        """
        from nbkit.experiment.report import html_report

        if wrong := [other for other in others if not isinstance(other, Experiment)]:
            raise ExperimentError(
                say("Got {kind} where an experiment was expected", kind=type(wrong[0]).__name__),
                say("pass what `nbkit.measure` or `Experiment.load` returned."),
            )
        file = file_path(path, ExperimentError)
        report = html_report([self, *others], slo, text=text)
        return write_text(file, [report], ExperimentError)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The experiment in a file of `save`, without an incomplete last line.

        Raises `ExperimentError` for another kind or version of file.
        """
        header, results = read(file_path(path, ExperimentError))
        return cls(**header, results=results)

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the numbers, in sentences."""
        told = [] if not self.stopped else [say("Stopped after {done}.", done=self._done())]
        return [*told, *notes_of_requests(self.results), *notes_of_points(self.points)]

    def _done(self) -> str:
        planned = count(self.planned, "request")
        return say("{done} of {requests}", done=len(self.results), requests=planned)

    def _repr_html_(self) -> str:
        return html_table(self.table().reset_index(), say("Experiment"), _figure, self.notes)

    def __repr__(self) -> str:
        failed = sum(one.error is not None for one in self.results)
        parts = [
            say(
                "{labels} at {kind} {loads}",
                labels=", ".join(self.labels),
                kind=self.kind,
                loads=listed(self.loads),
            ),
            say("stopped after {done}", done=self._done())
            if self.stopped
            else count(self.planned, "request"),
            say("{failed} failed", failed=failed) if failed else say("none failed"),
        ]
        return f"<Experiment {' · '.join(parts)}>"
