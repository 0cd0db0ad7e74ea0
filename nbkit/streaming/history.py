"""LlamaIndex's chat memory, corrected so that it matches what the reader saw.

Without this, LlamaIndex stores text that nobody saw when a turn is stopped, and leaves a question
without an answer when a turn fails. A stop at the wrong moment even empties its default memory.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, Self

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.chat_engine.types import StreamingAgentChatResponse
from llama_index.core.memory import BaseMemory, ChatMemoryBuffer, Memory
from llama_index.core.storage.chat_store.base_db import MessageStatus

from nbkit.language import say
from nbkit.streaming.errors import StreamBroken, StreamError
from nbkit.streaming.thinking import Thought, ThoughtSplitter
from nbkit.wording import CharacterJoiner

_INTERRUPTED = "[interrupted]"
_REFUSED = {400, 413, 422}
"""HTTP statuses of a refused request, which would be refused again."""


class MemoryNotWritten(StreamBroken):
    """The memory of a chat failed, and may lack the turn; `__cause__` is its error."""

    @classmethod
    def by(cls, error: Exception, before: StreamError | None) -> Self:
        """The error for a failure of the memory; `before` is what had already gone wrong."""
        what = f"{type(error).__name__}: {error}"
        happened = say("The chat's memory could not be written ({error})", error=what)
        if before:
            happened = say(
                "{before} Then also the chat's memory could not be written ({error})",
                before=before,
                error=what,
            )
        failed = cls(
            happened,
            say("what had arrived is in `.answer`; repair the memory, or give the engine another."),
        )
        failed.__cause__ = error
        return failed


@dataclass
class ChatTurn:
    """One question to a chat engine, and the memory it is written to."""

    memory: BaseMemory
    message: str | None = None
    """The question; `None` if it was asked before events were recorded."""
    asked: bool = False
    """LlamaIndex has stored the question and is writing the answer."""
    answered: bool = False
    """The model has finished; only the memory must still be written."""

    def __post_init__(self) -> None:
        store = getattr(self.memory, "sql_store", None) if isinstance(self.memory, Memory) else None
        if store is not None and not isinstance(store, _UncancelledStore):
            self.memory.sql_store = _UncancelledStore(store)  # type: ignore[attr-defined]

    @classmethod
    def of(cls, engine: Any, message: str) -> Self | None:
        """A new turn on an engine's memory; `None` if that is not one of LlamaIndex's."""
        # Private, but the same in all of LlamaIndex's engines; `chat_history` is a copy.
        memory = getattr(engine, "_memory", None)
        return cls(memory, str(message)) if isinstance(memory, BaseMemory) else None

    async def close(self, seen: str, complaint: StreamError | None) -> StreamError | None:
        """Write to memory what was read of an answer that was stopped or failed.

        Returns the error to raise: the same one, or one that also reports a memory failure.
        """
        refused = complaint if not seen and _was_refused(complaint) else None
        try:
            await self._rewrite(None if refused else f"{seen}\n\n{_INTERRUPTED}".lstrip(), seen)
        except Exception as failure:  # noqa: BLE001 - whatever a store of messages may raise
            return MemoryNotWritten.by(failure, complaint)
        if refused and self.message is not None:
            told = say(
                "{happened} (The chat does not remember this message)", happened=refused.happened
            )
            refused.args = StreamError(told, refused.advice).args
        return complaint

    async def _rewrite(self, answer: str | None, seen: str) -> None:
        """Make the memory hold the question and this answer, or for `None` neither of them.

        If nothing was seen, the answer is only "[interrupted]": some models need alternating roles,
        or refuse empty messages.
        """
        history = await self.memory.aget_all()
        role, text = (history[-1].role, history[-1].content or "") if history else (None, "")
        unanswered = role == "user" and (self.asked or text == self.message)
        if answer is None:
            if unanswered:
                await _set(self.memory, history[:-1])
            return
        reply = ChatMessage(role="assistant", content=answer)
        if unanswered:
            await self.memory.aput(reply)
        elif role == "assistant" and self.asked and text.startswith(seen.strip()):
            await _set(self.memory, [*history[:-1], reply])
        elif self.message is not None and not self.asked:
            await self.memory.aput_messages([ChatMessage(role="user", content=self.message), reply])


def _was_refused(error: BaseException | None) -> bool:
    """Whether the message itself was refused, for example because it is too long."""
    while error is not None:
        # LlamaIndex's own check of the context window raises a bare ValueError.
        if (
            type(error) is ValueError
            or getattr(error, "status_code", None) in _REFUSED
            or getattr(error, "code", None) == "context_length_exceeded"
        ):
            return True
        error = error.__cause__
    return False


async def forgotten(memory: Any) -> int:
    """How many of the oldest messages a memory keeps but no longer gives to the model."""
    if isinstance(memory, Memory):
        return len(await memory.aget_all(status=MessageStatus.ARCHIVED))
    # Reading another kind of memory may ask a model for a summary.
    if type(memory) is ChatMemoryBuffer:
        return len(await memory.aget_all()) - len(await memory.aget())
    return 0


async def _set(memory: BaseMemory, history: list[ChatMessage]) -> None:
    """Replace the history; the messages that LlamaIndex had archived stay archived."""
    if not isinstance(memory, Memory):
        await memory.aset(history)
        return
    archived = await memory.aget_all(status=MessageStatus.ARCHIVED)
    await memory.aset(history)
    await memory.sql_store.archive_oldest_messages(memory.session_id, n=len(archived))


class _UncancelledStore:
    """A chat store that completes each operation, even if its caller is cancelled.

    A cancellation during a database call makes SQLAlchemy close the connection, which deletes the
    in-memory SQLite database that is LlamaIndex's default memory.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found):
            return found

        @wraps(found)
        async def finish(*args: Any, **kwargs: Any) -> Any:
            task = asyncio.ensure_future(found(*args, **kwargs))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.wait({task})
                raise

        return finish


Think = Callable[[str], None]


def watch_answer(response: StreamingAgentChatResponse, turn: ChatTurn, think: Think) -> None:
    """Write only whole characters and no thoughts to the memory, and mark the turn at its end.

    `think` gets the thoughts that a model writes at the head of its text.
    """
    if response.achat_stream is not None:
        response.achat_stream = _awatched(response.achat_stream, turn, think)  # type: ignore[assignment]
    elif response.chat_stream is not None:
        response.chat_stream = _watched(response.chat_stream, turn, think)  # type: ignore[assignment]


class _Spoken:
    """What belongs to the answer, of a text that arrives in deltas."""

    def __init__(self, think: Think) -> None:
        self._joiner, self._splitter, self._think = CharacterJoiner(), ThoughtSplitter(), think

    def add(self, delta: str) -> str:
        return self._kept(self._splitter.add(self._joiner.add(delta)))

    def end(self) -> str:
        return self._kept([*self._splitter.end(), self._joiner.end()])

    def _kept(self, deltas: list[str]) -> str:
        for delta in deltas:
            if isinstance(delta, Thought):
                self._think(delta)
        return "".join(delta for delta in deltas if not isinstance(delta, Thought))


async def _awatched(stream: Any, turn: ChatTurn, think: Think) -> AsyncIterator[ChatResponse]:
    spoken, last = _Spoken(think), None
    async for last in stream:
        last.delta = spoken.add(last.delta or "")
        yield last
    if last is not None and (rest := spoken.end()):
        yield last.model_copy(update={"delta": rest})
    turn.answered = True


def _watched(stream: Any, turn: ChatTurn, think: Think) -> Iterator[ChatResponse]:
    spoken, last = _Spoken(think), None
    for last in stream:
        last.delta = spoken.add(last.delta or "")
        yield last
    if last is not None and (rest := spoken.end()):
        yield last.model_copy(update={"delta": rest})
    turn.answered = True
