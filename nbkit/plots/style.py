"""The style of every figure: large text, safe colours, a light background, Chinese."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.font_manager import FontProperties
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import ScaledTranslation

from nbkit.language import say
from nbkit.plots import alt_text
from nbkit.plots.fonts import families
from nbkit.wording import width

# The colours of M. Okabe and K. Ito, "Color Universal Design" (2008) for people with any
# kind of colour blindness; without their yellow, which is hard to see on white.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
GREY = "#BBBBBB"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
BEFORE_MODEL = {"facecolor": "#E5E5E5", "hatch": "////", "edgecolor": "#888888"}
"""The look of what happens before the last call of a model: retrieval, earlier calls."""

_LABEL_WIDTH = 32
_LETTERS: dict[str, Any] = {
    "font.size": 13,
    "axes.titlesize": 15,
    "axes.labelsize": 13,
    "legend.fontsize": 12,
    # Otherwise two prices in a question ("$1 or $2") would be read as a formula.
    "text.parse_math": False,
}
# The figure has its own background: in a dark theme, dark text on a transparent one is invisible.
_BACKGROUND: dict[str, Any] = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": "#222222",
    "axes.labelcolor": "#222222",
    "axes.titlecolor": "auto",
    "axes.edgecolor": "#222222",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.h_pad": 0.12,
    "figure.constrained_layout.w_pad": 0.12,
}


@contextmanager
def styled_axes(
    ax: Axes | None,
    title: str,
    xlabel: str,
    ylabel: str = "",
    *,
    grid: str = "both",
    height: float = 5.0,
    texts: Iterable[str] = (),
) -> Iterator[Axes]:
    """Axes to draw on in this style, given or of a new figure; adds grid and legend at the end.

    `height` is in inches; `texts` are the labels that will be drawn, which may be Chinese. The
    user's own settings, and the colours of given axes, are not changed.
    """
    names = families((title, xlabel, ylabel, *texts))
    background = _BACKGROUND if ax is None else {}
    settings: Any = {**_LETTERS, **background, "font.family": names}
    if ax is None:
        # Loading a notebook's backend makes pyplot interactive. If it were loaded inside
        # `rc_context`, that would be undone at its end, and later figures would not be shown.
        plt.draw_if_interactive()  # type: ignore[no-untyped-call]
    with mpl.rc_context(settings):
        if ax is None:
            _, ax = plt.subplots(figsize=(10, height), layout="constrained")
        # Existing texts keep their font, and ticks are created later, when they are drawn.
        for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
            text.set(fontfamily=names, fontsize=_LETTERS["font.size"])
        ax.tick_params(labelfontfamily=names, labelsize=12, colors=label_colour(ax))
        ax.set_axisbelow(True)
        alt_text.begin(ax)
        yield ax
        ax.set_title(title)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.grid(axis=grid, color=GREY, linewidth=0.8, alpha=0.5)  # type: ignore[arg-type]
        _legend_below(ax)


def label_colour(ax: Axes) -> str:
    """The colour of the axes' labels, which is visible on their background."""
    return str(ax.xaxis.label.get_color())


def series(place: int) -> dict[str, Any]:
    """Colour and line style of a curve; curves are also different without colours."""
    return {
        "color": SERIES[place % len(SERIES)],
        "linestyle": ("-", "--", "-.", ":")[place % 4],
        "linewidth": 2.5,
    }


Point = tuple[float, float]


def write(ax: Axes, words: str, at: Point, shift: Point, **look: Any) -> None:
    """Write text next to a data point; `shift` is in points of 1/72 inch."""
    ax.annotate(words, at, shift, textcoords="offset points", **{"va": "center", **look})


def name_rows(ax: Axes, labels: Sequence[str]) -> None:
    """Label the rows of a figure of horizontal bars, from top to bottom."""
    ax.set_yticks(range(len(labels)), labels, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(labels) - 0.5, -0.5)


def _legend_below(ax: Axes) -> None:
    """Put the legend below the axis label, where it covers no data; bars come first."""
    entries = list(zip(*ax.get_legend_handles_labels(), strict=True))
    if not entries:
        return
    entries.sort(key=lambda entry: not isinstance(entry[0], PolyCollection))
    handles, labels = zip(*entries, strict=True)
    below = ax.transAxes + ScaledTranslation(0, -46 / 72, ax.figure.dpi_scale_trans)
    ax.legend(
        handles,
        labels,
        # From the right, so that a wide legend extends below the labels of the y axis.
        loc="upper right",
        bbox_to_anchor=(1, 0),
        bbox_transform=below,
        ncols=_columns(ax, labels),
        frameon=False,
        borderaxespad=0,
        labelcolor=label_colour(ax),
    )


def _columns(ax: Axes, labels: Sequence[str]) -> int:
    """How many columns of a legend fit below the axes, with 11 characters per inch."""
    room = 11 * ax.get_window_extent().width / ax.figure.dpi
    fitting = int(room / (max(map(width, labels)) + 6))
    return max(1, min(4, len(labels), fitting))


def one_line(label: object) -> str:
    """A label on one line, shortened with … if it is too long."""
    text = " ".join(str(label).split())
    if width(text) <= _LABEL_WIDTH:
        return text
    while width(text) >= _LABEL_WIDTH:
        text = text[:-1]
    return f"{text.rstrip()}…"


def duration(seconds: float) -> str:
    """A duration as text: "1.24 s", "21.4 ms"."""
    if seconds >= 0.1:
        return say("{seconds:.2f} s", seconds=seconds)
    return say("{milliseconds:.3g} ms", milliseconds=1000 * seconds)


def sign(char: str) -> MarkerStyle:
    """A marker made of a character of matplotlib's own font, centred on its point."""
    outline = TextPath((0, 0), char, prop=FontProperties(family="DejaVu Sans"))
    box = outline.get_extents()
    centre = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    return MarkerStyle(Path(outline.vertices - centre, outline.codes))
