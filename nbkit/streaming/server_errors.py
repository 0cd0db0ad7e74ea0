"""What a server's error means: its message, what to do, and whether a retry can help."""

import json
import re
from typing import Any, NamedTuple

from nbkit.errors import NbkitError
from nbkit.language import say, to_say
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
"""Seconds; a server that asks for a longer wait is not asked again."""


class Trouble(NamedTuple):
    """What one failed request means."""

    happened: str
    """What happened, in the server's own words if it sent any; no full stop."""
    advice: str
    """What to do about it; no full stop."""
    later: bool = False
    """The same request may succeed a little later, unchanged."""


class _Kind(NamedTuple):
    """A kind of refusal: how to recognise it, and what helps."""

    advice: str
    words: str = r"(?!)"
    """A regular expression found in its codes or message; by default it matches nothing."""
    statuses: tuple[int, ...] = ()
    """HTTP statuses that mean this if no words match."""
    later: bool = False


_BUSY = to_say("wait a moment, or ask fewer at once")
_PER_DAY = re.compile(r"per ?day|\b[RT]PD\b|daily (?:limit|quota)|\blimit: 0\b", re.IGNORECASE)
_DAY = _Kind(to_say("today's quota is used up: ask again tomorrow, or use another plan or model"))
_KINDS = [
    _Kind(
        to_say(
            "send less: a smaller `similarity_top_k`, shorter results of tools, a shorter question "
            "or chat; or use a model with a larger context window"
        ),
        r"context_(?:length|size|window)|string_above_max_length|request_too_large"
        r"|(?:request (?:entity )?|payload )too large|(?:maximum|available|model'?s) context"
        r"|context (?:length|window|size)|(?:prompt|input) is too long|range of input length"
        r"|input token count",
        (413,),
    ),
    _Kind(_BUSY, r"RESOURCE_EXHAUSTED", later=True),  # Gemini says "quota" here
    _Kind(
        to_say("this account has no credit left: add credit, or use another key or model"),
        r"insufficient[ _](?:user_|account )?(?:quota|balance|funds|credit)|current_quota|billing_"
        r"|arrearage|credits?_(?:exhausted|exceeded)|\b1113\b|\b1008\b|exceeded your .*quota"
        r"|(?:out of|more) credits|credit balance|(?:please|account) recharge|arrears?\b"
        r"|good standing|欠费|余额不足|monthly (?:quota|spend)",
        (402,),
    ),
    _Kind(
        to_say("use a smaller model, or give it a smaller context window"),
        r"more (?:system )?memory|out of memory|(?:insufficient|not enough) memory"
        r"|(?:failed|unable) to allocate",
    ),
    _Kind(
        to_say("rephrase the question"),
        r"content_filter|content_policy|data_inspection|sensitive_words|\b1301\b"
        r"|content management policy|inappropriate content|敏感内容",
    ),
    _Kind(
        to_say("choose a model that the server has, with `model=`"),
        r"model_?not_?(?:found|exist)|DeploymentNotFound|invalid_model"
        r"|\bmodel\b.*\b(?:not found|not exist|does not exist)|no such model|not a valid model"
        r"|no models? loaded",
    ),
    _Kind(
        to_say("leave this setting out, or give it the value the server names"),
        r"unsupported[ _](?:value|parameter)|unknown_parameter|extra_forbidden"
        r"|extra inputs are not permitted|unrecognized request argument"
        r"|(?:does not|doesn't) support|not supported (?:with|by)",
    ),
    _Kind(
        to_say("check the API key"),
        r"invalid_(?:api_)?key|authentication|unauthenticated|token (?:is )?(?:invalid|expired)"
        r"|(?:invalid|incorrect|missing|wrong|no) api[ -]?key|api[ -]?key\b.*\b(?:not |in)valid",
        (401,),
    ),
    _Kind(
        to_say("check the server's address, which usually ends in /v1"),
        r"unexpected endpoint|unknown request url|no route",
        (404, 405),
    ),
    _Kind(
        _BUSY,
        r"rate[ _]?limit|limit_(?:requests|burst_rate)|throttl|\b130[2-5]\b|too many requests"
        r"|overloaded|at capacity|server (?:is )?busy",
        (429, 503, 529),
        later=True,
    ),
    _Kind(to_say("check what the account of this key may use, and from where"), statuses=(403,)),
    _Kind(to_say("ask again, or raise `timeout`"), statuses=(408, 504, 524), later=True),
    _Kind(to_say("ask again"), statuses=(409, 425), later=True),
    _Kind(to_say("ask again"), statuses=(501, 505)),
]
_TIMEOUTS = {"APITimeoutError", "TimeoutException", "TimeoutError"}
_CONNECTIONS = {
    "ConnectionError",
    "TransportError",  # httpx
    "ClientConnectionError",  # aiohttp
    "ClientPayloadError",
    "APIConnectionError",  # openai
}
_NO_SERVER = {"ConnectionRefusedError", "ClientConnectorError", "ConnectError", "gaierror"}
_LOST = {"ServerDisconnectedError", "RemoteProtocolError", "ReadError"}


def judge(error: BaseException) -> Trouble:
    """What an error of a model's client means.

    The words count first, because servers use one HTTP status for very different errors, then the
    status. Classes are compared by name, which covers the openai, httpx, aiohttp, anthropic and
    ollama clients without importing them.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    unanswered = bool(names & (_TIMEOUTS | _CONNECTIONS))
    if isinstance(error, NbkitError):
        advice = (error.advice or say("see above")).rstrip(".。")
        return Trouble(hide_keys(error.happened, error), advice, unanswered)
    status = status_of(error)
    if status is not None or ("APIError" in names and not unanswered):
        return _refused(error, status)
    if unanswered:
        return _not_answered(error, timed_out=bool(names & _TIMEOUTS))
    if "JSONDecodeError" in names:
        return Trouble(say("A piece of the stream arrived broken"), say("ask again"), later=True)
    kind = f"{type(error).__name__}: {said(error)}".removesuffix(": ")
    return Trouble(kind, say("fix the cause, then ask again"))


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error, from its response or, in a stream, from its body."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            if isinstance(status := getattr(holder, name, None), int) and status >= 400:
                return status
    code = labels(body_of(error)).partition(" ")[0]
    return int(code) if re.fullmatch(r"[45]\d\d", code) else None


def _refused(error: BaseException, status: int | None) -> Trouble:
    words = sentence(error)
    kind = _kind(words, body_of(error), status)
    if status is None:
        words = words or said(error) or say("The model's server reported an error")
    else:
        failed = say("The server refused the request")
        if status >= 500:
            failed = say("The model's server failed")
        words = say("{words} (HTTP {status})", words=words or failed, status=status)
    wait = asked_wait(error)
    if kind.later and wait is not None and wait > LONGEST_WAIT:
        return Trouble(
            words,
            say("the server asks you to wait until {until}: ask again then", until=until(wait)),
        )
    return Trouble(words, say(kind.advice), kind.later)


def _kind(words: str, body: Any, status: int | None) -> _Kind:
    if status in (429, None) and _PER_DAY.search(json.dumps(body, default=str)):
        return _DAY
    text = f"{labels(body)} {words}"
    for kind in _KINDS:
        if re.search(kind.words, text, re.IGNORECASE):
            return kind
    passing = status is None or status >= 500
    other = _Kind(to_say("ask again") if passing else to_say("change the request"), later=passing)
    return next((kind for kind in _KINDS if status in kind.statuses), other)


def _not_answered(error: BaseException, *, timed_out: bool) -> Trouble:
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:
        causes.append(cause)
    names = {type(cause).__name__ for cause in causes}
    # httpx-aiohttp reports a lost connection as a timeout, too.
    lost = names & _LOST or any(
        isinstance(cause, OSError) and not isinstance(cause, TimeoutError) for cause in causes
    )
    if timed_out and not lost:
        return Trouble(
            say("The model's server did not answer in time"),
            say("ask again, or raise `timeout`"),
            later=True,
        )
    root = causes[-1]
    if isinstance(root, ValueError | TypeError):  # the SDK reports this as a lost connection, too
        unsent = say("The request could not be sent ({root})", root=hide_keys(said(root), error))
        return Trouble(unsent, say("check the server's address and the key"))
    url = getattr(request_of(error), "url", None)
    address = "" if url is None else f"{url.host}:{url.port or ''}".rstrip(":")
    at = say(" at {address}", address=address) if address else ""
    if lost and not names & _NO_SERVER:
        return Trouble(
            say("The connection to the model's server{at} was lost", at=at),
            say("ask again"),
            later=True,
        )
    return Trouble(
        say("The model's server{at} cannot be reached", at=at),
        say("is it running? Check its address, and your network and proxy settings"),
        later=True,
    )
