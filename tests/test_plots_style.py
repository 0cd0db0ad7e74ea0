import io
import warnings
from typing import Any

import matplotlib as mpl
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from nbkit import SLO, plots
from nbkit.metrics.load_point import LoadPoint
from nbkit.metrics.requests import Row
from nbkit.plots import fonts
from nbkit.plots.style import _columns, one_line
from nbkit.streaming.trace import Trace

EVERY_PLOT: dict[str, Any] = {
    "timeline": lambda label, ax: plots.timeline({label: trace()}, ax=ax),
    "tokens_over_time": lambda label, ax: plots.tokens_over_time({label: trace()}, ax=ax),
    "compare": lambda label, ax: plots.compare({label: [2, 2.2], "fast": 1}, ideal=0.5, ax=ax),
    "ecdf": lambda label, ax: plots.ecdf({label: [trace()]}, ax=ax),
    "gaps": lambda label, ax: plots.gaps({label: [trace()]}, ax=ax),
    "knee": lambda label, ax: plots.knee(sweep(label), ax=ax),
    "slo": lambda label, ax: plots.slo(sweep(label), SLO(ttft=1), ax=ax),
    "breakdown": lambda label, ax: plots.breakdown({label: [trace()]}, ax=ax),
    "speedup": lambda _, ax: plots.speedup({1: 2, 4: [0.6, 0.7]}, sequential=2, ax=ax),
}
each_plot = pytest.mark.parametrize("draw", EVERY_PLOT.values(), ids=list(EVERY_PLOT))


def trace() -> Trace:
    return Trace(start=100.0, requested=100.4, arrivals=[101.0, 101.1, 101.2], sizes=[4, 4, 4])


def sweep(label: str) -> list[LoadPoint]:
    rows = [Row("1", trace(), "done", 1, ())]
    return [LoadPoint(label, "rate", load, rows) for load in (1.0, 2.0)]


def save(ax: Axes) -> list[str]:
    """Draw the figure, after all settings are back to the reader's; give what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # What an earlier test left open may be collected just now.
        warnings.simplefilter("ignore", ResourceWarning)
        ax.figure.savefig(io.BytesIO(), format="png")
    return [str(warning.message) for warning in caught]


@pytest.fixture
def no_chinese_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for a font that is on no machine."""
    monkeypatch.setattr(fonts, "_CHINESE", ("nbkit has no such font",))
    fonts._warn_once.cache_clear()


@each_plot
def test_given_axes_are_drawn_on(draw: Any) -> None:
    """`ax=` is drawn on and returned, and no other figure is made."""
    _, (left, _) = plt.subplots(1, 2)
    assert draw("a", left) is left
    assert len(plt.get_fignums()) == 1


@each_plot
def test_the_readers_settings_stay(draw: Any) -> None:
    """No plot changes a setting of matplotlib's for the figures that follow."""
    before = dict(mpl.rcParams)
    draw("a", None)
    assert dict(mpl.rcParams) == before


@each_plot
def test_figures_bring_their_own_paper(draw: Any) -> None:
    """Whatever the theme, the background is white and opaque, letters are dark and large enough."""
    with plt.style.context("dark_background"):
        ax = draw("a", None)
        save(ax)
        assert ax.figure.get_facecolor() == (1, 1, 1, 1)
        written = [
            ax.title,
            ax.xaxis.label,
            ax.yaxis.label,
            *ax.texts,
            *ax.get_legend().get_texts(),
        ]
        written += [*ax.get_xticklabels(), *ax.get_yticklabels()]
    for text in filter(lambda text: text.get_text(), written):
        assert text.get_fontsize() >= 12
        assert sum(to_rgb(text.get_color())) < 1.5, text


@each_plot
def test_axes_given_keep_their_colours(draw: Any) -> None:
    """On somebody's dark axes the letters stay light."""
    with plt.style.context("dark_background"):
        _, ax = plt.subplots()
        draw("a", ax)
    save(ax)
    assert sum(to_rgb(ax.title.get_color())) > 2
    assert sum(to_rgb(ax.get_xticklabels()[0].get_color())) > 2
    assert sum(to_rgb(ax.get_legend().get_texts()[0].get_color())) > 2


@each_plot
@pytest.mark.parametrize("given", [False, True])
def test_chinese_is_drawn(draw: Any, given: bool) -> None:
    """Chinese labels, and Chinese written on the figure later, are drawn as characters."""
    if fonts._installed(fonts._CHINESE) is None:
        pytest.skip("no Chinese font on this machine")
    ax = draw("怎么退货?", plt.subplots()[1] if given else None)
    ax.set_title("先看这里")
    ax.set_xlabel("秒")
    ax.set_xticks(ax.get_xticks()[:1], ["首字"])
    assert save(ax) == []


def test_boxes_are_never_silent(no_chinese_font: None) -> None:
    """Without a Chinese font the reader is told once, at their own line, how to get one."""
    with pytest.warns(UserWarning, match=r"fonts-noto-cjk.* restart the kernel") as caught:
        axes = [plots.timeline({label: trace()}) for label in ("怎么退货?", "保修多久?")]
    assert [warning.filename for warning in caught] == [__file__]
    assert any(warning.startswith("Glyph") for warning in save(axes[0]))


def test_latin_labels_need_no_chinese_font(no_chinese_font: None) -> None:
    """Where nothing is Chinese, nobody is bothered about fonts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        plots.timeline({"How do I return it?": trace()})


@each_plot
@pytest.mark.parametrize("given", [False, True])
def test_a_price_is_not_a_formula(draw: Any, given: bool) -> None:
    """Dollar signs in a label are drawn as such, were it a broken formula between them."""
    assert save(draw("$5_^ or $6?", plt.subplots()[1] if given else None)) == []


def test_labels_fit_one_line() -> None:
    """Long labels are cut to the same width, Chinese characters being twice as wide."""
    assert one_line("two\n  lines") == "two lines"
    assert one_line("x" * 32) == "x" * 32
    assert one_line("x" * 33) == "x" * 31 + "…"
    assert one_line("问" * 17) == "问" * 15 + "…"


def test_a_legend_of_four_in_three_columns_needs_the_room_of_three() -> None:
    """Four labels in three columns stand two, one and one, and need as much room."""
    _, ax = plt.subplots(figsize=(10, 5))
    assert _columns(ax, ["x" * 32] * 4) == 2
    assert _columns(ax, ["x" * 20] * 4) == 3
