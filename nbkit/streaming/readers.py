"""The text deltas inside every kind of answer LlamaIndex can give.

`open_deltas` returns a reader: an async iterator of deltas that never blocks the event loop, with
a `stop()` that really ends generation at the model.
"""

import asyncio
import inspect
import queue
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Sized
from contextlib import aclosing, nullcontext, suppress
from contextvars import copy_context
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine.types import AgentChatResponse, StreamingAgentChatResponse
from pydantic import BaseModel

from nbkit.streaming.agents import is_of_agent, refuse
from nbkit.streaming.connections import close_connection
from nbkit.streaming.errors import SourceExited, StreamMisused, not_an_answer

_WHOLE = (Response, PydanticResponse, AgentChatResponse, ChatResponse, CompletionResponse)
_END = object()
_POLL_SECONDS = 0.02
_WRITER_STOP_SECONDS = 1.0


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a blocking function in a thread, where `SystemExit` would end the event loop instead.

    Raises `StreamMisused` for a function that needs the event loop.
    """
    try:
        return function(*arguments)
    except RuntimeError as error:
        if "no running event loop" not in str(error):
            raise
        # Python would warn of each coroutine that the failed call made and never started.
        for frame, _ in traceback.walk_tb(error.__traceback__):
            for value in filter(inspect.iscoroutine, frame.f_locals.values()):
                if inspect.getcoroutinestate(value) == "CORO_CREATED":
                    value.close()
        raise StreamMisused(
            "A function without `async` is called in a thread, and this one needs the event loop",
            "write it with `async def`.",
        ) from error
    except SystemExit as error:
        raise SourceExited(type(error).__name__) from None


class Reader:
    """Deltas of one answer; subclasses know how to read and how to stop their kind."""

    from_model = False
    """A model streams this answer, so an empty one is a fault."""

    def __aiter__(self) -> AsyncIterator[str]:
        raise NotImplementedError

    def stop(self) -> None:
        """Make reading end at the model too; called on the event loop's thread."""

    async def stopped(self) -> None:
        """Wait until nothing of the answer is being written any more."""


class _Async(Reader):
    """An async iterator: cancelling the task that reads it closes its connection."""

    def __init__(self, items: Any, *, from_model: bool = False) -> None:
        self._items = items
        self.from_model = from_model

    async def __aiter__(self) -> AsyncIterator[str]:
        closing = aclosing(self._items) if hasattr(self._items, "aclose") else nullcontext()
        async with closing:
            async for item in self._items:
                yield delta_of(item)


class _Blocking(Reader):
    """A blocking iterator, read in a thread of its own."""

    def __init__(self, items: Iterable[Any], *, from_model: bool = False) -> None:
        self._items: Iterable[Any] | None = items
        self.from_model = from_model
        self._halt = threading.Event()

    async def __aiter__(self) -> AsyncIterator[str]:
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(item: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
                loop.call_soon_threadsafe(arrived.put_nowait, item)

        context = copy_context()
        threading.Thread(
            target=context.run, args=(self._read, deliver), name="nbkit-reader", daemon=True
        ).start()
        while (item := await arrived.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _read(self, deliver: Callable[[Any], None]) -> None:
        items, self._items = self._items, None
        try:
            for item in items or ():
                if self._halt.is_set():
                    break
                deliver(delta_of(item))
        except Exception as error:  # noqa: BLE001 - handed to the reader, which raises it
            deliver(error)
        except BaseException as error:  # noqa: BLE001 - it would end this thread and no more
            deliver(SourceExited(type(error).__name__))
        finally:
            try:
                if self._halt.is_set():
                    self._close(items)
            finally:
                deliver(_END)

    def _close(self, items: Any) -> None:
        close_connection(items)

    def stop(self) -> None:
        self._halt.set()


class _ChatQueue(queue.Queue[Any]):
    """The queue of LlamaIndex's history thread, able to end that thread from outside."""

    def __init__(self, feed: Any) -> None:
        super().__init__()
        self._feed = feed
        self.halt = threading.Event()

    def put_nowait(self, item: Any) -> None:
        if self.halt.is_set():
            close_connection(self._feed)
            # Not an Exception: LlamaIndex's writer must neither report it nor store the answer.
            raise SystemExit
        super().put_nowait(item)


class _BlockingChat(_Blocking):
    """`stream_chat()`: LlamaIndex drains the model in a thread, whoever reads or stops.

    Unlike `response_gen`, its queue is read without a busy wait, and stops the thread.
    """

    def __init__(self, response: StreamingAgentChatResponse) -> None:
        self._response = response
        self._writer = response.write_response_to_history_thread
        self._first = response.queue
        self._queue = _ChatQueue(response.chat_stream)
        response.queue = self._queue
        super().__init__(self._drain(), from_model=True)

    def _drain(self) -> Iterable[Any]:
        if self._writer is None:
            yield from self._response.chat_stream or ()
            return
        writing = True
        while writing:
            writing = self._writer.is_alive()
            newer = list(_taken(self._queue, _POLL_SECONDS if writing else 0))
            # The writer may have fetched the first queue just before it was replaced.
            yield from _taken(self._first)
            yield from newer
        if self._response.exception is not None:
            raise self._response.exception
        if not self._response.is_done and not self._queue.halt.is_set():
            raise SourceExited("the end of the thread that reads the model")

    def _close(self, items: Any) -> None:
        """The writer closes the connection, in its own thread."""

    def stop(self) -> None:
        super().stop()
        self._queue.halt.set()

    async def stopped(self) -> None:
        if self._writer is not None:
            await asyncio.to_thread(self._writer.join, _WRITER_STOP_SECONDS)


def _taken(source: queue.Queue[Any], seconds: float = 0) -> Iterable[str]:
    """All that is in a queue; wait at most so long for the first."""
    with suppress(queue.Empty):
        yield source.get(timeout=seconds)
        while True:
            yield source.get_nowait()


class _AsyncChat(Reader):
    """`astream_chat()`: a task of LlamaIndex's drains the model and writes the history.

    Unlike `async_response_gen()`, its queue keeps the deltas that arrived just before an error,
    and ends with the last one instead of up to 0.1 s after it.
    """

    from_model = True

    def __init__(self, response: StreamingAgentChatResponse) -> None:
        self._response = response
        self._writer = response.awrite_response_to_history_task
        self._stopped = False

    async def __aiter__(self) -> AsyncIterator[str]:
        writer = self._writer
        if writer is None:
            async for item in self._response.achat_stream:  # type: ignore[union-attr]
                yield delta_of(item)
            return
        if self._response.aqueue is None:
            self._response.aqueue = asyncio.Queue()  # where the task will then write
        arrived: asyncio.Queue[Any] = self._response.aqueue
        writer.add_done_callback(lambda _: arrived.put_nowait(_END))
        while (delta := await arrived.get()) is not _END:
            yield delta or ""
        if writer.cancelled():
            if not self._stopped:
                raise SourceExited("somebody who cancelled LlamaIndex's task")
        elif (error := writer.exception()) is not None:
            raise error

    def stop(self) -> None:
        self._stopped = True
        if self._writer is not None:
            self._writer.cancel()

    async def stopped(self) -> None:
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=_WRITER_STOP_SECONDS)


def open_deltas(answer: Any) -> Reader:
    """Return a `Reader` for any answer of LlamaIndex's, or any (async) iterable of text.

    Raises `StreamMisused` for any other object, and for an agent's.
    """
    if is_of_agent(answer):
        raise StreamMisused(refuse(answer))
    if isinstance(answer, StreamingAgentChatResponse):
        is_async = answer.awrite_response_to_history_task or answer.achat_stream
        return _AsyncChat(answer) if is_async else _BlockingChat(answer)
    if isinstance(answer, AsyncStreamingResponse):
        return _Async(answer.async_response_gen(), from_model=True)
    if isinstance(answer, StreamingResponse):
        return _Blocking(answer.response_gen, from_model=True)
    if isinstance(answer, _WHOLE):
        return _Async(_whole(_text_of(answer)))
    if hasattr(answer, "__aiter__"):
        return _Async(answer)
    if _is_stream(answer):
        return _Blocking(answer)
    raise not_an_answer(answer)


def _is_stream(answer: Any) -> bool:
    """Tell streams from containers, which are iterable too: sets, mappings, arrays, models."""
    is_container = isinstance(answer, Sized | BaseModel) and not isinstance(answer, list | tuple)
    return isinstance(answer, Iterable) and not is_container


def delta_of(item: Any) -> str:
    """The text one item of a stream adds: a `str`, or a LlamaIndex response with a delta."""
    if isinstance(item, str):
        return item
    delta = getattr(item, "delta", _END)
    if delta is None or isinstance(delta, str):
        return delta or ""
    if is_of_agent(item):
        raise StreamMisused(refuse(item))
    raise not_an_answer(item)


async def _whole(text: str) -> AsyncIterator[str]:
    yield text


def _text_of(answer: Any) -> str:
    if isinstance(answer, ChatResponse):
        return answer.message.content or ""
    if isinstance(answer, CompletionResponse):
        return answer.text or ""
    if isinstance(answer, Response | AgentChatResponse):
        return answer.response or ""
    return str(answer)
