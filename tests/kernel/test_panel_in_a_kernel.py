"""The panel as a front end meets it: moved by messages, heard by messages."""

from typing import Any

import pytest

from tests.kernel.conftest import Kernel, Run

pytestmark = pytest.mark.kernel

SETUP = """
import nbkit
from nbkit.displays.simulator_panel import panel
llm = nbkit.connect(ttft=0.1, tokens_per_second=1, jitter=0)
shown = panel(llm)
shown.reset.click()  # what another test has moved
"""


def _move(kernel: Kernel, setting: str, label: str) -> None:
    """Send what JupyterLab sends when a slider is let go at a label."""
    asked = f"s = shown.sliders['{setting}']; print(s.model_id, [o[0] for o in s.options].index"
    comm_id, index = kernel.run(f"{asked}('{label}'))").text.split()
    _send(kernel, comm_id, {"index": int(index)})


def _send(kernel: Kernel, comm_id: str, state: dict[str, Any]) -> None:
    data = {"method": "update", "state": state, "buffer_paths": []}
    message = kernel.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
    kernel.client.shell_channel.send(message)


def _states(run: Run, key: str) -> list[Any]:
    """Values of a trait that the kernel sent to the front end."""
    states = [content["data"].get("state", {}) for content in run.of("comm_msg")]
    return [state[key] for state in states if key in state]


def test_a_move_reaches_the_model(kernel: Kernel) -> None:
    """A message of the front end sets the running model, and the new words come back."""
    kernel.run(SETUP)
    _move(kernel, "ttft", "3 s")
    run = kernel.run("print(llm.simulator.profile(llm.model)['ttft'])")
    assert run.text == "3\n"
    assert "First token after 3 s" in _states(run, "value")[-1]


def test_a_move_hurries_an_awaited_answer(kernel: Kernel) -> None:
    """While a cell awaits an answer of 40 s and more, a move of the teacher's ends it soon."""
    kernel.run(SETUP)
    comm_id = kernel.run("rate = shown.sliders['tokens_per_second']; print(rate.model_id)").text
    request = kernel.start(
        "tokens = nbkit.stream(llm.astream_complete('What can you do?'))\n"
        "async for chunk in tokens:\n    print(chunk, end='')"
    )
    kernel.follow(request, until=lambda run: run.text)
    _send(kernel, comm_id.strip(), {"index": 13})
    assert kernel.follow(request).reply["status"] == "ok"
    assert kernel.run("print(rate.label, tokens.trace.end_to_end < 20)").text == "500 True\n"


def test_a_dead_simulator_is_told_in_the_panel(kernel: Kernel) -> None:
    """Nothing is printed under any cell: the panel shows the line, and its slider goes back."""
    kernel.run(SETUP)
    before = kernel.run("llm.simulator.stop(); print(shown.sliders['ttft'].index)").text
    _move(kernel, "ttft", "3 s")
    run = kernel.run("print('next')")
    assert run.text == "next\n"
    assert not run.of("error")
    assert "not running any more" in _states(run, "value")[-1]
    assert _states(run, "index")[-1] == int(before)


def test_what_a_cell_keeps(kernel: Kernel) -> None:
    """The cell's output carries the whole words beside the widget."""
    kernel.run(SETUP)
    (result,) = kernel.run("shown").of("execute_result")
    for kind in ("text/plain", "text/html"):
        assert "Changed: ttft=0.1, tokens_per_second=1, jitter=0." in result["data"][kind]
