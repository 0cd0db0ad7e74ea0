"""Any LlamaIndex answer as one timed stream of text."""

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Self

from llama_index.core.chat_engine.types import AgentChatResponse

from nbkit.language import say
from nbkit.loops.heartbeat import YieldTimer, keep_waking
from nbkit.streaming import events
from nbkit.streaming.agent_run import AgentReader
from nbkit.streaming.agents import is_of_agent, is_run, refuse
from nbkit.streaming.answer import Answer, sources_of
from nbkit.streaming.as_coroutine import AsCoroutine
from nbkit.streaming.errors import (
    AnswerTruncated,
    NoAnswer,
    StreamError,
    StreamMisused,
    broken_by,
    check_source,
)
from nbkit.streaming.history import MemoryNotWritten
from nbkit.streaming.opening import answer_of
from nbkit.streaming.partial_answer import PartialAnswer
from nbkit.streaming.readers import Reader, open_deltas
from nbkit.streaming.reply_faults import fault_of
from nbkit.streaming.structured import ObjectReader, object_in, output_class
from nbkit.streaming.thinking import Thought, ThoughtSplitter
from nbkit.streaming.trace import clock_offset
from nbkit.wording import joined

_SETTLE_SECONDS = 2.0
_MAX_DELTAS_AFTER_STOP = 10_000  # of a source that never waits
_END = object()


class TokenStream(PartialAnswer, AsCoroutine[Answer]):
    """One answer as a stream: `async for chunk in s`, or `await s` for the whole `Answer`.

    It can be read once; `text`, `sources` and `trace` are available while it runs. Leaving the
    loop early, cancelling the task that reads, or `cancel()` stops generation at the model within
    one token, and keeps what has arrived.

    Raises `StreamBroken` (the model or the connection failed) or `AnswerTruncated` (the answer
    is incomplete) after the last chunk; both have the partial answer as `.answer`. A second
    reader gets `StreamMisused`. Taught in notebook 01.
    """

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.answer: Answer | None = None
        """The finished answer; `None` until then."""
        self.opened = asyncio.Event()
        """Set as soon as LlamaIndex responds: `sources` are known, the first token has not come."""
        self.demand: asyncio.Event | None = None
        """If given, the source is read only while this event is set."""
        self._source = source
        self._response: Any = None
        self._record = events.EventRecord()
        self._pump_task: asyncio.Task[None] | None = None
        self._stopping = False
        self._pumping = False

    @classmethod
    def of_call(cls, source: Any, start: float, record: events.EventRecord) -> Self:
        """The stream of a call that began at `start`, with the events recorded since then."""
        tokens = cls(source)
        tokens.trace.start, tokens._record = start, record
        return tokens

    async def __aiter__(self) -> AsyncIterator[str]:
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        pump = self._start(arrived.put_nowait)
        pump.add_done_callback(lambda _: arrived.put_nowait(_END))
        try:
            while (chunk := await arrived.get()) is not _END:
                yield chunk
        finally:
            await self._close(pump)
        await self._result(pump)

    def __await__(self) -> Generator[Any, None, Answer]:
        return self.follow(lambda _: None).__await__()

    def close(self) -> None:
        """Close it without reading; there is no warning that it was never awaited."""
        super().close()
        if self._pump_task is None and inspect.iscoroutine(self._source):
            self._source.close()

    async def follow(self, on_chunk: Callable[[str], None]) -> Answer:
        """Read it all and call `on_chunk` with each chunk as it arrives; returns the `Answer`.

        `on_chunk` runs on the event loop. This saves one task switch per chunk over `async for`.
        """
        pump = self._start(on_chunk)
        try:
            await asyncio.wait({pump})
        finally:
            await self._close(pump)
        return await self._result(pump)

    def cancel(self) -> None:
        """Stop the stream and keep what has arrived; may be called from any thread, repeatedly."""
        self._stopping = True
        if self._pump_task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing runs any more
                self._pump_task.get_loop().call_soon_threadsafe(self._halt)

    def _start(self, on_chunk: Callable[[str], None]) -> asyncio.Task[None]:
        if self._pump_task is not None:
            raise StreamMisused(
                say("This stream has already been read"),
                say("its result is in `.answer`; for a new stream, ask again."),
            )
        if inspect.isawaitable(self._source) or callable(self._source):
            self.trace.start = time.perf_counter()
        self._loop = asyncio.get_running_loop()
        self._pump_task = self._loop.create_task(self._pump(on_chunk), name="nbkit-pump")
        return self._pump_task

    async def _close(self, pump: asyncio.Task[None]) -> None:
        """Stop the pump when nobody reads any more."""
        if not pump.done():
            self._halt()
            await asyncio.wait({pump}, timeout=_SETTLE_SECONDS)

    async def _result(self, pump: asyncio.Task[None]) -> Answer:
        if self.answer is None:
            await pump  # raises, because settling itself failed
        assert self.answer is not None
        if self.answer.error is not None:
            raise self.answer.error
        return self.answer

    async def _pump(self, on_chunk: Callable[[str], None]) -> None:
        """Read the source at its own speed, even if the reader of the stream is slow or gone."""
        self._record = events.begin(self._record)
        error: BaseException | None = None
        self._pumping = True
        clocks = clock_offset()
        try:
            if not self._stopping:
                with keep_waking(asyncio.get_running_loop()) as heartbeat:
                    await self._drain(await self._open(), on_chunk, YieldTimer(heartbeat))
        except asyncio.CancelledError:
            self._stopping = True
        except BaseException as raised:
            error = raised  # kept, with the partial answer, for the reader
            if not isinstance(raised, Exception):
                raise
        finally:
            self._pumping = False
            self.trace.end = time.perf_counter()
            self.trace.clock_jump = clock_offset() - clocks
            await self._settle(error)

    async def _open(self) -> Reader:
        self._record.on_thought = self._think
        answer = await answer_of(self._source)
        self._response = answer
        self._record = events.of(answer) or self._record
        self.trace.responded = time.perf_counter()
        if is_run(answer):
            self._record.on_thought = lambda _: None  # the run's own events have them, too
            self._reader = AgentReader(answer, self.trace)
            self.sources = self._reader.sources
        elif (output_cls := output_class(answer)) is not None:
            self._reader = ObjectReader(answer, self._record, output_cls)
        else:
            self._record.on_thought = self._think
            self.sources = sources_of(answer)
            self._reader = open_deltas(answer)
        if isinstance(answer, AgentChatResponse) and self._record.turn is not None:
            self._record.turn.asked = True  # complete, so LlamaIndex has stored it
        self.opened.set()
        return self._reader

    async def _drain(
        self, reader: Reader, on_chunk: Callable[[str], None], timer: YieldTimer
    ) -> None:
        skipped, splitter = 0, ThoughtSplitter()
        async for delta in joined(reader):
            if self._stopping:
                # The cancellation reaches the source at its next wait, which closes the connection.
                skipped += 1
                if skipped > _MAX_DELTAS_AFTER_STOP:
                    break
                continue
            self.trace.model = self._record.call.model
            for text in [delta] if isinstance(delta, Thought) else splitter.add(delta):
                self._add(text, on_chunk)
            if not delta:
                self.on_progress("")  # an agent may have done a step
                continue
            if self.demand is not None and not self.demand.is_set():
                await self._pause(self.demand.wait())
            if timer.is_due(time.perf_counter()):
                # The source never waits: give the event loop a turn.
                await self._pause(asyncio.sleep(0))
        for text in splitter.end():
            self._add(text, on_chunk)

    async def _pause(self, waiting: Awaitable[object]) -> None:
        """Wait for something other than the source, between two deltas."""
        try:
            await waiting
        except asyncio.CancelledError:
            # Cancel again at the source's next wait; otherwise its connection stays open.
            assert self._pump_task is not None
            self._stopping = True
            self._pump_task.cancel()

    def _halt(self) -> None:
        self._stopping = True
        if self._reader is not None:
            self._reader.stop()
        if self._pumping and self._pump_task is not None:
            self._pumping = False  # a second cancellation would interrupt `_settle`
            self._pump_task.cancel()

    async def _settle(self, error: BaseException | None) -> None:
        record, stopped, reader = self._record, self._stopping, self._reader
        record.call.copy_to(self.trace)
        self.trace.usage = record.usage
        if reader is not None:
            reader.copy_to(self.trace)
        complaint = None if stopped else self._complaint(error)
        if isinstance(complaint, NoAnswer):
            self._parts.clear()
        partial = stopped or complaint is not None
        if partial and reader is not None:
            await reader.stopped()
            record.turn = await reader.turn(record.turn)
        if partial and record.turn is not None:
            complaint = await record.turn.close(self.text, complaint)
        self.answer = Answer(
            text=self.text,
            sources=self.sources,
            trace=self.trace,
            response=self.result or self._response,
            stopped=stopped,
            truncated=isinstance(complaint, AnswerTruncated),
            error=complaint,
            steps=self.steps,
            object=object_in(self.result),
            thought=self.thought or record.call.thought,
            nothing_found=not partial and record.found_nothing(self._response, self.text),
        )
        if complaint is not None:
            complaint.answer = self.answer
        if inspect.iscoroutine(self._source):
            self._source.close()

    def _complaint(self, error: BaseException | None) -> StreamError | None:
        """The error of the answer, if there is one."""
        if isinstance(error, StreamMisused) and error.answer is None:
            return error
        if isinstance(error, Exception) and self._record.turn and self._record.turn.answered:
            return MemoryNotWritten.by(error, None)
        if error is not None:
            return broken_by(error, self.trace.chunks)
        streamed = self._reader is not None and self._reader.from_model
        seen = self._reader.last_call if self._reader is not None else None
        return fault_of(seen or self._record.call, self.text, self.trace.chunks, streamed=streamed)


def stream(source: Any) -> TokenStream:
    """A `TokenStream` of anything that LlamaIndex answers with.

    `source` is a coroutine (`engine.aquery(q)`, `chat.astream_chat(q)`, `llm.astream_complete(p)`),
    a callable without arguments, an answer from LlamaIndex (streaming or complete, sync or async),
    the run of an agent (`agent.run(user_msg=q)`), or any stream of `str`: a list, a generator, an
    (async) iterator. For a coroutine or callable the clock starts before it runs, so TTFT includes
    retrieval; for an existing answer it starts here. Blocking sources are read in a worker thread,
    never on the event loop.

    Raises `StreamMisused` for anything else and names the right call. Taught in notebook 01.
    """
    if isinstance(source, TokenStream):
        return source
    if is_of_agent(source):
        raise StreamMisused(refuse(source))
    check_source(source)
    return TokenStream(source)
