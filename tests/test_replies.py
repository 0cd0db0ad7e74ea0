"""What servers send with HTTP 200: the text, or one sentence."""

import gzip
import json
from typing import Any

import pytest

import nbkit
from nbkit import stream
from nbkit.batch.retries import can_succeed_later
from nbkit.batch.run import run_batch
from nbkit.models import streamed_chunks as reading
from nbkit.streaming.errors import AnswerTruncated, StreamBroken
from tests.asked import HELLO, STOP, ask, both, whole_too
from tests.wire import Scripted, answer, chunk, events, serving

USAGE = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}


def bare(delta: Any, **more: Any) -> dict[str, Any]:
    """Give a chunk with nothing but its choice."""
    return {"choices": [{"delta": delta, **more}]}


STREAMS = {
    "as it should be": events(HELLO, STOP),
    "a retry alone": b"retry: 1\n\n" + events(HELLO, STOP),
    "an id alone": b"id: 1\n\n" + events(HELLO, STOP),
    "an event name alone": b"event: ping\n\n" + events(HELLO, STOP),
    "empty data": b"data:\n\n" + events(HELLO, STOP),
    "a byte order mark": b"\xef\xbb\xbf" + events(HELLO, STOP),
    "comments": b": OPENROUTER PROCESSING\n\n" + events(HELLO, STOP),
    "carriage returns": events(HELLO, STOP).replace(b"\n", b"\r\n"),
    "no empty line at the end": events(HELLO, STOP).rstrip(),
    "no empty lines between": events(HELLO, STOP).replace(b"\n\n", b"\n"),
    "usage without choices": events(HELLO, STOP, {"usage": USAGE}),
    "choices null": events(HELLO, STOP, {"choices": None, "usage": USAGE}),
    "usage that is odd": events(HELLO, {**STOP, "usage": {"total": 3}}),
    "no id, model or index": events(bare({"content": "Hello"}), bare({}, finish_reason="stop")),
    "content in parts": events(bare({"content": [{"type": "text", "text": "Hello"}]}), STOP),
    "message for delta": events({"choices": [{"message": {"content": "Hello"}}]}, STOP),
    "delta null at the end": events(HELLO, {"choices": [{"delta": None, "finish_reason": "stop"}]}),
    "text for delta": events({"choices": [{"text": "Hello"}]}, STOP),
    "an event of another kind": events({"type": "ping"}, HELLO, STOP),
    "all in one chunk": events(chunk({"content": "Hello"}, "stop")),
    "finish reason empty until the end": events(bare({"content": "Hello"}, finish_reason=""), STOP),
    "done without a finish reason": events(HELLO),
    "usage without a finish reason": events(HELLO, {"choices": [], "usage": USAGE}, done=False),
    "a good end no standard knows": events(HELLO, chunk({}, "eos")),
}


@both
@pytest.mark.parametrize("body", STREAMS.values(), ids=STREAMS.keys())
async def test_a_stream_that_bends_the_protocol_gives_its_text(body: bytes, call: str) -> None:
    """What servers and gateways add, leave out or name differently does not cost the answer."""
    got = await ask(Scripted(body), call)
    assert (got.text, got.state) == ("Hello", "done")


@both
async def test_a_compressed_stream_gives_its_text(call: str) -> None:
    """A proxy may compress the stream: events are looked for in what the client unpacks."""
    body = gzip.compress(events(HELLO, STOP))
    wire = Scripted([body[:20], body[20:]], headers={"content-encoding": "gzip"})
    assert (await ask(wire, call)).text == "Hello"


WHOLE: dict[str, Any] = answer({"role": "assistant", "content": "Hello"})
WHOLES = {
    "as it should be": WHOLE,
    "content in parts": answer({"content": [{"type": "text", "text": "Hello"}, "!"]}),
    "no role, id or model": {"choices": [{"message": {"content": "Hello!"}}]},
    "usage null": {**answer({"content": "Hello!"}), "usage": None},
}


@whole_too
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
@pytest.mark.parametrize("body", WHOLES.values(), ids=WHOLES.keys())
async def test_an_answer_in_one_piece_gives_its_text(
    body: dict[str, Any], kind: str, call: str
) -> None:
    """So it is read, even where a stream was asked for: a server may ignore `stream`."""
    got = await ask(Scripted(json.dumps(body).encode(), kind=kind), call)
    assert got.text.startswith("Hello")
    assert (got.state, got.trace.chunks) == ("done", 1)


HTML = b"<!doctype html><html><head><title>Sign in to Acme</title></head></html>"
SENTENCES = {
    "empty": (b"", r"sent an empty answer \(HTTP 200\) — ask again"),
    "web page": (HTML, r"a web page \('Sign in to Acme'\) instead of an answer — .*sign in there"),
    "LM Studio's": (
        b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}',
        r"^Unexpected endpoint or method.*— check the server's address.*/v1",
    ),
    "Ollama's own": (
        b'{"message":{"content":"Hello"},"done":false}\n{"message":{"content":"!"},"done":true}\n',
        r"does not answer in OpenAI's chat protocol: it sent '{\"message\"",
    ),
    "plain text": (b"It works!", r"does not answer in OpenAI's chat protocol: it sent 'It works!'"),
    "no choices": (b'{"object": "list", "data": []}', r"OpenAI's chat protocol.*check the address"),
    "MiniMax's": (
        b'{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}',
        r"^insufficient balance — this account has no credit left",
    ),
    "an error in OpenAI's shape": (
        b'{"error":{"message":"The engine is on fire","type":"server_error"}}',
        r"^The engine is on fire — ask again",
    ),
}


@whole_too
@pytest.mark.parametrize(("body", "says"), SENTENCES.values(), ids=SENTENCES.keys())
async def test_what_is_no_answer_is_one_sentence(body: bytes, says: str, call: str) -> None:
    """HTTP 200 with something else says what came and what to change, in one line."""
    with pytest.raises(StreamBroken, match=says) as caught:
        await ask(Scripted(body, kind="application/json"), call)
    assert "\n" not in str(caught.value)


@both
async def test_events_of_another_protocol_are_shown(call: str) -> None:
    """A stream in which nothing is OpenAI's says what was in it instead."""
    foreign = {"type": "content_block_delta", "delta": {"text": "Hello"}}
    with pytest.raises(StreamBroken, match=r"OpenAI's chat protocol.*content_block_delta"):
        await ask(Scripted(events(foreign, done=False)), call)


@pytest.mark.parametrize("call", ["async whole", "sync whole"])
async def test_a_stream_that_nobody_asked_for_is_named(call: str) -> None:
    """A server that always streams is told from one that speaks another protocol."""
    with pytest.raises(StreamBroken, match="sends a stream even if not asked for one"):
        await ask(Scripted(events(HELLO, STOP)), call)


async def test_a_missing_v1_is_named() -> None:
    """An address without /v1 is the usual slip, so the right call is in the message."""
    wire = Scripted(HTML, kind="text/html")
    async with serving(wire):
        address = wire.base_url.removesuffix("/v1")
        llm: Any = nbkit.connect(address, model="m", context_window=32_768)
        with pytest.raises(StreamBroken) as caught:
            await stream(llm.astream_complete("Hi"))
    assert f'connect("{address}/v1")' in str(caught.value)


@both
@pytest.mark.parametrize(
    ("tail", "says"),
    [
        (b'data: {"choices": [{"delta": {"cont\n\n', "cut in the middle"),
        (b'data: {"choices": [{"delta": {"cont', "cut in the middle"),
        (events({"error": {"message": "Upstream died", "code": 502}}), "Upstream died"),
        (b"event: error\ndata: Upstream died\n\n", "Upstream died"),
    ],
)
async def test_a_stream_that_breaks_keeps_its_text(tail: bytes, says: str, call: str) -> None:
    """A piece cut by a proxy, or an error in the middle, is a break that may pass."""
    with pytest.raises(StreamBroken, match=rf"broke after 1 chunk \(.*{says}.*ask again") as caught:
        await ask(Scripted(events(HELLO, done=False) + tail), call)
    assert caught.value.answer.text == "Hello"
    assert can_succeed_later(caught.value)


async def test_a_batch_asks_again_after_a_cut_event() -> None:
    """The retries take a cut event for what it is: a connection that was lost."""
    wire = Scripted(events(HELLO, done=False) + b'data: {"cho')
    async with serving(wire):
        llm: Any = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        (outcome,) = await run_batch(["Hi"], llm.astream_complete, attempts=2, progress=False)
    assert outcome.attempts == len(wire.bodies) == 2
    assert outcome.error.answer.text == "Hello"


async def test_a_finish_reason_ends_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its finish reason a server that keeps the connection open is not waited for."""
    monkeypatch.setattr(reading, "GRACE", 0.05)
    got = await ask(Scripted(events(HELLO, STOP, done=False), ends=False), "async")
    assert (got.text, got.state, got.trace.finish_reason) == ("Hello", "done", "stop")


async def test_a_blocking_caller_keeps_an_answer_whose_connection_stays_open() -> None:
    """Where the wait for the end of the connection times out, a finished answer is whole."""
    wire = Scripted(events(HELLO, STOP, done=False), ends=False)
    async with serving(wire):
        llm: Any = nbkit.connect(wire.base_url, model="m", context_window=32_768, timeout=1)
        got = await stream(lambda: llm.stream_complete("Hi"))
    assert (got.text, got.state, got.trace.finish_reason) == ("Hello", "done", "stop")


@both
async def test_usage_after_the_finish_reason_is_heard(call: str) -> None:
    """The usage that follows a finish reason is still read."""
    usage = {**chunk({}), "choices": [], "usage": USAGE}
    got = await ask(Scripted([events(HELLO, STOP, done=False), events(usage)]), call)
    assert got.trace.tokens == 1


@both
async def test_an_end_without_a_reason_is_no_end(call: str) -> None:
    """Without finish reason, usage or [DONE], the connection has closed too early."""
    with pytest.raises(AnswerTruncated, match="closed after 1 chunk") as caught:
        await ask(Scripted(events(HELLO, done=False)), call)
    assert can_succeed_later(caught.value)


async def test_done_is_asked_once() -> None:
    """A batch takes an answer that ends in [DONE] for whole, finish reason or not."""
    wire = Scripted(events(HELLO))
    async with serving(wire):
        llm: Any = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        (outcome,) = await run_batch(["Hi"], llm.astream_complete, progress=False)
    assert (outcome.state, len(wire.bodies)) == ("done", 1)
