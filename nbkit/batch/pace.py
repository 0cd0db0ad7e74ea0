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
"""How long all wait after a refusal that does not say."""
_SLOWEST = 60.0
_QUICKEN = 0.99


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
                f"{self!r} limits nothing, or lets nothing through — give numbers above 0, a "
                "minute: Rate(requests=60, tokens=40_000)."
            )


class Pace:
    """Starts the requests of all workers one after the other, no faster than the server can bear.

    A refusal (429) stops everybody for as long as the server asks, then spaces requests out: by
    the mean spacing so far, doubled at each further refusal, and 1 % closer at each success. So
    the rate settles at an unknown limit, at the price of a refusal now and then.
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
        self._born = self._now()
        self._started = 0
        self._interval = 0.0
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
            self._open_at = self._now() + self._interval
            self._started += 1
            return self._now()

    async def _opening(self) -> None:
        now = self._now()
        while now < self._open_at:  # which a refusal meanwhile may move
            await asyncio.sleep(self._open_at - now)
            now = self._now()

    def refused(self, began: float, retry_after: float | None) -> None:
        """Hear that the request begun at `began` (loop's time) was turned away."""
        now = self._now()
        wait = _REFUSED_SECONDS if retry_after is None else retry_after
        self._open_at = max(self._open_at, now + wait)
        if began < self._slowed_at:  # it started before we slowed down: the same burst
            return
        so_far = (now - self._born) / self._started
        self._interval = min(_SLOWEST, 2 * self._interval or so_far)
        self._slowed_at = self._open_at

    def accepted(self) -> None:
        """Hear that a request was answered."""
        self._interval *= _QUICKEN

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
