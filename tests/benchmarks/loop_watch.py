"""What `nbkit.watch_loop` costs, and how exactly it times a block and names its line.

CPU is process time with a watch less the same without, in turns, over the time that passed: with
the loop idle, and with a stream of 100 chunks a second. The block is a `time.sleep(0.05)` timed by
the code that sleeps.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext

from nbkit import stream
from nbkit.loops import watch_loop

ROUNDS = 7
SECONDS = 3.0
BLOCKS = 40


async def _idle() -> None:
    await asyncio.sleep(SECONDS)


async def _streaming() -> None:
    async def chunks() -> AsyncIterator[str]:
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            await asyncio.sleep(0.01)
            yield "word "

    await stream(chunks())


async def _cpu(work: Callable[[], Awaitable[None]], watched: bool) -> float:
    """Share of one core's time that went into `work`."""
    with watch_loop() if watched else nullcontext():
        began, spent = time.perf_counter(), time.process_time()
        await work()
        return (time.process_time() - spent) / (time.perf_counter() - began)


async def _cost(name: str, work: Callable[[], Awaitable[None]]) -> None:
    added = []
    for _ in range(ROUNDS):
        bare = await _cpu(work, watched=False)
        added.append(await _cpu(work, watched=True) - bare)
    low, high = min(added), max(added)
    print(
        f"CPU added, loop {name:<10} {statistics.median(added):6.2%}   "
        f"({low:.2%} to {high:.2%}; goal: under 1 %)"
    )


async def _precision() -> None:
    errors, named = [], 0
    for _ in range(BLOCKS):
        with watch_loop() as watch:
            await asyncio.sleep(0.03)
            began = time.perf_counter()
            time.sleep(0.05)  # noqa: ASYNC251 - the fault that is to be found
            real = time.perf_counter() - began
            await asyncio.sleep(0.03)
        block = next(block for block in watch.blocks if block.start <= began < block.end)
        errors.append(1000 * (block.seconds - real))
        named += "time.sleep(0.05)" in block.where
    print(
        f"50 ms block, error        {statistics.median(errors):+6.2f} ms "
        f"({min(errors):+.2f} to {max(errors):+.2f}; goal: ± 5 ms)"
    )
    print(f"line named                {named} of {BLOCKS}")


async def _all() -> None:
    await _cost("idle", _idle)
    await _cost("streaming", _streaming)
    await _precision()


def main() -> None:
    """Print cost and precision."""
    asyncio.run(_all())


if __name__ == "__main__":
    main()
