"""Model output is untrusted: nothing in it runs, and nothing is fetched, in any state of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Lab, Trap, open_notebook, run_cell, save, wait_idle

pytestmark = pytest.mark.browser

# Each would set `window.hacked`, ask a host named attacker, or change the page around it.
ATTACKS = [
    "<script>window.hacked='script'</script>",
    "<img src=attacker-x onerror=\"window.hacked='onerror'\">",
    '<svg onload="window.hacked=\'svg\'"><a xlink:href="javascript:window.hacked=1">x</a></svg>',
    "<iframe srcdoc=\"<script>parent.hacked='iframe'</script>\"></iframe>",
    "<style>body { display: none !important }</style>",
    "<link rel=stylesheet href=http://attacker.invalid/a.css>",
    "<base href=http://attacker.invalid/>",
    "<meta http-equiv=refresh content='0;url=//attacker.invalid'>",
    "<form action=http://attacker.invalid/><input autofocus onfocus=\"window.hacked='focus'\">",
    "<details open ontoggle=\"window.hacked='toggle'\">x</details>",
    "<div style='position:fixed;inset:0;background:url(http://attacker.invalid/b)'>cover</div>",
    "![beacon](http://attacker.invalid/beacon.png) ![x][pic]\n\n[pic]: //attacker.invalid/p.png",
    "[a](javascript:window.hacked='link') [b](JaVaScRiPt&#58;window.hacked=1) [c](javascript\\:x)",
    "[d](java&Tab;script&colon;hacked=1) <javascript:hacked=1>",
    "[e][ref]\n\n[ref]: javascript:hacked=1",
    "[f](data:text/html,<script>opener.hacked=1</script>) [g](//attacker.invalid/x) [h](/logout)",
    '[i](vbscript:x) [j](file:///etc/passwd) [k](http://ok.invalid/"onclick="hacked=1)',
    "$\\href{javascript:window.hacked='math'}{x}$ $$\\href{javascript:hacked=1}{y}$$",
    "\\(\\unicode{1}\\) \\[\\href{javascript:hacked=1}{z}\\]",
    "`<script>hacked=1</script>`\n\n```html\n<script>window.hacked='fence'</script>\n```",
    '```"><script>hacked=1</script>\nx\n```',
    "| <img src=attacker onerror=hacked=1> |\n|--|\n| x |",
    "# <b onclick=hacked=1>t</b>\n\n&lt;script&gt;hacked=1&lt;/script&gt;",
    "<!-- --><!--><script>hacked=1</script>",
]
MARKER = "still here"
ANSWER = "\n\n".join([*ATTACKS, f"**{MARKER}**"])
SHORT = (
    f"{ATTACKS[0]}{ATTACKS[1]}[x](javascript:hacked=1)$\\href{{javascript:hacked=1}}{{x}}${MARKER}"
)
SETUP = f"""
import asyncio, nbkit
from llama_index.core.base.response.schema import AsyncStreamingResponse
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import NodeWithScore, TextNode

hold, answer, short = asyncio.Event(), {ANSWER!r}, {SHORT!r}

async def slowly(text, error=None):
    for start in range(0, len(text), 9):
        yield text[start:start + 9]
        await asyncio.sleep(0.005)
    await hold.wait()
    if error: raise RuntimeError(error)

def with_sources():
    node = TextNode(text=short, metadata={{"file_name": short}})
    return AsyncStreamingResponse(slowly(answer), source_nodes=[NodeWithScore(node=node, score=1)])

echo = SimpleChatEngine.from_defaults(llm=MockLLM(), memory=ChatMemoryBuffer.from_defaults())
"""
CELLS = (
    SETUP,
    "one = nbkit.show(with_sources())",
    "many = nbkit.show_all({short: slowly(answer), 'broken': slowly('x', short)})",
    "chat = nbkit.chat(echo)",
    "hold.set(); one = await one; many = await many; chat.end()",
)
BAD = """root => [...root.querySelectorAll("*")].flatMap(node => [
    ...(node.matches("script, img, iframe, style, svg, link, object, embed, form, base, meta")
        || node.matches("mjx-container") ? [node.outerHTML] : []),
    ...[...node.attributes].filter(({ name, value }) =>
        name.startsWith("on") || /^\\s*(javascript|vbscript|data|file):/i.test(value)
        || (name.endsWith("href") && !/^(https?|mailto):/.test(value)))
        .map(({ name, value }) => `${name}=${value}`),
])"""
"""What must not be found in anything shown."""


def _harmless(page: Page, trap: Trap, selector: str) -> None:
    """Nothing ran or was fetched, and what stands there could not do it on a click either."""
    shown = page.locator(selector)
    for place in shown.all():
        assert place.evaluate(BAD) == []
    assert page.evaluate("getComputedStyle(document.body).display") != "none"
    assert trap.sprung == []


def _trusted(page: Page) -> list[bool]:
    return page.evaluate(
        "[...jupyterapp.shell.currentWidget.content.model.cells]"
        ".filter(cell => cell.type === 'code').map(cell => cell.trusted)"
    )


SPRINGS = [
    ("<img src=x onerror=\"window.hacked='handler'\">", "ran handler"),
    ("<script>window.hacked = 'script'</script>", "ran script"),
    ("<img src=http://attacker.invalid/b.png>", "asked for http://attacker.invalid/b.png"),
    ("<iframe srcdoc=\"<script>parent.hacked='frame'</script>\"></iframe>", "ran frame"),
    ("<script>alert('boo')</script>", "dialog boo"),
    ("<script>open('/tree?x')</script>", "window"),
]


def test_the_trap_springs(lab: Lab, page: Page, trap: Trap) -> None:
    """What these tests rely on: the same attacks as plain HTML of a trusted cell are noticed."""
    attacks = "".join(attack for attack, _ in SPRINGS) + "<p>$\\href{javascript:1}{x}$</p>"
    show = f"from IPython.display import HTML; display(HTML({attacks!r}))"
    open_notebook(page, lab, lab.write("trap.ipynb", show))
    run_cell(page, 0)
    expect(page.locator(".jp-OutputArea mjx-container").first).to_be_attached()
    for _, noticed in SPRINGS:
        trap.wait_for(page, noticed)
    found = page.locator(".jp-OutputArea-output").first.evaluate(BAD)
    assert {"img", "iframe", "script", "mjx-container"} <= {
        what[1:].split(" ")[0].split(">")[0] for what in found
    }


def test_nothing_in_an_answer_runs(lab: Lab, page: Page, trap: Trap, browser: Browser) -> None:
    """No answer, source, label, message or error does harm: live, settled, reopened, exported."""
    name = lab.write("attack.ipynb", *CELLS)
    open_notebook(page, lab, name)
    for index in range(4):
        run_cell(page, index)
    live = page.locator(".nbkit-live")
    expect(live.get_by_text(MARKER, exact=True)).to_have_count(2)
    expect(live.locator(".nbkit-sources")).to_contain_text(MARKER)
    page.locator(".nbkit-say").fill(SHORT)
    page.locator(".nbkit-say").press("Enter")
    _harmless(page, trap, ".nbkit-live")
    expect(page.locator(".nbkit-settled").get_by_text(MARKER).first).to_be_visible()
    run_cell(page, 4)
    expect(page.locator(".nbkit-settled strong").get_by_text(MARKER, exact=True)).to_have_count(2)
    expect(page.locator(".nbkit-settled").get_by_text("✗ failed")).to_be_visible()
    expect(live).to_have_count(0)
    _harmless(page, trap, ".nbkit-settled")
    save(page)

    open_notebook(page, lab, name, kernel=False)
    assert all(_trusted(page))
    expect(page.locator(".nbkit-settled").first).to_be_visible()
    _harmless(page, trap, ".nbkit-settled")

    changed = json.loads((lab.folder / name).read_text("utf-8"))
    changed["cells"][1]["source"] += "  # not signed"
    (lab.folder / "untrusted.ipynb").write_text(json.dumps(changed), "utf-8")
    open_notebook(page, lab, "untrusted.ipynb", kernel=False)
    assert not any(_trusted(page)[1:4])
    expect(page.locator(".jp-OutputArea").get_by_text(MARKER).first).to_be_visible()
    _harmless(page, trap, ".jp-OutputArea-output")

    _check_exported(lab.folder, name, browser)


def _exported(folder: Path, name: str) -> Path:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", name]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / name).with_suffix(".html")


def _check_exported(folder: Path, name: str, browser: Browser) -> None:
    """The exported page does no more than that of an empty notebook, from disk, without network."""
    (folder / "empty.ipynb").write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    ordinary = Trap()
    for trap, exported in (
        (ordinary, _exported(folder, "empty.ipynb")),
        (Trap(), _exported(folder, name)),
    ):
        page = browser.new_page()
        trap.watch(page, "file://")
        page.goto(exported.as_uri())
        page.wait_for_load_state("load")
        if trap is ordinary:
            continue
        expect(page.locator(".nbkit-settled").first).to_be_visible()
        for place in page.locator(".nbkit-settled").all():
            assert place.evaluate(BAD) == []
            assert place.evaluate("node => node.classList.contains('tex2jax_ignore')")
        assert trap.sprung == ordinary.sprung
        page.context.close()


def test_ten_megabytes_of_one_line(lab: Lab, page: Page) -> None:
    """Page and kernel stay alive; the screen says what it does not show; `.text` has all of it."""
    source = "async def line():\n    for _ in range(1000):\n        yield 'x' * 10_000\n"
    cells = (
        f"import asyncio, nbkit\nhold = asyncio.Event()\n{source}    await hold.wait()",
        "view = nbkit.show(line())",
        "hold.set(); answer = await view; print(len(answer.text))",
    )
    open_notebook(page, lab, lab.write("long.ipynb", *cells))
    for index in (0, 1):
        run_cell(page, index)
    expect(page.locator(".nbkit-live .nbkit-caption")).to_contain_text(
        "the first 100,000 characters are shown"
    )
    run_cell(page, 2)
    expect(page.locator(".jp-OutputArea-output").last).to_contain_text("10000000")
    expect(page.locator(".nbkit-settled .nbkit-text")).to_contain_text(
        "9,900,000 more characters are in the answer's .text"
    )
    wait_idle(page)


@pytest.mark.parametrize(
    "text",
    [">" * 100_000, "[" * 50_000, "*a " * 10_000 + "b* " * 10_000, "\\(" * 50_000, "$a" * 50_000],
    ids=["quotes", "brackets", "emphasis", "latex", "dollars"],
)
def test_deep_nesting(text: str) -> None:
    """Text made to cost the square of its length keeps the kernel for seconds at most."""
    code = "import sys; from nbkit.displays.markdown import to_html; to_html(sys.stdin.read())"
    subprocess.run([sys.executable, "-c", code], input=text, text=True, check=True, timeout=30)
