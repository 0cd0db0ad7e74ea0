"""Batches: memory, overhead, other designs, rate limits, automatic concurrency."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import openai
from llama_index.core.async_utils import run_jobs

from nbkit import connect
from nbkit.batch.pace import Rate
from nbkit.batch.runs import iter_batch, run_batch
from nbkit.models.providers import SimulatedOpenAI

NAP = 0.005
PER_SECOND = 10
"""What the limited server lets through, after the 60 of its bucket."""
LIMITED = 360
SLOTS = 16
ANSWERS = 400
Ask = Callable[[Any], Awaitable[Any]]


async def _nap(item: int) -> int:
    await asyncio.sleep(NAP)
    return item


async def _gather(items: Any, ask: Ask, at_once: int) -> list[Any]:
    places = asyncio.Semaphore(at_once)

    async def one(item: Any) -> Any:
        async with places:
            return await ask(item)

    return await asyncio.gather(*map(one, items))


async def _batch(items: Any, ask: Ask, at_once: int) -> list[Any]:
    return await run_batch(items, ask, max_concurrency=at_once, progress=False)


async def _jobs(items: Any, ask: Ask, at_once: int) -> list[Any]:
    return await run_jobs([ask(item) for item in items], workers=at_once)


async def _request_processor(items: Any, ask: Ask, per_second: float) -> list[Any]:
    """The design of the OpenAI cookbook's parallel processor, written anew from its description.

    One loop looks every millisecond for capacity and starts the next request; what fails goes
    into a queue of retries; after a 429 everything pauses for 15 s.
    """
    waiting = [(item, 5) for item in items]
    retries: list[tuple[Any, int]] = []
    results: list[Any] = []
    capacity, filled, refused = 1.0, time.perf_counter(), 0.0

    async def one(item: Any, left: int) -> None:
        nonlocal refused
        try:
            results.append(await ask(item))
        except Exception as error:  # noqa: BLE001 - that is the design
            if isinstance(error, openai.RateLimitError):
                refused = time.perf_counter()
            if left:
                retries.append((item, left - 1))
            else:
                results.append(error)

    tasks = set()
    while len(results) < len(items):
        now = time.perf_counter()
        capacity, filled = min(60.0, capacity + (now - filled) * per_second), now
        if capacity >= 1 and (retries or waiting):
            capacity -= 1
            tasks.add(asyncio.create_task(one(*(retries or waiting).pop(0))))
        await asyncio.sleep(0.001)
        if refused and now - refused < 15:
            await asyncio.sleep(15 - (now - refused))
    return results


async def _memory() -> None:
    peaks = {}
    for items in (100, 100, 10_000):  # the first warms up
        gc.collect()
        tracemalloc.start()
        async for _ in iter_batch(range(items), _nap, max_concurrency=50):
            pass
        peaks[items] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    print(f"peak of iter_batch, 50 in flight: {peaks[100] / 1024:.0f} kB for 100 items,", end=" ")
    ratio = peaks[10_000] / peaks[100]
    print(f"{peaks[10_000] / 1024:.0f} kB for 10,000: {ratio:.2f} times (goal: at most 1.2)")


async def _timed(work: Awaitable[Any]) -> tuple[float, float]:
    gc.collect()
    start, cpu = time.perf_counter(), time.process_time()
    await work
    return time.perf_counter() - start, time.process_time() - cpu


async def _overhead() -> None:
    for at_once, items in ((1, 300), (5, 1000), (20, 2000), (50, 4000)):
        rounds = []
        for _ in range(5):
            bare, ours = await _timed(_gather(range(items), _nap, at_once)), (0.0, 0.0)
            ours = await _timed(_batch(range(items), _nap, at_once))
            rounds.append((ours[0] / bare[0] - 1, 1e6 * (ours[1] - bare[1]) / items))
        share, cpu = (sorted(column)[2] for column in zip(*rounds, strict=True))
        print(
            f"5 ms tasks, {at_once:2} at once: run_batch takes {100 * share:+.1f} % of the time of "
            f"semaphore and gather, {cpu:+.0f} µs CPU an item (goal: at most 10 %)"
        )


def _model(seed: int, **settings: Any) -> SimulatedOpenAI:
    llm = connect(seed=seed, **settings)
    assert isinstance(llm, SimulatedOpenAI)
    llm.simulator.clear()
    return llm


def _questions(count: int) -> list[str]:
    return [f"What can you do? ({number})" for number in range(count)]


async def _designs() -> None:
    llm = _model(91, ttft=0.2, tokens_per_second=200)
    for name, run in (("gather", _gather), ("run_jobs", _jobs), ("run_batch", _batch)):
        seconds, cpu = await _timed(run(_questions(300), llm.acomplete, 10))
        print(f"{name:12} 300 answers, 10 at once: {seconds:5.1f} s, {cpu:4.1f} s CPU")


async def _limited() -> None:
    """Ask a server that holds 60 requests in its bucket and refills ten a second."""
    known = Rate(requests=60 * PER_SECOND)
    for name, work in (
        ("run_batch, rate known", lambda q, ask: run_batch(q, ask, rate=known, progress=False)),
        ("run_batch, rate unknown", lambda q, ask: _batch(q, ask, 20)),
        ("cookbook's design", lambda q, ask: _request_processor(q, ask, PER_SECOND)),
        ("run_jobs", lambda q, ask: _jobs(q, ask, 20)),
    ):
        llm = _model(92, ttft=0.3, tokens_per_second=200, speed=PER_SECOND, requests_per_minute=60)
        start = time.perf_counter()
        try:
            got = await work(_questions(LIMITED), llm.acomplete)
        except openai.RateLimitError:
            print(f"{name:24} raised at its first refusal, all results lost")
            await asyncio.sleep(6)  # for the bucket
            continue
        seconds = time.perf_counter() - start
        rows = llm.simulator.requests(llm.model)
        wasted = sum(row["http_status"] == 429 for row in rows)
        lost = sum(isinstance(getattr(one, "error", one), Exception) for one in got)
        print(
            f"{name:24} {100 * LIMITED / seconds / PER_SECOND:4.0f} % of the limit "
            f"({100 * (LIMITED - 60) / PER_SECOND / seconds:4.0f} % of all that the bucket gives), "
            f"{lost} lost, {100 * wasted / len(rows):.1f} % wasted"
        )
        await asyncio.sleep(6)


async def _knee() -> None:
    best = 0.0
    for at_once in (8, 12, 16, 24, 32, "auto"):
        llm = _model(93, ttft=0.15, tokens_per_second=200, slots=SLOTS)
        run = run_batch(_questions(ANSWERS), llm.acomplete, max_concurrency=at_once, progress=False)  # type: ignore[arg-type]
        seconds, _ = await _timed(run)
        rate = ANSWERS / seconds
        if at_once != "auto":
            best = max(best, rate)
            print(f"{at_once:4} at once: {rate:5.1f} answers a second")
    print(f"auto: {rate:5.1f} answers a second, {100 * rate / best:.0f} % of the best", end=" ")
    print(f"(goal: 90 %); limits: {[step.limit for step in run.steps]}")


def main() -> None:
    """Print all five."""
    for part in (_memory, _overhead, _designs, _limited, _knee):
        asyncio.run(part())


if __name__ == "__main__":
    main()
