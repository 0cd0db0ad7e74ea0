"""The workers of a cluster in a timeline: a strip at the left of each row."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from nbkit.language import say
from nbkit.metrics.requests import Row
from nbkit.plots import style

_COLOURS = (style.SKY, style.BLACK, "#F0E442", style.GREEN, style.VERMILION, style.GREY)
"""First those that no phase of a request has."""
_HATCHES = ("", "///", "...", "xxx", "---", "ooo")
"""Beside the colours, so that more workers than colours, and prints, can be told apart."""


def draw_workers(ax: Axes, rows: Sequence[Row], right: float) -> list[str]:
    """Draw the strips left of time 0; returns what they show, in words, or nothing."""
    told = []
    for number, worker in enumerate(sorted({row.worker for row in rows if row.worker}), 1):
        places = [place for place, row in enumerate(rows) if row.worker == worker]
        left, edge = -0.03 * right, -0.008 * right
        corners = [
            [(left, place - 0.5), (left, place + 0.5), (edge, place + 0.5), (edge, place - 0.5)]
            for place in places
        ]
        look: dict[str, Any] = {
            "facecolor": _COLOURS[(number - 1) % len(_COLOURS)],
            "hatch": _HATCHES[(number - 1) // len(_COLOURS) % len(_HATCHES)],
            "linewidth": 0,
            "clip_on": False,
        }
        label = say(
            "worker {number} ({places} of {rows})",
            number=number,
            places=len(places),
            rows=len(rows),
        )
        ax.add_collection(PolyCollection(corners, label=label, **look))
        told.append(say("worker {number} asked {requests}", number=number, requests=len(places)))
    return told
