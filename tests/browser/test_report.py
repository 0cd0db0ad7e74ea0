"""The report of an experiment in a browser: on a phone, on a screen, and printed."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from nbkit import SLO
from tests.browser.conftest import Trap
from tests.experiments import experiment, several

pytestmark = pytest.mark.browser

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
HOSTILE = "<script>hacked=1</script><img src=https://attacker.test onerror=hacked=1>" + "x" * 90
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced colours": {"color_scheme": "dark", "forced_colors": "active"},
}
STICKS_OUT = "document.documentElement.scrollWidth - innerWidth"
# What is cut off and cannot be scrolled by keyboard.
CUT_OFF = """() => [...document.querySelectorAll("main, main *")]
    .filter(it => it.clientWidth && it.scrollWidth > it.clientWidth + 1)
    .filter(it => getComputedStyle(it).overflowX !== "visible" && it.tabIndex < 0)
    .map(it => `${it.tagName}.${it.className}: ${it.textContent.slice(0, 60)}`)"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of two labels, with text that must do nothing."""
    labels = ["a", HOSTILE]
    runs = [
        experiment(
            [one for label in labels for one in several(label)],
            environment={"started": HOSTILE},
            questions=[HOSTILE],
        )
        for _ in range(2)
    ]
    path = tmp_path_factory.mktemp("report") / "week.html"
    return runs[0].report(path, runs[1], slo=SLO(ttft=0.6), text=True)


@pytest.fixture
def trap(page: Page, report: Path) -> Trap:
    """A trap around the page, for which only the file itself is home."""
    trap = Trap()
    trap.watch(page, report.as_uri())
    return trap


def test_nothing_runs_and_nothing_is_asked_for(page: Page, trap: Trap, report: Path) -> None:
    """The file shows all of its figures, and neither loads, runs nor violates anything."""
    page.goto(report.as_uri())
    loaded = "[...document.images].map(it => it.complete && it.naturalWidth > 0)"
    assert page.evaluate(loaded) == [True] * 4
    assert trap.sprung == []


@pytest.mark.parametrize("look", LOOKS)
def test_it_can_be_read(browser: Browser, report: Path, look: str) -> None:
    """Axe finds nothing, and nothing sticks out or is cut off, on a screen and on a phone."""
    # The policy of the file keeps out the script of axe, too.
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.emulate_media(**LOOKS[look])
    page.goto(report.as_uri())
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(STICKS_OUT) <= 0
        assert page.evaluate(CUT_OFF) == []
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")["violations"]
    assert [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]] == []
    context.close()


def test_it_is_printed_dark_on_white(page: Page, report: Path) -> None:
    """In a dark theme too, paper stays white, and a table is not cut off on A4."""
    page.emulate_media(color_scheme="dark", media="print")
    page.set_viewport_size({"width": 680, "height": 960})  # A4 without its margins
    page.goto(report.as_uri())
    style = "getComputedStyle(document.body)"
    assert page.evaluate(f"[{style}.backgroundColor, {style}.color]") == [
        "rgb(255, 255, 255)",
        "rgb(34, 37, 42)",
    ]
    assert page.evaluate(STICKS_OUT) <= 0
