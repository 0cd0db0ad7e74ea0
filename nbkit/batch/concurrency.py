"""How many requests a batch keeps in flight: a fixed number, or what the server can handle."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from math import hypot, sqrt
from statistics import fmean, median, stdev
from typing import Literal, NamedTuple

from nbkit.streaming.trace import Trace

_FIRST = 5
_MOST = 1_000
_WINDOW = 8
_QUEUE = 0.3
"""The share of the attempts in flight that may wait in the server's queue."""
_CUT = 0.65
"""Below 1 - _QUEUE, so that each cut makes the queue shorter than it was when measured."""
_STANDARD_ERRORS = 4.0
"""Two mean waits are different if they are this many standard errors apart."""
How = Literal["answered", "overloaded", "failed"]
"""How an attempt ended; "overloaded": refused or timed out; "failed": says nothing about load."""


class Step(NamedTuple):
    """One step of the automatic concurrency."""

    time: float
    """Reading of `time.perf_counter`."""
    limit: int
    """Requests allowed in flight from then on."""
    in_flight: int
    latency: float
    """Median seconds of the attempts since the previous step; 0 at the first, the start."""


class Seats:
    """Limits how many items are in work at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.in_flight = 0
        """Running attempts; an item that waits between attempts has a seat but no attempt."""
        self.steps: deque[Step] = deque(maxlen=2_000)
        """What the automatic concurrency did; empty if the number is fixed."""
        self._free = asyncio.Event()

    async def enter(self) -> None:
        """Wait for a free seat and take it."""
        while self.taken >= self.limit:
            self._free.clear()
            await self._free.wait()
        self.taken += 1

    def leave(self) -> None:
        """Free a seat."""
        self.taken -= 1
        self._free.set()

    def resize(self, limit: int) -> None:
        """Change how many items may be in work at once; those in work stay."""
        self.limit = limit
        self._free.set()

    def began(self) -> int:
        """Record that an attempt begins; gives the round it belongs to."""
        self.in_flight += 1
        return 0

    def ended(self, round_: int, trace: Trace, how: How) -> None:
        """Record how an attempt of that round ended."""
        self.in_flight -= 1


class _Attempt(NamedTuple):
    """The numbers of one attempt."""

    seconds: float
    wait: float
    """Seconds to the first token; if there was none, all of them."""
    tokens: int


class AutoSeats(Seats):
    """Finds the limit: raises it while few attempts wait in the server's queue, else cuts it.

    By Little's law (1961), the share of attempts in flight that are in the queue is wait / latency.
    The wait is the time to first token minus the least one seen (as in TCP Vegas, Brakmo and
    Peterson 1995). For an answer in one piece, a regression on its tokens removes the effect of its
    length. A longer wait counts only if it is four standard errors longer.

    At first the limit doubles after half as many answers as the limit, until 30 % of the attempts
    are in the queue; then it grows by one after as many answers as the limit. After such a queue, a
    refusal or a timeout it is multiplied by 0.65: additive increase, multiplicative decrease (RFC
    5681). If the wait is the same after a cut, there was no queue (answers became longer, for
    example): the limit is restored, and the current wait becomes the least one.
    """

    def __init__(self) -> None:
        super().__init__(_FIRST)
        self._round = 0
        """Counts changes of the limit; attempts that began before the latest one are ignored."""
        self._attempts: list[_Attempt] = []
        self._least: list[_Attempt] = []
        """The round of attempts that waited least."""
        self._lengths = _Lengths()
        self._cut: tuple[int, float, float] | None = None
        """The limit before a cut, and its mean wait and latency in seconds."""
        self._doubling = True
        self._full = False

    def began(self) -> int:
        """Record that an attempt begins; gives the round it belongs to."""
        super().began()
        if not self.steps:
            self._record(0.0)
        # Unless the limit is reached, there is no evidence for a higher one.
        self._full = self._full or self.in_flight >= self.limit
        return self._round

    def ended(self, round_: int, trace: Trace, how: How) -> None:
        """Record how an attempt of that round ended."""
        if round_ == self._round and how != "failed":
            seconds = (trace.end or trace.start) - trace.start
            wait = seconds if trace.ttft is None else trace.ttft
            self._attempts.append(_Attempt(seconds, wait, trace.tokens or 0))
            enough = max(4, self.limit // 2) if self._doubling else max(_WINDOW, self.limit)
            if how == "overloaded":
                self._cut = None
                self._fewer()
                self._step()
            elif len(self._attempts) >= enough:
                self._judge()
                self._step()
        super().ended(round_, trace, how)

    def _judge(self) -> None:
        self._lengths.learn(self._attempts)
        wait, error = self._lengths.wait(self._attempts)
        least, least_error = self._lengths.wait(self._least or self._attempts)
        latency = fmean(attempt.seconds for attempt in self._attempts)
        longer = wait - least
        cut, self._cut = self._cut, None
        old_limit, old_wait, old_latency = cut or (self.limit, 0, 0)
        if cut and abs(old_wait - wait) < old_latency * (1 - self.limit / old_limit) / 2:
            self._change(old_limit)
            self._least = self._attempts
        elif longer > _QUEUE * latency and longer > _STANDARD_ERRORS * hypot(error, least_error):
            # The first queue is still growing when it is found, so later ones cannot be compared.
            self._cut = None if self._doubling else (self.limit, wait, latency)
            self._fewer()
        elif self._full and self._doubling:
            self._change(min(_MOST, 2 * self.limit))
        elif self._full:
            self.limit = min(_MOST, self.limit + 1)
        if longer <= 0:
            self._least = self._attempts

    def _fewer(self) -> None:
        self._doubling = False
        self._change(max(1, int(self.limit * _CUT)))

    def _change(self, limit: int) -> None:
        self.limit = limit
        self._round += 1

    def _step(self) -> None:
        self._record(median(attempt.seconds for attempt in self._attempts))
        self._attempts = []
        self._full = False
        self._free.set()

    def _record(self, latency: float) -> None:
        self.steps.append(Step(time.perf_counter(), self.limit, self.in_flight, latency))


class _Lengths:
    """Removes the effect of answer length from latency: least squares, over all rounds."""

    def __init__(self) -> None:
        self._covariance = self._variance = 0.0

    def learn(self, attempts: Sequence[_Attempt]) -> None:
        """Add a round, minus its means: otherwise a growing queue looks like longer answers."""
        mean_wait = fmean(attempt.wait for attempt in attempts)
        mean_tokens = fmean(attempt.tokens for attempt in attempts)
        for _, wait, tokens in attempts:
            self._covariance += (wait - mean_wait) * (tokens - mean_tokens)
            self._variance += (tokens - mean_tokens) ** 2

    def wait(self, attempts: Sequence[_Attempt]) -> tuple[float, float]:
        """Mean and standard error of the wait in a round, in seconds, without writing time."""
        each = max(0.0, self._covariance / self._variance) if self._variance else 0.0
        waits = [attempt.wait - each * attempt.tokens for attempt in attempts]
        return fmean(waits), stdev(waits) / sqrt(len(waits))
