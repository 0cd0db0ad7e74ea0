"""The LLM objects `connect` hands out; imports LlamaIndex, so imported only when needed."""

import os
import threading
from collections.abc import Iterable, Mapping
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
from nbkit.simulator import Profile, Simulator, Tokenizer, current
from nbkit.wording import shown_address, shown_name

OPENAI_URL = "https://api.openai.com/v1"
USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}
RESTART = "the simulated model was stopped; run nbkit.connect() again and use what it returns."


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

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex knows of OpenAI's models, but for a context window you have set."""
        known = super().metadata
        window = self.context_window or known.context_window
        return known.model_copy(update={"context_window": window})


class CompatibleServer(_Client, OpenAILike):
    """LlamaIndex's client for other servers of the protocol, with the key kept out of sight.

    `window_source` says who set `context_window`: "you", "server" or "assumed".
    """

    api_key: str | None = Field(default=None, repr=False, exclude=True)
    default_headers: dict[str, str] | None = Field(default=None, repr=False, exclude=True)
    window_source: str = "you"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        window = self.context_window
        told = f"{window} (assumed)" if self.window_source == "assumed" else window
        return [*super().__repr_args__(), ("context_window", told)]


class SimulatedOpenAI(HostedOpenAI):
    """LlamaIndex's OpenAI client talking to the simulated model. Taught in notebook 00.

    `profile` is what it was connected with; `simulator` tells and changes what it does now.
    """

    profile: Profile
    simulated: bool = True
    _simulator: Simulator

    def __init__(self, simulator: Simulator, profile: Profile, **kwargs: Any) -> None:
        super().__init__(profile=profile, **kwargs)
        self._simulator = simulator

    @property
    def simulator(self) -> Simulator:
        """The running simulated model behind this client."""
        return self._simulator

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex needs to know: a chat model, its context window in tokens."""
        return LLMMetadata(
            context_window=self.profile.context_window,
            num_output=self.max_tokens or -1,
            is_chat_model=True,
            is_function_calling_model=False,
            model_name=self.model,
        )

    @property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [
            ("model", self.model),
            ("simulated", True),
            ("resembles", self.profile.resembles),
        ]


ASSUMED_WINDOW = 32_768
"""Tokens that a model is taken to read where neither you nor its server says how many."""

_cache: dict[tuple[Any, ...], LLM] = {}
_clients: dict[str, dict[str, Any]] = {}
_connecting = threading.RLock()

if hasattr(os, "register_at_fork"):
    # A fork may copy the lock while another thread holds it.
    os.register_at_fork(after_in_child=lambda: globals().update(_connecting=threading.RLock()))


def simulated(profile: Profile) -> SimulatedOpenAI:
    """The LLM with this profile; starts the simulator when it does not run."""
    with _connecting:
        simulator = current()
        key = (simulator.base_url, os.getpid(), profile)
        if key not in _cache:
            _cache[key] = _new_simulated(simulator, profile)
        found = _cache[key]
    assert isinstance(found, SimulatedOpenAI)
    return found


def _new_simulated(simulator: Simulator, profile: Profile) -> SimulatedOpenAI:
    server = (simulator.base_url, os.getpid())
    stem = f"simulated-{profile.name.replace('_', '-')}"
    taken = {
        llm.model
        for made, llm in _cache.items()
        if made[:2] == server and isinstance(llm, SimulatedOpenAI)
    }
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    if not taken:
        simulator.warm()
    simulator.put(name, dict(vars(profile)))
    if simulator.base_url not in _clients:
        _clients[simulator.base_url] = sdk_clients(simulator.base_url, simulator.api_key, RESTART)
    return SimulatedOpenAI(
        simulator,
        profile,
        model=name,
        api_key=simulator.api_key,
        api_base=simulator.base_url,
        max_retries=0,
        additional_kwargs=USAGE,
        **_clients[simulator.base_url],
    )


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
    key = ("openai", *_connection(base_url, model, api_key, settings))
    with _connecting:
        if key not in _cache:
            _cache[key] = HostedOpenAI(
                model=model,
                api_key=api_key,
                api_base=base_url,
                max_retries=0,
                additional_kwargs=USAGE,
                **settings,
                **sdk_clients(
                    base_url,
                    api_key,
                    "check your network and proxy settings.",
                    settings.get("default_headers"),
                ),
            )
        return _cache[key]


def compatible_llm(base_url: str, model: str | None, api_key: str, **settings: Any) -> LLM:
    """The LLM for a server that speaks OpenAI's protocol; `settings` as in `openai_llm`."""
    base_url = check_address(base_url, "This")
    key = _connection(base_url, model, api_key, settings)
    with _connecting:
        if key not in _cache:
            _cache[key] = _new_compatible(base_url, model, api_key, settings)
        return _cache[key]


def _new_compatible(
    base_url: str, model: str | None, api_key: str, settings: dict[str, Any]
) -> CompatibleServer:
    headers = settings.get("default_headers")
    clients = sdk_clients(base_url, api_key, "start the server, then run the cell again.", headers)
    facts = ServerFacts(base_url, api_key, headers)
    try:
        model = model or facts.only_model()
        window, source = settings.get("context_window"), "you"
        if window is None and not _is_openais(base_url):
            window, source = facts.context_window(model), "server"
    finally:
        facts.close()
    if window is None:
        window, source = ASSUMED_WINDOW, "assumed"
    return CompatibleServer(
        model=model,
        api_base=base_url,
        api_key=api_key,
        is_chat_model=True,
        max_retries=0,
        additional_kwargs=USAGE,
        window_source=source,
        **{**settings, "context_window": window},
        **clients,
    )


def _is_openais(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def _is_known(model: str) -> bool:
    """Whether LlamaIndex's client for OpenAI takes a model of this name."""
    try:
        return openai_modelname_to_contextsize(model) > 0
    except ValueError:
        return False


def _connection(
    base_url: str, model: str | None, api_key: str, settings: dict[str, Any]
) -> tuple[Any, ...]:
    """All that makes one connection differ from another; a proxy may be corrected in between."""
    chosen = tuple(
        (name, tuple(sorted(value.items())) if isinstance(value, Mapping) else value)
        for name, value in sorted(settings.items())
    )
    return base_url, os.getpid(), model, api_key, proxy_for(base_url), chosen
