"""Which failures can succeed later, and when to try again."""

import json
import random

from nbkit.streaming.errors import AnswerTruncated, StreamBroken
from nbkit.streaming.server_errors import judge, status_of
from nbkit.streaming.server_words import asked_wait


def can_succeed_later(error: BaseException) -> bool:
    """Whether the same call may succeed a little later.

    True for lost connections, busy servers and truncated answers; False for a used-up quota, or a
    wait of more than ten minutes: see `nbkit.streaming.server_errors`.
    """
    if isinstance(error, AnswerTruncated):
        return error.later
    if isinstance(error, StreamBroken):
        return error.__cause__ is not None and judge(error.__cause__).later
    # In a stream, invalid JSON comes from a cut connection; anywhere else it is a bug.
    return not isinstance(error, json.JSONDecodeError) and judge(error).later


def is_refusal(error: BaseException) -> bool:
    """Whether the server answered 429: too many requests, from all workers together."""
    return status_of(_of_client(error)) == 429


def retry_after(error: BaseException) -> float | None:
    """The seconds that the server asks the client to wait; `None` if it does not."""
    return asked_wait(_of_client(error))


def backoff(error: BaseException, failures: int) -> float:
    """Seconds to wait after `failures` failures: what the server asks, or exponential with jitter.

    Uniform between 0 and a bound: 0.5 s, doubled with each failure, at most 30 s. After a refusal
    it is 0, because `Pace` makes all workers wait.
    """
    if is_refusal(error):
        return 0.0
    asked = retry_after(error)
    return random.uniform(0, min(30, 0.5 * 2 ** (failures - 1))) if asked is None else asked


def _of_client(error: BaseException) -> BaseException:
    """The client's own error, which may be the cause of ours."""
    return error.__cause__ or error if isinstance(error, StreamBroken) else error
