"""The LLM objects `connect` hands out; imports LlamaIndex, so imported only when needed."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

# Imported by the client when first used: half a second that the first question would wait.
import openai.resources.chat.completions  # noqa: F401
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.bridge.pydantic import Field
from llama_index.core.llms import LLM
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai.utils import is_chatcomp_api_supported, openai_modelname_to_contextsize
from llama_index.llms.openai_like import OpenAILike

from nbkit.models.errors import ModelChoiceError
from nbkit.models.proxies import proxy_for
from nbkit.models.sdk_clients import sdk_clients
from nbkit.models.server_facts import ServerFacts
from nbkit.models.server_settings import check_address
from nbkit.simulator import Profile, Simulator, current
from nbkit.wording import shown_address, shown_name

OPENAI_URL = "https://api.openai.com/v1"
USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}
ASSUMED_WINDOW = 32_768
"""Tokens that a model is taken to read where neither you nor its server says how many."""


class _Client:
    """What all clients share: a repr without keys, and a timeout that can be changed."""

    model: str
    api_base: str | None
    timeout: float

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [("model", shown_name(self.model)), ("api_base", shown_address(self.api_base or ""))]

    def _get_model_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        # LlamaIndex gives `timeout` to a client when it makes it; ours is made already.
        made: dict[str, Any] = super()._get_model_kwargs(**kwargs)  # type: ignore[misc]
        return {"timeout": self.timeout, **made}


class HostedOpenAI(_Client, OpenAI):
    """LlamaIndex's OpenAI client, with the key kept out of its repr and its dumps."""

    api_key: str | None = Field(default=None, repr=False, exclude=True)
    default_headers: dict[str, str] | None = Field(default=None, repr=False, exclude=True)
    context_window: int | None = None

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex knows of OpenAI's models, but for a context window you have set."""
        known = super().metadata
        window = self.context_window or known.context_window
        return known.model_copy(update={"context_window": window})


class CompatibleServer(_Client, OpenAILike):
    """LlamaIndex's client for other servers of the protocol, with the key kept out of sight."""

    api_key: str | None = Field(default=None, repr=False, exclude=True)
    default_headers: dict[str, str] | None = Field(default=None, repr=False, exclude=True)
    window_is_assumed: bool = False

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        window = self.context_window
        told = f"{window} (assumed)" if self.window_is_assumed else window
        return [*super().__repr_args__(), ("context_window", told)]


class SimulatedOpenAI(CompatibleServer):
    """LlamaIndex's OpenAI client talking to the simulated model. Taught in notebook 00.

    `profile` is what it was connected with; `simulator` tells and changes what it does now.
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
        return [
            ("model", self.model),
            ("simulated", True),
            ("resembles", self.profile.resembles),
        ]


class _Connections:
    """The LLMs of one process, by all that makes them differ."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.llms: dict[tuple[Any, ...], Any] = {}


@cache
def _connections(process: int) -> _Connections:
    """Those of this process: a forked child begins with none, and with a free lock."""
    return _Connections()


_connections(os.getpid())  # before there are threads that could make two


def _kept(key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    known = _connections(os.getpid())
    with known.lock:
        if key not in known.llms:
            known.llms[key] = make()
        return known.llms[key]


def simulated(profile: Profile) -> SimulatedOpenAI:
    """The LLM with this profile; starts the simulator when it does not run."""
    simulator = current()
    url = simulator.base_url

    def connect_clients() -> dict[str, Any]:
        simulator.warm()
        advice = (
            "the simulated model was stopped; run nbkit.connect() again and use what it returns."
        )
        return sdk_clients(url, simulator.api_key, advice)

    def make() -> SimulatedOpenAI:
        clients = _kept((url,), connect_clients)
        known = _connections(os.getpid()).llms
        number = 1 + sum(key[:3] == ("simulated", url, profile.name) for key in known)
        name = f"simulated-{profile.name.replace('_', '-')}" + f"-{number}" * (number > 1)
        simulator.put(name, dict(vars(profile)))
        return SimulatedOpenAI(
            simulator,
            profile=profile,
            is_chat_model=True,
            context_window=profile.context_window,
            **_common(url, name, simulator.api_key),
            **clients,
        )

    made: SimulatedOpenAI = _kept(("simulated", url, profile.name, profile), make)
    return made


def openai_llm(model: str | None, api_key: str, **settings: Any) -> LLM:
    """The LLM for a model of OpenAI's, or of the server that OPENAI_BASE_URL names.

    `settings` are those of `server_settings`.
    """
    address = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    base_url = check_address(address, "OPENAI_BASE_URL")
    if not _is_openais(base_url):
        return compatible_llm(base_url, model, api_key, **settings)
    model = model or "gpt-4o-mini"
    if not is_chatcomp_api_supported(model):
        raise ModelChoiceError(
            f"{model} speaks OpenAI's Responses protocol only, which is not used here",
            "choose another with model=.",
        )
    if not _is_known(model):
        return compatible_llm(base_url, model, api_key, **settings)

    def make() -> HostedOpenAI:
        advice, headers = "check your network and proxy settings.", settings.get("default_headers")
        clients = sdk_clients(base_url, api_key, advice, headers)
        return HostedOpenAI(**_common(base_url, model, api_key), **settings, **clients)

    made: HostedOpenAI = _kept(("openai", *_key(base_url, model, api_key, settings)), make)
    return made


def compatible_llm(base_url: str, model: str | None, api_key: str, **settings: Any) -> LLM:
    """The LLM for a server that speaks OpenAI's protocol; `settings` as in `openai_llm`."""
    base_url = check_address(base_url, "This")

    def make() -> CompatibleServer:
        headers = settings.get("default_headers")
        advice = "start the server, then run the cell again."
        clients = sdk_clients(base_url, api_key, advice, headers)
        facts = ServerFacts(base_url, api_key, headers)
        try:
            name = model or facts.only_model()
            window = settings.get("context_window")
            if window is None and not _is_openais(base_url):
                window = facts.context_window(name)
        finally:
            facts.close()
        chosen = {**settings, "context_window": window or ASSUMED_WINDOW}
        return CompatibleServer(
            **_common(base_url, name, api_key),
            is_chat_model=True,
            window_is_assumed=window is None,
            **chosen,
            **clients,
        )

    made: CompatibleServer = _kept(_key(base_url, model, api_key, settings), make)
    return made


def _common(base_url: str, model: str, api_key: str) -> dict[str, Any]:
    return {
        "model": model,
        "api_base": base_url,
        "api_key": api_key,
        "max_retries": 0,
        "additional_kwargs": USAGE,
    }


def _is_openais(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def _is_known(model: str) -> bool:
    """Whether LlamaIndex's client for OpenAI takes a model of this name."""
    try:
        return openai_modelname_to_contextsize(model) > 0
    except ValueError:
        return False


def _key(
    base_url: str, model: str | None, api_key: str, settings: dict[str, Any]
) -> tuple[Any, ...]:
    """All that makes one connection differ from another; a proxy may be corrected in between."""
    chosen = tuple(
        (name, tuple(sorted(value.items())) if isinstance(value, Mapping) else value)
        for name, value in sorted(settings.items())
    )
    return base_url, model, api_key, proxy_for(base_url), chosen
