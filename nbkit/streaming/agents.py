"""The error for LlamaIndex's agents and other workflows, which cannot be streamed yet."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

from llama_index.core.workflow import Event, Workflow
from llama_index.core.workflow.handler import WorkflowHandler  # type: ignore[attr-defined]

_ending: set[asyncio.Task[None]] = set()
"""Keeps the cancelling tasks alive until done; used only on the threads of event loops."""


def is_of_agent(thing: Any) -> bool:
    """Whether this is an agent, its `run` method, a run, the events of a run, or one event."""
    known = isinstance(thing, Workflow | Event) or isinstance(_owner(thing), Workflow)
    return known or _run_behind(thing) is not None


def refuse(thing: Any) -> str:
    """The message that agents cannot be streamed; also cancels the run of `thing`."""
    run = _run_behind(thing)
    if run is not None and not run.is_done():
        with suppress(RuntimeError):  # no event loop, so no run
            task = asyncio.get_running_loop().create_task(run.cancel_run())
            _ending.add(task)
            task.add_done_callback(_ending.discard)
    owner = _owner(thing)
    name = type(thing).__name__ if owner is None else f"{type(owner).__name__}.run"
    return (
        f"Got {name}, and agents are not streamed yet — read the events yourself (`handler = "
        "agent.run(question)`, then `async for event in handler.stream_events()`), or ask a query "
        "or chat engine."
    )


def _owner(thing: Any) -> Any:
    return getattr(thing.func if isinstance(thing, partial) else thing, "__self__", None)


def _run_behind(thing: Any) -> WorkflowHandler | None:
    """The run: `thing` itself, or the one whose `stream_events()` it is."""
    frame = getattr(thing, "ag_frame", None)
    owner = thing if frame is None else frame.f_locals.get("self")
    return owner if isinstance(owner, WorkflowHandler) else None
