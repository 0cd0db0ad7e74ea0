"""What became of one item of a batch."""

from dataclasses import dataclass, field
from typing import Any

from nbkit.errors import NbkitError
from nbkit.streaming.trace import Trace
from nbkit.wording import count


class BatchError(NbkitError):
    """Something is wrong with a batch as a whole, not with one item. Taught in notebook 06."""


class BatchMisused(BatchError, ValueError):
    """The call was wrong; nothing was asked after that was found, and nothing done is lost."""


@dataclass(slots=True)
class Outcome:
    """What became of one item: its value or its error, and how it came about.

    Taught in notebook 06.
    """

    item: Any
    index: int
    """Place of the item in the input, from 0."""
    value: Any = None
    """An `Answer` if an answer of LlamaIndex's came back, otherwise what came back."""
    error: Exception | None = None
    """Why there is no value; a partial answer, if there is one, is in its `.answer`."""
    attempts: int = 0
    """How often the item was asked."""
    refused: int = 0
    """How many of the attempts the server turned away to wait (429)."""
    attempt_starts: list[float] = field(default_factory=list, repr=False)
    """Readings of `time.perf_counter`, one an attempt; empty for what a journal gave back."""
    trace: Trace | None = None
    """Timing of the last attempt; `None` for what a journal gave back: it ran on another clock."""
    key: str | None = None
    """What the journal knows the item by; `None` without a journal."""
    resumed: bool = False
    """It was not asked now: a journal had the value."""

    @property
    def state(self) -> str:
        """One word: "done", or why not: "truncated" or "failed"."""
        if self.error is None:
            return "done"
        partial = getattr(self.error, "answer", None)
        return "truncated" if getattr(partial, "truncated", False) else "failed"

    def __repr__(self) -> str:
        result = self.value if self.error is None else f"{type(self.error).__name__}: {self.error}"
        parts = [f"{brief(self.item)} → {brief(result)}", self.state]
        parts += [count(self.attempts, "attempt"), *["from the journal"] * self.resumed]
        return f"<Outcome {' · '.join(parts)}>"


def brief(thing: Any) -> str:
    """A thing in a few characters of one line."""
    text = " ".join(str(thing).split())
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
