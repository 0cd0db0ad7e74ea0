"""Backpressure: read a stream for a slow reader with a limited buffer."""

import asyncio
from collections.abc import AsyncGenerator

from nbkit.streaming.stream import TokenStream


async def pieces(stream: TokenStream, most: int) -> AsyncGenerator[str, None]:
    """Yield a stream in pieces: each is all the text that arrived since the piece before.

    The first is empty, and comes as soon as the stream's `sources` are known; others are empty if
    only thoughts have arrived, or an agent has done a step. While `most` or more
    characters are waiting to be taken, nothing is read from the source.

    Raises what the stream raises. Close it (`contextlib.aclosing`) to stop generation early.
    """
    unread: list[str] = []
    news, demand = asyncio.Event(), asyncio.Event()
    waiting, progress = 0, False

    def on_chunk(chunk: str) -> None:
        nonlocal waiting
        unread.append(chunk)
        waiting += len(chunk)
        if waiting >= most:
            demand.clear()
        news.set()

    def on_progress(_thought: str) -> None:
        nonlocal progress
        progress = True
        news.set()

    demand.set()
    stream.demand, stream.on_progress = demand, on_progress
    reading = asyncio.create_task(stream.follow(on_chunk))
    reading.add_done_callback(lambda _: news.set())
    opening = asyncio.create_task(stream.opened.wait())
    try:
        await asyncio.wait({reading, opening}, return_when=asyncio.FIRST_COMPLETED)
        if stream.opened.is_set():
            yield ""
        while unread or progress or not reading.done():
            if not unread and not progress:
                news.clear()
                await news.wait()
                continue
            piece = "".join(unread)
            unread.clear()
            waiting, progress = 0, False
            demand.set()
            yield piece
    finally:
        opening.cancel()
        reading.cancel()
        await asyncio.wait({reading, opening})
    await reading
