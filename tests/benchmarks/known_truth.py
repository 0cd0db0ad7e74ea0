"""Whether measured figures hold the truth: simulated models whose latency is known beforehand.

Each experiment asks one simulated model a handful of questions and states 95 % intervals. What the
model was told to do is known, so it can be counted how often the intervals hold it.
"""

import asyncio
import heapq
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from nbkit import SLO, Experiment, connect, measure
from nbkit.metrics.intervals import Interval
from nbkit.metrics.load_point import LoadPoint
from nbkit.plots.under_load import knee_of

EXPERIMENTS, SWEEPS, AT_ONCE, N = 200, 12, 40, 20
GOAL = 0.93
TTFT, RATE, JITTER, TOKENS = 0.4, 20.0, 0.2, 10
PROMISE, CROWDED_PROMISE = 0.45, 1.3
FAILING, LIMIT = 0.2, 12
PROMPT = """Context information is below.
---------------------
The lamp number {number} weighs {number} grams.
---------------------
Given the context information and not prior knowledge, answer the query.
Query: What does lamp number {number} weigh?
Answer: """
Estimates = dict[str, tuple[float | None, Interval | None]]
_random = np.random.default_rng(0)


def _model(**settings: Any) -> Any:
    defaults = {"ttft": TTFT, "tokens_per_second": RATE, "jitter": JITTER, "speed": 1}
    return connect(**{**defaults, "ttft_per_1k_prompt_tokens": 0, **settings})


async def _measure(model: Any, number: int, **options: Any) -> Experiment:
    questions = [PROMPT.format(number=1000 + (37 * number + place) % 9000) for place in range(N)]
    found = await measure(questions, model, seed=number, progress=False, warmup=0, **options)
    assert {one.trace.tokens for one in found.results if one.error is None} == {TOKENS}
    return found


def _delays(median: float, size: Any) -> Any:
    return median * np.exp(JITTER * _random.standard_normal(size))


def _queued(slots: int, at_once: int) -> Any:
    """The TTFTs of so many customers at so many slots, long after they began."""
    firsts, gaps = _delays(TTFT, 100_000), _delays(1 / RATE, (100_000, TOKENS - 1)).sum(axis=1)
    free, arrivals, waited = [0.0] * slots, [0.0] * at_once, []
    for first, rest in zip(firsts, gaps, strict=True):
        arrived, begin = heapq.heappop(arrivals), heapq.heappop(free)
        begin = max(arrived, begin)
        waited.append(begin - arrived + first)
        heapq.heappush(free, begin + first + rest)
        heapq.heappush(arrivals, begin + first + rest)
    return np.array(waited[at_once:])


async def _alone(number: int) -> Estimates:
    """One request after the other, at a model with room for all."""
    (point,) = (await _measure(_model(seed=number), number)).points
    spreads = {name: point.spread(name) for name in ("ttft", "gaps", "tpot", "end_to_end")}
    found: Estimates = {name: (spread.p50, spread.interval) for name, spread in spreads.items()}
    return found | {"share within the SLO": _share(point, SLO(ttft=PROMISE))}


async def _crowded(number: int) -> Estimates:
    """Four at once, at a model with two slots."""
    (point,) = (await _measure(_model(seed=number, slots=2), number, max_concurrency=4)).points
    spread = point.spread("ttft")
    return {
        "ttft, 4 at once on 2 slots": (spread.p50, spread.interval),
        "share within the SLO, the same": _share(point, SLO(ttft=CROWDED_PROMISE)),
    }


async def _failing(number: int) -> Estimates:
    """A model that fails one request in five, and one that turns away what is above its limit."""
    fast = {"ttft": 0.01, "tokens_per_second": 1000.0, "seed": number}
    failing = await _measure(_model(failure_rate=FAILING, **fast), number)
    limited = await _measure(_model(requests_per_minute=LIMIT, **fast), number)
    return {
        "share answered, 1 in 5 fails": _share(failing.points[0], SLO(end_to_end=60)),
        "share answered, limit of 12": _share(limited.points[0], SLO(end_to_end=60)),
    }


def _share(point: LoadPoint, slo: SLO) -> tuple[float, Interval]:
    kept = point.goodput(slo)
    return kept.share, kept.interval


async def _all(run: Callable[[int], Awaitable[Any]], times: int) -> list[Any]:
    """Run experiments, a number of them at once, begun at different moments."""
    seats = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Any:
        async with seats:
            await asyncio.sleep(number % AT_ONCE * 0.02)
            return await run(number)

    return list(await asyncio.gather(*map(one, range(times))))


async def _knees() -> tuple[int, list[float]]:
    """How many sweeps find the knee at the slots, and throughput at the end / the truth."""

    async def sweep(number: int) -> tuple[bool, float]:
        slots = (2, 4)[number % 2]
        loads = [1, 2, 4, 8]
        model = _model(seed=1000 + number, slots=slots, ttft=TTFT / 2)
        found = await _measure(model, number, max_concurrency=loads)
        knee = knee_of(found.points)
        served = slots / (TTFT / 2 + (TOKENS - 1) / RATE) / np.exp(JITTER**2 / 2)
        return knee is not None and knee.load == slots, found.points[-1].throughput / served

    found = await _all(sweep, SWEEPS)
    return sum(right for right, _ in found), [ratio for _, ratio in found]


def _truths() -> dict[str, float]:
    queued = _queued(2, 4)
    firsts, gaps = _delays(TTFT, 100_000), _delays(1 / RATE, (100_000, TOKENS - 1)).sum(axis=1)
    return {
        "ttft": TTFT,
        "gaps": 1 / RATE,
        "tpot": float(np.median(gaps)) / (TOKENS - 1),
        "end_to_end": float(np.median(firsts + gaps)),
        "share within the SLO": float(np.mean(firsts <= PROMISE)),
        "ttft, 4 at once on 2 slots": float(np.median(queued)),
        "share within the SLO, the same": float(np.mean(queued <= CROWDED_PROMISE)),
        "share answered, 1 in 5 fails": 1 - FAILING,
        "share answered, limit of 12": LIMIT / N,
    }


async def _compare() -> None:
    truths, began = _truths(), time.perf_counter()
    found: dict[str, list[Any]] = defaultdict(list)
    for run in (_alone, _crowded, _failing):
        for estimates in await _all(run, EXPERIMENTS):
            for name, estimate in estimates.items():
                found[name].append(estimate)
    print(f"{'':32}{'truth':>9}{'median estimate':>17}{'interval holds the truth':>28}")
    for name, estimates in found.items():
        truth = truths[name]
        held = sum(truth in interval for _, interval in estimates)
        share = held / len(estimates)
        verdict = "" if share >= GOAL else "   below the goal"
        print(
            f"{name:32}{truth:9.4f}{np.median([middle for middle, _ in estimates]):17.4f}"
            f"{held:11} of {len(estimates)}, {100 * share:.1f} %{verdict}"
        )
    right, ratios = await _knees()
    print(f"knee at the number of slots: {right} of {SWEEPS} sweeps over 1, 2, 4, 8 at once")
    print(f"throughput at 8 at once / slots over mean service time: {np.median(ratios):.3f}")
    print(f"(goal: at least {100 * GOAL:.0f} %; n = {N}; {time.perf_counter() - began:.0f} s)")


def main() -> None:
    """Print how often stated 95 % intervals held what the simulated models were told to do."""
    asyncio.run(_compare())


if __name__ == "__main__":
    main()
