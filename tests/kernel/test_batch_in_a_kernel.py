import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.conftest import Kernel, Run

pytestmark = pytest.mark.kernel

SETUP = """
import asyncio, nbkit
from nbkit.batch.run import run_batch

started, ended = [], []

async def ask(number):
    started.append(number)
    try:
        await asyncio.sleep(60 if number >= 3 else 0)
    finally:
        ended.append(number)
    return number
"""


def _result(run: Run) -> Any:
    (content,) = run.of("execute_result")
    return content["data"]["text/plain"]


def test_the_bar_is_a_widget_and_leaves_text(kernel: Kernel) -> None:
    """While it runs the bar is a widget; what stays in the file is one line of text."""
    kernel.run(SETUP)
    run = kernel.run("results = await run_batch(range(3), ask)")
    (slot,) = run.of("display_data")
    assert "application/vnd.jupyter.widget-view+json" in slot["data"]
    assert [set(bundle) for bundle in run.settled] == [{"text/plain"}]
    assert "3/3" in run.settled[0]["text/plain"]
    assert "failed=0, retried=0" in run.settled[0]["text/plain"]
    assert run.text == ""
    assert _result(kernel.run("[outcome.value for outcome in results]")) == "[0, 1, 2]"


def test_the_bar_of_a_cluster_links_to_its_workers(kernel: Kernel) -> None:
    """The page of the workers is one click away, and the bar beside it counts as ever."""
    run = kernel.run(
        "from nbkit.displays.progress import shown\n"
        "with shown(True, 2, 'http://127.0.0.1:8787/status') as hear:\n"
        "    hear('one', failed=False, retried=False), hear('two', failed=True, retried=False)"
    )
    assert "2/2" in run.settled[0]["text/plain"]
    assert "failed=1, retried=0" in run.settled[0]["text/plain"]
    sent = json.dumps(run.of("comm_open"))
    assert '<a href=\\"http://127.0.0.1:8787/status\\" target=\\"_blank\\">' in sent


def test_an_interrupt_keeps_what_is_done(kernel: Kernel) -> None:
    """Ctrl-C ends every call at once; the outcomes so far are on the run and in the journal."""
    kernel.run(SETUP)
    kernel.run("import tempfile, pathlib; path = pathlib.Path(tempfile.mkdtemp()) / 'run.jsonl'")
    request = kernel.start("run = run_batch(range(9), ask, journal=path); await run")
    kernel.follow(request, until=lambda run: "3/9" in str(run.of("comm_msg")))
    pressed = time.monotonic()
    kernel.manager.interrupt_kernel()
    run = kernel.follow(request)
    assert time.monotonic() - pressed < 10
    assert run.reply["status"] == "error"
    assert "3/9" in run.settled[0]["text/plain"]
    assert _result(kernel.run("[outcome.value for outcome in run.outcomes]")) == "[0, 1, 2]"
    assert _result(kernel.run("sorted(started) == sorted(ended)")) == "True"
    names = "[t.get_name() for t in asyncio.all_tasks() if t.get_name().startswith('nbkit')]"
    assert _result(kernel.run(names)) == "[]"
    kernel.run("started.clear(); again = run_batch(range(3), ask, journal=path); await again")
    assert _result(kernel.run("(started, len(again.outcomes))")) == "([], 3)"
    kernel.run("import shutil; shutil.rmtree(path.parent)")


def test_an_interrupt_is_felt_while_everybody_waits(kernel: Kernel) -> None:
    """Told to wait by the server for a minute, a batch still ends at once."""
    kernel.run(SETUP)
    kernel.run("llm = nbkit.connect(requests_per_minute=1, ttft=0, tokens_per_second=1000)")
    kernel.run("await llm.acomplete('What can you do?')")
    request = kernel.start("run = run_batch(['What can you do?'] * 3, llm.acomplete); await run")
    kernel.follow(request, until=lambda run: run.of("display_data"))
    time.sleep(2)  # into the wait: nothing is sent while it lasts
    pressed = time.monotonic()
    kernel.manager.interrupt_kernel()
    assert kernel.follow(request).reply["status"] == "error"
    assert time.monotonic() - pressed < 10


def test_asks_in_the_notebook_before_it_costs_too_much(kernel: Kernel, tmp_path: Path) -> None:
    """The question is the notebook's own input; a program that runs it is told what to pass."""
    prices = tmp_path / "prices.toml"
    text = 'currency = "EUR"\nask_above = 0.5\n[{model}]\ninput = 0\noutput = 10000\n'
    kernel.run(f"""
import os, nbkit
llm = nbkit.connect(speed=0)
open({str(prices)!r}, "w").write({text!r}.format(model=llm.model))
os.environ["NBKIT_PRICES"] = {str(prices)!r}
run = nbkit.run_batch(["Hi"] * 9, llm.astream_complete, progress=False)
del os.environ["NBKIT_PRICES"]
""")
    (error,) = kernel.follow(kernel.start("await run")).of("error")
    assert error["ename"] == "CostTooHigh"
    assert "pass max_cost=" in error["evalue"]
    request = kernel.client.execute("print(len(await run))", allow_stdin=True)
    asked = kernel.client.get_stdin_msg(timeout=20)
    assert "5 requests cost" in asked["content"]["prompt"]
    kernel.client.input("y")
    assert kernel.follow(request).text == "9\n"
