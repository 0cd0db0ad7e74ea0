"""Facts about the function that a batch asks: its parameters and its client."""

import functools
import hashlib
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbkit.batch.outcome import BatchMisused
from nbkit.language import say
from nbkit.streaming.agents import is_of_agent, refuse
from nbkit.wording import is_simulated, shown_name


def parameters_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """What decides the answers, as far as it can be read: function, model, top k, prompts."""
    inner = fn.func if isinstance(fn, functools.partial) else fn
    owner = getattr(inner, "__self__", None)
    name = getattr(inner, "__name__", type(inner).__name__)
    found: dict[str, Any] = {"fn": f"{type(owner).__name__}.{name}" if owner else name}
    if (llm := llm_of(inner)) is not None:
        # The name of a simulated model has a number that depends on the order of connecting.
        name = llm.metadata.model_name
        found["model"] = "simulated" if is_simulated(name) else name
    top_k = getattr(getattr(owner, "retriever", None), "similarity_top_k", None)
    if top_k is not None:
        found["similarity_top_k"] = top_k
    if owner is not None and hasattr(owner, "get_prompts"):
        prompts = owner.get_prompts().items()
        texts = sorted(f"{key}: {prompt.get_template()}" for key, prompt in prompts)
        found["prompts"] = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
    return found


@dataclass(frozen=True)
class AskFacts:
    """What a batch must know of the function it asks, which may be on another machine."""

    parameters: dict[str, Any]
    """As `parameters_of`."""
    model: str | None
    """The name of its model to show; `None` if the model cannot be found."""
    is_simulated: bool
    client_retries: int


def facts_of(fn: Callable[..., Any]) -> AskFacts:
    """The facts of a function that a batch asks."""
    llm = llm_of(fn)
    model = None if llm is None else shown_name(llm.metadata.model_name)
    retries = getattr(llm, "max_retries", 0)
    return AskFacts(parameters_of(fn), model, is_simulated(model), retries)


def warn_of_client_retries(retries: int) -> None:
    """Warn if the model's client retries too, because then one attempt is several requests."""
    if retries:
        warnings.warn(
            say(
                "This model's client retries by itself (max_retries={retries}), so one attempt can "
                "be {requests} requests — make it with max_retries=0; the batch retries.",
                retries=retries,
                requests=retries * (retries + 1),
            ),
            stacklevel=5,
        )


def check_async(fn: Callable[..., Any]) -> None:
    """Raise `BatchMisused` for an agent, or a method that has an async form, such as `query`."""
    if is_of_agent(fn):
        raise BatchMisused(refuse(fn))
    if not inspect.iscoroutinefunction(fn) and _async_name(fn):
        raise not_async(fn)


def not_async(fn: Callable[..., Any]) -> BatchMisused:
    """The error that a function is not async; it names what to pass instead."""
    method = _async_name(fn)
    advice = say("write it with `async def`.")
    if method:
        advice = say("pass `{method}` of the same object.", method=method)
    name = getattr(fn, "__name__", type(fn).__name__)
    return BatchMisused(
        say(
            "`{name}` is not an async function: it blocks everything else until it returns",
            name=name,
        ),
        advice,
    )


def _async_name(fn: Callable[..., Any]) -> str | None:
    name = f"a{getattr(fn, '__name__', '')}"
    return name if hasattr(getattr(fn, "__self__", None), name) else None


def llm_of(fn: Any) -> Any:
    """The LLM behind a method or function, if it can be found, otherwise `None`."""
    from llama_index.core.llms import LLM

    fn = fn.func if isinstance(fn, functools.partial) else fn
    owner = getattr(fn, "__self__", None)
    synthesizer = getattr(owner, "_response_synthesizer", None)
    places = (owner, getattr(owner, "_llm", None), getattr(synthesizer, "_llm", None))
    return next((place for place in places if isinstance(place, LLM)), None)
