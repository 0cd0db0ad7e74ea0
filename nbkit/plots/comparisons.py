"""Figures that compare times with each other and with the ideal."""

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from nbkit.language import say
from nbkit.metrics.requests import NotMeasured
from nbkit.plots import style
from nbkit.plots.alt_text import tell

_IDEAL: dict[str, Any] = {"color": style.VERMILION, "linestyle": "--", "linewidth": 2.5}


def compare(
    seconds: Mapping[str, Any],
    *,
    ideal: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how long each way took, as bars with the speed-up written beside them.

    `seconds` holds a duration, or a list of repeated measurements, by label; a bar is their median,
    its whisker goes from the fastest to the slowest. Speed-up = median of the first entry / median.
    `ideal`, in seconds, is drawn as a line.

    Raises `PlotError` for durations that are not positive numbers. Taught in notebook 10.
    """
    runs = _runs(seconds)
    first = median(next(iter(runs.values())))
    if ideal is not None:
        (ideal,) = _seconds("ideal", ideal)
    labels = [style.one_line(label) for label in runs]
    several = any(len(taken) > 1 for taken in runs.values())
    unit = say("seconds (median; whisker: fastest to slowest)") if several else say("seconds")
    height = 2.2 + 0.7 * len(runs)
    with style.styled_axes(
        ax, say("How much faster is it?"), unit, grid="x", height=height, texts=labels
    ) as ax:
        for place, taken in enumerate(runs.values()):
            middle = median(taken)
            ax.barh(place, middle, 0.6, color=style.BLUE if place else style.GREY)
            if len(taken) > 1:
                reach = [[middle - min(taken)], [max(taken) - middle]]
                ax.errorbar(
                    middle, place, xerr=reach, color=style.label_colour(ax), capsize=6, linewidth=2
                )
            words = style.duration(middle)
            words += say(", {first:.1f} × as fast", first=first / middle) if place else ""
            style.write(ax, words, (max(taken), place), (10, 0), fontsize=15)
            tell(ax, say("{label}: {words}", label=labels[place], words=words))
        if ideal is not None:
            ax.axvline(ideal, label=say("ideal: {time}", time=style.duration(ideal)), **_IDEAL)
        style.name_rows(ax, labels)
        # Space for the text at the end of the longest bar.
        ax.set_xlim(0, 1.35 * max(ideal or 0, *(max(taken) for taken in runs.values())))
    return ax


def speedup(
    seconds: Mapping[int, Any],
    *,
    sequential: float | Mapping[int, float],
    slots: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the measured speed-up over the number of requests at once, with the ideal.

    `seconds` holds, for each number at once, how long the work took: a duration or a list of
    repeated measurements (their median is drawn, with a whisker from slowest to fastest).
    `sequential` is how long the same work took one request at a time: one duration, or one for each
    number. Speed-up = sequential / median. The ideal speed-up is the number of requests at once, up
    to `slots`, the number that the model serves at once, if known. In brackets stands the share of
    the ideal.

    Raises `PlotError` for numbers at once or slots below 1, and for durations that are missing or
    not above zero. Taught in notebook 04.
    """
    runs = _runs(seconds)
    if not all(isinstance(n, Integral) and int(n) >= 1 for n in runs):
        raise NotMeasured(
            say("{numbers} are not numbers of requests", numbers=list(runs)),
            say("pass whole numbers from 1."),
        )
    if slots is not None and slots < 1:
        raise NotMeasured(
            say("slots={slots} is not possible", slots=slots), say("pass at least one slot.")
        )
    numbers = sorted(runs)
    given = sequential if isinstance(sequential, Mapping) else dict.fromkeys(numbers, sequential)
    if missing := [n for n in numbers if n not in given]:
        raise NotMeasured(
            say("`sequential` has no duration for {number}", number=missing[0]),
            say("give one for each number at once."),
        )
    alone = {n: median(_seconds("sequential", given[n])) for n in numbers}
    faster = {n: alone[n] / median(runs[n]) for n in numbers}
    reach = [
        [value - alone[n] / max(runs[n]) for n, value in faster.items()],
        [alone[n] / min(runs[n]) - value for n, value in faster.items()],
    ]
    limit = slots or max(numbers)
    corners = sorted({1, limit, *numbers})
    ideal = (
        say("ideal")
        if slots is None
        else say("ideal, with {slots} slots at the model", slots=slots)
    )
    most = numbers[-1]
    share = {n: value / min(n, limit) for n, value in faster.items()}
    title = say(
        "{most} at once: {faster:.1f} × as fast, {share:.0%} of the ideal",
        most=most,
        faster=faster[most],
        share=share[most],
    )
    with style.styled_axes(
        ax, title, say("requests at once"), say("times as fast as one at a time"), height=6
    ) as ax:
        ax.plot(corners, [min(n, limit) for n in corners], label=ideal, **_IDEAL)
        several = any(len(taken) > 1 for taken in runs.values())
        look = {**style.series(0), "marker": "o", "markersize": 10, "capsize": 6}
        ups, spread = list(faster.values()), reach if several else None
        ax.errorbar(numbers, ups, yerr=spread, label=say("measured"), **look)
        for n, value in faster.items():
            words = f"{value:.1f} ×" + (f" ({share[n]:.0%})" if n > 1 else "")
            style.write(ax, words, (n, value), (10, -10), va="top")
            tell(ax, say("{n} at once: {words}", n=n, words=words))
        ax.margins(0.1)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=2)
        ax.set_xticks(numbers)
        ax.xaxis.set_minor_locator(NullLocator())
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return ax


def _runs(seconds: Any) -> dict[Any, list[float]]:
    if not isinstance(seconds, Mapping) or not seconds:
        raise NotMeasured(
            say("There is nothing to compare"), say("pass a dict of durations in seconds.")
        )
    return {label: _seconds(label, value) for label, value in seconds.items()}


def _seconds(label: Any, value: Any) -> list[float]:
    """Durations as a list; raises `PlotError` for anything but positive numbers."""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    seconds = list(value) if several else [value]
    if not seconds:
        raise NotMeasured(
            say("{label!r} has no measurement", label=label), say("measure it, or leave it out.")
        )
    for one in seconds:
        if not isinstance(one, Real) or isinstance(one, bool):
            raise NotMeasured(
                say(
                    "{label!r} has {kind} where seconds were expected",
                    label=label,
                    kind=type(one).__name__,
                ),
                say("pass a number, or a list of numbers."),
            )
        if not 0 < float(one) < math.inf:
            raise NotMeasured(
                say("{label!r} took {one} s", label=label, one=one),
                say("pass durations above zero."),
            )
    return [float(one) for one in seconds]
