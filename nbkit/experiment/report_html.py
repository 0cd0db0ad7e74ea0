"""The parts of a report as HTML: escaped text, tables, lists, figures."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from html import escape
from io import BytesIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context as style_context

from nbkit.batch.records import without_keys
from nbkit.metrics.requests import NotMeasured
from nbkit.plots.alt_text import alt_text
from nbkit.wording import whole_characters

NOTHING = "–"
_LOOK: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    # Without it, two reports of the same experiments would differ.
    "svg.hashsalt": "nbkit",
}


def safe(anything: object) -> str:
    """Untrusted text as HTML: escaped, in whole characters, without API keys."""
    return escape(without_keys(whole_characters(str(anything))))


def row(head: str, cells: Iterable[str], look: str = "") -> str:
    """A row of a table, with its name."""
    told = "".join(f"<td>{safe(cell)}</td>" for cell in cells)
    return f'<tr{look}><th scope="row">{safe(head)}</th>{told}</tr>'


def table(name: str, columns: Sequence[str], rows: Sequence[str], look: str = "") -> str:
    """A table that scrolls where it is too wide, by keyboard too; the first column has no name."""
    heads = "".join(f'<th scope="col">{safe(column)}</th>' for column in columns)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{safe(name)}">'
        f'<table class="{look}"><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def section(title: str, parts: Iterable[str]) -> str:
    """A section with its heading; nothing if it has no content."""
    content = "\n".join(parts)
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>" if content.strip() else ""


def listing(kind: str, items: Iterable[str]) -> str:
    """A list of texts, "ul" or "ol"."""
    return f"<{kind}>{''.join(f'<li>{safe(item)}</li>' for item in items)}</{kind}>"


def paragraph(words: str) -> str:
    """A paragraph of text."""
    return f"<p>{safe(words)}</p>"


def picture(draw: Callable[..., Axes], height: float) -> str:
    """A figure with its title as HTML, where it can wrap; nothing if there is no data for it."""
    with style_context("default"), rc_context(_LOOK):
        figure = Figure(figsize=(6.0, height), layout="constrained")
        try:
            ax = draw(ax=figure.subplots())
        except NotMeasured:
            return ""
        title, alt, file = ax.get_title(), alt_text(figure), BytesIO()
        ax.set_title("")
        figure.savefig(file, format="svg", metadata={"Date": None})
    image = f"data:image/svg+xml;base64,{b64encode(file.getvalue()).decode()}"
    caption = f"<figcaption>{safe(title)}</figcaption>"
    return f'<figure>{caption}<img alt="{safe(alt)}" src="{image}"></figure>'
