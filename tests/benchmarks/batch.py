"""Batches: memory, overhead, other designs, rate limits, automatic concurrency, storm, kill -9."""

import asyncio
import gc
import time
import tracemalloc
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import openai
from llama_index.core.async_utils import run_jobs

from nbkit import connect, load_index
from nbkit.batch.run import iter_batch, run_batch
from nbkit.corpus import load_questions
from nbkit.models.providers import SimulatedOpenAI
from tests.test_batch_survives import finish, kill_and_resume, start, stormy_server

NAP = 0.005
PER_SECOND = 40
"""What the limited server lets through, after the 60 of its bucket."""
LIMITED = 1_200
"""Half a minute: a rate that nobody knows costs a wait or two at the start."""
PLACES = ((4, 120, 40), (10, 220, 20), (20, 400, 10))
"""Places of a server, items asked of it, speed: some thirty answers a second are worth measuring
before this machine's processor is what limits."""
Ask = Callable[[Any], Awaitable[Any]]
Goals = list[tuple[str, str, str, bool]]
"""What is measured, the goal, the figure, and whether it is met."""


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


async def _memory() -> Goals:
    peaks = {}
    for items in (100, 100, 10_000):  # the first warms up
        gc.collect()
        tracemalloc.start()
        async for _ in iter_batch(range(items), _nap, max_concurrency=50):
            pass
        peaks[items] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    ratio = peaks[10_000] / peaks[100]
    what = f"iter_batch, peak of 10,000 items / 100 ({peaks[100] / 1024:.0f} kB)"
    return [(what, "≤ 1.2", f"{ratio:.2f}", ratio <= 1.2)]


async def _timed(work: Awaitable[Any]) -> tuple[float, float]:
    gc.collect()
    start, cpu = time.perf_counter(), time.process_time()
    await work
    return time.perf_counter() - start, time.process_time() - cpu


async def _overhead() -> Goals:
    goals = []
    for at_once, items in ((1, 100), (5, 1000), (20, 2000), (50, 4000)):
        rounds = []
        for _ in range(5):
            bare = await _timed(_gather(range(items), _nap, at_once))
            ours = await _timed(_batch(range(items), _nap, at_once))
            rounds.append((100 * (ours[0] / bare[0] - 1), 1e6 * (ours[1] - bare[1]) / items))
        share, cpu = map(median, zip(*rounds, strict=True))
        what = f"5 ms tasks, {at_once} at once: over semaphore + gather"
        goals.append((what, "≤ +10 %", f"{share:+.1f} %, {cpu:+.0f} µs CPU", share <= 10))
    return goals


def _model(seed: int, **settings: Any) -> SimulatedOpenAI:
    llm = connect(seed=seed, **settings)
    assert isinstance(llm, SimulatedOpenAI)
    llm.simulator.clear()
    return llm


def _questions(count: int) -> list[str]:
    return [f"What can you do? ({number})" for number in range(count)]


async def _designs() -> Goals:
    """Ask a server with ten places, so that no design is ahead by asking more at once."""
    llm = _model(91, ttft=0.2, tokens_per_second=200, slots=10, speed=2)
    questions, took = _questions(150), {}
    for _ in range(2):  # the first warms up
        for name, work in (
            ("gather", lambda: _gather(questions, llm.acomplete, 10)),
            ("run_jobs", lambda: _jobs(questions, llm.acomplete, 10)),
            ("cookbook's design", lambda: _request_processor(questions, llm.acomplete, 1e6)),
            ("run_batch", lambda: _batch(questions, llm.acomplete, 10)),
        ):
            took[name] = await _timed(work())
    seconds, cpu = took.pop("run_batch")
    return [
        (
            f"150 answers, ten places: over {name}",
            "≤ +10 %",
            f"{100 * (seconds / other - 1):+.1f} %, CPU {100 * (cpu / its_cpu - 1):+.0f} %",
            seconds / other <= 1.1,
        )
        for name, (other, its_cpu) in took.items()
    ]


async def _limited() -> Goals:
    """Ask a server that holds 60 requests in its bucket and refills forty a second.

    Throughput is that of the requests beyond those that may go at once: a bucketful where nobody
    knows the rate, a second's worth where the batch is told it.
    """
    goals: Goals = []
    known: dict[str, Any] = {"requests_per_minute": 60 * PER_SECOND, "progress": False}
    for name, free, work in (
        ("rate known", PER_SECOND, lambda q, ask: run_batch(q, ask, **known)),
        ("rate unknown", 60, lambda q, ask: _batch(q, ask, 10)),
        ("rate unknown, auto", 60, lambda q, ask: _batch(q, ask, "auto")),  # type: ignore[arg-type]
        ("cookbook's design", 0, lambda q, ask: _request_processor(q, ask, PER_SECOND)),
        ("run_jobs", 0, lambda q, ask: _jobs(q, ask, 10)),
    ):
        llm = _model(92, ttft=0.3, tokens_per_second=200, speed=PER_SECOND, requests_per_minute=60)
        goal = "≥ 95 %, 0, < 2 %" if free else "-"
        start = time.perf_counter()
        try:
            got = await work(_questions(LIMITED), llm.acomplete)
        except openai.RateLimitError:
            figure = "raised at its first refusal, all results lost"
            goals.append((f"limited server, {name}", goal, figure, True))
            continue
        share = (LIMITED - free) / (time.perf_counter() - start) / PER_SECOND
        rows = llm.simulator.requests(llm.model)
        wasted = sum(row["http_status"] == 429 for row in rows) / len(rows)
        lost = sum(isinstance(getattr(one, "error", one), Exception) for one in got)
        figure = f"{100 * share:.0f} %, {lost} lost, {100 * wasted:.1f} % wasted"
        met = not free or (share >= 0.95 and lost == 0 and wasted < 0.02)
        goals.append((f"limited server, {name}", goal, figure, met))
        await asyncio.sleep(60 / PER_SECOND)  # for the bucket
    return goals


async def _knee() -> Goals:
    """Ask the handbook's sixty questions, whose answers have 13 to 203 tokens."""
    index, goals = load_index("en"), []
    rows = [row.question for row in load_questions("en")]
    for places, items, speed in PLACES:
        questions = [rows[number % len(rows)] for number in range(items)]
        for streaming in (True, False):
            llm = _model(93, slots=places, speed=speed)
            ask = index.as_query_engine(llm=llm, streaming=streaming).aquery
            await _batch(rows[:5], ask, 5)  # warms up
            took = {}
            for at_once in (places, 2 * places, "auto"):
                run = run_batch(questions, ask, max_concurrency=at_once, progress=False)  # type: ignore[arg-type]
                took[at_once], _ = await _timed(run)
            auto = took.pop("auto")
            best = min(took, key=lambda number: took[number])
            what = f"auto, {places} places, {'streams' if streaming else 'whole answers'}"
            figure = (
                f"{100 * took[best] / auto:.0f} % ({items / auto:.1f} a second; "
                f"{best} at once: {items / took[best]:.1f})"
            )
            goals.append((what, "≥ 90 % of best fixed", figure, took[best] / auto >= 0.9))
    return goals


async def _storm() -> Goals:
    with stormy_server() as server, TemporaryDirectory() as folder:
        counts, *_ = finish(start(server, Path(folder), 1000, 1))
    ended, honest, good, _ = map(int, counts.split())
    figure = f"{good} values, {ended - good} errors"
    what = "storm: 20 % 5xx, 10 % cut, 5 % stalls, 429"
    return [(what, "1,000 ends", figure, ended == honest == 1000)]


async def _killed() -> Goals:
    with stormy_server() as server, TemporaryDirectory() as folder:
        done = kill_and_resume(server, Path(folder), 400, 10)
    figure = f"0 lost, 0 asked again, {len(done)} of 400 have values"
    return [("kill -9 at ten moments, resumed", "0, 0", figure, True)]


def main() -> None:
    """Print one table, a part after the other."""
    # What run_jobs leaves behind when it raises.
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    print(f"{'':52} {'goal':22} measured")
    for part in (_memory, _overhead, _designs, _limited, _knee, _storm, _killed):
        for what, goal, figure, met in asyncio.run(part()):
            print(f"{what:52} {goal:22} {figure}{'' if met else '   MISSED'}", flush=True)


if __name__ == "__main__":
    main()
