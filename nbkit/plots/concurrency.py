"""How many requests of a batch were in flight, over time."""

from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nbkit.language import say
from nbkit.metrics.requests import NotMeasured
from nbkit.plots import style
from nbkit.plots.alt_text import tell
from nbkit.wording import count


def concurrency(run: Any, *, places: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw how many requests a batch allowed in flight under `max_concurrency="auto"`.

    `run` is what `run_batch` returned, once awaited: an object whose `.steps` have `.time`
    (readings of perf_counter) and `.limit`. The x axis counts seconds since the first step; signs
    mark the cuts. `places`, how many the server handles at once, is drawn as a line if given.

    Raises `PlotError` for anything else, and for a batch with a fixed number.
    Taught in notebook 06.
    """
    steps = list(getattr(run, "steps", ()))
    if len(steps) < 2:
        raise NotMeasured(
            say("This has no steps to draw"),
            say('pass a batch that ran with max_concurrency="auto".'),
        )
    times = [step.time - steps[0].time for step in steps]
    limits = [step.limit for step in steps]
    cuts = [
        (time, before)
        for time, (before, after) in zip(times[1:], pairwise(limits), strict=True)
        if after < before
    ]
    with style.styled_axes(
        ax,
        say("How many at once?"),
        say("seconds since the start"),
        say("requests in flight"),
        grid="y",
        height=4.5,
    ) as ax:
        ax.step(
            times,
            limits,
            where="post",
            color=style.BLUE,
            linewidth=2.5,
            label=say("allowed in flight"),
        )
        look: dict[str, Any] = {"color": style.VERMILION, "edgecolors": "black", "zorder": 4}
        if cuts:
            x, y = zip(*cuts, strict=True)
            ax.scatter(x, y, s=110, marker="v", label=say("cut"), **look)
        tell(
            ax,
            say(
                "from {first} to {most} in flight, {cuts}",
                first=limits[0],
                most=max(limits),
                cuts=count(len(cuts), "cut"),
            ),
        )
        if places is not None:
            tell(ax, say("places there are: {places}", places=places))
            look = {"color": style.GREY, "linestyle": "--", "linewidth": 2.5, "zorder": 1}
            ax.axhline(places, label=say("places there are"), **look)
        ax.set_xlim(left=0)
        ax.set_ylim(0, 1.1 * max(*limits, places or 0))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return ax
