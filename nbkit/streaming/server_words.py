"""What a server says in an error: its message without the API key, and how long to wait."""

import json
import math
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

from nbkit.language import say

_LONGEST = 300
_WRAPPERS = re.compile(r"^(?:(?:litellm\.)?\w*(?:Error|Exception)\s*[:-]\s*)+")
_TEXTS = ("message", "detail", "msg", "error_msg", "error_message", "status_msg", "title", "errors")
_CODES = ("code", "type", "status", "error_code", "status_code", "reason")
_KEYS = re.compile(
    r"\b(?:sk|gsk|xai|pplx|nvapi|hf)[-_][\w*-]{6,}|\bAIza[\w-]{20,}"
    r"|(?<=Bearer )[^\s,\"']+|(?<=[?&]key=)[^&\s]+|(?<=//)[^/\s:@]*:[^/\s@]+(?=@)"
)
_KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)[a-z]*"
_DURATION = re.compile(rf"(?:{_PART}\s*)+", re.IGNORECASE)
_IN_WORDS = re.compile(rf"(?:try again|retry)(?: in| after)?\s+((?:{_PART}\s*)+)", re.IGNORECASE)


def body_of(error: BaseException) -> Any:
    """What a server sent with an error: parsed JSON, other text, or `None`.

    Works with the openai and anthropic clients (`body`), ollama (`error`), and errors that have
    an httpx response.
    """
    body = getattr(error, "body", None)
    if body is None:
        body = getattr(error, "error", None)
    if body is None:
        try:
            body = getattr(error, "response", None).text  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001 - no response, or one that was not read
            return None
    return _parsed(body) if isinstance(body, str) else body


def sentence(error: BaseException) -> str:
    """The server's own message, without a full stop at the end; empty if there is none."""
    return hide_keys(_clean(_WRAPPERS.sub("", _words(body_of(error)))), error)


def said(error: BaseException) -> str:
    """The text of the error itself, on one line, without the API key."""
    return hide_keys(_clean(str(error)), error)


def labels(body: Any) -> str:
    """All short codes in an error body, such as "insufficient_quota", in one string."""
    if isinstance(body, list):
        return " ".join(map(labels, body))
    if not isinstance(body, dict):
        return ""
    inner = [labels(body.get(name)) for name in ("error", "base_resp")]
    if isinstance(message := body.get("message"), str):
        inner.append(labels(_parsed(message)))
    return " ".join([*(str(body[name]) for name in _CODES if body.get(name)), *inner]).strip()


def hide_keys(text: str, error: BaseException) -> str:
    """The text with the request's key, and anything that looks like a key, replaced by …."""
    headers = getattr(request_of(error), "headers", None) or {}
    for name in _KEY_HEADERS:
        key = (headers.get(name) or "").rpartition(" ")[2]
        if len(key) >= 6:
            text = text.replace(key, "…")
    return _KEYS.sub("…", text)


def request_of(error: BaseException) -> Any:
    """The request that failed, if the error has it."""
    try:
        return getattr(error, "request", None)
    except RuntimeError:  # httpx raises this if there is no request
        return None


def _words(body: Any) -> str:
    if isinstance(body, str):
        if body.lstrip().startswith("<"):
            title = re.search(r"<(title|h1)[^>]*>(.*?)</\1>", body, re.IGNORECASE | re.DOTALL)
            return unescape(title[2]) if title else ""
        data = _parsed(body)
        return body if isinstance(data, str) else _words(data)
    if isinstance(body, list):
        return "; ".join(filter(None, map(_words, body)))
    if not isinstance(body, dict):
        return ""
    if "loc" in body and "msg" in body:  # FastAPI puts the name of the field here
        return ".".join(str(part) for part in body["loc"] if part != "body") + f": {body['msg']}"
    metadata = body.get("metadata")  # OpenRouter: the details
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    parts = (raw, body.get("error"), *(body.get(name) for name in _TEXTS))
    return next(filter(None, map(_words, parts)), "")


def _parsed(text: str) -> Any:
    """The JSON in a string, which is how gateways send a provider's error; other text as is."""
    try:
        return json.loads(text) if text.lstrip()[:1] in ("{", "[") else text
    except ValueError:
        return text


def _clean(text: str) -> str:
    line = " ".join(text.split())
    if len(line) > _LONGEST:
        line = line[: _LONGEST - 1] + "…"
    return line.rstrip(".。 ")


def asked_wait(error: BaseException) -> float | None:
    """The seconds that the server asks the client to wait; `None` if it does not ask.

    Read from `retry-after-ms`, from `Retry-After` (seconds or a date: RFC 9110), with status 429
    from OpenAI's `x-ratelimit-reset-requests` and `-tokens` ("6m0s"), or from the body: Google's
    `retryDelay`, or words like "try again in 1.5s".
    """
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    for text in (f"{headers.get('retry-after-ms', '')}ms", headers.get("retry-after", "")):
        if (asked := duration(text)) is not None:
            return asked
    with suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, date.timestamp() - time.time())
    if getattr(error, "status_code", None) == 429 and (asked := _reset(headers)) is not None:
        return asked
    # It may be deep in the body, or in JSON inside a string.
    body = json.dumps(body_of(error), default=str)
    delay = re.search(r'retryDelay[\\"\s:]+([\d.]+\w+)', body)
    found = delay or _IN_WORDS.search(sentence(error))
    return duration(found[1]) if found else None


def duration(text: str) -> float | None:
    """The seconds in "90", "1.5s", "17ms" or "6m0s"; `None` for other text."""
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
    """The local time and date at which a wait that starts now is over."""
    try:
        then = datetime.fromtimestamp(time.time() + seconds)
    except (OverflowError, ValueError, OSError):
        return say("a date after the year 9999")
    return say("{then:%H:%M} on {then.day} {then:%B %Y}", then=then)


def _reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until the used-up limit is reset; if neither is marked as used up, the shorter."""
    resets, empty = [], []
    for kind in ("requests", "tokens"):
        wait = duration(headers.get(f"x-ratelimit-reset-{kind}", ""))
        if wait is None:
            continue
        resets.append(wait)
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0":
            empty.append(wait)
    return max(empty) if empty else min(resets, default=None)
