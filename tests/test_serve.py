import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import fastapi.routing
import httpx
import pytest
from llama_index.core.chat_engine import SimpleChatEngine

import nbkit
from nbkit.web import sessions
from nbkit.web.server import Server
from tests.served import Scripted, answer_to, asking, echo, endless, parrot, refusal, text_of
from tests.simulated import wait_for


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for the tests of this file that change nothing about it."""
    with nbkit.serve(Scripted(echo), chat=parrot) as running:
        yield running


def test_an_answer_is_sources_then_tokens_then_done(server: Server) -> None:
    """The events come in the order they are known, numbered, and the last one has the timing."""
    events = answer_to(server, question="one two three")
    assert [event["event"] for event in events][:: len(events) - 1] == ["sources", "done"]
    assert {event["event"] for event in events[1:-1]} == {"token"}
    assert [event["id"] for event in events] == [str(n + 1) for n in range(len(events))]
    assert text_of(events) == "one two three "
    source = {"name": "lamp.md", "score": 0.5, "excerpt": "# The lamp It shines."}
    assert events[0]["data"] == {"sources": [source]}
    done = events[-1]["data"]
    assert done["chunks"] == 3
    assert 0 < done["retrieval"] <= done["ttft"] <= done["end_to_end"]
    assert done["stopped"] is False


def test_the_headers_tell_proxies_not_to_hold_it_back(server: Server) -> None:
    """Nginx does not buffer it, nothing caches it, and browsers know what it is."""
    with asking(server, question="x") as reply:
        headers = reply.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-cache, no-transform"
        assert headers["x-accel-buffering"] == "no"
        assert headers["x-content-type-options"] == "nosniff"


def test_line_breaks_in_the_text_do_not_break_events(server: Server) -> None:
    """CR, LF, blank lines and what looks like a field arrive as they were written."""
    text = "a\r\nb\n\nevent: done\rdata: x\u2028y\x85z\x0b说：\x00"
    assert text_of(answer_to(server, question=text)) == f"{text} "


def test_half_a_character_does_not_end_the_stream() -> None:
    """A surrogate pair that a model cuts in two arrives as its halves, for the reader to join."""

    async def halves(_question: str) -> AsyncIterator[str]:
        for half in "\ud83d\udca1":
            yield half
            await asyncio.sleep(0.01)

    with nbkit.serve(Scripted(halves)) as server:
        text = text_of(answer_to(server, question="x"))
        assert text.encode("utf-16", "surrogatepass").decode("utf-16") == "💡"
        assert answer_to(server, question="x", html=True)[-1]["event"] == "done"


def test_html_comes_beside_the_text_when_asked_for(server: Server) -> None:
    """With `html`, finished blocks and the open one are sent rendered, and nothing in it runs."""
    events = answer_to(server, question="**a**\n\n<script>b</script> c", html=True)
    tokens = [event["data"] for event in events if event["event"] == "token"]
    html = "".join(block for token in tokens for block in token["finished"]) + tokens[-1]["open"]
    assert "<strong>a</strong>" in html
    assert "<script" not in html
    assert text_of(events) == "**a**\n\n<script>b</script> c "


def test_the_first_event_does_not_wait_for_the_first_token() -> None:
    """The sources are sent while the model has not said anything yet."""
    said = asyncio.Event()

    async def late(_question: str) -> AsyncIterator[str]:
        await said.wait()
        yield "done"

    with nbkit.serve(Scripted(late)) as server, asking(server, question="x") as reply:
        assert next(iter(reply))["event"] == "sources"
        server._loop.call_soon_threadsafe(said.set)
        assert reply.until("token")["data"] == {"text": "done"}


def test_a_heartbeat_keeps_a_waiting_connection_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing is said, comments are sent, which readers skip and proxies count as life."""
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.02)

    async def late(_question: str) -> AsyncIterator[str]:
        await asyncio.sleep(0.15)
        yield "done"

    with nbkit.serve(Scripted(late)) as server, asking(server, question="x") as reply:
        assert text_of(list(reply)) == "done"
        assert len(reply.comments) >= 2


def test_an_error_keeps_what_had_arrived() -> None:
    """A model that fails midway ends the stream with an `error` event after the partial answer."""

    async def broken(_question: str) -> AsyncIterator[str]:
        yield "half "
        raise RuntimeError("out of oil")

    with nbkit.serve(Scripted(broken)) as server:
        events = answer_to(server, question="x")
    assert [event["event"] for event in events] == ["sources", "token", "error"]
    assert events[-1]["data"]["message"] == (
        "The stream broke after 1 chunk (RuntimeError: out of oil) — what had arrived is kept; "
        "ask again."
    )
    assert events[-1]["data"]["chunks"] == 1
    assert text_of(events) == "half "


def test_too_many_at_once_are_told_when_to_come_back() -> None:
    """Beyond `max_concurrency` the answer is 503 with Retry-After, until a place is free again."""
    with nbkit.serve(Scripted(endless), max_concurrency=1) as server:
        with asking(server, question="x") as first:
            first.until("token")
            with asking(server, question="y") as second:
                assert second.response.headers["retry-after"] == "2"
                assert refusal(second.response)[0] == 503
        wait_for(lambda: server.streaming == 0)
        with asking(server, question="z") as third:
            assert third.until("token")


def test_an_answer_can_be_stopped_by_name() -> None:
    """Where a proxy hides that the reader has gone, X-Answer names what is to be stopped."""
    with nbkit.serve(Scripted(endless)) as server, asking(server, question="x") as reply:
        reply.until("token")
        name = reply.response.headers["x-answer"]
        stopped = httpx.delete(f"{server.url}/answers/{name}", headers=server.headers)
        assert stopped.status_code == 204
        assert reply.until("done")["data"]["stopped"] is True
        again = httpx.delete(f"{server.url}/answers/{name}", headers=server.headers)
        assert again.status_code == 204


def test_an_answer_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a model writes, an answer takes no longer than its limit."""
    monkeypatch.setattr("nbkit.web.app.ANSWER_SECONDS", 0.05)
    with nbkit.serve(Scripted(endless)) as server:
        assert answer_to(server, question="x")[-1]["data"]["stopped"] is True


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "question: Field required"),
        ({"question": "  "}, "question: String should have at least 1 character"),
        ({"question": "x" * 4001}, "question: String should have at most 4000 characters"),
        ({"question": ["x"]}, "question: Input should be a valid string"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(server: Server, body: object, said: str) -> None:
    """Bad input gets one sentence, which does not repeat the input."""
    response = httpx.post(f"{server.url}/query", json=body, headers=server.headers)
    assert refusal(response) == (422, said)


def test_a_chat_remembers(server: Server) -> None:
    """A session keeps what was said; another one knows nothing of it."""
    with asking(server, "chat", message="one") as reply:
        name = reply.response.headers["x-session"]
        assert "assistant" in text_of(list(reply))
    assert "user: one" in text_of(answer_to(server, "chat", message="two", session=name))
    assert "user: one" not in text_of(answer_to(server, "chat", message="two"))


def test_an_ended_session_is_gone(server: Server) -> None:
    """What was said in a conversation that was ended cannot be reached any more."""
    with asking(server, "chat", message="one") as reply:
        name = reply.response.headers["x-session"]
        list(reply)
    gone = httpx.delete(f"{server.url}/chat/{name}", headers=server.headers)
    assert gone.status_code == 204
    with asking(server, "chat", message="two", session=name) as reply:
        assert refusal(reply.response)[0] == 404


def test_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are too many, the one in which nothing was said for longest gives way."""
    monkeypatch.setattr("nbkit.web.app.MAX_SESSIONS", 2)
    names = []
    with nbkit.serve(chat=parrot) as server:
        for _ in range(3):
            with asking(server, "chat", message="one") as reply:
                names.append(reply.response.headers["x-session"])
                list(reply)
        statuses = []
        for name in names:
            with asking(server, "chat", message="two", session=name) as reply:
                statuses.append(reply.response.status_code)
                list(reply.lines)
    assert statuses == [404, 200, 200]


def test_sessions_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation in which nothing is said for long enough is forgotten."""
    monkeypatch.setattr("nbkit.web.app.IDLE_SECONDS", 0.05)
    with nbkit.serve(chat=parrot) as server:
        with asking(server, "chat", message="one") as reply:
            name = reply.response.headers["x-session"]
            list(reply)

        time.sleep(0.06)
        with asking(server, "chat", message="two", session=name) as reply:
            assert refusal(reply.response)[0] == 404


def test_a_chat_that_cannot_begin_says_why() -> None:
    """What goes wrong in the function that makes chat engines reaches whoever asked."""

    def make() -> SimpleChatEngine:
        raise RuntimeError("no oil")

    with nbkit.serve(chat=make) as server:
        for _ in range(2):
            with asking(server, "chat", message="one") as reply:
                assert refusal(reply.response) == (500, "The server failed (RuntimeError: no oil).")
        assert server.streaming == 0


def test_two_messages_at_once_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session takes one message at a time; the second is told to wait, the first goes on."""
    monkeypatch.setattr(sessions, "WAIT_SECONDS", 0.05)
    llm = nbkit.connect(ttft=0.3, jitter=0)
    with (
        nbkit.serve(chat=lambda: SimpleChatEngine.from_defaults(llm=llm)) as server,
        asking(server, "chat", message="one") as first,
    ):
        name = first.response.headers["x-session"]
        with asking(server, "chat", message="two", session=name) as second:
            assert second.response.headers["retry-after"]
            assert refusal(second.response)[0] == 409


def test_the_schema_tells_what_to_ask(server: Server) -> None:
    """FastAPI's OpenAPI document has every address, what is asked there, and that events come."""
    schema = httpx.get(f"{server.url}/openapi.json", headers=server.headers).json()
    assert set(schema["paths"]) == {"/query", "/chat", "/chat/{session}", "/answers/{answer}"}
    answer = schema["paths"]["/query"]["post"]["responses"]["200"]["content"]
    assert set(answer) == {"text/event-stream"}
    assert {"Query", "Message"} <= set(schema["components"]["schemas"])
