"""Figures that compare times, and show the best that is possible."""

from collections.abc import Mapping
from numbers import Integral
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from nbkit.plots.reading import PlotError, read_seconds
from nbkit.plots.style import (
    BLUE,
    GREY,
    VERMILION,
    duration,
    grid,
    label_colour,
    legend_below,
    one_line,
    styled_axes,
)


def compare(
    seconds: Mapping[str, Any],
    *,
    baseline: str | None = None,
    ideal: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how long each way took, as bars with the speed-up written on them.

    `seconds` gives a duration, or a list of repeated measurements, by label; a bar is their median,
    its whisker runs from the fastest to the slowest. Speed-up = median of `baseline` (the first
    entry unless named) / median. `ideal`, in seconds, is drawn as a line.

    Raises `PlotError` for durations that are not positive numbers, and for an unknown baseline.

    Taught in notebook 04.
    """
    runs = _runs(seconds)
    baseline = next(iter(runs)) if baseline is None else baseline
    if baseline not in runs:
        raise PlotError(f"There is no {baseline!r} to compare with", f"choose one of {list(runs)}.")
    if ideal is not None:
        (ideal,) = read_seconds("ideal", ideal)
    labels = [one_line(label) for label in runs]
    with styled_axes(ax, height=2.2 + 0.7 * len(runs), texts=labels) as ax:
        for place, (label, taken) in enumerate(runs.items()):
            middle = median(taken)
            colour = GREY if label == baseline else BLUE
            ax.barh(place, middle, 0.6, color=colour)
            if len(taken) > 1:
                reach = [[middle - min(taken)], [max(taken) - middle]]
                ax.errorbar(
                    middle, place, xerr=reach, color=label_colour(ax), capsize=6, linewidth=2
                )
            words = duration(middle)
            if label != baseline:
                words = f"{median(runs[baseline]) / middle:.1f} ×   {words}"
            ax.annotate(
                words,
                (max(taken), place),
                (10, 0),
                textcoords="offset points",
                va="center",
                fontsize=15,
            )
        if ideal is not None:
            ax.axvline(
                ideal,
                color=VERMILION,
                linestyle="--",
                linewidth=2.5,
                label=f"ideal: {duration(ideal)}",
            )
        several = any(len(taken) > 1 for taken in runs.values())
        ax.set_xlabel("seconds" + (" (median; whisker: fastest to slowest)" if several else ""))
        ax.set_yticks(range(len(runs)), labels, parse_math=False)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(runs) - 0.5, -0.5)
        # Room for what is written at the end of the longest bar.
        ax.set_xlim(0, 1.25 * max(ideal or 0, *(max(taken) for taken in runs.values())))
        ax.set_title("How much faster is it?")
        grid(ax, "x")
        legend_below(ax)
    return ax


def speedup(
    seconds: Mapping[int, Any],
    *,
    sequential: float | Mapping[int, float],
    slots: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the measured speed-up over the number of requests at once, with the ideal.

    `seconds` gives, for each number at once, how long the work took: a duration or a list of
    repeated measurements (their median is drawn, with a whisker from slowest to fastest).
    `sequential` is how long the same work took one request at a time: one duration, or one for each
    number if the work grew with it. Speed-up = sequential / median; the ideal is as many times as
    there are requests at once, up to `slots`, the number the model serves at once, where known.
    Both axes are logarithmic, so that the ideal is a straight line.

    Raises `PlotError` for numbers at once or slots below 1, and for durations that are missing or
    not above zero.

    Taught in notebook 04.
    """
    runs = _runs(seconds)
    if not all(isinstance(n, Integral) and int(n) >= 1 for n in runs):
        raise PlotError(f"{list(runs)} are not numbers of requests", "pass whole numbers from 1.")
    if slots is not None and slots < 1:
        raise PlotError(f"A model with {slots} slots answers nobody", "pass at least one slot.")
    numbers = sorted(runs)
    alone = {n: _alone(sequential, n) for n in numbers}
    faster = [alone[n] / median(runs[n]) for n in numbers]
    reach = [
        [value - alone[n] / max(runs[n]) for n, value in zip(numbers, faster, strict=True)],
        [alone[n] / min(runs[n]) - value for n, value in zip(numbers, faster, strict=True)],
    ]
    with styled_axes(ax, height=6) as ax:
        limit = slots or max(numbers)
        corners = sorted({1, limit, *numbers})
        ax.plot(
            corners,
            [min(n, limit) for n in corners],
            "--",
            color=VERMILION,
            linewidth=2.5,
            label="ideal" if slots is None else f"ideal, with {slots} slots at the model",
        )
        ax.errorbar(
            numbers,
            faster,
            yerr=reach if any(len(taken) > 1 for taken in runs.values()) else None,
            fmt="o-",
            color=BLUE,
            linewidth=2.5,
            markersize=10,
            capsize=6,
            label="measured",
        )
        for n, value in zip(numbers, faster, strict=True):
            ax.annotate(
                f"{value:.1f} ×", (n, value), (10, -10), textcoords="offset points", va="top"
            )
        ax.margins(0.1)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=2)
        ax.set_xticks(numbers)
        ax.xaxis.set_minor_locator(NullLocator())
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_xlabel("requests at once")
        ax.set_ylabel("times as fast as one at a time")
        ax.set_title("Where does asking more at once stop helping?")
        grid(ax, "both")
        legend_below(ax)
    return ax


def _runs(seconds: Any) -> dict[Any, list[float]]:
    if not isinstance(seconds, Mapping) or not seconds:
        raise PlotError("There is nothing to compare", "pass a dict of durations in seconds.")
    return {label: read_seconds(label, value) for label, value in seconds.items()}


def _alone(sequential: Any, n: int) -> float:
    if isinstance(sequential, Mapping):
        if n not in sequential:
            raise PlotError(
                f"`sequential` has no duration for {n}", "give one for each number at once."
            )
        sequential = sequential[n]
    return median(read_seconds("sequential", sequential))
