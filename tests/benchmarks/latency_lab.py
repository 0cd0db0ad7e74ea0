"""What measuring costs: `nbkit.measure` beside a bare loop over the same streams.

The server (of its own process) answers word by word. At one request at a time the median TTFT
tells what is added; at 200 at once the loop is busy all the time, so throughput tells. Ways take
turns, so that a noisy machine is noisy to all.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from nbkit import measure, stream
from nbkit.models.providers import compatible_llm
from tests import wire

GOAL_TTFT, GOAL_THROUGHPUT = 0.001, 0.02
ALONE, ALONE_ROUNDS = 60, 5
STREAMS, CROWD, CROWD_ROUNDS = 200, 400, 5
QUESTIONS = [f"question {number}" for number in range(CROWD)]

Way = Callable[[Any, list[str], int], Awaitable[list[float]]]
"""Asks questions, so many at once; gives TTFTs."""


async def _bare_client(llm: Any, question: str) -> float:
    start, first = time.perf_counter(), 0.0
    async for part in await llm.astream_complete(question):
        if part.delta and not first:
            first = time.perf_counter()
    return first - start


async def _bare_stream(llm: Any, question: str) -> float:
    return (await stream(llm.astream_complete(question))).trace.ttft or 0.0


def _loop(ask: Callable[[Any, str], Awaitable[float]]) -> Way:
    async def way(llm: Any, questions: list[str], at_once: int) -> list[float]:
        waiting, found = deque(questions), []

        async def worker() -> None:
            while waiting:
                found.append(await ask(llm, waiting.popleft()))

        await asyncio.gather(*(worker() for _ in range(at_once)))
        return found

    return way


async def _measured(llm: Any, questions: list[str], at_once: int) -> list[float]:
    options = {"requests": len(questions), "warmup": 0, "progress": False}
    experiment = await measure(questions, llm, max_concurrency=at_once, **options)
    assert not experiment.failures
    return [one.trace.ttft or 0.0 for one in experiment.results]


WAYS: dict[str, Way] = {
    "the client, by hand": _loop(_bare_client),
    "nbkit.stream, by hand": _loop(_bare_stream),
    "nbkit.measure": _measured,
}


async def _turns(
    llm: Any, questions: list[str], at_once: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """Give by way the median TTFT in seconds, and the median rate in answers a second."""
    firsts: dict[str, list[float]] = {name: [] for name in WAYS}
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(rounds):
        names = list(WAYS)
        for name in names[turn % 3 :] + names[: turn % 3]:
            gc.collect()
            start = time.perf_counter()
            firsts[name] += await WAYS[name](llm, questions, at_once)
            rates[name].append(len(questions) / (time.perf_counter() - start))
    return {name: (median(firsts[name]), median(rates[name])) for name in WAYS}


async def _compare() -> None:
    alone = {}
    for gap, questions, at_once, rounds in (
        (0.0, QUESTIONS[:ALONE], 1, ALONE_ROUNDS),
        (0.05, QUESTIONS, STREAMS, CROWD_ROUNDS),
    ):
        with wire.beside(gap) as base_url:
            llm = compatible_llm(base_url, "wire", "none", context_window=32_768)
            await _turns(llm, questions[:ALONE], at_once, 1)  # warm up
            alone[at_once] = await _turns(llm, questions, at_once, rounds)
    print(f"{'':26}{'TTFT ms, 1 at once':>20}{f'answers/s, {STREAMS} at once':>26}")
    for name in WAYS:
        print(f"{name:26}{1000 * alone[1][name][0]:20.3f}{alone[STREAMS][name][1]:26.1f}")
    for other in list(WAYS)[:2]:
        added = alone[1]["nbkit.measure"][0] - alone[1][other][0]
        lost = 1 - alone[STREAMS]["nbkit.measure"][1] / alone[STREAMS][other][1]
        print(f"against {other}: {1000 * added:+.3f} ms to TTFT, {100 * lost:+.1f} % of throughput")
    print(
        f"(goal, against nbkit.stream: at most {1000 * GOAL_TTFT:.0f} ms and "
        f"{100 * GOAL_THROUGHPUT:.0f} %)"
    )


def main() -> None:
    """Print TTFT and throughput of bare loops and of `measure`, and what it adds."""
    asyncio.run(_compare())


if __name__ == "__main__":
    main()
