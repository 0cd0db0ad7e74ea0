import asyncio
import heapq
import random
from collections.abc import Callable
from itertools import count, pairwise

import pytest

from nbkit.batch.concurrency import AutoSeats, Seats
from nbkit.batch.run import run_batch
from nbkit.streaming.trace import Trace

Answers = Callable[[int, random.Random], Trace]


def _answer(first: float, tokens: int, draw: random.Random, *, whole: bool) -> Trace:
    begins = first * draw.lognormvariate(0, 0.15)
    end = begins + (tokens - 1) / 32
    return Trace(0, [end if whole else begins, end], [1, 1], end=end, tokens=tokens)


def _mixed(index: int, draw: random.Random, *, whole: bool) -> Trace:
    """Four short answers first, then as many long ones as short ones, and a few in between."""
    tokens = 48 if index < 4 else draw.choice((13, 48, 60, 105, 180, 185, 190, 200))
    return _answer(0.8, tokens, draw, whole=whole)


def _equal(_: int, draw: random.Random) -> Trace:
    return _answer(0.8, 60, draw, whole=True)


def _no_model(_: int, draw: random.Random) -> Trace:
    return Trace(0, end=draw.lognormvariate(0, 0.5))


ANSWERS: dict[str, Answers] = {
    "mixed streams": lambda index, draw: _mixed(index, draw, whole=False),
    "mixed whole answers": lambda index, draw: _mixed(index, draw, whole=True),
    "equal": _equal,
    "no model": _no_model,
}


def _serve(
    seats: Seats, answers: Answers, slots: int | None, items: int = 600, seed: int = 1
) -> tuple[float, list[int]]:
    """Answer items in a time of our own, as a server with so many slots, first come first served.

    Gives the seconds that took, and the limit after each item.
    """
    draw, number = random.Random(seed), count()
    waiting: list[tuple[float, int, Trace]] = []
    served: list[tuple[float, int, float, int, Trace]] = []
    now, limits, started = 0.0, [], 0
    while len(limits) < items:
        while started < items and seats.in_flight < seats.limit:
            waiting.append((now, seats.began(), answers(started, draw)))
            started += 1
        while waiting and (slots is None or len(served) < slots):
            asked, round_, trace = waiting.pop(0)
            end = now + (trace.end or 0)
            heapq.heappush(served, (end, next(number), now - asked, round_, trace))
        now, _, waited, round_, trace = heapq.heappop(served)
        trace.arrivals = [arrival + waited for arrival in trace.arrivals]
        trace.end = (trace.end or 0) + waited
        seats.ended(round_, trace, "answered")
        limits.append(seats.limit)
    return now, limits


def _best(answers: Answers, slots: int, seed: int) -> float:
    sweep = (slots, slots + slots // 2, 2 * slots, 3 * slots)
    return min(_serve(Seats(number), answers, slots, seed=seed)[0] for number in sweep)


@pytest.mark.parametrize("slots", [4, 10, 20])
@pytest.mark.parametrize("kind", ["mixed streams", "mixed whole answers", "equal"])
def test_it_reaches_nine_tenths_of_the_best_fixed_number(kind: str, slots: int) -> None:
    """Whatever lengths the answers have, and whether they are streamed, the knee is found."""
    for seed in range(5):
        seconds, _ = _serve(AutoSeats(), ANSWERS[kind], slots, seed=seed)
        assert seconds <= _best(ANSWERS[kind], slots, seed) / 0.9


@pytest.mark.parametrize("slots", [4, 10])
def test_a_function_without_a_model_is_served_too(slots: int) -> None:
    """With nothing to go by but latencies that differ, most of the throughput is still reached."""
    for seed in range(5):
        seconds, _ = _serve(AutoSeats(), ANSWERS["no model"], slots, seed=seed)
        assert seconds <= _best(ANSWERS["no model"], slots, seed) / 0.85


@pytest.mark.parametrize("kind", ["mixed streams", "mixed whole answers", "equal"])
def test_the_number_stays_near_the_knee(kind: str) -> None:
    """It is not far above the server's places either: a long line helps nobody."""
    _, limits = _serve(AutoSeats(), ANSWERS[kind], 16, items=3000)
    settled = limits[1000:]
    assert 14 <= sum(settled) / len(settled) <= 24
    assert max(settled) <= 2 * 16
    assert min(settled) >= 10


def test_nothing_holds_it_where_there_is_no_line() -> None:
    """A server that takes everybody at once is used by as many as there are."""
    _, limits = _serve(AutoSeats(), ANSWERS["mixed whole answers"], None)
    assert max(limits) >= 160


def test_the_number_follows_a_server_that_slows() -> None:
    """When the server bears less, the number goes down with it."""
    seats = AutoSeats()
    _serve(seats, ANSWERS["mixed streams"], 32, items=2000)
    _, limits = _serve(seats, ANSWERS["mixed streams"], 8, items=2000)
    assert sum(limits[-500:]) / 500 <= 16


def test_answers_that_get_longer_are_no_line() -> None:
    """Short items first, long ones then: a cut that does not shorten the wait is taken back."""

    def longer(index: int, draw: random.Random) -> Trace:
        return Trace(0, end=(0.5 if index < 100 else 3) * draw.lognormvariate(0, 0.1))

    _, limits = _serve(AutoSeats(), longer, None, items=1500)
    assert any(later < earlier for earlier, later in pairwise(limits))
    assert limits[-1] >= max(limits) / 2


def test_an_overload_cuts_at_once_and_once() -> None:
    """A refusal or timeout needs no full round; others of the same burst do not cut again."""
    seats = AutoSeats()
    _serve(seats, ANSWERS["equal"], 16)
    rounds = [seats.began() for _ in range(5)]
    before = seats.limit
    for round_ in rounds:
        seats.ended(round_, Trace(0, end=0.1), "overloaded")
    assert seats.limit == int(before * 0.65)
    assert seats.in_flight == 0


def test_failures_say_nothing_about_the_line() -> None:
    """An error that comes at once is not taken for a quick answer."""
    seats = AutoSeats()
    for _ in range(100):
        rounds = [seats.began() for _ in range(seats.limit)]
        for round_ in rounds:
            seats.ended(round_, Trace(0, end=0.001), "failed")
    assert len(seats.steps) == 1


def test_a_number_not_used_does_not_grow() -> None:
    """Where items come too slowly to fill it, the number stays."""
    seats = AutoSeats()
    for _ in range(100):
        seats.ended(seats.began(), Trace(0, end=1), "answered")
    assert {step.limit for step in seats.steps} == {5}


async def test_the_steps_can_be_read() -> None:
    """The path of the number is on the run, as (time, limit, in flight, latency) in order."""

    async def nap(_: int) -> None:
        await asyncio.sleep(0.001)

    run = run_batch(range(200), nap, max_concurrency="auto", progress=False)
    await run
    assert len(run.steps) >= 3
    times = [step.time for step in run.steps]
    assert times == sorted(times)
    assert (run.steps[0].limit, run.steps[0].latency) == (5, 0)
    assert all(step.limit >= 1 and step.latency > 0 for step in run.steps[1:])
    assert all(step.in_flight >= 1 for step in run.steps)
