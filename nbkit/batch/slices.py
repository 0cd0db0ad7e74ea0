"""A batch on a cluster: its items in slices, each asked by one worker, whatever the engine is."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from nbkit.batch.budget import Budget
from nbkit.batch.cluster import (
    Cluster,
    Message,
    OutcomesSent,
    PlacesChanged,
    SliceBegun,
    SliceLost,
)
from nbkit.batch.ended import Ended, Items, each
from nbkit.batch.in_flight import source_cancelled
from nbkit.batch.outcome import BatchError, BatchMisused, Outcome, brief
from nbkit.batch.pace import warn_of_unknown_tokens
from nbkit.batch.packed import unpacked
from nbkit.language import say
from nbkit.streaming.answer import Answer
from nbkit.streaming.trace import Trace

_LARGEST = 200
"""Items in a slice: with more, the last slices would take long while other workers are idle."""
_OF_UNKNOWN = 50
"""Items in a slice if their number is unknown."""
_GATHER_SECONDS = 0.02
_MOST_LOSSES = 3


class WorkerLost(BatchError):
    """The worker that asked an item was lost three times. Taught in notebook 13."""


@dataclass
class SlicesInFlight:
    """Works on a source of any length, and holds only the slices that the workers need.

    Outcomes come one by one. What a lost worker had not answered is asked again elsewhere; a slice
    that was lost twice goes on one item at a time, so that the third loss tells which item it was.
    """

    cluster: Cluster
    ended: Ended
    budget: Budget
    total: int | None
    """How many items there are to ask, if that is known."""
    counts_tokens: bool = False
    """A limit of tokens a minute is to be kept."""
    places: int = 1
    workers: int = 1
    _open: dict[int, Outcome] = field(default_factory=dict)
    """Items under way, by index; what is not in it has ended."""
    _unbegun: set[str] = field(default_factory=set)
    _slices: set[asyncio.Task[None]] = field(default_factory=set)
    _gathered: asyncio.Queue[Outcome | None] = field(default_factory=lambda: asyncio.Queue(1))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    _name: str = field(default_factory=lambda: f"nbkit-{uuid4().hex[:12]}")
    _number: int = 0
    _failed: Exception | None = None
    """Why the source ended, if it did not end by itself."""

    async def outcomes(
        self, items: Items, known: Mapping[int, Outcome]
    ) -> AsyncGenerator[Outcome, None]:
        """Yield each outcome as it ends, except for items whose outcome is in `known`, by index."""
        feeder = asyncio.create_task(self._feed(items, known), name="nbkit-batch")
        sender = asyncio.create_task(self._send(), name="nbkit-slices")
        try:
            while (finished := await self.ended.next()) is not None:
                self._changed.set()
                yield finished
        finally:
            under_way = {feeder, sender, *self._slices}
            for task in under_way:
                task.cancel()
            await asyncio.wait(under_way)

    def heard(self, message: Message) -> None:
        """Take a message of the cluster."""
        match message:
            case OutcomesSent(worker, outcomes):
                for index, data in outcomes:
                    self._end(worker, index, data)
            case SliceBegun(key):
                self._unbegun.discard(key)
            case PlacesChanged(workers, places):
                self.workers, self.places = workers, places
        self._changed.set()

    def _end(self, worker: str, index: int, data: bytes) -> None:
        outcome = self._open.pop(index, None)
        if outcome is None:  # a slice can run twice; the first answer counts
            return
        try:
            sent = unpacked(data)
        except Exception as error:  # noqa: BLE001 - of the value's own code
            sent = Outcome(None, index, attempts=1)
            sent.error = BatchError(say("The value cannot be read here: {error!r}", error=error))
        if (
            self.counts_tokens
            and isinstance(sent.value, Answer)
            and sent.value.trace.tokens is None
        ):
            warn_of_unknown_tokens()
        sent.item, sent.key, sent.worker = outcome.item, outcome.key, worker
        self._add(sent)

    def _add(self, outcome: Outcome) -> None:
        # Of a lost worker nothing is known, but its items are not in flight any more.
        trace = outcome.trace or Trace(time.perf_counter())
        self.budget.ended(trace, answered=outcome.error is None)
        self.budget.retried(outcome.retried)
        self.ended.add(outcome)

    async def _feed(self, items: Items, known: Mapping[int, Outcome]) -> None:
        try:
            index = 0
            async with aclosing(each(items)) as source:
                async for item in source:
                    outcome = Outcome(item, index)
                    index += 1
                    if self.ended.is_known(outcome, known) or self.ended.is_restored(outcome):
                        await self._until(lambda: self.ended.waiting < _LARGEST)
                        continue
                    await self.budget.turn()
                    await self._gathered.put(outcome)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._failed = source_cancelled()
        except Exception as error:  # noqa: BLE001 - raised where outcomes are taken
            self._failed = error
        await self._gathered.put(None)

    async def _send(self) -> None:
        """Give slices to the workers, while they can begin them and outcomes are taken."""
        left, is_last = self.total, False
        while not is_last:
            await self._until(lambda: len(self._unbegun) <= self.places)
            await self._until(lambda: self.ended.waiting < _LARGEST)
            size = _OF_UNKNOWN if left is None else left // (4 * max(self.workers, 1))
            slice_, is_last = await self._gather(min(max(size, 1), _LARGEST))
            left = None if left is None else left - len(slice_)
            if slice_:
                task = asyncio.create_task(self._ask(slice_, 0), name="nbkit-slice")
                self._slices.add(task)
                task.add_done_callback(self._slices.discard)
        if self._slices:
            await asyncio.wait(self._slices)
        self.ended.close(self._failed)

    async def _gather(self, size: int) -> tuple[dict[int, Outcome], bool]:
        """The next items, fewer if their source is slow; and whether they are the last."""
        slice_: dict[int, Outcome] = {}
        while len(slice_) < size:
            try:
                async with asyncio.timeout(_GATHER_SECONDS if slice_ else None):
                    outcome = await self._gathered.get()
            except TimeoutError:
                break
            if outcome is None:
                return slice_, True
            slice_[outcome.index] = outcome
        return slice_, False

    async def _ask(self, slice_: dict[int, Outcome], losses: int) -> None:
        """Ask the items of a slice until each has ended."""
        try:
            while slice_ and losses < _MOST_LOSSES:
                if losses == _MOST_LOSSES - 1 and len(slice_) > 1:
                    for index, outcome in slice_.items():
                        async with self._alone:
                            if index in self._open:  # no late message of a lost worker had it
                                await self._ask({index: outcome}, losses)
                    return
                losses += await self._try(slice_)
                slice_ = {index: one for index, one in slice_.items() if index in self._open}
        except Exception as error:  # noqa: BLE001 - raised where outcomes are taken
            self.ended.close(error)
            return
        for outcome in slice_.values():
            self._open.pop(outcome.index, None)
            outcome.error = WorkerLost(
                say(
                    "The worker was lost {times} times while it asked {item}",
                    times=_MOST_LOSSES,
                    item=brief(outcome.item),
                ),
                say(
                    "look at the worker's log; a question or its documents may need too much "
                    "memory."
                ),
            )
            self._add(outcome)

    async def _try(self, slice_: dict[int, Outcome]) -> bool:
        """Ask a slice once; returns whether its items may be to blame for not ending."""
        self._number += 1
        key = f"{self._name}-{self._number}"
        self._open |= slice_
        self._unbegun.add(key)
        try:
            await self.cluster.ask(key, [(index, one.item) for index, one in slice_.items()])
        except SliceLost as lost:
            return not lost.expected
        finally:
            self._unbegun.discard(key)
            self._changed.set()
        return True

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


def cluster_of(client: Any) -> Cluster:
    """The cluster behind a `distributed.Client`; anything that is a `Cluster` already stays."""
    if isinstance(client, Cluster):
        return client
    if type(client).__module__.partition(".")[0] == "distributed":
        from distributed import Client

        from nbkit.batch.dask_client import DaskCluster

        if isinstance(client, Client):
            return DaskCluster(client)
    raise BatchMisused(
        say("Got client={kind}", kind=type(client).__name__),
        say(
            "pass a client of Dask: `from distributed import Client, LocalCluster`, then "
            "`client=Client(LocalCluster(n_workers=2))`."
        ),
    )
