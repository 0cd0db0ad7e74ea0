import asyncio
import math
import selectors
from typing import Any

import httpx
import openai
import pytest

from nbkit.batch.pace import Pace
from nbkit.batch.run import run_batch
from tests.simulated import simulated

QUESTION = "What can you do?"


class _Selector(selectors.DefaultSelector):
    """Does not wait: moves the clock of its loop instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += timeout or 0
        return super().select(0)


class _OwnTime(asyncio.SelectorEventLoop):
    """An event loop whose sleeps take no time: what happens in it is the same each time."""

    def __init__(self) -> None:
        self._own = _Selector()
        super().__init__(self._own)

    def time(self) -> float:
        return self._own.now


async def _refusals(
    items: int, *, bucket: float, per_second: float, latency: float = 0.02, full: bool = True
) -> tuple[float, int]:
    """Five workers against a token bucket that says how many whole seconds to wait.

    Gives the pace as a share of what the bucket gives, and the number of refusals.
    """
    clock, pace = asyncio.get_running_loop().time, Pace()
    level, filled, refusals, left = bucket if full else 0.0, clock(), 0, items

    async def work() -> None:
        nonlocal level, filled, refusals, left
        while left > 0:
            left -= 1
            while True:
                began = await pace.turn()
                await asyncio.sleep(0.002)  # the way there
                level = min(bucket, level + (clock() - filled) * per_second)
                filled = clock()
                if level >= 1:
                    level -= 1
                    break
                refusals += 1
                pace.refused(began, math.ceil((1 - level) / per_second))
            await asyncio.sleep(latency)
            pace.accepted()

    began = clock()
    await asyncio.gather(*(work() for _ in range(5)))
    refilled = items - bucket * full
    return refilled / per_second / (clock() - began), refusals


async def test_without_a_word_from_the_server_waits_double() -> None:
    """A 429 without Retry-After: a second, then twice as long each time nothing passes."""
    pace, waits = Pace(), []
    for _ in range(4):
        began = pace._now()
        pace.refused(max(began, pace._next_start_at), None)
        waits.append(round(pace._next_start_at - began))
    assert waits == [1, 2, 4, 8]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("per_second", "bucket"), [(1 / 3, 20), (1, 60), (10, 60), (100, 600)])
def test_the_pace_of_a_server_is_learned(per_second: float, bucket: int, full: bool) -> None:
    """From refusals alone: less than 2 % of requests refused, and at least 95 % of the limit."""
    with asyncio.Runner(loop_factory=_OwnTime) as runner:
        share, refusals = runner.run(
            _refusals(3000, bucket=bucket, per_second=per_second, full=full)
        )
    assert refusals / (3000 + refusals) < 0.02
    assert share >= 0.95


async def test_requests_start_no_faster_than_the_rate() -> None:
    """No more start than the rate allows, and the burst of one second's worth."""
    pace = Pace(requests_per_minute=6000)
    starts = [await pace.turn() for _ in range(130)]
    assert starts[-1] - starts[0] >= 29 / 100


async def test_turns_are_given_in_order() -> None:
    """Whoever asked first starts first."""
    pace = Pace(requests_per_minute=6000)
    order = []

    async def take(number: int) -> None:
        await pace.turn()
        order.append(number)

    await asyncio.gather(*(take(number) for number in range(150)))
    assert order == list(range(150))


async def test_a_refusal_stops_everybody() -> None:
    """After a 429 nobody starts before the time the server asked for, however many wait."""
    pace = Pace()
    began = await pace.turn()
    pace.refused(began, 0.3)
    starts = await asyncio.gather(*(pace.turn() for _ in range(3)))
    assert min(starts) >= began + 0.3


async def test_tokens_are_paid_for_by_those_after() -> None:
    """What an answer cost beyond a minute's worth, the next ones wait for."""
    pace = Pace(tokens_per_minute=6000)
    await pace.turn()
    pace.spent(7000)
    await pace.turn()  # pays the minute's worth; 1,000 are left, which take 10 s to earn
    waiting = asyncio.ensure_future(pace.turn())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()


async def test_a_batch_pays_for_its_tokens() -> None:
    """Prompt and answer, as the server counts them, are charged to those that follow."""
    llm = simulated(speed=0, seed=82)
    (first,) = await run_batch([QUESTION], llm.astream_complete, progress=False)
    cost = first.trace.tokens + first.trace.prompt_tokens
    ask, limit = llm.astream_complete, 2 * cost
    run = run_batch([QUESTION] * 9, ask, tokens_per_minute=limit, progress=False)
    task = asyncio.ensure_future(run)
    done, _ = await asyncio.wait({task}, timeout=0.7)
    assert not done
    # Five at once are on credit; two of the next are paid for by the minute's worth.
    assert 5 <= len(run.outcomes) <= 7
    task.cancel()
    await asyncio.wait({task})


async def test_a_quota_used_up_holds_nobody_up() -> None:
    """A refusal until tomorrow fails its item at once, and the others go on."""
    request = httpx.Request("POST", "http://model/v1")
    response = httpx.Response(429, headers={"retry-after": "86400"}, request=request)

    async def ask(number: int) -> int:
        if number == 1:
            raise openai.RateLimitError("tomorrow", response=response, body=None)
        await asyncio.sleep(0)
        return number

    async with asyncio.timeout(5):
        outcomes = await run_batch(range(9), ask, max_concurrency=1, progress=False)
    assert [outcome.state for outcome in outcomes].count("done") == 8
    assert (outcomes[1].state, outcomes[1].attempts) == ("failed", 1)


async def test_uncounted_tokens_are_reported() -> None:
    """A token limit that cannot be held, because nobody counts, is said, not ignored."""
    pace = Pace(tokens_per_minute=6000)
    with pytest.warns(UserWarning, match="use requests_per_minute instead"):
        pace.spent(None)


async def _against_a_limited_server(
    items: int, speed: float, **options: Any
) -> tuple[list[Any], list[Any]]:
    """Ask a server that lets 60 requests through at once, then `speed` a second."""
    llm = simulated(requests_per_minute=60, speed=speed, ttft=0, tokens_per_second=2000, seed=81)
    llm.simulator.clear()
    questions = [f"{QUESTION} ({number})" for number in range(items)]
    ask = llm.astream_complete
    outcomes = await run_batch(questions, ask, max_concurrency=20, progress=False, **options)
    return outcomes, llm.simulator.requests(llm.model)


async def test_a_known_limit_is_kept_without_refusals() -> None:
    """At the server's own rate nothing is refused and nothing is lost."""
    outcomes, requests = await _against_a_limited_server(90, 50, requests_per_minute=3000)
    assert all(outcome.value.text for outcome in outcomes)
    assert len(requests) == 90


async def test_an_unknown_limit_loses_nothing() -> None:
    """Refusals do not use up attempts: every item ends with its answer."""
    outcomes, requests = await _against_a_limited_server(70, 3, attempts=1)
    assert all(outcome.error is None for outcome in outcomes)
    refused = [row for row in requests if row["http_status"] == 429]
    assert len(refused) == sum(outcome.refused for outcome in outcomes) > 0
