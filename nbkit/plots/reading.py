"""What plots can be given, read into one form; everything else is one clear error."""

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from nbkit.errors import NbkitError
from nbkit.metrics import requests
from nbkit.metrics.requests import Row


class PlotError(NbkitError, ValueError):
    """There is nothing to draw, or it is of the wrong kind; no figure was made.

    Taught in notebook 04.
    """


def read_rows(answers: Any) -> list[Row]:
    """The rows of one answer, a list of them, or a dict of them by label."""
    try:
        return requests.read_rows(answers)
    except requests.NotMeasured as error:
        raise PlotError(str(error)) from None


def read_groups(answers: Any) -> dict[str, Any]:
    """What is drawn as one curve each: the values of a dict, or everything under ""."""
    if isinstance(answers, Mapping) and not answers:
        raise PlotError("There are no answers to draw", "pass at least one.")
    return dict(answers) if isinstance(answers, Mapping) else {"": answers}


def read_seconds(label: Any, value: Any) -> list[float]:
    """Give durations as a list; raises `PlotError` for anything but positive numbers."""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    seconds = list(value) if several else [value]
    if not seconds:
        raise PlotError(f"{label!r} has no measurement", "measure it, or leave it out.")
    for one in seconds:
        if not is_number(one):
            raise PlotError(
                f"{label!r} has {type(one).__name__} where seconds were expected",
                "pass a number, or a list of numbers.",
            )
        if not 0 < float(one) < math.inf:
            raise PlotError(f"{label!r} took {one} s", "pass durations above zero.")
    return [float(one) for one in seconds]


def is_number(value: Any) -> bool:
    """Whether it is a number (numpy's too); bool is not accepted."""
    return isinstance(value, Real) and not isinstance(value, bool)
