"""Whether a server really streams, seen in the first answers that it streams."""

import time
import warnings
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Iterator

from openai.types.chat import ChatCompletionChunk

from nbkit.models.http import SENT, httpx
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
"""Seconds for which this process may be busy; then the times say nothing about the server."""
_BEAT = 0.05
_PROXY = "is there a proxy that buffers? In nginx: proxy_buffering off"


class FirstStream:
    """Watches the answers of one server, one at a time, until one of them has streamed.

    Costs no request. Warns once, when a server ignores `stream`, or at the second answer that came
    at once after a long wait: for the first one the server may have had to wake up.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._busy = False
        self._bursts = 0
        self.streams: bool | None = None
        """`None` before an answer was long and slow enough to tell."""
        self.last_use = 0.0
        """When a request was last sent or an answer last ended, as a perf_counter reading."""

    def __str__(self) -> str:
        if self.streams is None:
            return "not sure: an answer came at once" if self._bursts else "not checked yet"
        return "yes" if self.streams else "no, the whole answer came at once"

    def watch(
        self, request: httpx.Request, loop: AbstractEventLoop | None = None
    ) -> "Watched | None":
        """For the answer to a request, read in this event loop; `None` if it is not needed."""
        if self.streams or self._busy or SENT not in request.extensions:
            return None
        self._busy = True
        return Watched(self, request.extensions[SENT], loop)

    def used(self) -> None:
        """A request is sent now, or an answer has ended."""
        self.last_use = time.perf_counter()

    def saw(self, streams: bool | None, *, is_document: bool) -> None:
        """The verdict on the answer that was watched."""
        self._busy = False
        if streams:
            self.streams = True
        elif streams is False and self.streams is None:
            self._bursts += 1
            if is_document or self._bursts > 1:
                self.streams = False
                why = "it ignores `stream`" if is_document else _PROXY
                warnings.warn(
                    f"{self._address} does not stream: the whole answer came at once — {why}.",
                    stacklevel=3,
                )


class Watched:
    """When the text of one answer came from the network."""

    def __init__(self, server: FirstStream, started: float, loop: AbstractEventLoop | None) -> None:
        self._server = server
        self._trace = Trace(started)
        self._delay = 0.0
        self._loop = loop
        self._last_beat = time.perf_counter()
        self._timer: TimerHandle | None = None
        self._beat()

    def timed(self, chunks: Iterator[ChatCompletionChunk]) -> Iterator[ChatCompletionChunk]:
        """The same chunks, which came together, now."""
        now = time.perf_counter()
        for chunk in chunks:
            if size := _size(chunk):
                self._trace.add(now, size)
            yielded = time.perf_counter()
            yield chunk
            self._delay += time.perf_counter() - yielded

    def end(self, *, whole: bool, is_document: bool) -> None:
        """Give the verdict; on an answer that is not `whole` there is none."""
        if self._timer is not None:
            self._timer.cancel()
        self._server.saw(self._verdict(is_document) if whole else None, is_document=is_document)

    def _verdict(self, is_document: bool) -> bool | None:
        if is_document:
            return False
        trace = self._trace
        enough = trace.chunks >= _ENOUGH_CHUNKS or sum(trace.sizes) >= _ENOUGH_TEXT
        # Among other requests, the wait may be for its turn.
        is_alone = self._server.last_use <= trace.start
        if not enough or self._delay > _OUR_DELAY or trace.looks_buffered is None:
            return None
        if not trace.looks_buffered:
            return True if trace.chunks >= _ENOUGH_CHUNKS else None
        pieces = 1 + sum(gap > _TOGETHER for gap in trace.gaps)
        is_burst = pieces == 1 or pieces * _PER_PIECE <= trace.chunks
        is_late = trace.arrivals[0] - trace.start > _LONG_WAIT
        return False if is_burst and is_late and is_alone else None

    def _beat(self) -> None:
        """Add for how long the event loop was blocked: what came meanwhile is read at once."""
        now = time.perf_counter()
        self._delay += max(0.0, now - self._last_beat - 2 * _BEAT)
        self._last_beat = now
        if self._loop is not None:
            self._timer = self._loop.call_later(_BEAT, self._beat)


def _size(chunk: ChatCompletionChunk) -> int:
    """Characters in a chunk, of the answer or of a thought."""
    if not chunk.choices:
        return 0
    delta = chunk.choices[0].delta
    parts = (delta.content, *(getattr(delta, name, None) for name in _THOUGHTS))
    return sum(len(part) for part in parts if isinstance(part, str))


_THOUGHTS = ("reasoning_content", "reasoning")
