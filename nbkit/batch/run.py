"""Many questions: with limited concurrency and rate, retries, and a journal."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Sized
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nbkit.batch.asking import check_async, parameters_of, warn_of_client_retries
from nbkit.batch.attempts import Asker
from nbkit.batch.budget import Budget, budget_of
from nbkit.batch.concurrency import AutoSeats, Seats, Step
from nbkit.batch.in_flight import InFlight, Items
from nbkit.batch.journal import Journal, OpenJournal, check_item
from nbkit.batch.outcome import BatchError, BatchMisused, Outcome, brief
from nbkit.batch.pace import Pace
from nbkit.displays.progress import Progress, shown
from nbkit.loops.heartbeat import keep_waking
from nbkit.streaming.agents import is_of_agent, run_of
from nbkit.streaming.cost import Cost, total_cost
from nbkit.wording import count

Ask = Callable[[Any], Any]


class BatchStopped(BatchError):
    """An item failed under `on_error="stop"`; `__cause__` is its error. Taught in notebook 06."""


def run_batch(
    items: Iterable[Any],
    fn: Ask,
    *,
    max_concurrency: int | Literal["auto"] = 5,
    attempts: int = 3,
    timeout: float | None = None,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    on_error: Literal["collect", "stop"] = "collect",
    progress: Progress = True,
    journal: Journal | str | Path | None = None,
    max_cost: float | None = None,
) -> "BatchRun":
    """Ask `fn` for every item; `await` it for a list of `Outcome`, in the order of the items.

    `fn` is an async function of one item: `engine.aquery`, or your own. An answer of LlamaIndex
    is read as a stream to its end, and becomes an `Answer` in `Outcome.value`; any other value is
    kept unchanged. An item that fails does not stop the batch: its outcome holds the error.

    - `max_concurrency`: items in flight at once, or "auto" to find what the server can handle.
    - `attempts`: how often an item is asked at most, if its failure may be temporary (timeout, lost
      connection, 429, 5xx, truncated answer). Only complete answers are returned, so one that fails
      in the middle is asked again, too. A refusal (429) slows all items down, and does not count as
      an attempt of its item. Create the model's client with max_retries=0, as `nbkit.connect` does,
      so that only one layer retries.
    - `timeout`: seconds for one attempt, including the complete answer; then generation is stopped.
    - `requests_per_minute`, `tokens_per_minute`: the server's limits. Tokens are those of prompt
      and answer, as the server reports them; the next requests wait for what answers have used.
    - `on_error`: "collect", or "stop" to cancel the rest at the first item that fails.
    - `progress`: a bar; or a function of (done, total, item); or False.
    - `journal`: a file name, or a `Journal`. A second run with it asks only the missing items.
    - `max_cost`: the most that may be spent, in the currency of your file of prices
      (`nbkit.streaming.cost.Prices`). Without it, and if the file has a price for the model, you
      are asked before the whole costs more than its `ask_above`, as estimated from the first five.

    An interrupt cancels the requests in flight; finished items are in the run's `.outcomes` and in
    the journal. Raises `BatchMisused`, `JournalError` or `PriceError` before anything is asked, and
    `BatchStopped` or `CostTooHigh`. Taught in notebook 06.
    """
    limits = (requests_per_minute, tokens_per_minute)
    run = BatchRun(
        fn, max_concurrency, attempts, timeout, *limits, on_error, progress, journal, max_cost
    )
    if not isinstance(items, Iterable) or isinstance(items, str | bytes):
        raise _no_items(items)
    run.items = list(items)
    for item in run.items if journal is not None else ():
        check_item(item)
    return run


def iter_batch(
    items: Items,
    fn: Ask,
    *,
    max_concurrency: int | Literal["auto"] = 5,
    attempts: int = 3,
    timeout: float | None = None,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    on_error: Literal["collect", "stop"] = "collect",
    progress: Progress = False,
    journal: Journal | str | Path | None = None,
    max_cost: float | None = None,
) -> AsyncGenerator[Outcome, None]:
    """Ask `fn` for every item of a source of any length; yields each `Outcome` as it ends.

    `Outcome.index` is the item's position. At most `max_concurrency` items are held in memory (with
    a journal also its keys): the source is read, and items are asked, only as fast as the outcomes
    are taken. Otherwise as `run_batch`. To stop early, `break`; `contextlib.aclosing` waits until
    every request has ended. An error of the source is raised after the running items have ended.
    Taught in notebook 06.
    """
    if not isinstance(items, Iterable | AsyncIterable) or isinstance(items, str | bytes):
        raise _no_items(items)
    limits = (requests_per_minute, tokens_per_minute)
    run = BatchRun(
        fn, max_concurrency, attempts, timeout, *limits, on_error, progress, journal, max_cost
    )
    return run.iterate(items)


@dataclass(eq=False, repr=False)
class BatchRun:
    """A batch: `await` it for its outcomes; `.outcomes` has them during and after the run, too.

    Awaited again, it asks the items that are missing or have failed. Taught in notebook 06.
    """

    fn: Ask
    max_concurrency: int | str
    attempts: int
    timeout: float | None
    requests_per_minute: float | None
    tokens_per_minute: float | None
    on_error: str
    progress: Progress
    journal: Journal | str | Path | None
    max_cost: float | None = None
    items: list[Any] = field(default_factory=list)
    _ended: dict[int, Outcome] = field(default_factory=dict, init=False)
    """By index; used only by `run_batch`."""
    _seats: Seats = field(default_factory=lambda: Seats(1), init=False)
    _running: bool = field(default=False, init=False)
    _budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.fn = fn = run_of(self.fn) or self.fn
        if not callable(fn) and not is_of_agent(fn):
            raise BatchMisused(
                f"Got {type(fn).__name__} where a function was expected",
                "pass an async function of one item, such as `engine.aquery`, without calling it.",
            )
        check_async(fn)
        self._check("max_concurrency", _is_count, '1 or more, or "auto"', "auto")
        self._check("attempts", _is_count, "1 or more")
        for name in ("timeout", "requests_per_minute", "tokens_per_minute"):
            self._check(name, _is_above_0, "a number above 0", None)
        self._check("on_error", lambda value: value == "stop", '"collect" or "stop"', "collect")
        if self.journal is not None and not isinstance(self.journal, Journal):
            self.journal = Journal(self.journal)
        if self.attempts > 1:
            warn_of_client_retries(fn)
        self._budget = budget_of(fn, self.max_cost)

    def _check(self, name: str, fits: Callable[[Any], bool], wanted: str, *others: Any) -> None:
        value = getattr(self, name)
        if value not in others and not fits(value):
            raise BatchMisused(f"{name}={value!r} is not possible", f"give {wanted}.")

    @property
    def outcomes(self) -> list[Outcome]:
        """What has ended so far, in the order of the items."""
        return [outcome for _, outcome in sorted(self._ended.items())]

    @property
    def steps(self) -> list[Step]:
        """What the automatic concurrency did: (time, limit, in_flight, latency)."""
        return list(self._seats.steps)

    def cost(self) -> Cost:
        """What the items have cost that have ended, also those from the journal, at your prices."""
        asked = [one for one in self._ended.values() if one.attempts > one.refused]
        retried = sum(one.attempts - one.refused - 1 for one in asked)
        traces = (one.trace or getattr(one.value, "trace", None) for one in asked)
        usage = [trace.usage if trace else [] for trace in traces]
        return total_cost(usage, {"the attempt failed": retried})

    def __repr__(self) -> str:
        failed = sum(outcome.error is not None for outcome in self._ended.values())
        ended = f"{len(self._ended)} of {count(len(self.items), 'item')} ended"
        return f"<BatchRun {ended}, {failed} failed>"

    def __await__(self) -> Generator[Any, None, list[Outcome]]:
        return self._run().__await__()

    async def _run(self) -> list[Outcome]:
        if self._running:
            raise BatchMisused(
                "This batch is already running", "await it only once, and read `.outcomes`."
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
        limit = self.max_concurrency
        self._seats = AutoSeats() if limit == "auto" else Seats(int(limit))
        pace = Pace(self.requests_per_minute, self.tokens_per_minute)
        asker = Asker(self.fn, self.attempts, self.timeout, pace, self._seats, self._budget)
        total = len(items) - len(self._ended) if isinstance(items, Sized) else None
        opened: OpenJournal | nullcontext[None] = nullcontext()
        if isinstance(self.journal, Journal):
            opened = OpenJournal(self.journal, parameters_of(self.fn))
        awake = keep_waking(asyncio.get_running_loop())
        with awake, opened as journal, shown(self.progress, total) as show:

            def ended(outcome: Outcome) -> None:
                if keep:
                    self._ended[outcome.index] = outcome
                retried = outcome.attempts > 1 and not outcome.resumed
                show(outcome.item, failed=outcome.error is not None, retried=retried)

            if self._budget.is_needed and journal is not None and isinstance(items, list):
                total = journal.missing(items)
            self._budget.begin(total)
            under_way = InFlight(asker, self._seats, journal, ended)
            async with aclosing(under_way.outcomes(items, dict(self._ended))) as outcomes:
                async for outcome in outcomes:
                    yield outcome
                    if self.on_error == "stop" and outcome.error is not None:
                        raise BatchStopped(
                            f"Item {outcome.index} ({brief(outcome.item)}) failed, so the rest was "
                            f"cancelled: {outcome.error}",
                            "finished items are in `.outcomes` and "
                            "in the journal; fix the cause, then await the batch again.",
                        ) from outcome.error


def _no_items(items: Any) -> BatchMisused:
    if isinstance(items, AsyncIterable):
        return BatchMisused(
            "run_batch takes a list of items", "for an async source, use iter_batch."
        )
    return BatchMisused(
        f"Got {type(items).__name__} where items were expected",
        "pass a list, such as your questions.",
    )


def _is_above_0(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
