"""What plots can be given, read into one form; everything else is one clear error."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from nbkit.errors import NbkitError
from nbkit.timing import Trace


class PlotError(NbkitError, ValueError):
    """There is nothing to draw, or it is of the wrong kind; no figure was made.

    Taught in notebook 04.
    """


@dataclass(frozen=True)
class Row:
    """One request, with what a plot needs to know of it."""

    label: str
    trace: Trace | None
    """`None` if it was not timed in this process: taken over from a journal, say."""
    state: str
    """ "done", "stopped", "truncated" or "failed"."""
    attempts: int
    attempt_starts: tuple[float, ...]
    """Readings of perf_counter; empty where they were not kept."""


def read_rows(answers: Any) -> list[Row]:
    """Give the rows of one answer, a list of them, or a dict of them by label."""
    if isinstance(answers, Mapping):
        rows = [_row(str(label), item) for label, item in answers.items()]
    elif _is_one(answers):
        rows = [_row("1", answers)]
    elif isinstance(answers, Iterable) and not isinstance(answers, str | bytes):
        rows = [_row(str(number), item) for number, item in enumerate(answers, 1)]
    else:
        raise _wrong_kind(answers)
    if not rows:
        raise PlotError("There are no answers to draw — pass at least one.")
    if all(row.trace is None for row in rows):
        raise PlotError("None of these was timed in this kernel — run them again, then draw them.")
    return rows


def read_groups(answers: Any) -> dict[str, Any]:
    """Give what is drawn as one curve each: the values of a dict, or everything under ""."""
    if isinstance(answers, Mapping) and not answers:
        raise PlotError("There are no answers to draw — pass at least one.")
    return dict(answers) if isinstance(answers, Mapping) else {"": answers}


def read_seconds(label: Any, value: Any) -> list[float]:
    """Give durations as a list; raises `PlotError` for anything but positive numbers."""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    seconds = list(value) if several else [value]
    if not seconds:
        raise PlotError(f"{label!r} has no measurement — measure it, or leave it out.")
    for one in seconds:
        if not is_number(one):
            raise PlotError(
                f"{label!r} has {type(one).__name__} where seconds were expected — pass a number, "
                "or a list of numbers."
            )
        if not 0 < float(one) < math.inf:
            raise PlotError(f"{label!r} took {one} s — pass durations above zero.")
    return [float(one) for one in seconds]


def is_number(value: Any) -> bool:
    """Tell numbers, numpy's too, from everything else; True is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


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
    )


def _state(item: Any) -> str:
    """Ask the item, the answer it holds, then the partial answer that its error carries."""
    error = getattr(item, "error", None)
    for teller in (item, getattr(item, "value", None), getattr(error, "answer", None)):
        state = getattr(teller, "state", None)
        if state is not None:
            return str(state)
    return "done" if error is None else "failed"


def _wrong_kind(item: Any) -> PlotError:
    return PlotError(
        f"Got {type(item).__name__} where an answer was expected — pass an Answer or its trace, a "
        "list of them, or a dict of them by label."
    )
