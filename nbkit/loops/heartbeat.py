"""A heartbeat that keeps an event loop waking while it waits for a first token.

A kernel interrupt reaches an awaiting cell only when its loop next wakes up, and between request
and first token nothing else wakes it: without this, Ctrl-C seems dead for seconds.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary, ref

INTERVAL = 0.02
_BREATHLESS = 1.5 * INTERVAL
"""Seconds without a heartbeat after which a task that never waits must let the loop turn."""


class Heartbeat:
    """The heartbeat of one loop, and when it was last felt (`time.perf_counter`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.felt = time.perf_counter()
        # Held strongly, a loop that is closed between two beats would stay in `_hearts` for good.
        self._loop = ref(loop)
        self.needed = 0

    def beat(self) -> None:
        """Beat until nobody needs it."""
        self.felt = time.perf_counter()
        loop = self._loop()
        if loop is None:
            return
        if self.needed > 0:
            loop.call_later(INTERVAL, self.beat)
        else:
            _hearts.pop(loop, None)


class Breath:
    """Tells a task that may never wait for anything when its loop must turn."""

    def __init__(self, heart: Heartbeat) -> None:
        self._heart = heart
        self._felt = self._turned = 0.0

    def is_short(self, now: float) -> bool:
        """Whether the loop has not turned for too long, as of a reading of perf_counter."""
        if self._heart.felt != self._felt:
            self._felt, self._turned = self._heart.felt, now
            return False
        if now - self._turned <= _BREATHLESS:
            return False
        self._turned = now
        return True


_hearts: WeakKeyDictionary[asyncio.AbstractEventLoop, Heartbeat] = WeakKeyDictionary()


@contextmanager
def keep_waking(loop: asyncio.AbstractEventLoop) -> Iterator[Heartbeat]:
    """Wake `loop` every 20 ms inside the block; one heartbeat serves all blocks of a loop."""
    heart = _hearts.get(loop)
    if heart is None:
        heart = _hearts[loop] = Heartbeat(loop)
        heart.needed = 1
        heart.beat()
    else:
        heart.needed += 1
    try:
        yield heart
    finally:
        heart.needed -= 1
