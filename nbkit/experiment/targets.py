"""What can be measured: anything that answers a question, made into one async call."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from nbkit.batch.asking import parameters_of
from nbkit.experiment.results import ExperimentError

Ask = Callable[[str], Awaitable[Any]]


class Target:
    """One label of an experiment: how it is asked, and what is known about it."""

    def __init__(self, label: str, what: Any) -> None:
        self.label = label
        self._fn, self.blocking = _call_of(label, what)
        self.parameters = parameters_of(self._fn)

    def ask(self, question: str, threads: ThreadPoolExecutor) -> Awaitable[Any]:
        """Give a coroutine that ends with an answer a stream can read."""
        return self._ask(question, threads)

    async def _ask(self, question: str, threads: ThreadPoolExecutor) -> Any:
        if self.blocking:
            loop, context = asyncio.get_running_loop(), copy_context()
            answer = await loop.run_in_executor(threads, context.run, self._fn, question)
        else:
            answer = self._fn(question)
        if asyncio.iscoroutine(answer) or isinstance(answer, Awaitable):
            answer = await answer
        return [answer] if isinstance(answer, str) else answer


def targets_of(against: Any) -> list[Target]:
    """Give the targets of `measure`; raises `ExperimentError` for what cannot be asked."""
    if not isinstance(against, Mapping):
        against = {_name(against): against}
    if not against:
        raise ExperimentError("There is nothing to measure — pass an engine, or a dict of them.")
    labels = [str(label) for label in against]
    if len(set(labels)) < len(labels):
        raise ExperimentError(f"Two labels read the same: {labels} — give each its own.")
    return [Target(label, what) for label, what in zip(labels, against.values(), strict=True)]


def _name(what: Any) -> str:
    owner = getattr(what, "__self__", what)
    name = getattr(owner, "__name__", None) or type(owner).__name__
    return "answers" if name == "<lambda>" else str(name)


def _call_of(label: str, what: Any) -> tuple[Callable[[str], Any], bool]:
    """Give the call, and whether it may block and belongs into a thread."""
    if hasattr(what, "aquery"):
        return what.aquery, False
    if hasattr(what, "astream_chat") and hasattr(what, "chat_history"):
        return _fresh_chat(what), False
    if hasattr(what, "astream_complete"):
        return what.astream_complete, False
    if hasattr(what, "as_query_engine"):
        raise ExperimentError(
            f"{label!r} is {type(what).__name__}, which answers no question — pass "
            "`index.as_query_engine(streaming=True)`."
        )
    if asyncio.iscoroutine(what):
        what.close()
        raise ExperimentError(
            f"{label!r} is an answer to one question — pass the engine itself, or a function: "
            "`engine.aquery` without calling it."
        )
    if not callable(what):
        raise ExperimentError(
            f"{label!r} is {type(what).__name__}, which cannot be asked — pass an engine, an LLM, "
            "or a function of a question."
        )
    return what, not _is_async(what)


def _is_async(fn: Any) -> bool:
    import inspect

    while hasattr(fn, "func"):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)


def _fresh_chat(engine: Any) -> Callable[[str], Any]:
    """Ask each question as the first of a conversation of its own; the reader's stays as it is."""
    memory = getattr(engine, "_memory", None)

    async def ask(question: str) -> Any:
        fresh = copy.copy(engine)
        if memory is not None:
            fresh._memory = type(memory).from_defaults()
        return await fresh.astream_chat(question)

    return ask
