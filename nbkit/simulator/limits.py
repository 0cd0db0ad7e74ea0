"""Places in the queue and per-minute limits of a simulated model."""

import asyncio
from collections import deque


class Slots:
    """Limits how many requests generate at once; the others wait in order of arrival."""

    def __init__(self) -> None:
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, limit: int | None) -> bool:
        """Wait for a place; returns True after a wait, False if one was free.

        Cancelling the wait leaves the queue.
        """
        if not self._waiting and (limit is None or self.taken < limit):
            self.taken += 1
            return False
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # The place may have been assigned in the same tick in which the client disconnected.
            if turn.done() and not turn.cancelled():
                self.leave(limit)
            else:
                self._waiting.remove(turn)
            raise
        return True

    def leave(self, limit: int | None) -> None:
        """Free a place."""
        self.taken -= 1
        self.admit(limit)

    def admit(self, limit: int | None) -> None:
        """Admit waiting requests up to the limit, which may have changed."""
        while self._waiting and (limit is None or self.taken < limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)


class Bucket:
    """A token bucket that holds the limit of one minute and starts full."""

    def __init__(self) -> None:
        self._level: float | None = None
        self._filled = 0.0

    def wait(self, amount: float, per_minute: float, now: float, speed: float) -> float:
        """Seconds until `amount` may be taken; 0: now, inf: never."""
        if amount > per_minute:
            return float("inf")
        rate = per_minute / 60 * speed
        level = per_minute if self._level is None else self._level
        self._level = min(per_minute, level + (now - self._filled) * rate)
        self._filled = now
        return max(0.0, (amount - self._level) / rate)

    def take(self, amount: float) -> None:
        """Take what `wait` has just permitted."""
        self._level = (self._level or 0.0) - amount
