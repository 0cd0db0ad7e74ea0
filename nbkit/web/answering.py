"""A stream of tokens as server-sent events, no more of them at once than the model can take."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from itertools import count

from fastapi import HTTPException, Response
from fastapi.sse import ServerSentEvent

from nbkit.displays.markdown import GrowingMarkdown
from nbkit.language import say
from nbkit.streaming.backpressure import pieces
from nbkit.streaming.errors import StreamError
from nbkit.streaming.stream import TokenStream
from nbkit.web.messages import Data, as_json, done, failed
from nbkit.web.way import Way

UNREAD = 16_384
"""Characters of an answer that may wait for a slow reader before the model's stream is held up."""
RENDERED = 100_000
"""Characters of an answer that are rendered as HTML; the page shows no more than these."""
FRAME = 1 / 30
"""Seconds between two events with HTML: each carries the open block again."""
RETRY_AFTER = 2
"""Seconds after which a client that was turned away may ask again."""

ServerSentEvents = AsyncIterator[ServerSentEvent]


class Answers:
    """The answers being written at this moment: at most `most`, each for at most `seconds`."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._places = 0
        self._running: dict[str, TokenStream] = {}

    def __len__(self) -> int:
        return self._places

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places; HTTP 503 with Retry-After if none is free."""
        if self._places >= self._most:
            raise HTTPException(
                503,
                say(
                    "All {most} places are taken — ask again in {seconds} seconds.",
                    most=self._most,
                    seconds=RETRY_AFTER,
                ),
                {"Retry-After": str(RETRY_AFTER)},
            )
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    @asynccontextmanager
    async def events(
        self, stream: TokenStream, response: Response, *, html: bool
    ) -> AsyncIterator[ServerSentEvents]:
        """The events of one answer; leaving the block ends it at the model.

        The response's header `X-Answer` has the name by which it can be stopped.
        """
        name = response.headers["X-Answer"] = secrets.token_urlsafe(12)
        # A proxy that compresses the events would hold them back; FastAPI adds no-cache.
        response.headers["Cache-Control"] = "no-transform"
        self._running[name] = stream
        limit = asyncio.get_running_loop().call_later(self._seconds, stream.cancel)
        try:
            async with aclosing(_events(stream, html)) as events:
                yield events
        finally:
            limit.cancel()
            del self._running[name]

    def stop(self, name: str) -> None:
        """Stop one, if it is still being written; it still sends its last event."""
        if name in self._running:
            self._running[name].cancel()

    def stop_all(self) -> None:
        """Stop them all."""
        for name in self._running:
            self.stop(name)


async def _events(stream: TokenStream, html: bool) -> AsyncGenerator[ServerSentEvent, None]:
    numbers = count(1)

    def event(name: str, data: Data) -> ServerSentEvent:
        return ServerSentEvent(event=name, raw_data=as_json(data), id=str(next(numbers)))

    rendering, way = _Rendering() if html else None, Way(stream)
    try:
        async with aclosing(pieces(stream, UNREAD)) as arriving:
            async for piece in arriving:
                for name, data in way.news():
                    yield event(name, data)
                if piece and rendering is None:
                    yield event("token", {"text": piece})
                elif piece and rendering is not None:
                    yield event("token", {"text": piece, **rendering.add(piece)})
                    await asyncio.sleep(rendering.pause)
    except StreamError as error:
        yield event("error", failed(error, stream.trace))
    else:
        assert stream.answer is not None
        yield event("done", done(stream.answer))


class _Rendering:
    """An answer's Markdown as safe HTML, piece by piece, at no great cost to the other answers."""

    def __init__(self) -> None:
        self.pause = FRAME
        """Seconds to wait before the next piece is rendered."""
        self._markdown = GrowingMarkdown()
        self._characters = 0

    def add(self, piece: str) -> Data:
        """The HTML that a piece changes; nothing beyond `RENDERED` characters."""
        self._characters += len(piece)
        if self._characters > RENDERED:
            return {}
        started = time.perf_counter()
        before = len(self._markdown.finished)
        self._markdown.add(piece)
        # The open block is rendered again each time: a long one less often.
        self.pause = max(FRAME, 9 * (time.perf_counter() - started))
        return {"finished": self._markdown.finished[before:], "open": self._markdown.open}
