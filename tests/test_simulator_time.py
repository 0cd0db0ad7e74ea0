"""When the simulated model speaks: delays, queues, limits, changes while it writes."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import openai
import pytest

from nbkit.models import ProfileError
from nbkit.simulator import PROFILES, Simulator
from nbkit.simulator.pacing import Profile, draws, fingerprint
from tests.simulated import QUESTION, wait_for


def test_first_token_and_gaps(
    client: openai.OpenAI, model: Callable[..., str], simulator: Simulator
) -> None:
    """The server's own clock shows the delays asked for."""
    name = model(speed=1, ttft=0.2, ttft_per_1k_prompt_tokens=0, tokens_per_second=200, jitter=0)
    client.chat.completions.create(model=name, messages=QUESTION, max_tokens=41)
    row = simulator.requests(name)[0]
    assert row["first_token"] - row["started"] == pytest.approx(0.2, abs=0.03)
    assert row["last_token"] - row["first_token"] == pytest.approx(40 / 200, abs=0.03)


def test_prompt_costs_time() -> None:
    """Each thousand prompt tokens adds its share to the first token."""
    profile = Profile("p", "a test", ttft=0.5, ttft_per_1k_prompt_tokens=2, jitter=0)
    assert profile.first_token(1500, 0.0) == pytest.approx(3.5)


def test_speed_divides_every_delay() -> None:
    """Twice the speed is half the wait; speed 0 is none."""
    profile = Profile("p", "a test")
    for speed, share in ((2, 0.5), (0, 0.0)):
        faster = profile.change({"speed": speed})
        assert faster.first_token(100, 0.3) == pytest.approx(share * profile.first_token(100, 0.3))
        assert faster.gap(-1.0) == pytest.approx(share * profile.gap(-1.0))


def test_medians_are_what_is_stated() -> None:
    """Jitter spreads the gaps without moving their median."""
    profile, random = Profile("p", "a test", tokens_per_second=20, jitter=0.5), draws("x", 0)
    gaps = [profile.gap(random.gauss(0, 1)) for _ in range(4001)]
    assert median(gaps) == pytest.approx(1 / 20, rel=0.03)
    assert max(gaps) > 2 * median(gaps)


def test_same_request_same_seed_same_timing(
    client: openai.OpenAI, model: Callable[..., str], simulator: Simulator
) -> None:
    """Delays follow from request and seed alone, whatever the model is called."""
    body = {"model": "any", "messages": QUESTION, "stream": True}
    for seed in (1, 2, 1):
        settings = {"speed": 1, "ttft": 0.05, "jitter": 0.9, "seed": seed}
        name = model(**settings, tokens_per_second=1e6)
        client.chat.completions.create(model=name, messages=QUESTION)
        row = simulator.requests(name)[0]
        draw = draws(fingerprint(body), seed).gauss(0, 1)
        planned = Profile("p", "a test").change(settings).first_token(row["prompt_tokens"], draw)
        assert row["first_token"] - row["started"] == pytest.approx(planned, abs=0.02)


def test_seeds_differ() -> None:
    """Another seed, or another question, gives other delays."""
    one, other = fingerprint({"messages": ["a"]}), fingerprint({"messages": ["b"]})
    assert draws(one, 1).random() == draws(one, 1).random()
    assert len({draws(one, 1).random(), draws(one, 2).random(), draws(other, 1).random()}) == 3


async def test_slots_queue(model: Callable[..., str], simulator: Simulator) -> None:
    """With two places, a third request starts only when one of the first has ended."""
    name = model(speed=1, ttft=0.1, tokens_per_second=1e6, jitter=0, slots=2)
    async with openai.AsyncOpenAI(
        api_key=simulator.api_key, base_url=simulator.base_url, max_retries=0
    ) as client:
        await asyncio.gather(
            *(client.chat.completions.create(model=name, messages=QUESTION) for _ in range(6))
        )
    rows = simulator.requests(name)
    # Who comes first is up to the sockets: what counts is how many run at once.
    started = sorted(row["started"] for row in rows)
    for row in rows:
        running = [r for r in rows if r["started"] <= row["started"] < r["ended"]]
        assert len(running) <= 2
    assert started[4] - started[0] > 0.19


async def test_leaving_the_queue(model: Callable[..., str], simulator: Simulator) -> None:
    """A client that gives up while queued gives up its place in the queue, and only that."""
    name = model(speed=1, ttft=30, slots=1)
    async with openai.AsyncOpenAI(
        api_key=simulator.api_key, base_url=simulator.base_url, max_retries=0
    ) as client:
        tasks = []
        for n in range(3):
            ask = client.chat.completions.create(model=name, messages=QUESTION)
            tasks.append(asyncio.create_task(ask))
            await until(lambda n=n: len(simulator.requests(name)) == n + 1)  # type: ignore[misc]
        tasks[1].cancel()
        await until(lambda: simulator.requests(name)[1]["status"] == "cancelled")
        simulator.set(name, speed=0)
        await tasks[2]
        await tasks[0]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition without blocking the loop."""
    await asyncio.to_thread(wait_for, condition)


def test_request_limit(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """Beyond its requests per minute a model answers 429 and says when to come back."""
    name = model(speed=1, ttft=0, tokens_per_second=1e6, requests_per_minute=3)
    for _ in range(3):
        client.chat.completions.create(model=name, messages=QUESTION)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=name, messages=QUESTION)
    assert caught.value.code == "rate_limit_exceeded"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 20


def test_retry_after_is_enough(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """Coming back after Retry-After gets an answer."""
    name = model(speed=1, ttft=0, tokens_per_second=1e6, requests_per_minute=60)
    with pytest.raises(openai.RateLimitError) as caught:
        for _ in range(70):
            client.chat.completions.create(model=name, messages=QUESTION)
    time.sleep(int(caught.value.response.headers["retry-after"]))
    client.chat.completions.create(model=name, messages=QUESTION)


def test_token_limit(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """Tokens per minute are limited too; a request larger than the limit never fits."""
    with pytest.raises(openai.RateLimitError, match="too large"):
        client.chat.completions.create(model=model(speed=1, tokens_per_minute=5), messages=QUESTION)


def test_live_change(
    client: openai.OpenAI, model: Callable[..., str], simulator: Simulator
) -> None:
    """A change of speed applies to the tokens not yet sent."""
    name = model(speed=1, ttft=0, tokens_per_second=0.02, jitter=0)
    chunks = client.chat.completions.create(model=name, messages=QUESTION, stream=True)
    next(c for c in chunks if c.choices[0].delta.content)
    simulator.set(name, tokens_per_second=1e5)
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) > 10


def test_slots_added_live(
    client: openai.OpenAI, model: Callable[..., str], simulator: Simulator
) -> None:
    """More places let in those who wait."""
    name = model(speed=1, ttft=0, tokens_per_second=0.02, jitter=0, slots=1)
    first = client.chat.completions.create(model=name, messages=QUESTION, stream=True)
    command = [sys.executable, "-c", _ASK, simulator.base_url, simulator.api_key, name]
    second = subprocess.Popen(command)
    wait_for(lambda: [r["status"] for r in simulator.requests(name)] == ["streaming", "queued"], 15)
    simulator.set(name, slots=2, speed=0)
    assert second.wait(10) == 0
    first.close()


_ASK = """
import sys, httpx
url, key, model = sys.argv[1:]
httpx.post(url + "/chat/completions", headers={"Authorization": "Bearer " + key}, timeout=30,
    json={"model": model, "messages": [{"role": "user", "content": "x"}]}, trust_env=False
).raise_for_status()
"""


def test_bad_settings(simulator: Simulator, model: Callable[..., str]) -> None:
    """Unknown settings and impossible values are refused, with what would be right."""
    name = model()
    with pytest.raises(ProfileError, match="choose from: ttft,"):
        simulator.set(name, latency=1)
    with pytest.raises(ProfileError, match="a number, 0 or more"):
        simulator.set(name, ttft=-1)
    assert simulator.profile(name)["ttft"] == PROFILES["default"].ttft


def test_stats_and_clear(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """Totals add up, and clearing forgets what has ended."""
    own = Simulator()
    try:
        own.set("m", speed=0)
        with openai.OpenAI(api_key=own.api_key, base_url=own.base_url, max_retries=0) as mine:
            mine.chat.completions.create(model="m", messages=QUESTION)
            with pytest.raises(openai.NotFoundError):
                mine.chat.completions.create(model="none", messages=QUESTION)
        stats = own.stats()
        assert stats["total"] == 2
        assert stats["ended"] == {"done": 1, "cut": 0, "cancelled": 0, "failed": 1}
        own.clear()
        assert own.requests() == []
        assert own.stats()["total"] == 0
    finally:
        own.stop()


def test_disconnect_ends_generation(
    client: openai.OpenAI, model: Callable[..., str], simulator: Simulator
) -> None:
    """A client that goes away ends its answer; the record says how far it got."""
    name = model(speed=1, ttft=0, tokens_per_second=20, jitter=0)
    with client.chat.completions.create(model=name, messages=QUESTION, stream=True) as chunks:
        seen = 0
        for chunk in chunks:
            seen += bool(chunk.choices[0].delta.content)
            if seen == 4:
                break
    wait_for(lambda: simulator.requests(name)[0]["status"] == "cancelled")
    assert simulator.requests(name)[0]["tokens_sent"] - seen in (0, 1)


def test_key_is_hidden(simulator: Simulator) -> None:
    """The key is in no repr and not on the command line."""
    assert simulator.api_key not in repr(simulator)
    if sys.platform == "linux":
        for what in ("cmdline", "environ"):
            with open(f"/proc/{simulator.pid}/{what}", "rb") as file:  # noqa: PTH123
                assert simulator.api_key.encode() not in file.read()
