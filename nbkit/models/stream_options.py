"""Asking again without `stream_options`, which some servers refuse."""

import json
import re

_NAME = b'"stream_options"'
_REFUSED = re.compile(
    rb"stream_options|include_usage|extra inputs|extra_forbidden|additional propert"
    rb"|(?:unknown|unrecogni[sz]ed|unexpected|unsupported) (?:\w+ )?"
    rb"(?:field|parameter|argument|propert|key|name)",
    re.IGNORECASE,
)


def asks_for_usage(request: bytes) -> bool:
    """Whether the body of a request has `stream_options` in it."""
    return _NAME in request


def refuses_usage(status: int, answer: bytes) -> bool:
    """Whether an answer says that a field of the request is unknown, perhaps this one."""
    return status in (400, 422) and bool(_REFUSED.search(answer))


def without_usage(request: bytes) -> bytes:
    """The body of a request without `stream_options`."""
    body = json.loads(request)
    body.pop("stream_options", None)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
