"""What a figure shows, in words: the alternative text of its picture in a notebook."""

from functools import partial
from html import escape
from typing import Any
from weakref import WeakKeyDictionary

from matplotlib.axes import Axes

from nbkit.language import say

_found: "WeakKeyDictionary[Axes, list[str]]" = WeakKeyDictionary()


def begin(ax: Axes) -> None:
    """Have the figure of these axes shown with a text; what is told from now on is in it."""
    _found[ax] = []
    figure: Any = ax.figure.figure
    # JupyterLab shows an image without any text, but HTML as it is.
    figure._ipython_display_ = partial(_show, figure)


def tell(ax: Axes, finding: str) -> None:
    """Add to the text what can be seen in the figure; without it, the legend is read."""
    _found[ax].append(finding)


def alt_text(figure: Any) -> str:
    """Title, findings and axes of a figure, as they are now."""
    return " ".join(filter(None, map(_in_words, figure.axes)))


def _in_words(ax: Axes) -> str:
    if ax not in _found:
        return ax.get_title()
    legend = ax.get_legend()
    named = [text.get_text() for text in legend.get_texts()] if legend else []
    finding = say("; ").join(_found[ax] or named)
    axes = {say("Across"): ax.get_xlabel(), say("Up"): ax.get_ylabel()}
    told = [say("{way}: {label}.", way=way, label=label) for way, label in axes.items() if label]
    title = ax.get_title()
    title = title if title.endswith(("?", ".", ")", "？", "）")) else say("{title}.", title=title)
    found = [say("{finding}.", finding=finding)] if finding else []
    return " ".join([title, *found, *told])


def _show(figure: Any) -> None:
    """Display a figure as the notebook would, but for the text."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    shell: Any = get_ipython()  # type: ignore[no-untyped-call]
    as_html = vars(figure).pop("_ipython_display_")
    try:
        bundle, metadata = shell.display_formatter.format(figure)
    finally:
        figure._ipython_display_ = as_html
    alt = alt_text(figure)
    if (png := bundle.pop("image/png", None)) is not None:
        size = metadata.pop("image/png", {})
        width = f' width="{size["width"]}"' if "width" in size else ""
        picture = f'<img alt="{escape(alt)}"{width} src="data:image/png;base64,{png}">'
        bundle |= {"text/html": picture, "text/plain": alt}
    display(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
