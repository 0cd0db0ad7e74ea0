"""Where the items of a batch come from, and that none changes what becomes of another."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from nbkit import load_index
from nbkit.batch.journal import Journal, JournalError
from nbkit.batch.outcome import BatchError, Outcome
from nbkit.batch.run import iter_batch, run_batch
from nbkit.streaming.answer import Answer
from tests.simulated import simulated

QUESTIONS = ["How long is the warranty?", "How do I return it?", "What does it weigh?"]


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def quiet(items: Any, fn: Any, **options: Any) -> Any:
    return run_batch(items, fn, progress=False, **options)


async def take(outcomes: AsyncIterator[Outcome], values: list[Any]) -> None:
    async for outcome in outcomes:
        values.append(outcome.value)  # noqa: PERF401 - kept also if an error follows


@pytest.mark.parametrize("streaming", [True, False])
async def test_what_others_returned_does_not_change_a_trace(instant: Any, streaming: bool) -> None:
    """An answer's clock starts when it is asked for, whatever other items returned."""
    engine = load_index("en").as_query_engine(llm=instant, streaming=streaming)

    async def either(number: int) -> Any:
        return await engine.aquery(QUESTIONS[0]) if number % 2 == 0 else number

    outcomes = await quiet(range(4), either, max_concurrency=1)
    assert [type(outcome.value) for outcome in outcomes] == [Answer, int, Answer, int]
    for outcome in outcomes[::2]:
        trace = outcome.value.trace
        assert trace.start == outcome.attempt_starts[0]
        assert trace.start < min(trace.requested, trace.responded)
        assert trace.model == outcomes[0].value.trace.model is not None
    for outcome in outcomes[1::2]:
        assert outcome.trace.start == outcome.attempt_starts[0]
        assert (outcome.trace.arrivals, outcome.trace.requested) == ([], None)


async def test_a_failed_turn_leaves_no_question_open(instant: Any) -> None:
    """A chat's memory is put right where the call itself failed, whatever came before."""
    broken = simulated(fault="error", speed=0, seed=64)
    chat = load_index("en").as_chat_engine(chat_mode="context", llm=broken)

    async def either(question: str) -> Any:
        return await chat.achat(question) if question else "plain"

    await quiet(["", QUESTIONS[0]], either, max_concurrency=1, attempts=1)
    roles = [message.role for message in chat.chat_history]
    assert roles == ["user", "assistant"]


async def test_a_source_is_read_no_faster_than_outcomes_are_taken() -> None:
    """An endless source is read as far as there is room for what comes of it."""
    read = 0

    def endless() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    taken = 0
    async with aclosing(iter_batch(endless(), double, max_concurrency=4)) as outcomes:
        async for outcome in outcomes:
            taken += 1
            for _ in range(20):
                await asyncio.sleep(0)
            assert outcome.value == 2 * outcome.item
            assert read <= taken + 4
            if taken == 30:
                break


async def test_an_async_source_is_awaited() -> None:
    """Outcomes arrive while an async source is still waiting for its next item."""
    heard = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        await heard.wait()
        yield 2

    values = []
    async for outcome in iter_batch(source(), double):
        values.append(outcome.value)
        heard.set()
    assert values == [2, 4]


async def test_a_source_that_breaks_is_heard_of() -> None:
    """An error of the source is raised as it is, where the outcomes are taken."""

    def breaks() -> Iterator[int]:
        yield 1
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        _ = [outcome async for outcome in iter_batch(breaks(), double)]


@pytest.mark.parametrize("journal", [False, True])
async def test_what_is_under_way_ends_before_a_broken_source_is_told(
    journal: bool, tmp_path: Path
) -> None:
    """What was asked is paid for: it ends and is yielded, and then the error is raised."""
    broken = asyncio.Event()

    def breaks() -> Iterator[int]:
        yield from range(3)
        broken.set()
        raise OSError("the file is gone")

    async def ask(number: int) -> int:
        await broken.wait()
        await asyncio.sleep(0)
        return number

    path = tmp_path / "run.jsonl"
    got: list[Any] = []
    with pytest.raises(OSError, match="the file is gone"):
        await take(iter_batch(breaks(), ask, journal=path if journal else None), got)
    assert sorted(got) == [0, 1, 2]
    if journal:
        assert len(Journal(path).rows()) == 3


async def test_an_item_that_is_refused_waits_for_those_under_way(tmp_path: Path) -> None:
    """So it is where the source gives something that the journal cannot hold."""
    got: list[Any] = []
    path = tmp_path / "run.jsonl"
    with pytest.raises(JournalError, match="cannot be written as JSON"):
        await take(iter_batch([1, 2, object()], double, journal=path), got)
    assert sorted(got) == [2, 4]


async def test_a_cancelled_source_is_told() -> None:
    """A source whose own task is cancelled ends the batch with a sentence; it does not hang."""

    async def source() -> AsyncIterator[int]:
        yield 1
        raise asyncio.CancelledError

    got: list[Any] = []
    with pytest.raises(BatchError, match="cancelled, but not by the batch"):
        async with asyncio.timeout(5):
            await take(iter_batch(source(), double), got)
    assert got == [2]
