"""A batch on a cluster whose workers are lost."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from nbkit.batch.budget import CostTooHigh
from nbkit.batch.cluster import OutcomesSent
from nbkit.batch.outcome import Outcome
from nbkit.batch.packed import packed
from nbkit.batch.run import iter_batch, run_batch
from nbkit.batch.slices import WorkerLost
from tests.pretend_cluster import ClusterInOneProcess, Priced, make_double


async def test_unfinished_items_of_a_lost_worker_are_asked_elsewhere() -> None:
    """A worker that is gone costs at most its unfinished items; what it answered is kept."""
    lost: list[int] = []

    def lose(number: int) -> bool | None:
        if number % 100 == 37 and number not in lost:
            lost.append(number)
            return False
        return None

    cluster = ClusterInOneProcess(lose=lose)
    outcomes = await run_batch(range(300), make_double, client=cluster, progress=False)
    assert [outcome.item for outcome in outcomes if outcome.error is None] == [
        number for number in range(300) if number != 13
    ]
    assert {number for number, times in cluster.asked.items() if times > 1} == {37, 137, 237}


async def test_an_item_whose_worker_dies_three_times_is_named() -> None:
    """The third loss names the one item that was being asked; all others are answered."""
    cluster = ClusterInOneProcess(lose=lambda number: False if number == 7 else None)
    outcomes = await run_batch(range(60), make_double, client=cluster, progress=False)
    failed = {outcome.item: outcome.error for outcome in outcomes if outcome.error is not None}
    assert set(failed) == {7, 13}
    assert isinstance(failed[7], WorkerLost)
    assert "'7'" in str(failed[7])
    assert cluster.asked[7] == 3


async def test_a_retired_worker_is_not_the_fault_of_its_items() -> None:
    """However often workers are retired under an item, it is asked again."""
    times = Counter[int]()

    def lose(number: int) -> bool | None:
        times[number] += 1
        return True if number == 5 and times[5] <= 6 else None

    cluster = ClusterInOneProcess(lose=lose)
    outcomes = await run_batch(range(10), make_double, client=cluster, progress=False)
    assert [outcome.error for outcome in outcomes] == [None] * 10


async def test_a_cluster_may_have_no_worker_for_a_while() -> None:
    """When the last worker goes, the batch waits for the next one; it does not fail or hang."""
    cluster = ClusterInOneProcess(workers=0)
    async with asyncio.timeout(10):
        outcomes = await run_batch(range(20, 50), make_double, client=cluster, progress=False)
    assert [outcome.value for outcome in outcomes] == [2 * number for number in range(20, 50)]


async def test_a_late_answer_of_a_lost_worker_counts_once() -> None:
    """What a worker thought lost still answers is taken, and its item is not asked once more."""
    cluster = ClusterInOneProcess(1)
    tries = Counter[int]()

    def lose(number: int) -> bool | None:
        tries[number] += 1
        if number == 20 and tries[20] <= 2:
            return False
        if number == 20:  # the third time, the others' answers arrive late from elsewhere
            for index in range(1, 5):
                late = Outcome(None, index, value=2 * (20 + index), attempts=1)
                cluster.heard(OutcomesSent("late", [(index, packed(late))]))
        return None

    cluster.lose = lose
    source = iter(range(20, 25))  # of unknown length, so that it is one slice
    values = [one.value async for one in iter_batch(source, make_double, client=cluster)]
    assert sorted(values) == [40, 42, 44, 46, 48]
    assert tries == {20: 3}


async def test_a_lost_item_does_not_hold_up_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item whose worker was lost is not in flight any more, so the budget can end the batch."""
    cluster = ClusterInOneProcess(lose=lambda number: False if number == 3 else None)
    run = run_batch(
        range(100), Priced(tmp_path, monkeypatch), client=cluster, max_cost=30, progress=False
    )
    async with asyncio.timeout(10):
        with pytest.raises(CostTooHigh, match="max_cost"):
            await run


def test_refusals_are_no_retries() -> None:
    """An item that was only ever refused was not tried once more."""
    assert Outcome("q", 0, attempts=20, refused=20).retried == 0
    assert Outcome("q", 0, attempts=4, refused=1).retried == 2
