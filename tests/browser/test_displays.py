import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab, open_notebook, run_all, run_cell, save, wait_idle

pytestmark = [pytest.mark.browser, pytest.mark.same_page]

SLOW = """
import asyncio, nbkit

async def words(count=400, pause=0.03):
    for number in range(count):
        await asyncio.sleep(pause)
        yield f"word{number} "
"""
SHOW = "answer = await nbkit.show(words())"


def test_words_appear_one_by_one(lab: Lab, page: Page) -> None:
    """A reader sees text grow, with its time to first token, long before the answer ends."""
    open_notebook(page, lab, lab.write("grow.ipynb", SLOW, "answer = await nbkit.show(words(60))"))
    run_all(page)
    live = page.locator(".nbkit-live .nbkit-text")
    expect(live).to_contain_text("word3 ")
    early = live.inner_text()
    assert "word59" not in early
    expect(page.locator(".nbkit-live .nbkit-caption")).to_contain_text(
        re.compile(r"streaming · TTFT \d+\.\d\d s · \d+ chunks")
    )
    settled = page.locator(".nbkit-settled")
    expect(settled).to_contain_text("word59")
    expect(settled).to_contain_text("✓ done · TTFT")
    expect(page.locator(".nbkit-live")).to_have_count(0)


def test_stop_ends_the_stream_and_keeps_the_partial(lab: Lab, page: Page) -> None:
    """A click on Stop during an awaited cell ends it; the partial stays, marked as stopped."""
    name = lab.write("stop.ipynb", SLOW, SHOW, "print('stopped:', answer.stopped)")
    open_notebook(page, lab, name)
    run_all(page)
    expect(page.locator(".nbkit-live .nbkit-text")).to_contain_text("word5 ")
    page.get_by_role("button", name="Stop", exact=False).last.click()
    expect(page.locator(".nbkit-settled")).to_contain_text("■ stopped")
    expect(page.locator(".nbkit-settled")).to_contain_text("word5 ")
    expect(page.locator(".jp-OutputArea-output").last).to_contain_text("stopped: True")


def test_a_late_view_misses_nothing(lab: Lab, page: Page) -> None:
    """A burst that is over before the view is mounted is shown whole all the same."""
    burst = "answer = await nbkit.show(words(3000, 0))"
    open_notebook(page, lab, lab.write("burst.ipynb", SLOW, burst))
    run_all(page)
    settled = page.locator(".nbkit-settled .nbkit-text")
    expect(settled).to_contain_text("word2999")
    shown = settled.inner_text().split()
    assert shown == [f"word{number}" for number in range(3000)]


def test_a_saved_notebook_needs_no_kernel(lab: Lab, page: Page) -> None:
    """Saved and reopened without a kernel, the notebook still shows the answer."""
    name = lab.write("saved.ipynb", SLOW, "answer = await nbkit.show(words(20, 0.01))")
    open_notebook(page, lab, name)
    run_all(page)
    expect(page.locator(".nbkit-settled")).to_contain_text("✓ done")
    save(page)
    stored = json.loads((lab.folder / name).read_text("utf-8"))
    assert "widgets" not in stored["metadata"]
    stored["metadata"]["kernelspec"] = {"name": "no-such-kernel", "display_name": "None"}
    reopened = Path("reopened.ipynb")
    (lab.folder / reopened).write_text(json.dumps(stored), "utf-8")
    open_notebook(page, lab, str(reopened), kernel=False)
    settled = page.locator(".nbkit-settled")
    expect(settled).to_contain_text("word19")
    expect(settled).to_contain_text("✓ done · TTFT")


def _wait_text(page: Page, condition: str) -> None:
    """Wait for a condition on the live text's element, `it`."""
    found = "document.querySelector('.nbkit-live .nbkit-text')"
    page.wait_for_function(f"() => {{ const it = {found}; return it && {condition}; }}")


AT_THE_END = "it.scrollHeight - it.scrollTop - it.clientHeight < 5"


def test_the_text_follows_until_the_reader_scrolls_up(lab: Lab, page: Page) -> None:
    """A long answer scrolls by itself, lets go when read above, and holds on again at the end."""
    open_notebook(
        page, lab, lab.write("scroll.ipynb", SLOW, "view = nbkit.show(words(40000, 0.004))")
    )
    run_all(page)
    text = page.locator(".nbkit-live .nbkit-text")
    _wait_text(page, f"it.scrollTop > 300 && {AT_THE_END}")
    text.hover()
    page.mouse.wheel(0, -250)
    _wait_text(page, "it.scrollHeight - it.scrollTop - it.clientHeight > 200")
    page.wait_for_timeout(500)  # until the wheel's own movement has come to rest
    held, height = text.evaluate("it => [it.scrollTop, it.scrollHeight]")
    _wait_text(page, f"it.scrollHeight > {height + 200}")
    assert text.evaluate("it => it.scrollTop") == held
    text.focus()
    page.keyboard.press("End")
    _wait_text(page, f"it.scrollTop > {height + 200} && {AT_THE_END}")


PARTS = """
import asyncio, nbkit
hold = asyncio.Event()
async def parts():
    yield "First block.\\n\\n- *second*\\n"
    await hold.wait()
"""


def test_copy_and_stop_by_keyboard(lab: Lab, page: Page) -> None:
    """Tab reaches the text, Stop and Copy; Space and Enter press them; the cell does not notice."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_notebook(page, lab, lab.write("keys.ipynb", PARTS, "view = nbkit.show(parts())", "view"))
    run_cell(page, 0)
    run_cell(page, 1)
    live = page.locator(".nbkit-live")
    stop = live.get_by_role("button", name="Stop", exact=False).last
    copy = live.get_by_role("button", name="Copy")
    # Finished blocks are read out, once each; the one that still changes is not.
    expect(live.locator("[aria-live=polite]")).to_have_text("First block.")
    expect(live.locator(".nbkit-open em")).to_have_text("second")
    expect(live.locator(".nbkit-cell")).to_have_attribute("data-state", "streaming")
    live.locator(".nbkit-text").focus()
    page.keyboard.press("Tab")
    expect(stop).to_be_focused()
    page.keyboard.press("Tab")
    expect(copy).to_be_focused()
    page.keyboard.press("Space")
    expect(live).to_contain_text("Copied ✓")
    assert page.evaluate("navigator.clipboard.readText()").split() == ["First", "block.", "second"]
    expect(copy).to_have_text("Copy")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.keyboard.press("Enter")
    expect(live).to_contain_text("Press Ctrl+C")
    assert page.evaluate("getSelection().toString()").split() == ["First", "block.", "second"]
    copy.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".nbkit-settled")).to_contain_text("■ stopped")
    assert page.evaluate("jupyterapp.shell.currentWidget.content.mode") == "command"


def test_stop_in_a_grid(lab: Lab, page: Page) -> None:
    """One Stop ends its own stream, Stop all the rest, in a view that nobody awaits."""
    grid = "views = nbkit.show_all({'one': words(), 'two': words(), 'three': words(3, 0)})"
    open_notebook(page, lab, lab.write("grid.ipynb", SLOW, grid))
    run_all(page)
    cells = page.locator(".nbkit-live .nbkit-cell")
    expect(cells.nth(1)).to_contain_text("word5 ")
    cells.first.get_by_role("button", name="Stop", exact=False).click()
    expect(cells.first).to_have_attribute("data-state", "stopped")
    expect(cells.first).to_contain_text("■ stopped")
    expect(cells.nth(2)).to_contain_text("✓ done")
    expect(cells.nth(1)).to_have_attribute("data-state", "streaming")
    page.get_by_role("button", name="Stop all", exact=False).click()
    settled = page.locator(".nbkit-settled")
    expect(settled.get_by_text("■ stopped")).to_have_count(2)
    expect(page.locator(".nbkit-live")).to_have_count(0)


def test_a_restart_in_mid_stream(lab: Lab, page: Page) -> None:
    """Views whose kernel has gone say so, keep their text, offer no Stop; run again, they work."""
    cells = ("view = nbkit.show(words())", "views = nbkit.show_all([words(), words()])")
    open_notebook(page, lab, lab.write("restart.ipynb", SLOW, *cells))
    run_all(page)
    streaming = page.locator(".nbkit-cell[data-state=streaming]")
    expect(streaming).to_have_count(3)
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("^Restart Kernel…")).click()
    page.get_by_role("dialog").get_by_role("button", name="Confirm").click()
    lost = page.locator(".nbkit-cell[data-state=lost]")
    expect(lost).to_have_count(3)
    for cell in lost.all():
        expect(cell).to_contain_text("✗ the kernel has gone: run the cell again")
        expect(cell).to_contain_text("word0 ")
        expect(cell.get_by_role("button", name="Stop", exact=False)).to_have_count(0)
    wait_idle(page)
    run_all(page)
    expect(streaming).to_have_count(3)
    expect(lost).to_have_count(0)


def test_a_page_loaded_again_in_mid_stream(lab: Lab, page: Page) -> None:
    """It goes on live, complete and in order; the end is shown, with what to do for the file."""
    cells = (PARTS + "    for n in range(50): yield f' word{n}'", "view = nbkit.show(parts())")
    name = lab.write("again.ipynb", *cells, "hold.set(); print((await view).trace.chunks)")
    open_notebook(page, lab, name)
    run_cell(page, 0)
    run_cell(page, 1)
    expect(page.locator(".nbkit-open em")).to_have_text("second")
    save(page)
    open_notebook(page, lab, name)
    live = page.locator(".nbkit-live")
    expect(live.locator(".nbkit-open em")).to_have_text("second")
    run_cell(page, 2)
    expect(live).to_contain_text("✓ done")
    expect(live).to_contain_text("Run the cell again to keep this answer in the file")
    shown = live.locator(".nbkit-text").inner_text().split()
    assert shown == ["First", "block.", "second", *(f"word{number}" for number in range(50))]
