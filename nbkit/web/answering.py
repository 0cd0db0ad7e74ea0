"""A stream of tokens as server-sent events, no more of them at once than the model can take."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from itertools import count

from fastapi import HTTPException, Response
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel

from nbkit.displays.markdown import GrowingMarkdown
from nbkit.streaming.backpressure import pieces
from nbkit.streaming.errors import StreamError
from nbkit.streaming.stream import TokenStream
from nbkit.web.messages import Done, Failed, RenderedToken, Sources, Token, as_json

UNREAD = 16_384
"""Characters of an answer that may wait for a slow reader before the model's stream is held up."""
RENDERED = 100_000
"""Characters of an answer that are rendered as HTML; the page shows no more than these."""
FRAME = 1 / 30
"""Seconds between two events with HTML: each carries the open block anew."""
RETRY_AFTER = 2
"""Seconds after which a client that was turned away may ask again."""

Events = AsyncIterator[ServerSentEvent]


class Answers:
    """The answers being written at this moment."""

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
                f"All {self._most} places are taken — ask again in {RETRY_AFTER} seconds.",
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
    ) -> AsyncIterator[Events]:
        """Give the events of one answer; whoever leaves the block has ended it at the model.

        The response tells, in `X-Answer`, the name by which it can be stopped.
        """
        name = response.headers["X-Answer"] = secrets.token_urlsafe(12)
        # A proxy that compressed the events would gather them; FastAPI adds no-cache.
        response.headers["Cache-Control"] = "no-transform"
        self._running[name] = stream
        limit = asyncio.get_running_loop().call_later(self._seconds, stream.cancel)
        try:
            async with aclosing(self._told(stream, html)) as events:
                yield events
        finally:
            limit.cancel()
            del self._running[name]

    def stop(self, name: str) -> None:
        """End one, if it is still being written; it still sends its last event."""
        if name in self._running:
            self._running[name].cancel()

    def stop_all(self) -> None:
        """End them all."""
        for name in self._running:
            self.stop(name)

    async def _told(self, stream: TokenStream, html: bool) -> AsyncGenerator[ServerSentEvent, None]:
        numbers = count(1)

        def event(name: str, data: BaseModel) -> ServerSentEvent:
            return ServerSentEvent(event=name, raw_data=as_json(data), id=str(next(numbers)))

        rendering = _Rendering() if html else None
        try:
            async with aclosing(pieces(stream, UNREAD)) as arriving:
                async for piece in arriving:
                    if not piece:
                        yield event("sources", Sources.of(stream.sources))
                    elif rendering is None:
                        yield event("token", Token(text=piece))
                    else:
                        yield event("token", rendering.add(piece))
                        await asyncio.sleep(rendering.rest)
        except StreamError as error:
            yield event("error", Failed.of(error, stream.trace))
        else:
            assert stream.answer is not None
            yield event("done", Done.of(stream.answer))


class _Rendering:
    """An answer's Markdown as safe HTML, piece by piece, at no great cost to the other answers."""

    def __init__(self) -> None:
        self.rest = FRAME
        """Seconds until the next piece is worth its work."""
        self._markdown = GrowingMarkdown()
        self._room = RENDERED

    def add(self, piece: str) -> Token:
        """Give the event for a piece; beyond `RENDERED` characters it has the text alone."""
        self._room -= len(piece)
        if self._room < 0:
            return Token(text=piece)
        started = time.perf_counter()
        before = len(self._markdown.finished)
        self._markdown.add(piece)
        # The open block is rendered anew each time: a long one less often.
        self.rest = max(FRAME, 9 * (time.perf_counter() - started))
        finished = self._markdown.finished[before:]
        return RenderedToken(text=piece, finished=finished, open=self._markdown.open)
