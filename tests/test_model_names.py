"""A name of a model that the server does not have is told, with those that it has."""

from typing import Any

import pytest

from nbkit import connect
from nbkit.models import ModelChoiceError, NoServerError
from tests.model_servers import Serve, say

NAMES = ["llama3:latest", "qwen3:8b", "Qwen/Qwen3-8B", "models/gemini-flash", "openai/gpt-x"]
LISTED = {"/v1/models": {"data": [{"id": name} for name in NAMES]}}


def test_a_wrong_name_is_told_with_the_right_ones(serve: Serve) -> None:
    """All names are listed, the most similar first; nothing else is asked."""
    server = serve(LISTED)
    with pytest.raises(ModelChoiceError) as caught:
        connect(server.base_url, model="qwen3-8b")
    told = str(caught.value)
    assert f"{server.base_url} does not list a model 'qwen3-8b'; it offers qwen3:8b, Qwen/" in told
    assert all(name in told for name in NAMES)
    assert [asked.path for asked in server.asked] == ["/v1/models"]


def test_many_names_are_cut(serve: Serve) -> None:
    """Ten of thirty are listed, with the number of the others."""
    server = serve({"/v1/models": {"data": [{"id": f"model-{n}"} for n in range(30)]}})
    with pytest.raises(ModelChoiceError, match=r"offers model-29, .* and 20 more — choose"):
        connect(server.base_url, model="model29")
    with pytest.raises(ModelChoiceError, match=r"offers model-0, .* and 20 more — say which"):
        connect(server.base_url)


@pytest.mark.parametrize(
    "name",
    [
        "llama3",
        "llama3:latest",
        "qwen3:8b",
        "gemini-flash",
        "models/gemini-flash",
        "openai/gpt-x:o",
    ],
)
def test_other_forms_of_a_name_are_known(serve: Serve, name: str) -> None:
    """A name without its tag, without "models/", or with a variant is sent as it was given."""
    server = serve(LISTED)
    llm = connect(server.base_url, model=name)
    assert say(llm) == "Hello"
    assert server.chats[0].body["model"] == name


@pytest.mark.parametrize("name", ["llama3:70b", "LLAMA4", "gpt-x", "qwen3"])
def test_similar_names_are_other_models(serve: Serve, name: str) -> None:
    """Another tag, or a name without its owner, is another model."""
    with pytest.raises(ModelChoiceError, match=name):
        connect(serve(LISTED).base_url, model=name)


def test_the_window_of_a_name_without_tag(serve: Serve) -> None:
    """Ollama's "llama3" runs as "llama3:latest": its window is found by that name."""
    running = {"/api/ps": {"models": [{"name": "llama3:latest", "context_length": 4_096}]}}
    server = serve({**LISTED, **running, "/api/show": {"model_info": {"l.context_length": 8_192}}})
    llm: Any = connect(server.base_url, model="llama3")
    assert llm.metadata.context_window == 4_096


@pytest.mark.parametrize(
    "routes",
    [
        {},
        {"/v1/models": ["odd"]},
        {"/v1/models": {"data": []}},
        {"/v1/models": {"data": ["m", None, {"id": ""}]}},
        {"/v1/models": {"data": [{"id": "*"}]}},
        {"/v1/models": {"data": [{"id": "gpt"}, {"id": "anthropic/*"}]}},
        {"/v1/models": {"data": [{"id": "a"}], "has_more": True}},
        {"/v1/models": {"data": [{"id": "/models/a.gguf", "owned_by": "llamacpp"}]}},
        {"/v1/models": {"data": [{"id": "a", "aliases": ["b", "mine"]}]}},
    ],
)
def test_a_list_that_is_not_complete_refuses_nothing(serve: Serve, routes: dict[str, Any]) -> None:
    """No list, an odd or empty one, one with wildcards or pages, a server that takes any name."""
    server = serve(routes)
    assert say(connect(server.base_url, model="mine")) == "Hello"
    assert server.chats[0].body["model"] == "mine"


def test_litellm_may_hide_aliases(serve: Serve) -> None:
    """LiteLLM, known by its header, may have names that it does not list."""
    server = serve(LISTED)
    server.header = ("x-litellm-version", "1.80.0")
    assert say(connect(server.base_url, model="mine")) == "Hello"


def test_the_way_round_the_list(serve: Serve) -> None:
    """With the context window given, as the advice says, the list is not read."""
    server = serve(LISTED)
    with pytest.raises(ModelChoiceError, match=r"give its context_window="):
        connect(server.base_url, model="mine")
    assert say(connect(server.base_url, model="mine", context_window=9_000)) == "Hello"


def test_nobody_there_is_told_by_the_question(serve: Serve) -> None:
    """With a name, a server that is started later may be connected to now."""
    llm = connect("http://127.0.0.1:9/v1", model="m")
    with pytest.raises(NoServerError, match="Nobody answers"):
        say(llm)


def test_the_repr_tells_what_was_found(serve: Serve) -> None:
    """Model, address, window, streaming and tools; other tools are said as well."""
    server = serve({"/v1/models": {"data": [{"id": "m", "max_model_len": 16_384}]}})
    assert repr(connect(server.base_url)) == (
        f"CompatibleServer(model='m', api_base='{server.base_url}', context_window=16384, "
        "streams='not checked yet', tools='not allowed')"
    )
    assert "tools='allowed'" in repr(connect(server.base_url, is_function_calling_model=True))
