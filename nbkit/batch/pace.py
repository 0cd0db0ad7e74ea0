"""When the next request of a batch may start, from known limits and from refusals (429)."""

import asyncio
import warnings
from collections.abc import Callable

from aiolimiter import AsyncLimiter

from nbkit.language import say

_BURST_SECONDS = 1.0
"""Seconds of a rate that may be sent at once, to catch up after a delay by a busy loop."""
_REFUSED_SECONDS = 1.0
"""The wait after a refusal without a time; doubled while every request is refused."""
_MAX_WAIT = 60.0
_SPEED_UP = 5e-6
_MAX_CALM = 1_000
_MAX_DOUBLINGS = 6


class Pace:
    """Starts the requests of all workers one by one, not faster than the server accepts.

    After a refusal (429) all wait as long as the server asks. The rate of accepted requests since
    the previous refusal is what the server allows, and becomes the new pace. Without refusals the
    pace rises, slowly at first and then faster, like TCP near a known limit (CUBIC, RFC 9438), so
    that it finds a raised limit.
    """

    def __init__(
        self, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self._requests = self._tokens = None
        if requests_per_minute is not None:
            burst = max(1.0, requests_per_minute / 60 * _BURST_SECONDS)
            self._requests = AsyncLimiter(burst, burst * 60 / requests_per_minute)
        if tokens_per_minute is not None:
            self._tokens = AsyncLimiter(tokens_per_minute, 60)
        self._unpaid_tokens = 0.0
        """Tokens that answers used and that are not yet counted in the limit."""
        self._order = asyncio.Lock()
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._refusal_before = self._last_refusal_at = self._now()
        """The last two times when the server's limit was reached; at first, the start."""
        self._between = 0
        """Requests accepted between those two."""
        self._begun = 0
        """Requests begun since the second."""
        self._repeats = -1
        """Refusals in a row, without an accepted request between them, minus one."""
        self._interval = 0.0
        self._answered = 0
        """Requests answered since the last refusal."""
        self._next_start_at = 0.0
        self._slowed_at = 0.0

    async def turn(self) -> float:
        """Wait until the next request may start, in order of calls; returns the loop's time."""
        async with self._order:
            if self._tokens is not None:  # those of earlier answers
                part = min(self._unpaid_tokens, self._tokens.max_rate)
                await self._tokens.acquire(part)
                self._unpaid_tokens -= part
            if self._requests is not None:
                await self._requests.acquire()
            now = self._now()
            while now < self._next_start_at:  # a refusal may move it during the sleep
                await asyncio.sleep(self._next_start_at - now)
                now = self._now()
            # Counted from the due time, so that one late start does not delay the next.
            self._next_start_at = max(self._next_start_at, now - self._interval) + self._interval
            self._begun += 1
            return now

    async def turns(self, waiting: int, most: int) -> tuple[float, int]:
        """Wait for a turn, and take more if they are free now: `waiting`, or `most` without limits.

        Returns the loop's time, and the number of turns.
        """
        began, number = await self.turn(), 1
        limits = (self._requests, self._tokens)
        wanted = waiting if any(limits) or self._interval else most
        while number < wanted and self._has_free_turn():
            await self.turn()
            number += 1
        return began, number

    def _has_free_turn(self) -> bool:
        requests_left = self._requests is None or self._requests.has_capacity()
        tokens_left = self._tokens is None or self._tokens.has_capacity(
            min(self._unpaid_tokens, self._tokens.max_rate)
        )
        is_due = self._now() >= self._next_start_at
        return requests_left and tokens_left and is_due and not self._order.locked()

    def refused(self, began: float, retry_after: float | None) -> None:
        """Record that the server refused (429) the request begun at `began` (loop's time)."""
        if began >= self._slowed_at:  # the others belong to the same burst
            self._measure(began)
        now = self._now()
        wait = min(_MAX_WAIT, _REFUSED_SECONDS * 2**self._repeats)
        asked = wait if retry_after is None else retry_after
        self._next_start_at = max(self._next_start_at, now + asked)
        self._slowed_at = self._next_start_at
        self._between -= 1
        if self._between > 0:
            passed = self._last_refusal_at - self._refusal_before
            self._interval = min(_MAX_WAIT, passed / self._between)

    def _measure(self, began: float) -> None:
        if self._between > 0:
            self._refusal_before, self._between, self._repeats = self._last_refusal_at, 0, 0
        else:
            self._repeats = min(self._repeats + 1, _MAX_DOUBLINGS)
        self._last_refusal_at = began
        self._between += self._begun
        self._begun = self._answered = 0

    def accepted(self) -> None:
        """Record that a request was answered."""
        self._answered = min(self._answered + 1, _MAX_CALM)
        self._interval *= 1 - _SPEED_UP * self._answered

    def spent(self, tokens: int | None) -> None:
        """Record the tokens an answer used."""
        if self._tokens is None:
            return
        if tokens is None:
            warn_of_unknown_tokens()
            return
        self._unpaid_tokens += tokens


def warn_of_unknown_tokens() -> None:
    """Warn that a limit of tokens cannot be kept, because the server does not count them."""
    warnings.warn(
        say(
            "The answers do not say how many tokens they used, so tokens_per_minute has no effect "
            "— use requests_per_minute instead."
        ),
        stacklevel=3,
    )
