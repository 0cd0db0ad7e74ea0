"""The lines of a provider's file of results, in OpenAI's form, as outcomes."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai

from nbkit.batch.outcome import BatchError, Outcome
from nbkit.language import say, to_say
from nbkit.models import shapes
from nbkit.models.http import httpx
from nbkit.models.recorded import CHAT
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import AnswerTruncated, StreamBroken, broken_by
from nbkit.streaming.model_call import ModelCall
from nbkit.streaming.reply_faults import fault_of
from nbkit.streaming.server_errors import judge
from nbkit.streaming.thinking import Thought, ThoughtSplitter
from nbkit.streaming.trace import Trace
from nbkit.wording import whole_characters

_AGAIN = to_say("ask it again: in another batch, or now with `run_batch`.")


class BatchFileError(BatchError, ValueError):
    """A Batch file cannot be written for these questions, or read. Taught in notebook 13."""


def results_in(path: Path) -> Iterator[tuple[str, Outcome]]:
    """The `custom_id` of each line of a file, and its outcome without item and index.

    Raises `BatchFileError` for a line that is no result, and a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    result = _result(line, say("Line {number} of {path}", number=number, path=path))
                    yield result["custom_id"], _outcome(result)
    except OSError as error:
        raise BatchFileError(
            say("{path} cannot be read ({error})", path=path, error=error.strerror or error),
            say("pass a file that you downloaded from the provider."),
        ) from None


def not_found() -> Outcome:
    """The outcome of an item that is in none of the files, without item and index."""
    missing = StreamBroken(
        say(
            "The files have no result for this item: the batch expired or was cancelled before it, "
            "or its file of errors was not passed"
        ),
        say(_AGAIN),
    )
    return Outcome(None, 0, error=missing)


def _result(line: bytes, place: str) -> dict[str, Any]:
    try:
        result = json.loads(line)
        answered = isinstance(result.get("response"), dict) or result.get("error")
        if isinstance(result["custom_id"], str) and answered:
            return dict(result)
        is_request = "body" in result
    except (ValueError, TypeError, KeyError, AttributeError):
        is_request = False
    if is_request:
        raise BatchFileError(
            say("{place} is a request, not a result", place=place),
            say("pass the file that the provider gives for it."),
        )
    raise BatchFileError(
        say("{place} is not a result of a batch in OpenAI's form", place=place),
        say("download the file again."),
    )


def _outcome(result: dict[str, Any]) -> Outcome:
    """What a line says; it counts as an attempt if the model's server answered at all."""
    if failed := result.get("error"):
        error = openai.APIError(str(failed), httpx.Request("POST", CHAT), body=failed)
        return Outcome(None, 0, error=StreamBroken(judge(error).happened, say(_AGAIN)))
    response = result["response"]
    body, status = response.get("body"), response.get("status_code")
    is_refused = isinstance(status, int) and status >= 400
    if is_refused or shapes.error_in(body):
        reply = httpx.Response(status if is_refused else 200, request=httpx.Request("POST", CHAT))
        refused = openai.APIStatusError(str(body), response=reply, body=body)
        return Outcome(None, 0, error=broken_by(refused), attempts=1)
    ended = _answer(body)
    if isinstance(ended, Answer):
        return Outcome(None, 0, value=ended, attempts=1)
    return Outcome(None, 0, error=ended, attempts=1)


def _answer(body: Any) -> Answer | StreamBroken | AnswerTruncated:
    """The answer in a complete reply, or why it is none; its trace has no times."""
    try:
        reply = shapes.completion(body)
        content = reply.choices[0].message.content or ""
    except (AttributeError, IndexError, TypeError):
        return StreamBroken(say("The result has no answer in OpenAI's chat protocol"), say(_AGAIN))
    call = ModelCall(model=reply.model)
    thoughts = [call.on_raw(reply)]
    splitter, text = ThoughtSplitter(), ""
    for part in (*splitter.add(whole_characters(content)), *splitter.end()):
        if isinstance(part, Thought):
            thoughts.append(part)
        else:
            text += part
    trace = Trace(time.perf_counter(), usage=[call.usage])
    call.copy_to(trace)
    fault = fault_of(call, text, 0, streamed=True)
    answer = Answer(
        text=text,
        trace=trace,
        thought="".join(thoughts),
        truncated=fault is not None,
        error=fault,
    )
    if fault is None:
        return answer
    fault.answer = answer
    return fault
