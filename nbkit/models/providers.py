"""The LLM objects that `connect` returns; imports LlamaIndex, so import it only when needed."""

import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from llama_index.core.bridge.pydantic import Field
from llama_index.core.llms import LLM
from llama_index.llms.openai.utils import (
    is_chatcomp_api_supported,
    is_function_calling_model,
    openai_modelname_to_contextsize,
)
from llama_index.llms.openai_like import OpenAILike

from nbkit.language import say, to_say
from nbkit.models.clients import connections, one_of, sdk_clients
from nbkit.models.errors import ModelChoiceError
from nbkit.models.first_stream import FirstStream
from nbkit.models.http import sync_client
from nbkit.models.local import (
    ANSWER_TIMEOUT,
    BUNDLED,
    TEMPLATE,
    WINDOW,
    LocalServer,
    bundled_model,
    model_file,
)
from nbkit.models.model_names import named_model, only_model
from nbkit.models.proxies import proxy_for
from nbkit.models.server_facts import context_window
from nbkit.models.server_settings import check_address
from nbkit.simulator import Profile, Simulator, current
from nbkit.simulator.errors import ProfileError
from nbkit.wording import SIMULATED, listed, shown_address, shown_name

USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}
ASSUMED_WINDOW = 32_768
"""Tokens of a model's context window if neither you nor its server says how many."""


class CompatibleServer(OpenAILike):
    """LlamaIndex's client for OpenAI's protocol, without the key in its repr and dumps."""

    api_key: str | None = Field(default=None, repr=False, exclude=True)
    default_headers: dict[str, str] | None = Field(default=None, repr=False, exclude=True)
    window_is_assumed: bool = False
    _first_stream: FirstStream | None = None

    def __getstate__(self) -> dict[str, Any]:
        # `exclude` has no effect on pickle; a copy takes its key from where it is used.
        state: dict[str, Any] = super().__getstate__()
        secret = {"api_key": None, "default_headers": None}
        return {**state, "__dict__": {**state["__dict__"], **secret}}

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        window = self.context_window
        return [
            ("model", shown_name(self.model)),
            ("api_base", shown_address(self.api_base or "")),
            (
                "context_window",
                say("{window} (assumed)", window=window) if self.window_is_assumed else window,
            ),
            ("streams", str(self._first_stream or say("not checked"))),
            ("tools", say("allowed") if self.is_function_calling_model else say("not allowed")),
        ]

    def _get_model_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        # LlamaIndex sets `timeout` when it creates a client; ours already exists.
        return {"timeout": self.timeout, **super()._get_model_kwargs(**kwargs)}


class SimulatedOpenAI(CompatibleServer):
    """LlamaIndex's OpenAI client, connected to the simulated model. Taught in notebook 00.

    `profile` is what it was connected with; `simulator` reads and changes the current profile.
    """

    profile: Profile
    simulated: bool = True
    _simulator: Simulator

    def __init__(self, simulator: Simulator, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._simulator = simulator

    @property
    def simulator(self) -> Simulator:
        """The running simulated model behind this client."""
        return self._simulator

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        resembles = say(self.profile.resembles)
        return [("model", self.model), ("simulated", True), ("resembles", resembles)]


class LocalModel(CompatibleServer):
    """LlamaIndex's OpenAI client, connected to `server`: a model on this CPU. See notebook 12."""

    languages: str | None = None
    _server: LocalServer

    def __init__(self, server: LocalServer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._server = server

    @property
    def server(self) -> LocalServer:
        """The process behind this client: its threads, memory and address."""
        return self._server

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        size = say("{millions:,.0f} M parameters", millions=self._server.parameters / 1e6)
        languages = say(self.languages) if self.languages else None
        return [
            ("model", self.model),
            ("size", listed(filter(None, [size, languages]))),
            ("threads", self._server.threads),
            ("context_window", self.context_window),
        ]


def simulated(profile: Profile) -> SimulatedOpenAI:
    """The LLM with this profile; starts the simulator if it is not running."""
    simulator = current()
    url = simulator.base_url

    def connect_clients() -> dict[str, Any]:
        simulator.warm()
        advice = to_say(
            "the simulated model was stopped; run nbkit.connect() again and use what it returns."
        )
        return sdk_clients(url, simulator.api_key, advice)

    def make() -> SimulatedOpenAI:
        _, known = connections(os.getpid())
        number = 1 + sum(key[:3] == ("simulated", url, profile.name) for key in known)
        name = f"{SIMULATED}{profile.name.replace('_', '-')}" + f"-{number}" * (number > 1)
        simulator.put(name, dict(vars(profile)))
        return SimulatedOpenAI(
            simulator,
            profile=profile,
            context_window=profile.context_window,
            is_function_calling_model=True,
            **_common(url, name, simulator.api_key),
            **one_of(("clients", url), connect_clients),
        )

    made: SimulatedOpenAI = one_of(("simulated", url, profile.name, profile), make)
    return made


def local(model: str | None, **settings: Any) -> LocalModel:
    """The LLM for a GGUF file, or for SmolLM2; starts its process if it is not running.

    `settings` are those of `server_settings` but for headers. Raises LocalModelError, ProfileError.
    """
    if "default_headers" in settings:
        raise ProfileError(
            say("default_headers cannot be set for the local model"), say("leave them out.")
        )
    file = bundled_model() if model is None else model_file(model)
    window = settings.pop("context_window", WINDOW)
    lock, made = connections(os.getpid())
    with lock:
        template = "" if model else TEMPLATE
        place = ("local", file, window, template)
        if place in made and not made[place].alive:
            del made[place]
        server: LocalServer = one_of(place, lambda: LocalServer(file, window, template=template))

    def connect_clients() -> dict[str, Any]:
        advice = to_say('the local model was stopped; run nbkit.connect("local") again.')
        # llama.cpp may close a connection without saying so, and the next request on it is lost.
        return sdk_clients(server.base_url, server.api_key, advice, {"Connection": "close"})

    def make() -> LocalModel:
        own = {"is_function_calling_model": False, "timeout": ANSWER_TIMEOUT}
        return LocalModel(
            server,
            context_window=window,
            **_common(server.base_url, server.name, server.api_key),
            **{**own, **({} if model else BUNDLED), **settings},
            **one_of(("clients", server.base_url), connect_clients),
        )

    key = ("local", server.base_url, repr(sorted(settings.items())))
    llm: LocalModel = one_of(key, make)
    return llm


def compatible_llm(
    base_url: str, model: str | None, key: str | None, *, check_key: bool = False, **settings: Any
) -> LLM:
    """The LLM for OpenAI or another server with OpenAI's protocol.

    `settings` are those of `server_settings`. With `check_key`, OpenAI, too, is asked for its
    models, so that a wrong key raises RefusedKeyError here.
    """
    api_key = key or "none"
    base_url = check_address(base_url, say("This"))
    host = urlsplit(base_url).hostname or ""
    is_openais = host == "openai.com" or host.endswith(".openai.com")
    if is_openais and not is_chatcomp_api_supported(model := model or "gpt-4o-mini"):
        raise ModelChoiceError(
            say("{model} needs OpenAI's Responses protocol, which nbkit does not use", model=model),
            say("choose another with model=."),
        )

    def make() -> CompatibleServer:
        headers = settings.get("default_headers")
        advice = to_say("is it running? Check it, your network and proxy, then run the cell again.")
        first = FirstStream(shown_address(base_url))
        clients = sdk_clients(base_url, api_key, advice, headers, first)
        name, window = model, settings.get("context_window")
        if name and is_openais and not check_key:
            window = window or _known_window(name)
        elif check_key or not (name and window):
            with sync_client(base_url, say("start the server, or check host and port.")) as asking:
                asking.headers.update({"Authorization": f"Bearer {api_key}", **(headers or {})})
                sure = check_key or not (key or headers)
                if name:
                    served = named_model(asking, base_url, name, key_is_sure=sure)
                else:
                    served = only_model(asking, base_url)
                    name = served.name
                if is_openais:
                    window = window or _known_window(name)
                elif served:
                    window = window or context_window(asking, base_url, served)
        chosen = {
            "is_function_calling_model": is_openais and is_function_calling_model(name),
            **settings,
            "context_window": window or ASSUMED_WINDOW,
        }
        made = CompatibleServer(
            window_is_assumed=window is None,
            **_common(base_url, name, api_key),
            **chosen,
            **clients,
        )
        made._first_stream = first
        return made

    # The user may correct the proxy between two calls.
    kept_by = (base_url, model, api_key, proxy_for(base_url), repr(sorted(settings.items())))
    llm: CompatibleServer = one_of(kept_by, make)
    return llm


def _common(base_url: str, model: str, api_key: str) -> dict[str, Any]:
    return {
        "model": model,
        "api_base": base_url,
        "api_key": api_key,
        "is_chat_model": True,
        "max_retries": 0,
        "additional_kwargs": USAGE,
    }


def _known_window(model: str) -> int | None:
    try:
        return openai_modelname_to_contextsize(model)
    except ValueError:
        return None
