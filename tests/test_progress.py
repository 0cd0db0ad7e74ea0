import asyncio
from typing import Any

import pytest

from nbkit.batch.run import run_batch


async def divide(number: int) -> float:
    await asyncio.sleep(0)
    return 1 / number


async def test_the_callback_hears_of_every_item() -> None:
    """The callback gets how many are done, of how many, and the item."""
    heard: list[Any] = []
    await run_batch(["ab", "cd"], _echo, progress=lambda *args: heard.append(args))
    assert sorted(heard) == [(1, 2, "ab"), (2, 2, "cd")]


async def _echo(item: str) -> str:
    return item


async def test_a_broken_callback_costs_no_answers() -> None:
    """A progress function that raises is reported once, and the batch goes on."""

    def broken(*_: Any) -> None:
        raise RuntimeError("no screen")

    with pytest.warns(UserWarning, match="no screen") as warned:
        outcomes = await run_batch(range(1, 6), divide, progress=broken)
    assert [outcome.value for outcome in outcomes] == [1 / n for n in range(1, 6)]
    assert len(warned) == 1


async def test_the_bar_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """In a terminal the bar tells how many are done and how many failed."""
    await run_batch([1, 0, 2], divide)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "failed=1, retried=0" in shown
