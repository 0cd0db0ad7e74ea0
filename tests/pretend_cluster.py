"""A cluster in this process, whose workers are lost as a test wants."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nbkit.batch.asking import AskFacts, facts_of
from nbkit.batch.cluster import (
    Message,
    OutcomesSent,
    PlacesChanged,
    SliceBegun,
    SliceLost,
)
from nbkit.batch.outcome import Outcome
from nbkit.batch.packed import packed
from nbkit.batch.settings import Settings
from nbkit.streaming.answer import Answer
from nbkit.streaming.trace import Trace, Usage


class ClusterInOneProcess:
    """Asks a slice one item after the other, in this process; `lose` tells when to die."""

    dashboard = None

    def __init__(self, workers: int = 2, lose: Callable[[int], bool | None] = lambda _: None):
        self.workers, self.lose = workers, lose
        self.slices: list[list[int]] = []
        self.asked: Counter[Any] = Counter()
        self.under_way = self.most_under_way = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.is_open = False

    @asynccontextmanager
    async def opened(self, make_ask: Callable[[], Any], settings: Settings) -> AsyncIterator[Any]:
        self.fn, self.is_open = make_ask(), True
        try:
            yield facts_of(self.fn)
        finally:
            self.is_open = False

    def listen(self, heard: Callable[[Message], None]) -> None:
        self.heard = heard
        heard(PlacesChanged(self.workers, self.workers))

    async def ask(self, key: str, items: list[tuple[int, Any]]) -> None:
        self.slices.append([index for index, _ in items])
        self.under_way += len(items)
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            for index, item in items:
                self.asked[item] += 1
                if (expected := self.lose(item)) is not None:
                    raise SliceLost(expected)
                await self.may_end.wait()
                outcome = Outcome(item, index, attempts=1, attempt_starts=[0.0])
                outcome.trace = Trace(0.0, [1.0], [1], end=2.0)
                try:
                    outcome.value = await self.fn(item)
                    outcome.trace = getattr(outcome.value, "trace", outcome.trace)
                except ValueError as error:
                    outcome.error = error
                for _ in range(2):  # a message may come twice
                    self.heard(OutcomesSent("worker", [(index, packed(outcome))]))
            self.heard(SliceBegun(key))
        finally:
            self.under_way -= len(items)


class Priced:
    """A model that charges 1 for each answer, and what asks it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        prices = folder / "prices.toml"
        prices.write_text('currency = "EUR"\nask_above = 1\n["m"]\ninput = 1e6\noutput = 0\n')
        monkeypatch.setenv("NBKIT_PRICES", str(prices))
        facts = AskFacts({}, "m", is_simulated=False, client_retries=0)
        monkeypatch.setattr("tests.pretend_cluster.facts_of", lambda fn: facts)

    def __call__(self) -> Any:
        async def answer(number: int) -> Answer:
            trace = Trace(0.0, [1.0], [1], end=2.0, usage=[Usage("m", 1, 0, 1)])
            return Answer("yes", trace=trace)

        return answer


async def double(number: int) -> int:
    """Answer at once, but not for 13."""
    await asyncio.sleep(0)
    if number == 13:
        raise ValueError("unlucky")
    return 2 * number


def make_double() -> Any:
    return double
