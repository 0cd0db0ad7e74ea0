"""The simulated model's wire protocol, as the real openai client meets it."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from nbkit.simulator import Simulator, tokenize
from tests.simulated import QUESTION, raw


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
