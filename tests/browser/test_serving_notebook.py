import shutil

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab, open_notebook, run_cell, wait_idle
from tests.execute_notebooks import FOLDER

pytestmark = pytest.mark.browser

NAME = "08_serving.ipynb"


def _run(page: Page, code: str) -> None:
    """Run the one cell of the notebook that begins with this code."""
    place = page.evaluate(
        """code => jupyterapp.shell.currentWidget.content.widgets.findIndex(
            cell => cell.model.type === "code" && cell.model.sharedModel.source.startsWith(code)
        )""",
        code,
    )
    run_cell(page, place)


def test_the_page_chats_until_its_server_stops(lab: Lab, page: Page) -> None:
    """Whoever has come as far as the page can chat there; stopped, it says why it is silent."""
    lab.use_fresh_kernel()
    shutil.copy(FOLDER / NAME, lab.folder / NAME)
    open_notebook(page, lab, NAME)
    _run(page, "import asyncio")
    _run(page, "def new_chat")
    _run(page, "server = nbkit.serve")
    with page.expect_event("framenavigated", lambda frame: frame != page.main_frame) as shown:
        _run(page, "server.show()")
    frame = shown.value
    frame.get_by_text("Chat", exact=True).click()
    frame.locator("#question").fill("How long is the warranty?")
    frame.locator("#question").press("Enter")
    expect(frame.locator(".answer")).to_contain_text("24 months")
    _run(page, "server.stop()")
    wait_idle(page)
    frame.locator("#question").fill("And the battery's?")
    frame.locator("#question").press("Enter")
    expect(frame.locator(".trouble").last).to_contain_text("The connection to the server was lost")
