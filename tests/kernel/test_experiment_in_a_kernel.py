"""Experiments as a notebook meets them: interrupted half-way."""

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
