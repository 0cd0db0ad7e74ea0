"""One run of a batch in a worker of Dask: builds what asks, once, and asks slices of items."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

from distributed import Worker, get_worker, secede
from distributed.diagnostics.plugin import WorkerPlugin

from nbkit.batch.asking import AskFacts, check_async, facts_of
from nbkit.batch.attempts import Asker
from nbkit.batch.budget import unlimited
from nbkit.batch.cluster import SliceLost
from nbkit.batch.concurrency import AutoSeats, Seats
from nbkit.batch.ended import Ended
from nbkit.batch.in_flight import InFlight
from nbkit.batch.outcome import BatchMisused, Outcome
from nbkit.batch.packed import packed
from nbkit.batch.settings import Settings
from nbkit.batch.shared_pace import SharedPace
from nbkit.language import say
from nbkit.loops.run import run, start
from nbkit.streaming.agents import run_of

_SEND_SECONDS = 0.05
"""Outcomes of so many seconds travel in one message."""


class RunOnWorker(WorkerPlugin):  # type: ignore[misc]
    """Has what asks, and asks for the slices that run in this worker at the same time.

    They share seats and pace, and the event loop of `nbkit.run`, which is not the worker's own: an
    answer that keeps it busy must not stop the worker's heartbeat. The seats are the worker's part
    of the whole concurrency.
    """

    def __init__(self, name: str, make_ask: Callable[[], Any], settings: Settings) -> None:
        self.name = name
        self._make_ask = make_ask
        self._settings = settings

    def setup(self, worker: Worker) -> None:
        """Begin the run on a worker, also on one that comes later; nothing is built yet."""
        self._worker = worker
        self._building = threading.Lock()
        self._asker: Asker | None = None
        self._running: set[Any] = set()
        self._unsent: list[tuple[int, bytes]] = []

    def teardown(self, worker: Worker) -> None:
        """Stop every request of the run."""
        for slice_ in list(self._running):
            slice_.cancel()

    def facts(self) -> AskFacts:
        """The facts of what asks."""
        return facts_of(self._built().fn)

    def ask(self, key: str, items: list[tuple[int, Any]]) -> None:
        """Ask a slice in this thread's place, which is given back once all its items have begun.

        Raises `SliceLost` if the slice was begun by a worker that is gone.
        """
        asker = self._built()
        begun = threading.Event()
        asking = start(self._ask(asker, key, items, begun))
        asking.add_done_callback(lambda _: begun.set())
        self._running.add(asking)
        try:
            begun.wait()
            if not asking.done():
                self._worker.log_event(self.name, ("begun", key))
                secede()  # the next slice can begin while the last items of this one end
            asking.result()
        finally:
            self._running.discard(asking)

    def _built(self) -> Asker:
        with self._building:
            if self._asker is None:
                self._asker = self._build()
            return self._asker

    def _build(self) -> Asker:
        made = self._make_ask()
        fn = run(made) if inspect.isawaitable(made) else made
        fn = run_of(fn) or fn
        if not callable(fn):
            raise BatchMisused(
                say(
                    "make_ask returned {kind} where a function was expected", kind=type(fn).__name__
                ),
                say("let it return what asks, such as `engine.aquery`."),
            )
        check_async(fn)
        limit = self._settings.max_concurrency
        self._seats = AutoSeats() if limit == "auto" else Seats(0)
        pace = SharedPace(self._call, self._take_seats)
        return Asker(
            fn, self._settings.attempts, self._settings.timeout, pace, self._seats, unlimited()
        )

    async def _ask(
        self, asker: Asker, key: str, items: list[tuple[int, Any]], begun: threading.Event
    ) -> None:
        may_begin, seats = await self._call("begin", key=key)
        if may_begin != "go":
            raise SliceLost(may_begin == "retired")
        self._take_seats(seats)

        def source() -> Iterator[Any]:
            for _, item in items:
                yield item
            begun.set()

        in_flight = InFlight(asker, self._seats, Ended(None, lambda _: None))
        async with aclosing(in_flight.outcomes(source(), {})) as outcomes:
            async for outcome in outcomes:
                self._send(outcome, items[outcome.index][0])
        self._flush()
        await self._call("end", key=key)

    def _send(self, outcome: Outcome, index: int) -> None:
        outcome.index = index
        if not self._unsent:
            # A message for each would cost more than ten percent of a question's CPU time.
            asyncio.get_running_loop().call_later(_SEND_SECONDS, self._flush)
        self._unsent.append((index, packed(outcome)))

    def _flush(self) -> None:
        if self._unsent:
            message = ("outcomes", self._worker.address, self._unsent)
            self._unsent = []
            self._worker.log_event(self.name, message)

    def _take_seats(self, seats: int) -> None:
        if seats and seats != self._seats.limit and type(self._seats) is Seats:
            self._seats.resize(seats)

    async def _call(self, do: str, **arguments: Any) -> Any:
        """What the run on the scheduler returns, from the loop of the requests."""
        handler = getattr(self._worker.scheduler, self.name)
        if do in ("begin", "end", "turns"):
            arguments["worker"] = self._worker.address
        called = asyncio.run_coroutine_threadsafe(
            handler(do=do, **arguments),
            self._worker.loop.asyncio_loop,  # type: ignore[attr-defined]
        )
        return await asyncio.wrap_future(called)


def ask_slice(name: str, key: str, items: list[tuple[int, Any]]) -> None:
    """The task of Dask: a slice of a run, in a thread of the worker."""
    _run(name).ask(key, items)


def ask_facts(name: str) -> AskFacts:
    """The task of Dask: the facts of what a run asks; builds it."""
    return _run(name).facts()


def _run(name: str) -> RunOnWorker:
    found = get_worker().plugins.get(name)
    if not isinstance(found, RunOnWorker):
        raise SliceLost(True)  # the run has ended
    return found
