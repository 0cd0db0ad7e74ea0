import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest

from nbkit import stream


async def test_cancelling_a_gather_ends_every_stream_and_keeps_the_partials() -> None:
    """Interrupted in the middle of `gather`, all streams stop, each with what it had."""
    ended = []

    async def words(name: str) -> AsyncIterator[str]:
        try:
            for number in count():
                yield f"{name}{number} "
                await asyncio.sleep(0.001)
        finally:
            ended.append(name)

    streams = [stream(words(name)) for name in "abc"]
    together = asyncio.gather(*streams)
    while not all(one.text for one in streams):
        await asyncio.sleep(0.001)
    together.cancel()
    with pytest.raises(asyncio.CancelledError):
        await together
    for one in streams:
        while one.answer is None:
            await asyncio.sleep(0.001)
    assert all(one.answer and one.answer.stopped and one.answer.text for one in streams)
    assert sorted(ended) == ["a", "b", "c"]
