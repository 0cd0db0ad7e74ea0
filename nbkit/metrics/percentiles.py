"""Latency over many requests: percentiles with their n (p90 needs 10 measurements, p99 100)."""

import math
from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nbkit.language import say, to_say
from nbkit.metrics.html_table import html_table
from nbkit.metrics.intervals import FEWEST, Floats, Interval, Sample, median_interval
from nbkit.metrics.requests import NotMeasured, Row, in_flight_together, read_rows
from nbkit.wording import count, listed

if TYPE_CHECKING:
    import pandas as pd

METRICS = {
    "ttft": to_say("time to first token"),
    "ttfo": to_say("time to first output token"),
    "tpot": to_say("time per output token"),
    "gaps": to_say("time between chunks"),
    "end_to_end": to_say("end-to-end latency"),
}
"""The names of the metrics; `Trace` defines them, in seconds."""


def enough_for(percent: float) -> int:
    """How many values a percentile needs so that one lies beyond it: for example 100 for p99."""
    return 1 if percent <= 50 else math.ceil(100 / (100 - percent) - 1e-9)


def percentile(values: Sequence[float] | Floats, percent: float) -> float | None:
    """A percentile, interpolated as in `numpy.percentile`; `None` if there are too few values."""
    if len(values) < enough_for(percent):
        return None
    return float(np.percentile(values, percent))


class Spread(Sample):
    """The distribution of one metric over requests, in seconds. Taught in notebook 09."""

    @property
    def n(self) -> int:
        """The number of values: one per request, or all gaps of all requests."""
        return len(self.values)

    @property
    def p50(self) -> float | None:
        """The median; `None` without values."""
        return percentile(self.values, 50)

    @property
    def p90(self) -> float | None:
        """The 90th percentile; `None` below 10 values."""
        return percentile(self.values, 90)

    @property
    def p99(self) -> float | None:
        """The 99th percentile; `None` below 100 values."""
        return percentile(self.values, 99)

    @cached_property
    def interval(self) -> Interval | None:
        """The 95 % interval of the median over all questions like these; `None` if `lacks`.

        If requests queue for the server, it is only about these questions: others may have longer
        answers, which make the queue longer.
        """
        return median_interval(self)

    def __repr__(self) -> str:
        figures = {name: getattr(self, name) for name in ("p50", "p90", "p99")}
        told = [f"{name} {value:.4f} s" for name, value in figures.items() if value is not None]
        if self.interval is not None:
            low, high = self.interval
            told[0] += say(" (95 % interval {low:.4f}–{high:.4f})", low=low, high=high)
        return f"<Spread {' · '.join([*told, f'n = {self.n}'])}>"


def values_of(rows: Sequence[Row], metric: str) -> Spread:
    """The values of a metric of the rows that count, grouped by question, gaps by answer.

    Raises `NotMeasured` for an unknown metric.
    """
    if metric not in METRICS:
        raise NotMeasured(
            say("There is no metric {metric!r}", metric=metric),
            say("choose one of {metrics}.", metrics=list(METRICS)),
        )
    values: list[float] = []
    groups: list[Hashable] = []
    counting = sorted((row for row in rows if row.counts), key=lambda row: row.start)
    for row in counting:
        found = getattr(row.trace, metric)
        found = [] if found is None else found if metric == "gaps" else [found]
        values += found
        groups += [id(row) if metric == "gaps" else row.question] * len(found)
    together = 1 if metric == "gaps" else in_flight_together(counting)
    return Spread(values, None if None in groups else groups, together=together)


class Summary:
    """The latency of a list of requests: a `Spread` by metric. Taught in notebook 09."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.asked = len(rows)
        self.n = sum(row.counts for row in rows)
        """Complete answers with text, after the ramp of a run: the ones in the numbers."""
        thinks = any(row.trace and row.trace.thoughts for row in rows)
        self.spreads = {
            metric: values_of(rows, metric) for metric in METRICS if thinks or metric != "ttfo"
        }
        self.notes = list(_notes(rows))
        """What a reader must know about the numbers, in sentences."""

    def __getitem__(self, metric: str) -> Spread:
        return self.spreads[metric]

    def table(self) -> "pd.DataFrame":
        """A row per metric: n, p50, its 95 % interval, p90, p99; seconds; <NA> if n is small."""
        import pandas as pd

        rows = {
            metric: [one.n, one.p50, *(one.interval or (None, None)), one.p90, one.p99]
            for metric, one in self.spreads.items()
        }
        names = ["n", "p50", "low", "high", "p90", "p99"]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
        return table.astype({**dict.fromkeys(names, "Float64"), "n": "int64"})

    def __repr__(self) -> str:
        return "\n".join([self.table().to_string(float_format="{:.4f}".format), *self.notes])

    def _repr_html_(self) -> str:
        table = self.table().rename_axis(say("seconds")).reset_index()
        return html_table(table, say("Summary"), "{:.4f}".format, self.notes)


def summary(answers: Any) -> Summary:
    """The p50 with its 95 % interval, the p90 and the p99 of every metric, each with its n.

    `answers` is a list of Answers, outcomes or Traces. The interval is about all requests like
    these: other questions of this kind, or repetitions if all are one question. Only complete
    answers with text count, in an experiment only those after the ramp; notes say how many are left
    out, and why. There is no p90 below 10 values, and no p99 below 100.

    Raises `NotMeasured` for anything else, and if no answer is complete. Taught in notebook 09.
    """
    rows = read_rows(answers)
    if not any(row.counts for row in rows):
        raise NotMeasured(
            say(
                "None of {requests} can be measured: {notes}",
                requests=count(len(rows), "request"),
                notes=" ".join(_notes(rows)),
            ),
            say("see their `.error`, then ask again."),
        )
    return Summary(rows)


def _notes(rows: Sequence[Row]) -> list[str]:
    """Sentences about what is left out, and which numbers need a larger n."""
    timed = [(row, row.trace) for row in rows if row.trace is not None]
    suspended = sum(trace.suspended for _, trace in timed)
    failed = sum(row.state != "done" for row in rows)
    silent = sum(row.state == "done" and not trace.arrivals for row, trace in timed)
    ramp = sum(row.complete and row.ramp for row in rows)
    counted = sum(row.counts for row in rows)
    lacks = values_of(rows, "ttft").lacks
    models = sorted({trace.model for _, trace in timed if trace.model})
    origins = list(dict.fromkeys(row.origin for row in rows if row.origin))
    several, mixed, few = len(models) > 1, len(origins) > 1, 0 < counted < 10
    said = {
        say(
            "{requests} not complete, and not in these figures.", requests=count(failed, "request")
        ): failed,
        say(
            "{answers} without any text, and not in these figures.", answers=count(silent, "answer")
        ): silent,
        say(
            "{answers} left out: the machine slept, or its clock was set, meanwhile.",
            answers=count(suspended, "answer"),
        ): suspended,
        say(
            "{requests} left out: the first of each run met an idle server.",
            requests=count(ramp, "request"),
        ): ramp,
        say("{lacks}.", lacks=lacks): lacks is not None and counted >= FEWEST,
        say("n = {n} is too few for a p99 (100 are needed).", n=counted): 10 <= counted < 100,
        say("n = {n} is too few for a p99 (100 are needed), and for a p90 (10).", n=counted): few,
        say("Answers of several models are mixed here: {models}.", models=listed(models)): several,
        say("Several labels or loads are mixed here: {origins}.", origins=listed(origins)): mixed,
    }
    return [note for note, holds in said.items() if holds]
