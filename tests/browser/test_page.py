"""The page in a real browser: ask, watch, stop, chat, and whatever goes wrong."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.chat_engine import SimpleChatEngine
from playwright.sync_api import Browser, Locator, Page, expect

import nbkit
from nbkit.web.server import Server
from tests.served import Scripted, echo, parrot
from tests.simulated import simulated, wait_for

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent.parent
Open = Callable[[Server], Page]


@pytest.fixture
def visit(page: Page) -> Open:
    """Open a server's page, at its whole address."""

    def visit(server: Server) -> Page:
        page.goto(server.page)
        return page

    return visit


@pytest.fixture(scope="module")
def handbook() -> Iterator[Server]:
    """The handbook, six times as fast as stated."""
    llm, index = nbkit.connect(speed=6), nbkit.load_index("en")
    engine = index.as_query_engine(llm=llm, streaming=True)
    with nbkit.serve(
        engine, chat=lambda: SimpleChatEngine.from_defaults(llm=llm), max_concurrency=2
    ) as server:
        yield server


def _ask(page: Page, words: str) -> Locator:
    """Ask by keyboard; gives the turn."""
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    return page.locator(".turn").last


def _state(turn: Locator, state: str) -> None:
    expect(turn).to_have_attribute("data-state", state)


def test_an_answer_is_typed_out(handbook: Server, visit: Open) -> None:
    """Question, answer, TTFT, count and sources stand there, and the field waits for the next."""
    page = visit(handbook)
    turn = _ask(page, "How do I return it?")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(turn.locator(".sources summary")).to_have_text("2 sources")
    _state(turn, "writing")
    _state(turn, "done")
    expect(turn.locator(".question")).to_have_text("How do I return it?")
    expect(turn.locator(".answer")).to_contain_text("Request a return")
    expect(turn.locator(".caption")).to_have_text(
        re.compile(
            r"done · TTFT \d.\d\d s \(\d.\d\d s at the server\) · \d+ chunks · \d.\d s in all"
        )
    )
    turn.locator(".sources summary").click()
    expect(turn.locator("li").first).to_contain_text("returns_and_refunds.md")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
    expect(page.locator("#status")).to_have_text("Answer done.")


@pytest.mark.parametrize("way", ["button", "key"])
def test_stop_ends_it_and_keeps_what_is_there(visit: Open, way: str) -> None:
    """Stop, or Escape, ends generation at the model; the partial answer stays, marked."""
    llm = simulated(ttft=0.1, tokens_per_second=15, jitter=0)
    engine = nbkit.load_index("en").as_query_engine(llm=llm, streaming=True)
    with nbkit.serve(engine) as server:
        page = visit(server)
        turn = _ask(page, "How do I return it?")
        expect(turn.locator(".answer")).to_contain_text("Lumina")
        if way == "key":
            page.keyboard.press("Escape")
        else:
            page.get_by_role("button", name="Stop").click()
        _state(turn, "stopped")
        wait_for(lambda: llm.simulator.requests(llm.model)[-1]["status"] == "cancelled")
        expect(turn.locator(".answer")).to_contain_text("Lumina")
        expect(turn.locator(".caption")).to_contain_text("stopped · TTFT")
        expect(turn.locator(".trouble")).to_be_hidden()


def test_a_chat_remembers_until_a_new_one_begins(visit: Open) -> None:
    """The server has the history of the conversation on the page, and of no other."""
    with nbkit.serve(Scripted(echo), chat=parrot) as server:
        page = visit(server)
        page.get_by_text("Chat", exact=True).click()
        _state(_ask(page, "my name is Ada"), "done")
        turn = _ask(page, "who am I?")
        _state(turn, "done")
        expect(turn.locator(".answer")).to_contain_text("my name is Ada")
        page.get_by_role("button", name="New conversation").click()
        expect(page.locator(".turn")).to_have_count(0)
        turn = _ask(page, "who am I?")
        _state(turn, "done")
        expect(turn.locator(".answer")).not_to_contain_text("Ada")
        wait_for(lambda: len(server._app.state.sessions) == 1)


def test_an_error_is_told_below_the_partial_answer(visit: Open) -> None:
    """A model that fails leaves what it had said, one sentence, and a way to ask again."""
    broken = True

    async def half(_question: str) -> AsyncIterator[str]:
        yield "It is **half"
        await asyncio.sleep(0.1)
        if broken:
            raise RuntimeError("out of oil")
        yield " full**."

    with nbkit.serve(Scripted(half)) as server:
        page = visit(server)
        turn = _ask(page, "x")
        _state(turn, "failed")
        expect(turn.locator(".answer")).to_contain_text("It is")
        expect(turn.get_by_role("alert")).to_contain_text("out of oil")
        broken = False
        turn.get_by_role("button", name="Ask again").click()
        again = page.locator(".turn").last
        _state(again, "done")
        expect(again.locator("strong")).to_have_text("half full")


def test_an_answer_of_a_megabyte(visit: Open) -> None:
    """The page shows the beginning, says so, and stays alive; so does the server."""

    async def line(_question: str) -> AsyncIterator[str]:
        for _ in range(100):
            yield "x" * 10_000
            await asyncio.sleep(0)

    with nbkit.serve(Scripted(line)) as server:
        page = visit(server)
        turn = _ask(page, "x")
        _state(turn, "done")
        expect(turn.locator(".trouble")).to_contain_text("this page shows no more")
        expect(turn.get_by_role("button", name="Ask again")).to_be_hidden()
        assert len(turn.locator(".answer").inner_text()) <= 100_000


def test_a_server_that_dies_leaves_what_it_had_sent(page: Page) -> None:
    """Killed in the middle of an answer: the partial stays, and the page says what happened."""
    command = [sys.executable, "-m", "nbkit", "serve", "--data", "data/en"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        found = None
        while found is None:
            found = re.search(r"http://\S+", process.stdout.readline())
        page.goto(found[0])
        turn = _ask(page, "How do I return it?")
        expect(turn.locator(".answer")).to_contain_text("Lumina")
        process.kill()
    _state(turn, "failed")
    expect(turn.locator(".answer")).to_contain_text("Lumina")
    expect(turn.get_by_role("alert")).to_contain_text("The connection to the server was lost")
    turn = _ask(page, "Are you there?")
    _state(turn, "failed")
    expect(turn.get_by_role("alert")).to_contain_text("still running?")


def test_a_busy_server_is_waited_for(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to come back later, the page does, and says meanwhile that it waits."""
    monkeypatch.setattr("nbkit.web.answering.RETRY_AFTER", 1)
    with nbkit.serve(Scripted(echo), max_concurrency=1) as server:
        page = visit(server)
        with server._app.state.answers.place():
            turn = _ask(page, "now?")
            expect(turn.locator(".caption")).to_contain_text("busy, waiting")
        _state(turn, "done")
        expect(turn.locator(".answer")).to_have_text("now?")


def test_chinese_is_asked_and_answered(visit: Open) -> None:
    """Enter that ends the composition of a word does not send; the next one does."""
    llm, index = nbkit.connect(speed=6), nbkit.load_index("zh")
    with nbkit.serve(index.as_query_engine(llm=llm, streaming=True)) as server:
        page = visit(server)
        page.locator("#question").fill("怎么退货？")
        page.evaluate(
            "document.querySelector('#question').dispatchEvent(new KeyboardEvent('keydown',"
            "{ key: 'Enter', isComposing: true, bubbles: true, cancelable: true }))"
        )
        expect(page.locator(".turn")).to_have_count(0)
        page.keyboard.press("Enter")
        turn = page.locator(".turn")
        _state(turn, "done")
        expect(turn.locator(".answer")).to_contain_text("退货")


CONTRAST = """() => {
    const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(channel);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
        const colour = getComputedStyle(node).backgroundColor;
        return /, 0\\)/.test(colour) ? behind(node.parentElement) : colour;
    };
    const all = [...document.querySelectorAll("body *")].filter(n =>
        n.checkVisibility() && [...n.childNodes].some(c => c.nodeType === 3 && c.data.trim()));
    return Math.min(...all.map((node) => {
        const [a, b] = [getComputedStyle(node).color, behind(node)].map(light);
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }));
}"""
"""The lowest contrast of any text with what is behind it, as WCAG defines it."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 720), (360, 640)])
def test_it_can_be_read(browser: Browser, scheme: str, size: tuple[int, int]) -> None:
    """Light and dark, wide and narrow: contrast of at least 4.5, and nothing sticks out."""

    async def long(_question: str) -> AsyncIterator[str]:
        yield "# Lamp\n\n" + "word " * 300 + "\n\n`code` and [a link](https://example.org)\n\n"
        yield "| a | b |\n|---|--:|\n| " + "x" * 200 + " | 1 |\n\n```\n" + "y" * 300 + "\n```\n"
        raise RuntimeError("out of oil")

    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    with nbkit.serve(Scripted(long), chat=parrot) as server:
        page.goto(server.page)
        turn = _ask(page, "w" * 200)
        _state(turn, "failed")
        turn.locator(".sources summary").click()
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", background)[0]) < 128) == (scheme == "dark")
        assert page.evaluate(CONTRAST) >= 4.5
        for selector in ("html", "#turns"):
            wider = f"(n => n.scrollWidth - n.clientWidth)(document.querySelector('{selector}'))"
            assert page.evaluate(wider) <= 0
        expect(page.locator("#composer")).to_be_in_viewport(ratio=1)
    context.close()


def test_the_reader_may_scroll_up_while_it_writes(visit: Open) -> None:
    """The newest line is kept in sight, unless the reader has gone up to read."""

    async def lines(_question: str) -> AsyncIterator[str]:
        for number in range(120):
            yield f"line {number}\n\n"
            await asyncio.sleep(0.02)

    bottom = (
        "(t => t.scrollHeight - t.clientHeight - t.scrollTop)(document.querySelector('#turns'))"
    )
    with nbkit.serve(Scripted(lines)) as server:
        page = visit(server)
        turn = _ask(page, "x")
        expect(turn.locator(".answer")).to_contain_text("line 40")
        assert page.evaluate(bottom) < 5
        page.mouse.move(600, 300)
        page.mouse.wheel(0, -400)
        expect(turn.locator(".answer")).to_contain_text("line 80")
        assert page.evaluate(bottom) > 300
        _state(turn, "done")


def test_the_token_is_out_of_sight_and_lasts_for_the_tab(visit: Open, browser: Browser) -> None:
    """The address bar does not show it; a reload still has it; without it the page says so."""
    with nbkit.serve(Scripted(echo)) as server:
        page = visit(server)
        assert page.url == f"{server.url}/"
        page.reload()
        _state(_ask(page, "still me"), "done")
        stranger = browser.new_page()
        stranger.goto(server.url)
        expect(stranger.locator("#hint")).to_contain_text("needs its whole address")
        expect(stranger.locator("#composer")).to_be_hidden()
        stranger.goto(f"{server.url}/#wrong")
        expect(stranger.locator("#question")).to_be_focused()
        turn = _ask(stranger, "x")
        _state(turn, "failed")
        expect(turn.get_by_role("alert")).to_contain_text("The token is missing or wrong")
        stranger.close()


def test_an_agents_thoughts_and_steps_are_rows(visit: Open) -> None:
    """Thoughts are folded, each call of a tool is a row that opens to its result."""

    def multiply(a: int, b: int) -> int:
        """Multiply two integers."""
        return a * b

    llm = simulated(speed=0, thinking_tokens=8)
    with nbkit.serve(FunctionAgent(tools=[multiply], llm=llm)) as server:
        turn = _ask(visit(server), "What is 6 times 7?")
        _state(turn, "done")
        row = turn.locator(".steps details")
        expect(row.locator("summary")).to_contain_text("✓ multiply(a=6, b=7)")
        row.locator("summary").click()
        expect(row.locator("p")).to_have_text("42")
        turn.get_by_text("Thoughts").click()
        expect(turn.locator(".thoughts p")).to_contain_text("The user asks")
        expect(turn.locator(".answer")).to_have_text("42")
