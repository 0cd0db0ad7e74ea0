"""Half a character, as a model that cuts an emoji sends it, wherever text comes in and goes out."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.response.schema import Response
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import Memory
from llama_index.core.schema import NodeWithScore, TextNode

import nbkit
from nbkit.streaming.errors import StreamError
from nbkit.web.messages import as_json, sources
from nbkit.wording import whole_characters
from tests.wire import Wire, chunk, serving

SMILE, FIRST, SECOND, LOST = "\U0001f600", "\ud83d", "\ude00", "\ufffd"


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ("plain", "plain"),
        (f"流明{SMILE}", f"流明{SMILE}"),
        (f"a{FIRST}{SECOND}b", f"a{SMILE}b"),
        (f"a{FIRST}", f"a{LOST}"),
        (f"{SECOND}{FIRST}", f"{LOST}{LOST}"),
        (f"{FIRST}{FIRST}{SECOND}", f"{LOST}{SMILE}"),
    ],
    ids=ascii,
)
def test_halves(given: str, whole: str) -> None:
    """Halves side by side are joined, those that stay alone are replaced, nothing else changes."""
    assert whole_characters(given) == whole


@pytest.mark.parametrize(
    ("deltas", "chunks"),
    [
        (["a", FIRST, SECOND, "b"], ["a", SMILE, "b"]),
        ([f"a{FIRST}", f"{SECOND}b"], ["a", f"{SMILE}b"]),
        ([FIRST, "", SECOND], [SMILE]),
        ([FIRST, "b"], [f"{LOST}b"]),
        ([FIRST, FIRST, SECOND], [LOST, SMILE]),
        (["a", FIRST], ["a", LOST]),
        ([SECOND], [LOST]),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("blocking", [False, True])
async def test_a_stream_gives_whole_characters(
    deltas: list[str], chunks: list[str], blocking: bool
) -> None:
    """A first half waits for its second; the trace counts what a reader could see."""

    async def words() -> AsyncIterator[str]:
        for delta in deltas:
            yield delta

    tokens = nbkit.stream(iter(deltas) if blocking else words())
    assert [one async for one in tokens] == chunks
    assert tokens.answer is not None
    assert tokens.answer.state == "done"
    assert tokens.trace.sizes == [len(one) for one in chunks]


async def test_an_answer_in_one_piece() -> None:
    """A whole response, its sources and its repr can be encoded."""
    node = TextNode(text=f"The lamp {FIRST}", metadata={"file_name": f"lamp{SECOND}.md"})
    response = Response(f"Yes {FIRST}{SECOND}{FIRST}", [NodeWithScore(node=node, score=0.5)])
    answer = await nbkit.stream(response)
    assert answer.text == f"Yes {SMILE}{LOST}"
    repr(answer).encode()
    assert LOST in as_json(sources(answer.sources))


@pytest.fixture
def cut() -> Wire:
    """Give a server that sends a character in halves, and half a character at the end."""
    wire = Wire()
    parts = ["It shines ", FIRST, f"{SECOND}. ", FIRST]
    wire.chunks[1:-2] = [chunk({"content": part}) for part in parts]
    return wire


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_chat_remembers_whole_characters(cut: Wire, blocking: bool) -> None:
    """LlamaIndex's memory, a database, takes the answer, and what is said with half a character."""
    async with serving(cut):
        llm = nbkit.connect(cut.base_url, model="wire", context_window=32_768)
        engine = SimpleChatEngine.from_defaults(llm=llm, memory=Memory.from_defaults())
        conversation = nbkit.Conversation(engine)
        if blocking:
            answer = await nbkit.stream(lambda: engine.stream_chat("Shine?"))
            expected = [("user", "Shine?")]
        else:
            answer = await conversation.turn(f"Shine {FIRST}?")
            expected = [("user", f"Shine {LOST}?")]
    assert answer.text == f"It shines {SMILE}. {LOST}"
    assert conversation.history == [*expected, ("assistant", answer.text)]


async def test_a_journal_takes_whole_characters(tmp_path: Path) -> None:
    """What is asked, answered and returned with half a character is on record, and comes back."""

    async def ask(item: str) -> Any:
        return Response(f"Yes {FIRST}") if item == "a" else {"text": FIRST}

    path = tmp_path / "run.jsonl"
    items = ["a", f"b{FIRST}"]
    for _ in range(2):
        outcomes = await nbkit.run_batch(items, ask, journal=path, progress=False)
        assert [outcome.error for outcome in outcomes] == [None, None]
    assert all(outcome.resumed for outcome in outcomes)
    assert outcomes[0].value.text == f"Yes {LOST}"
    path.read_text("utf-8").encode()


async def test_an_experiment_is_saved(tmp_path: Path) -> None:
    """Questions, labels and answers with half a character are saved, and load again."""

    async def ask(_: str) -> AsyncIterator[str]:
        yield f"Yes {FIRST}"

    made = await nbkit.measure([f"Why {FIRST}?"], {f"a{FIRST}": ask}, progress=False)
    saved = made.save(tmp_path / "run.jsonl", text=True)
    loaded = nbkit.Experiment.load(saved)
    assert loaded.questions == [f"Why {LOST}?"]
    assert [one.text for one in loaded.results] == [f"Yes {LOST}"]


def test_events_of_a_server() -> None:
    """An event can be encoded, whatever is in it, and stands on one line."""
    line = as_json({"text": f"a{FIRST}\u2028{FIRST}{SECOND}"})
    assert json.loads(line.encode())["text"] == f"a{LOST}\u2028{SMILE}"
    assert "\u2028" not in line


def test_a_message_can_be_shown() -> None:
    """An error that quotes a server's half character can be sent to a page."""
    assert str(StreamError(f"It said {FIRST}")) == f"It said {LOST}"
