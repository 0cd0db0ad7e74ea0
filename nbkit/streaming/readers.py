"""The text deltas of every kind of LlamaIndex answer, read without blocking the event loop."""

import asyncio
import gc
import inspect
import queue
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sized
from contextlib import aclosing, nullcontext, suppress
from contextvars import copy_context
from types import CellType, GeneratorType
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

from nbkit.language import say
from nbkit.streaming.agents import is_of_agent, refuse
from nbkit.streaming.errors import StreamMisused, exited, not_an_answer
from nbkit.streaming.history import ChatTurn
from nbkit.streaming.model_call import ModelCall
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.trace import Trace

_WHOLE = (Response, PydanticResponse, AgentChatResponse, ChatResponse, CompletionResponse)
_END = object()
_POLL_SECONDS = 0.02
_WRITER_STOP_SECONDS = 1.0


class NeedsLoop(Exception):
    """A function that was called in a thread needs the event loop."""


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a thread; raises `NeedsLoop` if it needs the event loop."""
    try:
        return function(*arguments)
    except RuntimeError as error:
        if "no running event loop" not in str(error):
            raise
        _close_coroutines(error)
        raise NeedsLoop from None
    except SystemExit as error:
        raise exited(type(error).__name__) from None


def _close_coroutines(error: BaseException) -> None:
    """Close what was made for the loop before it failed; otherwise Python warns about it."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for made in frame.f_locals.values():
            if inspect.iscoroutine(made):
                made.close()


class Reader:
    """The deltas of an async iterator; cancelling the task that reads closes the connection."""

    def __init__(self, items: Any, *, from_model: bool = False) -> None:
        self._items = items
        self.from_model = from_model
        """A model streams this answer, so an empty one is an error."""
        self.result: Any = None
        """What the source gave at its end, beside the text."""
        self.steps: list[ToolStep] = []
        self.sources: list[Any] = []

    async def __aiter__(self) -> AsyncIterator[str]:
        closing = aclosing(self._items) if hasattr(self._items, "aclose") else nullcontext()
        async with closing:
            async for item in self._items:
                yield delta_of(item)

    def stop(self) -> None:
        """Stop the source too; called on the event loop's thread."""

    async def stopped(self) -> None:
        """Wait until nothing writes this answer to a memory any more."""

    @property
    def last_call(self) -> ModelCall | None:
        """The model's last call, if the reader itself has seen it."""
        return None

    async def turn(self, heard: ChatTurn | None) -> ChatTurn | None:
        """The turn of a chat that this answer belongs to; `heard` is what events said."""
        return heard

    def copy_to(self, trace: Trace) -> None:
        """Copy to a trace what the reader itself knows of the model's calls."""


def _close_connection(generator: Any) -> None:
    """Close every HTTP stream that `generator` is reading from; called between two items.

    Closing the generator is not enough: openai's `Stream` is in a reference cycle, so the model
    would continue until the next garbage collection. If no stream is found, one is run now.
    """
    streams = list(_http_streams(generator))
    for stream in streams:
        stream.close()
    if hasattr(generator, "close"):
        generator.close()
    if not streams:
        gc.collect()


def _http_streams(start: Any) -> Iterator[Any]:
    """The client's HTTP streams behind `start`, found through its chain of generators."""
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, GeneratorType | CellType):
            waiting.extend(gc.get_referents(thing))
        # The streams of openai have both.
        elif hasattr(type(thing), "close") and hasattr(thing, "response"):
            yield thing


class _BlockingReader(Reader):
    """The deltas of a blocking iterator, read in its own thread."""

    def __init__(self, items: Iterable[Any], *, from_model: bool = False) -> None:
        super().__init__(items, from_model=from_model)
        self._halt = threading.Event()

    async def __aiter__(self) -> AsyncIterator[str]:
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(item: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nothing waits for the item
                loop.call_soon_threadsafe(arrived.put_nowait, item)

        threading.Thread(
            target=copy_context().run, args=(self._read, deliver), name="nbkit-reader", daemon=True
        ).start()
        while (item := await arrived.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _read(self, deliver: Callable[[Any], None]) -> None:
        items, self._items = self._items, None
        try:
            for item in items:
                if self._halt.is_set():
                    break
                deliver(delta_of(item))
        except Exception as error:  # noqa: BLE001 - handed to the reader, which raises it
            deliver(error)
        except BaseException as error:  # noqa: BLE001 - it would end only this thread
            deliver(exited(type(error).__name__))
        finally:
            try:
                if self._halt.is_set():
                    self._close(items)
            finally:
                deliver(_END)

    def _close(self, items: Any) -> None:
        _close_connection(items)

    def stop(self) -> None:
        self._halt.set()


class _BlockingChatReader(_BlockingReader):
    """The deltas of `stream_chat()`, for which LlamaIndex reads the model in its own thread.

    Unlike `response_gen`, this reads the queue without a busy wait, and a stop ends the thread.
    """

    def __init__(self, response: StreamingAgentChatResponse, writer: threading.Thread) -> None:
        super().__init__(self._drain(), from_model=True)
        self._response = response
        self._writer = writer
        self._put = response.queue.put_nowait
        response.queue.put_nowait = self._put_or_exit  # type: ignore[method-assign,assignment]

    def _put_or_exit(self, delta: Any) -> None:
        """Replaces the queue's own method, which LlamaIndex's thread calls."""
        if self._halt.is_set():
            _close_connection(self._response.chat_stream)
            # Not an Exception, so that LlamaIndex's writer does not report it or store the answer.
            raise SystemExit
        self._put(delta)

    def _drain(self) -> Iterable[Any]:
        writing = True
        while writing or not self._response.queue.empty():
            writing = self._writer.is_alive()
            with suppress(queue.Empty):
                yield self._response.queue.get(timeout=_POLL_SECONDS if writing else 0)
        if self._response.exception is not None:
            raise self._response.exception
        if not self._response.is_done and not self._halt.is_set():
            raise exited(say("the end of the thread that reads the model"))

    def _close(self, items: Any) -> None:
        """Nothing: the writer closes the connection, in its own thread."""

    async def stopped(self) -> None:
        await asyncio.to_thread(self._writer.join, _WRITER_STOP_SECONDS)


class _AsyncChatReader(Reader):
    """The deltas of `astream_chat()`, for which a LlamaIndex task reads the model.

    Unlike `async_response_gen()`, this keeps the deltas that arrived just before an error, and
    ends with the last delta instead of up to 0.1 s after it.
    """

    def __init__(self, response: StreamingAgentChatResponse, writer: asyncio.Task[Any]) -> None:
        if response.aqueue is None:
            response.aqueue = asyncio.Queue()  # the task writes to it from now on
        super().__init__(response.aqueue, from_model=True)
        self._writer = writer

    async def __aiter__(self) -> AsyncIterator[str]:
        self._writer.add_done_callback(lambda _: self._items.put_nowait(_END))
        while (delta := await self._items.get()) is not _END:
            yield delta or ""
        self._writer.result()  # raises the error of the task, if there was one

    def stop(self) -> None:
        self._writer.cancel()

    async def stopped(self) -> None:
        await asyncio.wait({self._writer}, timeout=_WRITER_STOP_SECONDS)


def open_deltas(answer: Any) -> Reader:
    """A `Reader` for any answer of LlamaIndex, or any (async) iterable of text.

    Raises `StreamMisused` for any other object, and for the answer of an agent.
    """
    if is_of_agent(answer):
        raise StreamMisused(refuse(answer))
    if isinstance(answer, StreamingAgentChatResponse):
        if (task := answer.awrite_response_to_history_task) is not None:
            return _AsyncChatReader(answer, task)
        if (thread := answer.write_response_to_history_thread) is not None:
            return _BlockingChatReader(answer, thread)
        answer = answer.achat_stream or answer.chat_stream
    if isinstance(answer, AsyncStreamingResponse):
        return Reader(answer.async_response_gen(), from_model=True)
    if isinstance(answer, StreamingResponse):
        return _BlockingReader(answer.response_gen, from_model=True)
    if isinstance(answer, _WHOLE):
        return Reader(_whole(answer))
    if hasattr(answer, "__aiter__"):
        return Reader(answer)
    if _is_stream(answer):
        return _BlockingReader(answer)
    raise not_an_answer(answer)


def _is_stream(answer: Any) -> bool:
    """Whether this is a stream, not another iterable such as a set, mapping, array or model."""
    is_container = isinstance(answer, Sized | BaseModel) and not isinstance(answer, list | tuple)
    return isinstance(answer, Iterable) and not is_container


def delta_of(item: Any) -> str:
    """The text that one item adds: a `str`, or a LlamaIndex response with a delta."""
    if isinstance(item, str):
        return item
    delta = getattr(item, "delta", _END)
    if delta is None or isinstance(delta, str):
        return delta or ""
    raise StreamMisused(refuse(item)) if is_of_agent(item) else not_an_answer(item)


async def _whole(answer: Any) -> AsyncIterator[str]:
    if isinstance(answer, ChatResponse):
        yield answer.message.content or ""
    elif isinstance(answer, Response | AgentChatResponse):
        yield answer.response or ""
    else:
        yield str(answer)
