"""Figures of the distribution of many measurements, with the slowest ones."""

import math
from collections.abc import Iterable
from numbers import Real
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, NullFormatter, PercentFormatter

from nbkit.language import say, to_say
from nbkit.metrics.percentiles import Spread, enough_for, values_of
from nbkit.metrics.requests import NotMeasured, read_groups, read_rows
from nbkit.plots.alt_text import tell
from nbkit.plots.style import GREY, duration, one_line, series, styled_axes, write
from nbkit.wording import count

_METRICS = {
    "ttft": (
        to_say("seconds until the first token"),
        to_say("How many had their first token by when?"),
    ),
    "ttfo": (
        to_say("seconds until the answer's first token"),
        to_say("How many had begun to answer by when?"),
    ),
    "end_to_end": (
        to_say("seconds until the last chunk"),
        to_say("How many were complete by when?"),
    ),
    "gaps": (to_say("seconds between chunks"), to_say("How many gaps were no longer than this?")),
    "tpot": (to_say("seconds per output token"), to_say("How many were at least this fast?")),
}
_SHORTEST_GAP = 1e-6
"""Seconds; two chunks can have the same time, and zero has no place on a log axis."""
_TOP = ("data", "axes fraction")


def ecdf(measured: Any, *, metric: str = "ttft", ax: Axes | None = None) -> Axes:
    """Draw the share of answers that were done after a time (empirical distribution).

    `measured` is a list of answers, outcomes, Traces or seconds, or a dict of such lists by label.
    `metric` is "ttft", "ttfo", "end_to_end", "gaps" or "tpot", as defined by `Trace`. Only complete
    answers count; the legend says how many are left out.

    Raises `PlotError` for anything else, and if there is nothing to draw. Taught in notebook 09.
    """
    if metric not in _METRICS:
        raise NotMeasured(
            say("There is no metric {metric!r}", metric=metric),
            say("choose one of {metrics}.", metrics=list(_METRICS)),
        )
    curves = {
        label: _measurements(label, group, metric) for label, group in read_groups(measured).items()
    }
    if not any(values for values, _ in curves.values()):
        raise NotMeasured(
            say("None of these has a {metric}", metric=metric), say("pass answers that have text.")
        )
    labels = [
        _legend(label, f"n = {len(values)}" + (say(", {out} left out", out=out) if out else ""))
        for label, (values, out) in curves.items()
    ]
    right = 1.05 * max(max(values) for values, _ in curves.values() if values)
    xlabel, title = map(say, _METRICS[metric])
    ylabel = say("share of gaps") if metric == "gaps" else say("share of answers")
    with styled_axes(ax, title, xlabel, ylabel, texts=labels) as ax:
        for place, (label, (values, _)) in enumerate(zip(labels, curves.values(), strict=True)):
            middle = say(", half within {time}", time=duration(median(values))) if values else ""
            tell(ax, f"{label}{middle}")
            shares = [count / max(len(values), 1) for count in range(len(values) + 1)]
            ax.step(
                [0, *sorted(values), right],
                [*shares, shares[-1]],
                where="post",
                label=label,
                **series(place),
            )
        ax.axhline(0.5, color=GREY, linewidth=1.5, zorder=1)
        ax.set_xlim(0, right)
        ax.set_ylim(0, 1.02)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return ax


def gaps(answers: Any, *, ax: Axes | None = None) -> Axes:
    """Draw how long the pauses between chunks were, on a logarithmic axis.

    `answers` is an Answer, an outcome or a Trace, a list of them (the gaps of complete answers are
    pooled, as in the vLLM benchmark), or a dict of these by label. Lines mark p50 and p99; below
    100 gaps there is no p99.

    Raises `PlotError` for anything else, and if no answer has two chunks. Taught in notebook 09.
    """
    groups = read_groups(answers).items()
    found = {label: values_of(read_rows(group), "gaps") for label, group in groups}
    everything = np.concatenate([spread.values for spread in found.values()])
    if not everything.size:
        raise NotMeasured(
            say("No answer here has two chunks, so there are no gaps"), say("stream the answers.")
        )
    everything = np.maximum(everything, _SHORTEST_GAP)
    bins = np.geomspace(0.8 * everything.min(), 1.25 * everything.max(), 50)
    labels = [_legend(label, _figures(spread)) for label, spread in found.items()]
    title, xlabel = (
        say("Does the text flow evenly, or in bursts?"),
        say("time between one chunk and the next"),
    )
    with styled_axes(ax, title, xlabel, say("share of gaps"), grid="x", texts=labels) as ax:
        for place, (label, spread) in enumerate(zip(labels, found.values(), strict=True)):
            look = {**series(place), "linewidth": 2}
            colour = look.pop("color")
            ax.hist(
                np.maximum(spread.values, _SHORTEST_GAP),
                bins=bins,  # type: ignore[arg-type]
                weights=[1 / max(spread.n, 1)] * spread.n,
                histtype="stepfilled",
                facecolor=(colour, 0.25),
                edgecolor=colour,
                label=label,
                **look,
            )
            for name, value in _known(spread).items():
                ax.axvline(max(value, _SHORTEST_GAP), color=colour, **look)
                at, shift = (max(value, _SHORTEST_GAP), 1), (4, -4 - 16 * place)
                write(ax, name, at, shift, xycoords=_TOP, va="top", color=colour)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(EngFormatter("s"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.margins(y=0.15)
    return ax


def _measurements(label: str, group: Any, metric: str) -> tuple[list[float], int]:
    """The values of the answers that count, and how many were left out."""
    if isinstance(group, Iterable) and not isinstance(group, str | bytes):
        group = list(group)
        if group and all(isinstance(one, Real) for one in group):
            if not all(0 <= float(one) < math.inf for one in group):
                raise NotMeasured(
                    say("{label!r} has a value that is not a duration", label=label),
                    say("leave it out."),
                )
            return [float(one) for one in group], 0
    rows = read_rows(group)
    left_out = sum(row.trace is not None and not row.counts for row in rows)
    return values_of(rows, metric).values.tolist(), left_out


def _known(spread: Spread) -> dict[str, float]:
    known = {"p50": spread.p50, "p99": spread.p99}
    return {name: value for name, value in known.items() if value is not None}


def _figures(spread: Spread) -> str:
    if not spread.n:
        return say("no gaps")
    told = ", ".join(f"{name} {1000 * value:,.1f} ms" for name, value in _known(spread).items())
    lacking = say(", p99 needs {number}", number=enough_for(99)) if spread.p99 is None else ""
    return say(
        "{figures} ({gaps}{lacking})", figures=told, gaps=count(spread.n, "gap"), lacking=lacking
    )


def _legend(label: Any, figures: str) -> str:
    return say("{label}: {words}", label=one_line(label), words=figures) if label != "" else figures
