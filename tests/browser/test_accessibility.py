"""All that nbkit shows in a notebook: for the keyboard, a screen reader, any colours, any width."""

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab, open_notebook, run_all, wait_all_run

pytestmark = pytest.mark.browser

SETUP = """
import asyncio, nbkit
from llama_index.core.chat_engine import SimpleChatEngine
from nbkit.displays.simulator_panel import panel
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent
llm = nbkit.connect(speed=0)
index = nbkit.load_index("en")
engine = index.as_query_engine(llm=llm, streaming=True)

async def words(hold=False):
    yield "# A title\\n\\n| a | b |\\n|---|---|\\n| 1 | 2 |\\n\\n"
    yield "```python\\nx = 1\\n```\\n\\n> said, [linked](https://example.org)\\n\\n"
    for number in range(30):
        yield f"word{number} "
        await asyncio.sleep(0.01)
    if hold:
        await asyncio.Event().wait()

async def order(ctx: Context, item: str) -> str:
    "Order an item from the shop."
    asked = InputRequiredEvent(prefix=f"Buy {item}?")
    return str(await ctx.wait_for_event(HumanResponseEvent, waiter_event=asked))

def price(item: str) -> str:
    "The price of an item."
    return f"The {item} costs 59 USD. " * 40

thinker = nbkit.connect(speed=0, thinking_tokens=300)
agent = FunctionAgent(tools=[order, price], llm=thinker)
"""
SHOW = "view = nbkit.show(words(hold=True))"
GRID = "views = nbkit.show_all({'one': words(hold=True), 'two': words()}, race=True)"
CHAT = """
slow = nbkit.connect(speed=1, ttft=0.1, tokens_per_second=1)
chat = nbkit.chat(SimpleChatEngine.from_defaults(llm=slow))
"""
ASKS = "asking = nbkit.show(lambda: agent.run(user_msg='Order a lamp'))"
EVERYTHING = (
    SHOW,
    GRID,
    CHAT,
    ASKS,
    "told = await nbkit.show(lambda: agent.run(user_msg='What is the price of the lamp?'))",
    "panel(nbkit.connect(speed=1))",
    "answer = await nbkit.show(engine.aquery('How long is the warranty?'))",
    "race = await nbkit.show_all({'one': words(), 'two': words()}, race=True)",
    "nbkit.plots.timeline(race);",
    "nbkit.summary(list(race.values()))",
    "await nbkit.measure(['How long?'], llm, max_concurrency=[1, 2], requests=4, warmup=False)",
    "nbkit.check()",
)
MODES: dict[str, dict[str, Any]] = {
    "light": {},
    "forced colours": {"forced_colors": "active"},
    "forced colours, dark": {"forced_colors": "active", "color_scheme": "dark"},
    "dark": {},
    "360 px": {},
}
# What does not show its whole width, and does not scroll by keyboard either.
CUT_OFF = """() => [...document.querySelectorAll(".jp-OutputArea-output, .jp-OutputArea-output *")]
    .filter(it => it.clientWidth && it.scrollWidth > it.clientWidth + 1)
    .filter(it => getComputedStyle(it).overflowX !== "visible" && it.tabIndex < 0)
    .map(it => `${it.tagName}.${it.className}: ${it.textContent.slice(0, 60)}`)"""
OPEN = "document.querySelectorAll('.jp-OutputArea-output details').forEach(it => (it.open = true))"
INK = """lane => {
    const { borderTopColor, borderTopWidth, width } = getComputedStyle(lane);
    return parseFloat(width) > 5 && parseFloat(borderTopWidth) > 5 && borderTopColor;
}"""


def _show(page: Page, lab: Lab, name: str, *cells: str) -> None:
    # JupyterLab takes cells that are out of sight out of the page.
    page.set_viewport_size({"width": 1280, "height": 6000})
    open_notebook(page, lab, lab.write(name, SETUP, *cells))
    run_all(page)
    wait_all_run(page)


def _change_to(page: Page, mode: str) -> None:
    page.emulate_media(**{"forced_colors": "none", "color_scheme": "light", **MODES[mode]})
    theme = f"JupyterLab {'Dark' if mode == 'dark' else 'Light'}"
    page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    name = "document.body.dataset.jpThemeName"
    page.wait_for_function(f"theme => {name} === theme", arg=theme)
    if mode == "360 px":
        page.evaluate("jupyterapp.shell.collapseLeft()")
        page.set_viewport_size({"width": 360, "height": 9000})
        page.wait_for_function("document.querySelector('.nbkit-panel').clientWidth < 330")


def _violations(page: Page) -> list[str]:
    found = Axe().run(page, context=".jp-OutputArea-output").response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def test_axe_finds_nothing(lab: Lab, page: Page) -> None:
    """Live, settled, panel, figure, tables: no fault in any colours; nothing cut off at 360 px."""
    _show(page, lab, "everything.ipynb", *EVERYTHING)
    page.get_by_label("Your message").fill("What can you do?")
    page.get_by_label("Your message").press("Enter")
    expect(page.locator(".nbkit-chat .nbkit-cell")).to_have_attribute("data-state", "streaming")
    # Whether JupyterLab has kept some of it out of the page.
    expect(page.locator(".nbkit-live, .nbkit-settled, .nbkit-panel")).to_have_count(8)
    expect(page.get_by_label("Buy lamp?")).to_be_visible()
    page.evaluate(OPEN)
    for table in ("Summary", "Experiment"):
        expect(page.get_by_role("region", name=table)).to_be_visible()
    expect(page.locator(".jp-OutputArea-output img")).to_have_attribute(
        "alt", re.compile(r"Where does the time go\? one: done, first text [\d.]+ m?s, all ")
    )
    faults = {}
    for mode in MODES:
        _change_to(page, mode)
        faults[mode] = _violations(page)
        if mode.startswith("forced"):
            lanes = page.locator(".nbkit-lane b, .nbkit-settled td > div > div:last-child")
            seen = [lane.evaluate(INK) for lane in lanes.all()]
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert len(seen) >= 2
            assert all(ink and ink != paper for ink in seen), (mode, seen, paper)
    assert faults == {mode: [] for mode in MODES}
    assert page.evaluate(CUT_OFF) == []


def _focused(page: Page, place: Locator) -> None:
    """Wait until the focus is on, or in, an element; it must not be lost for a moment."""
    handle = place.element_handle()
    page.wait_for_function("it => it.contains(document.activeElement)", arg=handle)


def test_escape_stops_and_the_focus_stays(lab: Lab, page: Page) -> None:
    """Escape stops what has the focus; that, and Stop, leave it where the answer is."""
    _show(page, lab, "focus.ipynb", SHOW, GRID, SHOW.replace("view", "other"), CHAT)
    outputs = page.locator(".jp-CodeCell")
    one, grid, other, chat = (outputs.nth(place) for place in range(1, 5))
    # The focus follows from what is live to what stays.
    one.locator(".nbkit-text").focus()
    page.keyboard.press("Escape")
    expect(one.locator(".nbkit-settled")).to_contain_text("■ stopped")
    _focused(page, one.locator("[data-nbkit]"))
    other.get_by_role("button", name="■ Stop").press("Enter")
    expect(other.locator(".nbkit-settled")).to_contain_text("■ stopped")
    _focused(page, other.locator("[data-nbkit]"))
    # In a grid, each says which answer it stops.
    grid.get_by_role("button", name="■ Stop one").press("Enter")
    expect(grid.locator(".nbkit-settled")).to_contain_text("■ stopped")
    _focused(page, grid.locator("[data-nbkit]"))
    # In a chat one can write on.
    box = chat.get_by_role("textbox", name="Your message")
    box.fill("What can you do?")
    chat.get_by_role("button", name="Send").press("Enter")
    expect(chat.locator(".nbkit-live .nbkit-cell")).to_have_attribute("data-state", "streaming")
    expect(box).to_be_focused()
    page.keyboard.type("And")
    page.keyboard.press("Escape")
    expect(chat.locator(".nbkit-settled")).to_contain_text("■ stopped")
    expect(box).to_be_focused()
    expect(box).to_have_value("And")


def test_who_has_gone_on_is_left_alone(lab: Lab, page: Page) -> None:
    """An answer that ends takes the focus from nowhere else."""
    _show(page, lab, "elsewhere.ipynb", SHOW)
    page.locator(".nbkit-text").focus()
    page.locator(".jp-CodeCell .cm-content").first.focus()
    page.evaluate("jupyterapp.commands.execute('notebook:enter-edit-mode')")
    lab_focus = page.evaluate_handle("document.activeElement")
    page.evaluate("document.querySelector('.nbkit-button').click()")
    expect(page.locator(".nbkit-settled")).to_contain_text("■ stopped")
    assert lab_focus.evaluate("it => it === document.activeElement")


def test_sliders_say_their_name_and_value(lab: Lab, page: Page) -> None:
    """A screen reader hears what is moved, and its value as it is shown, with the unit."""
    _show(page, lab, "sliders.ipynb", "panel(nbkit.connect(speed=1))")
    said = {}
    for slider in page.get_by_role("slider").all():
        value = slider.get_attribute("aria-valuetext")
        assert slider.locator("xpath=../..").locator(".nbkit-value").inner_text() == value
        said[slider.evaluate("it => it.labels[0].innerText")] = value
    assert said["First token (TTFT)"] == "0.7 s"
    assert said["Failure rate"] == "0 %"
    page.get_by_role("slider", name="First token").press("ArrowRight")
    expect(page.get_by_role("slider", name="First token")).to_have_attribute(
        "aria-valuetext", "1 s"
    )
