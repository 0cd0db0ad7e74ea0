"""Which failures can succeed later, and when to try again."""

import json

from tenacity import RetryCallState, wait_random_exponential

from nbkit.streaming.errors import AnswerTruncated, StreamBroken
from nbkit.streaming.server_errors import judge, status_of
from nbkit.streaming.server_words import asked_wait

_BACKOFF = wait_random_exponential(multiplier=0.5, max=30)


def can_succeed_later(error: BaseException) -> bool:
    """Tell whether the same call may succeed a little later, with nothing changed.

    So it is for timeouts, lost or refused connections, servers that are busy or fail, and answers
    that ended early; it is not for a quota that is used up, a wait of more than
    ten minutes, a request that is wrong, or anything else: see `nbkit.streaming.server_errors`.
    """
    if isinstance(error, AnswerTruncated):
        return error.later
    if isinstance(error, StreamBroken):
        cause = error.__cause__
        return cause is not None and (_is_broken_json(cause) or can_succeed_later(cause))
    return not _is_broken_json(error) and judge(error).later


def is_refusal(error: BaseException) -> bool:
    """Tell whether the server said 429: too many requests, from all of us together."""
    return status_of(origin(error)) == 429


def retry_after(error: BaseException) -> float | None:
    """The seconds the server asks to wait, if it does."""
    return asked_wait(origin(error))


def backoff(state: RetryCallState) -> float:
    """The seconds to wait after a failure: what the server asks, or exponential with jitter.

    "Full jitter": uniform between 0 and 0.5 s, doubled with each attempt, 30 s at most. After a
    refusal nothing, because then everybody waits at the pace they share.
    """
    error = state.outcome.exception() if state.outcome else None
    assert error is not None
    if is_refusal(error):
        return 0.0
    asked = retry_after(error)
    return _BACKOFF(state) if asked is None else asked


def origin(error: BaseException) -> BaseException:
    """The client's own error inside ours."""
    if isinstance(error, StreamBroken) and error.__cause__ is not None:
        return error.__cause__
    return error


def _is_broken_json(error: BaseException) -> bool:
    """In a stream, a piece that a proxy cut; anywhere else, a bug."""
    return isinstance(error, json.JSONDecodeError)
