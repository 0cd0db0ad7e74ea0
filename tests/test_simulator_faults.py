"""What can be made to go wrong, as the client sees it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import openai
import pytest

from nbkit.simulator import Simulator
from tests.simulated import QUESTION, wait_for


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
