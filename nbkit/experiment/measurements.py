"""One request of an experiment, and the error of an experiment as a whole."""

from dataclasses import dataclass, field

from nbkit.errors import NbkitError
from nbkit.language import say
from nbkit.streaming.trace import Trace


class ExperimentError(NbkitError, ValueError):
    """Something is wrong with an experiment, or with a call to it. Taught in notebook 09."""


@dataclass
class Measurement:
    """One request of an experiment, as plots and `summary` take it. Taught in notebook 09."""

    label: str
    load: float
    repetition: int
    question: int
    """The position of the question in the list, from 0."""
    trace: Trace
    """In an open loop it starts at the planned arrival, as the wait of a user would."""
    state: str = "done"
    """ "done", "truncated" or "failed"."""
    error: str | None = None
    """What went wrong, in a sentence."""
    late: float = 0.0
    """Seconds by which this machine made the request later than planned (open loop)."""
    ramp: bool = False
    """It was among the first of its run, when the server was idle: not in the numbers."""
    text: str | None = field(default=None, repr=False)
    """The answer, or the part that arrived."""

    @property
    def sent(self) -> float:
        """When the request was really sent (`time.perf_counter`)."""
        return self.trace.start + self.late

    @property
    def origin(self) -> str:
        """Label and load as text."""
        return say("{label} at {load:g}", label=self.label, load=self.load)
