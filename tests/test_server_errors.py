"""Errors of real servers: their own sentence first, then advice, and whether asking again helps."""

import json
import re
import time
from typing import Any

import pytest
from llama_index.llms.openai import OpenAI

import nbkit
from nbkit import stream
from nbkit.batch.retries import can_succeed_later
from nbkit.batch.run import run_batch
from nbkit.streaming.errors import StreamBroken
from tests.server_bodies import CASES, error
from tests.wire import Scripted, chunk, events, serving


@pytest.mark.parametrize(
    ("status", "body", "happened", "advice", "later"), CASES.values(), ids=CASES.keys()
)
async def test_a_refusal_in_the_servers_own_words(
    status: int, body: Any, happened: str, advice: str, later: bool
) -> None:
    """The server's sentence is first, the advice fits it, and what cannot help is not asked for."""
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/html" if isinstance(body, str) else "application/json"
    wire = Scripted(text.encode(), status=status, kind=kind)
    async with serving(wire):
        llm: Any = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        with pytest.raises(StreamBroken) as caught:
            await stream(llm.astream_complete("Hi"))
    told, _, way_out = str(caught.value).partition(" — ")
    assert told.startswith(happened)
    assert f"(HTTP {status})" in told
    assert advice in way_out
    assert "connect()" not in way_out
    assert can_succeed_later(caught.value) is later


@pytest.mark.parametrize("name", ["quota", "Moonshot's quota", "Gemini's day", "Zhipu's balance"])
async def test_a_batch_stops_at_a_used_up_quota(name: str) -> None:
    """What is used up is asked for once, and the outcome says it in the server's words."""
    status, body, happened, advice, _ = CASES[name]
    wire = Scripted(json.dumps(body).encode(), status=status, kind="application/json")
    async with serving(wire):
        llm: Any = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        for ask in (llm.acomplete, llm.astream_complete):
            (outcome,) = await run_batch(["Hi"], ask, progress=False)
            assert str(outcome.error).startswith(happened)
            assert advice in str(outcome.error)
    assert len(wire.bodies) == 2


@pytest.mark.parametrize("ask", ["acomplete", "astream_complete"])
async def test_a_wait_nobody_can_mean_ends_with_its_date(ask: str) -> None:
    """Told to wait for a day, a batch stops that item and says until when."""
    wire = Scripted(
        json.dumps(error("Slow down")).encode(),
        status=429,
        kind="application/json",
        headers={"retry-after": "90000"},
    )
    async with serving(wire):
        llm: Any = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        (outcome,) = await run_batch(["Hi"], getattr(llm, ask), progress=False)
    day = time.localtime(time.time() + 90_000)
    assert outcome.attempts == 1
    assert re.search(
        rf"^Slow down \(HTTP 429\) — the server asks you to wait until \d\d:\d\d on {day.tm_mday} "
        rf"{time.strftime('%B %Y', day)}: ask again then\.$",
        str(outcome.error),
    )


@pytest.mark.parametrize("text", ["Your key secret-key-of-mine is bad", "Bearer abc123 is bad"])
async def test_keys_stay_out_of_messages(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that repeats the key it was given does not bring it on the screen."""
    monkeypatch.setenv("NBKIT_API_KEY", "secret-key-of-mine")
    wire = Scripted(json.dumps(error(text)).encode(), status=400, kind="application/json")
    async with serving(wire):
        llm: Any = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        with pytest.raises(StreamBroken, match="is bad") as caught:
            await stream(llm.astream_complete("Hi"))
    assert "secret-key" not in str(caught.value)
    assert "abc123" not in str(caught.value)


async def test_nobody_there_is_named_with_the_address() -> None:
    """A client of the reader's own, without nbkit's transport, gets the same plain words."""
    llm = OpenAI(
        model="gpt-4o-mini", api_key="none", api_base="http://127.0.0.1:9/v1", max_retries=0
    )
    with pytest.raises(StreamBroken, match=r"server at 127\.0\.0\.1:9 cannot be reached — is it"):
        await stream(llm.astream_complete("Hi"))


async def test_a_password_in_an_address_stays_out() -> None:
    """An address with a password is named without it."""
    wire = Scripted(b"It works!", kind="text/plain")
    async with serving(wire):
        port = wire.base_url.rpartition(":")[2].partition("/")[0]
        llm: Any = nbkit.connect(
            f"http://user:secret-pass@127.0.0.1:{port}/v1", model="m", context_window=32_768
        )
        with pytest.raises(StreamBroken, match=r"http://127\.0\.0\.1:\d+/v1 does not") as caught:
            await stream(lambda: llm.stream_complete("Hi"))
    assert "secret" not in str(caught.value)


async def test_what_cannot_be_sent_is_told_from_a_dead_server() -> None:
    """An address that the client refuses is said to be that, and is not tried again."""
    async with serving(Scripted()) as wire:
        address = wire.base_url.replace("http://", "http://user:secret-pass@")
        llm: Any = nbkit.connect(address, model="m", context_window=32_768)
        with pytest.raises(
            StreamBroken, match=r"could not be sent .* check the server's"
        ) as caught:
            await stream(llm.astream_complete("Hi"))
    assert not can_succeed_later(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_cut_event_may_pass_with_any_client() -> None:
    """The SDK's own error for a broken piece of a stream is a lost connection to the retries."""
    wire = Scripted(events(chunk({"content": "Hello"}), done=False) + b'data: {"cho\n\n')
    async with serving(wire):
        llm = OpenAI(model="gpt-4o-mini", api_key="none", api_base=wire.base_url, max_retries=0)
        with pytest.raises(StreamBroken, match=r"arrived broken.*ask again") as caught:
            await stream(llm.astream_complete("Hi"))
    assert caught.value.answer.text == "Hello"
    assert can_succeed_later(caught.value)
    assert not can_succeed_later(caught.value.__cause__)  # type: ignore[arg-type]  # a bug elsewhere
