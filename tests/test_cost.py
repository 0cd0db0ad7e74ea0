import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent

import nbkit
from nbkit import stream
from nbkit.batch.run import run_batch
from nbkit.streaming.cost import PriceError
from tests.simulated import simulated
from tests.wire import Wire, serving

HEAD = 'currency = "EUR"\nask_above = 1.0\n'
PRICES = HEAD + "[m]\ninput = 1000\ncached_input = 100\noutput = 2000.0\n"
EACH = (9 * 1000 + 40 * 2000) / 1e6
"""What an answer of `Wire` costs at these prices, which are made up."""


@pytest.fixture
def prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write the file of prices in an otherwise empty folder."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> None:
        (tmp_path / "nbkit_prices.toml").write_text(text)

    return write


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with serving(Wire()) as served:
        yield served


def model(wire: Wire, name: str = "m") -> Any:
    return nbkit.connect(wire.base_url, model=name, context_window=32_768)


async def test_an_answer_costs_tokens_times_prices(prices: Any, wire: Wire) -> None:
    """Prompt and completion each at its price; cached tokens at theirs, or as the others."""
    prices(PRICES)
    answer = await stream(model(wire).astream_complete("Hi"))
    assert answer.cost == pytest.approx(EACH)
    wire.chunks[-1]["usage"] = {
        **wire.chunks[-1]["usage"],
        "prompt_tokens_details": {"cached_tokens": 5},
    }
    cached = await stream(model(wire).astream_complete("Hi"))
    assert cached.cost == pytest.approx(EACH - 5 * 900 / 1e6)
    prices(PRICES.replace("cached_input = 100\n", ""))
    assert cached.cost == pytest.approx(EACH)


async def test_every_call_of_a_model_is_counted(prices: Any, wire: Wire) -> None:
    """An engine that refines asks twice, and its answer costs both."""
    prices(PRICES)
    engine = nbkit.load_index("en").as_query_engine(
        llm=model(wire), streaming=True, response_mode="refine", similarity_top_k=2
    )
    answer = await stream(engine.aquery("How long is the warranty?"))
    assert len(wire.bodies) == 2
    assert answer.cost == pytest.approx(2 * EACH)


async def test_calls_at_the_same_time_are_told_apart(prices: Any, wire: Wire) -> None:
    """Two calls that overlap within one item, of a plain function, are both in its cost."""
    prices(PRICES)
    llm, wire.gap = model(wire), 0.001

    async def ask_twice(question: str) -> str:
        return "".join(map(str, await asyncio.gather(*(llm.acomplete(question) for _ in "12"))))

    run = run_batch(["Hi"], ask_twice, progress=False)
    await run
    assert run.cost().amount == pytest.approx(2 * EACH)


@pytest.mark.parametrize("before", [True, False])
async def test_an_agent_costs_all_its_requests(prices: Any, before: bool) -> None:
    """Whether its run began before it was given to nbkit or not."""
    llm = simulated(speed=0, seed=71)
    prices(HEAD + f"[{llm.model}]\ninput = 1000\noutput = 1000\n")

    def weight(what: str) -> str:
        """Tell the weight of a thing."""
        return f"{what}: 3 kg"

    agent = FunctionAgent(tools=[weight], llm=llm)
    ask = lambda: agent.run(user_msg="What is the weight of the lamp?")  # noqa: E731
    answer = await stream(ask() if before else ask)
    trace = answer.trace
    assert trace.requests == len(trace.usage) == 2
    assert answer.cost == pytest.approx((trace.tokens + trace.prompt_tokens) / 1000)


async def test_unknown_is_not_free(prices: Any, wire: Wire) -> None:
    """Without a file, a price or a count of tokens there is no cost, and the sum tells how many."""
    assert (await stream(model(wire).astream_complete("Hi"))).cost is None
    prices(PRICES)
    assert (await stream(model(wire, "other").astream_complete("Hi"))).cost is None
    del wire.chunks[-1]
    run = run_batch(["Hi"], model(wire).astream_complete, progress=False)
    (outcome,) = await run
    assert outcome.value.cost is None
    assert run.cost().unknown == {"the server did not count the tokens": 1}
    assert "0 EUR for 0 requests, and unknown for 1 more" in repr(run.cost())


async def test_attempts_that_failed_are_not_forgotten(prices: Any, wire: Wire) -> None:
    """What an attempt before the answer cost nobody knows, so that the sum says so."""
    prices(PRICES)
    llm, failures = model(wire), [ConnectionError("lost")]

    async def ask(question: str) -> Any:
        if failures:
            raise failures.pop()
        return await llm.astream_complete(question)

    run = run_batch(["Hi"], ask, progress=False)
    await run
    assert run.cost().amount == pytest.approx(EACH)
    assert run.cost().unknown == {"the attempt failed": 1}


async def test_the_simulated_model_is_free(prices: Any) -> None:
    """Unless the reader gives it a price, to practise."""
    prices(HEAD)
    llm = simulated(speed=0, seed=72)
    answer = await stream(llm.astream_complete("Hi"))
    assert answer.cost == 0
    prices(HEAD + f"[{llm.model}]\ninput = 0\noutput = 1000\n")
    assert answer.cost == pytest.approx(answer.trace.tokens / 1000)


async def test_a_journal_keeps_the_cost(prices: Any, wire: Wire) -> None:
    """An answer from a journal costs what it did."""
    prices(PRICES)
    run = run_batch(["Hi"], model(wire).astream_complete, progress=False, journal="run.jsonl")
    await run
    again = run_batch(["Hi"], model(wire).astream_complete, progress=False, journal="run.jsonl")
    assert (await again)[0].resumed
    assert again.cost().amount == pytest.approx(EACH)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("currency = EUR", r"nbkit_prices.toml is not TOML \(.*line 1.*\) — correct that line."),
        ("ask_above = 1", "needs a currency and an amount above which to ask — begin it with"),
        ('currency = "EUR"\nask_above = -1', "needs a currency and an amount"),
        (HEAD + "[m]\ninput = -1\noutput = 0", "input = -1 of m in .* is not a price — give input"),
        (HEAD + '[m]\ninput = "1"\noutput = 0', "input = '1' of m in .* is not a price"),
        (HEAD + "[m]\ninput = inf\noutput = 0", "input = inf of m in .* is not a price"),
        (HEAD + "[m]\ninputs = 1\noutput = 0", "inputs = 1 of m in .* is not a price"),
        (HEAD + "input = 1", "input = 1 of no model in"),
        (HEAD + "[m]\ninput = 1", "m in .* has not all its prices — give input and output."),
    ],
)
def test_a_bad_file_of_prices_is_named(prices: Any, text: str, sentence: str) -> None:
    """One sentence says what is wrong and what to do, before anything is asked."""
    prices(text)

    async def ask(question: str) -> str:
        return question

    with pytest.raises(PriceError, match=sentence):
        run_batch(["Hi"], ask)


async def test_names_with_dots_need_no_quotes(prices: Any, wire: Wire) -> None:
    """TOML reads [m-4.1] as a table in a table; here it is the model m-4.1, beside m-4."""
    prices(HEAD + "[m-4]\ninput = 5\noutput = 5\n[m-4.1]\ninput = 0\noutput = 1000\n")
    assert (await stream(model(wire, "m-4.1").astream_complete("Hi"))).cost == pytest.approx(0.04)


async def test_the_file_can_be_elsewhere(
    prices: Any, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NBKIT_PRICES names it; a name without a file is an error."""
    prices(HEAD)
    answer = await stream(model(wire).astream_complete("Hi"))
    (tmp_path / "mine.toml").write_text(PRICES)
    monkeypatch.setenv("NBKIT_PRICES", "mine.toml")
    assert answer.cost == pytest.approx(EACH)
    monkeypatch.setenv("NBKIT_PRICES", "no.toml")
    with pytest.raises(PriceError, match=r"no.toml cannot be read .* — correct NBKIT_PRICES."):
        _ = answer.cost
