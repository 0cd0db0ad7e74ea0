"""How long a server asks to wait before the next request."""

import math
import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from nbkit.streaming.server_words import body_of, parsed, sentence

PATIENCE = 600.0
"""Seconds; a server that asks for more wants another day, not another attempt."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)[a-z]*"
_DURATION = re.compile(rf"(?:{_PART}\s*)+", re.IGNORECASE)
_IN_WORDS = re.compile(rf"(?:try again|retry)(?: in| after)?\s+((?:{_PART}\s*)+)", re.IGNORECASE)


def asked_wait(error: BaseException) -> float | None:
    """Give the seconds the server asks to wait, if it does.

    Read from `retry-after-ms`, `Retry-After` (RFC 9110 10.2.3: seconds or a date; and "2s", which
    some send), for a refusal (429) `x-ratelimit-reset-requests` and `-tokens` ("6m0s"), then from
    the body: Google's `retryDelay`, or words like "try again in 1.5s".
    """
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    milliseconds = duration(f"{headers.get('retry-after-ms', '')}ms")
    if milliseconds is not None:
        return milliseconds
    asked = _retry_after(headers.get("retry-after"))
    if asked is not None:
        return asked
    if getattr(error, "status_code", None) == 429:
        asked = _reset(headers)
    return _in_body(error) if asked is None else asked


def duration(text: str) -> float | None:
    """Give the seconds that "90", "1.5s", "17ms" or "6m0s" mean; `None` if it means none."""
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        if not _DURATION.fullmatch(text):
            return None
        parts = re.findall(_PART, text, re.IGNORECASE)
        return sum(float(number) * _UNITS[unit.lower()] for number, unit in parts)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def until(seconds: float) -> str:
    """Say when a wait that begins now is over, with the date, in local time."""
    try:
        then = datetime.fromtimestamp(time.time() + seconds)
    except (OverflowError, ValueError, OSError):
        return "a date beyond all calendars"
    return f"{then:%H:%M} on {then.day} {then:%B %Y}"


def _retry_after(text: str | None) -> float | None:
    if text is None or (seconds := duration(text)) is not None:
        return None if text is None else seconds
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _reset(headers: Mapping[str, str]) -> float | None:
    """When the allowance that is used up is there again; if none says so, the first of them."""
    resets, empty = [], []
    for kind in ("requests", "tokens"):
        wait = duration(headers.get(f"x-ratelimit-reset-{kind}", ""))
        if wait is None:
            continue
        resets.append(wait)
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0":
            empty.append(wait)
    return max(empty) if empty else min(resets, default=None)


def _in_body(error: BaseException) -> float | None:
    delay = _field(body_of(error), "retryDelay")
    if isinstance(delay, str) and (seconds := duration(delay)) is not None:
        return seconds
    found = _IN_WORDS.search(sentence(error))
    return duration(found[1]) if found else None


def _field(data: Any, name: str) -> Any:
    """The first value of that name, however deep, also in JSON within a string."""
    if isinstance(data, str) and name in data:
        data = parsed(data)
    if isinstance(data, dict):
        if name in data:
            return data[name]
        data = list(data.values())
    if isinstance(data, list):
        return next((found for one in data if (found := _field(one, name)) is not None), None)
    return None
