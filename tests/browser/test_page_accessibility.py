"""The page for whoever cannot see it, has no mouse, or has chosen colours of their own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

import nbkit
from nbkit.web.server import Server
from tests.served import Scripted, parrot

pytestmark = pytest.mark.browser

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced colours": {"color_scheme": "dark", "forced_colors": "active"},
}
LONG = f"""## Lamp

{"word " * 300}

`code`

| a | b |
|---|--:|
| {"x" * 300} | 1 |

```
{"y" * 300}
```

"""


async def _tell(question: str) -> AsyncIterator[str]:
    yield LONG
    if "fail" in question:
        raise RuntimeError("out of oil")
    while "wait" in question:
        await asyncio.sleep(0.02)
        yield "more "


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """An engine that ends, fails, or goes on until it is stopped, and a chat beside it."""
    with nbkit.serve(Scripted(_tell), chat=parrot) as server:
        yield server


@pytest.fixture
def asked(page: Page, server: Server) -> Page:
    """The page, with an answer that goes on being written."""
    page.goto(server.page)
    page.keyboard.type("wait\n")
    expect(page.locator(".turn")).to_have_attribute("data-state", "writing")
    return page


def _complaints(page: Page) -> dict[str, list[str]]:
    """What axe-core finds wrong, in all of its rules: the elements of each."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")
    return {
        rule["id"]: [node["html"][:200] for node in rule["nodes"]] for rule in found["violations"]
    }


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing(asked: Page, look: str) -> None:
    """Empty, while an answer is written, and with a stopped, a failed and a finished one."""
    page = asked
    page.emulate_media(**LOOKS[look])
    assert _complaints(page) == {}
    page.keyboard.press("Escape")
    for words, state in (("fail", "failed"), ("end", "done")):
        page.keyboard.type(f"{words}\n")
        expect(page.locator(".turn").last).to_have_attribute("data-state", state)
    page.locator("summary").last.click()
    assert _complaints(page) == {}
    page.set_viewport_size({"width": 360, "height": 640})
    assert _complaints(page) == {}
    page.get_by_text("Chat", exact=True).click()
    assert _complaints(page) == {}


def _press(page: Page, button: Locator) -> None:
    button.focus()
    page.keyboard.press("Enter")


def test_the_focus_is_never_lost(asked: Page) -> None:
    """Each button that goes, or goes off, when it is pressed hands the keyboard to the question."""
    page, question = asked, asked.locator("#question")
    expect(question).to_be_focused()
    _press(page, page.get_by_role("button", name="Stop"))
    expect(page.locator(".turn").last).to_have_attribute("data-state", "stopped")
    expect(question).to_be_focused()
    question.fill("fail")
    _press(page, page.get_by_role("button", name="Ask", exact=True))
    expect(page.locator(".turn").last).to_have_attribute("data-state", "failed")
    expect(question).to_be_focused()
    _press(page, page.get_by_role("button", name="Ask again"))
    expect(page.locator(".turn")).to_have_count(3)
    expect(question).to_be_focused()
    expect(page.locator(".turn").last).to_have_attribute("data-state", "failed")
    page.get_by_role("radio", name="Questions").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Chat")).to_be_focused()
    question.fill("hello")
    question.press("Enter")
    expect(page.locator(".turn")).to_have_attribute("data-state", "done")
    _press(page, page.get_by_role("button", name="New conversation"))
    expect(page.locator(".turn")).to_have_count(0)
    expect(question).to_be_focused()


def test_escape_stops_from_anywhere_but_a_word_being_composed(asked: Page) -> None:
    """A Chinese or Japanese word is given up by Escape; the answer goes on meanwhile."""
    page, turn = asked, asked.locator(".turn")
    page.evaluate(
        "document.querySelector('#question').dispatchEvent(new KeyboardEvent('keydown',"
        "{ key: 'Escape', isComposing: true, bubbles: true }))"
    )
    more = len(turn.inner_text()) + 20
    page.wait_for_function("n => document.querySelector('.turn').innerText.length > n", arg=more)
    expect(turn).to_have_attribute("data-state", "writing")
    turn.locator(".sources summary").focus()
    page.keyboard.press("Escape")
    expect(turn).to_have_attribute("data-state", "stopped")


@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_nothing_sticks_out(asked: Page, width: int) -> None:
    """From a phone to a wall: no scrolling sideways, and the question stays in sight."""
    page = asked
    page.set_viewport_size({"width": width, "height": width * 9 // 16 if width > 400 else 640})
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    expect(page.locator("#composer")).to_be_in_viewport(ratio=1)
