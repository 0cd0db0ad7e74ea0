"""A finished answer never disappears: who shows it, and until when (see `displays.live_widget`)."""

import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab, open_notebook, run_all, run_cell, save

pytestmark = [pytest.mark.browser, pytest.mark.same_page]

SETUP = """
import asyncio, ipywidgets, nbkit
hold = asyncio.Event()
async def words(count=5, pause=0.01):
    for number in range(count):
        await asyncio.sleep(pause)
        yield f"word{number} "
async def held():
    yield "begun "
    await hold.wait()
    yield "ended "
out = ipywidgets.Output()
"""
OPEN = "len(__import__('nbkit.displays.live_widget').displays.live_widget._open)"


def _run(lab: Lab, page: Page, name: str, *cells: str) -> None:
    open_notebook(page, lab, lab.write(name, SETUP, *cells))
    run_all(page)


def _output(page: Page, cell: int) -> Locator:
    return page.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea-output")


def _button(stream: str) -> str:
    """A cell with a button that shows a stream in an Output below it."""
    return (
        f"def ask(_):\n    with out: nbkit.show({stream})\n"
        "button = ipywidgets.Button(description='Ask')\nbutton.on_click(ask)\n"
        "display(button, out)"
    )


def test_in_a_cell_only_static_output_stays(lab: Lab, page: Page) -> None:
    """In a plain cell the widget goes as soon as the page shows its successor."""
    _run(lab, page, "plain.ipynb", "await nbkit.show(words());", f"print({OPEN})")
    expect(_output(page, 1)).to_contain_text("word4")
    expect(page.locator(".nbkit-live")).to_have_count(0)
    expect(page.locator(".nbkit-settled")).to_have_count(1)
    for _ in range(50):
        run_cell(page, 2)
        expect(_output(page, 2)).to_be_visible()
        if _output(page, 2).inner_text().strip() == "0":
            break
        page.wait_for_timeout(100)
    expect(_output(page, 2)).to_have_text("0\n")


@pytest.mark.parametrize(
    "shown",
    [
        "with out: await nbkit.show(words())\nout",
        "with out: await nbkit.show_all([words(), words()])\nout",
        "with out: view = nbkit.show(words())\nout",
        "tab = ipywidgets.Tab([out])\nwith out: await nbkit.show(words())\ntab",
        "tab = ipywidgets.Tab([ipywidgets.Output(), out])\nwith out: await nbkit.show(words())\n"
        "tab.selected_index = 1\ntab",
    ],
    ids=["show", "show_all", "unawaited", "tab", "hidden tab"],
)
def test_inside_an_output(lab: Lab, page: Page, shown: str) -> None:
    """An Output ignores what would replace the widget: the widget stays, settled and readable."""
    _run(lab, page, "output.ipynb", shown)
    live = page.locator(".nbkit-live")
    expect(live.locator(".nbkit-caption").first).to_contain_text("✓ done")
    page.wait_for_timeout(4000)  # longer than the page looks for static output
    expect(live.locator(".nbkit-text").first).to_contain_text("word4")
    expect(live).to_be_visible()
    expect(live.get_by_role("button", name="Stop", exact=False)).to_have_count(0)
    expect(live).not_to_contain_text("run the cell again")


def test_a_button_that_asks(lab: Lab, page: Page) -> None:
    """Each click's answer stays in its Output, below the one before."""
    _run(lab, page, "button.ipynb", _button("words()"))
    for count in (1, 2):
        page.get_by_role("button", name="Ask").click()
        done = page.locator(".nbkit-live .nbkit-caption").filter(has_text="✓ done")
        expect(done).to_have_count(count)
    page.wait_for_timeout(4000)
    expect(done).to_have_count(2)


def test_a_control_that_asks_again_stops_what_it_started(lab: Lab, page: Page) -> None:
    """A stream that a click started is stopped by the next click, its partial answer kept."""
    _run(lab, page, "again.ipynb", _button("words(4000, 0.05)"))
    ask = page.get_by_role("button", name="Ask")
    captions = page.locator(".nbkit-live .nbkit-caption")
    ask.click()
    expect(captions.first).to_contain_text("streaming")
    ask.click()
    expect(captions.first).to_contain_text("■ stopped")
    expect(captions.nth(1)).to_contain_text("streaming")


def test_a_page_loaded_after_the_end(lab: Lab, page: Page) -> None:
    """Saved and loaded again, a finished answer is static output that needs nothing."""
    _run(lab, page, "after.ipynb", "await nbkit.show(words());")
    expect(page.locator(".nbkit-settled")).to_contain_text("word4")
    save(page)
    open_notebook(page, lab, "after.ipynb")
    expect(page.locator(".nbkit-settled")).to_contain_text("word4")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tab_closed_in_mid_stream(lab: Lab, page: Page, when: str) -> None:
    """Opened again, before or after the end, the answer is there, with what to do for the file."""
    name = f"closed_{when}.ipynb"
    _run(lab, page, name, "view = nbkit.show(held())")
    expect(page.locator(".nbkit-live .nbkit-text")).to_contain_text("begun")
    save(page)
    kernel = page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.id")
    page.evaluate("jupyterapp.shell.currentWidget.close()")
    expect(page.locator(".jp-Notebook")).to_have_count(0)
    if when == "after":
        lab.execute(kernel, "hold.set(); print(await view)")
    open_notebook(page, lab, name, kernel=False)
    live = page.locator(".nbkit-live")
    expect(live.locator(".nbkit-text")).to_contain_text("begun")
    if when == "before":
        lab.execute(kernel, "hold.set(); print(await view)")
    expect(live.locator(".nbkit-text")).to_contain_text("begun ended")
    expect(live.locator(".nbkit-caption")).to_contain_text("✓ done")
    expect(live).to_contain_text("Run the cell again to keep this answer in the file")


def test_two_tabs(lab: Lab, page: Page) -> None:
    """A second tab that does not know the output keeps its view when the first has replaced it."""
    name = "two.ipynb"
    open_notebook(page, lab, lab.write(name, SETUP, "view = nbkit.show(held())", "hold.set()"))
    for cell in (0, 1):
        run_cell(page, cell)
    expect(page.locator(".nbkit-live .nbkit-text")).to_contain_text("begun")
    save(page)
    other = page.context.new_page()
    open_notebook(other, lab, name, kernel=False)
    expect(other.locator(".nbkit-live .nbkit-text")).to_contain_text("begun")
    run_cell(page, 2)
    expect(page.locator(".nbkit-settled")).to_contain_text("begun ended")
    expect(other.locator(".nbkit-live .nbkit-text")).to_contain_text("begun ended")
    other.wait_for_timeout(4000)
    expect(other.locator(".nbkit-live .nbkit-text")).to_contain_text("begun ended")
    other.close()


def test_captured_output_can_be_shown_later(lab: Lab, page: Page) -> None:
    """A display that was captured has the whole answer when it is shown."""
    capture = "from IPython.utils.capture import capture_output\n"
    capture += "with capture_output() as taken: await nbkit.show(words())"
    _run(lab, page, "capture.ipynb", capture, "taken.show()")
    expect(_output(page, 2).last).to_contain_text("word4")


def test_the_last_cell_need_not_wait(lab: Lab, page: Page) -> None:
    """A view that nobody awaits, in the last cell, settles into the file all the same."""
    name = "last.ipynb"
    _run(lab, page, name, "nbkit.show(words(20, 0.05))")
    expect(page.locator(".nbkit-settled")).to_contain_text("word19")
    save(page)
    stored = json.loads((lab.folder / name).read_text("utf-8"))
    assert "widget-view" not in json.dumps(stored["cells"])
