"""What can go wrong with a stream, each said in one sentence with the way out."""

import inspect
from typing import Any, Self

from nbkit.errors import NbkitError
from nbkit.streaming.finish_reasons import ending
from nbkit.streaming.server_errors import judge, status_of
from nbkit.streaming.server_words import hide_keys
from nbkit.wording import count

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

    later = False
    """The same question may get a whole answer a little later."""

    @classmethod
    def by_model(cls, reason: str) -> Self | None:
        """What a finish reason says against the answer; `None` if the model was done."""
        match ending(reason):
            case "good":
                return None
            case "limit":
                return cls(
                    f"The answer was cut at its token limit (finish reason {reason!r})",
                    "raise `max_tokens` of the model, or ask for a shorter answer.",
                )
            case "filter":
                return cls(
                    f"The model's provider cut the answer (finish reason {reason!r})",
                    "rephrase the question.",
                )
            case "passing":
                cut = cls(
                    f"The model's server could not finish the answer (finish reason {reason!r})",
                    "the partial answer is kept in `.answer`; ask again.",
                )
                cut.later = True
                return cut
        return cls(
            f"The model ended with finish reason {reason!r}, so the answer may not be whole",
            "it is kept in `.answer`; the server's manual says what this reason means.",
        )

    @classmethod
    def by_connection(cls, chunks: int) -> Self:
        """The connection closed in good order, but nothing had said that the answer was over."""
        cut = cls(
            f"The connection closed after {count(chunks, 'chunk')}, before the model said it had "
            "finished",
            "the partial answer is kept in `.answer`; ask again.",
        )
        cut.later = True
        return cut


class NoAnswer(AnswerTruncated):
    """The model's reply holds no answer: it is empty, or only a thought, refusal or tool call."""

    kept = ""
    """The thought or the refusal, whole."""

    @classmethod
    def of(cls, *, refusal: str, tools: list[str], thought: str, reason: str | None) -> Self:
        """Say what there was in place of an answer."""
        ended = f" (finish reason {reason!r})" if reason else ""
        if refusal:
            error = cls(f"The model refused to answer: {_excerpt(refusal)}", "rephrase it.")
        elif tools:
            error = cls(
                f"The model called {', '.join(f'`{name}`' for name in tools)} instead of answering",
                "give the question to an agent, which runs the tools of a model.",
            )
        elif thought:
            error = cls(
                f"The model thought and then gave no answer{ended}: {_excerpt(thought)}",
                "ask again, or for less at once; the whole thought is in `.kept`.",
            )
        elif reason:
            error = cls(f"The model gave an empty answer{ended}", "ask again, or rephrase.")
        else:
            error = cls(
                "The model sent no text",
                "ask again, or ask the model itself (`llm.complete`) to see what it does.",
            )
        error.kept = refusal or thought
        return error


def check_source(source: Any) -> None:
    """Raise `StreamMisused` for the wrong calls people make first, naming the right one."""
    if source is None or isinstance(source, str | bytes | dict | int | float):
        kind = "None" if source is None else f"a {type(source).__name__}"
        raise StreamMisused(
            f"Got {kind}, which is not an answer",
            'pass one, such as `engine.aquery("your question")`.',
        )
    if inspect.iscoroutine(source) and inspect.getcoroutinestate(source) == "CORO_CLOSED":
        raise StreamMisused(
            "This coroutine has already been awaited",
            "a coroutine answers once; call the engine again for a new one.",
        )
    if callable(source) and not inspect.isawaitable(source):
        _check_callable(source)
    for verb in _ENGINE_VERBS:
        if hasattr(source, verb):
            example = "as_query_engine().aquery" if verb == "as_query_engine" else verb
            raise StreamMisused(
                f"Got {type(source).__name__}, which has not been asked anything",
                f'pass an answer of it: `.{example}("your question")`.',
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
            f"`{name}` is a function that still needs its arguments, not an answer",
            f"pass {advice}.",
        ) from None


def not_an_answer(error: Exception) -> StreamMisused:
    """Say that the source delivered something that is not text."""
    return StreamMisused(
        f"Got {error} where text was expected",
        "pass one answer of LlamaIndex's, such as "
        '`engine.aquery("your question")`, or an iterable of str.',
    )


def explain(error: BaseException, chunks: int) -> tuple[str, str | None]:
    """What an upstream error means, and what to do about it where that is told apart.

    The server's own words come first. `chunks` is how many had arrived.
    """
    trouble = judge(error)
    if chunks:
        return (
            f"The stream broke after {count(chunks, 'chunk')} ({trouble.happened})",
            f"the partial answer is kept in `.answer`; {trouble.advice}.",
        )
    return _in_own_words(error) or (trouble.happened, f"{trouble.advice}.")


def _in_own_words(error: BaseException) -> tuple[str, str | None] | None:
    if isinstance(error, NbkitError):
        return hide_keys(error.happened, error), error.advice
    # LlamaIndex's check, before it asks the model.
    if type(error) is ValueError and "available context size" in str(error):
        return (
            "The question, with what belongs to it, does not fit into the model's context window",
            "ask something shorter, lower `similarity_top_k`, or take a model with a larger one.",
        )
    return None


def in_words(error: Exception) -> Exception:
    """Give a server's refusal as `StreamBroken`, in a sentence; any other error as it is."""
    if isinstance(error, NbkitError) or status_of(error) is None:
        return error
    broken = StreamBroken(*explain(error, 0))
    broken.__cause__ = error
    return broken


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 200 else f"{text[:199]}…")
