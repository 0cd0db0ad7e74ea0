"""Sources that end by something else than their end: what they gave is never a whole answer."""

import asyncio
import gc
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import MockLLM

import nbkit
from nbkit import stream
from nbkit.streaming.errors import StreamBroken
from nbkit.streaming.stream import TokenStream


class Exits(MockLLM):
    """A model whose code calls `sys.exit()` after two words."""

    def stream_chat(self, *_: Any, **__: Any) -> Iterator[ChatResponse]:
        for word in ("one ", "two "):
            yield ChatResponse(message=ChatMessage(role="assistant", content=word), delta=word)
        sys.exit(3)


def _exits() -> Iterator[str]:
    yield from ("one ", "two ")
    sys.exit(3)


def _exits_at_once() -> Iterator[str]:
    sys.exit(3)
    yield ""


class Stuck:
    """A stream whose end fails as well."""

    def __iter__(self) -> Iterator[str]:
        yield from ("one ", "two ")
        raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("source", "text"),
    [
        (_exits, "one two "),
        (Stuck(), "one two "),
        (_exits_at_once, ""),
        (sys.exit, ""),
        (lambda: SimpleChatEngine.from_defaults(llm=Exits()).stream_chat("Hello?"), "one two "),
    ],
    ids=["generator", "interrupt", "at once", "function", "chat"],
)
async def test_an_exit_is_no_end(source: Any, text: str) -> None:
    """A blocking source that ends by `SystemExit` has failed; what it gave is the partial."""
    with pytest.raises(StreamBroken, match="was ended by") as caught:
        await stream(source)
    assert caught.value.answer.text == text
    assert caught.value.answer.state == "failed"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_on_the_loop_ends_the_program_and_is_no_answer(kind: type[BaseException]) -> None:
    """Raised on the event loop itself, it goes on as in any program; the answer is no whole one."""

    async def words() -> AsyncIterator[str]:
        yield "one "
        raise kind

    kept: list[TokenStream] = []

    async def main() -> None:
        kept.append(stream(words()))
        await kept[0]

    with pytest.raises(kind):
        asyncio.run(main())
    assert kept[0].answer is not None
    assert (kept[0].answer.text, kept[0].answer.state) == ("one ", "failed")


async def test_a_chat_whose_writer_is_cancelled() -> None:
    """An answer whose task in LlamaIndex was cancelled by somebody else counts as stopped."""
    llm = nbkit.connect(ttft=0.0, tokens_per_second=50)
    response = await SimpleChatEngine.from_defaults(llm=llm).astream_chat("Hello?")
    tokens = stream(response)

    def hear(_: str) -> None:
        assert response.awrite_response_to_history_task is not None
        response.awrite_response_to_history_task.cancel()

    answer = await tokens.follow(hear)
    assert answer.text
    assert answer.state == "stopped"


@pytest.mark.parametrize("source", [lambda: iter(["one"]), lambda: _later], ids=["sync", "async"])
def test_closed_loops_are_let_go(source: Callable[[], Any]) -> None:
    """Fifty `asyncio.run` leave no closed event loop behind."""
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await stream(source())

    for _ in range(50):
        asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name == "nbkit-reader":
            thread.join(5)
    deadline = time.monotonic() + 5
    while any(one() for one in loops) and time.monotonic() < deadline:
        gc.collect()  # does nothing while another thread is collecting
        time.sleep(0.01)
    assert not [one for one in loops if one() is not None]


async def _later() -> AsyncIterator[str]:
    await asyncio.sleep(0)
    yield "one"
