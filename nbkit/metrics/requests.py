"""Timed requests in one form, made from answers, batch outcomes, measurements or traces."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nbkit.errors import NbkitError
from nbkit.language import say
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.trace import Trace


class NotMeasured(NbkitError, ValueError):
    """There is nothing to measure, or an object of the wrong kind. Taught in notebook 09."""


@dataclass(frozen=True)
class Row:
    """One request, with the facts that metrics and plots need."""

    label: str
    trace: Trace | None
    """`None` if it was not timed in this process, for example if it came from a journal."""
    state: str
    """ "done", "stopped", "truncated" or "failed"."""
    attempts: int
    attempt_starts: tuple[float, ...]
    """Readings of perf_counter; empty if they were not kept."""
    question: Any = None
    """Equal for requests with the same question; `None` if each request is independent."""
    origin: str | None = None
    """Label and load of the measurement, as text; `None` outside experiments."""
    repetition: int = 0
    """Which run of an experiment it belongs to."""
    ramp: bool = False
    """It was among the first of its run, when the server was idle."""
    late: float = 0.0
    """Seconds from `trace.start`, the planned time, until it was sent."""
    steps: tuple[ToolStep, ...] = ()
    """The tools that an agent called for it."""
    worker: str | None = None
    """The worker of a cluster that asked it."""

    @property
    def counts(self) -> bool:
        """Whether it is in the numbers: complete, and after the ramp of its run."""
        return self.complete and not self.ramp

    @property
    def complete(self) -> bool:
        """Whether its durations are valid: a complete answer with text, machine not suspended."""
        trace = self.trace
        return self.state == "done" and bool(trace and trace.arrivals and not trace.suspended)

    @property
    def start(self) -> float:
        """When its clock started (`time.perf_counter`); 0 if it was not timed."""
        return self.trace.start if self.trace else 0.0

    @property
    def end(self) -> float:
        """The last known time of it (`time.perf_counter`); 0 if it was not timed."""
        if self.trace is None:
            return 0.0
        trace = self.trace
        known = (trace.start, trace.responded, trace.requested, trace.end, *trace.arrivals[-1:])
        return max(moment for moment in known if moment is not None)


class Window(NamedTuple):
    """The part of one run that rates are computed for; readings of `time.perf_counter`."""

    begin: float
    end: float
    rows: list[Row]
    """All requests of the run, also those only partly in this time."""

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return self.end - self.begin

    def taken(self, row: Row) -> float:
        """How many seconds a request was in flight within it."""
        return max(min(row.end, self.end) - max(row.start, self.begin), 0.0)

    def share(self, row: Row) -> float:
        """The share of a request's time that is within it, 0 to 1."""
        whole = row.end - row.start
        return self.taken(row) / whole if whole > 0 else float(self.begin <= row.end)


def windows_of(rows: Sequence[Row]) -> list[Window]:
    """The window of each run; a run is all rows of one label, load and repetition.

    It goes from the first start to the last end; in a run with a ramp only while the load was
    full, which is from the first start after the ramp to the last start.
    """
    runs: dict[tuple[str | None, int], list[Row]] = {}
    for row in rows:
        if row.trace is not None:
            runs.setdefault((row.origin, row.repetition), []).append(row)
    windows = []
    for run in runs.values():
        steady = [row.start for row in run if not row.ramp]
        if not steady or len(steady) == len(run):
            windows.append(Window(min(row.start for row in run), max(row.end for row in run), run))
        else:
            windows.append(Window(min(steady), max(steady), run))
    return windows


def in_flight_together(rows: Sequence[Row]) -> int:
    """The mean number of requests in flight when one starts, itself included."""
    if not rows:
        return 1
    starts = sorted(row.start for row in rows)
    ended = np.searchsorted(np.sort([row.end for row in rows]), starts, side="right")
    return round(float(np.mean(np.arange(1, len(starts) + 1) - ended)))


def read_rows(answers: Any) -> list[Row]:
    """The rows of one answer, of a list of answers, or of a dict of answers by label.

    Raises `NotMeasured` for anything else, if it is empty, and if nothing was timed.
    """
    named: Iterable[tuple[Any, Any]]
    if isinstance(answers, Mapping):
        named = answers.items()
    elif _is_one(answers):
        named = [(1, answers)]
    elif isinstance(answers, Iterable) and not isinstance(answers, str | bytes):
        named = enumerate(answers, 1)
    elif hasattr(answers, "points"):
        raise NotMeasured(
            say(
                "An experiment holds several labels and loads, which cannot be summarised together"
            ),
            say('pass `experiment.requests_of("label", at=4)`.'),
        )
    else:
        raise _wrong_kind(answers)
    rows = [_row(str(label), item) for label, item in named]
    if not rows:
        raise NotMeasured(say("There are no answers here"), say("pass at least one."))
    if all(row.trace is None for row in rows):
        raise NotMeasured(say("None of these was timed in this kernel"), say("run them again."))
    return rows


def read_groups(answers: Any) -> dict[str, Any]:
    """The answers of each curve by label: the dict itself, or everything under ""."""
    if isinstance(answers, Mapping) and not answers:
        raise NotMeasured(say("There are no answers to draw"), say("pass at least one."))
    return dict(answers) if isinstance(answers, Mapping) else {"": answers}


def _is_one(item: Any) -> bool:
    # NumPy arrays have a method `trace`.
    return isinstance(item, Trace) or isinstance(getattr(item, "trace", "none"), Trace | None)


def _row(label: str, item: Any) -> Row:
    if not _is_one(item):
        raise _wrong_kind(item)
    known = ("question", "origin", "repetition", "ramp", "late", "worker")
    return Row(
        label=label,
        trace=item if isinstance(item, Trace) else item.trace,
        state=_state(item),
        attempts=getattr(item, "attempts", None) or 1,
        attempt_starts=tuple(getattr(item, "attempt_starts", ())),
        steps=tuple(_of_answer(item, "steps") or ()),
        **{name: getattr(item, name) for name in known if hasattr(item, name)},
    )


def _state(item: Any) -> str:
    state = _of_answer(item, "state")
    if state is None:
        return "done" if getattr(item, "error", None) is None else "failed"
    return str(state)


def _of_answer(item: Any, name: str) -> Any:
    """A fact of the item, else of its answer, else of the partial answer in its error."""
    error = getattr(item, "error", None)
    for holder in (item, getattr(item, "value", None), getattr(error, "answer", None)):
        if (fact := getattr(holder, name, None)) is not None:
            return fact
    return None


def _wrong_kind(item: Any) -> NotMeasured:
    return NotMeasured(
        say("Got {kind} where an answer was expected", kind=type(item).__name__),
        say("pass an Answer or its trace, a list of them, or a dict of them by label."),
    )
