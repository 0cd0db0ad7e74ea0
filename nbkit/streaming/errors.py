"""What can go wrong with a stream; each message is one sentence and says what to do."""

import inspect
from typing import Any

from nbkit.errors import NbkitError
from nbkit.language import say
from nbkit.streaming.server_errors import judge, status_of
from nbkit.streaming.server_words import hide_keys
from nbkit.wording import count

_ASYNC_METHODS = {"query": "aquery", "chat": "astream_chat", "complete": "astream_complete"}
"""The async method to suggest for a method whose name contains the word."""


class StreamError(NbkitError):
    """Something is wrong with a stream; `.answer` holds what had arrived. See notebook 01."""

    answer: Any = None


class StreamMisused(StreamError, TypeError):
    """The call was wrong; the message names the right one."""


class StreamBroken(StreamError):
    """The model, its server or the connection failed; `__cause__` is the original error."""


class AnswerTruncated(StreamError):
    """The answer ended before it was complete, and LlamaIndex raised nothing."""

    later = False
    """The same question may get a complete answer a little later."""


class NoAnswer(AnswerTruncated):
    """The reply has no answer: it is empty, or only reasoning, a refusal or a tool call."""

    kept = ""
    """The complete text of the reasoning or the refusal."""


def check_source(source: Any) -> None:
    """Raise `StreamMisused` for common wrong calls, and name the right one."""
    if source is None or isinstance(source, str | bytes | dict | int | float):
        kind = "None" if source is None else f"a {type(source).__name__}"
        raise StreamMisused(
            say("Got {kind}, which is not an answer", kind=kind),
            say('pass one, such as `engine.aquery("your question")`.'),
        )
    if inspect.iscoroutine(source) and inspect.getcoroutinestate(source) == "CORO_CLOSED":
        raise StreamMisused(
            say("This coroutine has already been awaited"),
            say("a coroutine answers once; call the engine again for a new one."),
        )
    if callable(source) and not inspect.isawaitable(source):
        _check_callable(source)
    for method in ("aquery", "astream_chat", "astream_complete", "as_query_engine"):
        if hasattr(source, method):
            example = "as_query_engine().aquery" if method == "as_query_engine" else method
            raise StreamMisused(
                say("Got {kind}, which is not an answer", kind=type(source).__name__),
                say('ask it a question: `.{example}("your question")`.', example=example),
            )


def _check_callable(source: Any) -> None:
    try:
        inspect.signature(source).bind()
    except ValueError:  # a builtin without a signature: calling it shows whether it works
        return
    except TypeError:
        name = getattr(source, "__name__", type(source).__name__)
        method = next((_ASYNC_METHODS[one] for one in _ASYNC_METHODS if one in name), None)
        right = f'`engine.{method}("your question")`' if method else f"`lambda: {name}(...)`"
        raise StreamMisused(
            say("`{name}` is a function that still needs its arguments, not an answer", name=name),
            say("pass {right}.", right=right),
        ) from None


def not_an_answer(thing: Any) -> StreamMisused:
    """The error for a source that gave something other than text."""
    return StreamMisused(
        say("Got {kind} where text was expected", kind=type(thing).__name__),
        say(
            'pass an answer from LlamaIndex, such as `engine.aquery("your question")`, or an '
            "iterable of str."
        ),
    )


def exited(ended_by: str) -> StreamBroken:
    """The error for a source that ended without a result and without an `Exception`."""
    return StreamBroken(
        say("The code that gives the text was ended by {ended_by}", ended_by=ended_by),
        say("make it return, or raise an Exception that says what is wrong."),
    )


def broken_by(error: BaseException, chunks: int = 0) -> StreamBroken:
    """The stream's error for an error of its source that came after `chunks` chunks."""
    trouble = judge(error)
    happened, advice = trouble.happened, say("{advice}.", advice=trouble.advice)
    if chunks:
        happened = say(
            "The stream broke after {chunks} ({happened})",
            chunks=count(chunks, "chunk"),
            happened=happened,
        )
        advice = say("the partial answer is kept in `.answer`; {advice}", advice=advice)
    elif isinstance(error, NbkitError):
        happened, advice = hide_keys(error.happened, error), error.advice or ""
    elif type(error) is ValueError and "available context size" in str(error):
        # LlamaIndex's check, before it asks the model.
        happened = say("The question, with its sources, does not fit the model's context window")
        advice = say(
            "ask something shorter, lower `similarity_top_k`, or use a model with a larger one."
        )
    broken = StreamBroken(happened, advice or None)
    broken.__cause__ = error
    return broken


def in_words(error: Exception) -> Exception:
    """A server's error as `StreamBroken` with a clear message; any other error unchanged."""
    return error if isinstance(error, NbkitError) or not status_of(error) else broken_by(error)
