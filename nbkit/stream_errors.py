"""What can go wrong with a stream, each said in one sentence with the way out."""

import inspect
from typing import Any, Self

from nbkit.errors import NbkitError
from nbkit.timing import count

_ASYNC_TWIN = {
    "query": "aquery",
    "aquery": "aquery",
    "retrieve": "aquery",
    "chat": "astream_chat",
    "achat": "astream_chat",
    "stream_chat": "astream_chat",
    "astream_chat": "astream_chat",
    "complete": "astream_complete",
    "acomplete": "astream_complete",
    "stream_complete": "astream_complete",
    "astream_complete": "astream_complete",
}
_ENGINE_VERBS = ("aquery", "astream_chat", "astream_complete", "as_query_engine")


class StreamError(NbkitError):
    """Something is wrong with a stream; `.answer` holds what had arrived, if anything had.

    Taught in notebook 01.
    """

    answer: Any = None


class StreamMisused(StreamError, TypeError):
    """The call was wrong; the message names the right one."""


class StreamBroken(StreamError):
    """The model, its server or the connection failed; `__cause__` is the original error."""


class AnswerTruncated(StreamError):
    """The answer ended before it was complete, and LlamaIndex raised nothing."""

    @classmethod
    def by_model(cls, reason: str) -> Self:
        """Finish reason "length" or "content_filter"."""
        if reason == "length":
            return cls(
                "The answer was cut at its token limit (finish reason 'length') — raise "
                "`max_tokens` of the model, or ask for a shorter answer."
            )
        return cls(
            f"The model's provider cut the answer (finish reason {reason!r}) — rephrase the "
            "question."
        )

    @classmethod
    def by_connection(cls, chunks: int) -> Self:
        """The connection closed in good order, but no finish reason had come."""
        return cls(
            f"The connection closed after {count(chunks, 'chunk')}, before the model said it had "
            "finished — the partial answer is kept in `.answer`; ask again."
        )

    @classmethod
    def no_stream(cls) -> Self:
        """A model was called and nothing at all arrived."""
        return cls(
            "The model's server sent no stream: it probably ignores `stream: true` — use an "
            "engine with `streaming=False`, or another server."
        )

    @classmethod
    def no_text(cls) -> Self:
        """A model was asked and ended as it should, but with no text."""
        return cls(
            "The model sent no text",
            "ask again, or ask the model itself (`llm.complete`) to see what it does.",
        )


def check_source(source: Any) -> None:
    """Raise `StreamMisused` for the wrong calls people make first, naming the right one."""
    if source is None or isinstance(source, str | bytes | dict | int | float):
        kind = "None" if source is None else f"a {type(source).__name__}"
        raise StreamMisused(
            f"Got {kind}, which is not an answer — pass one, such as "
            '`engine.aquery("your question")`.'
        )
    if inspect.iscoroutine(source) and inspect.getcoroutinestate(source) == "CORO_CLOSED":
        raise StreamMisused(
            "This coroutine has already been awaited — a coroutine answers once; call the "
            "engine again for a new one."
        )
    if callable(source) and not inspect.isawaitable(source):
        _check_callable(source)
    for verb in _ENGINE_VERBS:
        if hasattr(source, verb):
            example = "as_query_engine().aquery" if verb == "as_query_engine" else verb
            raise StreamMisused(
                f"Got {type(source).__name__}, which has not been asked anything — pass an "
                f'answer of it: `.{example}("your question")`.'
            )


def _check_callable(source: Any) -> None:
    try:
        inspect.signature(source).bind()
    except ValueError:  # a builtin without a signature: calling it will tell
        return
    except TypeError:
        name = getattr(source, "__name__", type(source).__name__)
        twin = _ASYNC_TWIN.get(name)
        advice = (
            f'`engine.{twin}("your question")`'
            if twin
            else f"`lambda: {name}(...)` or the coroutine itself"
        )
        raise StreamMisused(
            f"`{name}` is a function that still needs its arguments, not an answer — pass {advice}."
        ) from None


def not_an_answer(error: Exception) -> StreamMisused:
    """Say that the source delivered something that is not text."""
    return StreamMisused(
        f"Got {error} where text was expected — pass one answer of LlamaIndex's, such as "
        '`engine.aquery("your question")`, or an iterable of str.'
    )


def explain(error: BaseException, chunks: int) -> str:
    """Say in one sentence what an upstream error means and what to do about it.

    `chunks` is how many had arrived. Judged by the error's name and HTTP status, so that the
    openai, httpx and aiohttp clients are all understood without importing any.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    status = getattr(error, "status_code", None)
    if chunks:
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        if names & {"TransportError", "ClientError"}:
            detail = "the connection was lost"
        return (
            f"The stream broke after {count(chunks, 'chunk')} ({detail}) — the partial answer is "
            "kept in `.answer`; ask again."
        )
    if known := _in_own_words(error):
        return known
    if status in (401, 403):
        return "The server refused the API key — check the key, or use `nbkit.connect()`."
    if status == 429:
        return "The server's rate limit was hit — wait a moment, or ask fewer at once."
    if status is not None and status >= 500:
        return f"The model's server failed (HTTP {status}) — ask again."
    if status is not None:
        return f"The server refused the request (HTTP {status}): {error} — change the request."
    if names & {"APITimeoutError", "TimeoutException", "TimeoutError"} and not _is_refused(error):
        return "The model's server did not answer in time — ask again, or raise `timeout`."
    if names & {"APIConnectionError", "TransportError", "ConnectionError"}:
        return (
            "The model's server cannot be reached — is it running? For the simulated model, "
            "`nbkit.connect()` starts a new one; make the engine again with it."
        )
    return f"{type(error).__name__}: {error} — nothing had arrived yet; mend this and ask again."


def _in_own_words(error: BaseException) -> str | None:
    if isinstance(error, NbkitError):
        return str(error)
    if "available context size" in str(error):  # LlamaIndex's check, before it asks the model
        return (
            "The question, with what belongs to it, does not fit into the model's context window "
            "— ask something shorter, lower `similarity_top_k`, or take a model with a larger one."
        )
    return None


def _is_refused(error: BaseException) -> bool:
    """httpx-aiohttp reports dropped connections as connect timeouts; the cause tells."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionError | OSError) and not isinstance(cause, TimeoutError):
            return True
        if type(cause).__name__ in {"ServerDisconnectedError", "ClientConnectorError"}:
            return True
        cause = cause.__cause__
    return False
