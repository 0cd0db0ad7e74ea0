"""A server's own words in an error, without the reader's key."""

import json
import re
from html import unescape
from typing import Any

_LONGEST = 300
_WRAPPERS = re.compile(r"^(?:(?:litellm\.)?\w*(?:Error|Exception)\s*[:-]\s*)+")
_TEXTS = ("message", "detail", "msg", "error_msg", "error_message", "status_msg", "title", "errors")
_KEYS = re.compile(
    r"\b(?:sk|gsk|xai|pplx|nvapi|hf)[-_][\w*-]{6,}|\bAIza[\w-]{20,}"
    r"|(?<=Bearer )[^\s,\"']+|(?<=[?&]key=)[^&\s]+|(?<=//)[^/\s:@]*:[^/\s@]+(?=@)"
)
_KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")


def body_of(error: BaseException) -> Any:
    """Give what a server sent with an error: JSON as parsed, other text, or `None`.

    Understands the openai and anthropic clients (`body`), ollama's (`error`), and what has an
    httpx response.
    """
    body = getattr(error, "body", None)
    if body is None:
        body = getattr(error, "error", None)
    if body is None:
        try:
            body = getattr(error, "response", None).text  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001 - no response, or one that was not read
            return None
    return parsed(body) if isinstance(body, str) else body


def sentence(error: BaseException) -> str:
    """Give the server's own words, without the full stop at the end; empty if there are none."""
    return hide_keys(_clean(_WRAPPERS.sub("", _words(body_of(error)))), error)


def said(error: BaseException) -> str:
    """Give what the error itself says, on one line, without the reader's key."""
    return hide_keys(_clean(str(error)), error)


def labels(body: Any) -> str:
    """Give all short codes in an error body, such as "insufficient_quota", in one string."""
    if isinstance(body, list):
        return " ".join(map(labels, body))
    if not isinstance(body, dict):
        return ""
    fields = ("code", "type", "status", "error_code", "status_code", "reason")
    inner = [labels(body[name]) for name in ("error", "base_resp") if name in body]
    if isinstance(message := body.get("message"), str):
        inner.append(labels(parsed(message)))
    return " ".join([*(str(body[name]) for name in fields if body.get(name)), *inner])


def hide_keys(text: str, error: BaseException) -> str:
    """Take out the key of the request, and whatever else looks like a key."""
    headers = getattr(request_of(error), "headers", None) or {}
    for name in _KEY_HEADERS:
        key = (headers.get(name) or "").rpartition(" ")[2]
        if len(key) >= 6:
            text = text.replace(key, "…")
    return _KEYS.sub("…", text)


def request_of(error: BaseException) -> Any:
    """Give the request that failed, if the error knows it."""
    try:
        return getattr(error, "request", None)
    except RuntimeError:  # httpx, if there was none
        return None


def _words(body: Any) -> str:
    if isinstance(body, str):
        if body.lstrip().startswith("<"):
            title = re.search(r"<(title|h1)[^>]*>(.*?)</\1>", body, re.IGNORECASE | re.DOTALL)
            return unescape(title[2]) if title else ""
        data = parsed(body)
        return body if isinstance(data, str) else _words(data)
    if isinstance(body, list):
        return "; ".join(filter(None, map(_words, body)))
    if not isinstance(body, dict):
        return ""
    if "loc" in body and "msg" in body:  # FastAPI names the field beside its message
        field = ".".join(str(part) for part in body["loc"] if part != "body")
        return f"{field}: {body['msg']}" if field else str(body["msg"])
    metadata = body.get("metadata")  # OpenRouter: "Provider returned error", and here what it was
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    for inner in (raw, body.get("error"), *(body.get(name) for name in _TEXTS)):
        if found := _words(inner):
            return found
    return ""


def parsed(text: str) -> Any:
    """JSON in a string, which gateways like to wrap around their provider's error."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _clean(text: str) -> str:
    line = " ".join(text.split())
    if len(line) > _LONGEST:
        line = line[: _LONGEST - 1] + "…"
    return line.rstrip(".。 ")
