"""How many requests a batch keeps in flight: a fixed number, or what the server bears."""

import asyncio
import time
from collections import deque
from statistics import median
from typing import NamedTuple

_KEPT = 2_000
_FIRST = 4
_MOST = 1_000
_WINDOW = 8
_SLOWER = 1.5
_CUT = 0.6
_FORGIVE = 1.1


class Sample(NamedTuple):
    """One step of the automatic concurrency."""

    time: float
    """Reading of `time.perf_counter`."""
    limit: int
    """Requests allowed in flight from then on."""
    in_flight: int
    latency: float
    """Median seconds of the attempts since the step before."""


class Seats:
    """Lets a number of items be worked on at once; one feeder enters them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.steps: deque[Sample] = deque(maxlen=_KEPT)
        """What the automatic concurrency did; empty where the number is fixed."""
        self._free = asyncio.Event()

    async def enter(self) -> None:
        """Take a seat, once there is one."""
        while self.taken >= self.limit:
            self._free.clear()
            await self._free.wait()
        self.taken += 1

    def leave(self) -> None:
        """Give a seat back."""
        self.taken -= 1
        self._free.set()

    def heard(self, seconds: float, *, overloaded: bool) -> None:
        """Hear how long an attempt took, and whether the server had too much to do."""


class AutoSeats(Seats):
    """Finds the number by itself: more while answers take no longer, fewer once they do.

    The number doubles each round (a round is as many attempts as are in flight) until the first
    sign of a queue, then grows by one a round (of eight at least); at a sign it is cut to 0.6 of
    itself. A sign is a median latency of 1.5 times the least seen, a refusal or a timeout. It is
    additive increase and multiplicative decrease, after a slow start, as TCP has it (RFC 5681),
    with latency for the sign as in TCP Vegas (Brakmo and Peterson 1995). The least counts for 1.1
    times as much after each cut, so that it can be outgrown; 1.1 x 1.5 x 0.6 is below one, so a
    cut empties the queue and shows it anew.
    """

    def __init__(self) -> None:
        super().__init__(_FIRST)
        self._latencies: list[float] = []
        self._overloaded = False
        self._full = False
        self._least = float("inf")
        self._doubling = True
        self._settling = 0

    async def enter(self) -> None:
        """Take a seat, once there is one."""
        await super().enter()
        # A number that is not used up says nothing about a larger one.
        self._full = self._full or self.taken >= self.limit

    def heard(self, seconds: float, *, overloaded: bool) -> None:
        """Hear how long an attempt took, and whether the server had too much to do."""
        if self._settling:  # it began under the number before
            self._settling -= 1
            return
        self._latencies.append(seconds)
        self._overloaded = self._overloaded or overloaded
        enough = self.limit if self._doubling else max(_WINDOW, self.limit)
        if self._overloaded or len(self._latencies) >= enough:
            self._step()

    def _step(self) -> None:
        latency = median(self._latencies)
        if self._overloaded or latency > _SLOWER * self._least:
            self.limit = max(1, int(self.limit * _CUT))
            self._doubling = False
            self._settling = self.taken
            self._least *= _FORGIVE
        elif self._full:
            self.limit = min(_MOST, 2 * self.limit if self._doubling else self.limit + 1)
        self._least = min(self._least, latency)
        self.steps.append(Sample(time.perf_counter(), self.limit, self.taken, latency))
        self._latencies.clear()
        self._overloaded = self._full = False
        self._free.set()
