# ruff: noqa: ASYNC240 - nothing else runs while a test looks at its own small files
import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.llms import MockLLM
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.openai_like import OpenAILike

import nbkit
from nbkit.batch import BatchFileError, Outcome, from_openai_jsonl, openai_batch, to_openai_jsonl
from nbkit.batch.outcome import BatchMisused
from nbkit.batch.trace_export import TraceExportError
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import AnswerTruncated, NoAnswer, StreamBroken
from tests.simulated import simulated
from tests.wire import Wire, serving

QUESTIONS = ["How long is the warranty?", "How do I return it?"]
CHINESE = ["保修期多长?", "怎么申请退货?"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


async def write(path: Path, questions: Any, ask: Any, **options: Any) -> list[Path]:
    return await to_openai_jsonl(path, questions, ask, **{"progress": False, **options})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def save(path: Path, results: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in results), "utf-8")
    return path


def provider(llm: Any, files: list[Path], spoilt: str = "") -> list[Path]:
    """Do what a provider does in a day: send each body; give the results in two files, unsorted.

    The request with the text `spoilt` is sent without its messages, which the server refuses.
    """
    done: tuple[list[Any], list[Any]] = ([], [])
    for line in [line for file in files for line in lines(file)]:
        body = line["body"]
        if spoilt and spoilt in body["messages"][-1]["content"]:
            body.pop("messages")
        reply = httpx.post(
            llm.api_base.removesuffix("/v1") + line["url"],
            headers={"Authorization": f"Bearer {llm.simulator.api_key}"},
            json=body,
            trust_env=False,
        )
        done[reply.is_error].append(result(line["custom_id"], reply.json(), reply.status_code))
    folder = files[0].parent
    return [save(folder / "output.jsonl", done[0][::-1]), save(folder / "errors.jsonl", done[1])]


def result(key: str, body: Any, status: int = 200) -> dict[str, Any]:
    """A line of results in OpenAI's form."""
    response = {"status_code": status, "request_id": "req_1", "body": body}
    return {"id": "batch_req_1", "custom_id": key, "response": response, "error": None}


def unanswered(key: str, code: str, message: str) -> dict[str, Any]:
    """A line of the file of errors, for a request that was not made."""
    failed = {"code": code, "message": message}
    return {"id": "batch_req_1", "custom_id": key, "response": None, "error": failed}


def reply(message: dict[str, Any], finish_reason: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{**choice, "finish_reason": finish_reason}],
        "usage": usage,
    }


def known(answer: Answer) -> Any:
    """All that a batch and `run_batch` must agree on."""
    trace = answer.trace
    return (answer.text, answer.thought, trace.usage, trace.tokens, trace.finish_reason)


@pytest.mark.parametrize(
    ("language", "questions", "streaming"),
    [("en", QUESTIONS, True), ("en", QUESTIONS, False), ("zh", CHINESE, True)],
)
async def test_a_query_engine_there_and_back(
    language: str, questions: list[str], streaming: bool, path: Path, instant: Any
) -> None:
    """No model is asked for the file, and its results are what `run_batch` gets."""
    engine = nbkit.load_index(language).as_query_engine(llm=instant, streaming=streaming)
    written = await write(path, questions, engine.aquery)
    assert instant.simulator.requests(instant.model) == []
    assert written == [path]
    outcomes = from_openai_jsonl(provider(instant, written), questions)
    asked = await nbkit.run_batch(questions, engine.aquery, progress=False)
    assert [known(one.value) for one in outcomes] == [known(one.value) for one in asked]
    assert [(one.item, one.index, one.attempts) for one in outcomes] == [
        (question, index, 1) for index, question in enumerate(questions)
    ]
    assert all(question in path.read_text("utf-8") for question in questions)


async def test_thoughts_and_own_functions(path: Path) -> None:
    """A function of one's own that asks once will do; thoughts are kept apart from answers."""
    llm = simulated(speed=0, thinking_tokens=20)

    async def ask(item: dict[str, str]) -> Any:
        return await llm.astream_complete(f"Answer in {item['language']}: {item['question']}")

    items = [{"question": question, "language": "English"} for question in QUESTIONS]
    outcomes = from_openai_jsonl(provider(llm, await write(path, items, ask)), items)
    asked = await nbkit.run_batch(items, ask, progress=False)
    assert [known(one.value) for one in outcomes] == [known(one.value) for one in asked]
    assert outcomes[0].value.thought


async def test_the_body_is_what_the_llm_would_have_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every setting of LLM and call is in the body, the stream and the key are not."""
    async with serving(Wire()) as wire:
        key = "sk-of-a-customer"
        theirs = OpenAILike(
            model="m",
            api_base=wire.base_url,
            api_key=key,
            is_chat_model=True,
            temperature=0.25,
            max_tokens=77,
            additional_kwargs={"seed": 5},
        )
        monkeypatch.setenv("NBKIT_API_KEY", key)
        ours: Any = nbkit.connect(wire.base_url, model="m", context_window=32_768)
        assert ours.api_key == key

        async def with_settings(question: str) -> Any:
            return await theirs.astream_complete(question, stop=["\n"])

        for ask in (with_settings, theirs.acomplete, ours.acomplete, ours.astream_complete):
            await write(path, ["保修期多长?"], ask)
            assert wire.bodies == []
            (line,) = lines(path)
            assert key not in path.read_text("utf-8")
            await nbkit.run_batch(["保修期多长?"], ask, attempts=1, progress=False)
            sent = json.loads(wire.bodies.pop())
            assert line["body"] == {k: sent[k] for k in sent if not k.startswith("stream")}
            assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("api.example.com/v1", "/v1/chat/completions"),
        ("example.com/api/paas/v4", "/v4/chat/completions"),
        ("example.com/openai/deployments/mine", "/chat/completions"),
    ],
)
async def test_the_path_is_that_of_the_provider(base: str, url: str, path: Path) -> None:
    """A Batch file names the path from the version on; no connection is made for it."""
    llm = OpenAILike(model="m", api_base=f"https://{base}", api_key="k", is_chat_model=True)
    await write(path, QUESTIONS[:1], llm.acomplete)
    assert lines(path)[0]["url"] == url


async def test_others_use_the_same_llm_meanwhile(path: Path, instant: Any) -> None:
    """Only the task that writes the file gets no answers, and only until it is written."""
    engine = nbkit.load_index("en").as_query_engine(llm=instant, streaming=True)
    writing = asyncio.create_task(write(path, QUESTIONS * 5, engine.aquery))
    answers = await asyncio.gather(*(nbkit.stream(engine.aquery(one)) for one in QUESTIONS))
    await writing
    later = await nbkit.stream(engine.aquery(QUESTIONS[0]))
    assert len(instant.simulator.requests(instant.model)) == 3
    assert later.text == answers[0].text
    assert "no model was asked" not in later.text
    assert "no model was asked" not in answers[1].text


async def test_other_requests_of_the_function_are_sent(path: Path, instant: Any) -> None:
    """An embedding or a database behind HTTP answers as always."""
    seen = []

    async def ask(question: str) -> Any:
        headers = {"Authorization": f"Bearer {instant.simulator.api_key}"}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            seen.append(await client.get(f"{instant.api_base}/models"))
            seen.append(await client.post(f"{instant.api_base}/embeddings", json={}))
        return await asyncio.to_thread(instant.complete, question)

    await write(path, QUESTIONS[:1], ask)
    assert seen[0].json()["object"] == "list"
    assert seen[1].status_code == 404
    assert instant.simulator.requests(instant.model) == []
    assert lines(path)[0]["body"]["messages"] == [{"role": "user", "content": QUESTIONS[0]}]


async def test_equal_items_have_ids_of_their_own(path: Path, instant: Any) -> None:
    """Ids depend on the items alone, so any list with equal items finds its results."""
    items = ["a", {"b": 1, "a": 2}, "a"]

    async def ask(item: Any) -> Any:
        return await instant.acomplete(f"Hello {item}")

    await write(path, items, ask)
    ids = [line["custom_id"] for line in lines(path)]
    assert len(set(ids)) == 3
    await write(path, [{"a": 2, "b": 1}, "a", "a"], ask)
    assert {line["custom_id"] for line in lines(path)} == set(ids)
    told = [result(key, reply({"content": f"{n}"})) for n, key in enumerate(ids)]
    results = save(path.with_name("output.jsonl"), told)
    assert [one.value.text for one in from_openai_jsonl(results, items[::-1])] == ["0", "1", "2"]


async def test_many_requests_are_several_files(
    path: Path, instant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file has more requests or bytes than the provider takes; together they have all."""
    questions = [f"{QUESTIONS[0]} {'水' * 100} {number}" for number in range(7)]
    monkeypatch.setattr(openai_batch, "MOST_REQUESTS", 3)
    written = await write(path, questions, instant.acomplete)
    assert [file.name for file in written] == ["run-1.jsonl", "run-2.jsonl", "run-3.jsonl"]
    assert [len(lines(file)) for file in written] == [3, 3, 1]
    assert not path.exists()
    outcomes = from_openai_jsonl(provider(instant, written), questions)
    assert [one.state for one in outcomes] == ["done"] * 7
    size = written[0].stat().st_size
    for most, first in ((size - 1, 2), (size, 3)):
        monkeypatch.setattr(openai_batch, "MOST_BYTES", most)
        written = await write(path, questions, instant.acomplete)
        assert len(lines(written[0])) == first


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
        ({"error": {"message": "Slow down", "code": "busy"}}, StreamBroken, "Slow down", None),
    ],
)
async def test_an_incomplete_answer_is_an_error(
    body: Any, kind: type[Exception], words: str, text: str | None, path: Path, instant: Any
) -> None:
    """What is no answer in a stream is none here, and what there is of it is kept."""
    await write(path, QUESTIONS[:1], instant.acomplete)
    results = save(path.with_name("o.jsonl"), [result(lines(path)[0]["custom_id"], body)])
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


def weather(city: str) -> str:
    """Tell the weather."""
    return city


def _refine(llm: Any) -> Any:
    return nbkit.load_index("en").as_query_engine(llm=llm, response_mode="refine").aquery


def _chat(llm: Any) -> Any:
    return nbkit.load_index("en").as_chat_engine(chat_mode="context", llm=llm).achat


def _remembers(llm: Any) -> Any:
    said: list[str] = []

    async def ask(question: str) -> Any:
        answer = await llm.acomplete("\n".join([*said, question]))
        said.append(str(answer))
        return answer

    return ask


def _decides(llm: Any) -> Any:
    async def ask(question: str) -> Any:
        return json.loads(str(await llm.acomplete(question)))

    return ask


def _asks_nobody(_: Any) -> Any:
    async def ask(question: str) -> str:
        return question.upper()

    return ask


def _fails(_: Any) -> Any:
    async def ask(question: str) -> str:
        raise ValueError("the index is gone")

    return ask


def _tools(llm: Any) -> Any:
    async def ask(question: str) -> Any:
        return await llm.achat_with_tools([FunctionTool.from_defaults(weather)], question)

    return ask


def _two_models(llm: Any) -> Any:
    async def ask(question: str) -> Any:
        return await llm.acomplete(question, model=f"m{len(question)}")

    return ask


def _run(llm: Any) -> Any:
    agent = ReActAgent(tools=[weather], llm=llm)
    return lambda question: agent.run(user_msg=question)


def _responses(llm: Any) -> Any:
    key = llm.simulator.api_key
    return OpenAIResponses(model="gpt-4o-mini", api_base=llm.api_base, api_key=key).acomplete


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (_refine, "needs 2 requests to a model or more"),
        (_chat, "depends on answers"),
        (_remembers, "'How do I return it.' contains an earlier answer"),
        (_decides, "needs the model's answer to go on"),
        (_asks_nobody, "made no request to a model"),
        (_fails, "failed before the request .the index is gone"),
        (_tools, "offers the model tools"),
        (_two_models, r"ask 2 models \(m19, m25\)"),
        (_responses, r"another protocol than OpenAI's chat \(/responses\)"),
        (lambda llm: FunctionAgent(tools=[weather], llm=llm), "depends on answers"),
        (_run, "depends on answers"),
        (lambda llm: MockLLM().acomplete, "made no request to a model"),
    ],
)
async def test_what_a_batch_file_cannot_hold(
    made: Callable[[Any], Any], words: str, path: Path, instant: Any
) -> None:
    """One clear error, no request and no file for what is not one request for each item."""
    path.write_text("older")
    with pytest.raises(BatchFileError, match=words):
        await write(path, QUESTIONS, made(instant))
    assert path.read_text() == "older"
    assert instant.simulator.requests(instant.model) == []


async def test_wrong_calls_are_refused(path: Path, instant: Any) -> None:
    """What `run_batch` refuses is refused, too."""
    for questions, ask, words in [
        ("How?", instant.acomplete, "Got str where questions"),
        ([], instant.acomplete, "no questions"),
        ([{1, 2}], instant.acomplete, "cannot be written as JSON"),
        (["How?"], instant.complete, "pass `acomplete`"),
        (["How?"], "acomplete", "Got str where a function was expected"),
        (["How?"], len, "not an async function"),
    ]:
        with pytest.raises(BatchMisused, match=words):
            await write(path, questions, ask)
    with pytest.raises(BatchFileError, match="could not be written"):
        path.write_text("a file")
        await write(path / "run.jsonl", ["How?"], instant.acomplete)


async def test_progress_is_told_by_item(path: Path, instant: Any) -> None:
    """A function of your own hears of each item that is in the file."""
    told: list[Any] = []

    def hear(done: int, total: int | None, item: object) -> None:
        told.append((done, total, item))

    await write(path, QUESTIONS, instant.acomplete, progress=hear)
    assert [(done, total) for done, total, _ in told] == [(1, 2), (2, 2)]
    assert {item for _, _, item in told} == set(QUESTIONS)


def test_outcomes_name_themselves(tmp_path: Path) -> None:
    """The outcomes of a file are shown as those of a batch."""
    (tmp_path / "o.jsonl").write_text("")
    (outcome,) = from_openai_jsonl(tmp_path / "o.jsonl", ["a"])
    assert isinstance(outcome, Outcome)
    assert "failed" in repr(outcome)
