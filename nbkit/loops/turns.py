"""The turns of an event loop, timed where they begin and end, and the lines seen meanwhile."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from nbkit.errors import NbkitError

_LATE = 0.01
_UNSEEN = "no line was seen: another thread held the interpreter, or the machine was busy"


class LoopMisused(NbkitError, RuntimeError):
    """Something was asked of an event loop that it cannot do; the message says what can."""


class LoopTurn:
    """One turn of a loop: from its waking up until it next waits."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.seen: list[tuple[str, str]] = []

    def mostly_at(self) -> tuple[str, str]:
        """The reader's line that was seen most often, and the innermost line seen with it."""
        if not self.seen:
            return _UNSEEN, _UNSEEN
        where = Counter(where for where, _ in self.seen).most_common(1)[0][0]
        return where, Counter(i for w, i in self.seen if w == where).most_common(1)[0][0]


class TurnTimer:
    """Times the turns of one loop at its selector: exact, and free while the loop is idle."""

    def __init__(self, selector: Any) -> None:
        self.thread = threading.get_ident()
        self.listeners: list[Callable[[LoopTurn, float], None]] = []
        """Each is called with a turn that has ended, and the perf_counter reading at its end."""
        self.turn: LoopTurn | None = LoopTurn(time.perf_counter())
        """The turn in progress; `None` while the loop waits."""
        self._selector = selector
        self._wait = selector.select
        selector.select = self.select

    def select(self, timeout: float | None = None) -> Any:
        """Take the place of the selector's own method, and call it."""
        called, turn = time.perf_counter(), self.turn
        if turn is not None:
            for listener in self.listeners:
                listener(turn, called)
        self.turn = None
        try:
            return self._wait(timeout)
        finally:
            now = time.perf_counter()
            due = now if timeout is None else called + timeout
            # A loop that wakes well after its time was held up: the delay is part of the block.
            self.turn = LoopTurn(due if now - due > _LATE else now)

    def leave(self, listener: Callable[[LoopTurn, float], None]) -> None:
        """Stop calling a listener; after the last one the selector has its own method again."""
        self.listeners.remove(listener)
        if not self.listeners and self._selector.select == self.select:
            del self._selector.select


def turn_timer(loop: asyncio.AbstractEventLoop) -> TurnTimer:
    """Share one timer among all watches of a loop, which may overlap."""
    selector = getattr(loop, "_selector", None)  # private: asyncio's own loops have it
    if selector is None:
        raise LoopMisused(
            f"An event loop of type {type(loop).__qualname__} cannot be watched",
            "run this on one of asyncio's own loops.",
        )
    owner = getattr(selector.select, "__self__", None)
    return owner if isinstance(owner, TurnTimer) else TurnTimer(selector)
