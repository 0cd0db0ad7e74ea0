"""A heartbeat that keeps an event loop waking while it waits for a first token.

A kernel interrupt reaches an awaiting cell only when its loop next wakes up, and between request
and first token nothing else wakes it: without this, Ctrl-C seems dead for seconds.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

_INTERVAL = 0.02
_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()


@contextmanager
def keep_waking(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Wake `loop` every 20 ms inside the block; one heartbeat serves all blocks of a loop."""
    count = _waiting.get(loop, 0)
    _waiting[loop] = count + 1
    if count == 0:
        _beat(loop)
    try:
        yield
    finally:
        _waiting[loop] -= 1


def _beat(loop: asyncio.AbstractEventLoop) -> None:
    if _waiting.get(loop, 0) > 0:
        loop.call_later(_INTERVAL, _beat, loop)
    else:
        _waiting.pop(loop, None)
