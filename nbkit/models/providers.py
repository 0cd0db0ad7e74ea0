"""The LLM objects `connect` hands out; imports LlamaIndex, so imported only when needed."""

import os
from collections.abc import Iterable
from typing import Any

import httpx

# Imported by the client when first used: half a second that the first question would wait.
import openai.resources.chat.completions  # noqa: F401
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.bridge.pydantic import Field
from llama_index.core.llms import LLM
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai_like import OpenAILike

from nbkit.models.errors import ConnectError, ModelChoiceError, NoServerError
from nbkit.models.http import PlainTransport
from nbkit.models.sdk import async_openai, sync_openai
from nbkit.models.simulator.pacing import Profile
from nbkit.models.simulator.process import Simulator, current
from nbkit.models.simulator.tokens import Tokenizer

USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}
RESTART = "the simulated model was stopped; run nbkit.connect() again and use what it returns."


class _ModelAndAddress:
    """What a client's repr tells; everything else, its key above all, is left out."""

    model: str
    api_base: str | None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [("model", self.model), ("api_base", self.api_base)]


class HostedOpenAI(_ModelAndAddress, OpenAI):
    """LlamaIndex's OpenAI client, with the key kept out of its repr and its dumps."""

    api_key: str | None = Field(default=None, repr=False, exclude=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class CompatibleServer(_ModelAndAddress, OpenAILike):
    """LlamaIndex's client for other servers of the protocol, with the key kept out of sight."""

    api_key: str | None = Field(default=None, repr=False, exclude=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


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


_cache: dict[tuple[Any, ...], LLM] = {}
_clients: dict[str, dict[str, Any]] = {}


def simulated(profile: Profile) -> SimulatedOpenAI:
    """Give the LLM with this profile; starts the simulator when it does not run."""
    simulator = current()
    key = (simulator.base_url, os.getpid(), profile)
    if key not in _cache:
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
        simulator.put(name, _settings(profile))
        _cache[key] = SimulatedOpenAI(
            simulator,
            profile,
            model=name,
            api_key=simulator.api_key,
            api_base=simulator.base_url,
            max_retries=0,
            additional_kwargs=USAGE,
            **_simulator_clients(simulator),
        )
    found = _cache[key]
    assert isinstance(found, SimulatedOpenAI)
    return found


def openai_llm(model: str, api_key: str) -> LLM:
    """Give the LLM for one of OpenAI's models."""
    base_url = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
    key = ("openai", os.getpid(), base_url, model, api_key)
    if key not in _cache:
        _cache[key] = HostedOpenAI(
            model=model,
            api_key=api_key,
            api_base=base_url,
            max_retries=0,
            additional_kwargs=USAGE,
            openai_client=sync_openai(base_url, api_key),
            async_openai_client=async_openai(
                base_url, api_key, "check your network and proxy settings."
            ),
        )
    return _cache[key]


def compatible_llm(base_url: str, model: str | None, api_key: str) -> LLM:
    """Give the LLM for a server that speaks OpenAI's protocol."""
    base_url = base_url.rstrip("/")
    key = (base_url, os.getpid(), model, api_key)
    if key not in _cache:
        chosen = model or _only_model(base_url, api_key)
        _cache[key] = CompatibleServer(
            model=chosen,
            api_base=base_url,
            api_key=api_key,
            is_chat_model=True,
            max_retries=0,
            additional_kwargs=USAGE,
            openai_client=sync_openai(base_url, api_key),
            async_openai_client=async_openai(
                base_url, api_key, "start the server, then run the cell again."
            ),
        )
    return _cache[key]


def _settings(profile: Profile) -> dict[str, Any]:
    return dict(vars(profile))


def _simulator_clients(simulator: Simulator) -> dict[str, Any]:
    """Give the two clients all simulated LLMs of one server share."""
    if simulator.base_url not in _clients:
        _clients[simulator.base_url] = {
            "openai_client": sync_openai(
                simulator.base_url,
                simulator.api_key,
                httpx.Client(transport=PlainTransport(RESTART), trust_env=False),
            ),
            # trust_env=False: a proxy for the world must not be asked for 127.0.0.1.
            "async_openai_client": async_openai(
                simulator.base_url, simulator.api_key, RESTART, trust_env=False
            ),
        }
    return _clients[simulator.base_url]


def _only_model(base_url: str, api_key: str) -> str:
    """Ask a server which model it has."""
    try:
        response = httpx.get(
            f"{base_url}/models", headers={"Authorization": f"Bearer {api_key}"}, timeout=10
        )
    except httpx.HTTPError as error:
        raise NoServerError(
            f"Nobody answers at {base_url} ({type(error).__name__}) — start the server, "
            "or check host and port."
        ) from None
    if response.status_code == 404 and not base_url.endswith("/v1"):
        raise NoServerError(
            f"{base_url} has no /models — such addresses usually end in /v1: "
            f'connect("{base_url}/v1").'
        )
    if response.status_code in (401, 403):
        raise ConnectError(f"{base_url} wants another API key — set NBKIT_API_KEY to it.")
    try:
        names = [row["id"] for row in response.raise_for_status().json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        raise NoServerError(
            f"{base_url}/models answered {response.status_code} with no list of models — "
            "is it an OpenAI-compatible server? If so, give model=."
        ) from None
    if len(names) != 1:
        have = f"offers {', '.join(names)}" if names else "offers no model"
        raise ModelChoiceError(f"{base_url} {have} — say which with model=.")
    return str(names[0])
