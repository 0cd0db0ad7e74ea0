"""The outcome of one item of a batch."""

from dataclasses import dataclass, field
from typing import Any

from nbkit.errors import NbkitError
from nbkit.language import say
from nbkit.streaming.trace import Trace
from nbkit.wording import count


class BatchError(NbkitError):
    """Something is wrong with a batch as a whole, not with one item. Taught in notebook 06."""


class BatchMisused(BatchError, ValueError):
    """The call was wrong; nothing more is asked, and finished items are kept."""


@dataclass(slots=True)
class Outcome:
    """The result of one item: its value or its error, and its attempts. Taught in notebook 06."""

    item: Any
    index: int
    """The position of the item in the input, from 0."""
    value: Any = None
    """An `Answer` if the function returned an answer of LlamaIndex, otherwise its return value."""
    error: Exception | None = None
    """Why there is no value; a partial answer, if there is one, is in its `.answer`."""
    attempts: int = 0
    """How often the item was asked."""
    refused: int = 0
    """How many of the attempts the server refused with 429."""
    attempt_starts: list[float] = field(default_factory=list, repr=False)
    """Readings of `time.perf_counter`, one per attempt; empty if it came from a journal."""
    trace: Trace | None = None
    """Timing of the last attempt; `None` if it came from a journal, as perf_counter differs."""
    key: str | None = None
    """The key of the item in the journal; `None` without a journal."""
    resumed: bool = False
    """The value came from a journal; the item was not asked."""
    worker: str | None = None
    """The address of the worker of a cluster that asked it; `None` in one process."""

    @property
    def retried(self) -> int:
        """How many attempts there were after the first; a refused one does not count."""
        return max(self.attempts - self.refused - 1, 0)

    @property
    def state(self) -> str:
        """One word: "done", "truncated" or "failed"."""
        if self.error is None:
            return "done"
        partial = getattr(self.error, "answer", None)
        return "truncated" if getattr(partial, "truncated", False) else "failed"

    def __repr__(self) -> str:
        result = self.value if self.error is None else f"{type(self.error).__name__}: {self.error}"
        parts = [f"{brief(self.item)} → {brief(result)}", say(self.state)]
        parts += [count(self.attempts, "attempt"), *[say("from the journal")] * self.resumed]
        return f"<Outcome {' · '.join(parts)}>"


def brief(thing: Any) -> str:
    """At most 40 characters of an object, on one line, quoted."""
    text = " ".join(str(thing).split())
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
