"""`connect`: which LLM it gives, and how that behaves through LlamaIndex."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nbkit import connect
from nbkit.models import (
    MissingKeyError,
    ModelChoiceError,
    NoServerError,
    ProfileError,
    UnknownProviderError,
)
from nbkit.models.providers import SimulatedOpenAI
from tests.simulated import simulated

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


def test_threads_get_what_they_ask_for() -> None:
    """Eighty models connected at once by eight threads each run with their own settings."""
    simulated(speed=0)
    made: list[tuple[int, SimulatedOpenAI]] = []
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        seeds = range(1_000 + 10 * number, 1_010 + 10 * number)
        made.extend((seed, simulated(speed=0, seed=seed)) for seed in seeds)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({llm.model for _, llm in made}) == len(made) == 80
    for seed, llm in made:
        assert llm.profile.seed == llm.simulator.profile(llm.model)["seed"] == seed


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
    with pytest.raises(NoServerError, match="without a list of models"):
        connect(serve(200, "<html>") + "/v1")


def test_nobody_answers() -> None:
    """No server at all is a short message."""
    with pytest.raises(NoServerError, match="Nobody answers"):
        connect("http://127.0.0.1:9/v1")


def test_a_compatible_server_answers() -> None:
    """The client for other servers talks to one: here, the simulator by its address."""
    ours = simulated(speed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBKIT_API_KEY", ours.simulator.api_key)
        llm = connect(ours.simulator.base_url, model=ours.model)
    assert "simulated model" in llm.complete("Hello").text
