"""How many requests a batch keeps in flight: a fixed number, or what the server can take."""

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
"""The share of the attempts in flight that may wait in a line."""
_CUT = 0.65
"""Below 1 - _QUEUE, so that each cut leaves less of a line than was there when it was measured."""
_SURE = 4.0
"""Two waits differ if this many standard errors lie between them."""
How = Literal["answered", "overloaded", "failed"]
"""How an attempt ended: answered, refused or timed out, or failed in a way that says nothing."""


class Step(NamedTuple):
    """One step of the automatic concurrency."""

    time: float
    """Reading of `time.perf_counter`."""
    limit: int
    """Requests allowed in flight from then on."""
    in_flight: int
    latency: float
    """Median seconds of the attempts since the step before; 0 at the first, which is the start."""


class Seats:
    """Lets a number of items be worked on at once; one feeder enters them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.in_flight = 0
        """Attempts under way: an item that waits to be asked has a seat, but none of these."""
        self.steps: deque[Step] = deque(maxlen=2_000)
        """What the automatic concurrency did; empty where the number is fixed."""
        self._free = asyncio.Event()

    async def enter(self) -> None:
        """Take a seat, once there is one."""
        while self.taken >= self.limit:
            self._free.clear()
            await self._free.wait()
        self.taken += 1

    def leave(self) -> None:
        """Free a seat."""
        self.taken -= 1
        self._free.set()

    def began(self) -> int:
        """Record that an attempt begins; gives the round it belongs to."""
        self.in_flight += 1
        return 0

    def ended(self, round_: int, trace: Trace, how: How) -> None:
        """Record how an attempt of that round ended."""
        self.in_flight -= 1


class _Attempt(NamedTuple):
    """What counts of an attempt."""

    seconds: float
    wait: float
    """Seconds to the first token, or all of them."""
    tokens: int


class AutoSeats(Seats):
    """Finds the number by itself: more while few wait in line at the server, fewer once many do.

    By Little's law (1961) the share of the attempts in flight that stand in a line is wait /
    latency. The wait is the time to first token beyond the least seen (as in TCP Vegas, Brakmo and
    Peterson 1995). Where an answer comes whole, its length is taken out of its latency by a
    regression on its tokens; where nothing counts tokens, a difference of latency counts from four
    standard errors on.

    The number doubles each time half as many have been answered, until three tenths of them wait;
    then it grows by one each time as many have been answered. At such a line, a refusal or a
    timeout it is cut to 0.65 of itself: additive increase, multiplicative decrease (RFC 5681). If
    all wait as before after a cut, there was no line (the answers got longer, say): the number
    goes back, and what they wait now is the least.
    """

    def __init__(self) -> None:
        super().__init__(_FIRST)
        self._round = 0
        """Counts the changes that attempts already under way did not feel."""
        self._attempts: list[_Attempt] = []
        self._least: list[_Attempt] = []
        """The attempts that waited least."""
        self._lengths = _Lengths()
        self._cut: tuple[int, float, float] | None = None
        """The number before a cut, and the mean wait and latency under it, in seconds."""
        self._doubling = True
        self._full = False

    def began(self) -> int:
        """Record that an attempt begins; gives the round it belongs to."""
        super().began()
        if not self.steps:
            self._record(0.0)
        # A number that is not used up says nothing about a larger one.
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
        least, its_error = self._lengths.wait(self._least or self._attempts)
        latency = fmean(attempt.seconds for attempt in self._attempts)
        longer = wait - least
        cut, self._cut = self._cut, None
        limit, its_wait, its_latency = cut or (self.limit, 0, 0)
        if cut and abs(its_wait - wait) < its_latency * (1 - self.limit / limit) / 2:
            self._change(limit)
            self._least = self._attempts
        elif longer > _QUEUE * latency and longer > _SURE * hypot(error, its_error):
            # The first line is still growing when it is found: no measure for the test.
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
    """Takes the length of answers out of their latency: least squares, over all rounds."""

    def __init__(self) -> None:
        self._together = self._alone = 0.0

    def learn(self, attempts: Sequence[_Attempt]) -> None:
        """Add a round, less its means: otherwise a growing queue looks like longer answers."""
        mean_wait = fmean(attempt.wait for attempt in attempts)
        mean_tokens = fmean(attempt.tokens for attempt in attempts)
        for _, wait, tokens in attempts:
            self._together += (wait - mean_wait) * (tokens - mean_tokens)
            self._alone += (tokens - mean_tokens) ** 2

    def wait(self, attempts: Sequence[_Attempt]) -> tuple[float, float]:
        """Mean seconds that a round waited, less the time to write its answers; standard error."""
        each = max(0.0, self._together / self._alone) if self._alone else 0.0
        waits = [attempt.wait - each * attempt.tokens for attempt in attempts]
        return fmean(waits), stdev(waits) / sqrt(len(waits))
