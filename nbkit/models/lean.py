"""Shortcuts past LlamaIndex and the openai SDK: the same requests and answers for less CPU.

The only place that changes how these libraries work inside. A shortcut is taken only where the
library still has the parts it needs; elsewhere the library's own code runs.
`python -m tests.benchmarks.aquery_cpu` prints what each one saves.
"""

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

from nbkit.models.replies import whole_reply
from nbkit.models.streamed_chunks import AsyncChunks, Chunks

_ClientT = TypeVar("_ClientT", openai.OpenAI, openai.AsyncOpenAI)

# --- LlamaIndex's query engines: half of the 12 ms a question goes into counting tokens in new
# threads.


def lean_engine(engine: BaseQueryEngine, settings: Mapping[str, Any]) -> BaseQueryEngine:
    """The engine that LlamaIndex made with these settings, with a cheaper prompt helper inside.

    A synthesizer or a prompt helper of your own stays as it is.
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
    """Whether LlamaIndex has what the shortcut uses, and both give the same; tried once."""
    texts = ["Words to pack. " * 90, " more "]
    chat = ChatPromptTemplate([ChatMessage(role="user", content="{context_str} {query_str}")])
    try:
        for window in (2_000, 500):
            theirs = PromptHelper(context_window=window)
            if _lean_helper(theirs).repack(chat, texts) != theirs.repack(chat, texts):
                return False
    except Exception:  # noqa: BLE001 — whatever has changed, LlamaIndex's own code still runs
        return False
    return True


class LeanPromptHelper(PromptHelper):
    """LlamaIndex's `PromptHelper`, with the same result, that starts no thread to count tokens."""

    def repack(
        self, prompt: BasePromptTemplate, text_chunks: Sequence[str], *more: Any, **settings: Any
    ) -> list[str]:
        """Join the chunks, and split them again if the model's window is too small for them."""
        if more:
            return super().repack(prompt, text_chunks, *more, **settings)
        splitter = self.get_text_splitter_given_prompt(prompt, **settings)
        text = "\n\n".join(chunk.strip() for chunk in text_chunks if chunk.strip())
        # A token stands for at least one byte: no need to count those of a text this short.
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
        # For text, LlamaIndex's coroutine never waits for anything.
        counting = own.aestimate_tokens_in_messages(messages)
        try:
            counting.send(None)
        except StopIteration as finished:
            return int(finished.value)
        counting.close()
        return counter.estimate_tokens_in_messages(messages)

    own.estimate_tokens_in_messages = count  # type: ignore[method-assign]
    return lean


# --- The openai SDK's clients: they build an answer field by field in Python, 0.13 ms for a chunk;
# pydantic's compiled validation gives an equal object in 0.005 ms. Replies of servers that differ
# from OpenAI's are accepted too, see `nbkit.models.replies`.


def lean_client(client: _ClientT) -> _ClientT:
    """The client with a cheaper `chat.completions.create`; all else in it stays as it is.

    A server that refuses `stream_options` is asked again without. Errors of a call are the SDK's,
    and those of `nbkit.models.replies`.
    """
    if client_fits(client):
        lean = _async_create if isinstance(client, openai.AsyncOpenAI) else _create
        completions: Any = client.chat.completions
        completions.create = lean(completions.with_raw_response.create)
    return client


def _create(raw: Callable[..., Any]) -> Callable[..., Any]:
    usage = _UsageAsked()

    def create(**request: Any) -> Any:
        request = usage.fitted(_plain_request(request))
        try:
            reply = raw(**request)
        except openai.APIStatusError as error:
            reply = raw(**usage.without(request, error))
            usage.refused = True
        return _read(reply, Chunks if request.get("stream") else None)

    return create


def _async_create(raw: Callable[..., Any]) -> Callable[..., Any]:
    usage = _UsageAsked()

    async def create(**request: Any) -> Any:
        request = usage.fitted(_plain_request(request))
        try:
            reply = await raw(**request)
        except openai.APIStatusError as error:
            reply = await raw(**usage.without(request, error))
            usage.refused = True
        return _read(reply, AsyncChunks if request.get("stream") else None)

    return create


def client_fits(client: openai.OpenAI | openai.AsyncOpenAI) -> bool:
    """Whether the SDK keeps the parts of a client that the shortcut changes."""
    try:
        completions: Any = client.chat.completions
        known = inspect.signature(completions.create).parameters.keys()
        return (
            known >= {"messages", "extra_body"}
            # Made once and kept: otherwise what is changed here would not be what is called.
            and client.chat.completions is completions
            and completions.with_raw_response is completions.with_raw_response
        )
    except (AttributeError, TypeError, ValueError):
        return False


class _UsageAsked:
    """Leaves out `stream_options` once a server has refused a request with it."""

    refused = False

    def fitted(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request as this server takes it."""
        return {**request, "stream_options": openai.omit} if self.refused else request

    def without(self, request: dict[str, Any], error: openai.APIStatusError) -> dict[str, Any]:
        """The request to send instead of the one refused; raises what has another cause."""
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


def _read(reply: Any, chunks: type[Chunks | AsyncChunks] | None) -> Any:
    response = getattr(reply, "http_response", None)
    if response is None:
        return reply.parse()
    return chunks(response) if chunks else whole_reply(response.text, response.request)


def _plain_request(request: dict[str, Any]) -> dict[str, Any]:
    """Send messages that are plain text as they are.

    The SDK would try them on each type that a message can have, 0.5 ms a request. What comes in
    `extra_body` it leaves alone, and puts in the same place.
    """
    messages = list(request["messages"])
    if not all(map(_is_plain, messages)):
        return request
    extra = {"messages": messages, **(request.get("extra_body") or {})}
    return {**request, "messages": [], "extra_body": extra}


def _is_plain(message: Any) -> bool:
    return isinstance(message, dict) and all(isinstance(part, str) for part in message.values())
