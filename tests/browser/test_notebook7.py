"""The displays in Notebook 7, which mounts widgets by itself and has no workspace."""

import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab, run_cell, save, wait_idle

pytestmark = pytest.mark.browser

SETUP = """
import asyncio, nbkit
async def words(count=4000, pause=0.03):
    for number in range(count):
        await asyncio.sleep(pause)
        yield f"word{number} "
"""
CELLS = (
    SETUP,
    "answer = await nbkit.show(words())",
    "view = nbkit.show(words())",
    "views = nbkit.show_all({'slow': words(), 'done': words(3, 0)}, race=True)",
    "from llama_index.core.chat_engine import SimpleChatEngine as Engine\n"
    "llm = nbkit.connect(speed=1, tokens_per_second=10)\n"
    "chat = nbkit.chat(Engine.from_defaults(llm=llm, memory=None))",
    "chat.end(); print(answer.stopped, (await view).stopped, (await views)['slow'].stopped)",
)


def _cell(page: Page, index: int) -> Locator:
    return page.locator(".jp-CodeCell").nth(index)


def _stop(cell: Locator) -> None:
    """Click the Stop of a stream that is being read, and see it settle."""
    expect(cell.locator(".nbkit-live")).to_contain_text("word5 ")
    cell.locator(".nbkit-cell button", has_text="■ Stop").first.click()
    expect(cell.locator(".nbkit-settled")).to_contain_text("■ stopped")


def test_displays_in_notebook_7(lab: Lab, page: Page) -> None:
    """One answer, several, a chat: live, stopped by click, settled, and saved without a widget."""
    name = lab.write("seven.ipynb", *CELLS)
    page.goto(lab.classic(name))
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    wait_idle(page)
    for index in range(5):
        run_cell(page, index)
        if index in (1, 2):
            _stop(_cell(page, index))
    race = _cell(page, 3)
    expect(race.locator(".nbkit-lane")).to_have_count(2)
    expect(race.locator("[data-state=done]")).to_contain_text("word2")
    _stop(race)
    chat = _cell(page, 4)
    chat.locator(".nbkit-say").fill("What can you do?")
    chat.locator(".nbkit-say").press("Enter")
    expect(chat.locator(".nbkit-live .nbkit-text")).not_to_be_empty()
    chat.get_by_role("button", name="Stop", exact=False).first.click()
    expect(chat.locator(".nbkit-settled")).to_contain_text("■ stopped")
    run_cell(page, 5)
    expect(_cell(page, 5).locator(".jp-OutputArea-output")).to_contain_text("True True True")
    expect(page.locator(".nbkit-live")).to_have_count(0)
    save(page)
    stored = json.loads((lab.folder / name).read_text("utf-8"))
    assert "widgets" not in stored["metadata"]
    assert "widget-view" not in json.dumps(stored["cells"])
