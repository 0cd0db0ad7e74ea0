"""A report of one or several experiments: an HTML file that runs no code and loads nothing."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from html import escape
from importlib.resources import files
from io import BytesIO
from itertools import combinations
from string import Template
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context as style_context

from nbkit import plots
from nbkit.batch.records import without_keys
from nbkit.experiment.saved import shown_error
from nbkit.experiment.table import listed, table_row
from nbkit.experiment.verdicts import Comparison, compared
from nbkit.metrics.intervals import Interval
from nbkit.metrics.load_point import UNITS, LoadPoint
from nbkit.metrics.percentiles import METRICS
from nbkit.metrics.requests import NotMeasured
from nbkit.metrics.slo import SLO
from nbkit.plots.alt_text import alt_text
from nbkit.plots.style import duration
from nbkit.wording import count, whole_characters

_COMPARED = ("ttft", "tpot", "end_to_end")
_POPULATION = {"gaps": "n gaps between chunks"}
_BY_CHANCE = 20
"""With 95 % intervals, one in so many comparisons shows a difference where there is none."""
_NOTHING = "–"


class Side(NamedTuple):
    """One label at one load of one run: what verdicts compare."""

    run: int
    label: str
    point: LoadPoint
    """Its label also names the run, if there are several."""


def html_report(experiments: Sequence[Any], slo: SLO | None, *, text: bool) -> str:
    """The report as HTML; without `text`, no question and of errors only their class."""
    runs = [_shareable(one, text=text) for one in experiments]
    sides = list(_sides(runs))
    points = [side.point for side in sides]
    labels = ", ".join(dict.fromkeys(side.label for side in sides)) or "nothing answered"
    title = f"Latency of {labels}" + (f": {len(runs)} runs" if len(runs) > 1 else "")
    body = [
        f"<h1>{_text(title)}</h1>",
        *map(_text_block, _opening(runs)),
        *(f'<p class="caution">{_text(words)}</p>' for words in _cautions(runs, sides)),
        _section("Verdicts", _verdicts(sides)),
        _section("Requests", _requests(points, slo)),
        _section("Latency", _latency(points)),
        _section("Figures", _figures(points, slo)),
        _section("Notes", _notes(runs)),
        _section("Circumstances", _circumstances(runs)),
        _section("Questions", _questions(runs) if text else ()),
    ]
    here = files("nbkit.experiment") / "static"
    template, style = (
        (here / name).read_text("utf-8").strip() for name in ("report.html", "report.css")
    )
    return Template(template).substitute(title=_text(title), style=style, body="\n".join(body))


def _shareable(experiment: Any, *, text: bool) -> Any:
    """A copy without questions and servers' words, unless they are asked for."""
    results = [replace(one, error=shown_error(one.error, text=text)) for one in experiment.results]
    return replace(experiment, results=results)


def _sides(runs: Sequence[Any]) -> Iterator[Side]:
    lists = [run.questions for run in runs]
    for number, run in enumerate(runs):
        # Two runs are compared question by question only if it is known that both lists are equal.
        own = number if run.questions is None else lists.index(run.questions)
        for point in run.points:
            rows = [replace(row, question=(own, row.question)) for row in point.rows]
            name = f"{point.label}, run {number + 1}" if len(runs) > 1 else point.label
            yield Side(number, point.label, replace(point, label=name, rows=rows))


def _opening(runs: Sequence[Any]) -> Iterator[str]:
    """When each run was made, and what was asked, in a sentence."""
    for number, run in enumerate(runs, 1):
        name = f"Run {number}, measured" if len(runs) > 1 else "Measured"
        failed = sum(one.error is not None for one in run.results)
        asked = count(run.parameters.get("questions", 0), "question")
        yield (
            f"{name} {run.environment.get('started', 'at an unknown time')}: {asked}, asked of "
            f"{', '.join(run.labels)} with {listed(run.loads)} {UNITS[run.kind]}; "
            f"{len(run.results)} of {count(run.planned, 'request')} ended, {failed} failed."
        )


def _cautions(runs: Sequence[Any], sides: Sequence[Side]) -> Iterator[str]:
    """What a reader must not overlook."""
    simulated = dict.fromkeys(
        one.label
        for run in runs
        for one in run.results
        if run.parameters["against"].get(one.label, {}).get("model") == "simulated"
        or (one.trace.model or "").startswith("simulated-")
    )
    if simulated:
        yield f"Simulated model, no vendor's: {', '.join(simulated)}."
    if len(runs) > 1:
        yield (
            "These runs were made at different times. A difference between them may come from all "
            "that has changed in between, the load of the server included: see Circumstances."
        )
        if len({side.point.rows[0].question[0] for side in sides}) > 1:
            yield (
                "Not all runs are known to have asked the same questions (a file keeps them only "
                "if saved with text=True), so these are not compared question by question."
            )


def _verdicts(sides: Sequence[Side]) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    told = 0
    for first, second in _pairs(sides):
        lines = found.setdefault(f"{first.point.load:g} {UNITS[first.point.kind]}", [])
        for metric in _COMPARED:
            try:
                # The later one is judged by the earlier one.
                names = (second.point.label, first.point.label)
                made = compared(names, (second.point.rows, first.point.rows), metric)
            except NotMeasured as missing:
                lines.append(f"<li>{_text(missing.happened)}</li>")
                continue
            told += 1
            lines.append(_verdict(made))
    for load, lines in found.items():
        yield f'<h3>With {load}</h3><ul class="verdicts">{"".join(dict.fromkeys(lines))}</ul>'
    if told >= _BY_CHANCE:
        yield _text_block(
            f"Of {told} comparisons without any true difference, about {told // _BY_CHANCE} would "
            "still show one by chance."
        )
    if not found:
        yield _text_block("Nothing to compare: it takes two labels or two runs at the same load.")


def _pairs(sides: Sequence[Side]) -> Iterator[tuple[Side, Side]]:
    """Labels of one run; and a label in two runs, or all labels if the two share none."""
    labels: dict[int, set[str]] = {}
    for side in sides:
        labels.setdefault(side.run, set()).add(side.label)
    for first, second in combinations(sorted(sides, key=lambda one: one.point.load), 2):
        if (first.point.kind, first.point.load) != (second.point.kind, second.point.load):
            continue
        shared = labels[first.run] & labels[second.run]
        if first.run == second.run or first.label == second.label or not shared:
            yield first, second


def _verdict(made: Comparison) -> str:
    medians = " and ".join(map(duration, made.medians))
    size = f"medians {medians}, ratio {made.ratio:.3g}, 95 % interval {_range(made.interval)}"
    state = ' class="differ"' if made.differ else ""
    return f"<li{state}>{_text(made.verdict)} <small>{_text(size)}</small></li>"


def _requests(points: Sequence[LoadPoint], slo: SLO | None) -> Iterator[str]:
    names = {
        "asked": "asked",
        "ramp": "left out",
        "n": "n",
        "errors": "errors",
        "throughput": "answers a second",
        "tokens_per_s": "tokens a second",
        "in_flight": "in flight",
        "slo_n": "n judged",
        "slo_share": "promise kept",
        "goodput": "goodput a second",
    }
    rows = [table_row(point, slo) for point in points]
    shown = [name for name in names if any(row.get(name) is not None for row in rows)]
    cells = [[_number(name, row.get(name)) for name in shown] for row in rows]
    caption = "Requests" + (f"; the promise is {slo}" if slo else "")
    yield _of_points(caption, [names[name] for name in shown], points, cells)


def _number(name: str, value: float | None) -> str:
    if value is None:
        return _NOTHING
    if name == "slo_share":
        return f"{value:.0%}"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.3g}"
        if value < 100
        else f"{value:,.0f}"
    )


def _latency(points: Sequence[LoadPoint]) -> Iterator[str]:
    thinks = any(row.trace and row.trace.thoughts for point in points for row in point.rows)
    for metric, name in METRICS.items():
        spreads = [point.spread(metric) for point in points]
        if (metric == "ttfo" and not thinks) or not any(spread.n for spread in spreads):
            continue
        cells = [
            [
                f"{spread.n:,}",
                *(_seconds(spread.p50), _range(spread.interval, duration)),
                *(_seconds(spread.p90), _seconds(spread.p99)),
            ]
            for spread in spreads
        ]
        caption = f"{name.capitalize()}, of {_POPULATION.get(metric, 'n complete answers')}"
        yield _of_points(caption, ["n", "p50", "its 95 % interval", "p90", "p99"], points, cells)


def _seconds(value: float | None) -> str:
    return _NOTHING if value is None else duration(value)


def _range(interval: Interval | None, told: Callable[[float], str] = "{:.3g}".format) -> str:
    return _NOTHING if interval is None else f"{told(interval.low)} – {told(interval.high)}"


def _figures(points: Sequence[LoadPoint], slo: SLO | None) -> Iterator[str]:
    for kind in dict.fromkeys(point.kind for point in points):
        drawn = [point for point in points if point.kind == kind]
        several = len({point.load for point in drawn}) > 1
        groups = {f"{one.label}, {one.load:g}" if several else one.label: one.rows for one in drawn}
        draws: list[Callable[..., Axes]] = []
        if slo is not None:
            draws.append(partial(plots.slo, drawn, slo))
        for metric in ("ttft", "end_to_end"):
            draw = partial(plots.knee, drawn) if several else partial(plots.ecdf, groups)
            draws.append(partial(draw, metric=metric))
        for draw in draws:
            yield _picture(draw, 4.6)
        yield _picture(partial(plots.breakdown, groups), 2.0 + 0.8 * len(groups))


def _picture(draw: Callable[..., Axes], height: float) -> str:
    """A figure with its title as HTML, where it can wrap; nothing if there is no data for it."""
    with style_context("default"), rc_context({"svg.hashsalt": "nbkit"}):
        figure = Figure(figsize=(6.8, height), layout="constrained")
        try:
            ax = draw(ax=figure.subplots())
        except NotMeasured:
            return ""
        title, alt, file = ax.get_title(), alt_text(figure), BytesIO()
        ax.set_title("")
        figure.savefig(file, format="svg", metadata={"Date": None})
    image = f"data:image/svg+xml;base64,{b64encode(file.getvalue()).decode()}"
    caption = f"<figcaption>{_text(title)}</figcaption>"
    return f'<figure>{caption}<img alt="{_text(alt)}" src="{image}"></figure>'


def _notes(runs: Sequence[Any]) -> Iterator[str]:
    for number, run in enumerate(runs, 1):
        if run.notes:
            yield (f"<h3>Run {number}</h3>" if len(runs) > 1 else "") + _list("ul", run.notes)


def _circumstances(runs: Sequence[Any]) -> Iterator[str]:
    """Versions, machine and settings; a column per run, and a mark where they differ."""
    told = [
        dict(_flat({**run.environment, **run.parameters}))
        | {"models that answered": sorted({str(one.trace.model) for one in run.results})}
        for run in runs
    ]
    rows = []
    for name in dict.fromkeys(name for each in told for name in each):
        values = [_words(each.get(name)) for each in told]
        differ = len(set(values)) > 1
        head = f"{name} (differs)" if differ else name
        rows.append(_row(head, values, ' class="differ"' if differ else ""))
    columns = (
        [f"run {number}" for number in range(1, len(runs) + 1)] if len(runs) > 1 else ["value"]
    )
    yield _table("Circumstances", ["", *columns], rows, "words")


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if name in ("versions", "machine", "against") and isinstance(value, Mapping):
            yield from (
                (f"asked: {key}" if name == "against" else str(key), each)
                for key, each in value.items()
            )
        else:
            yield name, value


def _words(value: Any) -> str:
    """A setting as text; settings within it are listed."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_words(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return _NOTHING if value is None else str(value)


def _questions(runs: Sequence[Any]) -> Iterator[str]:
    for number, run in enumerate(runs, 1):
        if run.questions:
            head = f"<h3>Run {number}</h3>" if len(runs) > 1 else ""
            yield head + _list("ol", run.questions)


def _of_points(
    caption: str,
    columns: Sequence[str],
    points: Sequence[LoadPoint],
    cells: Sequence[Sequence[str]],
) -> str:
    """A table with a row for each label and load."""
    units = {UNITS[point.kind] for point in points}
    rows = [
        _row(point.label, [f"{point.load:g}", *each])
        for point, each in zip(points, cells, strict=True)
    ]
    return _table(caption, ["", " or ".join(sorted(units)), *columns], rows)


def _row(head: str, cells: Iterable[str], look: str = "") -> str:
    told = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
    return f'<tr{look}><th scope="row">{_text(head)}</th>{told}</tr>'


def _table(caption: str, columns: Sequence[str], rows: Sequence[str], look: str = "") -> str:
    """A table that scrolls where it is too wide, by keyboard too."""
    corner, *named = columns
    heads = "".join(f'<th scope="col">{_text(column)}</th>' for column in named)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{_text(caption)}">'
        f'<table class="{look}"><caption>{_text(caption)}</caption>'
        f"<thead><tr><td>{_text(corner)}</td>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _section(title: str, parts: Iterable[str]) -> str:
    content = "\n".join(parts)
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>" if content.strip() else ""


def _list(kind: str, items: Iterable[str]) -> str:
    return f"<{kind}>{''.join(f'<li>{_text(item)}</li>' for item in items)}</{kind}>"


def _text_block(words: str) -> str:
    return f"<p>{_text(words)}</p>"


def _text(anything: object) -> str:
    """Untrusted text as HTML: escaped, in whole characters, without API keys."""
    return escape(without_keys(whole_characters(str(anything))))
