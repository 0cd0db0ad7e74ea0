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
from nbkit.batch import BatchFileError, from_openai_jsonl, openai_batch
from nbkit.batch.outcome import BatchMisused
from tests.batch_files import QUESTIONS, known, lines, provider, reply, result, save, write
from tests.simulated import simulated
from tests.wire import Wire, serving

CHINESE = ["保修期多长?", "怎么申请退货?"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


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
