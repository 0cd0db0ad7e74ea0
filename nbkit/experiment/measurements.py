"""One request of an experiment, and what can be wrong with the experiment as a whole."""

from dataclasses import dataclass, field

from nbkit.errors import NbkitError
from nbkit.streaming.trace import Trace


class ExperimentError(NbkitError, ValueError):
    """Something is wrong with an experiment, or what was asked of it. Taught in notebook 09."""


@dataclass
class Measurement:
    """One request of an experiment, as plots and `summary` take it. Taught in notebook 09."""

    label: str
    load: float
    repetition: int
    question: int
    """Place of the question in the list, from 0."""
    trace: Trace
    """In an open loop its clock starts at the planned arrival: what a user would have waited."""
    state: str = "done"
    """ "done", "truncated" or "failed"."""
    error: str | None = None
    """What went wrong, in a sentence."""
    late: float = 0.0
    """Seconds by which this machine made the request later than planned (open loop)."""
    ramp: bool = False
    """It was among the first of its run, which met an idle server: in no figure."""
    text: str | None = field(default=None, repr=False)
    """The answer, or what had arrived of it."""

    @property
    def sent(self) -> float:
        """When the request was really made (`time.perf_counter`)."""
        return self.trace.start + self.late

    @property
    def origin(self) -> str:
        """Label and load in words."""
        return f"{self.label} at {self.load:g}"
