# ruff: noqa: ASYNC240 - nothing else runs while a test looks at its own small files
import asyncio
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nbkit import load_index
from nbkit.batch.journal import Journal, JournalError
from nbkit.batch.run import iter_batch, run_batch
from nbkit.streaming.answer import Answer
from tests.simulated import simulated

QUESTIONS = ["How long is the warranty?", "How do I return it?"]


class Asked:
    """An async function that remembers what it was asked, and fails where told."""

    def __init__(self, *failing: Any) -> None:
        self.items: list[Any] = []
        self.failing = list(failing)

    async def ask(self, item: Any) -> Any:
        await asyncio.sleep(0)
        self.items.append(item)
        if item in self.failing:
            raise ValueError(f"no {item}")
        return {"twice": [item, item]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def quiet(items: Any, fn: Any, journal: Any, **options: Any) -> Any:
    return run_batch(items, fn, journal=journal, progress=False, **options)


async def test_a_second_run_asks_only_what_is_missing(path: Path) -> None:
    """What has a value is taken from the journal; what is new or had failed is asked."""
    first, second = Asked(2), Asked()
    await quiet([1, 2, 3], first.ask, path)
    outcomes = await quiet([3, 1, 2, 4], second.ask, str(path))
    assert sorted(second.items) == [2, 4]
    assert [outcome.value["twice"][0] for outcome in outcomes] == [3, 1, 2, 4]
    assert [outcome.resumed for outcome in outcomes] == [True, True, False, False]
    assert all(outcome.trace is None for outcome in outcomes[:2])
    third = Asked()
    await quiet([1, 2, 3, 4], third.ask, path)
    assert third.items == []


async def test_equal_items_are_told_apart_by_their_order(path: Path) -> None:
    """An item listed twice is asked twice, and resumed twice."""
    first, second = Asked(), Asked()
    await quiet(["a"], first.ask, path)
    await quiet(["a", "a", "b"], second.ask, path)
    assert sorted(second.items) == ["a", "b"]


async def test_answers_come_back_with_text_and_timing(path: Path, instant: Any) -> None:
    """A resumed answer has text and latencies of its first run; sources stay as ids on disk."""
    engine = load_index("en").as_query_engine(llm=instant, streaming=True)
    before = await quiet(QUESTIONS, engine.aquery, path)
    instant.simulator.clear()
    after = await quiet(QUESTIONS, engine.aquery, path)
    assert instant.simulator.requests(instant.model) == []
    for old, new in zip(before, after, strict=True):
        assert isinstance(new.value, Answer)
        assert new.value.text == old.value.text
        assert new.value.state == "done"
        assert new.value.trace.ttft == pytest.approx(old.trace.ttft, abs=1e-3)
        assert new.value.trace.chunks == old.trace.chunks
        assert new.value.trace.tokens == old.trace.tokens > 0
        assert new.value.trace.start == pytest.approx(old.trace.start, abs=0.1)
        assert new.value.sources == []
    rows = Journal(path).rows()
    node = before[0].value.sources[0]
    row = next(row for row in rows if row["item"] == QUESTIONS[0])
    assert row["sources"][0] == {"id": node.node_id, "score": pytest.approx(node.score)}


async def test_rows_are_flat_and_the_last_record_counts(path: Path) -> None:
    """A journal reads as one dict an item: what pandas.DataFrame takes, errors as text."""
    await quiet([1, 2], Asked(2).ask, path)
    (good, bad) = sorted(Journal(path).rows(), key=lambda row: row["item"])
    assert (good["value"], good["error"], good["attempts"]) == ({"twice": [1, 1]}, None, 1)
    assert bad["error"] == "ValueError: no 2"
    await quiet([1, 2], Asked().ask, path)
    assert [row["error"] for row in Journal(path).rows()] == [None, None]


async def test_a_journal_is_a_table_in_one_call(path: Path, instant: Any) -> None:
    """Pandas makes a table of the rows: an item a line, numbers as numbers, failures without."""
    engine = load_index("en").as_query_engine(llm=instant, streaming=True)
    await quiet(QUESTIONS, engine.aquery, path)
    table = pd.DataFrame(Journal(path).rows())
    assert sorted(table["item"]) == sorted(QUESTIONS)
    assert table["error"].isna().all()
    assert (table["tokens"] > 0).all()
    assert pd.api.types.is_numeric_dtype(table["ttft"])


async def test_every_record_is_on_disk_before_its_outcome_is_seen(path: Path) -> None:
    """Whoever holds an outcome can rely on its record, before the batch has ended."""
    async for outcome in iter_batch(range(5), Asked().ask, journal=path):
        keys = [json.loads(line).get("key") for line in path.read_text("utf-8").splitlines()]
        assert outcome.key in keys


async def test_an_interrupted_run_keeps_what_is_done(path: Path) -> None:
    """Cancelled in the middle, a batch leaves a whole journal, and the next does the rest."""
    reached = asyncio.Event()

    async def ask(number: int) -> int:
        if number == 3:
            reached.set()
            await asyncio.sleep(60)
        return number

    task = asyncio.ensure_future(quiet(range(4), ask, path))
    await reached.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {row["item"] for row in Journal(path).rows()} == {0, 1, 2}


@pytest.mark.parametrize("kept", [1, 10, -1])
async def test_a_torn_last_line_is_repaired(path: Path, kept: int) -> None:
    """A record cut anywhere by a crash is dropped and asked again; the others stay."""
    ask = Asked().ask
    await quiet([1, 2, 3], ask, path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    again = Asked()
    outcomes = await quiet([1, 2, 3], again.ask, path)
    assert again.items == [json.loads(lines[-1])["item"]]
    assert [outcome.value["twice"][0] for outcome in outcomes] == [1, 2, 3]
    assert len(Journal(path).rows()) == 3


@pytest.mark.parametrize("size", [0, 1, 20, 40])
async def test_a_torn_first_line_is_begun_anew(path: Path, size: int) -> None:
    """A journal killed at its very beginning is a new one."""
    await quiet([1], Asked().ask, path)
    path.write_bytes(path.read_bytes()[:size])
    again = Asked()
    await quiet([1], again.ask, path)
    assert again.items == [1]
    assert len(Journal(path).rows()) == 1


@pytest.mark.parametrize("text", ["question,answer\n1,2\n", "no newline", '{"a": 1}\n', "[1]\n"])
async def test_another_file_is_never_touched(path: Path, text: str) -> None:
    """A file that is no journal is refused and stays as it is."""
    path.write_text(text, "utf-8")
    with pytest.raises(JournalError, match="is not a journal of a batch"):
        await quiet([1], Asked().ask, path)
    with pytest.raises(JournalError, match="is not a journal of a batch"):
        Journal(path).rows()
    assert path.read_text("utf-8") == text


async def test_a_damaged_line_is_named(path: Path) -> None:
    """A line in the middle that is not a record is an error with its number, and nothing is cut."""
    await quiet([1, 2], Asked().ask, path)
    lines = path.read_text("utf-8").splitlines(keepends=True)
    text = f"{lines[0]}oops\n{lines[1]}"
    path.write_text(text, "utf-8")
    with pytest.raises(JournalError, match=r"Line 2 of .* is not a record"):
        await quiet([1, 2], Asked().ask, path)
    assert path.read_text("utf-8") == text


async def test_changed_parameters_are_noticed(path: Path) -> None:
    """A journal for other parameters is refused, saying which changed; the same are welcome."""
    await quiet([1], Asked().ask, Journal(path, corpus="en", top_k=2))
    await quiet([1], Asked().ask, Journal(path, top_k=2, corpus="en"))
    with pytest.raises(JournalError, match=r"other parameters \(top_k was '2', is '3'\)"):
        await quiet([1], Asked().ask, Journal(path, corpus="en", top_k=3))
    with pytest.raises(JournalError, match=r"fn was 'Asked\.ask', is 'other'"):
        await quiet([1], other, Journal(path, corpus="en", top_k=2))


async def other(item: Any) -> Any:
    return item


async def test_another_model_or_engine_is_noticed(path: Path, instant: Any) -> None:
    """What shows of an engine is part of the parameters: how many nodes it reads, for one."""
    index = load_index("en")
    await quiet(QUESTIONS[:1], index.as_query_engine(llm=instant).aquery, path)
    with pytest.raises(JournalError, match="similarity_top_k was '2', is '4'"):
        engine = index.as_query_engine(llm=instant, similarity_top_k=4)
        await quiet(QUESTIONS[:1], engine.aquery, path)


async def test_two_writers_are_refused(path: Path) -> None:
    """While one batch writes a journal, another is told so; afterwards it may."""
    gate = asyncio.Event()

    async def ask(item: int) -> int:
        await gate.wait()
        return item

    first = asyncio.ensure_future(quiet([1], ask, path))
    while not path.exists():
        await asyncio.sleep(0)
    with pytest.raises(JournalError, match="Another batch is writing"):
        await quiet([1], ask, path)
    gate.set()
    assert (await first)[0].value == 1
    assert (await quiet([1], ask, path))[0].resumed


async def test_items_that_json_cannot_hold_are_refused_first(path: Path) -> None:
    """With a journal, an item without a JSON form is an error before anything is asked."""
    asked = Asked()
    with pytest.raises(JournalError, match=r"Item .* cannot be written as JSON"):
        await quiet([1, object()], asked.ask, path)
    assert asked.items == []
    outcomes = iter_batch([1, object()], asked.ask, journal=path, max_concurrency=1)
    with pytest.raises(JournalError, match="cannot be written as JSON"):
        _ = [outcome async for outcome in outcomes]
    assert [row["item"] for row in Journal(path).rows()] == [1]


async def test_a_value_that_json_cannot_hold_is_kept_and_reported(path: Path) -> None:
    """The value stays in the outcome; its error says that the journal could not take it."""

    async def ask(item: int) -> Any:
        return {1, item} if item else item

    outcomes = await quiet([0, 2], ask, path)
    assert [outcome.state for outcome in outcomes] == ["done", "failed"]
    assert outcomes[1].value == {1, 2}
    assert isinstance(outcomes[1].error, JournalError)
    assert "The value of item '2' cannot be written as JSON" in str(outcomes[1].error)


async def test_a_journal_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` is the home folder, as a string and as a Path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    await quiet([1], Asked().ask, "~/notes/run.jsonl")
    assert (await quiet([1], Asked().ask, Path("~/notes/run.jsonl")))[0].resumed
    assert [found.name for found in tmp_path.iterdir()] == ["notes"]


@pytest.mark.parametrize("name", ["", " ", ".", "/", "~", "~nobody-of-that-name/x", 7, b"x"])
async def test_a_journal_must_be_a_file(name: Any) -> None:
    """An empty name, a folder or a number is one sentence before anything is asked."""
    asked = Asked()
    for call in (run_batch, iter_batch):
        with pytest.raises(JournalError, match=r" — (give|write) "):
            call([1], asked.ask, journal=name)
    with pytest.raises(JournalError, match=r" — (give|write) "):
        Journal(name)
    assert asked.items == []


async def test_a_journal_without_its_file(path: Path) -> None:
    """Reading a journal that does not exist is one clear error."""
    with pytest.raises(JournalError, match=r"There is no journal .*run\.jsonl"):
        Journal(path).rows()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
async def test_a_full_disk_is_found_before_anything_is_asked(path: Path) -> None:
    """A journal that cannot take its first line ends the batch at once."""
    path.symlink_to("/dev/full")
    asked = Asked()
    with pytest.raises(JournalError, match=r"cannot be written \(No space left on device\)"):
        await quiet([1], asked.ask, path)
    assert asked.items == []


async def test_keys_stay_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that quotes the key it was sent is written down without it."""
    monkeypatch.setenv("OTHER_API_KEY", "a-very-secret-thing")

    async def ask(_: int) -> None:
        raise ValueError(
            "Incorrect key: sk-proj-Abc123Def456, Bearer abcdef123, a-very-secret-thing"
        )

    await quiet([1], ask, path)
    text = path.read_text("utf-8")
    assert "Incorrect key: [key], [key], [key]" in text
    llm = simulated(speed=0)
    await quiet([QUESTIONS[0]], llm.astream_complete, path.with_name("other.jsonl"))
    assert llm.simulator.api_key not in path.with_name("other.jsonl").read_text("utf-8")
