"""What a server's error means: its own words, what to do, and whether asking again can help."""

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from nbkit.errors import NbkitError
from nbkit.streaming.server_words import (
    asked_wait,
    body_of,
    hide_keys,
    labels,
    request_of,
    said,
    sentence,
    until,
)

LONGEST_WAIT = 600.0
"""Seconds; a server that asks for more wants another day, not another attempt."""


@dataclass(frozen=True)
class Trouble:
    """One failed request, in words."""

    happened: str
    """What happened, in the server's own words where it had any; no full stop."""
    advice: str
    """What to do about it; no full stop."""
    later: bool
    """The same request may succeed a little later, unchanged."""


class _Kind(NamedTuple):
    """A kind of refusal: what helps, and what it is recognised by."""

    advice: str
    codes: str = r"(?!)"
    """What its short codes contain (regular expression; by default none)."""
    words: str = r"(?!)"
    """What its sentence contains."""
    statuses: tuple[int, ...] = ()
    """HTTP statuses that mean it by themselves."""
    later: bool = False


_PER_DAY = re.compile(r"per ?day|\b[RT]PD\b|daily (?:limit|quota)|\blimit: 0\b", re.IGNORECASE)
_DAY = _Kind("the allowance of today is used up: ask again tomorrow, or use another plan or model")
_KINDS = [
    _Kind(
        "send less at once: a shorter question, or a smaller `similarity_top_k`",
        r"request_too_large",
        r"request (?:entity )?too large|payload too large",
        (413,),
    ),
    _Kind(
        "use fewer sources (a smaller `similarity_top_k`), a shorter question or chat, or a model "
        "with a larger context window",
        r"context_(?:length|size|window)|string_above_max_length",
        r"(?:maximum|available|model'?s) context|context (?:length|window|size)"
        r"|(?:prompt|input) is too long|range of input length|input token count",
    ),
    _Kind("wait a moment, or ask fewer at once", r"RESOURCE_EXHAUSTED", later=True),
    _Kind(
        "this account has nothing left to spend: pay in, or use another key or model",
        r"insufficient_(?:user_)?(?:quota|balance|funds|credit)|current_quota|billing|arrearage"
        r"|credits?_(?:exhausted|exceeded)|\b1113\b|\b1008\b",
        r"insufficient (?:account )?(?:balance|quota|credit|funds)|exceeded your .*quota"
        r"|(?:out of|more) credits|credit balance|(?:please|account) recharge|arrears?\b"
        r"|good standing|欠费|余额不足|monthly (?:quota|spend)",
        (402,),
    ),
    _Kind(
        "wait until the model has loaded, then ask again",
        words=r"loading model|(?:model|is) (?:currently )?loading|warming up|still starting",
        later=True,
    ),
    _Kind(
        "use a smaller model, or give it a smaller context window",
        words=r"more (?:system )?memory|out of memory|(?:insufficient|not enough) memory"
        r"|failed to allocate|unable to allocate",
    ),
    _Kind(
        "use a provider that serves your country",
        r"unsupported_country",
        r"(?:country|region|location)\b.*\bnot supported|not (?:available|supported) in your",
    ),
    _Kind(
        "rephrase the question",
        r"content_filter|content_policy|data_inspection|sensitive_words|\b1301\b",
        r"content management policy|inappropriate content|敏感内容",
    ),
    _Kind(
        "choose a model that the server has, with `model=`",
        r"model_?not_?(?:found|exist)|DeploymentNotFound|invalid_model",
        r"\bmodel\b.*\b(?:not found|not exist|does not exist)|no such model|not a valid model"
        r"|no models? loaded",
    ),
    _Kind(
        "leave this setting out, or give it the value the server names",
        r"unsupported_(?:value|parameter)|unknown_parameter|extra_forbidden",
        r"unsupported (?:value|parameter)|extra inputs are not permitted"
        r"|unrecognized request argument|(?:does not|doesn't) support|not supported (?:with|by)",
    ),
    _Kind(
        "check the API key",
        r"invalid_(?:api_)?key|authentication|unauthenticated",
        r"(?:invalid|incorrect|missing|wrong|no) api[ -]?key|api[ -]?key\b.*\b(?:not valid|invalid)"
        r"|invalid authentication|token (?:is )?(?:invalid|expired)",
        (401,),
    ),
    _Kind(
        "check the server's address, which usually ends in /v1",
        words=r"unexpected endpoint|unknown request url|no route",
        statuses=(404, 405),
    ),
    _Kind(
        "wait a moment, or ask fewer at once",
        r"rate_?limit|limit_(?:requests|burst_rate)|throttl|\b130[2-5]\b",
        r"rate limit|too many requests",
        (429,),
        later=True,
    ),
    _Kind(
        "the server is busy: wait a moment, then ask again",
        r"overloaded",
        r"overloaded|at capacity|server (?:is )?busy",
        (503, 529),
        later=True,
    ),
]
_BY_STATUS = {
    403: "check what the account of this key may use",
    **dict.fromkeys((408, 504, 524), "ask again, or raise `timeout`"),
}
_LATER = {408, 409, 425, 429}
_NEVER_LATER = {501, 505}
_TIMEOUTS = {"APITimeoutError", "TimeoutException", "TimeoutError"}
_CONNECTIONS = {
    "ConnectionError",
    "TransportError",  # httpx
    "ClientConnectionError",  # aiohttp
    "ClientPayloadError",
    "APIConnectionError",  # openai
}


def judge(error: BaseException) -> Trouble:
    """Say what an error of a model's client means.

    By its words first, since servers give very different errors the same HTTP status, then by the
    status. Judged by names, so that the openai, httpx, aiohttp, anthropic and ollama clients are
    understood without importing any.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    if isinstance(error, NbkitError):
        later = bool(names & (_TIMEOUTS | _CONNECTIONS))
        advice = (error.advice or "see above").rstrip(".")
        return Trouble(hide_keys(error.happened, error), advice, later)
    status = status_of(error)
    if status is not None or ("APIError" in names and not names & (_TIMEOUTS | _CONNECTIONS)):
        return _refused(error, status)
    if names & _TIMEOUTS and not _is_lost(error):
        return Trouble(
            "The model's server did not answer in time", "ask again, or raise `timeout`", later=True
        )
    if names & (_TIMEOUTS | _CONNECTIONS):
        return _unreachable(error)
    if "JSONDecodeError" in names:
        return Trouble("A piece of the stream arrived broken", "ask again", later=True)
    kind = f"{type(error).__name__}: {said(error)}".removesuffix(": ")
    return Trouble(kind, "fix the cause, then ask again", later=False)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error, of the response or, in a stream, in its body."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            if isinstance(status := getattr(holder, name, None), int) and status >= 400:
                return status
    code = labels(body_of(error)).partition(" ")[0]
    return int(code) if re.fullmatch(r"[45]\d\d", code) else None


def _refused(error: BaseException, status: int | None) -> Trouble:
    body = body_of(error)
    words = sentence(error)
    if not words and status is None:
        words = said(error) or "The model's server reported an error"
    elif not words:
        failed = status is not None and status >= 500
        words = "The model's server failed" if failed else "The server refused the request"
    kind = _kind(words, body, status)
    wait = asked_wait(error)
    if status is not None:
        words = f"{words} (HTTP {status})"
    if wait is not None and wait > LONGEST_WAIT and (kind is None or kind.later):
        return Trouble(words, f"the server asks to wait until {until(wait)}: ask then", later=False)
    if kind is not None:
        return Trouble(words, kind.advice, kind.later)
    if status is None or status >= 500 or status in _LATER:
        advice = _BY_STATUS.get(status or 0, "ask again")
        return Trouble(words, advice, later=status not in _NEVER_LATER)
    return Trouble(words, _BY_STATUS.get(status, "change the request"), later=False)


def _kind(words: str, body: Any, status: int | None) -> _Kind | None:
    codes = labels(body)
    if status in (429, None) and _PER_DAY.search(json.dumps(body, default=str)):
        return _DAY
    for kind in _KINDS:
        known = re.search(kind.codes, codes, re.IGNORECASE)
        if known or re.search(kind.words, words, re.IGNORECASE):
            return kind
    return next((kind for kind in _KINDS if status in kind.statuses), None)


def _unreachable(error: BaseException) -> Trouble:
    root = _causes(error)[-1]
    if isinstance(root, ValueError | TypeError):  # the SDK calls this too a lost connection
        unsent = f"The request could not be sent ({hide_keys(said(root), error)})"
        return Trouble(unsent, "check the server's address and the key", later=False)
    url = getattr(request_of(error), "url", None)
    at = "" if url is None else f" at {url.host}:{url.port or ''}".rstrip(":")
    if _is_lost(error) and not _is_unreached(error):
        lost = f"The connection to the model's server{at} was lost"
        return Trouble(lost, "ask again", later=True)
    return Trouble(
        f"The model's server{at} cannot be reached",
        "is it running? Check its address, and your network and proxy settings",
        later=True,
    )


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__
    return found


def _is_unreached(error: BaseException) -> bool:
    """Nobody took the connection."""
    names = {"ConnectionRefusedError", "ClientConnectorError", "ConnectError", "gaierror"}
    return any(type(cause).__name__ in names for cause in _causes(error))


def _is_lost(error: BaseException) -> bool:
    """Tell a lost connection from a timeout, which httpx-aiohttp reports for both."""
    lost = {"ServerDisconnectedError", "ClientConnectorError", "RemoteProtocolError", "ReadError"}
    return any(
        (isinstance(cause, OSError) and not isinstance(cause, TimeoutError))
        or type(cause).__name__ in lost
        for cause in _causes(error)
    )
