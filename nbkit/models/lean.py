"""Shortcuts in LlamaIndex and the openai SDK: the same requests and answers with less CPU.

No other module changes how these libraries work inside. Each shortcut is used only if the library
has the private parts it needs; otherwise the library's own code runs.
`python -m tests.benchmarks.aquery_cpu` prints what each one saves.
"""

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, TypeVar

import openai
from llama_index.core import PromptHelper, Settings
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import BasePromptTemplate, ChatPromptTemplate

from nbkit.models.first_stream import FirstStream, Watched
from nbkit.models.replies import whole_reply
from nbkit.models.streamed_chunks import AsyncChunks, Chunks

_ClientT = TypeVar("_ClientT", openai.OpenAI, openai.AsyncOpenAI)

# --- LlamaIndex's query engines: of 12 ms per question, half is counting tokens in new threads.


def lean_engine(engine: BaseQueryEngine, settings: Mapping[str, Any]) -> BaseQueryEngine:
    """The engine that LlamaIndex made with these settings, now with a faster prompt helper.

    Your own synthesizer or prompt helper is not replaced.
    """
    parts = getattr(engine, "_response_synthesizer", None)
    if parts is None or settings.get("response_synthesizer") is not None or not engine_fits():
        return engine
    helper = getattr(parts, "_prompt_helper", None)
    if type(helper) is PromptHelper and helper is not getattr(Settings, "_prompt_helper", helper):
        parts._prompt_helper = _lean_helper(helper)
    return engine


@cache
def engine_fits() -> bool:
    """Whether the shortcut works with this LlamaIndex and gives the same; tested once."""
    texts = ["Words to pack. " * 90, " more "]
    chat = ChatPromptTemplate([ChatMessage(role="user", content="{context_str} {query_str}")])
    try:
        for window in (2_000, 500):
            theirs = PromptHelper(context_window=window)
            if _lean_helper(theirs).repack(chat, texts) != theirs.repack(chat, texts):
                return False
    except Exception:  # noqa: BLE001 - after any change, LlamaIndex's own code is used
        return False
    return True


class LeanPromptHelper(PromptHelper):
    """LlamaIndex's `PromptHelper` with the same result, but no thread to count tokens."""

    def repack(
        self, prompt: BasePromptTemplate, text_chunks: Sequence[str], *more: Any, **settings: Any
    ) -> list[str]:
        """The chunks joined, and split again if they do not fit the model's window."""
        if more:
            return super().repack(prompt, text_chunks, *more, **settings)
        splitter = self.get_text_splitter_given_prompt(prompt, **settings)
        text = "\n\n".join(chunk.strip() for chunk in text_chunks if chunk.strip())
        # A token is at least one byte, so a text this short fits.
        if len(text.encode()) <= splitter.chunk_size:
            return [text]
        return splitter.split_text(text)


def _lean_helper(helper: PromptHelper) -> PromptHelper:
    counter = helper._token_counter
    # LlamaIndex counts the same few texts four times in a row.
    settings: dict[str, Any] = {**dict(helper), "tokenizer": lru_cache(16)(counter.tokenizer)}
    lean = LeanPromptHelper(**settings)
    own = lean._token_counter

    def count(messages: list[ChatMessage]) -> int:
        # For text, LlamaIndex's coroutine never waits, so it ends at the first step.
        counting = own.aestimate_tokens_in_messages(messages)
        try:
            counting.send(None)
        except StopIteration as finished:
            return int(finished.value)
        counting.close()
        return counter.estimate_tokens_in_messages(messages)

    own.estimate_tokens_in_messages = count  # type: ignore[method-assign]
    return lean


# --- The openai SDK's clients: they build each chunk field by field in Python, in 0.13 ms;
# pydantic's compiled validation builds an equal object in 0.005 ms. Replies that differ from
# OpenAI's are accepted, too: see `nbkit.models.replies`.


def lean_client(client: _ClientT, first: FirstStream | None = None) -> _ClientT:
    """The client with a faster `chat.completions.create`; the rest is unchanged.

    `first` watches whether the server streams. If it refuses `stream_options`, it is asked again
    without them. A call raises the SDK's errors, and those of `nbkit.models.replies`.
    """
    if client_fits(client):
        lean = _async_create if isinstance(client, openai.AsyncOpenAI) else _create
        completions: Any = client.chat.completions
        completions.create = lean(completions.with_raw_response.create, first)
    return client


def _create(raw: Callable[..., Any], first: FirstStream | None) -> Callable[..., Any]:
    usage = _UsageAsked()

    def create(**request: Any) -> Any:
        request = usage.fitted(_plain_request(request))
        seen = first.watch() if first else None
        try:
            reply = raw(**request)
        except openai.APIStatusError as error:
            reply = raw(**usage.without(request, error))
            usage.refused = True
        return _read(reply, Chunks if request.get("stream") else None, seen)

    return create


def _async_create(raw: Callable[..., Any], first: FirstStream | None) -> Callable[..., Any]:
    usage = _UsageAsked()

    async def create(**request: Any) -> Any:
        request = usage.fitted(_plain_request(request))
        seen = first.watch(asyncio.get_running_loop()) if first else None
        try:
            reply = await raw(**request)
        except openai.APIStatusError as error:
            reply = await raw(**usage.without(request, error))
            usage.refused = True
        return _read(reply, AsyncChunks if request.get("stream") else None, seen)

    return create


def client_fits(client: openai.OpenAI | openai.AsyncOpenAI) -> bool:
    """Whether the SDK's client has the parts that the shortcut replaces."""
    try:
        completions: Any = client.chat.completions
        known = inspect.signature(completions.create).parameters.keys()
        return (
            known >= {"messages", "extra_body"}
            # They must be the same objects each time, or the replacement would not be called.
            and client.chat.completions is completions
            and completions.with_raw_response is completions.with_raw_response
        )
    except (AttributeError, TypeError, ValueError):
        return False


class _UsageAsked:
    """Leaves out `stream_options` after the server has refused a request with them."""

    refused = False

    def fitted(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request in the form that this server accepts."""
        return {**request, "stream_options": openai.omit} if self.refused else request

    def without(self, request: dict[str, Any], error: openai.APIStatusError) -> dict[str, Any]:
        """The request without them; raises `error` if they are not the cause."""
        refused = error.status_code in (400, 422) and _UNKNOWN_FIELD.search(error.response.text)
        if not refused or self.refused or "stream_options" not in request:
            raise error
        return {**request, "stream_options": openai.omit}


_UNKNOWN_FIELD = re.compile(
    r"stream_options|include_usage|extra inputs|extra_forbidden|additional propert"
    r"|(?:unknown|unrecogni[sz]ed|unexpected|unsupported) (?:\w+ )?"
    r"(?:field|parameter|argument|propert|key|name)",
    re.IGNORECASE,
)


def _read(reply: Any, chunks: type[Chunks | AsyncChunks] | None, seen: Watched | None) -> Any:
    response = getattr(reply, "http_response", None)
    if response is None:
        return reply.parse()
    return chunks(response, seen) if chunks else whole_reply(response.text, response.request)


def _plain_request(request: dict[str, Any]) -> dict[str, Any]:
    """The request with its plain-text messages moved to `extra_body`.

    The SDK would compare each message with every message type, 0.5 ms per request. It sends
    `extra_body` unchanged, in the same place.
    """
    messages = list(request["messages"])
    if not all(map(_is_plain, messages)):
        return request
    extra = {"messages": messages, **(request.get("extra_body") or {})}
    return {**request, "messages": [], "extra_body": extra}


def _is_plain(message: Any) -> bool:
    return isinstance(message, dict) and all(isinstance(part, str) for part in message.values())
