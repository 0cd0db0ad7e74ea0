"""A conversation with a chat engine, whose history stays right whatever happens to a turn."""

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
    """The object cannot hold a conversation; the message names the call that makes one that can."""


class TurnRunning(NbkitError, RuntimeError):
    """The engine is in the middle of a turn, and its memory cannot take two at once."""


class Conversation:
    """A chat with one of LlamaIndex's chat engines, turn by turn, with a history you can trust.

    When a turn has ended, whether done, stopped or failed, the engine's own memory holds what it
    held before, the message, and the answer as far as it was read; a partial answer ends with
    "[interrupted]". Only a message that the model refused is not kept: it would be refused again
    with every later one.

    An engine takes one turn at a time, over all conversations with it and from any thread. Raises
    `NotAChatEngine` for an engine of another kind. Taught in notebook 03.
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
        """How many of the oldest messages the memory has no room to give to the model."""

    def turn(self, message: str) -> TokenStream:
        """Send a message; returns the answer as a `TokenStream`, to show, await or cancel.

        The engine is busy until the stream has been read to its end or cancelled, or is dropped
        unread. Raises `TurnRunning` while it is busy, `StreamMisused` for what is not text.
        """
        if not isinstance(message, str) or not message.strip():
            raise StreamMisused(
                f"Got {message!r} for a message", 'pass a text, as in `turn("your question")`.'
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

        Reading LlamaIndex's memory while it is written could lose the message, or block the loop.
        """
        _check_free(self.engine)
        return [(message.role.value, message.content or "") for message in self.engine.chat_history]

    def clear(self) -> None:
        """Forget all turns; raises `TurnRunning` during one."""
        _check_free(self.engine)
        self.engine.reset()
        self.forgotten = 0


class _Turn(TokenStream):
    """One turn's stream, which holds the engine until it is over."""

    def __init__(self, conversation: Conversation, message: str) -> None:
        async def ask() -> Any:
            return await conversation.engine.astream_chat(message)

        super().__init__(ask)
        self._conversation = conversation
        self.message = message

    @property
    def over(self) -> bool:
        """Whether nothing of this turn will touch the memory any more."""
        pump = self._pump_task
        if pump is None:
            return self._stopping
        return pump.done() or pump.get_loop().is_closed()

    def claim(self) -> None:
        """Take the engine; raises `TurnRunning` if another turn has it."""
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
            # A count that fails must not fail a turn that is over.
            with contextlib.suppress(Exception):
                self._conversation.forgotten = await forgotten(self._record.turn.memory)


_claiming = threading.Lock()
# By identity, since engines need not be hashable; a turn keeps its engine, so the id stays its own.
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
