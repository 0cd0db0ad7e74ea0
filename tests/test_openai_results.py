import json
from pathlib import Path
from typing import Any

import pytest

import nbkit
from nbkit.batch import BatchFileError, from_openai_jsonl
from nbkit.batch.outcome import BatchMisused
from nbkit.batch.trace_export import TraceExportError
from nbkit.streaming.errors import AnswerTruncated, NoAnswer, StreamBroken
from tests.batch_files import (
    QUESTIONS,
    known,
    lines,
    provider,
    reply,
    result,
    save,
    unanswered,
    write,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


async def test_what_failed_and_what_is_missing(path: Path, instant: Any) -> None:
    """Each item without an answer says why, in the provider's words, and what to do."""
    items = [*QUESTIONS, "Hello", "What is it?"]
    written = await write(path, items, instant.acomplete)
    output, errors = provider(instant, written, spoilt="return")
    ids = [line["custom_id"] for line in lines(path)]
    save(output, [one for one in lines(output) if one["custom_id"] not in ids[2:]])
    expired = "The request was not made in time."
    save(errors, [*lines(errors), unanswered(ids[2], "batch_expired", expired)])
    outcomes = from_openai_jsonl([output, str(errors)], items)
    assert [one.state for one in outcomes] == ["done", "failed", "failed", "failed"]
    assert [one.attempts for one in outcomes] == [1, 1, 0, 0]
    assert all(isinstance(one.error, StreamBroken) for one in outcomes[1:])
    said = [str(one.error) for one in outcomes]
    assert "'messages'" in said[1]
    assert "HTTP 400" in said[1]
    assert said[2].startswith("The request was not made in time — ask it again")
    assert "no result for this item" in said[3]
    assert "run_batch" in said[3]


@pytest.mark.parametrize(
    ("body", "kind", "words", "text"),
    [
        (reply({"content": "Two ye"}, "length"), AnswerTruncated, "token limit", "Two ye"),
        (reply({"content": "Two"}, "content_filter"), AnswerTruncated, "content_filter", "Two"),
        (reply({"content": None, "refusal": "I won't."}), NoAnswer, "I won't.", ""),
        (
            reply({"content": None, "tool_calls": [{"function": {"name": "look"}}]}, "tool_calls"),
            NoAnswer,
            "`look`",
            "",
        ),
        (reply({"content": ""}), NoAnswer, "empty answer", ""),
        ({"object": "list"}, StreamBroken, "no answer in OpenAI's chat", None),
        (None, StreamBroken, "server failed (HTTP 502)", None),
        ({"error": {"message": "Slow down", "code": "busy"}}, StreamBroken, "Slow down", None),
    ],
)
async def test_an_incomplete_answer_is_an_error(
    body: Any, kind: type[Exception], words: str, text: str | None, path: Path, instant: Any
) -> None:
    """What is no answer in a stream is none here, and what there is of it is kept."""
    await write(path, QUESTIONS[:1], instant.acomplete)
    results = save(
        path.with_name("o.jsonl"), [result(lines(path)[0]["custom_id"], body, 200 if body else 502)]
    )
    (outcome,) = from_openai_jsonl(results, QUESTIONS[:1])
    assert type(outcome.error) is kind
    assert words in str(outcome.error)
    assert outcome.value is None
    assert outcome.state == ("failed" if text is None else "truncated")
    assert getattr(outcome.error.answer, "text", None) == text


async def test_an_answer_is_worth_more_than_an_error(path: Path, instant: Any) -> None:
    """With the results of two batches, an item that failed in one has the answer of the other."""
    await write(path, QUESTIONS[:1], instant.acomplete)
    key = lines(path)[0]["custom_id"]
    good = save(path.with_name("a.jsonl"), [result(key, reply({"content": "Two years."}))])
    bad = save(path.with_name("b.jsonl"), [unanswered(key, "batch_expired", "Too late.")])
    for order in ([good, bad], [bad, good]):
        assert from_openai_jsonl(order, QUESTIONS[:1])[0].value.text == "Two years."


async def test_nothing_is_invented_about_times(path: Path, tmp_path: Path, instant: Any) -> None:
    """An answer from a file has no TTFT, says so, and is in no file of traces."""
    written = await write(path, QUESTIONS, instant.acomplete)
    outcomes = from_openai_jsonl(provider(instant, written), QUESTIONS)
    trace = outcomes[0].value.trace
    assert (trace.ttft, trace.end_to_end, trace.retrieval) == (None, None, None)
    assert "not timed" in repr(outcomes[0].value)
    assert outcomes[0].trace is None
    assert "no text" in repr(nbkit.Trace(1.0))
    with pytest.raises(TraceExportError, match="None of these answers was timed"):
        nbkit.export_traces(outcomes, tmp_path / "otlp.jsonl")


async def test_its_price_is_that_of_your_file(
    path: Path, tmp_path: Path, instant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write is free; an answer costs its tokens at the prices of the model that answered."""
    prices, table = tmp_path / "prices.toml", "[{}]\ninput = 1e6\noutput = 2e6\n"
    tables = table.format(instant.model) + table.format("m-2026")
    prices.write_text(f'currency = "EUR"\nask_above = 0\n{tables}')
    monkeypatch.setenv("NBKIT_PRICES", str(prices))
    await write(path, QUESTIONS * 5, instant.acomplete)
    body = {**reply({"content": "Two years."}), "model": "m-2026"}
    results = save(tmp_path / "o.jsonl", [result(lines(path)[0]["custom_id"], body)])
    (outcome,) = from_openai_jsonl(results, QUESTIONS[:1])
    assert outcome.value.cost == pytest.approx(9 + 8)
    monkeypatch.delenv("NBKIT_PRICES")
    assert outcome.value.cost is None


async def test_a_journal_asks_only_what_failed(path: Path, tmp_path: Path, instant: Any) -> None:
    """`run_batch` with the journal of a Batch file asks what has no answer, and nothing else."""
    engine = nbkit.load_index("en").as_query_engine(llm=instant, streaming=True)
    items, journal = [*QUESTIONS, QUESTIONS[0]], tmp_path / "journal.jsonl"
    results = provider(instant, await write(path, items, engine.aquery), spoilt="return")
    first = from_openai_jsonl(results, items, engine.aquery, journal=journal)
    again = from_openai_jsonl(results, items, engine.aquery, journal=nbkit.Journal(journal))
    assert [one.state for one in first] == [one.state for one in again]
    recorded = [line.get("error") is None for line in lines(journal)[1:]]
    assert recorded == [True, False, True, False]
    instant.simulator.clear()
    outcomes = await nbkit.run_batch(items, engine.aquery, journal=journal, progress=False)
    assert len(instant.simulator.requests(instant.model)) == 1
    assert [one.resumed for one in outcomes] == [True, False, True]
    assert [one.state for one in outcomes] == ["done"] * 3
    assert known(outcomes[0].value) == known(first[0].value)
    assert "not timed" in repr(outcomes[0].value)
    assert nbkit.Journal(journal).rows()[0]["seconds"] is None
    with pytest.raises(BatchMisused, match="which function was asked"):
        from_openai_jsonl(results, items, journal=journal)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"custom_id": "a", "resp', "Line 2 of .*o.jsonl is not a result"),
        ("[1, 2]", "Line 2 of .*o.jsonl is not a result"),
        ('{"id": 1}', "Line 2 of .*o.jsonl is not a result"),
        ('{"custom_id": "a", "response": null, "error": null}', "Line 2 of .* is not a result"),
        ('{"custom_id": "a", "response": "no"}', "Line 2 of .* is not a result"),
        ("\udcff", "Line 2 of .*o.jsonl is not a result"),
        ('{"custom_id": "a", "method": "POST", "body": {}}', "is a request, not a result"),
    ],
)
def test_a_broken_line_is_named(text: str, words: str, tmp_path: Path) -> None:
    """One clear error names the file and the line."""
    good = json.dumps(result("a", reply({"content": "Yes."})))
    file = tmp_path / "o.jsonl"
    file.write_bytes(f"\ufeff{good}\r\n{text}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(BatchFileError, match=words):
        from_openai_jsonl(file, ["a"])


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ("none.jsonl", "none.jsonl cannot be read"),
        ("", "does not name a file"),
        (None, "not a file name"),
        ([None], "not a file name"),
        ("other.jsonl", "of other questions"),
    ],
)
def test_wrong_files_are_refused(
    results: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is missing, or of other questions, is one clear error."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "other.jsonl", [result("other", reply({"content": "Yes."}))])
    with pytest.raises(BatchFileError, match=words):
        from_openai_jsonl(results, QUESTIONS)


def test_an_empty_file_of_errors_is_no_error(tmp_path: Path) -> None:
    """Files without a line are what a provider gives when nothing was done in time."""
    (tmp_path / "o.jsonl").write_text("\n")
    assert [one.state for one in from_openai_jsonl(tmp_path / "o.jsonl", ["a"])] == ["failed"]
