"""`connect`: which LLM it gives, and how that behaves through LlamaIndex."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openai
import pytest
from llama_index.core import SummaryIndex
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import TextNode

from nbkit import connect
from nbkit.models import (
    MissingKeyError,
    ModelChoiceError,
    NoServerError,
    ProfileError,
    UnknownProviderError,
)
from nbkit.models.http import UnreachableError
from nbkit.models.providers import SimulatedOpenAI


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out of the tests."""
    for name in ("NBKIT_LLM", "NBKIT_SPEED", "NBKIT_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def instant() -> SimulatedOpenAI:
    """Give the simulated model without waiting, its record of requests emptied."""
    llm = simulated(speed=0)
    llm.simulator.clear()
    return llm


def simulated(**settings: Any) -> SimulatedOpenAI:
    """Connect to the simulated model."""
    llm = connect(**settings)
    assert isinstance(llm, SimulatedOpenAI)
    return llm


def wait_for(condition: Callable[[], bool], timeout: float = 5) -> None:
    """Look every 10 ms until a condition holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)


# --- which LLM


def test_the_default_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word it is the simulated model, key in the environment or not."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    llm = connect()
    assert isinstance(llm, SimulatedOpenAI)
    assert llm.api_base is not None
    assert "127.0.0.1" in llm.api_base


def test_same_arguments_same_object() -> None:
    """A second connect gives the same LLM; other settings another, on the same server."""
    assert connect() is connect("simulated")
    other = simulated(ttft=0.1)
    assert other is not connect()
    assert other is connect(ttft=0.1)
    assert other.model != simulated().model
    assert other.simulator is simulated().simulator
    assert other._get_aclient()._client is simulated()._get_aclient()._client


def test_profiles_and_settings_arrive() -> None:
    """A named profile, with single settings changed, is what the server uses."""
    llm = simulated(profile="busy", slots=7, seed=5)
    told = llm.simulator.profile(llm.model)
    assert (told["name"], told["slots"], told["seed"]) == ("busy", 7, 5)
    assert llm.model.startswith("simulated-busy")


def test_it_says_that_it_is_simulated() -> None:
    """Its repr shows `simulated` and no key; its metadata has a context window."""
    llm = simulated(context_window=4096)
    assert "simulated" in repr(llm)
    assert llm.metadata.context_window == 4096
    assert llm.metadata.is_chat_model


@pytest.mark.parametrize("show", [repr, str, lambda llm: str(llm.to_dict()), lambda x: x.to_json()])
def test_keys_are_not_shown(show: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No key is in the repr or the dump of an LLM."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("NBKIT_API_KEY", "sk-secret")
    assert "sk-secret" not in show(connect("openai"))
    assert "sk-secret" not in show(connect("http://localhost:1/v1", model="m"))
    ours = simulated()
    assert ours.simulator.api_key not in show(ours)


def test_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """NBKIT_LLM is the default provider and NBKIT_SPEED the default speed."""
    monkeypatch.setenv("NBKIT_SPEED", "20")
    assert simulated().profile.speed == 20
    assert simulated(speed=3).profile.speed == 3
    monkeypatch.setenv("NBKIT_LLM", "openai")
    with pytest.raises(MissingKeyError):
        connect()


@pytest.mark.parametrize("text", ["fast", "-1", "nan"])
def test_bad_speed_in_the_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """NBKIT_SPEED that is no speed is named as the culprit."""
    monkeypatch.setenv("NBKIT_SPEED", text)
    with pytest.raises(ProfileError, match="NBKIT_SPEED"):
        connect()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"latency": 1}, "choose from: ttft,"),
        ({"ttft": "fast"}, "a number, 0 or more"),
        ({"tokens_per_second": 0}, "above 0"),
        ({"slots": 1.5}, "whole number"),
        ({"fault": "explode"}, "refuse"),
        ({"speed": -1}, "0: no waiting"),
        ({"profile": "gpt"}, "hosted_fast"),
        ({"model": "gpt-4o"}, "profile="),
    ],
)
def test_wrong_settings(arguments: dict[str, Any], says: str) -> None:
    """A wrong setting is refused at once, with what would be right."""
    with pytest.raises(ProfileError, match=says):
        connect(**arguments)


def test_settings_need_the_simulated_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays cannot be set for a real model."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    for setting in ({"ttft": 1}, {"profile": "busy"}, {"speed": 0}, {"seed": 1}):
        with pytest.raises(ProfileError, match="only be set for the simulated"):
            connect("openai", **setting)  # type: ignore[arg-type]


def test_missing_key_names_both_ways_out() -> None:
    """Without a key: set it, or use the free model."""
    with pytest.raises(MissingKeyError, match=r"OPENAI_API_KEY.*connect\(\)"):
        connect("openai")


def test_unknown_provider() -> None:
    """An unknown name lists the known ones."""
    with pytest.raises(UnknownProviderError, match=r'"openai".*http://'):
        connect("anthropic")


def test_openai_is_set_up_for_one_layer_of_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosted client does not retry, asks for usage, and is kept."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    llm: Any = connect("openai", model="gpt-4o")
    assert (llm.model, llm.max_retries) == ("gpt-4o", 0)
    assert llm.additional_kwargs == {"stream_options": {"include_usage": True}}
    assert connect("openai", model="gpt-4o") is llm


# --- a server of one's own


@pytest.fixture
def serve() -> Iterator[Callable[[int, str], str]]:
    """Serve one fixed answer; gives the address without /v1."""
    servers = []

    def start(status: int, body: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path.startswith("/v1") else 404)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: Any) -> None:
                """Keep the test's output clean."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_only_model_is_taken(serve: Callable[[int, str], str]) -> None:
    """A server with one model needs no model=."""
    address = serve(200, '{"data": [{"id": "qwen"}]}')
    llm: Any = connect(f"{address}/v1")
    assert (llm.model, llm.max_retries) == ("qwen", 0)


def test_several_models_are_listed(serve: Callable[[int, str], str]) -> None:
    """With several one must choose."""
    address = serve(200, '{"data": [{"id": "qwen"}, {"id": "llama"}]}')
    with pytest.raises(ModelChoiceError, match="qwen, llama"):
        connect(f"{address}/v1")


def test_missing_v1(serve: Callable[[int, str], str]) -> None:
    """The usual slip in the address is named."""
    address = serve(200, '{"data": []}')
    with pytest.raises(NoServerError, match=f'connect\\("{address}/v1"\\)'):
        connect(address)


def test_not_a_model_server(serve: Callable[[int, str], str]) -> None:
    """Something else at that address is told apart from nobody."""
    with pytest.raises(NoServerError, match="no list of models"):
        connect(serve(200, "<html>") + "/v1")


def test_nobody_answers() -> None:
    """No server at all is a short message."""
    with pytest.raises(NoServerError, match="nobody answers"):
        connect("http://127.0.0.1:9/v1")


def test_a_compatible_server_answers() -> None:
    """The client for other servers talks to one: here, the simulator by its address."""
    ours = simulated(speed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBKIT_API_KEY", ours.simulator.api_key)
        llm = connect(ours.simulator.base_url, model=ours.model)
    assert "simulated model" in llm.complete("Hello").text


# --- through LlamaIndex

NODES = [TextNode(text="# Price\n\nThe kettle costs 49 EUR.", metadata={"file_path": "price.md"})]


def test_sync_query(instant: SimulatedOpenAI) -> None:
    """A query engine gets its answer from the context."""
    engine = SummaryIndex(NODES).as_query_engine(llm=instant)
    assert "49 EUR" in str(engine.query("How much is the kettle?"))


def test_sync_streaming(instant: SimulatedOpenAI) -> None:
    """A streaming query gives the same, in several pieces."""
    engine = SummaryIndex(NODES).as_query_engine(llm=instant, streaming=True)
    pieces = [p for p in engine.query("How much is the kettle?").response_gen if p]  # type: ignore[union-attr]
    assert len(pieces) > 3
    assert "49 EUR" in "".join(pieces)


async def test_async_query_and_streaming(instant: SimulatedOpenAI) -> None:
    """The same without blocking."""
    index = SummaryIndex(NODES)
    plain = await index.as_query_engine(llm=instant).aquery("How much is the kettle?")
    assert "49 EUR" in str(plain)
    answer: Any = await index.as_query_engine(llm=instant, streaming=True).aquery("Price?")
    assert "49 EUR" in "".join([piece async for piece in answer.async_response_gen()])


@pytest.mark.parametrize("mode", ["context", "condense_plus_context", "condense_question"])
async def test_chat_engines(instant: SimulatedOpenAI, mode: Any) -> None:
    """Every chat mode over an index finds the context in its own prompt."""
    engine = SummaryIndex(NODES).as_chat_engine(chat_mode=mode, llm=instant)
    await engine.achat("How much is the kettle?")
    reply = await engine.achat("Sorry, how much does the kettle cost?")
    assert "49 EUR" in str(reply)


async def test_refine_over_small_windows() -> None:
    """When the context does not fit, refining finds the fact wherever it is."""
    llm = simulated(speed=0, context_window=2000)
    filler = [TextNode(text="Tea should be brewed at eighty degrees. " * 60) for _ in range(3)]
    engine = SummaryIndex([filler[0], *NODES, *filler[1:]]).as_query_engine(llm=llm)
    assert "49 EUR" in str(await engine.aquery("How much is the kettle?"))


async def test_usage_reaches_the_caller(instant: SimulatedOpenAI) -> None:
    """The last chunk of a stream carries the token counts."""
    async for part in await instant.astream_chat([ChatMessage(content="Hello")]):
        last = part
    assert last.additional_kwargs["completion_tokens"] > 10


# --- loops, cancelling, servers that go


def test_two_loops_do_not_double_requests(instant: SimulatedOpenAI) -> None:
    """Two asyncio.run() of five requests each are ten requests at the server."""

    async def five() -> None:
        await asyncio.gather(*(instant.acomplete(f"question {n}") for n in range(5)))

    asyncio.run(five())
    asyncio.run(five())
    rows = instant.simulator.requests(instant.model)
    assert [row["status"] for row in rows] == ["done"] * 10


def test_loops_in_threads_at_once(instant: SimulatedOpenAI) -> None:
    """Several loops may use one client at the same time."""
    texts: list[str] = []

    async def three() -> None:
        done = await asyncio.gather(*(instant.acomplete("hello") for _ in range(3)))
        texts.extend(answer.text for answer in done)

    threads = [threading.Thread(target=lambda: asyncio.run(three())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 9
    assert len(set(texts)) == 1


def test_a_script_ends_silently() -> None:
    """Loops closed, left open or run twice leave no complaint about connections on stderr."""
    code = (
        "import asyncio\n"
        "from nbkit.models.http import async_client\n"
        "from nbkit.models.simulator import current\n"
        "url = current().base_url; client = async_client(url, '')\n"
        "async def ask(): assert (await client.get(url + '/models')).status_code == 401\n"
        "asyncio.run(ask()); asyncio.run(ask())\n"
        "for close in (True, False):\n"
        "    loop = asyncio.new_event_loop(); loop.run_until_complete(ask())\n"
        "    if close: loop.close()\n"
        "asyncio.run(ask())\n"
    )
    command = [sys.executable, "-W", "default::ResourceWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Unclosed" not in done.stderr
    assert "Traceback" not in done.stderr


async def test_cancelling_ends_generation() -> None:
    """Cancelling a task in mid-stream stops the server within one token, ten times of ten."""
    llm = simulated(ttft=0.02, tokens_per_second=50, jitter=0)
    llm.simulator.clear()

    async def read(seen: list[str], enough: asyncio.Event) -> None:
        async for part in await llm.astream_chat([ChatMessage(content="Hello")]):
            if part.delta:
                seen.append(part.delta)
            if len(seen) == 4:
                enough.set()

    counts = []
    for _ in range(10):
        seen: list[str] = []
        enough = asyncio.Event()
        task = asyncio.create_task(read(seen, enough))
        await enough.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        counts.append(len(seen))

    def ended() -> list[dict[str, Any]]:
        rows = llm.simulator.requests(llm.model)
        return [row for row in rows if row["status"] == "cancelled"]

    await asyncio.to_thread(wait_for, lambda: len(ended()) == 10)
    beyond = [row["tokens_sent"] - n for row, n in zip(ended(), counts, strict=True)]
    assert set(beyond) <= {0, 1}


async def test_a_lost_connection_is_not_a_timeout() -> None:
    """A connection closed without an answer is a connection error, not a timeout."""
    llm = simulated(speed=0, fault="refuse")
    with pytest.raises(openai.APIConnectionError) as caught:
        await llm.acomplete("hello")
    assert not isinstance(caught.value, openai.APITimeoutError)


async def test_a_cut_stream_is_a_transport_error() -> None:
    """A stream cut in the middle raises after the tokens that arrived."""
    llm = simulated(speed=0, fault="cut", fault_after=3)
    seen = []
    with pytest.raises(httpx.TransportError):
        async for part in await llm.astream_complete("hello"):
            if part.delta:
                seen.append(part.delta)  # noqa: PERF401
    assert len(seen) == 3


async def test_an_llm_whose_server_died_says_so() -> None:
    """After the server is killed the old LLM tells what to do, and connect gives a new one."""
    old = simulated(speed=0)
    old.complete("hello")
    old.simulator._process.kill()
    old.simulator._process.wait()
    with pytest.raises(UnreachableError, match=r"nbkit\.connect\(\) again"):
        await old.acomplete("hello")
    with pytest.raises(UnreachableError, match=r"nbkit\.connect\(\) again"):
        old.complete("hello")
    new = simulated(speed=0)
    assert new is not old
    assert new.complete("hello").text


def test_importing_is_light() -> None:
    """Importing nbkit.models does not import LlamaIndex."""
    code = (
        "import sys, nbkit.models; "
        "sys.exit('llama_index' in sys.modules or 'openai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
