"""The verdicts of a report: labels compared within a run, and across runs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

from nbkit.batch.records import without_keys
from nbkit.experiment.report_html import paragraph, safe
from nbkit.experiment.verdicts import Comparison, compared
from nbkit.language import say
from nbkit.metrics.load_point import UNITS, LoadPoint
from nbkit.metrics.requests import NotMeasured
from nbkit.plots.style import duration

_COMPARED = ("ttft", "tpot", "end_to_end")
_BY_CHANCE = 20
"""With 95 % intervals, one in so many comparisons shows a difference where there is none."""


class Side(NamedTuple):
    """One label at one load of one run: what verdicts compare."""

    run: int
    label: str
    point: LoadPoint
    """Its label also names the run, if there are several."""


def sides_of(runs: Sequence[Any]) -> Iterator[Side]:
    """All labels and loads of all runs."""
    lists = [run.questions for run in runs]
    for number, run in enumerate(runs):
        # Two runs are compared question by question only if it is known that both lists are equal.
        own = number if run.questions is None else lists.index(run.questions)
        for point in run.points:
            rows = [replace(row, question=(own, row.question)) for row in point.rows]
            label = without_keys(point.label)
            several = say("{label} (run {number})", label=label, number=number + 1)
            name = several if len(runs) > 1 else label
            yield Side(number, label, replace(point, label=name, rows=rows))


def verdicts(sides: Sequence[Side]) -> Iterator[str]:
    """The comparisons by load, as HTML."""
    found: dict[str, list[str]] = {}
    told = 0
    for first, second in _pairs(sides):
        unit = say(UNITS[first.point.kind]).capitalize()
        lines = found.setdefault(say("{unit}: {load:g}", unit=unit, load=first.point.load), [])
        for metric in _COMPARED:
            try:
                # The later one is judged by the earlier one.
                names = (second.point.label, first.point.label)
                made = compared(names, (second.point.rows, first.point.rows), metric)
            except NotMeasured as missing:
                lines.append(f"<li>{safe(missing.happened)}</li>")
                continue
            told += 1
            lines.append(_verdict(made))
    for load, lines in found.items():
        yield f'<h3>{load}</h3><ul class="verdicts">{"".join(dict.fromkeys(lines))}</ul>'
    if told >= _BY_CHANCE:
        yield paragraph(
            say(
                "Of {told} comparisons without any true difference, about {expected} would still "
                "show one by chance.",
                told=told,
                expected=told // _BY_CHANCE,
            )
        )
    if not found:
        yield paragraph(
            say("Nothing to compare: it takes two labels or two runs at the same load.")
        )


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
    first, second = map(duration, made.medians)
    size = say(
        "median {first}, other median {second}; ratio {ratio:.2f}",
        first=first,
        second=second,
        ratio=made.ratio,
    )
    if made.interval is not None:
        size += say(
            ", 95 % interval {low:.2f}–{high:.2f}", low=made.interval.low, high=made.interval.high
        )
    state = ' class="differ"' if made.differ else ""
    return f"<li{state}>{safe(made.verdict)} <small>{safe(size)}</small></li>"
