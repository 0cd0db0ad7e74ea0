"""Figures of the effect of load: the knee of latency against throughput, and goodput."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from nbkit.language import say
from nbkit.metrics.intervals import Interval
from nbkit.metrics.load_point import UNITS, LoadPoint, read_points
from nbkit.metrics.percentiles import METRICS
from nbkit.metrics.requests import NotMeasured
from nbkit.metrics.slo import SLO
from nbkit.plots.alt_text import tell
from nbkit.plots.style import GREY, label_colour, one_line, series, styled_axes, write


def knee(measured: Any, *, metric: str = "end_to_end", ax: Axes | None = None) -> Axes:
    """Draw median latency against throughput, a point per load, with the knee of each curve ringed.

    `measured` is an `Experiment`, or a list of its `points`. Numbers at the points are the loads;
    whiskers are the 95 % intervals of the medians. The knee is the load with the most power, which
    is throughput / latency (L. Kleinrock, "Power and deterministic rules of thumb", 1979): below
    it, more load gives more answers with little more waiting; above it, mostly more waiting. If the
    last load has the most power, the knee has not been reached, and the legend says so.

    Raises `PlotError` for anything else, and if no load has a value. Taught in notebook 09.
    """
    curves = _curves(measured, metric)
    unit = say(UNITS[next(iter(curves.values()))[0].kind])
    title = say("Where does more load stop paying? (numbers: {unit})", unit=unit)
    ylabel = say("{metric}, median in s", metric=say(METRICS[metric]))
    labels = [
        say("{label}: {words}", label=one_line(label), words=_knee_in_words(curve, metric))
        for label, curve in curves.items()
    ]
    with styled_axes(
        ax, title, say("complete answers a second"), ylabel, height=6, texts=labels
    ) as ax:
        for place, (label, curve) in enumerate(zip(labels, curves.values(), strict=True)):
            spreads = [(point.throughput, point.spread(metric)) for point in curve]
            spots = [(x, spread.p50 or 0.0, spread.interval) for x, spread in spreads]
            _curve(ax, place, spots, label)
            for point, (x, y, _) in zip(curve, spots, strict=True):
                # Curves often overlap, so every second one has its labels on the other side.
                _beside(ax, f"{point.load:g}", x, y, right=place % 2 == 0, above=place % 2 == 1)
            if (at := knee_of(curve, metric)) is not None:
                (x, y, _), colour = spots[curve.index(at)], series(place)["color"]
                ax.plot(x, y, "o", ms=24, mfc="none", mec=colour, mew=3)
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
        ax.margins(0.1)
    return ax


def slo(measured: Any, slo: SLO, *, ax: Axes | None = None) -> Axes:
    """Draw goodput against load: how many answers per second met the objective.

    `measured` is an `Experiment`, or a list of its `points`; whiskers are the 95 % intervals of the
    share of n requests (failed ones included) that met it. The thin grey line of each curve is its
    throughput: all complete answers, late ones included.

    Raises `PlotError` for anything else, and if the objective cannot be judged.
    Taught in notebook 09.
    """
    if not isinstance(slo, SLO):
        raise NotMeasured(
            say("Got {kind} as the objective", kind=type(slo).__name__),
            say("pass nbkit.SLO(ttft=0.5), say."),
        )
    points = read_points(measured)
    kept = [point.goodput(slo) for point in points]
    names = list(dict.fromkeys(point.label for point in points))
    loads = sorted({point.load for point in points})
    title = say("How much load keeps the promise?  {slo}", slo=slo)
    with styled_axes(
        ax, title, say(UNITS[points[0].kind]), say("answers a second"), height=6, texts=names
    ) as ax:
        for place, name in enumerate(names):
            mine = [pair for pair in zip(points, kept, strict=True) if pair[0].label == name]
            mine.sort(key=lambda pair: pair[0].load)
            across = [point.load for point, _ in mine]
            told = None if place else say("all complete answers")
            everything = [point.throughput for point, _ in mine]
            ax.plot(across, everything, ".:", color=GREY, linewidth=2, label=told)
            told = say(
                "{name}: within the promise ({sizes})",
                name=one_line(name),
                sizes=_sizes([good.n for _, good in mine]),
            )
            spots = [(point.load, good.rate, good.rate_interval) for point, good in mine]
            _curve(ax, place, spots, told)
            for (_, good), (x, y, _) in zip(mine, spots, strict=True):
                share = f"{100 * good.share:.0f} %"
                _beside(ax, share, x, y, right=True, above=place % 2 == 0)
                tell(
                    ax,
                    say(
                        "{name} at {x:g}: {share} within the promise",
                        name=one_line(name),
                        x=x,
                        share=share,
                    ),
                )
        ax.set_ylim(bottom=0)
        ax.margins(x=0.1)
        if loads[0] * 4 <= loads[-1]:
            ax.set_xscale("log", base=2)
        ax.xaxis.set_major_locator(FixedLocator(loads))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.tick_params(axis="x", colors=label_colour(ax))
    return ax


def knee_of(curve: list[LoadPoint], metric: str = "end_to_end") -> LoadPoint | None:
    """The load with the most power, throughput / median latency; `None` if it is the last."""
    best = max(curve, key=lambda point: _power(point, metric))
    return None if best is max(curve, key=lambda point: point.load) else best


def _curve(
    ax: Axes, place: int, spots: list[tuple[float, float, Interval | None]], label: str
) -> None:
    """Draw points with a whisker each, joined by a line."""
    x, y, intervals = zip(*spots, strict=True)
    ends = [interval or (at, at) for at, interval in zip(y, intervals, strict=True)]
    low, high = np.transpose(ends)
    look = {**series(place), "marker": "o", "markersize": 9, "capsize": 5, "label": label}
    ax.errorbar(x, y, yerr=np.maximum([y - low, high - y], 0), **look)


def _beside(ax: Axes, words: str, x: float, y: float, *, right: bool, above: bool) -> None:
    shift = (9 if right else -9, 6 if above else -6)
    look = {"ha": "left" if right else "right", "va": "bottom" if above else "top"}
    write(ax, words, (x, y), shift, **look)


def _power(point: LoadPoint, metric: str) -> float:
    middle = point.spread(metric).p50
    return point.throughput / middle if middle else 0.0


def _curves(measured: Any, metric: str) -> dict[str, list[LoadPoint]]:
    """The points that have the metric, in order of load, by label."""
    points = [point for point in read_points(measured) if point.spread(metric).p50 is not None]
    if not points:
        raise NotMeasured(
            say("Nothing here has a {metric}", metric=say(METRICS[metric])),
            say("choose another metric."),
        )
    curves: dict[str, list[LoadPoint]] = {}
    for point in sorted(points, key=lambda point: point.load):
        curves.setdefault(point.label, []).append(point)
    return curves


def _knee_in_words(curve: list[LoadPoint], metric: str) -> str:
    at = knee_of(curve, metric)
    n = _sizes([point.spread(metric).n for point in curve])
    if at is not None:
        return say("knee at {load:g} ({n})", load=at.load, n=n)
    found = say("one load has no knee")
    if len(curve) > 1:
        found = say("no knee up to {load:g}", load=curve[-1].load)
    return f"{found} ({n})"


def _sizes(each: list[int]) -> str:
    fewest, most = min(each), max(each)
    return f"n = {most}" if fewest == most else f"n = {fewest}–{most}"
