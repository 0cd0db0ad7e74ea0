import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab, open_notebook, run_all, save

pytestmark = pytest.mark.browser

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


def test_nothing_in_an_answer_runs(lab: Lab, page: Page) -> None:
    """Scripts, handlers, frames and remote images in an answer are text or gone, live and after."""
    attack = (
        "<script>window.hacked = 1</script>\n\n<img src=x onerror='window.hacked = 2'>\n\n"
        "[click](javascript:window.hacked=3)\n\n<iframe srcdoc='<script>parent.hacked=4</script>'>"
        "</iframe>\n\n![beacon](http://attacker.invalid/beacon.png)\n\n<style>body{display:none}"
        "</style>\n\n**still here**"
    )
    outside: list[str] = []
    page.on("request", lambda r: outside.append(r.url) if "attacker" in r.url else None)
    source = f"import nbkit\nanswer = await nbkit.show([{attack!r}])"
    open_notebook(page, lab, lab.write("attack.ipynb", source))
    run_all(page)
    expect(page.locator(".nbkit-settled strong")).to_have_text("still here")
    assert page.evaluate("window.hacked === undefined")
    assert page.locator(".nbkit-settled :is(script, img, iframe, style)").count() == 0
    assert page.locator(".nbkit-settled a[href^=javascript]").count() == 0
    assert outside == []
