"""When the next request of a batch may start: known limits, and what refusals teach."""

import asyncio
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from nbkit.batch.outcome import BatchMisused

_BURST_SECONDS = 1.0
"""How much of a rate may go at once: a request delayed by a busy loop can then be caught up."""
_REFUSED_SECONDS = 1.0
"""How long all wait after a refusal that does not say; doubled while nothing passes."""
_SLOWEST = 60.0
_QUICKEN = 5e-6
_MOST_CALM = 1_000
_MOST_IN_VAIN = 6


@dataclass(frozen=True)
class Rate:
    """What a server allows a minute; `None` is no limit.

    `tokens` counts prompt and answer as the server reports them, so what an answer cost is paid
    for by those after it: a minute's worth may be overdrawn by what is in flight at the start.

    Raises `BatchMisused` for limits that let nothing through. Taught in notebook 06.
    """

    requests: float | None = None
    tokens: float | None = None

    def __post_init__(self) -> None:
        given = [limit for limit in (self.requests, self.tokens) if limit is not None]
        if not given or not all(0 < limit < math.inf for limit in given):
            raise BatchMisused(
                f"{self!r} limits nothing, or lets nothing through",
                "give numbers above 0, a minute: Rate(requests=60, tokens=40_000).",
            )


class Pace:
    """Starts the requests of all workers one after the other, no faster than the server can take.

    A refusal (429) stops everybody for as long as the server asks, and tells that its allowance
    is used up at this moment. So it was at the refusal before: what passed in between is what the
    server gives anew in such a time (be it a token bucket or a window), and that is the pace from
    then on. Calm quickens it, hardly at first and then ever more, as TCP does near a limit it
    knows (CUBIC, RFC 9438): a limit that has risen is found, and a refusal comes once in some
    hundred requests.
    """

    def __init__(self, rate: Rate | None) -> None:
        self._requests = self._tokens = None
        if rate is not None and rate.requests is not None:
            burst = max(1.0, rate.requests / 60 * _BURST_SECONDS)
            self._requests = AsyncLimiter(burst, burst * 60 / rate.requests)
        if rate is not None and rate.tokens is not None:
            self._tokens = AsyncLimiter(rate.tokens, 60)
        self._owed = 0.0
        """Tokens spent that nobody has paid for yet."""
        self._line = asyncio.Lock()
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._from = self._used_up_at = self._now()
        """Two moments when the server's allowance was used up; at first, when we began."""
        self._between = 0
        """Requests that passed between those two."""
        self._begun = 0
        """Requests begun since the second."""
        self._in_vain = -1
        """Refusals in a row after the first, with nothing passed in between."""
        self._interval = 0.0
        self._calm = 0
        """Requests answered since the last refusal."""
        self._open_at = 0.0
        self._slowed_at = 0.0

    async def turn(self) -> float:
        """Return when the next request may start; in order of asking. Gives the loop's time."""
        async with self._line:
            if self._tokens is not None:
                await self._pay(self._tokens)
            if self._requests is not None:
                await self._requests.acquire()
            await self._opening()
            now = self._now()
            # From when it was due: what one is late, the next need not be.
            self._open_at = max(self._open_at, now - self._interval) + self._interval
            self._begun += 1
            return now

    async def _opening(self) -> None:
        now = self._now()
        while now < self._open_at:  # which a refusal meanwhile may move
            await asyncio.sleep(self._open_at - now)
            now = self._now()

    def refused(self, began: float, retry_after: float | None) -> None:
        """Hear that the request begun at `began` (loop's time) was turned away."""
        if began >= self._slowed_at:  # the others belong to the burst already heard of
            self._measure(began)
        now = self._now()
        wait = min(_SLOWEST, _REFUSED_SECONDS * 2**self._in_vain)
        self._open_at = max(self._open_at, now + (wait if retry_after is None else retry_after))
        self._slowed_at = self._open_at
        self._between -= 1
        if self._between > 0:
            self._interval = min(_SLOWEST, (self._used_up_at - self._from) / self._between)

    def _measure(self, began: float) -> None:
        if self._between > 0:
            self._from, self._between, self._in_vain = self._used_up_at, 0, 0
        else:
            self._in_vain = min(self._in_vain + 1, _MOST_IN_VAIN)
        self._used_up_at = began
        self._between += self._begun
        self._begun = self._calm = 0

    def accepted(self) -> None:
        """Hear that a request was answered."""
        self._calm = min(self._calm + 1, _MOST_CALM)
        self._interval *= 1 - _QUICKEN * self._calm

    def spent(self, tokens: int | None) -> None:
        """Hear what an answer cost."""
        if self._tokens is None:
            return
        if tokens is None:
            warnings.warn(
                "The answers do not say how many tokens they cost, so Rate(tokens=…) cannot hold "
                "— limit the requests instead.",
                stacklevel=2,
            )
            return
        self._owed += tokens

    async def _pay(self, limiter: AsyncLimiter) -> None:
        """Pay for what earlier answers cost."""
        part = min(self._owed, limiter.max_rate)
        await limiter.acquire(part)
        self._owed -= part
