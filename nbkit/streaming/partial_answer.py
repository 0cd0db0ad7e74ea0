"""What has arrived of an answer until now."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nbkit.language import say
from nbkit.streaming.agent_run import AgentReader
from nbkit.streaming.errors import StreamMisused
from nbkit.streaming.readers import Reader
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.thinking import Thought
from nbkit.streaming.trace import Trace


class PartialAnswer:
    """The text, the thoughts, the sources, the steps and the timing of an answer so far."""

    def __init__(self) -> None:
        self.trace = Trace(time.perf_counter())
        self.sources: list[Any] = []
        self.on_progress: Callable[[str], None] = lambda _thought: None
        """Called on the event loop with each thought, and with "" when an agent has done a step."""
        self.thoughts: list[str] = []
        """What the model has thought, in the pieces in which it came."""
        self._parts: list[str] = []
        self._reader: Reader | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def text(self) -> str:
        """All text that has arrived so far."""
        return "".join(self._parts)

    @property
    def thought(self) -> str:
        """What the model has thought so far, which is no part of `text`."""
        return "".join(self.thoughts)

    @property
    def steps(self) -> list[ToolStep]:
        """The tools that an agent has called so far."""
        return self._reader.steps if self._reader is not None else []

    @property
    def result(self) -> Any:
        """What the run of an agent, or structured output, gave at its end; otherwise `None`."""
        return self._reader.result if self._reader is not None else None

    @property
    def question(self) -> str | None:
        """What an agent asks a person now; `reply` answers it."""
        return self._reader.question if isinstance(self._reader, AgentReader) else None

    def reply(self, text: str) -> None:
        """Answer an agent's question to a person; raises `StreamMisused` if there is none."""
        if not isinstance(self._reader, AgentReader) or self._reader.question is None:
            raise StreamMisused(say("Nothing was asked"), say("reply when `.question` has a text."))
        self._reader.reply(text)

    def _add(self, delta: str, on_chunk: Callable[[str], None]) -> None:
        """Keep a delta that has arrived now; `on_chunk` gets it if it is of the answer."""
        if isinstance(delta, Thought):
            self._think(delta)
        elif delta:
            self.trace.add(time.perf_counter(), len(delta))
            self._parts.append(delta)
            on_chunk(delta)

    def _think(self, thought: str) -> None:
        """Keep a thought, in whichever thread it was read."""
        self.trace.thoughts.append(time.perf_counter())
        self.thoughts.append(thought)
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed, so nobody looks
                self._loop.call_soon_threadsafe(self.on_progress, thought)
