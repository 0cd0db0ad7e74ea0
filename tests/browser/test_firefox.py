"""What the displays promise, seen in the distribution's own Firefox (`make browsers`).

Each test leaves photographs in build/firefox, to be looked at. That scroll bars are white there, in
the dark theme too, is because Firefox has no screen; on a screen they are dark.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.bidi import ENTER, Firefox, FirefoxPage, running_firefox
from tests.browser.conftest import (
    CLOSE_ALL,
    Lab,
    open_notebook,
    run_cell,
    save,
    wait_idle,
)
from tests.browser.install import firefox_path

pytestmark = [pytest.mark.browser, pytest.mark.firefox]

PICTURES = Path(__file__).parent.parent.parent / "build" / "firefox"
# The first answer of a kernel imports half of LlamaIndex while its tokens come.
SETUP = """
import ipywidgets, nbkit
question = "How do I return it?"
index = nbkit.load_index("en")
asks = lambda **speed: index.as_query_engine(llm=nbkit.connect(**speed), streaming=True)
first = await nbkit.stream(asks(speed=0).aquery(question))
llm = nbkit.connect(speed=1, ttft=0.3, tokens_per_second=20)
engine = index.as_query_engine(llm=llm, streaming=True)
ask = lambda: engine.aquery(question)
"""
QUESTION = "How do I return it?"
END = "valid for 18 months."
"""How the handbook's answer ends."""
LIVE, SETTLED = ".nbkit-live .nbkit-text", ".nbkit-settled .nbkit-text"


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """One Firefox for all tests; a missing one is a failure, not a skip."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = firefox_path()
    assert path is not None, "no Firefox — `make browsers` installs it where it can"
    with running_firefox(path, tmp_path_factory.mktemp("profile")) as firefox:
        yield firefox


@pytest.fixture(scope="module")
def lasting_page(firefox: Firefox) -> FirefoxPage:
    """One page for all tests."""
    return firefox.new_page()


@pytest.fixture
def page(lasting_page: FirefoxPage) -> Iterator[FirefoxPage]:
    """The page with all notebooks closed; an error in its console fails the test.

    It leaves JupyterLab: after a reload, a notebook that was closed may come back, in front.
    """
    yield lasting_page
    lasting_page.evaluate(CLOSE_ALL)
    lasting_page.goto("about:blank")
    assert lasting_page.firefox.errors() == []


def _open(
    lab: Lab, page: FirefoxPage, name: str, *cells: str, theme: str = "JupyterLab Light"
) -> None:
    """Open a notebook and run its cells: SETUP and those given."""
    open_notebook(page, lab, lab.write(f"{name}.ipynb", SETUP, *cells))
    page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
    for index in range(len(cells) + 1):
        run_cell(page, index)


def _element(selector: str, words: str = "") -> str:
    """JavaScript for the last element that a selector finds and that contains these words."""
    return (
        f"[...document.querySelectorAll({selector!r})]"
        f".findLast(found => found.innerText.includes({words!r}))"
    )


def _wait(page: FirefoxPage, selector: str, words: str = "") -> None:
    page.wait_for_function(f"!!{_element(selector, words)}")


def _text(page: FirefoxPage, selector: str) -> str:
    return str(page.evaluate(f"{_element(selector)}?.innerText.trim() ?? ''"))


def _count(page: FirefoxPage, selector: str) -> int:
    return int(page.evaluate(f"document.querySelectorAll({selector!r}).length"))


def _grows(page: FirefoxPage, selector: str) -> None:
    """See a text at five different lengths, each greater than the one before."""
    end, lengths = time.monotonic() + 60, [0]
    while len(lengths) <= 5:
        assert time.monotonic() < end, f"{selector} had these lengths: {lengths}"
        time.sleep(0.03)
        if (length := len(_text(page, selector))) != lengths[-1]:
            lengths.append(length)
    assert lengths == sorted(lengths)
    assert END not in _text(page, selector)


def _stays(page: FirefoxPage, selector: str, times: int = 1) -> None:
    """See the whole answer, and again after the time in which a page exchanges outputs."""
    _wait(page, selector, END)
    time.sleep(4)
    _wait(page, selector, END)
    assert page.evaluate("document.body.innerText").count(END) == times


def _reload(page: FirefoxPage) -> None:
    """Save, and load the page again."""
    save(page)
    page.reload()
    _wait(page, ".jp-Notebook .jp-Cell")


def _photograph(page: FirefoxPage, name: str) -> None:
    page.screenshot(PICTURES / f"{name}.png")


def test_an_answer_streams_settles_and_stays(lab: Lab, page: FirefoxPage) -> None:
    """The text grows before the reader's eyes, becomes static output, and survives a reload."""
    _open(lab, page, "show", "answer = await nbkit.show(ask())")
    _grows(page, LIVE)
    _photograph(page, "show_streaming")
    _stays(page, SETTLED)
    assert _count(page, ".nbkit-live") == 0
    _wait(page, ".nbkit-settled", "✓ done · TTFT")
    _reload(page)
    _wait(page, SETTLED, END)
    _photograph(page, "show_reloaded")


def test_stop_keeps_the_partial_answer(lab: Lab, page: FirefoxPage) -> None:
    """A click on Stop ends the awaited stream; what had arrived stays, marked as stopped."""
    shown = "answer = await nbkit.show(asks(speed=1, tokens_per_second=4).aquery(question))"
    _open(lab, page, "stop", shown, "print('stopped:', answer.stopped)")
    _grows(page, LIVE)
    before = _text(page, LIVE)
    page.click(_element(".nbkit-live button", "Copy"))
    _wait(page, ".nbkit-live button", "Copied ✓")
    page.click(_element(".nbkit-live button", "Stop"))
    _wait(page, ".nbkit-settled", "■ stopped")
    _wait(page, ".jp-OutputArea-output", "stopped: True")
    assert _text(page, SETTLED).startswith(before)
    assert END not in _text(page, SETTLED)
    _photograph(page, "stop")


def test_a_race(lab: Lab, page: FirefoxPage) -> None:
    """Lanes run side by side, the faster one ends first, and all of it settles in a table."""
    race = """
slow = asks(speed=1, tokens_per_second=10)
racing = {"slow": slow.aquery(question), "fast": ask()}
answers = await nbkit.show_all(racing, race=True)
"""
    _open(lab, page, "race", race)
    _wait(page, ".nbkit-live [data-state=done]", "fast")
    _wait(page, ".nbkit-live [data-state=streaming]", "slow")
    lanes = "[...document.querySelectorAll('.nbkit-lane b')].map(lane => lane.offsetWidth)"
    slow, fast = page.evaluate(lanes)
    assert slow > 50
    assert fast > 50
    _photograph(page, "race_running")
    _stays(page, SETTLED, times=2)
    assert _count(page, ".nbkit-live") == 0
    rows = page.evaluate(
        "[...document.querySelectorAll('.nbkit-settled th')].map(th => th.innerText)"
    )
    assert rows == ["fast", "slow"]
    _photograph(page, "race_settled")


def test_inside_an_output(lab: Lab, page: FirefoxPage) -> None:
    """In an `ipywidgets.Output` the widget itself keeps the answer, with no Stop any more."""
    shown = "out = ipywidgets.Output()\ndisplay(out)\nwith out: view = nbkit.show(ask())"
    _open(lab, page, "output", shown)
    _grows(page, LIVE)
    _stays(page, LIVE)
    _wait(page, ".nbkit-live", "✓ done")
    assert "Stop" not in _text(page, ".nbkit-live")
    _photograph(page, "output")


def test_a_page_loaded_again_in_mid_stream(lab: Lab, page: FirefoxPage) -> None:
    """The answer goes on where it was, ends, and is there after the end and one more reload."""
    slow = "asks(speed=1, tokens_per_second=8).aquery(question)"
    _open(lab, page, "again", f"view = nbkit.show({slow})")
    _grows(page, LIVE)
    before = _text(page, LIVE)
    _reload(page)
    _wait(page, LIVE, before)
    _grows(page, LIVE)
    _photograph(page, "again_streaming")
    _stays(page, LIVE)
    _wait(page, ".nbkit-live", "Run the cell again to keep this answer in the file")
    _reload(page)
    _wait(page, LIVE, END)
    _photograph(page, "again_ended")


def test_a_chat(lab: Lab, page: FirefoxPage) -> None:
    """A typed message is answered, stays, and stays after a reload, where the chat goes on."""
    chat = "chat = nbkit.chat(index.as_chat_engine('context', llm=llm))"
    _open(lab, page, "chat", chat)
    _wait(page, ".nbkit-chat", "Send")
    wait_idle(page)  # until then the box may be put up anew
    page.click("document.querySelector('.nbkit-say')")
    page.type(QUESTION + ENTER)
    _wait(page, ".nbkit-live .nbkit-label", QUESTION)
    _grows(page, LIVE)
    _photograph(page, "chat_streaming")
    _stays(page, SETTLED)
    assert _count(page, LIVE) == 0
    _reload(page)
    _wait(page, SETTLED, END)
    _wait(page, ".nbkit-chat", "Send")
    page.click("document.querySelector('.nbkit-say')")
    page.type("How long is the warranty?")
    page.click(_element(".nbkit-chat button", "Send"))
    _wait(page, ".nbkit-text", "24 months")
    _photograph(page, "chat_reloaded")


def _frame(page: FirefoxPage) -> FirefoxPage:
    """The served page in the notebook, once it is loaded."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for frame in page.frames():
            if frame.evaluate("!!document.querySelector('#question') && !document.hidden"):
                return frame
        time.sleep(0.05)
    raise AssertionError("the served page is not shown")


def test_the_served_page(lab: Lab, page: FirefoxPage) -> None:
    """Under its cell the page streams, keeps the answer, and Stop keeps a partial one."""
    _open(lab, page, "served", "server = nbkit.serve(engine)\nserver.show()")
    frame = _frame(page)
    page.evaluate("document.querySelector('object').scrollIntoView()")
    frame.click("document.querySelector('#question')")
    frame.type(QUESTION + ENTER)
    _grows(frame, ".answer")
    _photograph(page, "served_streaming")
    _stays(frame, ".answer")
    _wait(frame, ".turn[data-state=done] .caption", "done · TTFT")
    frame.type(QUESTION + ENTER)
    _grows(frame, ".answer")
    frame.click("document.querySelector('#stop')")
    _wait(frame, ".turn[data-state=stopped]", "stopped · TTFT")
    assert END not in _text(frame, ".answer")
    _photograph(page, "served_stopped")


# How light what lies behind a text is, and the contrast of the text's colour with it (WCAG's).
CONTRAST = """element => {
    const colour = (box, name) => getComputedStyle(box)[name].match(/[\\d.]+/g).map(Number);
    const light = (rgb) => rgb.slice(0, 3).map(value => value / 255)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (box) => {
        const [red, green, blue, alpha = 1] = colour(box, "backgroundColor");
        if (alpha === 1) return [red, green, blue];
        const below = behind(box.parentElement);
        return [red, green, blue].map((value, at) => alpha * value + (1 - alpha) * below[at]);
    };
    const ink = light(colour(element, "color")), paper = light(behind(element));
    return [paper, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)];
}"""


def _is_light_on_dark(page: FirefoxPage, selector: str) -> None:
    paper, contrast = page.evaluate(f"() => ({CONTRAST})({_element(selector)})")
    assert paper < 0.1
    assert contrast >= 4.5


def test_the_dark_theme(lab: Lab, page: FirefoxPage) -> None:
    """Live and settled answers, the chat and the served page are light on dark, and legible."""
    shown = "answers = await nbkit.show_all([ask(), ask()])"
    chat = "chat = nbkit.chat(index.as_chat_engine('context', llm=llm))"
    cells = (shown, chat, "nbkit.serve(engine).show()")
    _open(lab, page, "dark", *cells, theme="JupyterLab Dark")
    _wait(page, LIVE, "Pack the lamp")
    for part in (LIVE, ".nbkit-live .nbkit-caption", ".nbkit-live button"):
        _is_light_on_dark(page, part)
    _photograph(page, "dark_streaming")
    _stays(page, SETTLED, times=2)
    for part in (SETTLED, ".nbkit-say", ".nbkit-chat button"):
        _is_light_on_dark(page, part)
    _photograph(page, "dark_settled")
    page.evaluate("document.querySelector('object').scrollIntoView()")
    _is_light_on_dark(_frame(page), "body")
    _photograph(page, "dark_served")
