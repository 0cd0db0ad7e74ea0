"""The running items of a batch: each starts when a seat is free, and is yielded when it ends."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from nbkit.batch.attempts import Asker
from nbkit.batch.concurrency import Seats
from nbkit.batch.ended import Ended, Items, each
from nbkit.batch.outcome import BatchError, Outcome
from nbkit.language import say


def source_cancelled() -> BatchError:
    """The error that the source of the items was cancelled."""
    return BatchError(
        say("The source of the items was cancelled, but not by the batch"), say("start it again.")
    )


@dataclass
class InFlight:
    """Works on a source of any length, and holds no more items than there are seats.

    A seat is freed when its outcome has been taken, so a slow consumer slows the source down.
    """

    asker: Asker
    seats: Seats
    ended: Ended
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def outcomes(
        self, items: Items, known: Mapping[int, Outcome]
    ) -> AsyncGenerator[Outcome, None]:
        """Yield each outcome as it ends, except for items whose outcome is in `known`, by index.

        When this generator ends, all running items are cancelled.
        """
        feeder = asyncio.create_task(self._feed(items, known), name="nbkit-batch")
        try:
            while (finished := await self.ended.next()) is not None:
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
            async with aclosing(each(items)) as source:
                async for item in source:
                    outcome = Outcome(item, index)
                    index += 1
                    if self.ended.is_known(outcome, known):
                        continue
                    if not self.ended.is_restored(outcome):
                        self._start(outcome)
                    await self.seats.enter()
            self.seats.leave()  # it was for one more item
        except asyncio.CancelledError:  # if this task itself is cancelled, nobody reads the error
            finished = source_cancelled()
        except Exception as error:  # noqa: BLE001 - raised where outcomes are taken
            finished = error
        if self._tasks:  # these requests are paid for, so wait even if the source failed
            await asyncio.wait(self._tasks)
        self.ended.close(finished)

    def _start(self, outcome: Outcome) -> None:
        task = asyncio.create_task(self._ask(outcome), name="nbkit-item")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, outcome: Outcome) -> None:
        try:
            await self.asker.ask(outcome)
        except Exception as error:  # noqa: BLE001 - raised where outcomes are taken
            self.ended.close(error)
        else:
            self.ended.add(outcome)
