"""What can be measured: anything that answers a question, as one async call."""

import asyncio
import copy
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from llama_index.core.base.llms.types import CompletionResponse
from llama_index.core.memory import ChatMemoryBuffer

from nbkit.batch.asking import facts_of, llm_of, parameters_of
from nbkit.batch.budget import budget_of
from nbkit.experiment.measurements import ExperimentError
from nbkit.language import say
from nbkit.streaming.agents import is_of_agent, is_run, refuse, run_of
from nbkit.streaming.answer import Answer
from nbkit.streaming.readers import NeedsLoop, call

Call = Callable[[str], Any]


class Timed:
    """An answer with its own timing; a stream reads its text in one piece."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def __aiter__(self) -> AsyncIterator[str]:
        yield self.answer.text


class Target:
    """One label of an experiment: its call, and its parameters."""

    def __init__(self, label: str, what: Any, max_cost: float | None = None) -> None:
        self.label = label
        self._call = _call_of(label, what)
        self.budget = budget_of(facts_of(self._call), max_cost)
        self._blocks = not _is_async(self._call) and run_of(what) is None
        conversation = _is_conversation(what)
        self.parameters = _parameters(what.astream_chat if conversation else self._call)
        if conversation:
            self._call = _in_new_conversation(what)

    async def ask(self, question: str, threads: ThreadPoolExecutor) -> Any:
        """An answer that a stream can read."""
        answer = await self._called(question, threads)
        while isinstance(answer, Awaitable) and not is_run(answer):
            answer = await answer
        if isinstance(answer, Answer):
            return Timed(answer)
        return CompletionResponse(text=answer) if isinstance(answer, str) else answer

    async def _called(self, question: str, threads: ThreadPoolExecutor) -> Any:
        if self._blocks:
            run, loop = copy_context().run, asyncio.get_running_loop()
            try:
                return await loop.run_in_executor(threads, run, call, self._call, question)
            except NeedsLoop:
                self._blocks = False
        return self._call(question)


def targets_of(against: Any, max_cost: float | None = None) -> list[Target]:
    """The targets of `measure`, those that charge with one budget.

    Raises `ExperimentError` for what cannot be asked, and `PriceError` as `budget_of`.
    """
    if not isinstance(against, Mapping):
        against = {_name(against): against}
    if not against:
        raise ExperimentError(
            say("There is nothing to measure"), say("pass an engine, or a dict of them.")
        )
    labels = [str(label) for label in against]
    if len(set(labels)) < len(labels):
        raise ExperimentError(
            say("Two labels are equal: {labels}", labels=labels), say("give each its own label.")
        )
    targets = [Target(*pair, max_cost) for pair in zip(labels, against.values(), strict=True)]
    charging = [target for target in targets if target.budget.is_needed]
    for target in charging:
        target.budget = max((one.budget for one in charging), key=lambda one: one.charges)
    return targets


def _name(what: Any) -> str:
    owner = getattr(what, "__self__", what)
    name = getattr(owner, "__name__", None) or type(owner).__name__
    return "answers" if name == "<lambda>" else str(name)


def _call_of(label: str, what: Any) -> Call:
    if (run := run_of(what)) is not None:
        return run
    if is_of_agent(what):
        raise ExperimentError(refuse(what))
    for verb in ("aquery", "astream_chat" if _is_conversation(what) else "astream_complete"):
        if hasattr(what, verb):
            call: Call = getattr(what, verb)
            return call
    if hasattr(what, "as_query_engine"):
        raise ExperimentError(
            say(
                "{label!r} is {kind}, which does not answer questions",
                label=label,
                kind=type(what).__name__,
            ),
            say("pass `index.as_query_engine(streaming=True)`."),
        )
    if inspect.iscoroutine(what):
        what.close()
        raise ExperimentError(
            say("{label!r} is an answer to one question", label=label),
            say("pass the engine, or `engine.aquery` without calling it."),
        )
    if not callable(what):
        raise ExperimentError(
            say(
                "{label!r} is {kind}, which cannot be asked", label=label, kind=type(what).__name__
            ),
            say("pass an engine, an LLM, or a function of a question."),
        )
    function: Call = what
    return function


def _parameters(call: Call) -> dict[str, Any]:
    """What decides answers and latency; for a simulated model, all its settings."""
    profile = getattr(llm_of(call), "profile", None)
    return parameters_of(call) | ({"profile": dict(vars(profile))} if profile else {})


def _is_conversation(what: Any) -> bool:
    return hasattr(what, "astream_chat") and hasattr(what, "chat_history")


def _in_new_conversation(engine: Any) -> Call:
    """A call that asks each question in a new conversation; the user's own is not changed."""

    async def ask(question: str) -> Any:
        fresh = copy.copy(engine)
        # Private, but the same in all of LlamaIndex's engines; without it they share one history.
        if not hasattr(engine, "_memory"):
            raise ExperimentError(
                say(
                    "{kind} keeps its memory where nbkit cannot find it", kind=type(engine).__name__
                ),
                say("pass an async function that creates an engine and asks it."),
            )
        fresh._memory = ChatMemoryBuffer.from_defaults(token_limit=10**6)
        return await fresh.astream_chat(question)

    return ask


def _is_async(call: Any) -> bool:
    while isinstance(call, functools.partial):
        call = call.func
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    return any(is_kind(call) or is_kind(type(call).__call__) for is_kind in kinds)
