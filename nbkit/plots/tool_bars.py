"""The tools of an agent in a timeline: a bar for each call, parallel calls side by side."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from nbkit.language import say
from nbkit.metrics.requests import Row
from nbkit.plots import style

_NAMED = 12
"""With more calls than this, the names of the tools would cover each other."""


def draw_tools(ax: Axes, rows: Sequence[Row], zero: float, thickness: float) -> None:
    """Draw the steps of each row over its phases; a step without an end goes to the row's end."""
    calls = [(place, row, lane) for place, row in enumerate(rows) for lane in _lanes(row)]
    corners = []
    for place, row, (step, lane, lanes) in calls:
        begin, end = step.start - zero, (step.end or row.end) - zero
        height = 0.8 * thickness / lanes
        top = place - 0.4 * thickness + lane * height
        bottom = top + 0.9 * height
        corners.append([(begin, top), (begin, bottom), (end, bottom), (end, top)])
        if len(calls) <= _NAMED:
            middle = ((begin + end) / 2, (top + bottom) / 2)
            look: dict[str, Any] = {"ha": "center", "fontsize": 11, "color": "white", "zorder": 4}
            style.write(ax, style.one_line(step.tool), middle, (0, 0), **look)
    if corners:
        look = {"facecolor": style.GREEN, "linewidth": 0, "zorder": 3}
        ax.add_collection(PolyCollection(corners, label=say("using a tool"), **look))


def _lanes(row: Row) -> list[tuple[Any, int, int]]:
    """Each step with its lane and how many there are; steps at the same time have lanes apart."""
    ends: list[float] = []
    placed = []
    for step in sorted(row.steps, key=lambda step: step.start):
        lane = next((n for n, end in enumerate(ends) if end <= step.start), len(ends))
        ends[lane : lane + 1] = [row.end if step.end is None else step.end]
        placed.append((step, lane))
    return [(step, lane, len(ends)) for step, lane in placed]
