"""The path of a number that a batch looked for by itself."""

from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nbkit.metrics.requests import NotMeasured
from nbkit.plots.style import BLUE, GREY, VERMILION, styled_axes


def concurrency(run: Any, *, places: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw how many requests a batch allowed in flight under `max_concurrency="auto"`.

    `run` is what `run_batch` returned, once awaited: an object whose `.steps` have `.time`
    (readings of perf_counter) and `.limit`. The x axis counts seconds since the first step; signs
    mark the cuts. `places`, how many the server works on at once, is drawn as a line if known.

    Raises `PlotError` for anything else, and for a batch whose number was fixed.

    Taught in notebook 06.
    """
    steps = list(getattr(run, "steps", ()))
    if len(steps) < 2:
        raise NotMeasured(
            "This has no steps to draw", 'pass a batch that ran with max_concurrency="auto".'
        )
    times = [step.time - steps[0].time for step in steps]
    limits = [step.limit for step in steps]
    cuts = [
        (time, before)
        for time, (before, after) in zip(times[1:], pairwise(limits), strict=True)
        if after < before
    ]
    with styled_axes(
        ax,
        "How many at once?",
        "seconds since the start",
        "requests in flight",
        grid="y",
        height=4.5,
    ) as ax:
        ax.step(times, limits, where="post", color=BLUE, linewidth=2.5, label="allowed in flight")
        look: dict[str, Any] = {"color": VERMILION, "edgecolors": "black", "zorder": 4}
        if cuts:
            x, y = zip(*cuts, strict=True)
            ax.scatter(x, y, s=110, marker="v", label="cut", **look)
        if places is not None:
            look = {"color": GREY, "linestyle": "--", "linewidth": 2.5, "zorder": 1}
            ax.axhline(places, label="places there are", **look)
        ax.set_xlim(left=0)
        ax.set_ylim(0, 1.1 * max(*limits, places or 0))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return ax
