"""Every way to stop a stream, held against the account of the server that generates it."""

from collections.abc import Iterator
from typing import Any

import pytest

from nbkit.simulator import Simulator
from tests.kernel.conftest import Kernel, Run
from tests.simulated import wait_for

pytestmark = pytest.mark.kernel

MODEL = "slow"
ASK = "nbkit.show(llm.astream_complete('Tell me all about streaming.'))"


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    """A server outside the kernel, so that it survives the kernel."""
    running = Simulator()
    running.set(MODEL, ttft=0.1, tokens_per_second=20, jitter=0)
    yield running
    running.stop()


@pytest.fixture
def asking(lasting_kernel: Kernel, server: Simulator) -> Kernel:
    """A kernel whose `llm` streams from that server."""
    server.clear()
    lasting_kernel.run(
        f"import os; os.environ['NBKIT_API_KEY'] = {server.api_key!r}\n"
        "import asyncio, threading, nbkit\n"
        f"llm = nbkit.connect({server.base_url!r}, model={MODEL!r})\n"
        "async def at_rest():\n"
        "    names = {'nbkit-view', 'nbkit-pump', 'nbkit-reader'}\n"
        "    tasks = [t.get_name() for t in asyncio.all_tasks()]\n"
        "    return names.isdisjoint(tasks + [t.name for t in threading.enumerate()])"
    )
    return lasting_kernel


def _streams(run: Run) -> bool:
    return any("streaming" in str(content) for content in run.of("comm_msg"))


def _cancelled(server: Simulator) -> dict[str, Any]:
    """The record of the one request, once the server has noticed that nobody listens."""
    wait_for(lambda: server.requests(MODEL)[0]["ended"] is not None, timeout=10)
    (record,) = server.requests(MODEL)
    assert record["status"] == "cancelled"
    return record


def _kept(kernel: Kernel, server: Simulator, answer: str) -> None:
    """The server sent at most one token more than the answer holds, and nothing is left over."""
    seen = int(kernel.run(f"print({answer}.trace.chunks if {answer}.stopped else -1)").text)
    assert 0 < seen <= _cancelled(server)["tokens_sent"] <= seen + 1
    assert kernel.run("print(await at_rest())").text == "True\n"


def test_button_of_an_awaited_cell(asking: Kernel, server: Simulator) -> None:
    """A click while the cell awaits ends generation within one token."""
    request = asking.start(f"answer = await {ASK}")
    run = asking.follow(request, until=_streams)
    asking.press_stop(run.live_comm)
    assert "■ stopped" in asking.follow(request).settled[0]["text/plain"]
    _kept(asking, server, "answer")


def test_button_of_a_view_nobody_awaits(asking: Kernel, server: Simulator) -> None:
    """A click between cells ends generation within one token."""
    run = asking.run(f"view = {ASK}")
    asking.run("await asyncio.sleep(1)")
    asking.press_stop(run.live_comm)
    asking.run("answer = await view")
    _kept(asking, server, "answer")


def test_view_stop(asking: Kernel, server: Simulator) -> None:
    """`view.stop()` ends generation within one token."""
    asking.run(f"view = {ASK}\nawait asyncio.sleep(1)\nview.stop()\nanswer = await view")
    _kept(asking, server, "answer")


def test_interrupt(asking: Kernel, server: Simulator) -> None:
    """Interrupting the kernel ends generation within one token and keeps the partial."""
    request = asking.start(f"view = {ASK}\nawait view")
    asking.follow(request, until=_streams)
    asking.manager.interrupt_kernel()
    run = asking.follow(request)
    assert run.reply["status"] == "error"
    assert "■ stopped" in run.settled[0]["text/plain"]
    _kept(asking, server, "view.answer")


def test_the_same_cell_run_again(asking: Kernel, server: Simulator) -> None:
    """Running a cell again stops the view that still streams in it, and no other."""
    asking.run(f"first = {ASK}\nawait asyncio.sleep(1)", cell="one")
    asking.run("6 * 7", cell="two")
    assert asking.run("print(first.answer)", cell="three").text == "None\n"
    asking.run("kept = first", cell="one")
    asking.run("answer = await kept")
    _kept(asking, server, "answer")


def test_restart(asking: Kernel, server: Simulator) -> None:
    """A restarted kernel takes its streams with it: the server stops generating."""
    request = asking.start(f"answer = await {ASK}")
    asking.follow(request, until=_streams)
    asking.manager.restart_kernel(now=True)
    asking.client.wait_for_ready(timeout=60)
    record = _cancelled(server)
    assert record["tokens_sent"] < record["tokens_planned"] / 2


def test_stop_before_the_first_token(asking: Kernel, server: Simulator) -> None:
    """Stopped while it waits, an answer is empty, and the server never begins it."""
    server.set(MODEL, ttft=5)
    asking.run(f"view = {ASK}\nawait asyncio.sleep(0.5)\nview.stop()\nanswer = await view")
    server.set(MODEL, ttft=0.1)
    assert asking.run("print(repr(answer.text), answer.stopped)").text == "'' True\n"
    assert _cancelled(server)["tokens_sent"] == 0
    assert asking.run("print(await at_rest())").text == "True\n"
