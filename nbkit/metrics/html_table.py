"""A table of figures as HTML."""

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def html_table(
    table: "pd.DataFrame", name: str, figure: Callable[[float], str], notes: Sequence[str]
) -> str:
    """A table with its notes; where it is too wide it scrolls, by keyboard too.

    MathJax is told to keep out: "$5 and $10" is no formula.
    """
    html = table.to_html(index=False, float_format=figure, classes="tex2jax_ignore mathjax_ignore")
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    frame = f'role="region" aria-label="{escape(name)}" tabindex="0" style="overflow-x: auto"'
    return f"<div {frame}>{html}</div>{below}"
