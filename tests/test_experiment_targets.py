import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.chat_engine import SimpleChatEngine

from nbkit import load_index, measure, stream
from nbkit.experiment.measurements import ExperimentError
from nbkit.streaming.errors import StreamMisused
from tests.test_experiment import QUESTIONS, loads, quiet, words


async def test_engines_are_asked_every_question(instant: Any) -> None:
    """Streaming and blocking engines, an LLM and a chat: every label answers every question."""
    index = load_index("en")
    against = {
        "streamed": index.as_query_engine(llm=instant, streaming=True),
        "blocking": index.as_query_engine(llm=instant),
        "llm": instant,
        "chat": index.as_chat_engine(chat_mode="context", llm=instant),
    }
    experiment = await quiet(QUESTIONS, against)
    assert experiment.failures == {}
    assert loads(experiment) == Counter({(label, 1): 3 for label in against})
    assert {one.question for one in experiment.requests_of("chat")} == {0, 1, 2}
    assert all(one.trace.chunks == 1 for one in experiment.requests_of("blocking"))
    assert all(one.trace.chunks > 5 for one in experiment.results if one.label != "blocking")
    assert all(one.trace.requested and one.trace.tokens for one in experiment.results)
    models = {label: kept["model"] for label, kept in experiment.parameters["against"].items()}
    assert models == dict.fromkeys(against, "simulated")
    assert experiment.parameters["against"]["streamed"]["profile"]["speed"] == 0


async def test_a_chat_is_asked_anew_each_time(instant: Any) -> None:
    """Each question begins a conversation of its own, and the reader's stays as it is."""
    engine = SimpleChatEngine.from_defaults(llm=instant)
    await stream(engine.astream_chat("What can you do?"))
    before = list(engine.chat_history)
    experiment = await quiet(QUESTIONS, engine, max_concurrency=3)
    assert experiment.failures == {}
    assert engine.chat_history == before
    rows = instant.simulator.requests(instant.model)[1:]
    assert len({row["prompt_tokens"] for row in rows}) <= len(QUESTIONS)


async def test_functions_of_every_kind_are_asked() -> None:
    """Async and blocking functions; streams, answers already timed, and plain text."""

    def blocking(question: str) -> Iterator[str]:
        time.sleep(0.01)
        return iter(["a ", question])

    async def timed(question: str) -> Any:
        await asyncio.sleep(0)
        return await stream(words(question))

    async def text(question: str) -> str:
        await asyncio.sleep(0)
        return question

    against = {
        "words": words,
        "blocking": blocking,
        "timed": timed,
        "text": text,
        "lambda": lambda question: words(question),
        "coroutine": lambda question: timed(question),
    }
    experiment = await quiet(QUESTIONS, against)
    assert experiment.failures == {}
    chunks = {
        label: {one.trace.chunks for one in experiment.requests_of(label)} for label in against
    }
    assert chunks == {
        "words": {3},
        "blocking": {2},
        "timed": {3},
        "text": {1},
        "lambda": {3},
        "coroutine": {3},
    }


async def test_blocking_functions_run_as_many_at_once_as_asked() -> None:
    """Twenty at once means twenty threads, whatever the loop's own pool allows."""
    running, most = 0, 0

    def blocking(_question: str) -> list[str]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.2)
        running -= 1
        return ["done"]

    await quiet(["a"] * 20, blocking, max_concurrency=20, requests=40)
    assert most == 20


async def test_what_is_no_answer_is_said_at_once() -> None:
    """A function that returns something else is a mistake, not a hundred failures."""

    async def number(_question: str) -> int:
        await asyncio.sleep(0)
        return 5

    with pytest.raises(StreamMisused, match="Got int where text was expected"):
        await measure(QUESTIONS, number, progress=False)


async def test_an_index_and_a_coroutine_are_not_asked(instant: Any) -> None:
    """The two objects most easily taken for an engine name the engine."""
    index = load_index("en")
    with pytest.raises(ExperimentError, match="as_query_engine"):
        await quiet(QUESTIONS, {"x": index})
    engine = index.as_query_engine(llm=instant)
    with pytest.raises(ExperimentError, match=r"`engine\.aquery` without calling"):
        await quiet(QUESTIONS, {"x": engine.aquery("What?")})
