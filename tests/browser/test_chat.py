import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab, open_notebook, run_cell, save

pytestmark = [pytest.mark.browser, pytest.mark.same_page]

SETUP = """
import nbkit
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
llm = nbkit.connect(speed=1, ttft=0.1, tokens_per_second=10)
engine = SimpleChatEngine.from_defaults(llm=llm, memory=ChatMemoryBuffer.from_defaults())
"""
TOLD = "print(chat.conversation.running, len(chat.turns), [t[0] for t in chat.turns])"


def _open(lab: Lab, page: Page, name: str, *cells: str) -> Locator:
    """A chat in the second cell, and its box."""
    open_notebook(page, lab, lab.write(name, SETUP, "chat = nbkit.chat(engine)", *cells))
    for index in (0, 1):
        run_cell(page, index)
    return page.locator(".nbkit-say")


def _output(page: Page, cell: int) -> Locator:
    return page.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea-output")


def test_a_chat_by_keyboard(lab: Lab, page: Page) -> None:
    """Enter sends, Shift+Enter breaks the line and runs nothing, an input method has its Enter."""
    box = _open(lab, page, "keys.ipynb", "print('ran')")
    box.focus()
    page.keyboard.type("What can")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("you do?")
    expect(box).to_have_value("What can\nyou do?")
    box.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    expect(box).to_have_value("What can\nyou do?")
    page.keyboard.press("Enter")
    live = page.locator(".nbkit-live")
    expect(live.locator(".nbkit-label")).to_have_text("What can\nyou do?")
    expect(box).to_have_value("")
    expect(box).to_be_focused()
    expect(live.locator(".nbkit-text")).not_to_be_empty()
    page.keyboard.type("kept while it answers")
    stop = page.get_by_role("button", name="Stop", exact=False).last
    for _ in range(8):
        page.keyboard.press("Shift+Tab")
        if stop.evaluate("node => node === document.activeElement"):
            break
    expect(stop).to_be_focused()
    page.keyboard.press("Space")
    settled = page.locator(".nbkit-settled")
    expect(settled).to_contain_text("■ stopped")
    expect(box).to_have_value("kept while it answers")
    assert page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex") == 1
    expect(_output(page, 2)).to_have_count(0)


def test_clear_and_end(lab: Lab, page: Page) -> None:
    """Clear empties the transcript; End leaves it in the file as static output, with no widget."""
    name = "end.ipynb"
    box = _open(lab, page, name, TOLD)
    settled = page.locator(".nbkit-settled")
    for message in ("first question", "second question"):
        box.fill(message)
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".nbkit-live .nbkit-label")).to_have_text(message)
        page.locator(".nbkit-live").get_by_role("button", name="Stop", exact=False).click()
        expect(settled.filter(has_text=message)).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    expect(settled).to_have_count(0)
    run_cell(page, 2)
    expect(_output(page, 2)).to_have_text("None 0 []\n")
    box.fill("third question")
    box.press("Enter")
    expect(page.locator(".nbkit-live .nbkit-text")).not_to_be_empty()
    page.get_by_role("button", name="End", exact=True).click()
    expect(settled).to_contain_text("third question")
    expect(settled).to_contain_text("■ stopped")
    expect(page.locator(".nbkit-live")).to_have_count(0)
    save(page)
    stored = json.loads((lab.folder / name).read_text("utf-8"))
    assert "widget-view" not in json.dumps(stored["cells"])


def test_a_message_during_a_busy_cell(lab: Lab, page: Page) -> None:
    """A message typed while another cell runs is not lost: the page says that it is being sent."""
    busy = "import time\nprint('begun')\ntime.sleep(4)"
    box = _open(lab, page, "busy.ipynb", busy)
    expect(box).to_be_visible()
    run_cell(page, 2)
    expect(_output(page, 2)).to_contain_text("begun")
    box.fill("are you there?")
    box.press("Enter")
    expect(page.locator(".nbkit-notice")).to_have_text("sending: are you there?")
    expect(page.locator(".nbkit-live .nbkit-label")).to_have_text("are you there?")
    expect(page.locator(".nbkit-notice")).to_be_empty()


def test_a_chat_whose_kernel_has_gone(lab: Lab, page: Page) -> None:
    """After a restart in mid-turn the chat says so, and the cell run again gives a working one."""
    box = _open(lab, page, "gone.ipynb")
    box.fill("What can you do?")
    box.press("Enter")
    expect(page.locator(".nbkit-live .nbkit-text")).not_to_be_empty()
    page.evaluate("void jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    expect(page.locator(".nbkit-notice")).to_contain_text("The kernel has gone")
    expect(page.locator(".nbkit-caption")).to_contain_text("the kernel has gone")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    for index in (0, 1):
        run_cell(page, index)
    expect(page.locator(".nbkit-notice")).to_be_empty()
    box.fill("And now?")
    box.press("Enter")
    expect(page.locator(".nbkit-live .nbkit-label")).to_have_text("And now?")
