"""The chunks of one streamed answer, read off its HTTP response."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from openai.types.chat import ChatCompletionChunk

from nbkit.models.http import httpx
from nbkit.models.replies import ReplyReader

GRACE = 1.5
"""Seconds that a server has, after its finish reason, to send usage and end the stream."""


class AsyncChunks:
    """Iterates over the chunks of a response; leaving the loop closes the connection.

    Raises as `ReplyReader` does.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.response = response

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        reader = ReplyReader(self.response.request)
        pieces = self.response.aiter_bytes()
        until = None
        try:
            while not reader.done and (piece := await _next(pieces, until)) is not None:
                for chunk in reader.feed(piece):
                    yield chunk
                if reader.finished and until is None:
                    until = asyncio.get_running_loop().time() + GRACE
            for chunk in reader.end():
                yield chunk
        finally:
            await self.response.aclose()

    async def close(self) -> None:
        """Close the connection."""
        await self.response.aclose()


async def _next(pieces: AsyncIterator[bytes], until: float | None) -> bytes | None:
    """The next bytes, or `None` at the end; with `until` whatever is wrong is the end."""
    if until is None:
        return await anext(pieces, None)
    try:
        async with asyncio.timeout_at(until):
            return await anext(pieces, None)
    except (TimeoutError, httpx.TransportError):
        return None


class Chunks:
    """`AsyncChunks` for callers that block."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        reader = ReplyReader(self.response.request)
        pieces = self.response.iter_bytes()
        hang_up = threading.Timer(GRACE, _hang_up, (self.response,))
        hang_up.daemon = True
        try:
            while not reader.done:
                try:
                    piece = next(pieces, None)
                except (httpx.TransportError, OSError):
                    if not reader.finished:
                        raise
                    break
                if piece is None:
                    break
                yield from reader.feed(piece)
                if reader.finished and hang_up.ident is None:
                    hang_up.start()
            yield from reader.end()
        finally:
            hang_up.cancel()
            self.response.close()

    def close(self) -> None:
        """Close the connection."""
        self.response.close()


def _hang_up(response: httpx.Response) -> None:
    """End a read that waits in another thread, which closing the response would not."""
    stream = response.extensions.get("network_stream")
    waiting = stream.get_extra_info("socket") if stream is not None else None
    if isinstance(waiting, socket.socket):
        with suppress(OSError):
            waiting.shutdown(socket.SHUT_RDWR)
