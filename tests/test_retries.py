import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

import httpx
import openai
import pytest
from llama_index.llms.openai import OpenAI

from nbkit import stream
from nbkit.batch.retries import can_succeed_later, retry_after
from nbkit.batch.run import run_batch
from nbkit.streaming.errors import StreamMisused
from nbkit.streaming.reply_faults import cut_by_model
from tests.simulated import simulated

REQUEST = httpx.Request("POST", "http://model/v1")


def failure(status: int, code: str | None = None, **headers: str) -> openai.APIStatusError:
    response = httpx.Response(status, headers=headers, request=REQUEST)
    kind = openai.RateLimitError if status == 429 else openai.APIStatusError
    return kind("no", response=response, body={"code": code})


async def outcomes_of(items: Any, fn: Any, **options: Any) -> list[Any]:
    return await run_batch(items, fn, progress=False, **options)


@pytest.mark.parametrize(
    ("error", "later"),
    [
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (httpx.ReadTimeout("slow"), True),
        (httpx.RemoteProtocolError("cut"), True),
        (openai.APIConnectionError(request=REQUEST), True),
        (openai.APITimeoutError(REQUEST), True),
        (openai.APIError("event", REQUEST, body=None), True),
        *[(failure(status), True) for status in (408, 409, 429, 500, 502, 503, 529)],
        *[(failure(status), False) for status in (400, 401, 403, 404, 422)],
        (failure(429, "insufficient_quota"), False),
        (failure(429, **{"retry-after": "86400"}), False),
        (ValueError("bug"), False),
        (StreamMisused("wrong call"), False),
        (cut_by_model("length"), False),
    ],
    ids=repr,
)
def test_only_what_can_succeed_later_is_tried_again(error: Exception, later: bool) -> None:
    """Passing troubles are told from what stays as it is however often it is asked."""
    assert can_succeed_later(error) is later


def test_retry_after_is_read_in_both_forms() -> None:
    """Seconds and dates (RFC 9110) are understood; nonsense and absence are not an error."""
    assert retry_after(failure(429, **{"retry-after": "1.5"})) == 1.5
    date = formatdate(time.time() + 100, usegmt=True)
    assert retry_after(failure(503, **{"retry-after": date})) == pytest.approx(100, abs=5)
    assert retry_after(failure(429, **{"retry-after": "soon"})) is None
    assert retry_after(failure(429)) is None
    assert retry_after(ValueError()) is None


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_failing_item_is_asked_as_often_as_said(streaming: bool) -> None:
    """`attempts=3` is three requests at the server, no more, and the last error is kept."""
    llm = simulated(fault="error", speed=0, seed=71)
    llm.simulator.clear()
    ask = llm.astream_complete if streaming else llm.acomplete
    (outcome,) = await outcomes_of(["What can you do?"], ask, attempts=3)
    assert outcome.attempts == len(outcome.attempt_starts) == 3
    assert len(llm.simulator.requests(llm.model)) == 3
    assert outcome.state == "failed"
    assert outcome.trace.end > outcome.attempt_starts[-1]


@pytest.mark.parametrize("fault", ["cut", "close", "error_event"])
async def test_an_answer_that_breaks_is_asked_again_whole(fault: str) -> None:
    """Call and iteration are one attempt: nothing of the broken answer is in the next."""
    llm = simulated(fault=fault, speed=0, seed=72)
    good = simulated(speed=0, seed=73)
    llms = iter([llm, llm, good])

    async def ask(question: str) -> Any:
        return await next(llms).astream_complete(question)

    (outcome,) = await outcomes_of(["What can you do?"], ask)
    whole = await stream(good.astream_complete("What can you do?"))
    assert outcome.value.text == whole.text
    assert outcome.attempts == 3


async def test_what_was_shown_is_not_asked_again() -> None:
    """If the function itself had read a part, somebody may have seen it: its error is final."""
    llm = simulated(fault="cut", speed=0, seed=72)
    asked = 0

    async def read(question: str) -> Any:
        nonlocal asked
        asked += 1
        return await stream(llm.astream_complete(question))

    (outcome,) = await outcomes_of(["What can you do?"], read)
    assert asked == outcome.attempts == 1
    assert outcome.error.answer.text


async def test_a_bad_request_is_not_repeated() -> None:
    """What the server calls a mistake of ours is asked once."""
    llm = simulated(context_window=256, speed=0, seed=74)
    llm.simulator.clear()
    (outcome,) = await outcomes_of(["word " * 500], llm.astream_complete)
    assert outcome.attempts == 1
    assert len(llm.simulator.requests(llm.model)) == 1


async def test_a_function_that_recovers_has_no_error() -> None:
    """An item that succeeds at its second attempt is done, and says that it took two."""
    seen: set[int] = set()

    async def second_time(number: int) -> int:
        await asyncio.sleep(0)
        if number not in seen:
            seen.add(number)
            raise ConnectionResetError
        return number

    outcomes = await outcomes_of(range(3), second_time)
    assert [outcome.value for outcome in outcomes] == [0, 1, 2]
    assert [outcome.attempts for outcome in outcomes] == [2, 2, 2]


async def test_a_client_that_retries_too_is_reported() -> None:
    """Two layers of retries multiply requests, so the batch warns of the other one."""
    llm = OpenAI(model="gpt-4o-mini", api_key="none", api_base="http://127.0.0.1:9/v1")
    with pytest.warns(UserWarning, match=r"max_retries=3.*max_retries=0"):
        run_batch(["a"], llm.acomplete)


async def test_an_answer_stopped_elsewhere_is_no_value() -> None:
    """Half an answer, cancelled from within, never passes for a whole one; nor is it lost."""

    async def words() -> AsyncIterator[str]:
        yield "half"
        raise asyncio.CancelledError

    async def cancelled(number: int) -> int:
        await asyncio.sleep(0)
        if number == 2:
            raise asyncio.CancelledError
        return number

    (outcome,) = await outcomes_of(["a"], lambda _: words())
    assert "cancelled, but not by" in str(outcome.error)
    assert outcome.error.answer.text == "half"
    outcomes = await outcomes_of(range(5), cancelled, max_concurrency=1)
    assert [outcome.state for outcome in outcomes] == ["done", "done", "failed", "done", "done"]
