import asyncio
from typing import Any

import httpx
import openai
import pytest

from nbkit.batch.outcome import BatchMisused
from nbkit.batch.pace import Pace, Rate
from nbkit.batch.runs import run_batch
from tests.simulated import simulated

QUESTION = "What can you do?"


@pytest.mark.parametrize(
    "limits", [{}, {"requests": 0}, {"tokens": -1}, {"requests": float("inf")}]
)
def test_a_rate_must_limit_and_let_through(limits: dict[str, float]) -> None:
    """A rate without a limit, or with one that lets nothing through, is refused at once."""
    with pytest.raises(BatchMisused, match="lets nothing through"):
        Rate(**limits)


async def test_requests_start_no_faster_than_the_rate() -> None:
    """No more start than the rate allows, and the burst of one second's worth."""
    pace = Pace(Rate(requests=6000))
    starts = [await pace.turn() for _ in range(130)]
    assert starts[-1] - starts[0] >= 29 / 100


async def test_turns_are_given_in_order() -> None:
    """Whoever asked first starts first."""
    pace = Pace(Rate(requests=6000))
    order = []

    async def take(number: int) -> None:
        await pace.turn()
        order.append(number)

    await asyncio.gather(*(take(number) for number in range(150)))
    assert order == list(range(150))


async def test_a_refusal_stops_everybody() -> None:
    """After a 429 nobody starts before the time the server asked for, however many wait."""
    pace = Pace(None)
    began = await pace.turn()
    pace.refused(began, 0.3)
    starts = await asyncio.gather(*(pace.turn() for _ in range(3)))
    assert min(starts) >= began + 0.3


async def test_tokens_are_paid_for_by_those_after() -> None:
    """What an answer cost beyond a minute's worth, the next ones wait for."""
    pace = Pace(Rate(tokens=6000))
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
    limit = Rate(tokens=2 * cost)
    run = run_batch([QUESTION] * 9, llm.astream_complete, rate=limit, progress=False)
    task = asyncio.ensure_future(run)
    done, _ = await asyncio.wait({task}, timeout=2)
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
    pace = Pace(Rate(tokens=6000))
    with pytest.warns(UserWarning, match="limit the requests instead"):
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
    outcomes, requests = await _against_a_limited_server(100, 30, rate=Rate(requests=1800))
    assert all(outcome.value.text for outcome in outcomes)
    assert len(requests) == 100


async def test_an_unknown_limit_loses_nothing() -> None:
    """Refusals do not use up attempts: every item ends with its answer."""
    outcomes, requests = await _against_a_limited_server(75, 5, attempts=1)
    assert all(outcome.error is None for outcome in outcomes)
    refused = [row for row in requests if row["http_status"] == 429]
    assert len(refused) == sum(outcome.refused for outcome in outcomes) > 0
