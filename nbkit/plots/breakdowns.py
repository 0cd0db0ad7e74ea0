"""A figure of the parts of a request's time, for a typical and a slow request."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from nbkit.language import say, to_say
from nbkit.metrics.load_point import read_points
from nbkit.metrics.percentiles import enough_for
from nbkit.metrics.requests import NotMeasured, Row, read_groups, read_rows
from nbkit.plots import style
from nbkit.plots.alt_text import tell
from nbkit.wording import listed

_PHASES: dict[str, dict[str, Any]] = {
    to_say("made late, by this machine"): {"facecolor": style.VERMILION},
    to_say("retrieval, and calls before the last"): style.BEFORE_MODEL,
    to_say("wait for the first token"): {"facecolor": style.ORANGE},
    to_say("streaming"): {"facecolor": style.BLUE},
}
_BAND = 5.0
"""Percentile points on each side of the drawn percentile."""
_MOST_ROWS = 16
_LEAST = 0.01


def breakdown(measured: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the parts of end-to-end latency, for a typical request (p50) and a slow one (p95).

    `measured` is an `Experiment` or its `points`, a list of answers, or a dict of such lists by
    label. Requests are ranked by end-to-end latency; a bar is the mean of those within 5 percentile
    points of the 50th or 95th, so its parts add up to a real latency. Below 20 requests there is no
    p95. The delay of late requests in an open loop is its own part, if it is over 1 % of a bar.

    Raises `PlotError` for anything else, and if no answer is complete. Taught in notebook 09.
    """
    bars = [
        (
            f"{style.one_line(label)}  {name}".strip(),
            np.mean([_phases(row) for row in chosen], axis=0),
        )
        for label, rows in _groups(measured).items()
        for name, chosen in _ranked(rows)
    ]
    if not bars:
        raise NotMeasured(
            say("No complete answer with text here"), say("see the errors, then ask again.")
        )
    if len(bars) > _MOST_ROWS:
        raise NotMeasured(
            say("{bars} bars are too many to read", bars=len(bars)),
            say('pass fewer: `plots.breakdown(experiment.requests_of("label", at=4))`.'),
        )
    labels = [label for label, _ in bars]
    looks = list(_PHASES.items())
    if all(phases[0] <= _LEAST * sum(phases) for _, phases in bars):
        looks = looks[1:]
        bars = [(name, [late + early, *rest]) for name, (late, early, *rest) in bars]
    title, height = say("What is the waiting made of?"), 2.6 + 0.5 * len(bars)
    with style.styled_axes(
        ax, title, say("seconds since the question"), grid="x", height=height, texts=labels
    ) as ax:
        for place, (label, phases) in enumerate(bars):
            left, parts = 0.0, []
            for (phase, look), seconds in zip(looks, phases, strict=True):
                name = None if place else say(phase)
                ax.barh(place, seconds, 0.62, left=left, label=name, linewidth=0, **look)
                left += seconds
                parts.append(f"{say(phase)} {style.duration(seconds)}")
            told, whole = listed(parts), style.duration(left)
            tell(ax, say("{label} {whole} ({parts})", label=label, whole=whole, parts=told))
            style.write(ax, style.duration(left), (left, place), (8, 0))
        style.name_rows(ax, labels)
        ax.set_xlim(0, 1.15 * max(sum(phases) for _, phases in bars))
    return ax


def _groups(measured: Any) -> dict[str, list[Row]]:
    """Rows by label; those of an experiment by label and load."""
    if hasattr(measured, "points"):
        points = read_points(measured)
        several = len({point.load for point in points}) > 1
        return {
            f"{style.one_line(point.label)}, {point.load:g}" if several else point.label: point.rows
            for point in points
        }
    return {str(label): read_rows(group) for label, group in read_groups(measured).items()}


def _ranked(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """The rows near the median and, if there are enough, near the 95th percentile."""
    counting = sorted(
        (row for row in rows if row.counts),
        key=lambda row: (row.trace and row.trace.end_to_end) or 0.0,
    )
    n = len(counting)
    if not n:
        return []
    usual = (f"p50 (n = {n})", _band(counting, 50))
    return [usual, ("p95", _band(counting, 95))] if n >= enough_for(95) else [usual]


def _band(rows: list[Row], percent: float) -> list[Row]:
    n = len(rows)
    low = math.floor(n * (percent - _BAND) / 100)
    high = math.ceil(n * (percent + _BAND) / 100)
    return rows[low : max(high, low + 1)]


def _phases(row: Row) -> tuple[float, float, float, float]:
    trace = row.trace
    assert trace is not None
    before, wait = trace.before_call or 0.0, trace.first_token_wait or 0.0
    # If no model call was seen, all of TTFT is waiting for the first token.
    late = min(row.late, before or wait)
    early = (before - late, wait) if before else (0.0, wait - late)
    return (late, *early, trace.streaming or 0.0)
