import asyncio

from nbkit.batch.concurrency import AutoSeats
from nbkit.batch.runs import run_batch


async def _drive(seats: AutoSeats, slots: int, attempts: int) -> list[int]:
    """Answer as a server with so many slots: latency grows once more are in flight."""
    limits = []
    for _ in range(attempts):
        while seats.taken < seats.limit:
            await seats.enter()
        seats.heard(max(1.0, seats.taken / slots), overloaded=False)
        seats.leave()
        limits.append(seats.limit)
    return limits


async def test_the_number_settles_around_the_knee() -> None:
    """It grows to where answers begin to take longer, and stays near it from then on."""
    limits = await _drive(AutoSeats(), slots=16, attempts=3000)
    settled = limits[1000:]
    assert 12 <= sum(settled) / len(settled) <= 24
    assert max(settled) <= 2 * 16
    assert min(settled) >= 16 // 2


async def test_the_number_follows_a_server_that_slows() -> None:
    """When the server bears less, the number goes down with it."""
    seats = AutoSeats()
    await _drive(seats, slots=32, attempts=3000)
    limits = await _drive(seats, slots=8, attempts=3000)
    assert sum(limits[-500:]) / 500 <= 16


async def test_an_overload_cuts_at_once() -> None:
    """A refusal or timeout is a sign by itself, without waiting for a round to end."""
    seats = AutoSeats()
    await _drive(seats, slots=16, attempts=500)
    before = seats.limit
    while seats._settling:
        seats.heard(1.0, overloaded=False)
    seats.heard(1.0, overloaded=True)
    assert seats.limit == int(before * 0.6)


async def test_a_number_not_used_does_not_grow() -> None:
    """Where items come too slowly to fill it, the number stays."""
    seats = AutoSeats()
    first = seats.limit
    for _ in range(100):
        await seats.enter()
        seats.heard(1.0, overloaded=False)
        seats.leave()
    assert seats.limit == first


async def test_the_steps_can_be_read() -> None:
    """The path of the number is on the run, as (time, limit, in flight, latency) in order."""

    async def nap(_: int) -> None:
        await asyncio.sleep(0.001)

    run = run_batch(range(200), nap, max_concurrency="auto", progress=False)
    await run
    assert len(run.steps) >= 3
    times = [step.time for step in run.steps]
    assert times == sorted(times)
    assert all(step.limit >= 1 and step.latency > 0 for step in run.steps)
    assert max(step.in_flight for step in run.steps) <= max(step.limit for step in run.steps)
