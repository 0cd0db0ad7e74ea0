import time
from typing import Any

import pytest

from tests.kernel.conftest import Kernel, Run

pytestmark = pytest.mark.kernel

SETUP = """
import asyncio, time, nbkit
from nbkit.loops import allow_nested_run, run, watch_loop

async def words():
    for word in ("one ", "two"):
        await asyncio.sleep(0.01)
        yield word

async def ask():
    return (await nbkit.stream(words())).text
"""


def _result(run: Run) -> Any:
    (content,) = run.of("execute_result")
    return content["data"]["text/plain"]


def _refusal(kernel: Kernel, code: str) -> str:
    run = kernel.follow(kernel.start(code))
    assert run.reply["ename"] == "LoopMisused"
    return str(run.reply["evalue"])


def test_run_works_in_a_plain_cell_and_is_refused_in_a_coroutine(kernel: Kernel) -> None:
    """In a cell `run` waits for a loop of its own; inside a coroutine it says to await."""
    kernel.run(SETUP)
    assert _result(kernel.run("run(ask())")) == "'one two'"
    inside = "async def main():\n    return run(ask())\nawait main()"
    assert "inside a coroutine" in _refusal(kernel, inside)
    assert "write `await`" in _refusal(kernel, "run(nbkit.show(words()))")
    # A refused coroutine is not mourned by a warning in the next cell.
    assert kernel.run("import gc; gc.collect(); print('quiet')").text == "quiet\n"


def test_an_interrupt_ends_a_run_in_a_cell(kernel: Kernel) -> None:
    """Interrupting the kernel cancels the coroutine that a cell runs, and the next cell works."""
    kernel.run(SETUP)
    kernel.run(
        "tidied = []\nasync def long():\n    print('started', flush=True)\n"
        "    try:\n        await asyncio.sleep(60)\n    finally:\n        tidied.append(True)"
    )
    request = kernel.start("run(long())")
    kernel.follow(request, until=lambda run: "started" in run.text)
    kernel.manager.interrupt_kernel()
    run = kernel.follow(request)
    assert run.reply["ename"] == "KeyboardInterrupt"
    assert _result(kernel.run("tidied")) == "[True]"
    assert _result(kernel.run("run(ask())")) == "'one two'"


def test_the_package_works_after_nesting_was_allowed(fresh_kernel: Kernel) -> None:
    """`asyncio.run` works in a cell after it, and so do await, show, stream, run and the model."""
    fresh_kernel.run(SETUP)
    assert _result(fresh_kernel.run("run(ask())")) == "'one two'"
    denied = fresh_kernel.follow(fresh_kernel.start("asyncio.run(ask())"))
    assert denied.reply["ename"] == "RuntimeError"
    assert "`await main()`" in fresh_kernel.run("allow_nested_run()").text
    assert fresh_kernel.run("allow_nested_run()").text == ""
    for call in ("asyncio.run(ask())", "await ask()", "run(ask())"):
        assert _result(fresh_kernel.run(call)) == "'one two'"
    shown = fresh_kernel.run("answer = await nbkit.show(words())")
    assert "✓ done" in shown.settled[0]["text/plain"]
    fresh_kernel.run("llm = nbkit.connect(speed=0); llm.simulator.clear()")
    fresh_kernel.run(
        "a = await llm.acomplete('Hello'); b = await nbkit.stream(llm.astream_complete('Hi'))"
    )
    fresh_kernel.run("c = asyncio.run(llm.acomplete('Hello')); d = run(llm.acomplete('Hello'))")
    fresh_kernel.run("assert a.text and b.text and c.text and d.text")
    assert _result(fresh_kernel.run("len(llm.simulator.requests())")) == "4"


def test_a_blocking_line_is_named_by_its_cell(fresh_kernel: Kernel) -> None:
    """What stays in the file names cell, line and length."""
    fresh_kernel.run(SETUP)
    run = fresh_kernel.run(
        "with watch_loop() as watch:\n    await asyncio.sleep(0.05)\n"
        "    time.sleep(1)\n    await asyncio.sleep(0.05)"
    )
    (shown,) = run.of("display_data")
    final = shown["data"]
    assert "1 ×  cell [2], line 3: time.sleep(1)" in final["text/plain"]
    assert "cell [2], line 3" in final["text/html"]
    assert "ipykernel" not in str(final)
    assert "cell [2], line 3" in _result(fresh_kernel.run("watch"))


def test_an_interrupted_cell_leaves_a_summary_and_no_thread(fresh_kernel: Kernel) -> None:
    """Interrupted while it blocks, the watch settles, and its thread and hook are gone."""
    fresh_kernel.run(SETUP)
    request = fresh_kernel.start(
        "with watch_loop() as watch:\n    time.sleep(0.5)\n    print('started', flush=True)\n"
        "    time.sleep(30)"
    )
    fresh_kernel.follow(request, until=lambda run: "started" in run.text)
    pressed = time.monotonic()
    fresh_kernel.manager.interrupt_kernel()
    run = fresh_kernel.follow(request)
    assert time.monotonic() - pressed < 10
    assert run.reply["ename"] == "KeyboardInterrupt"
    (shown,) = run.of("display_data")
    assert "cell [2], line 2: time.sleep(0.5)" in shown["data"]["text/plain"]
    left = "[t.name for t in __import__('threading').enumerate() if 'loop-watch' in t.name]"
    assert _result(fresh_kernel.run(left)) == "[]"
    assert (
        _result(fresh_kernel.run("'select' in vars(asyncio.get_running_loop()._selector)"))
        == "False"
    )
