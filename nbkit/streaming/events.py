"""What LlamaIndex's own instrumentation says about an answer while it is being read.

LlamaIndex's response objects do not say why a model stopped or how many tokens it used; its events
do. One listener on the root dispatcher (a documented extension point) passes them on to the answer
being read, found through a context variable.
"""

import asyncio
import inspect
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from llama_index.core.chat_engine.types import BaseChatEngine, StreamingAgentChatResponse
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from llama_index.core.instrumentation.span_handlers import NullSpanHandler
from llama_index.core.memory import BaseMemory

from nbkit.streaming.history import ChatTurn, watch_answer
from nbkit.streaming.trace import Trace
from nbkit.wording import shown_name

_STARTS = (LLMChatStartEvent, LLMCompletionStartEvent)
_RESPONSES = (
    LLMChatInProgressEvent,
    LLMCompletionInProgressEvent,
    LLMChatEndEvent,
    LLMCompletionEndEvent,
)

_COUNTS = ("tokens", "reasoning_tokens", "prompt_tokens")
_EMPTY_RESPONSE = "Empty Response"
"""What LlamaIndex says in place of an answer, unless told otherwise."""


@dataclass
class Hearing:
    """What events told about one answer; reset when another model call begins for it."""

    requested: float | None = None
    """`time.perf_counter` at the start of the last model call; `None` before any."""
    model: str | None = None
    finish_reason: str | None = None
    tokens: int | None = None
    reasoning_tokens: int | None = 0
    prompt_tokens: int | None = None
    speaks_openai: bool = False
    """The raw chunks have OpenAI's shape, so a whole answer must end with a finish reason."""
    counted: bool = False
    """The last chunk of a complete answer has come: the one with nothing but the usage."""
    wrote: bool = False
    """The model has written text."""
    thought: str = ""
    refusal: str = ""
    tools: list[str] = field(default_factory=list)
    """Names of the tools that the model called."""
    chat_response: Any = None
    """LlamaIndex's streaming chat response, once its history writer has begun."""
    turn: ChatTurn | None = None
    """The turn of a chat that this answer belongs to."""
    retrieved: int | None = None
    """How many nodes all retrievals gave together; `None` before any."""
    asked_since: bool = False
    """A model was asked after the last retrieval."""
    _last: Any = None

    def call_begins(self, model: str | None) -> None:
        """Forget the previous model call: only the last one's answer is streamed."""
        self.requested = time.perf_counter()
        self.model = model
        self.finish_reason = self.tokens = self.prompt_tokens = None
        self.counted = self.wrote = False
        self.thought, self.refusal, self.tools = "", "", []
        self._last = None
        self.reasoning_tokens = 0
        self.asked_since = True

    def retrieval_ends(self, nodes: int) -> None:
        """Note how many nodes a retriever found."""
        self.retrieved = (self.retrieved or 0) + nodes
        self.asked_since = False

    def tell(self, trace: Trace) -> None:
        """Copy what is known of the last model call to a trace."""
        for name in ("requested", "model", "finish_reason", *_COUNTS):
            setattr(trace, name, getattr(self, name))

    def found_nothing(self, response: Any, text: str) -> bool:
        """Whether no document matched, so that LlamaIndex answered without a model."""
        if self.retrieved is not None:
            return self.retrieved == 0 and not self.asked_since
        # An answer made before events were recorded: LlamaIndex's text for no sources.
        return (
            self.requested is None
            and getattr(response, "source_nodes", None) == []
            and text.strip() == _EMPTY_RESPONSE
        )

    def raw_arrives(self, raw: Any) -> None:
        """Note finish reason and usage from a raw OpenAI chunk or completion."""
        choices = getattr(raw, "choices", None)
        if choices is None:
            return
        self.speaks_openai = True
        # LlamaIndex reports the last chunk again when its call ends.
        if choices and raw is not self._last:
            self._choice_arrives(choices[0])
        self._last = raw
        usage = getattr(raw, "usage", None)
        if usage is not None:
            self.counted = self.counted or not choices
            self.tokens = getattr(usage, "completion_tokens", None)
            self.prompt_tokens = getattr(usage, "prompt_tokens", None)
            details = getattr(usage, "completion_tokens_details", None)
            reasoning = getattr(details, "reasoning_tokens", None)
            self.reasoning_tokens = reasoning or self.reasoning_tokens

    def _choice_arrives(self, choice: Any) -> None:
        self.finish_reason = getattr(choice, "finish_reason", None) or self.finish_reason
        part = getattr(choice, "delta", None) or getattr(choice, "message", None)
        if part is None:
            return
        thought = getattr(part, "reasoning_content", None) or getattr(part, "reasoning", None)
        if thought:
            self.reasoning_tokens = None  # how many it took, only the usage tells
        if getattr(part, "content", None):
            self.wrote = True
            return
        self.refusal += getattr(part, "refusal", None) or ""
        self.thought += thought if isinstance(thought, str) else ""
        for call in getattr(part, "tool_calls", None) or ():
            if name := getattr(getattr(call, "function", None), "name", None):
                self.tools.append(name)


_current: ContextVar[Hearing | None] = ContextVar("nbkit_hearing", default=None)


class _Events(BaseEventHandler):
    """Tells the current answer about its model calls."""

    @classmethod
    def class_name(cls) -> str:
        """Name in LlamaIndex's registry."""
        return "NbkitEvents"

    def handle(self, event: Any, **kwargs: Any) -> None:
        """Pass an LLM event on to the answer being read in this context, if there is one."""
        hearing = _current.get()
        if hearing is None:
            return
        if isinstance(event, _RESPONSES):
            if event.response is not None:
                hearing.raw_arrives(event.response.raw)
        elif isinstance(event, _STARTS):
            payload = event.model_dict
            model = payload.get("model_name") or payload.get("model")
            hearing.call_begins(shown_name(model) if isinstance(model, str) else None)
        elif isinstance(event, RetrievalEndEvent):
            hearing.retrieval_ends(len(event.nodes))


class _Spans(NullSpanHandler):
    """Learns that a chat engine is asked, and when it starts to write down its answer."""

    @classmethod
    def class_name(cls) -> str:
        """Name in LlamaIndex's registry."""
        return "NbkitSpans"

    def span_enter(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any = None,
        parent_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note the turn of a chat as it begins, and again as LlamaIndex's writer starts."""
        arguments = bound_args.arguments
        if "message" in arguments and isinstance(instance, BaseChatEngine):
            _turn_begins(instance, arguments["message"])
        elif "memory" in arguments and isinstance(instance, StreamingAgentChatResponse):
            _writer_begins(instance, arguments["memory"])


def _turn_begins(engine: BaseChatEngine, message: str) -> None:
    hearing = _current.get()
    if hearing is None or hearing.turn is not None:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return  # a call in a thread goes on after a stop, and ends its turn by itself
    hearing.turn = ChatTurn.of(engine, message)


def _writer_begins(response: StreamingAgentChatResponse, memory: BaseMemory) -> None:
    hearing = _current.get()
    if hearing is None or hearing.chat_response is not None:
        hearing = Hearing(requested=time.perf_counter())
        _current.set(hearing)
    hearing.chat_response = response
    hearing.turn = hearing.turn or ChatTurn(memory)
    hearing.turn.asked = True
    watch_answer(response, hearing.turn)
    response.nbkit_hearing = hearing  # type: ignore[attr-defined]


@cache
def listen() -> None:
    """Add the listener to LlamaIndex's root dispatcher, once per process."""
    root = get_dispatcher()
    root.add_event_handler(_Events())
    root.add_span_handler(_Spans())


def begin(hearing: Hearing | None = None) -> Hearing:
    """Record events in the current context (a task or thread), from now on; returns the record."""
    listen()
    hearing = hearing or Hearing()
    _current.set(hearing)
    return hearing


def of(response: Any) -> Hearing | None:
    """The record of a chat answer that began before it was wrapped, if there is one."""
    return getattr(response, "nbkit_hearing", None)
