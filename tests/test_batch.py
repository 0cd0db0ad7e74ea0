import asyncio
import inspect
import threading
from typing import Any

import pytest

from nbkit import load_index
from nbkit.batch.batch_run import BatchStopped
from nbkit.batch.outcome import BatchMisused, Outcome
from nbkit.batch.run import iter_batch, run_batch
from nbkit.streaming.answer import Answer
from tests.simulated import simulated, wait_for

QUESTIONS = ["How long is the warranty?", "How do I return it?", "What does it weigh?"]


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def divide(number: int) -> float:
    await asyncio.sleep(0)
    return 1 / number


def quiet(items: Any, fn: Any, **options: Any) -> Any:
    return run_batch(items, fn, progress=False, **options)


@pytest.mark.parametrize("streaming", [True, False])
async def test_what_an_engine_answers_becomes_an_answer(instant: Any, streaming: bool) -> None:
    """Streaming or not, an engine's outcome holds the whole answer, its sources and its timing."""
    engine = load_index("en").as_query_engine(llm=instant, streaming=streaming)
    outcomes = await quiet(QUESTIONS, engine.aquery)
    assert [outcome.item for outcome in outcomes] == QUESTIONS
    for outcome in outcomes:
        assert isinstance(outcome.value, Answer)
        assert outcome.value.text
        assert outcome.value.sources
        assert outcome.trace is outcome.value.trace
        assert outcome.trace.requested >= outcome.attempt_starts[0]
        assert (outcome.attempts, outcome.state, outcome.error) == (1, "done", None)
    assert len(instant.simulator.requests(instant.model)) == len(QUESTIONS)


async def test_other_values_are_kept_as_they_are() -> None:
    """Whatever else a function returns is its outcome's value, containers and None included."""
    values = [None, 0, "text", ["a", "b"], {"a": 1}, ("t",)]

    async def same(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    assert [outcome.value for outcome in await quiet(values, same)] == values


async def test_answers_among_values_are_still_read(instant: Any) -> None:
    """A function may return plain values first and answers later; each is what it is."""

    async def either(number: int) -> Any:
        await asyncio.sleep(0)
        return await instant.astream_complete("What can you do?") if number % 2 else number

    values = [outcome.value for outcome in await quiet(range(4), either, max_concurrency=1)]
    assert [type(value) for value in values] == [int, Answer, int, Answer]
    assert all(value.text for value in values[1::2])


async def test_outcomes_are_in_the_order_of_the_items() -> None:
    """The slowest first item is still the first outcome."""
    gate = asyncio.Event()

    async def last_first(number: int) -> int:
        if number == 2:
            gate.set()
        else:
            await gate.wait()
        return number

    outcomes = await quiet(range(3), last_first)
    assert [(outcome.index, outcome.value) for outcome in outcomes] == [(0, 0), (1, 1), (2, 2)]


async def test_a_failure_is_an_outcome() -> None:
    """One item's error neither ends the batch nor is lost: it is kept as it was raised."""
    outcomes = await quiet([1, 0, 2], divide)
    assert [outcome.state for outcome in outcomes] == ["done", "failed", "done"]
    assert isinstance(outcomes[1].error, ZeroDivisionError)
    assert outcomes[1].attempts == 1
    assert repr(outcomes[1]) == (
        "<Outcome '0' → 'ZeroDivisionError: division by zero' · failed · 1 attempt>"
    )


async def test_no_more_at_once_than_said() -> None:
    """`max_concurrency` is reached, and never passed."""
    now = most = 0

    async def count(_: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1

    await quiet(range(50), count, max_concurrency=7)
    assert most == 7


@pytest.mark.parametrize("max_concurrency", [1, 5, "auto"])
async def test_nothing_to_do(max_concurrency: Any) -> None:
    """No items, no outcomes, no complaint."""
    assert await quiet([], double, max_concurrency=max_concurrency) == []


async def test_stop_cancels_the_rest_and_keeps_what_is_done() -> None:
    """Under `on_error="stop"` the first failure ends the others; awaited again, they are done."""
    mended = False
    cancelled = []

    async def fragile(number: int) -> int:
        if number == 1 and not mended:
            await asyncio.sleep(0)
            raise ValueError("no")
        if number == 2 and not mended:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(number)
                raise
        return number

    run = quiet(range(5), fragile, max_concurrency=3, on_error="stop")
    with pytest.raises(
        BatchStopped, match=r"Item 1 \('1'\) failed.*: no — .*`.outcomes`"
    ) as caught:
        await run
    assert isinstance(caught.value.__cause__, ValueError)
    assert cancelled == [2]
    assert [outcome.index for outcome in run.outcomes if outcome.error is None] == [0]
    mended = True
    assert [outcome.value for outcome in await run] == [0, 1, 2, 3, 4]


async def test_an_interruption_ends_every_request_and_keeps_what_is_done() -> None:
    """Cancelled in the middle, generation stops at the server; awaited again, the rest is done."""
    llm = simulated(ttft=0.0, tokens_per_second=20.0, slots=2, jitter=0.0, seed=61)
    llm.simulator.clear()
    run = quiet(QUESTIONS * 2, llm.astream_complete)
    task = asyncio.ensure_future(run)
    while not run.outcomes:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    done = len(run.outcomes)
    assert 0 < done < 6
    await asyncio.to_thread(wait_for, lambda: _in_flight(llm) == 0)
    rows = llm.simulator.requests(llm.model)
    assert {row["status"] for row in rows} == {"done", "cancelled"}
    llm.simulator.set(llm.model, speed=0)
    outcomes = await run
    assert len(outcomes) == 6
    assert all(outcome.value.text for outcome in outcomes)
    llm.simulator.set(llm.model, speed=1)


def _in_flight(llm: Any) -> int:
    rows = llm.simulator.requests(llm.model)
    return sum(row["status"] in ("queued", "streaming") for row in rows)


async def test_leaving_iter_batch_ends_its_requests() -> None:
    """A `break` ends what is under way, in this process and at the server."""
    llm = simulated(ttft=0.05, tokens_per_second=20.0, jitter=0.0, seed=62)
    llm.simulator.clear()
    async for _ in iter_batch(QUESTIONS * 4, llm.astream_complete, max_concurrency=3):
        break
    async with asyncio.timeout(5):
        while asyncio.all_tasks() != {asyncio.current_task()}:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(wait_for, lambda: _in_flight(llm) == 0)
    assert len(llm.simulator.requests(llm.model)) <= 4


async def test_a_timeout_ends_the_attempt_at_the_server() -> None:
    """An attempt that takes too long is cancelled there too, and its partial answer kept."""
    llm = simulated(fault="stall", fault_after=3, speed=0, seed=63)
    llm.simulator.clear()
    (outcome,) = await quiet(QUESTIONS[:1], llm.astream_complete, timeout=1, attempts=2)
    assert isinstance(outcome.error, TimeoutError)
    assert "No complete answer within 1 s" in str(outcome.error)
    assert (outcome.attempts, outcome.state) == (2, "failed")
    assert outcome.error.answer.text
    assert len(outcome.attempt_starts) == 2
    await asyncio.to_thread(wait_for, lambda: _in_flight(llm) == 0)
    assert [row["status"] for row in llm.simulator.requests(llm.model)] == ["cancelled"] * 2


async def test_nothing_is_left_behind() -> None:
    """After a batch no task and no thread of ours remains, whether it ended or was cancelled."""
    threads = threading.active_count()
    await quiet(range(20), double)
    task = asyncio.ensure_future(quiet(range(20), asyncio.sleep))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert threading.active_count() <= threads


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_concurrency": 0}, "max_concurrency=0"),
        ({"max_concurrency": "many"}, '"auto"'),
        ({"attempts": 0}, "attempts=0"),
        ({"timeout": 0}, "timeout=0"),
        ({"requests_per_minute": 0}, "requests_per_minute=0"),
        ({"tokens_per_minute": float("inf")}, "tokens_per_minute=inf"),
        ({"on_error": "raise"}, '"collect" or "stop"'),
        ({"items": "one question"}, "Got str where items were expected"),
        ({"items": 7}, "Got int where items were expected"),
        ({"fn": "aquery"}, "Got str where a function was expected"),
    ],
)
def test_wrong_calls_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    """A wrong argument is one error before anything is asked, from both functions."""
    arguments = {"items": [1], "fn": double, **options}
    for call in (run_batch, iter_batch):
        with pytest.raises(BatchMisused, match=message):
            call(arguments.pop("items", [1]), arguments.pop("fn", double), **arguments)
        arguments = {"items": [1], "fn": double, **options}


def test_both_functions_take_the_same_options() -> None:
    """What `run_batch` takes `iter_batch` takes too, with the same defaults but for the bar."""
    one, other = (dict(inspect.signature(call).parameters) for call in (run_batch, iter_batch))
    assert one.pop("progress").default != other.pop("progress").default
    assert [*one] == [*other]
    assert all(one[name].default == other[name].default for name in one)


async def test_a_sync_function_is_refused_with_the_async_one(instant: Any) -> None:
    """A blocking method is refused before it is called, others when they have blocked once."""
    engine = load_index("en").as_query_engine(llm=instant)
    with pytest.raises(BatchMisused, match=r"`query` is not an async function.*pass `aquery`"):
        quiet(QUESTIONS, engine.query)
    assert instant.simulator.requests(instant.model) == []
    with pytest.raises(BatchMisused, match=r"`str` is not an async function.*`async def`"):
        await quiet(QUESTIONS, str)


async def test_one_await_at_a_time() -> None:
    """Two cells cannot run the same batch at once; the second is told to look at it."""
    run = quiet(range(3), double)
    first = asyncio.ensure_future(run)
    await asyncio.sleep(0)
    with pytest.raises(BatchMisused, match="already running"):
        await run
    assert len(await first) == 3


def test_a_run_says_how_far_it_is() -> None:
    """The repr of a run is one line, before it starts too."""
    assert repr(quiet(range(3), double)) == "<BatchRun 0 of 3 items ended, 0 failed>"
    assert "\n" not in repr(Outcome(item="a\nb", index=0, value="c\n" * 90))
