"""How the simulated model's answers use meaning, and what that costs its streams."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from nbkit.simulator import Simulator, sentence_vectors, wire
from nbkit.simulator.answers import TOKENS_SURE, TOKENS_UNSURE, answer
from nbkit.simulator.pacing import PROFILES
from nbkit.simulator.passages import split_sentences, take_apart
from nbkit.simulator.planned_reply import Reply
from nbkit.simulator.prompts import PromptMessage
from nbkit.simulator.ranking import MOST_READ, rank
from nbkit.simulator.tokens import tokenize

pytest_plugins = ["tests.simulated"]

CONTEXT = """file_path: /docs/boat.md

# The boat

## On board

The galley has two burners and an oven. Six people can sleep in the cabins. The mast is made of
carbon. The hull was painted in May. The sails were sewn in Kiel. The engine has 40 horsepower.
The anchor weighs 16 kg. A dinghy hangs at the stern. The radio is beside the wheel. Flares are
kept under the bench.
"""

QA = "Context.\n----------\n{context}\n----------\nQuery: {question}\nAnswer: "


def ask(question: str, context: str = CONTEXT) -> str:
    """Ask as LlamaIndex's question-answering prompt does."""
    return answer([PromptMessage("user", QA.format(context=context, question=question))])


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No vector is known yet."""
    monkeypatch.setattr(sentence_vectors, "_kept", {})


def test_a_question_may_share_no_word_with_its_answer() -> None:
    """A sentence that says it in other words, or in another language, is found by its meaning."""
    document = take_apart(CONTEXT)
    assert "galley" in rank("Where could I cook our dinner?", document)[0].text
    assert "people" in rank("晚上能住几个人？", document)[0].text


def test_the_length_follows_from_how_sure_it_is() -> None:
    """Where one sentence fits much better the answer is short, where many fit alike longer."""
    long = f"{CONTEXT}\n{CONTEXT.replace('boat', 'ship').replace('The', 'Its')}"
    longest = max(len(tokenize(sentence)) for sentence in split_sentences(CONTEXT))
    sure = len(tokenize(ask("How much does the anchor weigh?", long)))
    unsure = len(tokenize(ask("Something to eat on the boat?", long)))
    assert sure <= TOKENS_SURE + longest
    assert sure < unsure <= TOKENS_UNSURE + longest


@pytest.mark.usefixtures("nothing_kept")
def test_answers_do_not_depend_on_what_was_asked_before() -> None:
    """The same question gets the same answer, whichever vectors are known already."""
    alone = ask("Where could I cook our dinner?")
    for question in ("晚上能住几个人？", "Is it fast?"):
        ask(question, CONTEXT.replace("Six", "Eight"))
    assert ask("Where could I cook our dinner?") == alone


@pytest.mark.usefixtures("nothing_kept")
def test_a_sentence_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known sentences cost nothing: a new question about them encodes the question alone."""
    ask("Where could I cook our dinner?")
    encoded: list[str] = []
    real = sentence_vectors.encode

    def encode(texts: Sequence[str]) -> Any:
        encoded.extend(texts)
        return real(texts)

    monkeypatch.setattr(sentence_vectors, "encode", encode)
    ask("What powers it?")
    assert encoded == ["What powers it?"]


@pytest.mark.usefixtures("nothing_kept")
def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest vectors are forgotten first, and a context larger than the limit still works."""
    monkeypatch.setattr(sentence_vectors, "MOST_KEPT", 2)
    assert len(sentence_vectors.nearness("a", ["b", "c", "d"], [0, 0, 1])) == 3
    assert list(sentence_vectors._kept) == ["c", "d"]
    vectors = list(sentence_vectors._kept.values())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.usefixtures("nothing_kept")
def test_a_huge_context_is_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a limit only the sentences with the best words are compared by meaning."""
    encoded: list[str] = []

    def encode(texts: Sequence[str]) -> Any:
        encoded.extend(texts)
        return np.ones((len(texts), 4), dtype=np.float32) / 2

    monkeypatch.setattr(sentence_vectors, "encode", encode)
    crowd = " ".join(f"Crate {n} holds rope." for n in range(3 * MOST_READ))
    document = take_apart(f"# Hold\n\n{crowd} The anchor weighs 16 kg.")
    assert "anchor" in rank("What does the anchor weigh?", document)[0].text
    assert len(encoded) == MOST_READ + 1


# What follows needs answers that take a known time to find.

KEY = "key"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], threading.Event]]:
    """Make answers take some seconds to find; gives an event that is set when one was begun."""
    end = threading.Event()

    def make(seconds: float) -> threading.Event:
        begun = threading.Event()

        def reply(*_: Any, **__: Any) -> Reply:
            begun.set()
            end.wait(seconds)
            return Reply("one two three four five six")

        monkeypatch.setattr(wire, "reply", reply)
        return begun

    yield make
    end.set()


async def _client(**settings: Any) -> TestClient[web.Request, web.Application]:
    profile = PROFILES["default"].change({"jitter": 0, "ttft_per_1k_prompt_tokens": 0, **settings})
    server = TestServer(wire.create_app(KEY, {"m": profile}), handler_cancellation=True)
    return TestClient(server, headers={"Authorization": f"Bearer {KEY}"})


_BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}


async def _first_token(client: TestClient[Any, Any]) -> float:
    start = time.perf_counter()
    async with client.post("/v1/chat/completions", json=_BODY) as response:
        async for line in response.content:
            if b"one" in line:
                return time.perf_counter() - start
    raise AssertionError("no token came")


async def test_finding_the_answer_is_part_of_the_delay(
    slow: Callable[[float], threading.Event],
) -> None:
    """The first token leaves when it is due, although the answer took half of that to find."""
    slow(0.6)
    async with await _client(ttft=1.0, tokens_per_second=1000) as client:
        assert 0.9 < await _first_token(client) < 1.5  # 1.6, were it added


async def test_other_streams_go_on_meanwhile(slow: Callable[[float], threading.Event]) -> None:
    """While one answer is being found, the server answers others' requests."""
    begun = slow(3)
    async with await _client(ttft=0) as client:
        waiting = asyncio.create_task(_first_token(client))
        assert await asyncio.to_thread(begun.wait, 2)
        start = time.perf_counter()
        async with client.get("/v1/models") as response:
            assert response.status == 200
        assert time.perf_counter() - start < 1
        waiting.cancel()


async def test_a_client_may_leave_while_its_answer_is_found(
    slow: Callable[[float], threading.Event],
) -> None:
    """A request whose client goes away before there is an answer is cancelled at once."""
    begun = slow(3)
    async with await _client(ttft=0) as client:
        waiting = asyncio.create_task(_first_token(client))
        assert await asyncio.to_thread(begun.wait, 2)
        waiting.cancel()
        rows: list[dict[str, Any]] = []
        end = time.monotonic() + 2
        while not rows or rows[0]["status"] == "queued":
            assert time.monotonic() < end, "the request was not cancelled"
            async with client.get("/simulator/requests") as response:
                rows = await response.json()
        assert rows[0]["status"] == "cancelled"


@pytest.mark.process
def test_a_plain_chat_needs_no_embedding() -> None:
    """Only an answer from a context loads the embedding: 150 MB that a plain chat does without."""
    fresh = Simulator()
    try:
        fresh.set("fresh", speed=0)
        reply = httpx.post(
            f"{fresh.base_url}/chat/completions",
            headers={"Authorization": f"Bearer {fresh.api_key}"},
            json={"model": "fresh", "messages": [{"role": "user", "content": "Hi"}]},
            trust_env=False,
        )
        assert reply.status_code == 200
        assert psutil.Process(fresh.pid).memory_info().rss < 120e6
    finally:
        fresh.stop()
