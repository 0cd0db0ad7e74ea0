"""A conversation with a chat engine; its history stays correct if a turn stops or fails."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from llama_index.core.chat_engine.types import BaseChatEngine

from nbkit.errors import NbkitError
from nbkit.streaming.agents import is_of_agent, refuse
from nbkit.streaming.errors import StreamMisused
from nbkit.streaming.history import ChatTurn, forgotten
from nbkit.streaming.stream import TokenStream
from nbkit.wording import whole_characters


class NotAChatEngine(NbkitError, TypeError):
    """The object is not a chat engine; the message says how to make one."""


class TurnRunning(NbkitError, RuntimeError):
    """The engine is still answering, and its memory cannot take two turns at once."""


class Conversation:
    """A chat with one of LlamaIndex's chat engines, turn by turn, with a correct history.

    After each turn, whether done, stopped or failed, the engine's own memory holds its earlier
    messages, the new message, and the text of the answer that was read; a partial answer ends with
    "[interrupted]". A message that the model refused is not kept, because the model would refuse
    it again in every later turn.

    An engine runs one turn at a time, across all its conversations and all threads. Raises
    `NotAChatEngine` for another kind of engine. Taught in notebook 03.
    """

    def __init__(self, engine: BaseChatEngine) -> None:
        if is_of_agent(engine):
            raise NotAChatEngine(refuse(engine))
        if not isinstance(engine, BaseChatEngine):
            raise NotAChatEngine(
                f"Got {type(engine).__name__}, which is not a chat engine",
                'make one from an index: `index.as_chat_engine(chat_mode="context", llm=llm)`.',
            )
        self.engine = engine
        self.forgotten = 0
        """How many of the oldest messages no longer fit into what the model is given."""

    def turn(self, message: str) -> TokenStream:
        """Send a message; returns the answer as a `TokenStream`, to show, await or cancel.

        The engine is busy until the stream is read to its end, cancelled, or garbage-collected
        unread. Raises `TurnRunning` while it is busy, `StreamMisused` if `message` is not text.
        """
        if not isinstance(message, str) or not message.strip():
            raise StreamMisused(
                f"Got {message!r} as the message", 'pass a text, as in `turn("your question")`.'
            )
        turn = _Turn(self, whole_characters(message))
        turn.claim()
        return turn

    @property
    def running(self) -> TokenStream | None:
        """The turn that the engine is busy with, if any: `running.cancel()` stops it."""
        return _turn_on(self.engine)

    @property
    def history(self) -> list[tuple[str, str]]:
        """All messages so far as (role, text), oldest first; raises `TurnRunning` during a turn.

        Reading LlamaIndex's memory during a write could lose the message, or block the loop.
        """
        _check_free(self.engine)
        return [(message.role.value, message.content or "") for message in self.engine.chat_history]

    def clear(self) -> None:
        """Delete all messages; raises `TurnRunning` during a turn."""
        _check_free(self.engine)
        self.engine.reset()
        self.forgotten = 0


class _Turn(TokenStream):
    """The stream of one turn, which reserves the engine until it is over."""

    def __init__(self, conversation: Conversation, message: str) -> None:
        async def ask() -> Any:
            return await conversation.engine.astream_chat(message)

        super().__init__(ask)
        self._conversation = conversation
        self.message = message

    @property
    def over(self) -> bool:
        """Whether this turn no longer reads or writes the memory."""
        pump = self._pump_task
        if pump is None:
            return self._stopping
        return pump.done() or pump.get_loop().is_closed()

    def claim(self) -> None:
        """Reserve the engine; raises `TurnRunning` if another turn has it."""
        engine = self._conversation.engine
        with _claiming:
            _check_free(engine, self)
            _turns[id(engine)] = self

    def _start(self, on_chunk: Callable[[str], None]) -> asyncio.Task[None]:
        self.claim()  # again: a turn cancelled before it was read has freed the engine
        return super()._start(on_chunk)

    async def _settle(self, error: BaseException | None) -> None:
        if self._record.turn is None:  # stopped before the engine was asked
            self._record.turn = ChatTurn.of(self._conversation.engine, self.message)
        await super()._settle(error)
        if self._record.turn is not None:
            # An error in this count must not make a finished turn fail.
            with contextlib.suppress(Exception):
                self._conversation.forgotten = await forgotten(self._record.turn.memory)


_claiming = threading.Lock()
# By id, since engines may not be hashable. A turn keeps its engine alive, so the id stays unique.
_turns: WeakValueDictionary[int, _Turn] = WeakValueDictionary()


def _turn_on(engine: BaseChatEngine) -> _Turn | None:
    turn = _turns.get(id(engine))
    return None if turn is None or turn.over else turn


def _check_free(engine: BaseChatEngine, newcomer: _Turn | None = None) -> None:
    turn = _turn_on(engine)
    if turn is not None and turn is not newcomer:
        about = turn.message if len(turn.message) <= 40 else f"{turn.message[:39]}…"
        raise TurnRunning(
            f"A turn is still running on this chat engine ({about!r})",
            "await it, or stop it with `.running.cancel()`, and try again when it has ended.",
        )
