"""Agents and thinking in the timeline."""

from matplotlib.collections import PolyCollection

import nbkit
from nbkit.streaming.answer import Answer
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.trace import Trace


def _answer(*times: tuple[float, float | None], thoughts: tuple[float, ...] = ()) -> Answer:
    """An agent's answer from 0 to 5 s, with calls of tools at these times."""
    trace = Trace(10.0, [14.0, 15.0], [3, 3], requested=10.1, end=15.0)
    trace.thoughts = [10.0 + moment for moment in thoughts]
    steps = [
        ToolStep(f"tool{n}", {}, "Agent", 10.0 + begin, None if end is None else 10.0 + end)
        for n, (begin, end) in enumerate(times)
    ]
    return Answer("onetwo", trace=trace, steps=steps)


def _boxes(answer: Answer, label: str) -> list[list[float]]:
    """Left, right, top and bottom of the bars with this label."""
    ax = nbkit.plots.timeline(answer)
    found = [one for one in ax.collections if isinstance(one, PolyCollection)]
    bars = [path for one in found if one.get_label() == label for path in one.get_paths()]
    extents = [path.get_extents() for path in bars]
    return [[round(float(x), 3) for x in (e.x0, e.x1, e.y0, e.y1)] for e in extents]


def test_tools_at_the_same_time_are_side_by_side() -> None:
    """Calls that overlap have lanes apart; calls one after the other share a lane."""
    first, second, third = _boxes(_answer((1, 2), (1.2, 2.5), (2.6, 3)), "using a tool")
    assert first[:2] == [1.0, 2.0]
    assert second[2] >= first[3]
    assert third[2:] == first[2:]


def test_a_tool_that_never_returned_goes_to_the_end() -> None:
    """A step of a stopped run has no end of its own."""
    [box] = _boxes(_answer((1, None)), "using a tool")
    assert box[:2] == [1.0, 5.0]


def test_thinking_is_a_phase_of_its_own() -> None:
    """From the first thought to the first word of the answer; without thoughts there is none."""
    assert _boxes(_answer(thoughts=(1.0, 2.0)), "thinking") == [[1.0, 4.0, -0.31, 0.31]]
    [waiting] = _boxes(_answer(thoughts=(1.0,)), "waiting for the first token, queue included")
    assert waiting[:2] == [0.1, 1.0]
    assert _boxes(_answer(), "thinking") == []
