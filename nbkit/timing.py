"""When each piece of an answer arrived, and the latency metrics that follow from it."""

from dataclasses import dataclass, field
from itertools import pairwise


def count(number: int, noun: str) -> str:
    """Say how many, in English: "1 chunk", "2 chunks"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@dataclass(slots=True)
class Trace:
    """The timing of one streamed answer: what happened when, and the metrics read off it.

    The fields are raw readings of `time.perf_counter` (seconds, comparable within one process);
    the properties are durations in seconds. A metric whose moment never came is `None`.

    Chunks are not tokens: one delta of a stream may carry several tokens, so whatever is counted
    here is called a chunk, and the metrics that need tokens use the count the server reported.

    Taught in notebook 01.
    """

    start: float
    """The clock started: the question was put, or an answer already made was wrapped."""
    arrivals: list[float] = field(default_factory=list)
    """One reading per non-empty delta, in order of arrival."""
    sizes: list[int] = field(default_factory=list)
    """Characters in each of those deltas."""
    responded: float | None = None
    """LlamaIndex handed over its response object: retrieval is done, the sources are known."""
    requested: float | None = None
    """The last call to a model began (the one whose answer is streamed)."""
    end: float | None = None
    """The source was exhausted, failed or stopped; it may trail the last delta."""
    tokens: int | None = None
    """Completion tokens as the server counted them, where it reported usage."""
    prompt_tokens: int | None = None
    """Prompt tokens as the server counted them, where it reported usage."""
    model: str | None = None
    """The model that answered, by the name its client uses."""
    finish_reason: str | None = None
    """Why the model stopped, in the server's words: "stop", "length", ..."""

    def add(self, now: float, size: int) -> None:
        """Record a delta of `size` characters that arrived at perf_counter reading `now`."""
        self.arrivals.append(now)
        self.sizes.append(size)

    @property
    def chunks(self) -> int:
        """Number of non-empty deltas."""
        return len(self.arrivals)

    @property
    def ttft(self) -> float | None:
        """Time to first token: first non-empty delta − start, in seconds.

        Empty deltas (the role announcement of the OpenAI protocol) do not count, as in NVIDIA
        AIPerf; the vLLM benchmark counts them.
        """
        return self.arrivals[0] - self.start if self.arrivals else None

    @property
    def gaps(self) -> list[float]:
        """Seconds between consecutive deltas (inter-chunk latency); empty below two deltas.

        The vLLM benchmark pools these over all requests and calls them inter-token latency (ITL).
        """
        return [later - earlier for earlier, later in pairwise(self.arrivals)]

    @property
    def end_to_end(self) -> float | None:
        """End-to-end latency: last delta − start, in seconds (as the vLLM benchmark has it)."""
        return self.arrivals[-1] - self.start if self.arrivals else None

    @property
    def tpot(self) -> float | None:
        """Time per output token: (last delta − first delta) / (tokens − 1), in seconds.

        The vLLM benchmark's definition, which leaves the first token out; guidellm's includes it.
        `None` without a token count from the server, or below two tokens.
        """
        if not self.arrivals or self.tokens is None or self.tokens < 2:
            return None
        return (self.arrivals[-1] - self.arrivals[0]) / (self.tokens - 1)

    @property
    def retrieval(self) -> float | None:
        """Seconds from start until LlamaIndex handed over its response object."""
        return self.responded - self.start if self.responded is not None else None

    @property
    def chunk_rate(self) -> float | None:
        """Chunks per second while streaming: (chunks − 1) / (last delta − first delta)."""
        if self.chunks < 2 or self.arrivals[-1] == self.arrivals[0]:
            return None
        return (self.chunks - 1) / (self.arrivals[-1] - self.arrivals[0])

    @property
    def caption(self) -> str:
        """The trace in one line, for people."""
        if self.ttft is None or self.end_to_end is None:
            waited = f" after {self.end - self.start:.2f} s" if self.end is not None else ""
            return f"no text{waited}"
        parts = [
            f"TTFT {self.ttft:.2f} s",
            count(self.chunks, "chunk"),
            f"{self.end_to_end:.2f} s in all",
        ]
        if self.chunk_rate is not None:
            parts.append(f"{self.chunk_rate:.0f} chunks/s")
        if self.model is not None:
            parts.append(self.model)
        return " · ".join(parts)

    def __repr__(self) -> str:
        return f"<Trace {self.caption}>"
