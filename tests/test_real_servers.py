"""What `connect` sets up for real servers: context windows, settings, requests they take."""

import asyncio
import json
from typing import Any

import openai
import pytest

import nbkit
from nbkit import connect
from nbkit.models import ModelChoiceError, ProfileError
from nbkit.models.providers import ASSUMED_WINDOW, CompatibleServer
from nbkit.wording import shown_name
from tests.model_servers import MODEL, Serve, asay, say

VLLM = {"/v1/models": {"data": [{"id": "m", "max_model_len": 16_384}]}}
OPENROUTER = {"/v1/models": {"data": [{"id": "x"}, {"id": "m", "context_length": 131_072}]}}
LLAMA_CPP = {
    "/v1/models": {"data": [{"id": "m", "meta": {"n_ctx_train": 131_072}}]},
    "/props": {"default_generation_settings": {"n_ctx": 8_192}},
}
OLD_LLAMA_CPP = {"/v1/models": {"data": [{"id": "m", "meta": {"n_ctx_train": 40_960}}]}}
LM_STUDIO = {
    "/v1/models": MODEL,
    "/api/v0/models": {
        "data": [{"id": "m", "max_context_length": 32_000, "loaded_context_length": 4_096}]
    },
}
OLLAMA = {"/v1/models": MODEL, "/api/show": {"model_info": {"qwen3.context_length": 40_960}}}
OLLAMA_SET = {
    "/v1/models": MODEL,
    "/api/show": {
        "parameters": 'stop  "<|im_end|>"\nnum_ctx                        12288',
        "model_info": {"qwen3.context_length": 40_960},
    },
}
OLLAMA_RUNS = {**OLLAMA, "/api/ps": {"models": [{"name": "m", "context_length": 4_096}]}}


@pytest.mark.parametrize(
    ("routes", "model", "window"),
    [
        (VLLM, None, 16_384),
        (VLLM, "m", 16_384),
        (OPENROUTER, "m", 131_072),
        (LLAMA_CPP, None, 8_192),
        (OLD_LLAMA_CPP, None, 40_960),
        (LM_STUDIO, None, 4_096),
        (OLLAMA, None, 40_960),
        (OLLAMA_SET, None, 12_288),
        (OLLAMA_RUNS, None, 4_096),
    ],
)
def test_the_server_tells_the_context_window(
    serve: Serve, routes: dict[str, Any], window: int, model: str | None
) -> None:
    """The window is what the server says it runs with, else what the model was made for."""
    llm: Any = connect(serve(routes).base_url, model=model)
    assert llm.metadata.context_window == window
    assert f"context_window={window}," in repr(llm)


@pytest.mark.parametrize(
    "routes",
    [
        {"/v1/models": MODEL},
        {"/v1/models": {"data": [{"id": "m", "max_model_len": "long", "meta": []}]}},
        {"/v1/models": ["odd"], "/props": [], "/api/show": [], "/api/ps": 3, "/api/v0/models": "x"},
        {"/v1/models": MODEL, "/api/show": {"model_info": [], "parameters": None}},
    ],
)
def test_a_window_that_is_assumed_is_said(serve: Serve, routes: dict[str, Any]) -> None:
    """Where the server tells none, or nonsense, a modern window is assumed and said in the repr."""
    llm: Any = connect(serve(routes).base_url, model="m")
    assert llm.metadata.context_window == ASSUMED_WINDOW >= 16_000
    assert f"{ASSUMED_WINDOW} (assumed)" in repr(llm)


def test_a_window_that_is_given_counts(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Your own context window is used as it is, and the server is not asked for another."""
    server = serve(VLLM)
    llm: Any = connect(server.base_url, model="m", context_window=9_000)
    assert llm.metadata.context_window == 9_000
    assert server.asked == []
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    hosted: Any = connect("openai", model="gpt-4o", context_window=9_000)
    assert hosted.metadata.context_window == 9_000


async def test_compact_stays_one_call(serve: Serve) -> None:
    """Six chunks fit into one request where the window is assumed, into 3,900 tokens not."""
    server = serve()

    async def calls(**settings: Any) -> int:
        before = len(server.chats)
        engine = nbkit.load_index("zh").as_query_engine(
            llm=connect(server.base_url, **settings),
            streaming=True,
            similarity_top_k=6,
            response_mode="compact",
        )
        assert (await nbkit.stream(engine.aquery("How long is the warranty?"))).text == "Hello"
        return len(server.chats) - before

    assert await calls() == 1
    assert await calls(context_window=3_900) > 1


# --- settings


async def test_settings_go_with_every_request(serve: Serve) -> None:
    """Token limit, temperature and headers are in the request, blocking and async."""
    server = serve()
    llm = connect(
        server.base_url, max_tokens=77, temperature=1, default_headers={"X-Team": "lamps"}
    )
    assert [say(llm), await asay(llm)] == ["Hello", "Hello"]
    for asked in server.chats:
        assert (asked.body["max_tokens"], asked.body["temperature"]) == (77, 1)
    assert {asked.headers["x-team"] for asked in server.asked} == {"lamps"}
    assert "lamps" not in repr(llm) + str(llm.to_dict())


async def test_the_timeout_has_effect(serve: Serve) -> None:
    """Given to connect or set later, it ends the wait for a server, blocking and async."""
    server = serve()
    server.answering.clear()
    given = connect(server.base_url, timeout=0.2)
    changed: Any = connect(server.base_url)
    assert changed is not given
    changed.timeout = 0.2
    for llm in (given, changed):
        with pytest.raises(openai.APITimeoutError):
            await asyncio.to_thread(say, llm)
        with pytest.raises(openai.APITimeoutError):
            await asay(llm)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tiemout": 5}, "tiemout cannot be set.*takes timeout, context_window, max_tokens"),
        ({"ttft": 5}, "ttft can only be set for the simulated model"),
        ({"timeout": 0}, "seconds above 0, not 0"),
        ({"timeout": "5"}, "seconds above 0, not '5'"),
        ({"context_window": 1.5}, "whole number of tokens"),
        ({"max_tokens": True}, "whole number of tokens"),
        ({"temperature": 3}, "from 0 to 2"),
        ({"default_headers": {"X-Key": "a\nb"}}, "plain ASCII"),
        ({"default_headers": "X-Key: a"}, "dict of header names"),
    ],
)
@pytest.mark.parametrize("spec", ["http://localhost:1/v1", "openai"])
def test_wrong_settings(
    spec: str, settings: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong name or value of a setting is refused in one sentence that says what is possible."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with pytest.raises(ProfileError, match=says):
        connect(spec, model="m", **settings)


# --- servers that do not know `stream_options`

EXTRA = {
    "detail": [
        {
            "type": "extra_forbidden",
            "loc": ["body", "stream_options"],
            "msg": "Extra inputs are not permitted",
        }
    ]
}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, json.dumps(EXTRA)),
        (400, '{"error": {"message": "Unrecognized request argument supplied: stream_options"}}'),
        (400, '{"error": "unknown field"}'),
        (422, '{"message": "Extra inputs are not permitted"}'),
    ],
)
@pytest.mark.parametrize("first", ["blocking", "async"])
async def test_asked_again_without_stream_options(
    serve: Serve, status: int, body: str, first: str
) -> None:
    """A server that refuses `stream_options` is asked again without, once; later ones have none."""
    server = serve(None, (status, body))
    llm = connect(server.base_url)
    for _ in range(2):
        text = say(llm) if first == "blocking" else await asay(llm)
        assert text == "Hello"
    assert ["stream_options" in asked.body for asked in server.chats] == [True, False, False]
    plain = [asked.body for asked in server.chats]
    assert plain[1] == {name: v for name, v in plain[0].items() if name != "stream_options"}


async def test_other_refusals_are_told(serve: Serve) -> None:
    """A request refused for another reason is not asked again, and the reason arrives."""
    server = serve(None, (400, '{"error": {"message": "The prompt is too long"}}'))
    llm = connect(server.base_url)
    with pytest.raises(openai.BadRequestError, match="prompt is too long"):
        say(llm)
    with pytest.raises(openai.BadRequestError, match="prompt is too long"):
        await asay(llm)
    assert len(server.chats) == 2


# --- OpenAI's client, or that for other servers


async def test_another_base_url_is_another_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With OPENAI_BASE_URL set "openai" is the server there, with its models and OpenAI's key."""
    server = serve({"/v1/models": {"data": [{"id": "deepseek-chat"}]}})
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.base_url}/")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("NBKIT_API_KEY", "wrong")
    for model in ("deepseek-chat", None):
        llm: Any = connect("openai", model=model)
        assert isinstance(llm, CompatibleServer)
        assert llm.model == "deepseek-chat"
        assert await asay(llm) == "Hello"
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer sk-other"}


@pytest.mark.parametrize(
    ("model", "window"),
    [("gpt-4o", 128_000), (None, 128_000), ("gpt-99", None), ("code-davinci-002", None)],
)
def test_any_name_of_a_model_is_taken(
    model: str | None, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that LlamaIndex does not list gets an assumed context window, not an error."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    llm: Any = connect("openai", model=model)
    assert llm.metadata.context_window == (window or ASSUMED_WINDOW)
    assert llm.metadata.is_function_calling_model
    assert llm.api_base == "https://api.openai.com/v1"


def test_a_model_that_does_not_chat_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that OpenAI offers through another protocol only is refused in one sentence."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with pytest.raises(ModelChoiceError, match=r"gpt-5\.2-pro .* choose another"):
        connect("openai", model="gpt-5.2-pro")


# --- names that are paths


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("/models/qwen3-8b-q4_k_m.gguf", "qwen3-8b-q4_k_m"),
        ("/data/Qwen2.5-7B-Instruct", "Qwen2.5-7B-Instruct"),
        ("/data/Qwen2.5-7B-Instruct/", "Qwen2.5-7B-Instruct"),
        (r"C:\Users\ann\qwen.gguf", "qwen"),
        ("models/qwen.GGUF", "qwen"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("gpt-4.1", "gpt-4.1"),
        ("qwen3:8b", "qwen3:8b"),
    ],
)
def test_a_path_is_shown_by_its_stem(model: str, shown: str) -> None:
    """A file or folder is named by its stem; names with an owner or a version stay."""
    assert shown_name(model) == shown


async def test_a_path_is_nowhere_to_be_seen(serve: Serve) -> None:
    """The repr, the trace and the caption show the stem; the server is sent the name it knows."""
    path = "/models/secret/qwen3-8b.gguf"
    server = serve({"/v1/models": {"data": [{"id": path}]}})
    llm = connect(server.base_url)
    engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
    answer = await nbkit.stream(engine.aquery("How long is the warranty?"))
    assert server.chats[0].body["model"] == path
    assert answer.trace.model == "qwen3-8b"
    assert "qwen3-8b" in repr(llm)
    assert "secret" not in repr(llm) + repr(answer) + answer.trace.caption
