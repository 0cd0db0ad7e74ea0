import builtins
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import nbkit
from nbkit.batch.budget import CostTooHigh
from nbkit.batch.run import iter_batch, run_batch
from nbkit.experiment.measurements import ExperimentError
from nbkit.streaming.cost import PriceError
from tests.simulated import simulated
from tests.wire import Wire, serving

PRICES = 'currency = "EUR"\nask_above = 1.0\n[m]\ninput = 1000\noutput = 2275\n'
EACH = 0.1
"""What an answer of `Wire` costs: 9 and 40 tokens at these prices, which are made up."""
QUESTIONS = [f"Question {number}" for number in range(12)]


class Asked(list[str]):
    """Answers each question of nbkit, and notes it with how many requests the server had."""

    answer = "y"


@pytest.fixture
def prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the file of prices in an otherwise empty folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "nbkit_prices.toml"
    file.write_text(PRICES)
    return file


@pytest.fixture
async def wire(prices: Path) -> AsyncIterator[Wire]:
    """Serve a model whose price is known."""
    async with serving(Wire()) as served:
        yield served


@pytest.fixture
def asked(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Asked:
    noted = Asked()

    def answer(question: str) -> str:
        noted.append(f"{len(wire.bodies)}: {question}")
        return noted.answer

    monkeypatch.setattr(builtins, "input", answer)
    return noted


def ask_of(wire: Wire, name: str = "m") -> Any:
    return nbkit.connect(wire.base_url, model=name, context_window=32_768).astream_complete


def batch(wire: Wire, items: list[str] = QUESTIONS, **options: Any) -> Any:
    return run_batch(items, ask_of(wire), progress=False, max_concurrency=10, **options)


async def test_asks_once_after_the_first_five(wire: Wire, asked: Asked) -> None:
    """Whatever the concurrency, five are asked, then the reader, then the rest."""
    outcomes = await batch(wire)
    assert [outcome.state for outcome in outcomes] == ["done"] * 12
    (question,) = asked
    assert question.startswith(
        "5: 5 requests cost 0.5 EUR, and the whole will cost about 1.20 EUR (1.20"
    )
    assert len(wire.bodies) == 12


async def test_no_loses_nothing(wire: Wire, asked: Asked) -> None:
    """A no ends the run with what was answered; awaited again, it asks again, and for the rest."""
    asked.answer = ""
    run = batch(wire)
    with pytest.raises(CostTooHigh, match="to allow it, pass max_cost=; what was answered is kept"):
        await run
    assert len(run.outcomes) == len(wire.bodies) == 5
    assert len(asked) == 1
    with pytest.raises(CostTooHigh):
        await run
    assert len(wire.bodies) == 5
    asked.answer = "yes"
    assert len(await run) == len(wire.bodies) == 12
    assert len(asked) == 3


async def test_where_nobody_can_be_asked(wire: Wire) -> None:
    """Without an input, here pytest's, the error says what to pass."""
    with pytest.raises(CostTooHigh, match="pass max_cost="):
        await batch(wire)
    assert len(wire.bodies) == 5


async def test_what_is_cheap_is_not_asked(wire: Wire, asked: Asked) -> None:
    """Nor what a journal has already, nor a model without a price, nor with max_cost."""
    await batch(wire, QUESTIONS[:10])
    await batch(wire, QUESTIONS[:6], journal="run.jsonl")
    await batch(wire, journal="run.jsonl")
    await run_batch(QUESTIONS, ask_of(wire, "unpriced"), progress=False)
    await batch(wire, max_cost=5)
    assert asked == []
    assert len(wire.bodies) == 10 + 6 + 6 + 12 + 12


async def test_a_priced_model_that_counts_nothing_is_asked_about(wire: Wire, asked: Asked) -> None:
    """Its cost is unknown, which is not nothing."""
    del wire.chunks[-1]
    await batch(wire)
    assert asked[0].startswith(
        "5: What this costs is unknown (the server did not count the tokens)"
    )
    with pytest.raises(CostTooHigh, match="What this costs is unknown"):
        await batch(wire, max_cost=5)


async def test_max_cost_is_kept(wire: Wire) -> None:
    """It stops before the next request would pass it; those in flight end and are kept."""
    run = batch(wire, max_cost=0.85)
    with pytest.raises(CostTooHigh, match=r"EUR are spent, and the next request may pass max_cost"):
        await run
    assert len(run.outcomes) == len(wire.bodies) == 8
    assert run.cost().amount == pytest.approx(8 * EACH)
    with pytest.raises(CostTooHigh):  # what it has spent counts when it is awaited again
        await run
    assert len(wire.bodies) == 8


async def test_a_source_of_unknown_length_is_held_too(wire: Wire, asked: Asked) -> None:
    """Of a generator only what is spent and the next one are compared."""
    asked.answer = "n"
    got: list[Any] = []
    with pytest.raises(
        CostTooHigh,
        match=r"10 requests cost 1\.00 EUR, and with the next one it will cost about 1\.10",
    ):
        async for outcome in iter_batch(iter(QUESTIONS), ask_of(wire), max_concurrency=1):
            got += [outcome]
    assert len(got) == 10


async def test_max_cost_needs_a_price(wire: Wire) -> None:
    """Without one it is refused before anything is asked; the simulated model needs none."""
    with pytest.raises(PriceError, match="no price of other — write it there, or leave max_cost"):
        run_batch(QUESTIONS, ask_of(wire, "other"), max_cost=1)
    with pytest.raises(PriceError, match="max_cost=0 is not possible — give an amount above 0"):
        run_batch(QUESTIONS, ask_of(wire), max_cost=0)
    run_batch(QUESTIONS, simulated(speed=0).astream_complete, max_cost=1)
    assert wire.bodies == []


def test_max_cost_needs_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any prices it is refused also for a function whose model nobody knows."""
    monkeypatch.chdir(tmp_path)

    async def ask(question: str) -> str:
        return question

    run_batch(QUESTIONS, ask)
    with pytest.raises(PriceError, match=r"nbkit_prices.toml has no price of any model — write it"):
        run_batch(QUESTIONS, ask, max_cost=1)


def measure(wire: Wire, items: list[str] = QUESTIONS, **options: Any) -> Any:
    return nbkit.measure(items, ask_of(wire), progress=False, max_concurrency=1, **options)


async def test_an_experiment_asks_after_its_warm_up_at_the_latest(wire: Wire, asked: Asked) -> None:
    """The estimate has warm-up and all requests; nothing holds up the measurement itself."""
    await measure(wire, QUESTIONS[:3], requests=9)
    assert asked[0].startswith("3: 3 requests cost 0.3 EUR, and the whole will cost about 1.20")
    await measure(wire)
    assert asked[1].startswith("17: 5 requests cost 0.5 EUR, and the whole will cost about 2.40")
    assert len(asked) == 2


async def test_an_experiment_costs_its_warm_up_too(wire: Wire, tmp_path: Path) -> None:
    """Also when it is loaded from its file."""
    experiment = await measure(wire, QUESTIONS[:3], repeat=2)
    assert experiment.cost().amount == pytest.approx(9 * EACH)
    assert repr(experiment.cost()) == "<Cost 0.9 EUR for 9 requests>"
    loaded = nbkit.Experiment.load(experiment.save(tmp_path / "e.jsonl"))
    assert loaded.cost() == experiment.cost()


@pytest.mark.parametrize("load", [{"max_concurrency": 4}, {"requests_per_second": 500}])
async def test_max_cost_ends_an_experiment(wire: Wire, load: dict[str, Any]) -> None:
    """With one error, and with the requests that ended."""
    with pytest.raises(CostTooHigh, match="may pass max_cost"):
        await nbkit.measure(
            QUESTIONS, ask_of(wire), progress=False, warmup=2, max_cost=0.95, **load
        )
    experiment = nbkit.Experiment.latest()
    assert 0 < len(experiment.results) == len(wire.bodies) - 2
    assert 0.5 < experiment.cost().amount <= 0.95


async def test_without_a_warm_up_nothing_can_be_estimated(wire: Wire) -> None:
    """So that an experiment on a model that charges needs the one or max_cost."""
    with pytest.raises(ExperimentError, match="leave warmup on, or pass max_cost="):
        await measure(wire, warmup=False)
    await measure(wire, QUESTIONS[:2], warmup=False, max_cost=1)
    assert len(wire.bodies) == 2
