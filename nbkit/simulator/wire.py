"""The HTTP protocol: OpenAI's chat completions, plain and streamed, with aiohttp."""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from nbkit.simulator import control
from nbkit.simulator.pacing import Profile, failure
from nbkit.simulator.planned_reply import reply
from nbkit.simulator.state import KEY, STATE, Ask, ErrorReply, State, error_body
from nbkit.simulator.writing import hang_up, write_plain, write_stream

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(key: str, models: dict[str, Profile] | None = None) -> web.Application:
    """The web application, with one bearer key and its first models by name.

    Paths: `/v1/chat/completions`, `/v1/completions`, `/v1/models`, and the control paths under
    `/simulator/` (see `control`). Run it with `handler_cancellation=True`, so that an answer
    stops when its client disconnects.
    """
    app = web.Application(middlewares=[_guard], client_max_size=32 * 2**20)
    app[STATE] = State(models or {})
    app[KEY] = key
    app.router.add_post("/v1/chat/completions", _complete)
    app.router.add_post("/v1/completions", _complete)
    app.router.add_get("/v1/models", _models)
    control.add_routes(app.router)
    return app


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
    if not hmac.compare_digest(sent, request.app[KEY].encode()):
        return web.json_response(
            error_body("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
            status=401,
        )
    try:
        return await handler(request)
    except ErrorReply as refusal:
        return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)
    except web.HTTPException as error:
        return web.json_response(
            error_body(f"{request.method} {request.path}: {error.reason}", "invalid_request_error"),
            status=error.status,
        )


async def _models(request: web.Request) -> web.Response:
    rows = [
        {"id": name, "object": "model", "created": int(time.time()), "owned_by": "simulated"}
        for name in request.app[STATE].models
    ]
    return web.json_response({"object": "list", "data": rows})


async def _complete(request: web.Request) -> web.StreamResponse:
    state = request.app[STATE]
    record = state.open_record()
    try:
        ask = Ask.read(state, record, await _json(request), chat="/chat/" in request.path)
        refused = await _admit(request, ask)
        if refused is not None:
            return refused
        async with state.place(ask):
            if ask.stream:
                return await write_stream(request, state, ask)
            return await write_plain(request, state, ask)
    except ErrorReply as refusal:
        record.status, record.http_status = "failed", refusal.status
        raise
    except BaseException:
        # The client disconnected (cancelled, or a write to a closed socket), or a bug of ours.
        if record.status in ("queued", "streaming"):
            record.status = "cancelled"
        raise
    finally:
        state.ledger.close(record, state.now())


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError as error:
        raise ErrorReply(
            400, f"We could not parse the JSON body of your request: {error}"
        ) from None


async def _admit(request: web.Request, ask: Ask) -> web.StreamResponse | None:
    """Refuse the request if its profile says so; otherwise plan its answer."""
    profile, model = ask.model.profile, ask.model
    attempt = model.count_attempt(ask.fingerprint)
    # The delay before the first token starts at the arrival, so it includes this work.
    finder = request.app[STATE].finder
    find = partial(
        reply,
        ask.messages,
        ask.offer,
        thinking=profile.thinking_tokens if ask.chat else 0,
        fault=profile.fault,
    )
    ask.plan(await asyncio.get_running_loop().run_in_executor(finder, find))
    if profile.fault == "refuse":
        ask.record.status, ask.record.fault = "failed", "refuse"
        return hang_up(request)
    model.check_limits(ask)
    status = 500 if profile.fault == "error" else failure(profile, ask.fingerprint, attempt)
    if status is not None:
        ask.record.fault = "error"
        text = "The server had an error" if status == 500 else "The server is overloaded"
        raise ErrorReply(status, f"{text} (simulated).", kind="server_error")
    return None
