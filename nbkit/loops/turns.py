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
    """Something was asked of an event loop that it cannot do; the message says what can.

    Taught in notebook 03.
    """


class Turn:
    """One turn of a loop: from its waking up until it next waits."""

    __slots__ = ("seen", "start")

    def __init__(self, start: float) -> None:
        self.start = start
        self.seen: list[tuple[str, str]] = []

    def mostly_at(self) -> tuple[str, str]:
        """Give the reader's line that was seen most often, and the innermost line seen with it."""
        if not self.seen:
            return _UNSEEN, _UNSEEN
        where = Counter(where for where, _ in self.seen).most_common(1)[0][0]
        return where, Counter(i for w, i in self.seen if w == where).most_common(1)[0][0]


class Turns:
    """Times the turns of one loop where they begin and end: at its selector.

    A beat on the loop would tell the same to half its interval; this is exact, and costs nothing
    while the loop is idle.
    """

    def __init__(self, selector: Any) -> None:
        self.thread = threading.get_ident()
        self._listeners: list[Callable[[Turn, float], None]] = []
        self.turn: Turn | None = Turn(time.perf_counter())
        """The turn in progress; `None` while the loop waits."""
        self._selector = selector
        self._wait = selector.select
        selector.select = self.select

    def select(self, timeout: float | None = None) -> Any:
        """Stand in for the selector's own method."""
        called, turn = time.perf_counter(), self.turn
        if turn is not None:
            for hear in self._listeners:
                hear(turn, called)
        self.turn = None
        try:
            return self._wait(timeout)
        finally:
            now = time.perf_counter()
            due = now if timeout is None else called + timeout
            # Well after its time for no reason of the loop's: the delay is part of the block.
            self.turn = Turn(due if now - due > _LATE else now)

    def tell(self, hear: Callable[[Turn, float], None]) -> None:
        """Call `hear` with each turn that ends from now on, and the reading at its end."""
        self._listeners.append(hear)

    def leave(self, hear: Callable[[Turn, float], None]) -> None:
        """Stop calling it; the last one gives the selector its own method back."""
        self._listeners.remove(hear)
        if not self._listeners:
            del self._selector.select


def running_loop() -> asyncio.AbstractEventLoop:
    """Give the loop that runs here, or raise `LoopMisused`."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise LoopMisused(
            "No event loop is running here, so there is none to watch",
            "enter `watch_loop()` in a notebook cell, or inside a coroutine.",
        ) from None


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """Share one timing among all watches of a loop, which may overlap."""
    selector = getattr(loop, "_selector", None)
    if selector is None:
        raise LoopMisused(
            f"An event loop of type {type(loop).__module__}.{type(loop).__name__} cannot be "
            "watched",
            "run this on one of asyncio's own loops.",
        )
    owner = getattr(selector.select, "__self__", None)
    return owner if isinstance(owner, Turns) else Turns(selector)
