"""The tables and figures of a report."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from matplotlib.axes import Axes

from nbkit import plots
from nbkit.experiment.report_html import NOTHING, paragraph, picture, row, table
from nbkit.experiment.table import table_row
from nbkit.language import say, to_say
from nbkit.metrics.load_point import UNITS, LoadPoint
from nbkit.metrics.percentiles import METRICS
from nbkit.metrics.slo import SLO

_REQUESTS = {
    "asked": to_say("asked"),
    "ramp": to_say("left out"),
    "n": "n",
    "errors": to_say("errors"),
    "throughput": to_say("answers a second"),
    "tokens_per_s": to_say("tokens a second"),
    "in_flight": to_say("in flight"),
    "slo_n": to_say("n judged"),
    "slo_share": to_say("promise kept"),
    "goodput": to_say("goodput a second"),
}


def requests(points: Sequence[LoadPoint], slo: SLO | None) -> Iterator[str]:
    """How many were asked and answered, and how many a second."""
    if slo is not None:
        yield paragraph(say("The promise: {slo}.", slo=slo))
    rows = [table_row(point, slo) for point in points]
    shown = [name for name in _REQUESTS if any(each.get(name) is not None for each in rows)]
    cells = [[_number(name, each.get(name)) for name in shown] for each in rows]
    yield _of_points(say("Requests"), [say(_REQUESTS[name]) for name in shown], points, cells)


def _number(name: str, value: float | None) -> str:
    if value is None:
        return NOTHING
    if name == "slo_share":
        return f"{value:.0%}"
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}"


def latency(points: Sequence[LoadPoint]) -> Iterator[str]:
    """A table for each metric, in seconds or milliseconds."""
    thinks = any(one.trace and one.trace.thoughts for point in points for one in point.rows)
    for metric, name in METRICS.items():
        spreads = [point.spread(metric) for point in points]
        known = [spread.p50 for spread in spreads if spread.p50 is not None]
        if not known or (metric == "ttfo" and not thinks):
            continue
        slow = max(known) >= 0.1
        unit, times = (say("seconds"), 1) if slow else (say("milliseconds"), 1000)
        # The bootstrap of a million gaps takes 15 s, and a median gap is hardly ever in doubt.
        between = metric == "gaps"
        cells = []
        for spread in spreads:
            ends = () if between else spread.interval or (None, None)
            values = (spread.p50, *ends, spread.p90, spread.p99)
            told = [NOTHING if each is None else _figure(times * each) for each in values]
            cells.append([f"{spread.n:,}", *told])
        yield f"<h3>{say('{metric}, {unit}', metric=say(name).capitalize(), unit=unit)}</h3>"
        ends_told = [] if between else [say("from"), say("to")]
        columns = [say("n gaps") if between else "n", "p50", *ends_told, "p90", "p99"]
        yield _of_points(say(name), columns, points, cells)
    yield paragraph(say("From and to are the ends of the 95 % interval of the p50."))


def _figure(value: float) -> str:
    """Three digits: "0.200", "12.3", "1,234"."""
    return f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:,.0f}"


def figures(points: Sequence[LoadPoint], slo: SLO | None) -> Iterator[str]:
    """The figures that fit what was measured, for each kind of load."""
    for kind in dict.fromkeys(point.kind for point in points):
        drawn = [point for point in points if point.kind == kind]
        several = len({point.load for point in drawn}) > 1
        groups = {f"{one.label}, {one.load:g}" if several else one.label: one.rows for one in drawn}
        draws: list[Callable[..., Axes]] = [] if slo is None else [partial(plots.slo, drawn, slo)]
        for metric in ("ttft", "end_to_end"):
            if several:
                draws.append(partial(plots.knee, drawn, metric=metric))
            else:
                draws.append(partial(plots.ecdf, groups, metric=metric))
        for draw in draws:
            yield picture(draw, 4.6)
        yield picture(partial(plots.breakdown, groups), 2.0 + 0.8 * len(groups))


def _of_points(
    name: str, columns: Sequence[str], points: Sequence[LoadPoint], cells: Sequence[Sequence[str]]
) -> str:
    """A table with a row for each label and load; without the load, if there is only one."""
    units = dict.fromkeys(say(UNITS[point.kind]) for point in points)
    several = len({(point.kind, point.load) for point in points}) > 1
    rows = [
        row(point.label, [*([f"{point.load:g}"] if several else []), *each])
        for point, each in zip(points, cells, strict=True)
    ]
    return table(name, [*([say(" or ").join(units)] if several else []), *columns], rows)
