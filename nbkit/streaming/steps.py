"""What an agent does on the way to its answer: the calls of its tools."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ToolStep:
    """One call of a tool. Taught in notebook 11.

    `start` and `end` are readings of `time.perf_counter`, taken when LlamaIndex's event is read, so
    late if something blocks the event loop. `end` is `None` until the tool has returned, and stays
    so if the run was stopped before.
    """

    tool: str
    arguments: dict[str, Any]
    agent: str
    """The name of the agent that called it."""
    start: float
    end: float | None = None
    result: str | None = None
    """What the tool returned, as the model reads it."""
    error: str | None = None
    """What the tool raised, or why it could not be called."""
    call_id: str = field(default="", repr=False)

    @property
    def state(self) -> str:
        """One word: "running", "done" or "failed"."""
        if self.error is not None:
            return "failed"
        return "running" if self.end is None else "done"

    @property
    def seconds(self) -> float | None:
        """How long the tool took, in seconds; `None` if it has not returned."""
        return None if self.end is None else self.end - self.start
