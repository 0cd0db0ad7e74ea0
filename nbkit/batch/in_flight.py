"""The items of a batch that are under way: started as seats come free, handed over as they end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from nbkit.batch.attempts import Asker
from nbkit.batch.concurrency import Seats
from nbkit.batch.journal import OpenJournal
from nbkit.batch.outcome import BatchError, Outcome

Items = Iterable[Any] | AsyncIterable[Any]


@dataclass
class InFlight:
    """Works on a source of any length, holding no more items than there are seats.

    A seat is given back when the outcome has been taken, so a slow taker slows the source.
    """

    asker: Asker
    seats: Seats
    journal: OpenJournal | None
    ended: Callable[[Outcome], None]
    _over: asyncio.Queue[Outcome | Exception | None] = field(default_factory=asyncio.Queue)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def outcomes(
        self, items: Items, known: Mapping[int, Outcome]
    ) -> AsyncGenerator[Outcome, None]:
        """Yield outcomes as they end, of all items but those whose outcome is known by index.

        All that is under way ends with this generator.
        """
        feeder = asyncio.create_task(self._feed(items, known), name="nbkit-batch")
        try:
            while (over := await self._over.get()) is not None:
                if isinstance(over, Exception):
                    raise over
                self.seats.leave()
                yield over
        finally:
            under_way = {feeder, *self._tasks}
            for task in under_way:
                task.cancel()
            await asyncio.wait(under_way)

    async def _feed(self, items: Items, known: Mapping[int, Outcome]) -> None:
        over: Exception | None = None
        try:
            index = 0
            await self.seats.enter()
            async with aclosing(_each(items)) as source:
                async for item in source:
                    if self._start(Outcome(item, index), known.get(index)):
                        await self.seats.enter()
                    index += 1
        except asyncio.CancelledError:  # also where this task is: then nobody takes the error
            over = BatchError(
                "The source of the items was cancelled by somebody other than the batch",
                "start it again.",
            )
        except Exception as error:  # noqa: BLE001 - raised where outcomes are taken
            over = error
        if self._tasks:  # what was asked is paid for, also where the source broke
            await asyncio.wait(self._tasks)
        self._over.put_nowait(over)

    def _start(self, outcome: Outcome, known: Outcome | None) -> bool:
        """Start work on an item; False if it needs none."""
        if self.journal is not None:
            outcome.key = self.journal.key(outcome.item)
        if known is not None:
            if self.journal is not None and outcome.key not in self.journal:
                self.journal.add(known)  # the disk was full when it ended
            return False
        if self.journal is not None and self.journal.restore(outcome):
            self.ended(outcome)
            self._over.put_nowait(outcome)
            return True
        task = asyncio.create_task(self._ask(outcome), name="nbkit-item")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _ask(self, outcome: Outcome) -> None:
        over: Outcome | Exception = outcome
        try:
            await self.asker.ask(outcome)
            try:
                if self.journal is not None:
                    self.journal.add(outcome)
            finally:
                self.ended(outcome)  # what was paid for is kept, whatever the disk says
        except Exception as error:  # noqa: BLE001 - raised where outcomes are taken
            over = error
        self._over.put_nowait(over)


async def _each(items: Items) -> AsyncGenerator[Any, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
