"""What a chat endpoint sends with HTTP 200: read as chunks, or reported as a clear error."""

import json
import re
from collections.abc import Iterator
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from nbkit.errors import ConnectError
from nbkit.language import say
from nbkit.models import shapes
from nbkit.models.http import httpx
from nbkit.models.sse import Event, EventParser
from nbkit.wording import advised


class NotAReplyError(ConnectError):
    """A server answered with HTTP 200, but not in OpenAI's chat protocol."""


class CutReplyError(ConnectError, httpx.RemoteProtocolError):
    """An answer that was empty, or ended in the middle of an event: a lost connection."""

    def __init__(self, happened: str, advice: str, request: httpx.Request) -> None:
        httpx.RemoteProtocolError.__init__(self, advised(happened, advice), request=request)
        self.advice = advice


class ReplyReader:
    """Turns the bytes of one streamed answer into chunks.

    If the server ignores `stream`, its complete answer becomes one chunk.

    Raises `openai.APIError` for an error that the server sends in the answer, NotAReplyError for
    another kind of body, and CutReplyError for an incomplete one.
    """

    def __init__(self, request: httpx.Request) -> None:
        self.finished = False
        """The finish reason has arrived; only usage may follow."""
        self.done = False
        """`[DONE]` has arrived: nothing follows."""
        self._request = request
        self._body = b""
        """All bytes, until it is clear that they are an event stream."""
        self._events: EventParser | None = None
        self._foreign: Any = None
        """The first event that is not part of an answer."""
        self._begun = False

    @property
    def is_document(self) -> bool:
        """Whether the server ignored `stream`: the answer is one JSON document."""
        return self._events is None

    def feed(self, piece: bytes) -> Iterator[ChatCompletionChunk]:
        """The chunks that these bytes complete."""
        if self._events is None:
            self._body += piece
            if self._body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"", b"{", b"[", b"<"):
                return  # a document: an event stream never begins with these
            piece, self._events = self._body, EventParser()
        for event in self._events.feed(piece):
            yield from self._chunks(event)

    def end(self) -> Iterator[ChatCompletionChunk]:
        """The chunks that the end of the body completes."""
        for event in self._events.end() if self._events else ():
            yield from self._chunks(event)
        if not self._begun and not self.done:
            yield self._whole()
        elif self.done and not self.finished:
            yield shapes.chunk({"choices": [{"delta": {}, "finish_reason": "stop"}]})

    def _chunks(self, event: Event) -> Iterator[ChatCompletionChunk]:
        data = event.data.strip()
        if not data or self.done:
            return
        if data.startswith("[DONE]"):
            self.done = True
            return
        try:
            parsed = json.loads(data)
        except ValueError:
            yield from self._broken(event)
            return
        if error := shapes.error_in(parsed, event.name):
            raise openai.APIError(error[0], self._request, body=error[1])
        if isinstance(parsed, dict) and parsed.keys() & {"choices", "usage"}:
            yield self._chunk(parsed)
        else:
            self._foreign = self._foreign or parsed

    def _broken(self, event: Event) -> Iterator[ChatCompletionChunk]:
        lines = event.data.splitlines()
        if len(lines) > 1:  # some servers leave out the empty line between two events
            for line in lines:
                yield from self._chunks(Event(line, event.name))
        elif event.name == "error":
            raise openai.APIError(event.data, self._request, body=event.data)
        elif not self.finished:
            raise _cut(self._request, event.data)

    def _chunk(self, data: dict[str, Any]) -> ChatCompletionChunk:
        chunk = shapes.chunk(data)
        if chunk.choices:
            choice = chunk.choices[0]
            self.finished = self.finished or bool(choice.finish_reason)
            if not self._begun and choice.delta.content is None and not choice.delta.tool_calls:
                # LlamaIndex drops a first chunk that has no content.
                choice.delta.content = ""
        self._begun = True
        return chunk

    def _whole(self) -> ChatCompletionChunk:
        body = self._body.decode("utf-8-sig", "replace")
        if self._foreign is not None:
            body = json.dumps(self._foreign, ensure_ascii=False)
        elif self._events and body.startswith((":", "data", "event")):
            body = ""
        whole = whole_reply(body, self._request)
        self.finished = True
        return shapes.as_chunk(whole)


def whole_reply(body: str, request: httpx.Request) -> ChatCompletion:
    """The complete answer in a body; raises the errors of `ReplyReader`."""
    try:
        data = json.loads(body)
    except ValueError:
        raise _not_a_reply(request, body.strip()) from None
    if error := shapes.error_in(data):
        raise openai.APIError(error[0], request, body=error[1])
    if isinstance(data, dict) and data.get("choices"):
        found = shapes.completion(data)
        if found.choices:
            return found
    raise _not_a_reply(request, json.dumps(data, ensure_ascii=False))


def _not_a_reply(request: httpx.Request, body: str) -> Exception:
    """The error that says what a server sent instead of an answer, and what to change."""
    address = str(request.url.copy_with(userinfo=b"", query=None))
    address = address.removesuffix("/chat/completions")
    check = say("check the address")
    if not re.search(r"/v\d", address):
        check = say(
            'check the address, which usually ends in /v1: connect("{address}/v1")', address=address
        )
    if not body:
        return CutReplyError(
            say("{address} sent an empty answer (HTTP 200)", address=address),
            say("ask again; if it happens again, {check} and read the server's log.", check=check),
            request,
        )
    if body.startswith("<"):
        title = re.search(r"<title[^>]*>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
        named = f" ({' '.join(title[1].split())[:80]!r})" if title else ""
        return NotAReplyError(
            say(
                "{address} sent a web page{named} instead of an answer",
                address=address,
                named=named,
            ),
            say("{check}, or sign in there first.", check=check),
        )
    if body.startswith("{") and body.count("{") > body.count("}"):
        return _cut(request, body)
    if body.startswith(("data:", "event:")):
        return NotAReplyError(
            say("{address} sends a stream even if not asked for one", address=address),
            say("use an engine with `streaming=True`."),
        )
    return NotAReplyError(
        say(
            "{address} does not answer in OpenAI's chat protocol: it sent {body!r}",
            address=address,
            body=body[:80],
        ),
        say("{advice}.", advice=check),
    )


def _cut(request: httpx.Request, data: str) -> CutReplyError:
    return CutReplyError(
        say("The server's answer was cut in the middle of {data!r}", data=data[:40]),
        say("ask again."),
        request,
    )
