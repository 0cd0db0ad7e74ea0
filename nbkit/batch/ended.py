"""The items of a batch that have ended: in its journal, on its display, and to be yielded."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbkit.batch.journal import OpenJournal
from nbkit.batch.outcome import Outcome

Items = Iterable[Any] | AsyncIterable[Any]


@dataclass
class Ended:
    """Takes each outcome as its item ends, and gives it to the one who asked."""

    journal: OpenJournal | None
    show: Callable[[Outcome], None]
    _queue: asyncio.Queue[Outcome | Exception | None] = field(default_factory=asyncio.Queue)

    def is_known(self, outcome: Outcome, known: Mapping[int, Outcome]) -> bool:
        """Whether the outcome of an item is in `known`, by index; then there is nothing to do."""
        if self.journal is not None:
            outcome.key = self.journal.key(outcome.item)
        if outcome.index not in known:
            return False
        if self.journal is not None and outcome.key not in self.journal:
            self.journal.add(known[outcome.index])  # the disk was full when it ended
        return True

    def is_restored(self, outcome: Outcome) -> bool:
        """Whether an item has a value in the journal; then it has ended already."""
        if self.journal is None or not self.journal.restore(outcome):
            return False
        self.show(outcome)
        self._queue.put_nowait(outcome)
        return True

    def add(self, outcome: Outcome) -> None:
        """Record an item that was asked."""
        finished: Outcome | Exception = outcome
        try:
            try:
                if self.journal is not None:
                    self.journal.add(outcome)
            finally:
                self.show(outcome)  # it is paid for, so keep it even if the disk fails
        except Exception as error:  # noqa: BLE001 - raised where outcomes are taken
            finished = error
        self._queue.put_nowait(finished)

    def close(self, error: Exception | None = None) -> None:
        """Say that no more will come, or why."""
        self._queue.put_nowait(error)

    async def next(self) -> Outcome | None:
        """Wait for the next outcome; `None` if there is no more. Raises the error of the batch."""
        finished = await self._queue.get()
        if isinstance(finished, Exception):
            raise finished
        return finished

    @property
    def waiting(self) -> int:
        """How many have not been taken."""
        return self._queue.qsize()


async def each(items: Items) -> AsyncGenerator[Any, None]:
    """The items of a source, async or not."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
