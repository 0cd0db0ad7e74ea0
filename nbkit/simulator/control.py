"""The control paths: change a model while it answers, and read how each request ended."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from nbkit.simulator import sentence_vectors
from nbkit.simulator.errors import ProfileError
from nbkit.simulator.pacing import PROFILES, Profile
from nbkit.simulator.state import STATE, ErrorReply, Model


def add_routes(router: web.UrlDispatcher) -> None:
    """Add the control paths, all under `/simulator/`.

    PUT/GET `models/{name}`, GET/DELETE `requests`, GET `stats`, POST `warm`.
    """
    router.add_put("/simulator/models/{name}", _put_model)
    router.add_get("/simulator/models/{name}", _get_model)
    router.add_get("/simulator/requests", _requests)
    router.add_delete("/simulator/requests", _clear)
    router.add_get("/simulator/stats", _stats)
    router.add_post("/simulator/warm", _warm)


async def _put_model(request: web.Request) -> web.Response:
    state, name = request.app[STATE], request.match_info["name"]
    try:
        settings = await request.json()
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ErrorReply(400, "A profile must be a JSON object.")
    known = state.models.get(name)
    profile = known.profile if known else PROFILES["default"]
    try:
        labels = {key: settings.pop(key) for key in ("name", "resembles") if key in settings}
        profile = profile.change(settings)
        profile = Profile(**{**asdict(profile), **labels})
    except ProfileError as error:
        raise ErrorReply(400, str(error)) from None
    if known:
        known.change(profile)
    else:
        state.models[name] = Model(name, profile)
    return web.json_response(asdict(profile))


async def _get_model(request: web.Request) -> web.Response:
    model = request.app[STATE].models.get(request.match_info["name"])
    if model is None:
        raise ErrorReply(404, "There is no such model.", code="model_not_found")
    return web.json_response(asdict(model.profile))


async def _requests(request: web.Request) -> web.Response:
    return web.json_response(request.app[STATE].ledger.rows())


async def _clear(request: web.Request) -> web.Response:
    request.app[STATE].ledger.clear()
    return web.json_response({})


async def _stats(request: web.Request) -> web.Response:
    state = request.app[STATE]
    stats: dict[str, Any] = {"clock": state.now(), **state.ledger.stats()}
    return web.json_response(stats)


async def _warm(request: web.Request) -> web.Response:
    request.app[STATE].finder.submit(sentence_vectors.load_encoder)
    return web.json_response({})
