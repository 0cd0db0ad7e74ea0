"""Recognises LlamaIndex's agents and their runs; only a run is an answer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeGuard

from llama_index.core.agent.workflow import AgentWorkflow, BaseWorkflowAgent
from llama_index.core.memory import BaseMemory
from llama_index.core.workflow import Context, Event, Workflow
from llama_index.core.workflow.handler import WorkflowHandler  # type: ignore[attr-defined]

from nbkit.language import say

_ending: set[asyncio.Task[None]] = set()
"""Keeps the cancelling tasks alive until done; used only on the threads of event loops."""


def is_run(thing: Any) -> TypeGuard[WorkflowHandler]:
    """Whether this is what `agent.run(…)` returns: an answer that has begun."""
    return isinstance(thing, WorkflowHandler)


def run_of(thing: Any) -> Callable[..., WorkflowHandler] | None:
    """For an agent, the function that asks it a question; `None` for anything else."""
    if not isinstance(thing, BaseWorkflowAgent | AgentWorkflow):
        return None
    return lambda question, **settings: thing.run(user_msg=question, **settings)


def memory_in(context: Context) -> BaseMemory | None:
    """The memory that the runs of a context have written to; `None` if there was no run."""

    def read() -> Any:
        return asyncio.run(context.store.get("memory", default=None))

    with ThreadPoolExecutor(1) as thread:  # where no event loop is running
        memory = thread.submit(read).result()
    return memory if isinstance(memory, BaseMemory) else None


async def continued(agent: Any, context: Context) -> Context:
    """A new context with the state of another, but not its memory.

    In a context whose run was stopped, LlamaIndex would go on with that run; and it drops a
    `Memory` that is in the context, but not one that is given to the run.
    """
    new = Context(agent)
    await new.store.set_state(await context.store.get_state())
    await new.store.set("memory", None)
    return new


def is_of_agent(thing: Any) -> bool:
    """Whether this is an agent, its `run` method, the events of a run, or one event: no answer."""
    return (
        isinstance(thing, Workflow | Event) or _is_method(thing) or _run_behind(thing) is not None
    )


def refuse(thing: Any) -> str:
    """The message that names the right call; also cancels the run whose events these are."""
    run = _run_behind(thing)
    if run is not None and not run.is_done():
        end_run(run)
    name = f"{type(thing.__self__).__name__}.run" if _is_method(thing) else type(thing).__name__
    return say(
        "Got {name}, which is not an answer — pass a run, `agent.run(user_msg=question)`; for many "
        "questions a function, `lambda question: agent.run(user_msg=question)`.",
        name=name,
    )


def end_run(run: WorkflowHandler) -> None:
    """Cancel a run that nobody will read."""
    with suppress(RuntimeError):  # no event loop, so no run
        task = asyncio.get_running_loop().create_task(run.cancel_run())
        _ending.add(task)
        task.add_done_callback(_ending.discard)


def _is_method(thing: Any) -> bool:
    return not isinstance(thing, partial) and isinstance(getattr(thing, "__self__", None), Workflow)


def _run_behind(thing: Any) -> WorkflowHandler | None:
    """The run whose `stream_events()` this is."""
    frame = getattr(thing, "ag_frame", None)
    owner = None if frame is None else frame.f_locals.get("self")
    return owner if isinstance(owner, WorkflowHandler) else None
