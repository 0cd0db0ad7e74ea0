"""The simulated model's answers, field by field, beside a real server's and the openai client."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

import nbkit
from nbkit.errors import ConnectError

pytestmark = pytest.mark.process

CASES: dict[str, dict[str, Any]] = {
    "whole": {},
    "streamed": {"stream": True},
    "with usage": {"stream": True, "stream_options": {"include_usage": True}},
    "cut": {"max_tokens": 2},
}
WEATHER = {"properties": {"city": {"type": "string"}}, "required": ["city"], "type": "object"}
TOOL = {"name": "weather", "description": "The weather in a city", "parameters": WEATHER}
TOOLS = {
    "tools": [{"type": "function", "function": TOOL}],
    "messages": [{"role": "user", "content": "What is the weather in Oslo?"}],
}
OF_LLAMA_CPP = {"system_fingerprint", "timings"}
"""What llama.cpp adds: a field that OpenAI has given up, and one of its own."""


class Answer(BaseModel):
    """One reply: its status, and its parts, of which a stream has many."""

    status: int
    parts: list[Any]
    done: bool


def _ask(llm: Any, key: str | None = None, **body: Any) -> Answer:
    messages = [{"role": "user", "content": "Say hello to everybody in this room."}]
    asked = {"model": llm.model, "messages": messages, "max_tokens": 8, **body}
    headers = {"Authorization": f"Bearer {key or llm.api_key}"}
    url = f"{llm.api_base}/chat/completions"
    reply = httpx.post(url, json=asked, headers=headers, timeout=60)
    if "event-stream" not in reply.headers["content-type"]:
        return Answer(status=reply.status_code, parts=[reply.json()], done=False)
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line]
    parts = [json.loads(line) for line in lines if line != "[DONE]"]
    return Answer(status=reply.status_code, parts=parts, done=lines[-1] == "[DONE]")


@pytest.fixture(scope="module")
def simulated() -> Any:
    """The simulated model."""
    return nbkit.connect("simulated", speed=0)


@pytest.fixture(scope="module")
def real() -> Any:
    """A real model, on llama.cpp."""
    try:
        return nbkit.connect("local")
    except ConnectError as error:
        pytest.skip(str(error))


def _fields(value: Any, place: str = "") -> Iterator[str]:
    """The places of all fields, those of a list's items together."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{place}.{name}"
            yield from _fields(inner, f"{place}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner, f"{place}[]")


def _unknown(part: BaseModel) -> Iterator[str]:
    """The fields that the openai client's classes do not have."""
    yield from part.model_extra or ()
    for value in vars(part).values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, BaseModel):
                yield from _unknown(inner)


def _in_openais_classes(answer: Answer) -> set[str]:
    """The unknown fields of an answer, whose known ones must have the right types."""
    kind = ChatCompletionChunk if "delta" in json.dumps(answer.parts) else ChatCompletion
    return {
        name for part in answer.parts for name in _unknown(kind.model_validate(part, strict=True))
    }


@pytest.mark.parametrize("case", CASES)
def test_the_fields_are_those_of_a_real_server(simulated: Any, real: Any, case: str) -> None:
    """Whatever of OpenAI's protocol llama.cpp sends, the simulated model sends, in its place."""
    ours, theirs = _ask(simulated, **CASES[case]), _ask(real, **CASES[case])
    assert (
        (ours.status, ours.done) == (theirs.status, theirs.done) == (200, "stream" in CASES[case])
    )
    sent = {f for f in _fields(theirs.parts) if f.split(".")[1] not in OF_LLAMA_CPP}
    assert sent - set(_fields(ours.parts)) == set()
    assert _in_openais_classes(theirs) <= OF_LLAMA_CPP
    ends = [(a.parts[0]["choices"][0], a.parts[-1]["choices"]) for a in (ours, theirs)]
    assert ends[0][1] == [] or ends[0][1][0]["finish_reason"] == ends[1][1][0]["finish_reason"]
    assert len(ends[0][1]) == len(ends[1][1])


@pytest.mark.parametrize("case", [*CASES, "tools", "tools streamed", "thinks"])
def test_the_fields_are_those_of_the_openai_client(simulated: Any, case: str) -> None:
    """Every field is one that the client knows, of its type; only thoughts have no class there."""
    asked = CASES.get(case) or {**TOOLS, "max_tokens": 60, "stream": case.endswith("streamed")}
    llm = nbkit.connect(speed=0, thinking_tokens=4) if case == "thinks" else simulated
    answer = _ask(llm, **(CASES["streamed"] if case == "thinks" else asked))
    unknown = _in_openais_classes(answer)
    assert unknown == ({"reasoning_content"} if case == "thinks" else set())
    if case.startswith("tools"):
        assert answer.parts[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("wrong", "status"), [({"key": "wrong"}, 401), ({"max_tokens": "many"}, 400)]
)
def test_errors_are_those_of_a_real_server(
    simulated: Any, real: Any, wrong: dict[str, Any], status: int
) -> None:
    """The same status, and the message where the client looks for it."""
    for answer in (_ask(simulated, **wrong), _ask(real, **wrong)):
        assert answer.status == status
        [error] = [part["error"] for part in answer.parts]
        assert {"message", "type", "code"} <= set(error)
        assert isinstance(error["message"], str)
