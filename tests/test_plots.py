import io
import math
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from nbkit import plots, stream, summary
from nbkit.plots import PlotError
from nbkit.streaming.answer import Answer
from nbkit.streaming.trace import Trace
from tests.simulated import simulated

WAITING = "waiting for the first token, queue included"


def trace(start: float = 100.0, first: float = 1.0, chunks: int = 5, gap: float = 0.1) -> Trace:
    """Make a trace whose model is called 0.4 s after the start."""
    made = Trace(start=start, requested=start + 0.4, end=start + first + chunks * gap)
    for number in range(chunks):
        made.add(start + first + number * gap, 4)
    return made


def answer(**fields: Any) -> Answer:
    return Answer("text", **{"trace": trace(), **fields})


def outcome(**fields: Any) -> SimpleNamespace:
    """Make what a batch returns for one question, as plots see it."""
    return SimpleNamespace(
        **{"trace": trace(), "value": answer(), "error": None, "attempts": 1, **fields}
    )


def spans(ax: Axes, phase: str) -> list[tuple[float, float]]:
    """Read the begin and end of each bar of a phase off the figure."""
    bars = next(bars for bars in ax.collections if bars.get_label() == phase)
    return [(box.x0, box.x1) for box in (path.get_extents() for path in bars.get_paths())]


def legend(ax: Axes) -> list[str]:
    drawn = ax.get_legend()
    return [text.get_text() for text in drawn.get_texts()] if drawn else []


def labels(ax: Axes) -> list[str]:
    return [tick.get_text() for tick in ax.get_yticklabels()]


def test_timeline_shows_each_phase_where_it_was() -> None:
    """Bars run from start to request, to first chunk, to last, counted from the first start."""
    ax = plots.timeline({"a": answer(), "b": answer(trace=trace(start=102.0))})
    for phase, (begin, end) in {
        "before the model was asked": (0, 0.4),
        WAITING: (0.4, 1.0),
        "streaming": (1.0, 1.4),
    }.items():
        expected = [pytest.approx((begin + later, end + later)) for later in (0, 2)]
        assert spans(ax, phase) == expected
    assert labels(ax) == ["a", "b"]


def test_timeline_leaves_out_phases_that_are_not_known() -> None:
    """Without the moment of the request, all before the first chunk is waiting; none is made up."""
    bare = trace()
    bare.requested = None
    ax = plots.timeline(bare)
    assert spans(ax, WAITING) == [pytest.approx((0, 1.0))]
    assert "before the model was asked" not in legend(ax)


def test_an_answer_wrapped_late_has_no_time_before_its_start() -> None:
    """A request that left before the clock started does not reach back behind it."""
    late = trace()
    late.requested = late.start - 5
    assert spans(plots.timeline(late), WAITING) == [pytest.approx((0, 1.0))]


def test_a_blocking_answer_only_waits() -> None:
    """One chunk is no stream: the row shows waiting until it came."""
    ax = plots.timeline(trace(chunks=1))
    assert "streaming" not in legend(ax)
    assert spans(ax, WAITING) == [pytest.approx((0.4, 1.0))]


def test_timeline_marks_how_each_request_ended() -> None:
    """Stopped, failed and truncated requests have a sign each, at the moment they ended."""
    broken = RuntimeError("broken")
    ends = {
        "done": answer(),
        "stopped": answer(stopped=True),
        "failed": answer(error=broken),
        "truncated": answer(truncated=True, error=broken),
        "only an error": outcome(value=None, error=broken),
        "an outcome": outcome(value=answer(truncated=True, error=broken)),
    }
    ax = plots.timeline(ends)
    signs = {points.get_label(): points.get_offsets().tolist() for points in ax.collections}
    rows = {state: [y for _, y in signs[state]] for state in ("stopped", "failed", "truncated")}
    assert rows == {"stopped": [1], "failed": [2, 4], "truncated": [3, 5]}
    assert signs["stopped"][0][0] == pytest.approx(1.5)
    assert "done" not in legend(ax)


def test_timeline_marks_retries() -> None:
    """A retried request says how often it was tried; its row has failed attempts and pauses."""
    again = outcome(attempts=3, attempt_starts=(97.0, 98.0, 100.0))
    ax = plots.timeline({"a": again, "b": outcome(attempts=2)})
    assert labels(ax) == ["a (3 attempts)", "b (2 attempts)"]
    assert spans(ax, "failed attempts and pauses") == [pytest.approx((0, 3.0))]
    retried = next(points for points in ax.collections if points.get_label() == "retried")
    assert retried.get_offsets().tolist() == [[1, 0], [3, 0], [3, 1]]


def test_timeline_says_what_is_missing() -> None:
    """A request without text, or without timing, keeps its row and says so."""
    silent = Trace(start=100.0, requested=100.2, end=103.0)
    ax = plots.timeline({"a": silent, "b": outcome(trace=None), "c": trace()})
    assert [text.get_text() for text in ax.texts] == ["no text", "not timed"]
    assert spans(ax, WAITING)[0] == pytest.approx((0.2, 3.0))
    assert labels(ax) == ["a", "b", "c"]


def test_timeline_shades_what_blocked_the_loop() -> None:
    """Blocks of the event loop are bands across all rows, cut to what the figure shows."""
    moments = [(90.0, 95.0), (100.2, 100.5), (101.3, 150.0)]
    blocks = [SimpleNamespace(start=begin, end=end, where="a") for begin, end in moments]
    ax = plots.timeline(trace(), blocks=SimpleNamespace(blocks=blocks))
    bands = [band.get_extents().transformed(ax.transData.inverted()) for band in ax.patches[-2:]]
    assert [(band.x0, band.x1) for band in bands] == [
        pytest.approx((0.2, 0.5)),
        pytest.approx((1.3, 1.5)),
    ]
    assert legend(ax).count("event loop blocked") == 1


def test_timeline_of_many_requests() -> None:
    """Two hundred rows are drawn thin, without labels that nobody could read."""
    ax = plots.timeline([trace(start=100 + number) for number in range(200)])
    assert len(spans(ax, "streaming")) == 200
    assert labels(ax) == []
    assert ax.get_ylabel() == "200 requests"


def test_tokens_over_time_is_a_staircase() -> None:
    """Each curve counts from its own start and steps up by a chunk's characters on arrival."""
    ax = plots.tokens_over_time({"a": trace(start=5.0), "b": trace(chunks=1, first=1.4)})
    stream_line, blocking_line = (line for line in ax.lines if line.get_drawstyle() == "steps-post")
    assert stream_line.get_xdata() == pytest.approx([0, 1, 1.1, 1.2, 1.3, 1.4])
    assert list(stream_line.get_ydata()) == [0, 4, 8, 12, 16, 20]
    assert blocking_line.get_xdata() == pytest.approx([0, 1.4])
    assert legend(ax) == ["a: first text 1.00 s, all 1.40 s", "b: first text 1.40 s, all 1.40 s"]


def test_tokens_over_time_keeps_answers_without_text() -> None:
    """An answer that never came stands in the legend with how long it was waited for."""
    ax = plots.tokens_over_time({"a": trace(), "b": Trace(start=1.0, end=3.0)})
    assert legend(ax)[1] == "b: no text after 2.00 s"


async def test_real_answers_are_drawn() -> None:
    """What `await stream(...)` gives is drawn as it is, one row and one curve each."""
    llm = simulated(speed=0)
    found = {name: await stream(llm.astream_complete(name)) for name in ("a", "b")}
    assert len(spans(plots.timeline(found), WAITING)) == 2
    assert len(legend(plots.tokens_over_time(found))) == 2
    line = plots.tokens_over_time(found["a"]).lines[0]
    assert line.get_ydata()[-1] == len(found["a"].text)


def test_compare_writes_the_speed_up() -> None:
    """Speed-up = median of the first / median; the first itself has none."""
    ax = plots.compare({"slow": [9.0, 10.0, 12.0], "fast": 2.0})
    assert [text.get_text().split() for text in ax.texts] == [
        ["10.00", "s"],
        ["2.00", "s,", "5.0", "×", "as", "fast"],
    ]
    ax = plots.compare({"fast": 2.0, "slow": 10.0}, ideal=1.0)
    assert ax.texts[1].get_text() == "10.00 s, 0.2 × as fast"
    assert legend(ax) == ["ideal: 1.00 s"]
    assert plots.compare({"a": 1.0}, ideal=3.0).get_xlim()[1] > 3


def test_speedup_is_sequential_over_measured() -> None:
    """The same work at every number, or work that grew with it: both give sequential / median."""
    for sequential in (8.0, {1: 8.0, 4: 8.0}):
        ax = plots.speedup({4: [2.0, 4.0, 3.2], 1: np.float64(8.0)}, sequential=sequential)
        assert [text.get_text() for text in ax.texts] == ["1.0 ×", "2.5 × (62%)"]
    grown = plots.speedup({1: 1.0, 4: 2.0}, sequential={1: 1.0, 4: 4.0})
    assert [text.get_text() for text in grown.texts] == ["1.0 ×", "2.0 × (50%)"]


def test_the_ideal_ends_at_the_slots() -> None:
    """Asking n at once is n times as fast, until the model has no slot left."""
    ax = plots.speedup({1: 4.0, 2: 2.0, 8: 1.0}, sequential=4.0, slots=4)
    ideal = ax.lines[0]
    assert list(zip(*ideal.get_data(), strict=True)) == [(1, 1), (2, 2), (4, 4), (8, 4)]
    assert "4 slots" in legend(ax)[0]


def test_distributions_show_what_tables_count() -> None:
    """Failed answers, and those the machine slept through, are left out of both, and told."""
    failed = answer(trace=trace(first=9.0), error=RuntimeError())
    asleep = trace(first=50.0)
    asleep.clock_jump = 60.0
    everything = [trace(), trace(), failed, asleep]
    ax = plots.ecdf(everything)
    assert legend(ax) == [f"n = {summary(everything)['ttft'].n}, 2 left out"]
    assert max(ax.lines[0].get_xdata()) < 2
    assert f"({summary(everything)['gaps'].n} gaps" in legend(plots.gaps(everything))[0]


def test_ecdf_is_of_complete_answers() -> None:
    """Failed answers are in no curve, as they are in no table; the legend counts them."""
    failed = answer(trace=Trace(start=1.0, end=2.0), error=RuntimeError())
    ax = plots.ecdf({"a": [trace(), trace(first=2.0), answer(), failed]})
    line = ax.lines[0]
    assert line.get_xdata()[1:-1] == pytest.approx([1, 1, 2])
    assert list(line.get_ydata()) == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert legend(ax) == ["a: n = 3, 1 left out"]
    cut = answer(truncated=True, error=RuntimeError())
    assert legend(plots.ecdf([answer(), cut], metric="end_to_end")) == ["n = 1, 1 left out"]


def test_ecdf_takes_numbers() -> None:
    """Measured seconds are drawn as they are, numpy's too."""
    ax = plots.ecdf({"a": np.array([0.3, 0.1]), "b": [1, 2.0]})
    assert ax.lines[0].get_xdata()[1:-1] == pytest.approx([0.1, 0.3])
    assert legend(ax) == ["a: n = 2", "b: n = 2"]


def test_gaps_writes_p99_only_where_it_means_something() -> None:
    """Below 100 gaps there is no p99, in the legend or as a line."""
    ax = plots.gaps({"few": trace(chunks=100), "many": [trace(chunks=51), trace(chunks=51)]})
    few, many = legend(ax)
    assert few == "few: p50 100.0 ms (99 gaps, p99 needs 100)"
    assert many == "many: p50 100.0 ms, p99 100.0 ms (100 gaps)"
    assert [text.get_text() for text in ax.texts] == ["p50", "p50", "p99"]


def test_whole_answers_beside_streamed_ones_are_drawn() -> None:
    """A label whose answers came whole has no gaps and no TPOT; the others are drawn."""
    streamed, whole = trace(), trace(chunks=1)
    streamed.tokens = whole.tokens = 5
    groups = {"streamed": [streamed], "whole": [whole]}
    assert legend(plots.gaps(groups))[1] == "whole: no gaps"
    ax = plots.ecdf(groups, metric="tpot")
    assert legend(ax)[1] == "whole: n = 0"
    ax.figure.savefig(io.BytesIO())


def test_chunks_that_came_together_are_gaps_too() -> None:
    """A gap of zero has no logarithm, and is drawn all the same."""
    ax = plots.gaps(trace(gap=0.0))
    assert "4 gaps" in legend(ax)[0]
    ax.figure.savefig(io.BytesIO())


def test_the_path_of_a_batch_is_drawn_with_its_cuts() -> None:
    """The number runs over time from the start, each cut is marked, and the places are a line."""
    limits = [(100.0, 5), (101.0, 10), (103.0, 6), (104.0, 7)]
    steps = [SimpleNamespace(time=time, limit=limit) for time, limit in limits]
    ax = plots.concurrency(SimpleNamespace(steps=steps), places=6)
    assert list(ax.lines[0].get_xdata()) == [0, 1, 3, 4]
    assert list(ax.lines[0].get_ydata()) == [5, 10, 6, 7]
    assert ax.collections[0].get_offsets().tolist() == [[3, 10]]
    assert legend(ax) == ["allowed in flight", "cut", "places there are"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.concurrency(SimpleNamespace(steps=[])), 'ran with max_concurrency="auto"'),
        (lambda: plots.timeline([]), "no answers here — pass at least one"),
        (lambda: plots.timeline("answer"), "Got str where an answer was expected"),
        (lambda: plots.timeline({"a": [trace()]}), "Got list where an answer was expected"),
        (lambda: plots.timeline([None]), "Got NoneType where"),
        (lambda: plots.timeline(np.zeros((2, 2))), "Got ndarray where"),
        (lambda: plots.timeline(outcome(trace=None)), "None of these was timed"),
        (lambda: plots.timeline(trace(), blocks=[1]), "Got list as `blocks`"),
        (lambda: plots.tokens_over_time(3), "Got int where an answer was expected"),
        (lambda: plots.compare({}), "nothing to compare"),
        (lambda: plots.compare([1, 2]), "nothing to compare"),
        (lambda: plots.compare({"a": "1 s"}), "'a' has str where seconds were expected"),
        (lambda: plots.compare({"a": True}), "'a' has bool where"),
        (lambda: plots.compare({"a": []}), "'a' has no measurement"),
        (lambda: plots.compare({"a": [1, 0]}), "'a' took 0 s"),
        (lambda: plots.compare({"a": math.nan}), "'a' took nan s"),
        (lambda: plots.speedup({0: 1.0}, sequential=1), "pass whole numbers from 1"),
        (lambda: plots.speedup({"a": 1.0}, sequential=1), "pass whole numbers from 1"),
        (lambda: plots.speedup({2: 1.0}, sequential={1: 1}), "no duration for 2"),
        (lambda: plots.speedup({2: 1.0}, sequential=1, slots=0), "at least one slot"),
        (lambda: plots.ecdf([trace()], metric="speed"), "no metric 'speed'"),
        (lambda: plots.ecdf([Trace(start=1.0)]), "None of these has a ttft"),
        (lambda: plots.ecdf({"a": [math.inf]}), "'a' has a value that is not a duration"),
        (lambda: plots.gaps({}), "no answers to draw"),
        (lambda: plots.gaps(trace(chunks=1)), "no gaps — stream the answers"),
    ],
)
def test_bad_input_is_one_clear_error(draw: Any, message: str) -> None:
    """What cannot be drawn is said in a sentence, with the way out, before a figure is made."""
    with pytest.raises(PlotError, match=message):
        draw()
    assert plt.get_fignums() == []
