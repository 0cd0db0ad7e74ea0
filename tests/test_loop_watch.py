import asyncio
import contextlib
import re
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from nbkit.loops import Block, LoopMisused, LoopWatch, watch_loop


def _samplers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "nbkit-loop-watch"]


def _longest(watch: LoopWatch) -> Block:
    return max(watch.blocks, key=lambda block: block.seconds)


async def test_a_block_is_timed_and_its_line_is_named() -> None:
    """A block is recorded with its true length, on the perf_counter clock, and its line."""
    with watch_loop() as watch:
        await asyncio.sleep(0.01)
        began = time.perf_counter()
        time.sleep(0.2)  # noqa: ASYNC251 - this is the line to be found
        ended = time.perf_counter()
        await asyncio.sleep(0.01)
    block = _longest(watch)
    assert block.start <= began < ended <= block.end
    assert block.seconds < ended - began + 0.1
    assert re.match(r".*test_loop_watch, line \d+: time\.sleep\(0\.2\)", block.where)
    assert watch.longest == block.seconds
    assert watch.blocked == pytest.approx(sum(b.end - b.start for b in watch.blocks))
    assert 0 < watch.share <= 1


async def test_a_block_without_any_await_counts() -> None:
    """Code that blocks from the first line of the block to its last is found too."""
    with watch_loop() as watch:
        time.sleep(0.1)  # noqa: ASYNC251
    (block,) = watch.blocks
    assert block.seconds >= 0.1
    assert block.start >= watch.start  # type: ignore[operator]
    assert block.end <= watch.end  # type: ignore[operator]


async def test_the_readers_line_is_named_not_the_librarys() -> None:
    """Deep inside a library the reader's line is named; the innermost line is kept beside it."""
    with watch_loop() as watch:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.3)"])  # noqa: ASYNC221
    block = _longest(watch)
    assert "subprocess.run([sys.executable" in block.where
    assert block.innermost.startswith(("subprocess, line", "selectors, line"))


async def test_a_background_task_is_named() -> None:
    """What blocks need not be what the reader is waiting for: any task's line is found."""

    async def culprit() -> None:
        time.sleep(0.1)  # noqa: ASYNC251 - found in the background

    with watch_loop() as watch:
        task = asyncio.create_task(culprit())
        await asyncio.sleep(0.02)
        await task
    assert _longest(watch).where.endswith(
        "time.sleep(0.1)  # noqa: ASYNC251 - found in the background"
    )


async def test_a_thread_that_holds_the_interpreter_is_a_block() -> None:
    """A worker thread in one long C call keeps the loop from waking: that is a block as well."""
    numbers = list(range(2_000_000))

    def sort() -> None:
        time.sleep(0.05)  # until the loop is waiting
        sorted(numbers, key=float)

    with watch_loop() as watch:
        sorting = asyncio.create_task(asyncio.to_thread(sort))
        while not sorting.done():
            await asyncio.sleep(0.005)
    assert "another thread held the interpreter" in _longest(watch).where


async def test_waiting_is_not_blocking() -> None:
    """Awaiting, however long, is no block; a threshold far above the machine's noise shows it."""
    with watch_loop(threshold=0.5) as watch:
        await asyncio.gather(*(asyncio.sleep(0.6) for _ in range(3)))
    assert watch.blocks == []
    assert watch.longest == 0
    assert watch.share == 0
    assert repr(watch).startswith("<LoopWatch free for ")


async def test_watches_may_overlap() -> None:
    """Two watches of one loop, left in any order, each see the blocks of their own time."""
    first, second = watch_loop(), watch_loop()
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    blocked_first, blocked_second = first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251
    await asyncio.sleep(0)
    second.__exit__(None, None, None)
    assert not any("time.sleep(0.1)" in block.where for block in blocked_first.blocks)
    assert blocked_second.longest >= 0.1
    assert "select" not in vars(selector)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
async def test_however_it_ends_nothing_is_left_behind(error: type[BaseException]) -> None:
    """After an error, a cancellation or an interrupt no thread and no hook remains."""
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    with contextlib.suppress(error), watch_loop() as watch:
        raise error
    assert watch.end is not None
    assert not _samplers()
    assert "select" not in vars(selector)


def test_a_closed_loop_ends_the_watch() -> None:
    """A watch that was never left holds no thread once its loop is closed."""

    async def forgets() -> None:
        watch_loop().__enter__()

    asyncio.run(forgets())
    for thread in _samplers():
        thread.join(5)
    assert not _samplers()


def test_watching_needs_a_loop() -> None:
    """Where no loop runs the message says where to enter."""
    with pytest.raises(LoopMisused, match="No event loop is running here"), watch_loop():
        pass


class _ForeignLoop(asyncio.AbstractEventLoop):
    """A loop that is not made by asyncio, as uvloop's is not."""


def test_foreign_loops_are_refused() -> None:
    """A loop that cannot be timed is named in the refusal, and nothing is started."""
    asyncio._set_running_loop(_ForeignLoop())
    try:
        with pytest.raises(LoopMisused, match="_ForeignLoop cannot be watched"), watch_loop():
            pass
    finally:
        asyncio._set_running_loop(None)
    assert not _samplers()


@pytest.mark.parametrize("threshold", [0, -1, 0.001, float("nan"), "0.02", None])
def test_thresholds_have_a_floor(threshold: Any) -> None:
    """A threshold that is no number, or too small to be cheap, is refused at once."""
    with pytest.raises(LoopMisused, match=r"0\.01 or more"), watch_loop(threshold):
        pass


async def test_the_summary_is_static_worst_first_and_escaped() -> None:
    """The table names each line once, the worst first, and runs no HTML out of source code."""
    with watch_loop() as watch:
        for _ in range(2):
            time.sleep(0.06)  # noqa: ASYNC251 - <script>twice</script>
            await asyncio.sleep(0)
        time.sleep(0.4)  # noqa: ASYNC251 - the worst
    bundle = watch._repr_mimebundle_()
    html, plain = bundle["text/html"], bundle["text/plain"]
    assert html.index("time.sleep(0.4)") < html.index("time.sleep(0.06)")
    assert html.count("time.sleep(0.06)") == plain.count("time.sleep(0.06)") == 1
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "/tests/" not in html + plain
    assert repr(watch) == f"<LoopWatch {watch.caption}>"


_GARBAGE = """
import gc, threading, time
from nbkit.loops.lines import lines_of

class Ring:
    def __init__(self):
        self.itself, self.local = self, threading.local()
        self.local.value = 1

def work():
    while True:
        time.sleep(0.001)

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
gc.set_threshold(2)
for _ in range(500):
    Ring()
    lines_of(threading.main_thread().ident)
"""


def test_a_collection_of_garbage_does_not_stop_the_watch() -> None:
    """Looking for a line never waits for ever, whatever the collector finds meanwhile."""
    subprocess.run([sys.executable, "-c", _GARBAGE], check=True, timeout=30)


async def test_without_the_frames_of_threads_a_block_is_still_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where Python does not show what its threads do, a block has its length and no line."""
    monkeypatch.delattr(sys, "_current_frames")
    with watch_loop() as watch:
        time.sleep(0.1)  # noqa: ASYNC251
    assert watch.longest >= 0.1
    assert _longest(watch).where.startswith("no line was recorded")
