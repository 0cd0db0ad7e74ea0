"""Experiments as a notebook meets them: interrupted half-way, and explored by messages."""

import pytest

from tests.kernel.conftest import Kernel

pytestmark = pytest.mark.kernel

SETUP = """
import nbkit
llm = nbkit.connect(ttft=0.05, tokens_per_second=500, jitter=0)
questions = [f"What can you do? ({number})" for number in range(12)]
"""


def test_an_interrupt_keeps_what_was_measured(kernel: Kernel) -> None:
    """Interrupted, the cell ends with an error that says where the results are, and they are."""
    kernel.run(SETUP)
    options = "warmup=False, progress=lambda *to: print(to)"
    cell = f"experiment = await nbkit.measure(questions * 20, llm, {options})"
    request = kernel.start(cell)
    kernel.follow(request, until=lambda run: run.text)
    kernel.manager.interrupt_kernel()
    run = kernel.follow(request)
    assert run.reply["status"] == "error"
    assert "nbkit.Experiment.latest()" in str(run.of("error"))
    kept = (
        "e = nbkit.Experiment.latest(); print(e.stopped, 0 < len(e.results) < 240, len(e.table()))"
    )
    assert kernel.run(kept).text == "True True 1\n"


def test_a_choice_changes_the_figure_in_its_place(kernel: Kernel) -> None:
    """A message of a control's replaces the picture, which is an output of its own."""
    kernel.run(SETUP)
    run = kernel.run(
        "experiment = await nbkit.measure(questions, llm, progress=False)\n"
        "shown = nbkit.explore(experiment)\nshown"
    )
    controls, figure = run.of("display_data")
    assert "run this cell again" in controls["data"]["text/html"]
    assert "image/png" in figure["data"]
    comm_id = kernel.run("print(shown.figure.model_id)").text.strip()
    data = {"method": "update", "state": {"index": 4}, "buffer_paths": []}
    message = kernel.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
    kernel.client.shell_channel.send(message)
    later = kernel.run("import asyncio; await asyncio.sleep(0.5)")
    (changed,) = later.of("update_display_data") or kernel.run("1").of("update_display_data")
    assert changed["transient"]["display_id"] == figure["transient"]["display_id"]
    assert changed["data"]["text/plain"].startswith("what the waiting is made of")
    assert changed["data"]["image/png"] != figure["data"]["image/png"]
