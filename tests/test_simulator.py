"""The simulated model as its clients meet it: real process, real sockets, real openai client."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from statistics import median
from typing import Any

import httpx
import openai
import pytest

from nbkit.models import NoServerError, ProfileError, SimulatorError
from nbkit.models.simulator import PROFILES, Simulator, current, tokenize
from nbkit.models.simulator.answers import answer
from nbkit.models.simulator.pacing import Profile, draws, fingerprint
from nbkit.models.simulator.prompts import Message

QUESTION: list[Any] = [{"role": "user", "content": "What can you do?"}]
_numbers = count()


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """One server for all tests; each test has models of its own."""
    running = Simulator()
    yield running
    running.stop()


@pytest.fixture
def model(simulator: Simulator) -> Callable[..., str]:
    """Make a model with the settings given, everything else without waiting."""

    def make(**settings: Any) -> str:
        name = f"m{next(_numbers)}"
        simulator.set(name, **{"speed": 0, **settings})
        return name

    return make


@pytest.fixture(scope="module")
def client(simulator: Simulator) -> Iterator[openai.OpenAI]:
    """Give the real openai client, without retries."""
    with openai.OpenAI(
        api_key=simulator.api_key, base_url=simulator.base_url, max_retries=0
    ) as made:
        yield made


def wait_for(condition: Callable[[], bool], timeout: float = 5) -> None:
    """Look every 10 ms until a condition holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)


def raw(simulator: Simulator, model: str, **body: Any) -> tuple[httpx.Response, list[Any]]:
    """Post a streaming request and give the response with its data lines, parsed."""
    response = httpx.post(
        f"{simulator.base_url}/chat/completions",
        headers={"Authorization": f"Bearer {simulator.api_key}"},
        json={"model": model, "messages": QUESTION, "stream": True, **body},
        trust_env=False,
    )
    lines = [x.removeprefix("data: ") for x in response.text.split("\n\n") if x]
    return response, [x if x == "[DONE]" else json.loads(x) for x in lines]


# --- wire


def test_plain_answer(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """A plain request is answered with one message, its finish reason and its usage."""
    name = model()
    done = client.chat.completions.create(model=name, messages=QUESTION)
    text = done.choices[0].message.content or ""
    assert "simulated model" in text
    assert done.choices[0].finish_reason == "stop"
    assert done.usage is not None
    assert done.usage.completion_tokens == len(tokenize(text))
    assert done.model == name


def test_stream_shape(simulator: Simulator, model: Callable[..., str]) -> None:
    """A stream is a role chunk, one chunk a token, a finish chunk, usage, and [DONE]."""
    response, events = raw(simulator, model(), stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    opening, *tokens, closing, usage, end = events
    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert closing["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == len(tokens)
    assert end == "[DONE]"
    said = [event["choices"][0]["delta"]["content"] for event in tokens]
    assert said == tokenize("".join(said))


def test_stream_without_usage(simulator: Simulator, model: Callable[..., str]) -> None:
    """Without include_usage there is no usage chunk."""
    _, events = raw(simulator, model())
    assert all(event["choices"] for event in events[:-1])


def test_plain_and_streamed_say_the_same(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """The two ways of asking give one text."""
    name = model()
    plain = client.chat.completions.create(model=name, messages=QUESTION)
    chunks = client.chat.completions.create(model=name, messages=QUESTION, stream=True)
    streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert streamed == plain.choices[0].message.content


def test_text_completions(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """The older completions path works as well, streamed or not."""
    name = model()
    plain = client.completions.create(model=name, prompt="Hello?")
    chunks = client.completions.create(model=name, prompt="Hello?", stream=True)
    assert "".join(c.choices[0].text for c in chunks) == plain.choices[0].text != ""


def test_max_tokens(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """A length limit cuts the answer and says so, under both of its names."""
    for name in ("max_tokens", "max_completion_tokens"):
        limit: dict[str, Any] = {name: 5}
        done = client.chat.completions.create(model=model(), messages=QUESTION, **limit)
        assert done.choices[0].finish_reason == "length"
        assert done.usage is not None
        assert done.usage.completion_tokens == 5


def test_models_are_listed(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """A registered model appears in /v1/models."""
    name = model()
    assert name in [row.id for row in client.models.list()]


def test_wrong_key(simulator: Simulator, model: Callable[..., str]) -> None:
    """Another key is refused with 401, on the control paths too, and not repeated back."""
    stranger = openai.OpenAI(api_key="sk-wrong", base_url=simulator.base_url, max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        stranger.chat.completions.create(model=model(), messages=QUESTION)
    assert "sk-wrong" not in str(caught.value)
    control = simulator.base_url.replace("/v1", "/simulator/stats")
    assert httpx.get(control, trust_env=False).status_code == 401


def test_unknown_model(client: openai.OpenAI) -> None:
    """An unknown model is 404, by name."""
    with pytest.raises(openai.NotFoundError, match="gpt-nothing"):
        client.chat.completions.create(model="gpt-nothing", messages=QUESTION)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"model": ', "parse the JSON"),
        ("[]", "JSON object"),
        ('{"model": "M"}', "'messages'"),
        ('{"model": "M", "messages": []}', "'messages'"),
        ('{"model": "M", "messages": ["hi"]}', "'role'"),
        ('{"model": "M", "messages": [{"role": "user", "content": "a"}], "n": 2}', "n must be 1"),
    ],
)
def test_bad_requests(
    simulator: Simulator, model: Callable[..., str], body: str, says: str
) -> None:
    """A request that makes no sense is 400 in OpenAI's shape, and says why."""
    response = httpx.post(
        f"{simulator.base_url}/chat/completions",
        headers={"Authorization": f"Bearer {simulator.api_key}"},
        content=body.replace('"M"', json.dumps(model())),
        trust_env=False,
    )
    assert response.status_code == 400
    assert says in response.json()["error"]["message"]


def test_context_too_long(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """A prompt beyond the context window is refused with OpenAI's code for it."""
    long: list[Any] = [{"role": "user", "content": "word " * 300}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model(context_window=256), messages=long)
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    "text", ["Two words.\n\n- it's 3.5 % off", "产品的价格是 399 元。", "🙂é", ""]
)
def test_tokens_join_to_the_text(text: str) -> None:
    """Tokens joined give the text back exactly."""
    assert "".join(tokenize(text)) == text


# --- faults, as the client sees them


@pytest.mark.parametrize("stream", [False, True])
def test_fault_error(client: openai.OpenAI, model: Callable[..., str], stream: bool) -> None:
    """`error` is a 500, before anything is said."""
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=model(fault="error"), messages=QUESTION, stream=stream)


def test_fault_refuse(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """`refuse` closes the connection without an answer."""
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model=model(fault="refuse"), messages=QUESTION)


def heard(client: openai.OpenAI, name: str) -> tuple[int, str | None, Exception | None]:
    """Stream to the end; give the tokens, the finish reason and the error."""
    tokens, reason = 0, None
    try:
        for chunk in client.chat.completions.create(model=name, messages=QUESTION, stream=True):
            tokens += bool(chunk.choices and chunk.choices[0].delta.content)
            reason = chunk.choices[0].finish_reason if chunk.choices else reason
    except (openai.OpenAIError, httpx.HTTPError) as error:
        return tokens, reason, error
    return tokens, reason, None


def test_fault_cut(client: openai.OpenAI, model: Callable[..., str], simulator: Simulator) -> None:
    """`cut` drops the connection after so many tokens: they arrive, then a transport error."""
    name = model(fault="cut", fault_after=7)
    tokens, reason, error = heard(client, name)
    assert (tokens, reason) == (7, None)
    assert isinstance(error, httpx.TransportError)
    wait_for(lambda: simulator.requests(name)[0]["ended"] is not None)
    row = simulator.requests(name)[0]
    assert (row["status"], row["fault"], row["tokens_sent"]) == ("cut", "cut", 7)


def test_fault_close(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """`close` ends cleanly in mid-answer: no error, and no finish reason either."""
    assert heard(client, model(fault="close", fault_after=7)) == (7, None, None)


def test_fault_error_event(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """`error_event` is an error inside the stream."""
    tokens, _, error = heard(client, model(fault="error_event", fault_after=3))
    assert tokens == 3
    assert isinstance(error, openai.APIError)


def test_fault_stall(
    client: openai.OpenAI, model: Callable[..., str], simulator: Simulator
) -> None:
    """`stall` falls silent: the client's read timeout ends it, and the server notices."""
    name = model(fault="stall", fault_after=2)
    tokens, _, error = heard(client.with_options(timeout=0.2), name)
    assert tokens == 2
    assert isinstance(error, httpx.ReadTimeout)
    wait_for(lambda: simulator.requests(name)[0]["status"] == "cancelled")


def test_fault_no_stream(simulator: Simulator, model: Callable[..., str]) -> None:
    """`no_stream` answers a streaming request with one JSON document."""
    response = httpx.post(
        f"{simulator.base_url}/chat/completions",
        headers={"Authorization": f"Bearer {simulator.api_key}"},
        json={"model": model(fault="no_stream"), "messages": QUESTION, "stream": True},
        trust_env=False,
    )
    assert response.json()["object"] == "chat.completion"


def test_failures_are_drawn(
    client: openai.OpenAI, model: Callable[..., str], simulator: Simulator
) -> None:
    """`failure_rate` fails about that share, and the same again for the same seed."""

    def outcomes() -> list[int]:
        name = model(failure_rate=0.4, seed=3)
        for number in range(40):
            asked: list[Any] = [{"role": "user", "content": f"question {number}"}]
            with suppress(openai.InternalServerError):
                client.chat.completions.create(model=name, messages=asked)
        return [row["http_status"] for row in simulator.requests(name)]

    first = outcomes()
    assert 8 <= sum(status != 200 for status in first) <= 24
    assert set(first) <= {200, 500, 503}
    assert outcomes() == first


def test_retry_can_succeed(client: openai.OpenAI, model: Callable[..., str]) -> None:
    """Asking the same again draws anew: a retry gets through in the end."""
    name, outcomes = model(failure_rate=0.5), set()
    for _ in range(20):
        try:
            client.chat.completions.create(model=name, messages=QUESTION)
            outcomes.add("answered")
        except openai.InternalServerError:
            outcomes.add("failed")
    assert outcomes == {"answered", "failed"}


# --- time


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
    """With two places, the third request starts when one of the first has ended, in order."""
    name = model(speed=1, ttft=0.1, tokens_per_second=1e6, jitter=0, slots=2)
    async with openai.AsyncOpenAI(
        api_key=simulator.api_key, base_url=simulator.base_url, max_retries=0
    ) as client:
        await asyncio.gather(
            *(client.chat.completions.create(model=name, messages=QUESTION) for _ in range(6))
        )
    rows = simulator.requests(name)
    started = [row["started"] for row in rows]
    assert started == sorted(started)
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


# --- control


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


# --- the process


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


_KERNEL = """
import os, sys, time
from nbkit.models.simulator import current
print(current().pid, flush=True)
if "fork" in sys.argv and os.fork() == 0:
    time.sleep(60)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print(current().stats()["total"], flush=True)
    time.sleep(60)
"""

posix = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks into /proc")  # noqa: PTH112


def start_kernel(*extra: str) -> tuple[subprocess.Popen[str], int]:
    """Start a Python that starts a simulator; give it and the simulator's pid."""
    kernel = subprocess.Popen(
        [sys.executable, "-c", _KERNEL, *extra],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert kernel.stdout is not None
    return kernel, int(kernel.stdout.readline())


@posix
@pytest.mark.parametrize("extra", [(), ("fork",)])
def test_dies_with_its_kernel(extra: tuple[str, ...]) -> None:
    """The server is gone soon after its kernel is killed, even if a fork of that lives on."""
    kernel, server = start_kernel(*extra)
    assert alive(server)
    kernel.kill()
    kernel.wait()
    wait_for(lambda: not alive(server))
    if extra:
        os.killpg(kernel.pid, signal.SIGKILL)


@posix
def test_survives_an_interrupt() -> None:
    """A Jupyter interrupt, sent to the kernel's whole process group, leaves the server running."""
    kernel, server = start_kernel()
    try:
        os.killpg(kernel.pid, signal.SIGINT)
        assert kernel.stdout is not None
        # The kernel caught it and asked the same server again.
        assert kernel.stdout.readline() == "0\n"
        assert alive(server)
    finally:
        kernel.kill()
        kernel.wait()


def test_one_server_a_process_and_again_after_death() -> None:
    """There is one server a kernel; a dead one is told apart and replaced."""
    first = current()
    assert current() is first
    first._process.kill()
    first._process.wait()
    with pytest.raises(SimulatorError, match=r"connect\(\) again"):
        first.stats()
    second = current()
    assert second is not first
    assert second.stats()["total"] == 0
    second.stop()


@posix
def test_a_fork_does_not_share_the_server() -> None:
    """A forked child gets a server of its own and does not stop its parent's."""
    code = """
import os
from nbkit.models.simulator import current
mine = current()
child = os.fork()
if child == 0:
    assert not mine.alive
    mine.stop()
    other = current()
    assert other.pid != mine.pid and other.stats()["total"] == 0
    other.stop()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert mine.alive and mine.stats()["total"] == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_start_failure_shows_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process cannot start, the error carries its last words."""
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    with pytest.raises(SimulatorError, match="did not start"):
        Simulator()


def test_server_process_is_light() -> None:
    """The server imports neither LlamaIndex nor openai."""
    code = (
        "import sys, nbkit.models.simulator.__main__; "
        "print([m for m in ('llama_index', 'openai', 'httpx', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_errors_have_one_root() -> None:
    """Everything that can go wrong here is an NbkitError."""
    from nbkit import NbkitError

    assert issubclass(NoServerError, NbkitError)
    assert issubclass(SimulatorError, NbkitError)


# --- what it says

CONTEXT = """file_path: /docs/price.md

# Price of the kettle

## Standard price

The kettle costs 49 EUR. Its colours cost the same.

file_path: /docs/warranty.md

# Warranty

## Period

The kettle is guaranteed for 36 months from delivery. Registration is not needed.

## Claims

1. Open the app.
2. Tap **Repair**.
3. Send a photo.
"""
QA = (
    "Context information is below.\n---------------------\n{context}\n---------------------\n"
    "Given the context information and not prior knowledge, answer the query.\n"
    "Query: {question}\nAnswer: "
)


def ask(question: str, context: str = CONTEXT) -> str:
    """Ask as LlamaIndex's question-answering prompt does."""
    text = QA.format(context=context, question=question)
    return answer([Message("system", "You are an expert."), Message("user", text)])


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("How much is the kettle?", "49 EUR"),
        ("How long is the warranty?", "36 months"),
        ("水壶多少钱？", "49 EUR"),
        ("How do I claim a repair?", "Open the app"),
    ],
)
def test_answers_hold_the_fact(question: str, fact: str) -> None:
    """The answer is in the context's own words, whatever the question's language."""
    assert fact in ask(question)


def test_metadata_is_never_said() -> None:
    """File paths above the chunks stay out of answers, short and long."""
    for question in ("How much is the kettle?", "Describe the kettle in detail."):
        assert "file_path" not in ask(question)
        assert "/docs" not in ask(question)


def test_long_answers_keep_the_structure() -> None:
    """Asked to describe, it gives sections and lists as Markdown."""
    text = ask("Describe the warranty and the claims in detail.")
    assert "## Claims" in text
    assert "\n2. Tap" in text


def test_it_says_what_it_does_not_know() -> None:
    """Without an answer in the context, or without a context, it says so in the right language."""
    assert "could not find" in ask("Who wrote Hamlet?")
    assert "没有找到" in ask("红楼梦的作者是谁？")
    assert "simulated model" in answer([Message("user", "Hi there")])
    assert "模拟模型" in answer([Message("user", "你好")])


def test_refine_prompts() -> None:
    """New context that helps changes the answer; context that does not leaves it alone."""
    refine = (
        "... New Context: {context}\nQuery: {question}\nOriginal Answer: {existing}\nNew Answer: "
    )
    asked = {"question": "How long is the warranty?"}
    useless = refine.format(context="Tea is brewed at 80 degrees.", existing="36 months.", **asked)
    assert answer([Message("user", useless)]) == "36 months."
    useful = refine.format(context=CONTEXT, existing="I do not know.", **asked)
    assert "36 months" in answer([Message("user", useful)])


def test_condense_prompts() -> None:
    """A follow-up is made to stand alone by what was asked before."""
    prompt = (
        "Given the following conversation ...\n\n  Chat History:\n"
        "  user: How do I return a kettle?\nassistant: By post.\n"
        "  Follow Up Input: How long does it take?\n  Standalone question:"
    )
    text = answer([Message("user", prompt)])
    assert "return a kettle" in text
    assert "How long does it take?" in text


def test_chat_with_context() -> None:
    """In a chat the context is in the system message and the question is the last one."""
    system = (
        "Use the context information below to assist the user.\n--------------------\n"
        f"{CONTEXT}\n--------------------\n"
    )
    turns = [
        Message("system", system),
        Message("user", "How much is the kettle?"),
        Message("assistant", "49 EUR."),
        Message("user", "And how long is the warranty?"),
    ]
    assert "36 months" in answer(turns)


def test_own_chinese_prompt() -> None:
    """A reader's own template works when the context stands between two lines of dashes."""
    prompt = (
        f"上下文如下。\n-----\n{CONTEXT}\n-----\n请回答。\n问题：How much is the kettle?\n回答："
    )
    assert "49 EUR" in answer([Message("user", prompt)])
