"""Requests to chat models, recorded instead of sent, in the task or thread that asks for it.

The openai client sends every request with `send` of httpx, as most others do. It is replaced once
per process by one that sends as before, except in a context that records.
"""

import json
import re
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, NamedTuple

from nbkit.models.http import httpx

PLACEHOLDER = "[no model was asked: nbkit has recorded this request for a batch file]"
"""What recorded requests are answered with."""
CHAT = "/chat/completions"
_MODELS = re.compile(
    rf"(?:/v\d+)?{CHAT}$|/(?:completions|responses|messages|chat|generate)$"
    r"|:(?:g|streamG)enerateContent$"
)
"""The end of the addresses where models write text: of OpenAI, Anthropic, Ollama, Cohere, Gemini.
Those of embeddings and databases are others."""


class RecordedRequest(NamedTuple):
    """What a model would have been sent."""

    url: str
    """Its path from the version on, as batch files name it: "/v1/chat/completions"."""
    body: dict[str, Any]
    """Without `stream` and its options; empty if it is not OpenAI's chat protocol."""


_records: ContextVar[list[RecordedRequest] | None] = ContextVar("nbkit_recorded", default=None)


def record() -> list[RecordedRequest]:
    """The requests that this context (task or thread) makes from now on; none of them is sent.

    OpenAI's chat protocol is answered with `PLACEHOLDER`, any other with HTTP 400. Clients that do
    not use httpx are not seen.
    """
    _intercept()
    requests: list[RecordedRequest] = []
    _records.set(requests)
    return requests


@cache
def _intercept() -> None:
    send, async_send = httpx.Client.send, httpx.AsyncClient.send

    @wraps(send)
    def recording(self: Any, request: httpx.Request, **settings: Any) -> httpx.Response:
        return _recorded(request) or send(self, request, **settings)

    @wraps(async_send)
    async def async_recording(self: Any, request: httpx.Request, **settings: Any) -> httpx.Response:
        return _recorded(request) or await async_send(self, request, **settings)

    httpx.Client.send = recording  # type: ignore[method-assign]
    httpx.AsyncClient.send = async_recording  # type: ignore[method-assign]


def _recorded(request: httpx.Request) -> httpx.Response | None:
    """The answer to a request that is recorded; `None` for one that is to be sent."""
    requests, address = _records.get(), _MODELS.search(request.url.path)
    if requests is None or address is None or request.method != "POST":
        return None
    if not address[0].endswith(CHAT):
        requests.append(RecordedRequest(address[0], {}))
        refusal = {"error": {"message": "Only OpenAI's chat protocol can be recorded"}}
        return httpx.Response(400, json=refusal, request=request)
    body = json.loads(request.content)
    is_streamed = body.pop("stream", False)
    body.pop("stream_options", None)
    requests.append(RecordedRequest(address[0], body))
    reply = _streamed if is_streamed else _whole
    return reply({"id": "recorded", "created": 0, "model": body.get("model", "")}, request)


def _whole(head: dict[str, Any], request: httpx.Request) -> httpx.Response:
    message = {"role": "assistant", "content": PLACEHOLDER}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    reply = {**head, "object": "chat.completion", "choices": choices}
    return httpx.Response(200, json=reply, request=request)


def _streamed(head: dict[str, Any], request: httpx.Request) -> httpx.Response:
    events = ""
    for delta, reason in (({"role": "assistant", "content": PLACEHOLDER}, None), ({}, "stop")):
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        chunk = {**head, "object": "chat.completion.chunk", "choices": choices}
        events += f"data: {json.dumps(chunk)}\n\n"
    form = {"Content-Type": "text/event-stream"}
    content = f"{events}data: [DONE]\n\n".encode()
    return httpx.Response(200, headers=form, content=content, request=request)
