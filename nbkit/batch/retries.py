"""Which failures can succeed later, and when to try again."""

import json
import random

from nbkit.streaming.errors import AnswerTruncated, StreamBroken
from nbkit.streaming.server_errors import judge, status_of
from nbkit.streaming.server_words import asked_wait


def can_succeed_later(error: BaseException) -> bool:
    """Tell whether the same call may succeed a little later, with nothing changed.

    So may lost connections, busy servers and answers that ended early; not a quota that is used up,
    or a wait of more than ten minutes: see `nbkit.streaming.server_errors`.
    """
    if isinstance(error, AnswerTruncated):
        return error.later
    if isinstance(error, StreamBroken):
        return error.__cause__ is not None and judge(error.__cause__).later
    # In a stream, broken JSON is a piece that a proxy cut; anywhere else, a bug.
    return not isinstance(error, json.JSONDecodeError) and judge(error).later


def is_refusal(error: BaseException) -> bool:
    """Tell whether the server said 429: too many requests, from all of us together."""
    return status_of(_of_client(error)) == 429


def retry_after(error: BaseException) -> float | None:
    """The seconds the server asks to wait, if it does."""
    return asked_wait(_of_client(error))


def backoff(error: BaseException, failures: int) -> float:
    """The seconds to wait after so many failures: what the server asks, or exponential with jitter.

    Uniform between 0 and 0.5 s, doubled with each failure, 30 s at most. None after a refusal: then
    everybody waits at the pace they share.
    """
    if is_refusal(error):
        return 0.0
    asked = retry_after(error)
    return random.uniform(0, min(30, 0.5 * 2 ** (failures - 1))) if asked is None else asked


def _of_client(error: BaseException) -> BaseException:
    """The client's own error inside ours."""
    return error.__cause__ or error if isinstance(error, StreamBroken) else error
