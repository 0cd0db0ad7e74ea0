"""Many questions: with limited concurrency and rate, retries, and a journal."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from nbkit.batch.batch_run import BatchRun
from nbkit.batch.ended import Items
from nbkit.batch.journal import Journal, check_item
from nbkit.batch.outcome import BatchMisused, Outcome
from nbkit.batch.settings import Settings
from nbkit.displays.progress import Progress
from nbkit.language import say

Ask = Callable[..., Any]


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
    client: Any = None,
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
    - `client`: a `distributed.Client` of Dask, whose workers ask the items (notebook 13). `fn` is
      then a function without arguments that makes what asks: each worker calls it once. All limits
      are for the workers together. Only this process writes the journal.

    An interrupt cancels the requests in flight; finished items are in the run's `.outcomes` and in
    the journal. Raises `BatchMisused`, `JournalError` or `PriceError` before anything is asked, and
    `BatchStopped` or `CostTooHigh`. Taught in notebook 06.
    """
    limits = (requests_per_minute, tokens_per_minute)
    settings = Settings(max_concurrency, attempts, timeout, *limits)
    run = BatchRun(fn, settings, on_error, progress, journal, max_cost, client)
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
    client: Any = None,
) -> AsyncGenerator[Outcome, None]:
    """Ask `fn` for every item of a source of any length; yields each `Outcome` as it ends.

    `Outcome.index` is the item's position. At most `max_concurrency` items are held in memory (with
    a journal also its keys; with a `client` as many slices of items as its workers need): the
    source is read, and items are asked, only as fast as the outcomes are taken. Otherwise as
    `run_batch`. To stop early, `break`; `contextlib.aclosing` waits until every request has ended.
    An error of the source is raised after the running items have ended. Taught in notebook 06.
    """
    if not isinstance(items, Iterable | AsyncIterable) or isinstance(items, str | bytes):
        raise _no_items(items)
    limits = (requests_per_minute, tokens_per_minute)
    settings = Settings(max_concurrency, attempts, timeout, *limits)
    run = BatchRun(fn, settings, on_error, progress, journal, max_cost, client)
    return run.iterate(items)


def _no_items(items: Any) -> BatchMisused:
    if isinstance(items, AsyncIterable):
        return BatchMisused(
            say("run_batch takes a list of items"), say("for an async source, use iter_batch.")
        )
    return BatchMisused(
        say("Got {kind} where items were expected", kind=type(items).__name__),
        say("pass a list, such as your questions."),
    )
