"""Which failures can succeed later, and when to try again."""

import time
from email.utils import parsedate_to_datetime
from typing import Any

from tenacity import RetryCallState, wait_random_exponential

from nbkit.stream_errors import AnswerTruncated, StreamBroken

PATIENCE = 600.0
"""Seconds; a server that asks for more wants another day, not another attempt."""
_STATUSES = {408, 409, 425, 429}
_NAMES = {
    "TimeoutError",
    "ConnectionError",
    "TransportError",  # httpx
    "ClientConnectionError",  # aiohttp
    "ClientPayloadError",
    "APIConnectionError",  # openai
}
_BACKOFF = wait_random_exponential(multiplier=0.5, max=30)


def can_succeed_later(error: BaseException) -> bool:
    """Tell whether the same call may succeed a little later, with nothing changed.

    So it is for timeouts, lost or refused connections, the HTTP statuses 408, 409, 425, 429 and
    5xx, errors that a server sends inside a stream, and answers whose connection ended early; it
    is not for a quota that is used up, a wait of more than `PATIENCE` seconds, or anything else.
    Judged by name and status, so that the openai, httpx and aiohttp clients are understood
    without importing any.
    """
    if isinstance(error, AnswerTruncated):
        answer = error.answer
        return bool(answer and answer.text and answer.trace.finish_reason is None)
    if isinstance(error, StreamBroken):
        return error.__cause__ is not None and can_succeed_later(error.__cause__)
    if (retry_after(error) or 0) > PATIENCE or _code(error) == "insufficient_quota":
        return False
    status = getattr(error, "status_code", None)
    if status is not None:
        return status in _STATUSES or status >= 500
    # An error event inside a stream is openai's bare base class.
    return type(error).__name__ == "APIError" or bool(_names(error) & _NAMES)


def is_refusal(error: BaseException) -> bool:
    """Tell whether the server said 429: too many requests, from all of us together."""
    return getattr(origin(error), "status_code", None) == 429


def retry_after(error: BaseException) -> float | None:
    """Give the seconds the server asks to wait (`Retry-After`, RFC 9110 10.2.3), if it does."""
    headers = getattr(getattr(origin(error), "response", None), "headers", None) or {}
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def backoff(state: RetryCallState) -> float:
    """Give the seconds to wait after a failure: what the server asks, or exponential with jitter.

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


def _code(error: BaseException) -> Any:
    return getattr(error, "code", None)


def _names(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}
