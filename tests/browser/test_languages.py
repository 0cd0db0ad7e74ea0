"""The displays and the served page in the reader's language."""

import re

import pytest
from llama_index.core.chat_engine import SimpleChatEngine
from playwright.sync_api import Page, expect

import nbkit
from tests.browser.conftest import Lab, open_notebook, run_all
from tests.browser.test_displays import SHOW, SLOW

pytestmark = pytest.mark.browser


def test_a_view_speaks_the_readers_language(lab: Lab, page: Page) -> None:
    """In Chinese the caption counts, the button stops and the static output tells in Chinese."""
    cells = ["%env NBKIT_LANG=zh", SLOW, SHOW]
    open_notebook(page, lab, lab.write("chinese.ipynb", *cells))
    run_all(page)
    expect(page.locator(".nbkit-live .nbkit-caption")).to_contain_text(
        re.compile(r"流式输出中 · TTFT \d+\.\d\d 秒 · \d+ 个文本块")
    )
    page.get_by_role("button", name="■ 停止").last.click()
    expect(page.locator(".nbkit-settled")).to_contain_text("■ 已停止 · TTFT")


def test_the_page_speaks_the_servers_language(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its policy lets the script with Chinese words run, and captions and buttons are Chinese."""
    monkeypatch.setenv("NBKIT_LANG", "zh")
    llm = nbkit.connect(speed=6)
    with nbkit.serve(chat=lambda: SimpleChatEngine.from_defaults(llm=llm)) as server:
        page.goto(server.page)
        page.keyboard.type("你好")
        page.keyboard.press("Enter")
        turn = page.locator(".turn")
        expect(page.get_by_role("button", name="停止")).to_be_visible()
        expect(turn).to_have_attribute("data-state", "done")
        expect(turn.locator(".caption")).to_have_text(
            re.compile(r"完成 · TTFT .* 个文本块 · 共 .* 秒")
        )
        expect(page.locator("#status")).to_have_text("回答已完成。")
