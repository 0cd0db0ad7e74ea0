import json

import pytest
from playwright.sync_api import Locator, Page, WebSocket, expect

from tests.browser.conftest import Lab, open_notebook, run_all, save, wait_all_run

pytestmark = [pytest.mark.browser, pytest.mark.same_page]

SETUP = """
import nbkit
from nbkit.displays.simulator_panel import panel
llm = nbkit.connect(speed=1)
"""


def _open(lab: Lab, page: Page, name: str, *cells: str) -> Locator:
    open_notebook(page, lab, lab.write(name, SETUP, *cells))
    run_all(page)
    wait_all_run(page)
    return page.locator(".nbkit-panel")


def _words(panel: Locator) -> Locator:
    return panel.get_by_role("status")


def _handle(panel: Locator, title: str) -> Locator:
    return panel.get_by_role("slider", name=title)


def test_both_views_move_and_reset(lab: Lab, page: Page) -> None:
    """A key press moves the model; two views of its panel agree; Reset brings it back."""
    panels = _open(lab, page, "panel.ipynb", "panel(llm)", "panel(llm)")
    expect(panels).to_have_count(2)
    _handle(panels.first, "TTFT").press("ArrowRight")
    for view in panels.all():
        expect(_words(view)).to_contain_text("First token after 1 s")
        expect(_words(view)).to_contain_text("Changed: ttft=1.")
        expect(view.locator(".nbkit-value").first).to_have_text("1 s")
    panels.last.get_by_role("button", name="Reset").click()
    for view in panels.all():
        expect(_words(view)).to_contain_text("First token after 0.7 s")
        expect(view.locator(".nbkit-value").first).to_have_text("0.7 s")


def test_a_profile_is_chosen(lab: Lab, page: Page) -> None:
    """The drop-down moves all sliders and says in words what the profile resembles."""
    panel = _open(lab, page, "profile.ipynb", "panel(llm)")
    panel.get_by_role("combobox").select_option("busy")
    expect(_words(panel)).to_contain_text("a shared server with four places")
    expect(panel.locator(".nbkit-value").nth(2)).to_have_text("4 at once")


def test_a_value_off_the_scale(lab: Lab, page: Page) -> None:
    """A value off the scale, set by code, is shown, and every step stays in reach."""
    told = "shown = panel(llm); display(shown)", "llm.simulator.set(llm.model, ttft=0.123)"
    panel = _open(lab, page, "off.ipynb", *told, "shown.refresh()")
    readout, handle = panel.locator(".nbkit-value").first, _handle(panel, "TTFT")
    expect(readout).to_have_text("0.123 s")
    handle.press("ArrowRight")
    expect(readout).to_have_text("0.2 s")
    expect(_words(panel)).to_contain_text("First token after 0.2 s")
    handle.press("End")
    expect(_words(panel)).to_contain_text("First token after 10 s")


def test_a_drag_is_one_change(lab: Lab, page: Page) -> None:
    """Dragged over the whole scale, a slider sends one message, when it is let go."""
    sent: list[str] = []

    def note(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(str(frame)))

    page.on("websocket", note)
    panel = _open(lab, page, "drag.ipynb", "panel(llm)")
    sent.clear()
    handle = _handle(panel, "TTFT")
    handle.hover()
    page.mouse.down()
    page.mouse.move(1270, 300, steps=40)
    # What is seen follows the hand; what is in force does not, yet.
    expect(panel.locator(".nbkit-value").first).to_have_text("10 s")
    expect(_words(panel)).to_contain_text("First token after 0.7 s")
    page.mouse.up()
    expect(_words(panel)).to_contain_text("First token after 10 s")
    assert sum('"index"' in frame for frame in sent) == 1


def test_a_dead_simulator_shows_one_line(lab: Lab, page: Page) -> None:
    """The error is an alert in the panel; no cell has got an output from it."""
    panel = _open(lab, page, "dead.ipynb", "panel(llm)", "llm.simulator.stop()")
    outputs = page.locator(".jp-OutputArea-output").count()
    _handle(panel, "TTFT").press("ArrowRight")
    expect(panel.get_by_role("alert")).to_contain_text("not running any more")
    expect(panel.locator(".nbkit-value").first).to_have_text("0.7 s")
    assert page.locator(".jp-OutputArea-output").count() == outputs


def test_the_file_keeps_the_words(lab: Lab, page: Page) -> None:
    """A saved notebook tells without a kernel what the model was."""
    _open(lab, page, "kept.ipynb", "panel(llm)")
    save(page)
    notebook = json.loads((lab.folder / "kept.ipynb").read_text("utf-8"))
    data = notebook["cells"][1]["outputs"][0]["data"]
    for kind in ("text/plain", "text/html"):
        assert "First token after 0.7 s" in "".join(data[kind])
