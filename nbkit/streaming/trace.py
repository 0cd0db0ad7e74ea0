"""When each piece of an answer arrived, and the latency metrics that follow from it."""

import time
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from nbkit.language import say
from nbkit.wording import count

_SUSPENDED = 1.0
"""The largest difference, in seconds, between wall clock and perf_counter in one answer."""
_BURST_GAP = 0.002
_BURST_TEXT = 0.8
_BURST_TIME = 0.05
_ENOUGH_TOKENS, _ENOUGH_CHARACTERS = 8, 32
_ENOUGH_SECONDS = 0.1


def clock_offset() -> float:
    """Wall clock − perf_counter, in seconds; it changes when the machine is suspended."""
    return time.time() - time.perf_counter()


class Usage(NamedTuple):
    """What one call of a model used, as its server counted it; `None` where it did not."""

    model: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    tokens: int | None


@dataclass(slots=True)
class Trace:
    """The timing of one streamed answer: what happened when, and the metrics computed from it.

    The fields are readings of `time.perf_counter` (seconds, comparable within one process); the
    properties are durations in seconds, or `None` if what they measure did not happen. A chunk is
    one delta, which may hold several tokens; the server counts the tokens. Taught in notebook 01.
    """

    start: float
    """The question was asked, or an existing answer was wrapped."""
    arrivals: list[float] = field(default_factory=list)
    """One reading per non-empty delta, in order of arrival."""
    sizes: list[int] = field(default_factory=list)
    """Characters in each of those deltas."""
    responded: float | None = None
    """LlamaIndex returned its response object: retrieval is done, the sources are known."""
    requested: float | None = None
    """The last model call began (the one whose answer is streamed)."""
    end: float | None = None
    """The source ended, failed or was stopped; this may be later than the last delta."""
    tokens: int | None = None
    """Completion tokens, if the server reported usage."""
    reasoning_tokens: int | None = 0
    """The part of `tokens` used for reasoning; `None` if it was not counted."""
    prompt_tokens: int | None = None
    """Prompt tokens, if the server reported usage."""
    cached_tokens: int | None = None
    """The part of `prompt_tokens` that the server had in its prefix cache, if it says so."""
    requests: int = 1
    """How many requests to models the counts of tokens are the sum of: an agent's are several."""
    thoughts: list[float] = field(default_factory=list)
    """One reading per delta of what the model thought before it answered."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """From when to when the run waited for a person; left out of all durations."""
    model: str | None = None
    """The model that answered, by the name its client uses."""
    finish_reason: str | None = None
    """Why the model stopped, in the server's words: "stop", "length", ..."""
    usage: list[Usage] = field(default_factory=list)
    """Every call of a model for this answer; `tokens` and the like are of the last one only."""
    clock_jump: float = 0.0
    """Seconds that the wall clock gained on perf_counter between start and end."""

    def add(self, now: float, size: int) -> None:
        """Record a delta of `size` characters that arrived at perf_counter reading `now`."""
        self.arrivals.append(now)
        self.sizes.append(size)

    def move(self, seconds: float) -> None:
        """Shift all readings, as to the `time.perf_counter` of another process."""
        for name in ("start", "responded", "requested", "end"):
            if (reading := getattr(self, name)) is not None:
                setattr(self, name, reading + seconds)
        self.arrivals = [reading + seconds for reading in self.arrivals]
        self.thoughts = [reading + seconds for reading in self.thoughts]
        self.waits = [(begin + seconds, end + seconds) for begin, end in self.waits]

    @property
    def chunks(self) -> int:
        """Number of non-empty deltas."""
        return len(self.arrivals)

    @property
    def first(self) -> float | None:
        """When the first delta arrived, of a thought or of the answer."""
        return min((*self.thoughts[:1], *self.arrivals[:1]), default=None)

    @property
    def ttft(self) -> float | None:
        """Time to first token: first non-empty delta − start, in seconds; a thought counts.

        Empty deltas do not count, as in NVIDIA AIPerf; the vLLM benchmark counts them.
        """
        return None if self.first is None else self._since_start(self.first)

    @property
    def ttfo(self) -> float | None:
        """Time to first output token: first delta of the answer, not of a thought − start.

        AIPerf's TTFO, guidellm's TTFOT; equal to TTFT if the model did not think.
        """
        return self._since_start(self.arrivals[0]) if self.arrivals else None

    @property
    def thinking(self) -> float | None:
        """Seconds from the first thought to the first token of the answer, or the last thought.

        `None` for an agent's answer of several requests, between which tools ran.
        """
        if not self.thoughts or self.requests > 1:
            return None
        answered = [moment for moment in self.arrivals[:1] if moment > self.thoughts[0]]
        return (answered or self.thoughts[-1:])[0] - self.thoughts[0]

    @property
    def waited(self) -> float:
        """Seconds for which the run waited for a person."""
        return sum(end - start for start, end in self.waits)

    def _since_start(self, moment: float) -> float:
        """Seconds from start to a moment, without those spent waiting for a person."""
        waited = sum(min(end, moment) - start for start, end in self.waits if start < moment)
        return moment - self.start - waited

    @property
    def gaps(self) -> list[float]:
        """Seconds between consecutive deltas; vLLM's benchmark calls it inter-token latency."""
        if not self.waits:
            return [later - earlier for earlier, later in pairwise(self.arrivals)]
        return [
            later - earlier for earlier, later in pairwise(map(self._since_start, self.arrivals))
        ]

    @property
    def end_to_end(self) -> float | None:
        """End-to-end latency: last delta − start, in seconds (as in the vLLM benchmark)."""
        return self._since_start(self.arrivals[-1]) if self.arrivals else None

    @property
    def tpot(self) -> float | None:
        """Time per output token: (last delta − first delta) / (tokens − 1), in seconds.

        The vLLM benchmark's definition; guidellm's includes the first token. Reasoning
        tokens are left out. `None` without the server's count, for an answer in one piece, and for
        an agent's answer of several requests, between which tools ran.
        """
        tokens = self.text_tokens
        if self.chunks < 2 or tokens is None or tokens < 2 or self.requests > 1:
            return None
        return (self.arrivals[-1] - self.arrivals[0]) / (tokens - 1)

    @property
    def text_tokens(self) -> int | None:
        """Completion tokens without reasoning tokens; `None` if either was not counted."""
        if self.tokens is None or self.reasoning_tokens is None:
            return None
        return self.tokens - self.reasoning_tokens

    @property
    def retrieval(self) -> float | None:
        """Seconds from start until LlamaIndex returned its response object."""
        return self.responded - self.start if self.responded is not None else None

    @property
    def before_call(self) -> float | None:
        """Seconds from start until the last model call began; TTFT is this + `first_token_wait`."""
        return None if self.requested is None else max(self.requested - self.start, 0.0)

    @property
    def first_token_wait(self) -> float | None:
        """Seconds from the last model call to the first delta; TTFT if no call was seen."""
        if self.ttft is None or self.before_call is None:
            return self.ttft
        return max(self.ttft - self.before_call, 0.0)

    @property
    def streaming(self) -> float | None:
        """Seconds from the first delta to the last; zero for an answer in one piece."""
        return self.arrivals[-1] - self.arrivals[0] if self.arrivals else None

    @property
    def suspended(self) -> bool:
        """Whether the machine slept or its clock was set, which makes the durations wrong."""
        return abs(self.clock_jump) > _SUSPENDED

    @property
    def looks_buffered(self) -> bool | None:
        """Whether most of the answer came at once, as if something had buffered the stream.

        True if the shortest stretch of deltas with 80 % of the text took at most 5 % of the time
        since the model was called, and its median gap is below 2 ms. `None` if it is too short to
        judge: below 8 tokens (32 characters without the server's count), or several chunks that all
        came within 0.1 s of the call.
        """
        size = sum(self.sizes)
        tokens = self.text_tokens
        enough = tokens >= _ENOUGH_TOKENS if tokens else size >= _ENOUGH_CHARACTERS
        if not size or not enough:
            return None
        asked = self.start + (self.before_call or 0.0)
        if self.chunks > 1 and self.arrivals[-1] - asked < _ENOUGH_SECONDS:
            return None
        burst = self._shortest_stretch(_BURST_TEXT * size)
        gaps = [later - earlier for earlier, later in pairwise(burst)]
        is_fast = not gaps or median(gaps) < _BURST_GAP
        return is_fast and burst[-1] - burst[0] <= _BURST_TIME * (burst[-1] - asked)

    def _shortest_stretch(self, text: float) -> list[float]:
        """Arrivals of the shortest run of deltas with at least `text` characters."""
        left, held, best = 0, 0, (0, self.chunks - 1)
        for right, size in enumerate(self.sizes):
            held += size
            while held - self.sizes[left] >= text:
                held -= self.sizes[left]
                left += 1
            if held >= text:
                best = min(best, (left, right), key=self._seconds_between)
        return self.arrivals[best[0] : best[1] + 1]

    def _seconds_between(self, deltas: tuple[int, int]) -> float:
        return self.arrivals[deltas[1]] - self.arrivals[deltas[0]]

    @property
    def chunk_rate(self) -> float | None:
        """Chunks per second while streaming: (chunks − 1) / (last delta − first delta)."""
        if self.chunks < 2 or self.arrivals[-1] == self.arrivals[0]:
            return None
        return (self.chunks - 1) / (self.arrivals[-1] - self.arrivals[0])

    @property
    def is_timed(self) -> bool:
        """Whether it has times; the trace of an answer from a provider's Batch file has none."""
        return self.first is not None or self.end is not None or self.finish_reason is None

    @property
    def caption(self) -> str:
        """The trace in one line, for people."""
        if not self.is_timed:
            return " · ".join([say("not timed"), *filter(None, [self.model])])
        if self.ttft is None or self.end_to_end is None:
            if self.end is None:
                return say("no text")
            return say("no text after {seconds:.2f} s", seconds=self.end - self.start)
        took = say("{seconds:.2f} s in all", seconds=self.end_to_end)
        parts = [say("TTFT {seconds:.2f} s", seconds=self.ttft), count(self.chunks, "chunk"), took]
        if self.thinking is not None:
            parts.insert(1, say("thought for {seconds:.2f} s", seconds=self.thinking))
        if self.requests > 1:
            parts.append(count(self.requests, "request"))
        if self.chunk_rate is not None:
            parts.append(say("{rate:.0f} chunks/s", rate=self.chunk_rate))
        if self.model is not None:
            parts.append(self.model)
        return " · ".join(parts)

    def __repr__(self) -> str:
        return f"<Trace {self.caption}>"
