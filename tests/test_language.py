"""The language of what people look at: how it is chosen, and what is then Chinese."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

import nbkit
from nbkit import language, plots
from nbkit.displays.final_output import settled
from nbkit.displays.live_widget import ChatWidget, LiveWidget
from nbkit.displays.simulator_panel import in_words
from nbkit.errors import NbkitError
from nbkit.experiment.report import html_report
from nbkit.language import page_said, say, script_words
from nbkit.plots.alt_text import alt_text
from nbkit.plots.fonts import chinese
from nbkit.simulator import PROFILES
from nbkit.streaming.answer import Answer
from nbkit.streaming.trace import Trace
from nbkit.web.page import page
from nbkit.wording import count, listed, some
from tests import translate_library
from tests.experiments import experiment, several
from tests.test_plots_style import EVERY_PLOT
from tests.test_translations import CODE, HAN, SENTENCE


@pytest.fixture
def in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBKIT_LANG", "zh")


# ── The language that is chosen ──


def test_english_is_what_is_written_in_the_code() -> None:
    """Without a setting nothing is looked up: the text, its values, the plural."""
    assert language.language() == "en"
    assert say("{a} of {b:.1f}", a=1, b=2) == "1 of 2.0"
    assert say('{"json": "braces"}') == '{"json": "braces"}'
    assert (count(1, "chunk"), count(2, "chunk")) == ("1 chunk", "2 chunks")


def test_the_setting_counts_when_something_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """NBKIT_LANG may be set after the import, in any usual spelling of a locale."""
    for spelling in ("zh", "ZH", "zh_CN", "zh-Hans", "zh_CN.UTF-8"):
        monkeypatch.setenv("NBKIT_LANG", spelling)
        assert say("stopped") == "已停止"
    monkeypatch.setenv("NBKIT_LANG", "en")
    assert say("stopped") == "stopped"


def test_an_unknown_language_is_told_once_and_english_is_spoken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The warning names the languages there are; no message is lost."""
    monkeypatch.setenv("NBKIT_LANG", "tlh")
    with pytest.warns(UserWarning, match="NBKIT_LANG is 'tlh'.*one of en, zh"):
        assert say("stopped") == "stopped"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert say("stopped") == "stopped"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('{\n    // chosen\n    "locale": "zh_CN"\n}', "zh"),
        ('{\n    "locale": "zh_TW",\n}', "zh"),
        ('{\n    "locale": "default"\n}', "en"),
        ('{\n    "locale": "fr_FR"\n}', "en"),
        ("not JSON", "en"),
        (None, "en"),
    ],
)
def test_a_kernel_speaks_as_its_jupyterlab(
    settings: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The language chosen in JupyterLab counts in a kernel it started, and nowhere else."""
    file = tmp_path / "@jupyterlab/translation-extension/plugin.jupyterlab-settings"
    file.parent.mkdir(parents=True)
    if settings is not None:
        file.write_text(settings, "utf-8")
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(tmp_path))
    found = []
    for session in ("", "lesson.ipynb"):
        monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
        if session:
            monkeypatch.setenv("JPY_SESSION_NAME", session)
        language._of_jupyterlab.cache_clear()
        found.append(language.language())
    language._of_jupyterlab.cache_clear()
    assert found == ["en", expected]


# ── What is seen in Chinese ──


def _english_in(shown: str) -> list[str]:
    """The English left in what is shown: three words in a row, code and markup left out."""
    prose = re.sub(r"<(style|script)>.*?</\1>", "", shown, flags=re.DOTALL)
    return SENTENCE.findall(CODE.sub(" ` ", prose))


def _answer(**facts: Any) -> Answer:
    trace = Trace(10.0, [10.5, 10.6], [4, 4], end=10.7, model="simulated-default")
    return Answer("42 天", trace=trace, **facts)


@pytest.mark.usefixtures("in_chinese")
def test_an_answer_and_its_error_are_chinese() -> None:
    """The static output says state, timing and what went wrong in the reader's language."""
    error = nbkit.streaming.stream.StreamMisused(say("Nothing was asked"), say("ask again."))
    assert str(error) == "没有人提出问题——请再问一次。"
    assert (error.happened, error.advice) == ("没有人提出问题", "请再问一次。")
    plain = settled(_answer())["text/plain"]
    assert "✓ 完成 · TTFT 0.50 秒 · 2 个文本块 · 共 0.60 秒" in plain
    for answer in (_answer(stopped=True), _answer(error=error), _answer(nothing_found=True)):
        assert _english_in(settled(answer)["text/html"]) == []
    assert repr(_answer(stopped=True)).endswith("已停止>")


@pytest.mark.usefixtures("in_chinese")
async def test_a_live_view_brings_its_words() -> None:
    """The page gets each text of the buttons and captions in Chinese, and none in English."""
    for kind in (LiveWidget, ChatWidget):
        widget = kind([], lambda _: None)
        words = widget.words
        widget.close()
        assert words["■ Stop"] == "■ 停止"
        assert words["{number} chunk"] == words["{number} chunks"] == "{number} 个文本块"
        assert all(re.search(HAN, said) or "TTFT" in text for text, said in words.items())


async def test_a_live_view_brings_nothing_in_english() -> None:
    """Whoever reads English pays nothing for other languages."""
    widget = LiveWidget([], lambda _: None)
    assert widget.words == {}
    widget.close()


@pytest.mark.usefixtures("in_chinese")
def test_the_served_page_is_chinese() -> None:
    """The page, its script and its policy are made for the reader's language."""
    html, _ = page(["query", "chat"])
    assert '<html lang="zh"' in html
    assert "[[" not in html
    (words,) = re.findall(r"const WORDS = (\{.*?\});", html)
    assert json.loads(words)["Send"] == "发送"
    assert _english_in(html) == []


@pytest.mark.usefixtures("in_chinese")
@pytest.mark.parametrize("draw", EVERY_PLOT.values(), ids=list(EVERY_PLOT))
def test_a_figure_is_chinese(draw: Any) -> None:
    """Title, labels, legend and the text for screen readers; in a font that has the characters."""
    ax = draw("灯", None)
    said = alt_text(ax.figure)
    legend = ax.get_legend()
    texts = [ax.get_title(), ax.get_xlabel(), *(legend.get_texts() if legend else [])]
    told = " ".join(text if isinstance(text, str) else text.get_text() for text in texts)
    assert re.search(HAN, ax.get_title())
    assert _english_in(f"{told} {said}") == []
    if chinese() is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # one for each missing character
            ax.figure.canvas.draw()
    plt.close(ax.figure)


@pytest.mark.usefixtures("in_chinese")
def test_an_experiment_is_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its table's notes, its verdict and its report, the explanations of words included."""
    monkeypatch.setattr("nbkit.experiment.report.figures", lambda *_: iter(()))  # seen above
    results = [one for label in "ab" for load in (1, 4) for one in several(label, load=load)]
    measured = experiment(results)
    assert "没有失败" in repr(measured)
    assert re.search(rf"首词元延迟：.*{HAN}", measured.compare("a", "b", at=1).verdict)
    report = html_report([measured], nbkit.SLO(ttft=0.6), text=False)
    assert '<html lang="zh">' in report
    body = re.sub(r"<table.*?</table>", "", report, flags=re.DOTALL)  # names of settings are code
    assert _english_in(body) == []


@pytest.mark.usefixtures("in_chinese")
def test_a_profile_in_words_is_chinese() -> None:
    """Each profile says in Chinese what it resembles and how fast it is."""
    for profile in PROFILES.values():
        assert _english_in(in_words(profile)) == []
        assert re.search(HAN, in_words(profile))


@pytest.mark.usefixtures("in_chinese")
def test_lists_and_errors_are_set_as_chinese() -> None:
    """Names are joined as in Chinese, and an error joins its halves with a Chinese dash."""
    assert listed(["a", "b"]) == "a、b"
    assert some(["a", "b", "c"], 2) == "a、b 等，另有 1 个"
    assert str(NbkitError("坏了", "重启。")) == "坏了——重启。"
    with pytest.raises(nbkit.plots.PlotError, match="这里没有回答——请至少传入一个。"):
        plots.timeline([])


@pytest.mark.usefixtures("in_chinese")
def test_values_are_set_apart_as_in_chinese_print() -> None:
    """A value gets a space beside it if it is Latin or a number, and none if it is Chinese."""
    assert say("{answers} at once", answers=count(2, "answer")) == "同时 2 个回答"
    assert say("{answers} at once", answers=say("any number of answers")) == "同时任意多个回答"
    assert say("give {wanted}.", wanted=say("a whole number")) == "应为整数。"
    assert say("give {wanted}.", wanted=say("True or False")) == "应为 True 或 False。"
    assert say("{name} did not start", name=say("The simulated model")) == "模拟模型没有启动"
    assert say("choose from {names}.", names="a灯b {x}") == "可选的有 a灯b {x}。"  # as given


def test_javascript_and_html_say_what_they_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """The marks of pages are replaced, in English by the text itself."""
    code = 'x = say("Send"); y = plural("chunk", n)'
    assert script_words(code) == {}
    assert page_said("<b>[[Ask]]</b>") == "<b>Ask</b>"
    monkeypatch.setenv("NBKIT_LANG", "zh")
    assert script_words(code)["{number} chunks"] == "{number} 个文本块"
    assert page_said("<b>[[Ask]]</b>") == "<b>提问</b>"


def test_the_wheel_brings_the_catalogue() -> None:
    """The catalogue is where the library looks for it, inside of the package."""
    assert translate_library.CATALOGUE == language._CATALOGUES / "zh" / "LC_MESSAGES" / "nbkit.po"
    assert translate_library.CATALOGUE.is_file()
