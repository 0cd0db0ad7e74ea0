"""Whether a server really streams, seen in the first answers that it streams."""

import time
import warnings
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from weakref import ref

from openai.types.chat import ChatCompletionChunk

from nbkit.language import say, to_say
from nbkit.streaming.trace import Trace

_ENOUGH_CHUNKS = 8
"""Fewer chunks prove nothing, unless they have this much text:"""
_ENOUGH_TEXT = 1_000
_TOGETHER = 0.0005
"""Chunks that come within this many seconds were sent together: no model is so fast."""
_PER_PIECE = 4
"""A burst has at least this many chunks that came together."""
_LONG_WAIT = 0.5
"""Seconds: a fast server may take less, to wake up, and then send a short answer at once."""
_OUR_DELAY = 0.1
"""Seconds for which this process may be busy; beyond, the times say nothing about the server."""
_BEAT = 0.05
"""How often, in seconds, the event loop is tested; a delay that is shorter does not count."""
_PROXY = to_say("is there a proxy that buffers? In nginx: proxy_buffering off")


class FirstStream:
    """Watches the answers of one server until one of them has streamed; costs no request.

    Warns once, when a server ignores `stream`, or at the second answer that came at once after a
    long wait: for the first one the server may have had to wake up.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._bursts = 0
        self.streams: bool | None = None
        """`None` before an answer was long and slow enough to tell."""
        self.last_use = 0.0
        """When a request was last sent or an answer last ended, as a perf_counter reading."""

    def __str__(self) -> str:
        if self.streams is None:
            if self._bursts:
                return say("not sure: an answer came at once")
            return say("not checked yet")
        return say("yes") if self.streams else say("no, the whole answer came at once")

    def watch(self, loop: AbstractEventLoop | None = None) -> "Watched | None":
        """For a request that is sent now, from this event loop; `None` if all is known."""
        self.last_use = time.perf_counter()
        return None if self.streams else Watched(self, self.last_use, loop)

    def saw(self, streams: bool | None, *, is_document: bool) -> None:
        """The verdict on an answer that has ended now."""
        self.last_use = time.perf_counter()
        if streams:
            self.streams = True
        elif streams is False and self.streams is None:
            self._bursts += 1
            if is_document or self._bursts > 1:
                self.streams = False
                why = say("it ignores `stream`") if is_document else say(_PROXY)
                warnings.warn(
                    say(
                        "{address} does not stream: the whole answer came at once — {why}.",
                        address=self._address,
                        why=why,
                    ),
                    stacklevel=3,
                )


class Watched:
    """When the text of one answer came from the network."""

    def __init__(self, server: FirstStream, started: float, loop: AbstractEventLoop | None) -> None:
        self._server = server
        self._trace = Trace(started)
        self._delay = self._reader = 0.0
        if loop is not None:
            _beat(ref(self), loop, started)

    @property
    def is_alone(self) -> bool:
        """Whether nothing else was asked meanwhile; if not, the wait may be for its turn."""
        return self._server.last_use <= self._trace.start

    def delay(self, seconds: float) -> None:
        """For these seconds our process was busy; if long, what came meanwhile is read at once."""
        self._delay += max(0.0, seconds - _BEAT)

    def timed(self, chunks: Iterator[ChatCompletionChunk]) -> Iterator[ChatCompletionChunk]:
        """The same chunks, which came together, now."""
        now = time.perf_counter()
        for chunk in chunks:
            if size := _size(chunk):
                self._trace.add(now, size)
            yielded = time.perf_counter()
            yield chunk
            self._reader += (busy := time.perf_counter() - yielded)
            self.delay(busy)

    def end(self, *, is_whole: bool, is_document: bool) -> None:
        """Give the verdict; on a part of an answer there is none."""
        self._server.saw(self._verdict(is_document) if is_whole else None, is_document=is_document)

    def _verdict(self, is_document: bool) -> bool | None:
        if is_document:
            return False
        trace = self._trace
        enough = trace.chunks >= _ENOUGH_CHUNKS or sum(trace.sizes) >= _ENOUGH_TEXT
        if not enough or trace.looks_buffered is None:
            return None
        if not trace.looks_buffered:
            # A slow reader takes the chunks of a burst one by one, too.
            is_theirs = self._reader < (trace.arrivals[-1] - trace.arrivals[0]) / 2
            return True if trace.chunks >= _ENOUGH_CHUNKS and is_theirs else None
        pieces = 1 + sum(gap > _TOGETHER for gap in trace.gaps)
        is_burst = pieces == 1 or pieces * _PER_PIECE <= trace.chunks
        is_late = trace.arrivals[0] - trace.start > _LONG_WAIT
        is_sure = self.is_alone and self._delay <= _OUR_DELAY
        return False if is_burst and is_late and is_sure else None


def _beat(watched: "ref[Watched]", loop: AbstractEventLoop, expected: float) -> None:
    """Tell the watched answer, as long as there is one, when the event loop was blocked."""
    answer = watched()
    if answer is not None and answer.is_alone:
        now = time.perf_counter()
        answer.delay(now - expected)
        loop.call_later(_BEAT, _beat, watched, loop, now + _BEAT)


def _size(chunk: ChatCompletionChunk) -> int:
    """Characters in a chunk, of the answer or of a thought."""
    if not chunk.choices:
        return 0
    delta = chunk.choices[0].delta
    names = ("content", "reasoning_content", "reasoning")
    return sum(len(part) for name in names if isinstance(part := getattr(delta, name, None), str))
