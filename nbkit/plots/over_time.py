"""Figures over time: the phases of requests, the arrival of text, and the concurrency."""

from collections import Counter, defaultdict
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patheffects import withStroke

from nbkit.language import say, to_say
from nbkit.metrics.requests import NotMeasured, Row, read_rows
from nbkit.plots import style
from nbkit.plots.alt_text import tell
from nbkit.plots.tool_bars import draw_tools
from nbkit.plots.worker_strips import draw_workers
from nbkit.streaming.trace import Trace
from nbkit.wording import count

_LABELLED_ROWS = 24
_NAMED_CURVES = 7
_PHASES: dict[str, dict[str, Any]] = {
    to_say("failed attempts and pauses"): {
        "facecolor": "white",
        "hatch": "xxxx",
        "edgecolor": style.GREY,
    },
    to_say("before the model was asked"): style.BEFORE_MODEL,
    to_say("waiting for the first token, queue included"): {"facecolor": style.ORANGE},
    to_say("thinking"): {"facecolor": style.PURPLE},
    to_say("streaming"): {"facecolor": style.BLUE},
}
_BLOCKED: dict[str, Any] = {
    "facecolor": (style.VERMILION, 0.3),
    "edgecolor": (style.VERMILION, 0.9),
}


def timeline(answers: Any, *, blocks: Any = None, ax: Axes | None = None) -> Axes:
    """Draw a row per request, from its start to its last chunk.

    `answers` is an Answer, a batch outcome or a Trace, a list of them, or a dict of them by label.
    Each row shows the known phases: failed attempts and their pauses, before the model was asked,
    waiting for the first token (a queue at the server looks the same from here), thinking,
    streaming. The tools of an agent are bars within its row; a strip at its left has the colour of
    the worker of a cluster. Signs mark requests that were stopped, failed, truncated or retried.
    `blocks` is a result of `nbkit.watch_loop()`, shaded across all rows.

    Raises `PlotError` for anything else, and if none of the requests was timed in this process.
    Taught in notebook 04.
    """
    rows = read_rows(answers)
    zero = min(_begin(row) for row in rows if row.trace)
    few = len(rows) <= _LABELLED_ROWS
    right = max(row.end for row in rows if row.trace) - zero
    bands = _bands(blocks, zero, right)
    tried = [
        say(" ({attempts} attempts)", attempts=row.attempts) if row.attempts > 1 else ""
        for row in rows
    ]
    labels = [style.one_line(row.label) + times for row, times in zip(rows, tried, strict=True)]
    with style.styled_axes(
        ax,
        say("Where does the time go?"),
        say("seconds since the first request"),
        "" if few else count(len(rows), "request"),
        grid="x",
        height=min(7.0, 2.8 + 0.4 * len(rows)) if few else 6.5,
        texts=labels,
    ) as ax:
        _draw_phases(ax, rows, zero, thickness=0.62 if few else 1.0)
        draw_tools(ax, rows, zero, thickness=0.62 if few else 1.0)
        _draw_signs(ax, rows, zero, size=130 if few else 55)
        for place, (begin, end) in enumerate(bands):
            label = None if place else say("event loop blocked")
            ax.axvspan(begin, end, hatch="\\\\", linewidth=0, zorder=3, label=label, **_BLOCKED)
        style.name_rows(ax, labels)
        if few:
            _say_what_is_missing(ax, rows, zero)
        else:
            ax.set_yticks([])
        workers = draw_workers(ax, rows, right)
        for finding in _findings(rows, labels, right) + workers:
            tell(ax, finding)
        if bands:
            blocked = style.duration(sum(end - begin for begin, end in bands))
            tell(
                ax,
                say(
                    "event loop blocked {times}, {blocked} in all",
                    times=count(len(bands), "time"),
                    blocked=blocked,
                ),
            )
        ax.set_xlim((-0.035 if workers else -0.025) * right, 1.03 * right or 1)
    return ax


def tokens_over_time(answers: Any, *, ax: Axes | None = None) -> Axes:
    """Draw how much text had arrived at each time, as one step curve per answer.

    `answers` is an Answer or a Trace, a list of them, or a dict of them by label. The x axis counts
    seconds since each answer's own start. A circle marks the first token, a square the last chunk.

    Raises `PlotError` for anything else, and if none of them was timed in this process.
    Taught in notebook 01.
    """
    rows = read_rows(answers)
    labels = [
        say("{label}: {words}", label=style.one_line(row.label), words=_reading_times(row.trace))
        for row in rows
    ]
    named = len(rows) <= _NAMED_CURVES
    title, xlabel = say("When could you start reading?"), say("seconds since the question")
    with style.styled_axes(ax, title, xlabel, say("characters received"), texts=labels) as ax:
        for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
            trace = row.trace or Trace(start=0.0)
            if named:
                look = {**style.series(place), "label": label}
            else:
                told = None if place else count(len(rows), "answer")
                look = {"color": style.BLUE, "linewidth": 1, "alpha": 0.5, "label": told}
            times = [0.0, *(arrival - trace.start for arrival in trace.arrivals)]
            ax.step(times, [0, *accumulate(trace.sizes)], where="post", **look)
            if named and trace.arrivals:
                marks = [(times[1], trace.sizes[0], "o"), (times[-1], sum(trace.sizes), "s")]
                for x, y, sign_of in marks:
                    ax.plot(x, y, sign_of, markersize=10, color=look["color"], markeredgecolor="w")
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
    return ax


def _begin(row: Row) -> float:
    return min((row.start, *row.attempt_starts))


def _phases(row: Row, trace: Trace) -> dict[str, tuple[float, float]]:
    """The start and end of each known phase of a request."""
    answered = trace.arrivals[0] if trace.arrivals else row.end
    first = min((answered, *trace.thoughts[:1]))
    # An existing answer had called its model before it was wrapped and its clock started.
    asked = min(max(trace.requested or trace.start, trace.start), first)
    spans = {
        "failed attempts and pauses": (_begin(row), trace.start),
        "before the model was asked": (trace.start, asked),
        "waiting for the first token, queue included": (asked, first),
        "thinking": (first, answered),
        "streaming": (answered, trace.arrivals[-1] if trace.arrivals else answered),
    }
    return {phase: (begin, end) for phase, (begin, end) in spans.items() if end > begin}


def _draw_phases(ax: Axes, rows: list[Row], zero: float, thickness: float) -> None:
    spans = [_phases(row, row.trace) if row.trace else {} for row in rows]
    for phase, look in _PHASES.items():
        corners = []
        for place, span in enumerate(spans):
            if phase in span:
                begin, end = (moment - zero for moment in span[phase])
                top, bottom = place - thickness / 2, place + thickness / 2
                corners.append([(begin, top), (begin, bottom), (end, bottom), (end, top)])
        if corners:
            # `barh` creates one object per bar: ten seconds for a thousand requests.
            ax.add_collection(
                PolyCollection(corners, label=say(phase), linewidth=0, zorder=2, **look)
            )


def _draw_signs(ax: Axes, rows: list[Row], zero: float, size: float) -> None:
    halo = [withStroke(linewidth=3, foreground=ax.get_facecolor())]
    look: dict[str, Any] = {"s": size, "linewidths": 0.8, "zorder": 4, "clip_on": False}
    ink = style.label_colour(ax)
    drawn = {**look, "s": 2 * size, "linewidths": 0, "color": ink, "path_effects": halo}
    signs: dict[str, dict[str, Any]] = {
        "stopped": {**look, "marker": "s", "color": "black", "edgecolors": "white"},
        "failed": {**look, "marker": "X", "color": style.VERMILION, "edgecolors": "black"},
        "truncated": {**drawn, "marker": style.sign("✂")},
    }
    ends = defaultdict(list)
    retries, stalls = [], []
    for place, row in enumerate(rows):
        if row.trace is None:
            continue
        if row.state in signs:
            end = row.end - zero
            ends[row.state].append((end, place))
            if row.trace.arrivals:
                stalls.append((place, row.trace.arrivals[-1] - zero, end))
        if row.attempts > 1:
            starts = row.attempt_starts[1:] or (row.trace.start,)
            retries += [(start - zero, place) for start in starts]
    if stalls:
        ax.hlines(*zip(*stalls, strict=True), color=ink, linewidth=1.5)
    for state, points in ends.items():
        ax.scatter(*zip(*points, strict=True), label=say(state), **signs[state])
    if retries:
        ax.scatter(
            *zip(*retries, strict=True), label=say("retried"), marker=style.sign("↻"), **drawn
        )


def _bands(blocks: Any, zero: float, right: float) -> list[tuple[float, float]]:
    """The times when the event loop was blocked, within the limits of the figure."""
    if blocks is None:
        return []
    try:
        spans = [(block.start - zero, block.end - zero) for block in blocks.blocks]
    except (AttributeError, TypeError):
        raise NotMeasured(
            say("Got {kind} as `blocks`", kind=type(blocks).__name__),
            say("pass what `nbkit.watch_loop()` returned: its `.blocks` have `.start` and `.end`."),
        ) from None
    shown = [(max(begin, 0), min(end, right)) for begin, end in spans]
    return [(begin, end) for begin, end in shown if end > begin]


def _say_what_is_missing(ax: Axes, rows: list[Row], zero: float) -> None:
    for place, row in enumerate(rows):
        if row.trace is not None and row.trace.arrivals:
            continue
        words = say("not timed") if row.trace is None else say("no text")
        where = 0 if row.trace is None else row.end - zero
        style.write(ax, words, (where, place), (12, 0))


def _findings(rows: list[Row], labels: list[str], right: float) -> list[str]:
    """What a timeline shows: each request, or of many when the first text and the end came."""
    if len(rows) <= _NAMED_CURVES:
        return [
            say(
                "{label}: {state}, {times}",
                label=label,
                state=say(row.state),
                times=_reading_times(row.trace),
            )
            for row, label in zip(rows, labels, strict=True)
        ]
    waits = [row.trace.ttft for row in rows if row.trace and row.trace.ttft is not None]
    told = [
        say(
            "{requests}, the last of them ended after {time}",
            requests=count(len(rows), "request"),
            time=style.duration(right),
        )
    ]
    if waits:
        told.append(
            say(
                "first text after {least} to {most}",
                least=style.duration(min(waits)),
                most=style.duration(max(waits)),
            )
        )
    bad = [
        f"{n} {say(state)}"
        for state, n in Counter(row.state for row in rows).items()
        if state != "done"
    ]
    return told + bad


def _reading_times(trace: Trace | None) -> str:
    if trace is None:
        return say("not timed")
    if trace.ttft is None or trace.end_to_end is None:
        return trace.caption
    first, last = trace.ttfo or trace.ttft, trace.end_to_end
    return say(
        "first text {first}, all {last}", first=style.duration(first), last=style.duration(last)
    )
