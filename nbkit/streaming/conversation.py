"""A conversation with a chat engine or an agent; a turn that stops or fails leaves it correct."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.memory import BaseMemory, Memory
from llama_index.core.workflow import Context

from nbkit.errors import NbkitError
from nbkit.language import say
from nbkit.streaming.agents import continued, is_of_agent, memory_in, refuse, run_of
from nbkit.streaming.errors import StreamMisused
from nbkit.streaming.history import ChatTurn, forgotten
from nbkit.streaming.stream import TokenStream
from nbkit.wording import whole_characters


class NotAChatEngine(NbkitError, TypeError):
    """The object is neither a chat engine nor an agent; the message says how to make one."""


class TurnRunning(NbkitError, RuntimeError):
    """The engine is still answering, and its memory cannot take two turns at once."""


class Conversation:
    """A chat with one of LlamaIndex's chat engines or agents, turn by turn, with a correct history.

    After each turn, whether done, stopped or failed, the memory holds its earlier messages, the new
    message, and the text of the answer that was read; a partial answer ends with "[interrupted]".
    A message that the model refused is not kept, because the model would refuse it again in every
    later turn. The memory is the engine's own; for an agent `memory`, which may also be the
    `Context` of earlier runs, or a new `Memory`.

    An engine runs one turn at a time, across all its conversations and all threads; an agent, which
    keeps nothing, one in each conversation. Raises `NotAChatEngine` for another kind of object.
    Taught in notebook 03.
    """

    def __init__(self, engine: Any, memory: BaseMemory | Context | None = None) -> None:
        self._run = run_of(engine)
        if self._run is None and is_of_agent(engine):
            raise NotAChatEngine(refuse(engine))
        if self._run is None and not isinstance(engine, BaseChatEngine):
            raise NotAChatEngine(
                say("Got {kind}, which is not a chat engine", kind=type(engine).__name__),
                say(
                    'make one from an index: `index.as_chat_engine(chat_mode="context", llm=llm)`.'
                ),
            )
        if memory is not None and self._run is None:
            raise NotAChatEngine(
                say("A chat engine has a memory of its own"),
                say("give it when you make the engine: `index.as_chat_engine(memory=memory)`."),
            )
        self.engine = engine
        self.context = memory if isinstance(memory, Context) else None
        """The context of an agent's next turn, with the state that its tools keep there."""
        if isinstance(memory, Context):
            memory = memory_in(memory)
        self.memory = None if self._run is None else memory or Memory.from_defaults()
        """The memory of an agent; `None` for a chat engine, which has its own."""
        self._asked: Any = None
        self.forgotten = 0
        """How many of the oldest messages no longer fit into what the model is given."""

    def turn(self, message: str) -> TokenStream:
        """Send a message; returns the answer as a `TokenStream`, to show, await or cancel.

        The engine is busy until the stream is read to its end, cancelled, or garbage-collected
        unread. Raises `TurnRunning` while it is busy, `StreamMisused` if `message` is not text.
        """
        if not isinstance(message, str) or not message.strip():
            raise StreamMisused(
                say("Got {message!r} as the message", message=message),
                say('pass a text, as in `turn("your question")`.'),
            )
        turn = _Turn(self, whole_characters(message))
        turn.claim()
        return turn

    @property
    def running(self) -> TokenStream | None:
        """The turn that the engine is busy with, if any: `running.cancel()` stops it."""
        return _turn_on(self.place)

    @property
    def place(self) -> Any:
        """What can take one turn at a time."""
        return self.engine if self.memory is None else self.memory

    async def ask(self, message: str) -> Any:
        """The answer to a message, as LlamaIndex gives it."""
        if self._run is None:
            return await self.engine.astream_chat(message)
        if self.context is not None:
            self.context = await continued(self.engine, self.context)
        self._asked = self._run(message, memory=self.memory, ctx=self.context)
        return self._asked

    async def end_turn(self) -> None:
        """Take the memory from the run: a tool that edits the state makes LlamaIndex copy it."""
        if self._asked is not None:
            memory = await self._asked.ctx.store.get("memory", default=None)
            self.memory = memory if isinstance(memory, BaseMemory) else self.memory

    @property
    def history(self) -> list[tuple[str, str]]:
        """All messages so far as (role, text), oldest first; raises `TurnRunning` during a turn.

        Reading LlamaIndex's memory during a write could lose the message, or block the loop.
        """
        _check_free(self.place)
        if self.memory is None:
            told = self.engine.chat_history
        else:  # an agent's calls of tools are in its memory, too
            told = [one for one in self.memory.get_all() if one.content and one.role != "tool"]
        return [(message.role.value, message.content or "") for message in told]

    def clear(self) -> None:
        """Delete all messages; raises `TurnRunning` during a turn."""
        _check_free(self.place)
        (self.engine if self.memory is None else self.memory).reset()
        self.forgotten = 0


class _Turn(TokenStream):
    """The stream of one turn, which reserves the engine until it is over."""

    def __init__(self, conversation: Conversation, message: str) -> None:
        super().__init__(partial(conversation.ask, message))
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
        place = self._conversation.place
        with _claiming:
            _check_free(place, self)
            _turns[id(place)] = self

    def _start(self, on_chunk: Callable[[str], None]) -> asyncio.Task[None]:
        self.claim()  # again: a turn cancelled before it was read has freed the engine
        return super()._start(on_chunk)

    async def _settle(self, error: BaseException | None) -> None:
        memory = self._conversation.memory
        if self._record.turn is None:  # stopped before the engine was asked
            engine, message = self._conversation.engine, self.message
            self._record.turn = (
                ChatTurn(memory, message) if memory else ChatTurn.of(engine, message)
            )
        await super()._settle(error)
        await self._conversation.end_turn()
        if self._record.turn is not None:
            # An error in this count must not make a finished turn fail.
            with contextlib.suppress(Exception):
                self._conversation.forgotten = await forgotten(self._record.turn.memory)


_claiming = threading.Lock()
# By id, since engines may not be hashable. A turn keeps its engine alive, so the id stays unique.
_turns: WeakValueDictionary[int, _Turn] = WeakValueDictionary()


def _turn_on(place: Any) -> _Turn | None:
    turn = _turns.get(id(place))
    return None if turn is None or turn.over else turn


def _check_free(place: Any, newcomer: _Turn | None = None) -> None:
    turn = _turn_on(place)
    if turn is not None and turn is not newcomer:
        about = turn.message if len(turn.message) <= 40 else f"{turn.message[:39]}…"
        raise TurnRunning(
            say("A turn is still running on this chat engine ({about!r})", about=about),
            say("await it, or stop it with `.running.cancel()`, and try again when it has ended."),
        )
