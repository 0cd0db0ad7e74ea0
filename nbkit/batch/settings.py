"""How a batch asks: the settings that workers of a cluster need, too."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from nbkit.batch.outcome import BatchMisused
from nbkit.language import say


class Settings(NamedTuple):
    """The limits of a batch; see `run_batch`."""

    max_concurrency: int | str
    attempts: int
    timeout: float | None
    requests_per_minute: float | None
    tokens_per_minute: float | None

    def check(self) -> None:
        """Raise `BatchMisused` for a value that is not possible."""
        self._check("max_concurrency", _is_count, say('1 or more, or "auto"'), "auto")
        self._check("attempts", _is_count, say("1 or more"))
        for name in ("timeout", "requests_per_minute", "tokens_per_minute"):
            self._check(name, _is_above_0, say("a number above 0"), None)

    def _check(self, name: str, fits: Callable[[Any], bool], wanted: str, *others: Any) -> None:
        value = getattr(self, name)
        if value not in others and not fits(value):
            raise impossible(name, value, wanted)


def impossible(name: str, value: Any, wanted: str) -> BatchMisused:
    """The error that a setting has a value it cannot have."""
    return BatchMisused(
        say("{name}={value!r} is not possible", name=name, value=value),
        say("give {wanted}.", wanted=wanted),
    )


def _is_above_0(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
