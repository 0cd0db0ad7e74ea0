"""The running items of a batch: each starts when a seat is free, and is yielded when it ends."""

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
    """Works on a source of any length, and holds no more items than there are seats.

    A seat is freed when its outcome has been taken, so a slow consumer slows the source down.
    """

    asker: Asker
    seats: Seats
    journal: OpenJournal | None
    ended: Callable[[Outcome], None]
    _finished: asyncio.Queue[Outcome | Exception | None] = field(default_factory=asyncio.Queue)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def outcomes(
        self, items: Items, known: Mapping[int, Outcome]
    ) -> AsyncGenerator[Outcome, None]:
        """Yield each outcome as it ends, except for items whose outcome is in `known`, by index.

        When this generator ends, all running items are cancelled.
        """
        feeder = asyncio.create_task(self._feed(items, known), name="nbkit-batch")
        try:
            while (finished := await self._finished.get()) is not None:
                if isinstance(finished, Exception):
                    raise finished
                self.seats.leave()
                yield finished
        finally:
            under_way = {feeder, *self._tasks}
            for task in under_way:
                task.cancel()
            await asyncio.wait(under_way)

    async def _feed(self, items: Items, known: Mapping[int, Outcome]) -> None:
        finished: Exception | None = None
        try:
            index = 0
            await self.seats.enter()
            async with aclosing(_each(items)) as source:
                async for item in source:
                    if self._start(Outcome(item, index), known.get(index)):
                        await self.seats.enter()
                    index += 1
        except asyncio.CancelledError:  # if this task itself is cancelled, nobody reads the error
            finished = BatchError(
                "The source of the items was cancelled, but not by the batch",
                "start it again.",
            )
        except Exception as error:  # noqa: BLE001 - raised where outcomes are taken
            finished = error
        if self._tasks:  # these requests are paid for, so wait even if the source failed
            await asyncio.wait(self._tasks)
        self._finished.put_nowait(finished)

    def _start(self, outcome: Outcome, known: Outcome | None) -> bool:
        """Start work on an item; returns False if there is nothing to do."""
        if self.journal is not None:
            outcome.key = self.journal.key(outcome.item)
        if known is not None:
            if self.journal is not None and outcome.key not in self.journal:
                self.journal.add(known)  # the disk was full when it ended
            return False
        if self.journal is not None and self.journal.restore(outcome):
            self.ended(outcome)
            self._finished.put_nowait(outcome)
            return True
        task = asyncio.create_task(self._ask(outcome), name="nbkit-item")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _ask(self, outcome: Outcome) -> None:
        finished: Outcome | Exception = outcome
        try:
            await self.asker.ask(outcome)
            try:
                if self.journal is not None:
                    self.journal.add(outcome)
            finally:
                self.ended(outcome)  # it is paid for, so keep it even if the disk fails
        except Exception as error:  # noqa: BLE001 - raised where outcomes are taken
            finished = error
        self._finished.put_nowait(finished)


async def _each(items: Items) -> AsyncGenerator[Any, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
