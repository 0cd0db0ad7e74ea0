"""A figure of one streamed answer, with the four latencies that are read off it."""

from typing import Any

from matplotlib.axes import Axes

from nbkit.language import say
from nbkit.metrics.requests import NotMeasured, read_rows
from nbkit.plots import style
from nbkit.plots.alt_text import tell


def anatomy(answer: Any, *, ax: Axes | None = None) -> Axes:
    """Draw TTFT, TPOT, the longest gap and end-to-end latency of one streamed answer.

    `answer` is an Answer or a Trace. Each line in the blue bar is a chunk that arrived; a gap is
    from one line to the next.

    Raises `PlotError` for anything else, and for an answer of fewer than two chunks.
    Taught in notebook 09.
    """
    rows = read_rows(answer)
    trace = rows[0].trace
    if len(rows) > 1 or trace is None or trace.chunks < 2:
        raise NotMeasured(
            say("This is not one answer of several chunks"), say("pass one that streamed.")
        )
    moments = [moment - trace.start for moment in trace.arrivals]
    first, last = moments[0], moments[-1]
    widest = max(range(len(trace.gaps)), key=trace.gaps.__getitem__)
    tpot = "" if trace.tpot is None or trace.tokens is None else f"TPOT × {trace.tokens - 1}"
    title = say(
        "The first token after {first}, all after {last}",
        first=style.duration(first),
        last=style.duration(last),
    )
    with style.styled_axes(
        ax, title, say("seconds since the question"), grid="x", height=3.6
    ) as ax:
        ax.barh(0, first, 0.6, color=style.ORANGE, label=say("waiting for the first token"))
        ax.barh(0, last - first, 0.6, left=first, color=style.BLUE, label=say("streaming"))
        ax.vlines(moments, -0.3, 0.3, color="white", linewidth=1)
        _span(ax, 0, first, -0.55, "TTFT")
        _span(ax, first, last, -0.55, tpot or say("writing"))
        _span(ax, 0, last, -1.0, say("end-to-end latency"))
        longest = say("the longest gap: {time}", time=style.duration(trace.gaps[widest]))
        _span(ax, moments[widest], moments[widest + 1], 0.45, longest, below=True)
        tell(ax, longest)
        ax.set(ylim=(1.1, -1.5), xlim=(0, 1.05 * last), yticks=[])
    return ax


def _span(
    ax: Axes, begin: float, end: float, height: float, words: str, *, below: bool = False
) -> None:
    """Draw a line with an end on either side, and what it measures above it, or below."""
    look: dict[str, Any] = {"color": style.label_colour(ax)}
    tip = height + (-0.07 if below else 0.07)
    ax.plot([begin, begin, end, end], [tip, height, height, tip], **look)
    ax.text(
        (begin + end) / 2,
        height + (0.12 if below else -0.08),
        words,
        ha="center",
        va="top" if below else "bottom",
        **look,
    )
