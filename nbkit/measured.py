"""What is known of a request that was timed, whatever carries it: answer, outcome or trace."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nbkit.errors import NbkitError
from nbkit.timing import Trace


class NotMeasured(NbkitError, ValueError):
    """There is nothing to measure, or it is of the wrong kind. Taught in notebook 08."""


@dataclass(frozen=True)
class Row:
    """One request, with what figures need to know of it."""

    label: str
    trace: Trace | None
    """`None` if it was not timed in this process: taken over from a journal, say."""
    state: str
    """ "done", "stopped", "truncated" or "failed"."""
    attempts: int
    attempt_starts: tuple[float, ...]
    """Readings of perf_counter; empty where they were not kept."""
    question: Any = None
    """What tells questions apart; `None` where every request stands for itself."""
    origin: str | None = None
    """Label and load it was measured with, in words; `None` outside experiments."""

    @property
    def counts(self) -> bool:
        """Whether its durations mean anything: a complete answer with text, on a clock that ran."""
        trace = self.trace
        return (
            self.state == "done"
            and trace is not None
            and bool(trace.arrivals)
            and not trace.suspended
        )


def read_rows(answers: Any) -> list[Row]:
    """Give the rows of one answer, a list of them, or a dict of them by label.

    Raises `NotMeasured` for anything else, for nothing, and where nothing was timed.
    """
    if isinstance(answers, Mapping):
        rows = [_row(str(label), item) for label, item in answers.items()]
    elif _is_one(answers):
        rows = [_row("1", answers)]
    elif isinstance(answers, Iterable) and not isinstance(answers, str | bytes):
        rows = [_row(str(number), item) for number, item in enumerate(answers, 1)]
    elif hasattr(answers, "points"):
        raise NotMeasured(
            "An experiment holds several labels and loads, which do not belong into one figure — "
            'pass `experiment.of("label", at=4)`.'
        )
    else:
        raise _wrong_kind(answers)
    if not rows:
        raise NotMeasured("There are no answers here — pass at least one.")
    if all(row.trace is None for row in rows):
        raise NotMeasured("None of these was timed in this kernel — run them again.")
    return rows


def _is_one(item: Any) -> bool:
    # Arrays have a method of that name.
    return isinstance(item, Trace) or isinstance(getattr(item, "trace", "none"), Trace | None)


def _row(label: str, item: Any) -> Row:
    if not _is_one(item):
        raise _wrong_kind(item)
    attempts = getattr(item, "attempts", None)
    return Row(
        label=label,
        trace=item if isinstance(item, Trace) else item.trace,
        state=_state(item),
        attempts=1 if attempts is None else attempts,
        attempt_starts=tuple(getattr(item, "attempt_starts", ())),
        question=getattr(item, "question", None),
        origin=getattr(item, "origin", None),
    )


def _state(item: Any) -> str:
    """Ask the item, the answer it holds, then the partial answer that its error carries."""
    error = getattr(item, "error", None)
    for teller in (item, getattr(item, "value", None), getattr(error, "answer", None)):
        state = getattr(teller, "state", None)
        if state is not None:
            return str(state)
    return "done" if error is None else "failed"


def _wrong_kind(item: Any) -> NotMeasured:
    return NotMeasured(
        f"Got {type(item).__name__} where an answer was expected — pass an Answer or its trace, a "
        "list of them, or a dict of them by label."
    )
