"""Agents and other workflows of LlamaIndex's, which are not streamed yet: one error for all."""

import asyncio
from functools import partial
from typing import Any

from llama_index.core.workflow import Event, Workflow
from llama_index.core.workflow.handler import WorkflowHandler  # type: ignore[attr-defined]

_ending: set[asyncio.Task[None]] = set()
"""Keeps tasks alive until they have ended their run; touched on event loops' threads only."""


def is_of_agent(thing: Any) -> bool:
    """Whether it is an agent, its `run` method, a run, the events of a run, or one event."""
    if isinstance(thing, Workflow | WorkflowHandler | Event):
        return True
    return _run_behind(thing) is not None or isinstance(_owner(thing), Workflow)


def refuse(thing: Any) -> str:
    """Return the message that agents are not streamed; ends the run that `thing` belongs to."""
    run = thing if isinstance(thing, WorkflowHandler) else _run_behind(thing)
    if run is not None and not run.is_done():
        _end(run)
    owner = _owner(thing)
    name = type(thing).__name__ if owner is None else f"{type(owner).__name__}.run"
    return (
        f"Got {name}, and agents are not streamed yet — read the events yourself (`handler = "
        "agent.run(question)`, then `async for event in handler.stream_events()`), or ask a query "
        "or chat engine."
    )


def _owner(thing: Any) -> Any:
    return getattr(thing.func if isinstance(thing, partial) else thing, "__self__", None)


def _run_behind(events: Any) -> WorkflowHandler | None:
    """The run whose `stream_events()` this is."""
    frame = getattr(events, "ag_frame", None)
    owner = None if frame is None else frame.f_locals.get("self")
    return owner if isinstance(owner, WorkflowHandler) else None


def _end(run: WorkflowHandler) -> None:
    try:
        task = asyncio.get_running_loop().create_task(run.cancel_run())
    except RuntimeError:  # without a loop it does not run either
        return
    _ending.add(task)
    task.add_done_callback(_ending.discard)
