"""The turns of an event loop: when each begins and ends, and which lines of code it runs."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from nbkit.errors import NbkitError
from nbkit.language import say, to_say

_LATE = 0.01
_UNSEEN = to_say(
    "no line was recorded: another thread held the interpreter, or the machine was busy"
)


class LoopMisused(NbkitError, RuntimeError):
    """A call that is not possible with this event loop; the message names the right one."""


class LoopTurn:
    """One turn of a loop: from when it wakes up until it waits again."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.seen: list[tuple[str, str]] = []

    def mostly_at(self) -> tuple[str, str]:
        """The user's line that was sampled most often, and the innermost line sampled with it."""
        if not self.seen:
            return say(_UNSEEN), say(_UNSEEN)
        where = Counter(where for where, _ in self.seen).most_common(1)[0][0]
        return where, Counter(i for w, i in self.seen if w == where).most_common(1)[0][0]


class TurnTimer:
    """Times the turns of one loop at its selector: exact, and no work while the loop is idle."""

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
        """Replaces the selector's own method, and calls it."""
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
            # A loop that wakes up late was blocked: the delay is part of the block.
            self.turn = LoopTurn(due if now - due > _LATE else now)

    def leave(self, listener: Callable[[LoopTurn, float], None]) -> None:
        """Remove a listener; the last one to leave restores the selector's own method."""
        self.listeners.remove(listener)
        if not self.listeners and self._selector.select == self.select:
            del self._selector.select


def turn_timer(loop: asyncio.AbstractEventLoop) -> TurnTimer:
    """The timer of a loop, shared by all its watches; raises `LoopMisused` for a foreign loop."""
    selector = getattr(loop, "_selector", None)  # private: asyncio's own loops have it
    if selector is None:
        raise LoopMisused(
            say("An event loop of type {kind} cannot be watched", kind=type(loop).__qualname__),
            say("run this on one of asyncio's own loops."),
        )
    owner = getattr(selector.select, "__self__", None)
    return owner if isinstance(owner, TurnTimer) else TurnTimer(selector)
