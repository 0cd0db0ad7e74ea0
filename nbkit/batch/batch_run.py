"""One run of a batch, in this process or on a cluster."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sized
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.batch.asking import AskFacts, check_async, facts_of, warn_of_client_retries
from nbkit.batch.attempts import Asker
from nbkit.batch.budget import Budget, budget_of, check_max_cost
from nbkit.batch.cluster import Cluster, check_make_ask
from nbkit.batch.concurrency import AutoSeats, Seats, Step
from nbkit.batch.ended import Ended, Items
from nbkit.batch.in_flight import InFlight
from nbkit.batch.journal import Journal, OpenJournal
from nbkit.batch.outcome import BatchError, BatchMisused, Outcome, brief
from nbkit.batch.pace import Pace
from nbkit.batch.settings import Settings, impossible
from nbkit.batch.slices import SlicesInFlight, cluster_of
from nbkit.displays.progress import Progress, shown
from nbkit.language import say
from nbkit.loops.heartbeat import keep_waking
from nbkit.streaming.agents import is_of_agent, run_of
from nbkit.streaming.cost import Cost, total_cost
from nbkit.wording import count


class BatchStopped(BatchError):
    """An item failed under `on_error="stop"`; `__cause__` is its error. Taught in notebook 06."""


@dataclass(eq=False, repr=False)
class BatchRun:
    """A batch: `await` it for its outcomes; `.outcomes` has them during and after the run, too.

    Awaited again, it asks the items that are missing or have failed. Taught in notebook 06.
    """

    fn: Callable[..., Any]
    settings: Settings
    on_error: str
    progress: Progress
    journal: Journal | str | Path | None
    max_cost: float | None = None
    client: Any = None
    items: list[Any] = field(default_factory=list)
    _ended: dict[int, Outcome] = field(default_factory=dict, init=False)
    """By index; used only by `run_batch`."""
    _seats: Seats = field(default_factory=lambda: Seats(1), init=False)
    _running: bool = field(default=False, init=False)
    _budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.settings.check()
        if self.on_error not in ("collect", "stop"):
            raise impossible("on_error", self.on_error, say('"collect" or "stop"'))
        if self.journal is not None and not isinstance(self.journal, Journal):
            self.journal = Journal(self.journal)
        check_max_cost(self.max_cost)
        self._cluster: Cluster | None = None
        if self.client is not None:
            self._cluster = cluster_of(self.client)
            check_make_ask(self.fn)
            return
        self.fn = fn = run_of(self.fn) or self.fn
        if not callable(fn) and not is_of_agent(fn):
            raise BatchMisused(
                say("Got {kind} where a function was expected", kind=type(fn).__name__),
                say(
                    "pass an async function of one item, such as `engine.aquery`, without calling "
                    "it."
                ),
            )
        check_async(fn)
        self._learn(facts_of(fn))

    def _learn(self, facts: AskFacts) -> None:
        if self.settings.attempts > 1:
            warn_of_client_retries(facts.client_retries)
        self._facts, self._budget = facts, budget_of(facts, self.max_cost)

    @property
    def outcomes(self) -> list[Outcome]:
        """What has ended so far, in the order of the items."""
        return [outcome for _, outcome in sorted(self._ended.items())]

    @property
    def steps(self) -> list[Step]:
        """What the automatic concurrency did: (time, limit, in_flight, latency).

        Empty on a cluster, where each worker finds a concurrency of its own.
        """
        return list(self._seats.steps)

    def cost(self) -> Cost:
        """What the items have cost that have ended, also those from the journal, at your prices."""
        asked = [one for one in self._ended.values() if one.attempts > one.refused]
        retried = sum(one.retried for one in asked)
        traces = (one.trace or getattr(one.value, "trace", None) for one in asked)
        usage = [trace.usage if trace else [] for trace in traces]
        return total_cost(usage, {say("the attempt failed"): retried})

    def __repr__(self) -> str:
        failed = sum(outcome.error is not None for outcome in self._ended.values())
        ended, items = len(self._ended), count(len(self.items), "item")
        told = say(
            "{ended} of {items} ended, {failed} failed", ended=ended, items=items, failed=failed
        )
        return f"<BatchRun {told}>"

    def __await__(self) -> Generator[Any, None, list[Outcome]]:
        return self._run().__await__()

    async def _run(self) -> list[Outcome]:
        if self._running:
            raise BatchMisused(
                say("This batch is already running"),
                say("await it only once, and read `.outcomes`."),
            )
        self._running = True
        # What failed is asked again.
        self._ended = {place: got for place, got in self._ended.items() if got.error is None}
        try:
            async with aclosing(self.iterate(self.items, keep=True)) as outcomes:
                async for _ in outcomes:
                    pass
        finally:
            self._running = False
        return self.outcomes

    async def iterate(self, items: Items, *, keep: bool = False) -> AsyncGenerator[Outcome, None]:
        """Yield outcomes as they end; closing it ends every request and the journal."""
        total = len(items) - len(self._ended) if isinstance(items, Sized) else None
        async with AsyncExitStack() as stack:
            stack.enter_context(keep_waking(asyncio.get_running_loop()))
            if self._cluster is not None:
                opened = self._cluster.opened(self.fn, self.settings)
                self._learn(await stack.enter_async_context(opened))
            journal = None
            if isinstance(self.journal, Journal):
                journal = stack.enter_context(OpenJournal(self.journal, self._facts.parameters))
            show = stack.enter_context(self._shown(total, keep=keep))
            counts = self._budget.is_needed or self._cluster is not None
            if counts and journal is not None and isinstance(items, list):
                total = journal.missing(items)
            self._budget.begin(total)
            under_way = self._under_way(Ended(journal, show), total)
            known = dict(self._ended)
            outcomes = await stack.enter_async_context(aclosing(under_way.outcomes(items, known)))
            async for outcome in outcomes:
                yield outcome
                if self.on_error == "stop" and outcome.error is not None:
                    raise BatchStopped(
                        say(
                            "Item {index} ({item}) failed, so the rest was cancelled: {error}",
                            index=outcome.index,
                            item=brief(outcome.item),
                            error=outcome.error,
                        ),
                        say(
                            "finished items are in `.outcomes` and in the journal; fix the cause, "
                            "then await the batch again."
                        ),
                    ) from outcome.error

    def _under_way(self, ended: Ended, total: int | None) -> InFlight | SlicesInFlight:
        limit, attempts, timeout, requests_per_minute, tokens_per_minute = self.settings
        if self._cluster is not None:
            limits_tokens = tokens_per_minute is not None
            slices = SlicesInFlight(self._cluster, ended, self._budget, total, limits_tokens)
            self._cluster.listen(slices.heard)
            return slices
        self._seats = AutoSeats() if limit == "auto" else Seats(int(limit))
        pace = Pace(requests_per_minute, tokens_per_minute)
        asker = Asker(self.fn, attempts, timeout, pace, self._seats, self._budget)
        return InFlight(asker, self._seats, ended)

    @contextmanager
    def _shown(self, total: int | None, *, keep: bool) -> Iterator[Callable[[Outcome], None]]:
        dashboard = None if self._cluster is None else self._cluster.dashboard
        with shown(self.progress, total, dashboard) as show:

            def ended(outcome: Outcome) -> None:
                if keep:
                    self._ended[outcome.index] = outcome
                retried = outcome.attempts > 1 and not outcome.resumed
                show(outcome.item, failed=outcome.error is not None, retried=retried)

            yield ended
