"""A batch on Dask: what comes back, and what all workers share."""

import asyncio
import os
import warnings
from typing import Any

import pytest
from distributed import Client, LocalCluster

import nbkit
from nbkit.batch import dask_client
from nbkit.batch.outcome import BatchMisused
from tests.clusters import QUESTIONS, MakeAsk, local_cluster, wait_until
from tests.clusters import client as client
from tests.simulated import simulated


async def test_answers_are_those_of_one_process(client: Client) -> None:
    """Order, text, sources, tokens and timing are as without a cluster."""
    llm = simulated(speed=0)
    index = nbkit.load_index("en")
    asked = ["How long is the warranty?", "What does the Lumina One cost?", "How do I return it?"]

    def make_ask() -> Any:
        return index.as_query_engine(llm=llm, streaming=True).aquery

    here = await nbkit.run_batch(asked, make_ask(), progress=False)
    # The workers are in this process, so the index need not be sent.
    there = await nbkit.run_batch(asked, Unsent(make_ask), client=client, progress=False)
    for one, other in zip(here, there, strict=True):
        assert other.value.text == one.value.text
        assert [node.node_id for node in other.value.sources] == [
            node.node_id for node in one.value.sources
        ]
        assert (other.item, other.index, other.attempts) == (one.item, one.index, 1)
        trace = other.value.trace
        assert trace.tokens == one.value.trace.tokens
        assert 0 < trace.ttft <= trace.end_to_end
        assert trace.start >= one.value.trace.start
        assert other.trace.start == trace.start
        assert other.worker.startswith(("tcp://", "inproc://"))


class Unsent:
    """A function that pickles as its place in this process."""

    kept: dict[int, Any] = {}  # noqa: RUF012 - shared on purpose

    def __init__(self, fn: Any) -> None:
        self.kept[id(fn)] = fn
        self.number = id(fn)

    def __call__(self) -> Any:
        return self.kept[self.number]()


async def test_the_concurrency_is_that_of_all_workers(client: Client) -> None:
    """No more items are in flight than `max_concurrency`, though two workers ask."""
    llm = simulated(speed=1, ttft=0.03, tokens_per_second=500, jitter=0)
    llm.simulator.clear()
    outcomes = await nbkit.run_batch(
        QUESTIONS, MakeAsk(llm), client=client, max_concurrency=6, progress=False
    )
    rows = llm.simulator.requests(llm.model)
    assert len({outcome.worker for outcome in outcomes}) == 2
    assert len(rows) == len(QUESTIONS)
    assert 4 <= _most_at_once(rows) <= 6


async def test_fewer_items_at_once_than_workers(client: Client) -> None:
    """With `max_concurrency=1` one worker asks at a time, and no slice waits for ever."""
    llm = simulated(speed=1, ttft=0.005, tokens_per_second=2000, jitter=0)
    llm.simulator.clear()
    async with asyncio.timeout(60):
        await nbkit.run_batch(
            QUESTIONS, MakeAsk(llm), client=client, max_concurrency=1, progress=False
        )
    assert _most_at_once(llm.simulator.requests(llm.model)) == 1


def _most_at_once(rows: list[dict[str, Any]]) -> int:
    moments = [(row["ended"], -1) for row in rows] + [(row["received"], 1) for row in rows]
    now = most = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


async def test_one_rate_for_all_workers(client: Client) -> None:
    """Two workers together start no more requests than the limit allows."""
    llm = simulated(speed=0)
    llm.simulator.clear()
    await nbkit.run_batch(
        QUESTIONS, MakeAsk(llm), client=client, requests_per_minute=1200, progress=False
    )
    starts = sorted(row["started"] for row in llm.simulator.requests(llm.model))
    assert len(starts) == 60
    # Twenty a second, after a burst of one second's.
    assert starts[-1] - starts[0] >= 0.9 * (60 - 20) / 20


async def test_a_refusal_of_one_worker_slows_all(client: Client) -> None:
    """After a 429 no worker starts a request before the time that the server asks for."""
    llm = simulated(requests_per_minute=60, speed=3, ttft=0, tokens_per_second=2000, seed=81)
    asked = [f"What is {number} plus one?" for number in range(70)]
    outcomes = await nbkit.run_batch(
        asked, MakeAsk(llm), client=client, max_concurrency=20, progress=False
    )
    assert [outcome.error for outcome in outcomes] == [None] * len(asked)
    assert 1 <= sum(outcome.refused for outcome in outcomes) <= 45


async def test_retries_and_errors_are_those_of_one_process(client: Client) -> None:
    """Attempts, time limits and errors come back; partial answers, too."""
    llm = simulated(speed=0, fault="cut", fault_after=3)
    make_ask, settings = MakeAsk(llm), {"attempts": 2, "progress": False}
    here = await nbkit.run_batch(QUESTIONS[:4], make_ask(), **settings)
    there = await nbkit.run_batch(QUESTIONS[:4], make_ask, client=client, **settings)
    for one, other in zip(here, there, strict=True):
        assert (other.attempts, other.state) == (2, one.state)
        assert (type(other.error), str(other.error)) == (type(one.error), str(one.error))
        partial, same = (getattr(outcome.error, "answer", None) for outcome in (one, other))
        assert (partial and partial.text) == (same and same.text)
    slow = simulated(speed=1, ttft=5)
    (late,) = await nbkit.run_batch(
        QUESTIONS[:1], MakeAsk(slow), client=client, attempts=1, timeout=0.2, progress=False
    )
    assert "No complete answer within 0.2 s" in str(late.error)


async def test_an_interrupt_ends_the_requests_on_the_workers(client: Client) -> None:
    """Cancelled in the middle, nothing is asked any more, and all requests have ended."""
    llm = simulated(speed=1, ttft=0.05, tokens_per_second=100, jitter=0)
    llm.simulator.clear()
    run = nbkit.run_batch(QUESTIONS, MakeAsk(llm), client=client, progress=False)
    task = asyncio.ensure_future(run._run())
    await wait_until(lambda: len(run.outcomes) >= 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until(
        lambda: all(row["ended"] is not None for row in llm.simulator.requests(llm.model))
    )
    assert len(llm.simulator.requests(llm.model)) < len(QUESTIONS)
    llm.simulator.set(llm.model, speed=0)
    assert len(await run) == len(QUESTIONS)


async def test_nothing_stays_on_thelocal_cluster(client: Client) -> None:
    """After a run neither scheduler nor workers hold its plugins, handlers or messages."""
    scheduler = client.cluster.scheduler
    handlers = set(scheduler.handlers)
    llm = simulated(speed=0)
    await nbkit.run_batch(QUESTIONS, MakeAsk(llm), client=client, progress=False)
    assert set(scheduler.handlers) == handlers
    assert not [name for name in scheduler.plugins if name.startswith("nbkit")]
    assert not [name for name in scheduler.worker_plugins if name.startswith("nbkit")]
    assert not [name for name in scheduler.get_events() if name.startswith("nbkit")]


async def test_a_client_that_was_closed_is_named() -> None:
    """A client without its scheduler is refused before anything is asked."""
    with local_cluster(processes=False) as cluster:
        client = Client(cluster)
        client.close()
        with pytest.raises(BatchMisused, match="client is closed"):
            await nbkit.run_batch(QUESTIONS, lambda: None, client=client, progress=False)


@pytest.mark.parametrize(
    ("make_ask", "message"),
    [
        (lambda: 5, "make_ask returned int"),
        (lambda: 1 / 0, "division by zero"),
        (lambda: lambda item: item, "not an async function"),
    ],
    ids=["not a function", "fails", "not async"],
)
async def test_what_cannot_ask_is_named(client: Client, make_ask: Any, message: str) -> None:
    """A mistake in `make_ask` is one clear error, raised where the batch was awaited."""
    with pytest.raises((BatchMisused, ZeroDivisionError), match=message):
        await nbkit.run_batch(QUESTIONS, make_ask, client=client, progress=False)


async def test_an_engine_inside_the_function_cannot_be_sent(client: Client) -> None:
    """A function that holds an engine made outside of it is refused, and the change is shown."""
    engine = nbkit.load_index("en").as_query_engine(llm=simulated(speed=0))
    with pytest.raises(BatchMisused, match=r"(?s)must be made inside of it.*def make_ask"):
        await nbkit.run_batch(QUESTIONS, lambda: engine.aquery, client=client, progress=False)


async def test_a_value_that_cannot_be_sent_is_an_error_of_its_item(client: Client) -> None:
    """Other values come back as they are; one that pickle cannot hold says so."""

    def make_ask() -> Any:
        async def ask(number: int) -> Any:
            return {"number": number} if number else open(os.devnull)  # noqa: ASYNC230, PTH123

        return ask

    outcomes = await nbkit.run_batch(range(3), make_ask, client=client, progress=False)
    assert [outcome.value for outcome in outcomes[1:]] == [{"number": 1}, {"number": 2}]
    assert "cannot be sent from the worker" in str(outcomes[0].error)


async def test_an_async_client_serves_as_well() -> None:
    """A client made with `asynchronous=True` gives the same outcomes."""
    llm = simulated(speed=0)
    make_ask = MakeAsk(llm)
    async with (
        LocalCluster(
            n_workers=1, processes=False, asynchronous=True, dashboard_address=None
        ) as cluster,
        Client(cluster, asynchronous=True) as client,
    ):
        outcomes = await nbkit.run_batch(QUESTIONS[:5], make_ask, client=client, progress=False)
    assert all(outcome.value.text for outcome in outcomes)


async def test_a_cluster_without_workers_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a worker there is a warning that says what to do; the first that comes begins."""
    monkeypatch.setattr(dask_client, "_PATIENCE", 0.05)
    llm = simulated(speed=0)
    with local_cluster(processes=False, n_workers=0) as cluster, Client(cluster) as client:
        run = nbkit.run_batch(QUESTIONS[:3], MakeAsk(llm), client=client, progress=False)
        task = asyncio.ensure_future(run._run())
        with warnings.catch_warnings(record=True) as warned:
            await wait_until(lambda: bool(warned))
        assert "cluster.scale" in str(warned[0].message)
        await asyncio.to_thread(cluster.scale, 1)
        assert len(await task) == 3
