"""What a batch or an experiment may cost: estimated from its first answers, then asked or held."""

import asyncio
import math
from pathlib import Path
from typing import Any

from nbkit.batch.asking import AskFacts
from nbkit.errors import NbkitError
from nbkit.language import say
from nbkit.streaming.cost import FILE, PriceError, Prices, is_amount
from nbkit.streaming.trace import Trace
from nbkit.wording import count

_FIRST = 5
"""Answers from which the cost of the rest is estimated; it waits for them."""


class CostTooHigh(NbkitError):
    """It would cost more than it may; nothing more is asked. Taught in notebook 12."""


class Budget:
    """Lets requests through until they cost too much, then raises `CostTooHigh`.

    With `max_cost`, what is spent and what is in flight (each as much as the dearest so far) stay
    below it. Without, you are asked once if the whole will cost more than the `ask_above` of the
    file of prices. Requests in flight always end first.
    """

    def __init__(
        self, prices: Prices, max_cost: float | None, *, is_needed: bool, charges: bool
    ) -> None:
        self._prices = prices
        self._max_cost = max_cost
        self.is_needed = is_needed
        """If not, it lets everything through."""
        self.charges = charges
        """Whether the model is known, and has a price."""
        self._total, self._least, self._dearest, self._counted = 0.0, math.inf, 0.0, 0
        self._unknown, self._why = 0, ""
        """Requests that were answered, at least in part, but whose cost is unknown."""
        self.begin(None)

    def begin(self, left: int | None) -> None:
        """Begin to ask `left` items; `None` if their number is unknown."""
        self._left = left
        self._in_flight = self._answered = 0
        self._learning = True
        self._agreed = self._declined = self._stopping = False
        self._order, self._ended = asyncio.Lock(), asyncio.Event()

    async def turn(self) -> None:
        """Wait until the next request may be sent; raises `CostTooHigh` if it may not."""
        if not self.is_needed:
            return
        async with self._order:
            while self._must_wait():
                self._ended.clear()
                await self._ended.wait()
            self._in_flight += 1

    def ended(self, trace: Trace, *, answered: bool) -> None:
        """Record the end of a request, and what it used."""
        if not self.is_needed:
            return
        self._in_flight -= 1
        self._answered += answered
        if (cost := self._prices.cost(trace.usage)) is not None:
            self._counted += 1
            self._total += cost
            self._least, self._dearest = min(self._least, cost), max(self._dearest, cost)
        elif answered or trace.ttft is not None:
            self._unknown += 1
            self._why = self._prices.why_unknown(trace.usage) or ""
        self._ended.set()

    def retried(self, times: int) -> None:
        """Record requests of which only their number is known: each counts as much as the mean."""
        if self.is_needed:
            self._unknown += times

    def learned(self) -> None:
        """Decide about the rest now, when nothing is in flight; later only `max_cost` is held."""
        self._learning = False
        self._must_wait()
        self._agreed = True

    def _must_wait(self) -> bool:
        self._stopping = self._stopping or self._is_too_much()
        if self._stopping:
            if self._in_flight:  # they are paid for, and a question would hold them up
                return True
            self._decide()
        return self._learns and self._in_flight + self._paid >= _FIRST

    @property
    def _paid(self) -> int:
        """How many requests have cost something."""
        return self._counted + self._unknown

    @property
    def _learns(self) -> bool:
        return self._learning and self._paid < _FIRST

    def _whole(self, each: float) -> float:
        """What it costs if each request still to ask costs that much, in the end."""
        more = 1 if self._left is None else max(self._left - self._answered, 1)
        return self._spent + each * more

    @property
    def _mean(self) -> float:
        return self._total / max(self._counted, 1)

    @property
    def _spent(self) -> float:
        return self._total + self._mean * self._unknown

    def _is_too_much(self) -> bool:
        if self._max_cost is None and (self._agreed or self._learns):
            return False
        if not self._counted:
            return self._unknown > 0 and (self.charges or self._max_cost is not None)
        if self._max_cost is not None:
            return self._spent + self._dearest * (self._in_flight + 1) > self._max_cost
        return self._whole(self._mean) > self._prices.ask_above

    def _decide(self) -> None:
        """Ask whether to go on; raises `CostTooHigh` if not, or if nobody is to be asked."""
        shown = self._prices.shown
        if not self._counted:
            happened = say("What this costs is unknown ({why})", why=self._why)
        elif self._max_cost is not None:
            happened = say(
                "{spent} are spent, and the next request may pass max_cost ({max_cost})",
                spent=shown(self._spent),
                max_cost=shown(self._max_cost),
            )
        else:
            costs = (self._mean, self._least, self._dearest)
            likely, least, most = (shown(self._whole(cost)) for cost in costs)
            whole = say("with the next one it") if self._left is None else say("the whole")
            happened = say(
                "{requests} cost {spent}, and {whole} will cost about {likely} ({least} to {most}, "
                "if each costs as little or as much as one so far), more than ask_above in {path}",
                requests=count(self._paid, "request"),
                spent=shown(self._spent),
                whole=whole,
                likely=likely,
                least=least,
                most=most,
                path=self._prices.path,
            )
        if self._max_cost is not None:
            raise CostTooHigh(
                happened, say("give a higher one, or none; what was answered is kept.")
            )
        self._declined = self._declined or not _agrees(
            say("{happened}. Go on? [y/N] ", happened=happened)
        )
        if self._declined:
            raise CostTooHigh(
                happened, say("to allow it, pass max_cost=; what was answered is kept.")
            )
        self._agreed, self._stopping = True, False


def budget_of(facts: AskFacts, max_cost: float | None) -> Budget:
    """The budget for asking a function; it is not needed if its model is free or has no price.

    Raises `PriceError` for a bad file of prices, and for a `max_cost` that cannot be held.
    """
    check_max_cost(max_cost)
    prices, name = Prices.read(), facts.model
    charges = name in prices.models
    is_needed = charges or (name is None and bool(prices.models))
    if max_cost is not None and not is_needed and not facts.is_simulated:
        raise PriceError(
            say(
                "max_cost cannot be held: {path} has no price of {name}",
                path=prices.path,
                name=name or say("any model"),
            ),
            say("write it there, or leave max_cost out."),
        )
    return Budget(prices, max_cost, is_needed=is_needed, charges=charges)


def unlimited() -> Budget:
    """A budget that lets everything through: that of a worker, whose batch has one elsewhere."""
    return Budget(Prices(Path(FILE)), None, is_needed=False, charges=False)


def check_max_cost(max_cost: Any) -> None:
    """Raise `PriceError` for a `max_cost` that is not an amount."""
    if max_cost is not None and not (is_amount(max_cost) and max_cost > 0):
        raise PriceError(
            say("max_cost={max_cost!r} is not possible", max_cost=max_cost),
            say("give an amount above 0."),
        )


def _agrees(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except (KeyboardInterrupt, EOFError, OSError, RuntimeError):  # or nobody is there to answer
        return False
