"""A batch on a cluster, whatever its engine is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nbkit.batch.batch_run import BatchStopped
from nbkit.batch.budget import CostTooHigh
from nbkit.batch.cluster import (
    Cluster,
)
from nbkit.batch.journal import Journal
from nbkit.batch.outcome import BatchError, BatchMisused
from nbkit.batch.run import iter_batch, run_batch
from tests.pretend_cluster import ClusterInOneProcess, Priced, double, make_double


async def test_any_engine_can_be_the_cluster() -> None:
    """What has the methods of `Cluster` is one; outcomes come in the order of the items."""
    cluster = ClusterInOneProcess()
    assert isinstance(cluster, Cluster)
    run = run_batch(range(500), make_double, client=cluster, progress=False)
    outcomes = await run
    assert [outcome.value for outcome in outcomes if outcome.index != 13] == [
        2 * number for number in range(500) if number != 13
    ]
    assert str(outcomes[13].error) == "unlucky"
    assert [outcome.item for outcome in outcomes] == list(range(500))
    assert {outcome.worker for outcome in outcomes} == {"worker"}
    assert set(cluster.asked.values()) == {1}
    assert not cluster.is_open


async def test_the_last_slices_are_small() -> None:
    """No worker has a long slice left when the others have nothing more to do."""
    cluster = ClusterInOneProcess(workers=4)
    await run_batch(range(3000), make_double, client=cluster, progress=False)
    sizes = [len(slice_) for slice_ in cluster.slices]
    assert max(sizes) <= 200
    assert all(size <= max(1, 3000 // 16) for size in sizes)
    assert max(sizes[-4:]) <= 2
    assert sum(sizes) == 3000


async def test_a_slow_consumer_slows_the_source_down() -> None:
    """Items are read only as fast as outcomes are taken, however many there are."""
    read = 0

    def source() -> Any:
        nonlocal read
        for number in range(100_000):
            read += 1
            yield number

    cluster = ClusterInOneProcess()
    taken = 0
    async for _ in iter_batch(source(), make_double, client=cluster):
        taken += 1
        for _ in range(100):  # whatever can go on without the consumer goes on
            await asyncio.sleep(0)
        assert read - taken < 1000
        if taken == 2000:
            break
    assert taken == 2000


async def test_a_slow_source_is_asked_at_once() -> None:
    """An item does not wait until its slice is full."""
    cluster = ClusterInOneProcess()
    answered = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        async with asyncio.timeout(10):
            await answered.wait()
        yield 2

    values = []
    async for outcome in iter_batch(source(), make_double, client=cluster):
        values.append(outcome.value)
        answered.set()
    assert values == [2, 4]


async def test_a_failing_source_ends_the_batch_after_its_items() -> None:
    """An error of the source is raised when what was begun has ended."""

    def source() -> Any:
        yield from range(20, 25)
        raise OSError("the file is gone")

    values = set()
    with pytest.raises(OSError, match="the file is gone"):
        async for outcome in iter_batch(source(), make_double, client=ClusterInOneProcess()):
            values.add(outcome.value)
    assert sorted(values) == [40, 42, 44, 46, 48]


async def test_resumed_items_are_not_sent(tmp_path: Any) -> None:
    """With a journal only the missing items go to the workers, and none is in it twice."""
    path = tmp_path / "run.jsonl"
    first = ClusterInOneProcess()
    await run_batch(range(20, 60), make_double, client=first, journal=path, progress=False)
    second = ClusterInOneProcess()
    outcomes = await run_batch(
        range(20, 90), make_double, client=second, journal=path, progress=False
    )
    assert set(second.asked) == set(range(60, 90))
    assert [outcome.value for outcome in outcomes] == [2 * number for number in range(20, 90)]
    lines = path.read_text().splitlines()
    assert len(lines) == 71
    assert len(Journal(path).rows()) == 70


async def test_stop_at_the_first_failure() -> None:
    """With `on_error="stop"` the run ends on the cluster, too."""
    cluster = ClusterInOneProcess()
    with pytest.raises(BatchStopped, match="unlucky"):
        await run_batch(range(5000), make_double, client=cluster, on_error="stop", progress=False)
    assert not cluster.is_open
    assert cluster.under_way == 0
    assert len(cluster.asked) < 5000


async def test_an_interrupt_keeps_what_was_answered() -> None:
    """Cancelled, a run ends on the cluster, and `.outcomes` has what had arrived."""
    cluster = ClusterInOneProcess()
    run = run_batch(range(5000), make_double, client=cluster, progress=False)
    task = asyncio.ensure_future(run._run())
    async with asyncio.timeout(10):
        while len(run.outcomes) < 100:
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not cluster.is_open
    assert cluster.under_way == 0
    assert len(run.outcomes) >= 100
    rest = await run
    assert len(rest) == 5000


async def test_an_error_of_the_cluster_is_raised() -> None:
    """A cluster that is gone is an error; what was answered is kept."""

    def lose(number: int) -> None:
        if number == 40:
            raise BatchError("The scheduler of the cluster is gone")

    run = run_batch(range(20, 60), make_double, client=ClusterInOneProcess(1, lose), progress=False)
    with pytest.raises(BatchError, match="scheduler of the cluster is gone"):
        await run
    assert 1 <= len(run.outcomes) < 40


def _wrong_calls() -> dict[str, tuple[Any, Any, str]]:
    return {
        "an engine": (double, ClusterInOneProcess(), "each worker makes its own"),
        "the function called": (double(1), ClusterInOneProcess(), "each worker makes its own"),
        "no client": (make_double, "tcp://127.0.0.1:8786", "client of Dask"),
    }


@pytest.mark.parametrize("which", _wrong_calls())
@pytest.mark.filterwarnings("ignore:coroutine 'double' was never awaited")
async def test_wrong_calls_name_the_right_one(which: str) -> None:
    """What cannot be asked on a cluster is refused before anything is asked."""
    fn, client, message = _wrong_calls()[which]
    with pytest.raises(BatchMisused, match=message):
        run_batch([1], fn, client=client)


async def test_the_cost_is_held_for_all_workers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`max_cost` counts what all workers have spent, and what is on its way to them."""
    cluster, priced = ClusterInOneProcess(), Priced(tmp_path, monkeypatch)
    run = run_batch(range(100), priced, client=cluster, max_cost=30, progress=False)
    with pytest.raises(CostTooHigh, match="max_cost"):
        await run
    assert sum(cluster.asked.values()) <= 30
