"""Writes an answer: each token when it is due, and the faults."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from nbkit.simulator.pacing import Profile, draws
from nbkit.simulator.planned_reply import Piece
from nbkit.simulator.state import Ask, ErrorReply, State, error_body

LOOK_AGAIN = 0.1
"""The longest sleep, in seconds, before checking whether the profile has changed."""
TOGETHER = 32
"""The most events in one write; due tokens are sent together, then other streams run."""


class TokenTimes:
    """The times at which the tokens of one answer are due."""

    def __init__(self, ask: Ask, start: float) -> None:
        self._model = ask.model
        self._random = draws(ask.fingerprint, ask.model.profile.seed)
        self._clock = asyncio.get_running_loop().time
        # Each due time is computed from the one before, so a late wake-up delays only one token.
        self._due = start
        prompt_tokens = ask.record.prompt_tokens - ask.record.cached_tokens
        draw = self._random.gauss(0, 1)
        self._delay: Callable[[Profile], float] = lambda p: p.first_token(
            prompt_tokens, draw, self._model.slots.taken
        )

    @property
    def due(self) -> bool:
        """Whether the next token may be sent now."""
        return self._due + self._delay(self._model.profile) <= self._clock()

    async def wait(self) -> None:
        """Sleep until the next token is due; follows changes of the profile."""
        profile, changed = self._model.profile, False
        while (rest := self._due + self._delay(profile) - self._clock()) > 0:
            await asyncio.sleep(min(rest, LOOK_AGAIN))
            if self._model.profile is not profile:
                profile, changed = self._model.profile, True
        if changed:
            # Otherwise a shortened wait would be followed by a burst of tokens.
            self._due = self._clock() - self._delay(profile)

    def step(self) -> None:
        """Continue with the token after this one."""
        self._due += self._delay(self._model.profile)
        draw = self._random.gauss(0, 1)
        self._delay = lambda p: p.gap(draw, self._model.slots.taken)


def hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection: the client gets what was written, but no end of the response."""
    if request.transport is not None:
        request.transport.close()
    raise asyncio.CancelledError


async def write_plain(request: web.Request, state: State, ask: Ask) -> web.StreamResponse:
    """Answer with one JSON document, after the time that streaming would take."""
    times, record = TokenTimes(ask, state.moment(ask)), ask.record
    fault = ask.model.profile.fault
    for index in range(len(ask.pieces)):
        if index == ask.model.profile.fault_after and fault in ("cut", "close", "stall"):
            record.fault = fault
            if fault == "stall":
                await asyncio.Event().wait()
            record.status = "cut"
            hang_up(request)
        if not times.due:
            await times.wait()
        times.step()
        record.first_token = record.first_token or state.now()
    if fault == "error_event":
        record.fault = fault
        raise ErrorReply(500, "The server had an error (simulated).", kind="server_error")
    if ask.stream:
        record.fault = fault
    record.last_token, record.tokens_sent = state.now(), len(ask.pieces)
    record.status, record.http_status = "done", 200
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": ask.finish_reason}
    if ask.chat:
        choice["message"] = _message(ask)
    else:
        choice["text"] = "".join(piece.token for piece in ask.pieces if piece.field == "content")
    return web.json_response({**ask.head(chunk=False), "choices": [choice], "usage": ask.usage})


def _message(ask: Ask) -> dict[str, Any]:
    """The complete message of a chat."""
    texts: dict[str, str] = {}
    calls: dict[int, dict[str, Any]] = {}
    for piece in ask.pieces:
        if piece.field != "tool_calls":
            texts[piece.field] = texts.get(piece.field, "") + piece.token
        elif piece.name:
            calls[piece.call] = _opened_call(ask, piece)
        else:
            calls[piece.call]["function"]["arguments"] += piece.token
    message = {"role": "assistant", "content": None if calls else "", "refusal": None, **texts}
    return {**message, "tool_calls": list(calls.values())} if calls else message


def _opened_call(ask: Ask, piece: Piece) -> dict[str, Any]:
    """A call of a tool, still without arguments."""
    function = {"name": piece.name, "arguments": ""}
    return {"id": f"call-{ask.record.id}-{piece.call}", "type": "function", "function": function}


async def write_stream(request: web.Request, state: State, ask: Ask) -> web.StreamResponse:
    """Answer with server-sent events, one for each token."""
    if ask.model.profile.fault == "no_stream":
        return await write_plain(request, state, ask)
    record, times, chunks = ask.record, TokenTimes(ask, state.moment(ask)), _StreamBytes(ask)
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    record.http_status = 200
    # As in OpenAI's API, the first chunk has a role and no text, and comes before any token.
    await response.write(chunks.opening)
    ready: list[bytes] = []

    async def flush() -> None:
        if ready:
            await response.write(b"".join(ready))
            record.last_token = state.now()
            record.first_token = record.first_token or record.last_token
            record.tokens_sent += len(ready)
            ready.clear()

    for index, piece in enumerate(ask.pieces):
        fault = ask.model.profile.fault
        if fault in _FAULTS_IN_STREAM and index == ask.model.profile.fault_after:
            await flush()
            record.fault = fault
            return await _apply_fault(request, response, ask, fault)
        if not times.due:
            await flush()
            await times.wait()
        times.step()
        ready.append(chunks.token(piece))
        if len(ready) == TOGETHER:
            await flush()
            await asyncio.sleep(0)
    await flush()
    record.status = "done"
    await response.write(chunks.closing)
    await response.write_eof()
    return response


_FAULTS_IN_STREAM = ("cut", "close", "stall", "error_event")


async def _apply_fault(
    request: web.Request, response: web.StreamResponse, ask: Ask, fault: str
) -> web.StreamResponse:
    if fault == "stall":
        await asyncio.Event().wait()
    if fault == "error_event":
        ask.record.status = "failed"
        body = error_body("The server had an error (simulated).", "server_error")
        await response.write(f"data: {json.dumps(body)}\n\n".encode())
    else:
        ask.record.status = "cut"
    if fault == "cut":
        return hang_up(request)
    await response.write_eof()
    return response


class _StreamBytes:
    """The chunks of one stream as bytes; their common parts are serialised once."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._head = json.dumps(ask.head(chunk=True))[:-1]
        before = '"delta": {"content": ' if ask.chat else '"text": '
        after = "}" if ask.chat else ""
        self._before = f'data: {self._head}, "choices": [{{"index": 0, {before}'
        self._after = f'{after}, "logprobs": null, "finish_reason": null}}]}}\n\n'

    def token(self, piece: Piece) -> bytes:
        if piece.field == "content":
            return f"{self._before}{json.dumps(piece.token)}{self._after}".encode()
        delta: dict[str, Any] = {piece.field: piece.token}
        if piece.field == "tool_calls":
            call = {"function": {"arguments": piece.token}}
            if piece.name:
                call = _opened_call(self._ask, piece)
            delta = {"tool_calls": [{"index": piece.call, **call}]}
        return self._chunk({"delta": delta, "finish_reason": None})

    @property
    def opening(self) -> bytes:
        if not self._ask.chat:
            return b""
        return self._chunk({"delta": {"role": "assistant", "content": ""}, "finish_reason": None})

    @property
    def closing(self) -> bytes:
        last: dict[str, Any] = {"delta": {}} if self._ask.chat else {"text": ""}
        end = self._chunk({**last, "finish_reason": self._ask.finish_reason})
        if self._ask.include_usage:
            usage = json.dumps(self._ask.usage)
            end += f'data: {self._head}, "choices": [], "usage": {usage}}}\n\n'.encode()
        return end + b"data: [DONE]\n\n"

    def _chunk(self, choice: dict[str, Any]) -> bytes:
        choices = json.dumps([{"index": 0, "logprobs": None, **choice}])
        return f'data: {self._head}, "choices": {choices}}}\n\n'.encode()
