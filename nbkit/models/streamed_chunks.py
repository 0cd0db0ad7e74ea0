"""The chunks of one streamed answer, read from its HTTP response."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext

from openai.types.chat import ChatCompletionChunk

from nbkit.models.first_stream import Watched
from nbkit.models.http import httpx
from nbkit.models.replies import ReplyReader

GRACE = 1.5
"""Seconds to wait for usage and the end of the stream after the finish reason."""


class AsyncChunks:
    """Iterates over the chunks of a response; leaving the loop closes the connection.

    Raises the errors of `ReplyReader`.
    """

    def __init__(self, response: httpx.Response, seen: Watched | None = None) -> None:
        self.response = response
        self._seen = seen

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        reader = ReplyReader(self.response.request)
        pieces = self.response.aiter_bytes()
        until = None
        timed = self._seen.timed if self._seen else iter
        try:
            while not reader.done:
                try:
                    async with nullcontext() if until is None else asyncio.timeout_at(until):
                        piece = await anext(pieces, b"")
                except (TimeoutError, httpx.TransportError):
                    if not reader.finished:
                        raise
                    piece = b""
                if not piece:
                    break
                for chunk in timed(reader.feed(piece)):
                    yield chunk
                if reader.finished and until is None:
                    until = asyncio.get_running_loop().time() + GRACE
            for chunk in timed(reader.end()):
                yield chunk
        finally:
            if self._seen:
                self._seen.end(is_whole=reader.finished, is_document=reader.is_document)
            await self.response.aclose()

    async def close(self) -> None:
        """Close the connection."""
        await self.response.aclose()


class Chunks:
    """`AsyncChunks` for blocking callers; waits for the end until the read times out."""

    def __init__(self, response: httpx.Response, seen: Watched | None = None) -> None:
        self.response = response
        self._seen = seen

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        reader = ReplyReader(self.response.request)
        timed = self._seen.timed if self._seen else iter
        try:
            for piece in self.response.iter_bytes():
                yield from timed(reader.feed(piece))
                if reader.done:
                    break
        except httpx.TransportError:
            if not reader.finished:
                raise
        else:
            yield from timed(reader.end())
        finally:
            if self._seen:
                self._seen.end(is_whole=reader.finished, is_document=reader.is_document)
            self.response.close()

    def close(self) -> None:
        """Close the connection."""
        self.response.close()
