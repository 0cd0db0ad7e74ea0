"""What LlamaIndex's events say about an answer: why the model stopped, how many tokens it used."""

import asyncio
import inspect
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from llama_index.core.chat_engine.types import BaseChatEngine, StreamingAgentChatResponse
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import llm
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from llama_index.core.instrumentation.span_handlers import NullSpanHandler
from llama_index.core.memory import BaseMemory

from nbkit.streaming.history import ChatTurn, watch_answer
from nbkit.streaming.model_call import ModelCall
from nbkit.streaming.trace import Usage
from nbkit.wording import shown_name

_STARTS = (llm.LLMChatStartEvent, llm.LLMCompletionStartEvent)
_IN_PROGRESS = (llm.LLMChatInProgressEvent, llm.LLMCompletionInProgressEvent)
_RESPONSES = (*_IN_PROGRESS, llm.LLMChatEndEvent, llm.LLMCompletionEndEvent)


@dataclass
class EventRecord:
    """What events said about one answer."""

    call: ModelCall = field(default_factory=ModelCall)
    """The latest model call: only its answer is streamed."""
    calls: dict[str, ModelCall] = field(default_factory=dict)
    """Every model call, by the id of its span."""
    turn: ChatTurn | None = None
    """The turn of a chat that this answer belongs to."""
    has_writer: bool = False
    """LlamaIndex has begun to write the answer to the memory of a chat."""
    retrieved: int | None = None
    """How many nodes all retrievals returned together; `None` before the first."""
    asked_since: bool = False
    """A model was asked after the last retrieval."""
    on_thought: Callable[[str], None] = lambda _: None
    """Called with each delta of what a model thinks, from whichever thread reads it."""

    @property
    def usage(self) -> list[Usage]:
        """What each model call used."""
        # Some of LlamaIndex's clients report one call twice, as a completion and as a chat.
        different = {id(call.last_raw or call): call for call in self.calls.values()}
        return [call.usage for call in different.values()]

    def found_nothing(self, response: Any, text: str) -> bool:
        """Whether no document matched, so that LlamaIndex answered without a model."""
        if self.retrieved is not None:
            return self.retrieved == 0 and not self.asked_since
        # For an answer made before events were recorded: LlamaIndex's text when nothing was found.
        made_without_model = self.call.requested is None and text.strip() == "Empty Response"
        return made_without_model and getattr(response, "source_nodes", None) == []


_current: ContextVar[EventRecord | None] = ContextVar("nbkit_events", default=None)


class _Events(BaseEventHandler):
    """Records model calls and retrievals for the current answer."""

    def handle(self, event: Any, **kwargs: Any) -> None:
        """Pass an event to the answer that is being read in this context, if there is one."""
        record = _current.get()
        if record is None:
            return
        if isinstance(event, _RESPONSES):
            if event.response is not None:
                call = record.calls.get(event.span_id or "", record.call)
                thought = call.on_raw(event.response.raw)
                if thought and isinstance(event, _IN_PROGRESS):
                    record.on_thought(thought)
        elif isinstance(event, _STARTS):
            payload = event.model_dict
            model = payload.get("model_name") or payload.get("model")
            name = shown_name(model) if isinstance(model, str) else None
            record.call, record.asked_since = ModelCall(time.perf_counter(), name), True
            span = event.span_id or event.id_
            if span in record.calls:
                record.calls[event.id_] = record.calls[span]
            record.calls[span] = record.call
        elif isinstance(event, RetrievalEndEvent):
            record.retrieved = (record.retrieved or 0) + len(event.nodes)
            record.asked_since = False


class _Spans(NullSpanHandler):
    """Records when a chat engine is asked, and when it starts to write its answer to memory."""

    def span_enter(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any = None,
        *_: Any,
        **__: Any,
    ) -> None:
        """Note when a turn of a chat begins, and when LlamaIndex's writer starts."""
        arguments = bound_args.arguments
        if "message" in arguments and isinstance(instance, BaseChatEngine):
            _on_question(instance, arguments["message"])
        elif "memory" in arguments and isinstance(instance, StreamingAgentChatResponse):
            _on_writer(instance, arguments["memory"])


def _on_question(engine: BaseChatEngine, message: str) -> None:
    record = _current.get()
    if record is None or record.turn is not None:
        return
    # Without a loop this is a call in a thread, which continues after a stop and ends its own turn.
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        record.turn = ChatTurn.of(engine, message)


def _on_writer(response: StreamingAgentChatResponse, memory: BaseMemory) -> None:
    record = _current.get()
    if record is None or record.has_writer:
        record = EventRecord(ModelCall(time.perf_counter()))
        _current.set(record)
    record.has_writer = True
    record.turn = record.turn or ChatTurn(memory)
    record.turn.asked = True
    watch_answer(response, record.turn, lambda thought: record.on_thought(thought))
    response.nbkit_events = record  # type: ignore[attr-defined]


@cache
def _listen() -> None:
    """Add the listener to LlamaIndex's root dispatcher, once per process."""
    root = get_dispatcher()
    root.add_event_handler(_Events())
    root.add_span_handler(_Spans())


def begin(record: EventRecord | None = None) -> EventRecord:
    """Record events in the current context (task or thread) from now on; returns the record."""
    _listen()
    record = record or EventRecord()
    _current.set(record)
    return record


def of(response: Any) -> EventRecord | None:
    """The record of a chat answer that began before it was wrapped, if there is one."""
    return getattr(response, "nbkit_events", None)
