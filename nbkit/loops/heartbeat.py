"""A heartbeat that keeps an event loop waking, so that Ctrl-C is noticed before a first token."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary, ref

_INTERVAL = 0.02
_YIELD_AFTER_SECONDS = 1.5 * _INTERVAL


class Heartbeat:
    """A timer that wakes one loop regularly; `last` is the latest beat (`time.perf_counter`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.last = time.perf_counter()
        # A strong reference would keep a loop in memory that is closed between two beats.
        self._loop = ref(loop)
        self.users = 0

    def beat(self) -> None:
        """Record a beat, and plan the next one while there are users."""
        self.last = time.perf_counter()
        loop = self._loop()
        if loop is None:
            return
        if self.users > 0:
            loop.call_later(_INTERVAL, self.beat)
        else:
            _heartbeats.pop(loop, None)


class YieldTimer:
    """Says when a task that never waits must give the event loop a turn."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._last_beat = self._turned = 0.0

    def is_due(self, now: float) -> bool:
        """Whether the loop has had no turn for too long at `now`, a reading of perf_counter."""
        if self._heartbeat.last != self._last_beat:
            self._last_beat, self._turned = self._heartbeat.last, now
            return False
        if now - self._turned <= _YIELD_AFTER_SECONDS:
            return False
        self._turned = now
        return True


_heartbeats: WeakKeyDictionary[asyncio.AbstractEventLoop, Heartbeat] = WeakKeyDictionary()


@contextmanager
def keep_waking(loop: asyncio.AbstractEventLoop) -> Iterator[Heartbeat]:
    """Wake `loop` every 20 ms inside the block; all blocks on a loop share one heartbeat."""
    heartbeat = _heartbeats.get(loop)
    if heartbeat is None:
        heartbeat = _heartbeats[loop] = Heartbeat(loop)
        loop.call_soon(heartbeat.beat)
    heartbeat.users += 1
    try:
        yield heartbeat
    finally:
        heartbeat.users -= 1
