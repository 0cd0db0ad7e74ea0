import _thread
import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nbkit.loops import LoopMisused, allow_nested_run, run
from tests.simulated import QUESTION, simulated


async def _double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def _running() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def _script(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_run_gives_the_result_or_the_error() -> None:
    """`run` returns what the coroutine returns and raises what it raises."""

    async def fails() -> None:
        raise ValueError("as it was")

    assert run(_double(21)) == 42
    with pytest.raises(ValueError, match="as it was"):
        run(fails())


def test_all_runs_share_one_loop() -> None:
    """Calls from one thread and from others run on one loop, so kept connections stay alive."""
    loops = [run(_running())]
    threads = [threading.Thread(target=lambda: loops.append(run(_running()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loops) == 4
    assert len(set(loops)) == 1
    assert [thread.name for thread in threading.enumerate()].count("nbkit-run") == 1


def test_a_second_run_asks_the_model_once() -> None:
    """The trap of two `asyncio.run`: with `run` each call reaches the model exactly once."""
    llm = simulated(speed=0)
    llm.simulator.clear()
    for _ in range(3):
        run(llm.acomplete(QUESTION[0]["content"]))
    assert len(llm.simulator.requests()) == 3


async def test_run_inside_a_coroutine_is_refused() -> None:
    """Where `run` would wait for the loop it holds up it says so, and what to write."""
    coroutine = _double(1)
    with pytest.raises(LoopMisused, match=r"inside a coroutine, .* write `await`"):
        run(coroutine)
    with pytest.raises(RuntimeError, match="already awaited"):
        await coroutine  # it was closed: no "never awaited" turns up in a later cell


def test_run_inside_run_is_refused() -> None:
    """The loop of `run` is a loop like any other: nested, it would wait for itself."""

    async def nested() -> int:
        return run(_double(1))

    with pytest.raises(LoopMisused, match="inside a coroutine"):
        run(nested())


async def test_a_thread_may_run_while_a_loop_turns() -> None:
    """From a worker thread `run` waits there, and the loop in the main thread goes on."""
    assert await asyncio.to_thread(lambda: run(_double(4))) == 8


def test_a_coroutine_runs_once() -> None:
    """A coroutine passed twice gets one clear error."""
    coroutine = _double(1)
    run(coroutine)
    with pytest.raises(LoopMisused, match="before — call its function again"):
        run(coroutine)


async def test_a_task_of_another_loop_is_refused() -> None:
    """A task belongs to its loop: waiting for it elsewhere is refused, and the task survives."""
    task = asyncio.create_task(_double(3))
    with pytest.raises(LoopMisused, match="belongs to an event loop already"):
        await asyncio.to_thread(run, task)
    assert await task == 6


async def test_a_coroutine_that_needs_another_loop_is_explained() -> None:
    """Where asyncio says "attached to a different loop", `run` says what to do about it."""
    future = asyncio.get_running_loop().create_future()

    async def wait_for_it() -> None:
        await future

    with pytest.raises(LoopMisused, match="belongs to another event loop — `await`"):
        await asyncio.to_thread(lambda: run(wait_for_it()))


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [(_double, "with its parentheses"), (7, "Got int"), (None, "Got NoneType")],
)
def test_what_is_no_coroutine_is_refused(wrong: Any, advice: str) -> None:
    """Anything that cannot be awaited gets one message with the right call."""
    with pytest.raises(LoopMisused, match=advice):
        run(wrong)


def test_a_coroutine_that_stops_the_loop_ends_no_run() -> None:
    """A coroutine that stops the loop all share goes on itself, and so do the others."""
    results: list[int] = []
    other = threading.Thread(target=lambda: results.append(run(_double(21))), daemon=True)

    async def stops() -> int:
        asyncio.get_running_loop().stop()
        other.start()
        return await _double(1)

    loop = run(_running())
    assert run(stops()) == 2
    other.join(5)
    assert results == [42]
    assert run(_running()) is loop


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt, as it does not in a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_coroutine_cleanly() -> None:
    """Ctrl-C cancels the coroutine and lets it tidy up before KeyboardInterrupt comes out."""
    tidied = []

    async def long() -> None:
        threading.Timer(0.05, _thread.interrupt_main).start()
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.02)
            tidied.append(True)

    with pytest.raises(KeyboardInterrupt):
        run(long())
    assert tidied == [True]
    assert run(_double(1)) == 2


def test_a_script_ends_quietly() -> None:
    """Tasks and generators left behind are closed when the process ends, without a word."""
    code = """
import asyncio
from nbkit.loops import run
async def forever():
    try:
        await asyncio.sleep(60)
    finally:
        print("tidied")
async def main():
    global task
    task = asyncio.create_task(forever())
    await asyncio.to_thread(print, "ran")
run(main())
"""
    assert _script(code) == "ran\ntidied\n"


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_gets_a_loop_of_its_own() -> None:
    """A fork inherits the loop without its thread: it starts another instead of waiting."""
    code = """
import asyncio, os
from nbkit.loops import run
run(asyncio.sleep(0))
child = os.fork()
if child == 0:
    os._exit(run(asyncio.sleep(0, 7)))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert _script(code) == "7\n"


NESTED = """
import asyncio, nbkit
from nbkit.loops import allow_nested_run, run
async def words():
    for word in ("one ", "two"):
        await asyncio.sleep(0)
        yield word
async def inner():
    return (await nbkit.stream(words())).text
async def main():
    print(await asyncio.to_thread(run, inner()))
    allow_nested_run()
    allow_nested_run()
    print(asyncio.run(inner()), await inner(), await asyncio.to_thread(run, inner()))
asyncio.run(main())
print(run(inner()))
"""


@pytest.mark.process
def test_nested_runs_work_once_allowed_and_the_price_is_said_once() -> None:
    """`allow_nested_run` is idempotent, says once what it breaks, and the package works on."""
    said = _script(NESTED)
    assert said.startswith("one two\nnest_asyncio is on")
    assert said.endswith("one two one two one two\none two\n")
    for part in ("in reverse order", "uvicorn.run()", "asyncio.Runner", "`await main()`"):
        assert said.count(part) == 1


@pytest.mark.process
def test_nothing_else_nests() -> None:
    """Importing all public names of the package leaves asyncio as Python made it."""
    code = """
import asyncio, nbkit, sys
original = asyncio.run, asyncio.Task
for name in nbkit.__all__:
    getattr(nbkit, name)
import nbkit.loops
assert not hasattr(asyncio, "_nest_patched")
assert (asyncio.run, asyncio.Task) == original
print("untouched")
"""
    assert _script(code).endswith("untouched\n")


def test_nesting_without_a_loop_is_refused() -> None:
    """Where no loop runs there is nothing to allow, and asyncio stays as it is."""
    with pytest.raises(LoopMisused, match="works as it is"):
        allow_nested_run()
    assert not hasattr(asyncio, "_nest_patched")
