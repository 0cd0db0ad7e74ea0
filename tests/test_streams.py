import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.base.response.schema import Response

from nbkit import stream
from nbkit.streaming.errors import StreamBroken, StreamMisused
from nbkit.streaming.reply_faults import cut_by_model

WORDS = ["Lumina ", "One ", "流明一号 ", "shines."]


async def words(pause: float = 0.0) -> AsyncIterator[str]:
    for word in WORDS:
        await asyncio.sleep(pause)
        yield word


def blocking_words(pause: float = 0.0) -> Iterator[str]:
    for word in WORDS:
        time.sleep(pause)
        yield word


async def completions() -> AsyncIterator[CompletionResponse]:
    text = ""
    for word in ["", *WORDS, ""]:
        text += word
        yield CompletionResponse(text=text, delta=word)


def chat_deltas() -> Iterator[ChatResponse]:
    for word in WORDS:
        yield ChatResponse(message=ChatMessage(content=word), delta=word)


async def a_whole_response() -> Response:
    return Response("".join(WORDS))


@pytest.mark.parametrize(
    "make",
    [
        words,
        blocking_words,
        completions,
        chat_deltas,
        a_whole_response,
        lambda: list(WORDS),
        lambda: Response("".join(WORDS)),
        lambda: words,
        lambda: a_whole_response,
        lambda: blocking_words,
        lambda: lambda: Response("".join(WORDS)),
        lambda: CompletionResponse(text="".join(WORDS)),
        lambda: ChatResponse(message=ChatMessage(content="".join(WORDS))),
    ],
)
async def test_every_kind_gives_the_same_text(make: Any) -> None:
    """Whatever the answer comes as, its text is the same and nothing empty is counted."""
    answer = await stream(make())
    assert answer.text == "".join(WORDS)
    assert answer.state == "done"
    assert answer.trace.chunks in (1, len(WORDS))
    assert sum(answer.trace.sizes) == len(answer.text)


async def test_chunks_arrive_one_by_one() -> None:
    """Iterating yields the deltas in order, and the whole answer is there at the end."""
    tokens = stream(words())
    assert [chunk async for chunk in tokens] == WORDS
    assert tokens.answer is not None
    assert str(tokens.answer) == "".join(WORDS)


async def test_a_blocking_source_leaves_the_loop_free() -> None:
    """Blocking generators are read in a thread: the event loop goes on turning meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.005)

    counter = asyncio.create_task(count())
    await stream(blocking_words(pause=0.05))
    counter.cancel()
    assert turns >= 10


async def test_a_burst_leaves_the_loop_free() -> None:
    """A source that never suspends cannot keep Stop, or anything else, from running."""

    async def burst() -> AsyncIterator[str]:
        while True:
            yield "x"

    tokens = stream(burst())
    asyncio.get_running_loop().call_later(0.02, tokens.cancel)
    answer = await tokens
    assert answer.stopped
    assert answer.text


async def test_the_clock_starts_before_a_coroutine_runs() -> None:
    """TTFT of a coroutine includes all it does before its first token, retrieval included."""

    async def slow_retrieval() -> Any:
        await asyncio.sleep(0.05)
        return words()

    source = slow_retrieval()
    tokens = stream(source)
    await asyncio.sleep(0.05)
    answer = await tokens
    assert answer.trace.retrieval is not None
    assert answer.trace.retrieval >= 0.05
    assert answer.trace.ttft is not None
    assert answer.trace.ttft >= 0.05
    assert answer.trace.start > tokens.trace.start - 1e-9


async def test_a_second_reader_is_refused() -> None:
    """A stream is read once: a second reader gets an error, not half an answer."""
    tokens = stream(words())
    await tokens
    with pytest.raises(StreamMisused, match=r"already been read .* `\.answer`"):
        await tokens
    with pytest.raises(StreamMisused):
        async for _ in tokens:
            pass


async def test_leaving_the_loop_stops_the_source() -> None:
    """Breaking out ends the source at once and keeps what had arrived."""
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                await asyncio.sleep(0)
                yield "x"
        finally:
            closed.set()

    tokens = stream(endless())
    async for _ in tokens:
        break
    await asyncio.wait_for(closed.wait(), 1)
    assert await _settled(tokens)
    assert tokens.answer.stopped  # type: ignore[union-attr]
    assert tokens.answer.text  # type: ignore[union-attr]


async def _settled(tokens: Any) -> bool:
    async with asyncio.timeout(1):
        while tokens.answer is None:
            await asyncio.sleep(0)
    return True


async def test_cancel_works_from_another_thread() -> None:
    """`cancel()` may be called from any thread, and more than once."""
    tokens = stream(words(pause=0.2))
    started = asyncio.ensure_future(_collect(tokens))
    await asyncio.sleep(0)
    for _ in range(2):
        thread = threading.Thread(target=tokens.cancel)
        thread.start()
        await asyncio.to_thread(thread.join)
    answer = await started
    assert answer.stopped
    assert answer.error is None


async def _collect(tokens: Any) -> Any:
    return await tokens


async def test_cancel_before_reading() -> None:
    """A stream cancelled before it is read never asks the model anything."""
    asked = False

    async def ask() -> Response:
        nonlocal asked
        asked = True
        return Response("no")

    tokens = stream(ask())
    tokens.cancel()
    answer = await tokens
    assert answer.stopped
    assert answer.text == ""
    assert not asked


async def test_cancelling_the_reader_keeps_the_partial() -> None:
    """A reader's task that is cancelled (a kernel interrupt) leaves the partial answer behind."""
    tokens = stream(words(pause=0.05))

    async def read() -> None:
        await tokens

    task = asyncio.create_task(read())
    while not tokens.text:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tokens.answer is not None
    assert tokens.answer.stopped
    assert tokens.answer.text.startswith("Lumina")


async def test_nothing_is_left_behind() -> None:
    """After a stop no task and no thread of ours remains."""
    before = threading.active_count()
    for source in (words(pause=0.02), blocking_words(pause=0.02)):
        tokens = stream(source)
        async for _ in tokens:
            break
        await _settled(tokens)
    async with asyncio.timeout(2):
        while threading.active_count() > before:
            await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_in_the_middle_keeps_the_partial() -> None:
    """The chunks before an error are delivered; the error carries them and its cause."""

    async def breaks() -> AsyncIterator[str]:
        yield "half"
        raise ConnectionResetError("peer went away")

    seen = []
    with pytest.raises(StreamBroken, match=r"after 1 chunk .* kept in `\.answer`") as caught:
        async for chunk in stream(breaks()):
            seen.append(chunk)  # noqa: PERF401 - the loop must be left by the error
    assert seen == ["half"]
    assert caught.value.answer.text == "half"
    assert caught.value.answer.state == "failed"
    assert isinstance(caught.value.__cause__, ConnectionResetError)


class Engine:
    """Stands in for anything of LlamaIndex's that must still be asked."""

    def query(self, question: str) -> Response:
        return Response(question)

    async def aquery(self, question: str) -> Response:
        return Response(question)


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("How long is the warranty?", r"engine\.aquery"),
        (None, r"engine\.aquery"),
        (Engine().query, r"`engine\.aquery\(\"your question\"\)`"),
        (Engine().aquery, r"`engine\.aquery\(\"your question\"\)`"),
        (Engine(), r"which is not an answer — ask it a question: .*\.aquery"),
        (lambda question: question, r"still needs its arguments"),
    ],
)
def test_wrong_calls_name_the_right_one(wrong: Any, advice: str) -> None:
    """A wrong call fails at once, in one message that says what to write instead."""
    with pytest.raises(StreamMisused, match=advice):
        stream(wrong)


async def test_a_used_coroutine_is_refused() -> None:
    """A coroutine answers once; the message says to call the engine again."""
    source = a_whole_response()
    await source
    with pytest.raises(StreamMisused, match="already been awaited"):
        stream(source)


async def test_a_source_of_something_else_is_refused() -> None:
    """An iterable that yields no text is a wrong call, said as such."""
    with pytest.raises(StreamMisused, match="Got int where text was expected"):
        await stream([1, 2])


async def test_errors_read_well_in_a_notebook() -> None:
    """IPython shows the message alone, not frames from inside the library."""
    with pytest.raises(StreamMisused) as caught:
        stream("text")
    (line,) = caught.value._render_traceback_()
    assert "StreamMisused" in line
    assert "not an answer" in line


async def test_truncation_errors_name_their_cause() -> None:
    """The message of each truncation says what cut the answer and what to do."""
    assert "max_tokens" in str(cut_by_model("length"))
    assert "provider cut" in str(cut_by_model("content_filter"))
