import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from statistics import mean, stdev
from typing import Any

import pytest

import nbkit
from nbkit import Experiment, measure
from nbkit.experiment.measurements import ExperimentError
from nbkit.experiment.plan import plan_of
from nbkit.experiment.targets import Target
from nbkit.streaming.errors import StreamMisused
from nbkit.streaming.trace import Trace

QUESTIONS = ["How long is the warranty?", "How do I return it?", "What does it weigh?"]


async def words(_question: str) -> AsyncIterator[str]:
    for word in ("one ", "two ", "three "):
        await asyncio.sleep(0)
        yield word


async def quiet(questions: Any, against: Any, **options: Any) -> Experiment:
    return await measure(questions, against, **{"progress": False, "warmup": 0, **options})


def loads(experiment: Experiment) -> Counter[tuple[str, float]]:
    return Counter((one.label, one.load) for one in experiment.results)


async def test_a_closed_loop_keeps_so_many_in_flight() -> None:
    """Never more than the concurrency, and that many once there are enough requests."""
    running, seen = 0, []

    async def ask(_question: str) -> str:
        nonlocal running
        running += 1
        seen.append(running)
        await asyncio.sleep(0.002)
        running -= 1
        return "text"

    experiment = await quiet(QUESTIONS, ask, max_concurrency=[1, 4])
    assert loads(experiment) == Counter({("ask", 1): 3, ("ask", 4): 42})
    assert (max(seen[:3]), max(seen)) == (1, 4) or (max(seen[-3:]), max(seen)) == (1, 4)


async def test_the_first_of_a_run_are_in_no_figure() -> None:
    """As many as are in flight meet an idle server: they are marked, told, and left out."""
    experiment = await quiet(QUESTIONS, words, max_concurrency=[1, 4], requests=12, repeat=2)
    for run in (0, 1):
        ramp = [one for one in experiment.requests_of(at=4) if one.repetition == run and one.ramp]
        rest = [
            one for one in experiment.requests_of(at=4) if one.repetition == run and not one.ramp
        ]
        assert len(ramp) == 4
        assert max(one.sent for one in ramp) <= min(one.sent for one in rest)
    assert not any(one.ramp for one in experiment.requests_of(at=1))
    table = experiment.table()
    assert table[["asked", "ramp", "n", "errors"]].to_numpy().tolist() == [
        [24, 0, 24, 0],
        [24, 8, 16, 0],
    ]
    assert any("8 requests left out: the first of each run" in note for note in experiment.notes)
    assert nbkit.summary(experiment.requests_of(at=4))["ttft"].n == 16


async def test_latency_counts_from_the_planned_arrival() -> None:
    """A request that was sent late has kept its user waiting since it was due."""

    async def holds_up_the_loop(_question: str) -> str:
        time.sleep(0.05)  # noqa: ASYNC251 - so that later requests are sent late
        return "text"

    experiment = await quiet(["a"] * 10, holds_up_the_loop, requests_per_second=1_000, warmup=False)
    waited = sorted(one.trace.ttft or 0.0 for one in experiment.results)
    assert waited[-1] > 5 * 0.05
    last = max(experiment.results, key=lambda one: one.sent)
    assert last.sent - last.trace.start == pytest.approx(last.late)
    assert last.late > 4 * 0.05


async def test_an_open_loop_does_not_wait_for_answers() -> None:
    """Arrivals come at their own time, however many are still unanswered."""
    waiting = asyncio.Event()
    asked = 0

    async def ask(_question: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 8:
            waiting.set()
        await waiting.wait()
        return "text"

    experiment = await quiet(["a"] * 8, ask, requests_per_second=400)
    assert len(experiment.results) == 8
    assert experiment.kind == "rate"


def test_arrivals_are_a_poisson_process() -> None:
    """Times between arrivals are exponential: their mean is 1 / rate, and so is their deviation."""
    (block,) = plan_of([Target("words", words)], "rate", [50.0], 3, 2_000, 1, 0)
    gaps = Trace(0, [0.0, *block.arrivals]).gaps
    assert mean(gaps) == pytest.approx(0.02, rel=0.1)
    assert stdev(gaps) == pytest.approx(0.02, rel=0.1)


async def test_arrivals_and_order_are_seeded() -> None:
    """The same seed asks the same questions in the same order; another one does not."""

    async def order(seed: int) -> list[int]:
        experiment = await quiet(list("abcdefgh"), words, requests_per_second=5_000, seed=seed)
        return [one.question for one in sorted(experiment.results, key=lambda one: one.trace.start)]

    assert await order(1) == await order(1) != await order(2)


async def test_labels_take_turns() -> None:
    """In each repetition every label is asked at every load before any is asked again."""
    against = {"x": words, "y": words}
    experiment = await quiet(["a"], against, max_concurrency=[1, 2], requests=4, repeat=6)
    for number in range(6):
        turn = experiment.results[16 * number : 16 * number + 16]
        assert {one.repetition for one in turn} == {number}
        assert len({(one.label, one.load) for one in turn}) == 4
    assert len({one.label for one in experiment.results[::16]}) == 2


async def test_warm_up_is_in_no_figure() -> None:
    """The slow first request of each label is made, and left out."""
    asked: Counter[str] = Counter()

    def first_is_slow(label: str) -> Any:
        async def ask(_question: str) -> str:
            asked[label] += 1
            await asyncio.sleep(0.1 if asked[label] == 1 else 0)
            return "text"

        return ask

    experiment = await quiet(QUESTIONS, {x: first_is_slow(x) for x in "ab"}, warmup=1)
    assert asked == {"a": 4, "b": 4}
    assert max(one.trace.end_to_end or 1 for one in experiment.results) < 0.1


async def test_nobody_pays_for_coming_first() -> None:
    """By default every label is asked every question before it counts; a number asks so many."""
    read: Counter[str] = Counter()

    def slow_at_first(label: str) -> Any:
        async def ask(question: str) -> str:
            read[label + question] += 1
            await asyncio.sleep(0.05 if read[label + question] == 1 else 0)
            return "text"

        return ask

    against = {label: slow_at_first(label) for label in "ab"}
    experiment = await measure(QUESTIONS, against, max_concurrency=2, progress=False)
    assert max(one.trace.end_to_end or 1 for one in experiment.results) < 0.05
    read.clear()
    await quiet(QUESTIONS, against, requests=1, warmup=True)
    assert list(read.values()) == [2, 2]
    read.clear()
    await quiet(QUESTIONS, against, requests=1, warmup=False)
    assert list(read.values()) == [1, 1]


async def test_what_is_no_answer_stops_the_warm_up() -> None:
    """A target that gives no answer is one plain error, not a group of them."""

    async def number(_question: str) -> int:
        return 5

    with pytest.raises(StreamMisused):
        await quiet(QUESTIONS, number, max_concurrency=3, warmup=True)


async def test_failures_are_results() -> None:
    """What fails is kept, counted and explained, and in no percentile."""

    async def ask(question: str) -> str:
        await asyncio.sleep(0)
        if question == "b":
            raise ValueError("no luck")
        return "" if question == "c" else "text"

    experiment = await quiet(list("abcd"), ask, warmup=1)
    row = experiment.table().iloc[0]
    assert (row["asked"], row["n"], row["errors"]) == (4, 2, 2)
    assert [one.state for one in sorted(experiment.results, key=lambda one: one.question)] == [
        "done",
        "failed",
        "failed",
        "done",
    ]
    luck, silence = sorted(experiment.failures, key=lambda error: "no text" in error)
    assert "ValueError: no luck" in luck
    assert "The answer has no text" in silence
    assert experiment.notes[0].startswith("1 of 4 requests failed: StreamBroken: ")


async def test_a_slow_answer_ends_at_its_timeout() -> None:
    """After `timeout` a request is stopped, counted, and what had arrived of it is kept."""

    async def ask(_question: str) -> AsyncIterator[str]:
        yield "begun "
        await asyncio.sleep(60)

    experiment = await quiet(["a"], ask, timeout=0.05, warmup=1)
    (one,) = experiment.results
    assert (one.state, one.text) == ("failed", "begun ")
    assert "No complete answer within 0.05 s" in str(one.error)


async def test_what_ended_before_a_stop_is_kept() -> None:
    """Cancelled half-way, the experiment holds what had ended, and no request runs on."""
    running = stuck = 0

    async def ask(question: str) -> AsyncIterator[str]:
        nonlocal running, stuck
        running += 1
        stuck += question == "slow"
        try:
            yield "text"
            await asyncio.sleep(60 if question == "slow" else 0)
        finally:
            running -= 1

    task = asyncio.create_task(quiet(["a", "b", "c", "slow"], ask, max_concurrency=2, requests=8))
    # Two that never end take both places; until then, whatever the order, some have ended.
    while stuck < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    partial = Experiment.latest()
    assert "had ended; they are in nbkit.Experiment.latest()." in caught.value.__notes__[0]
    assert partial.stopped
    assert 0 < len(partial.results) < 8
    assert f"stopped after {len(partial.results)} of 8 requests" in repr(partial)
    assert partial.notes[0] == f"Stopped after {len(partial.results)} of 8 requests."
    assert running == 0


async def test_progress_is_told() -> None:
    """A function given hears of every request that ended, those of the warm-up first."""
    heard: list[tuple[Any, ...]] = []
    await measure(QUESTIONS, words, progress=lambda *told: heard.append(told))
    assert [told[:2] for told in heard] == [(number, 6) for number in range(1, 7)]
    assert {told[2] for told in heard} == set(QUESTIONS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"questions": []}, "nothing to ask"),
        ({"questions": [1]}, "nothing to ask"),
        ({"questions": 5}, "nothing to ask"),
        ({"against": {}}, "nothing to measure"),
        ({"against": {1: words, "1": words}}, "Two labels are equal"),
        ({"against": 5}, "'int' is int, which cannot be asked"),
        ({"max_concurrency": 0}, "max_concurrency=0 is not possible — give whole numbers from 1"),
        ({"max_concurrency": 1.5}, "max_concurrency=1.5 is not possible"),
        ({"max_concurrency": []}, "max_concurrency is empty"),
        ({"requests_per_second": "fast"}, "requests_per_second='fast' is not possible"),
        (
            {"requests_per_second": [1, -2]},
            "requests_per_second=-2 is not possible — give arrivals a second, above 0",
        ),
        ({"requests_per_second": 1, "max_concurrency": 1}, "two ways to load a server"),
        ({"repeat": 0}, "repeat=0 is not possible"),
        ({"requests": 0}, "requests=0 is not possible"),
        ({"requests": 9, "max_concurrency": [1, 5]}, "requests=9 is too few for .*ask 10 at least"),
        ({"warmup": -1}, "warmup=-1 is not possible"),
        ({"timeout": 0}, "timeout=0 is not possible"),
    ],
)
async def test_bad_input_is_one_clear_error(arguments: dict[str, Any], message: str) -> None:
    """What cannot be measured is said before anything is asked."""
    with pytest.raises(ExperimentError, match=message):
        await quiet(**{"questions": QUESTIONS, "against": words, **arguments})
