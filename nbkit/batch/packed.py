"""An outcome as bytes, from the process that asked its item to the one that wants it."""

import pickle
from dataclasses import replace

from nbkit.batch.outcome import BatchError, Outcome
from nbkit.batch.records import without_keys
from nbkit.language import say
from nbkit.streaming.answer import Answer
from nbkit.streaming.trace import clock_offset


class AskedElsewhere(BatchError):
    """An error of a worker whose own class cannot be sent; `answer` is what had arrived."""

    answer: Answer | None = None


def packed(outcome: Outcome) -> bytes:
    """The outcome as bytes, without its item and without LlamaIndex's response.

    A value that pickle cannot hold becomes an error.
    """
    sent = replace(outcome, item=None)
    if isinstance(sent.value, Answer):
        sent.value = replace(sent.value, response=None)
    if sent.error is not None:
        sent.error = _sendable(sent.error)
    try:
        return pickle.dumps((clock_offset(), sent))
    except Exception as error:  # noqa: BLE001 - pickle raises whatever the object's own code does
        sent.error = BatchError(
            say(
                "The value, a {kind}, cannot be sent from the worker ({error})",
                kind=type(sent.value).__name__,
                error=error,
            ),
            say("return text, numbers, lists or dicts."),
        )
        sent.value = None
        return pickle.dumps((clock_offset(), sent))


def unpacked(data: bytes) -> Outcome:
    """The outcome, its times as readings of this process's `time.perf_counter`."""
    offset, outcome = pickle.loads(data)
    earlier = offset - clock_offset()
    outcome.attempt_starts = [start + earlier for start in outcome.attempt_starts]
    partial = getattr(outcome.error, "answer", None)
    answers = [one for one in (outcome.value, partial) if isinstance(one, Answer)]
    # The trace of an outcome is mostly that of its answer, and must be moved only once.
    traces = [outcome.trace, *(answer.trace for answer in answers)]
    for trace in {id(trace): trace for trace in traces if trace}.values():
        trace.move(earlier)
    for step in (step for answer in answers for step in answer.steps):
        step.start += earlier
        step.end = None if step.end is None else step.end + earlier
    return outcome  # type: ignore[no-any-return]


def _sendable(error: Exception) -> Exception:
    """The error, or one that says the same, if pickle cannot make it again."""
    answer = getattr(error, "answer", None)
    if isinstance(answer, Answer):
        answer = error.answer = replace(answer, response=None)  # type: ignore[attr-defined]
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - pickle raises whatever the object's own code does
        sent = AskedElsewhere(f"{type(error).__name__}: {without_keys(str(error))}")
        sent.answer = replace(answer, error=sent) if isinstance(answer, Answer) else None
        return sent
    return error
