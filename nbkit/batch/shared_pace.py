"""The pace of a batch on a cluster, as a worker sees it: turns come from one place for all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

_LOT = 20
"""Turns that a worker takes at once while nothing limits them."""
_LOT_SECONDS = 0.25
"""How long it may use them: after a refusal elsewhere it goes on for no longer."""


class SharedPace:
    """Stands where `Pace` stands in one process.

    `call` asks the place that has the pace of all workers; `seats_changed` takes the number of
    seats that it gives in return.
    """

    def __init__(
        self, call: Callable[..., Awaitable[Any]], seats_changed: Callable[[int], None]
    ) -> None:
        self._call = call
        self._seats_changed = seats_changed
        self._order = asyncio.Lock()
        self._waiting = self._left = 0
        self._began = self._until = 0.0
        self._accepted = self._spent = 0
        self._refused: list[tuple[float, float | None]] = []
        self._reporting: set[asyncio.Future[Any]] = set()

    async def turn(self) -> float:
        """Wait until the next request may start; returns the time on the clock of all."""
        self._waiting += 1
        try:
            async with self._order:
                if not self._left or asyncio.get_running_loop().time() > self._until:
                    await self._fetch()
                self._left -= 1
                return self._began
        finally:
            self._waiting -= 1

    async def _fetch(self) -> None:
        most = max(_LOT, self._waiting)
        began, number, seats = await self._call(
            "turns", waiting=self._waiting, most=most, report=self._report()
        )
        self._began, self._left = began, number
        self._until = asyncio.get_running_loop().time() + _LOT_SECONDS
        self._seats_changed(seats)

    def refused(self, began: float, retry_after: float | None) -> None:
        """Record that the server refused (429) a request: at once, for all."""
        self._left = 0
        self._refused.append((began, retry_after))
        task = asyncio.ensure_future(self._call("report", report=self._report()))
        self._reporting.add(task)
        task.add_done_callback(self._reporting.discard)

    def accepted(self) -> None:
        """Record that a request was answered."""
        self._accepted += 1

    def spent(self, tokens: int | None) -> None:
        """Record the tokens an answer used."""
        self._spent += tokens or 0

    def _report(self) -> tuple[int, int, list[tuple[float, float | None]]]:
        report = (self._accepted, self._spent, self._refused)
        self._accepted, self._spent, self._refused = 0, 0, []
        return report
