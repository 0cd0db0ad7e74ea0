import io
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from nbkit import SLO, plots
from nbkit.metrics.load_point import LoadPoint
from nbkit.metrics.requests import Row
from nbkit.plots import PlotError
from nbkit.plots.under_load import knee_of
from nbkit.streaming.trace import Trace


def rows(n: int = 20, took: float = 1.0, state: str = "done") -> list[Row]:
    """Make requests that waited 0.1 s, then for the first token, and streamed for half the time."""
    made = []
    for number in range(n):
        whole = took * (1 + number / 100)
        trace = Trace(0.0, [whole / 2, whole], [9, 9], requested=0.1, tokens=2, end=whole)
        made.append(Row(str(number), trace, state, 1, ()))
    return made


def point(load: float, answers: float, took: float, label: str = "a", **fields: Any) -> LoadPoint:
    """Make a point of so many answers a second."""
    measured = rows(took=took, **fields)
    assert measured[-1].trace is not None
    measured[-1].trace.end = len(measured) / answers
    return LoadPoint(label, "concurrency", load, measured)


SWEEP = [point(1, 1, 1), point(2, 2, 1), point(4, 4, 1), point(8, 4.2, 2), point(16, 4.2, 4)]


def legend(ax: Axes) -> list[str]:
    drawn = ax.get_legend()
    return [text.get_text() for text in drawn.get_texts()] if drawn else []


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_the_knee_is_where_power_is_greatest() -> None:
    """Throughput over latency is greatest where more load begins to bring only more waiting."""
    assert knee_of(SWEEP) is SWEEP[2]
    ax = plots.knee(SWEEP)
    assert legend(ax) == ["a: knee at 4 (n = 20)"]
    assert texts(ax) == ["1", "2", "4", "8", "16"]
    (ring,) = [line for line in ax.lines if line.get_markersize() > 20]
    assert ring.get_xdata()[0] == 4
    assert ring.get_ydata()[0] == pytest.approx(1.095)


def test_a_knee_that_was_not_reached_is_not_drawn() -> None:
    """If the last load has the most power nothing is ringed, and the legend says so."""
    ax = plots.knee(SWEEP[:3])
    assert legend(ax) == ["a: no knee up to 4 (n = 20)"]
    assert not [line for line in ax.lines if line.get_markersize() > 20]
    assert legend(plots.knee(SWEEP[:1])) == ["a: one load has no knee (n = 20)"]


def test_loads_that_failed_altogether_are_left_out_of_the_knee() -> None:
    """A load without one answer has no latency, and makes no NaN."""
    ax = plots.knee([*SWEEP, point(32, 1, 1, state="failed")])
    assert texts(ax) == ["1", "2", "4", "8", "16"]
    ax.figure.savefig(io.BytesIO())


def test_goodput_is_drawn_with_its_share() -> None:
    """Each point is the rate of requests within the objective, and is told their share."""
    ax = plots.slo(SWEEP, SLO(end_to_end=2.05))
    assert texts(ax) == ["100 %", "100 %", "100 %", "15 %", "0 %"]
    drawn = [tuple(container.lines[0].get_ydata()) for container in ax.containers]
    assert drawn == [pytest.approx((1, 2, 4, 0.15 * 4.2, 0))]
    assert "end-to-end ≤ 2.05 s" in ax.get_title()
    assert legend(ax) == ["all complete answers", "a: within the promise (n = 20)"]


def test_lateness_is_not_taken_for_retrieval() -> None:
    """What this machine was late with in an open loop is a part of its own, where it matters."""
    late = [replace(row, late=0.05) for row in rows(20)]
    plain, told = plots.breakdown(rows(20)), plots.breakdown(late)
    words = [text.get_text() for text in told.get_legend().get_texts()]
    assert "made late, by this machine" in words
    assert len(plain.get_legend().get_texts()) == len(words) - 1
    assert told.patches[0].get_width() == pytest.approx(0.05)
    ends = [
        max(bar.get_x() + bar.get_width() for bar in ax.patches if bar.get_y() < 0.5)
        for ax in (plain, told)
    ]
    assert ends[0] == pytest.approx(ends[1])


def test_figures_write_the_n_they_have() -> None:
    """The knee of TPOT is of the answers that have one; goodput is of all requests, failed too."""
    mixed = rows(20)
    for row in mixed[:8]:
        assert row.trace is not None
        row.trace.tokens = None
    mixed[-1] = replace(mixed[-1], state="failed")
    point = LoadPoint("a", "concurrency", 1, mixed)
    (knee,) = plots.knee([point], metric="tpot").get_legend().get_texts()
    assert f"n = {point.spread('tpot').n}" in knee.get_text()
    assert point.spread("tpot").n == 11
    words = [text.get_text() for text in plots.slo([point], SLO(ttft=9)).get_legend().get_texts()]
    assert "a: within the promise (n = 20)" in words


def test_goodput_over_few_questions_has_no_whisker() -> None:
    """Two questions asked again and again give a rate, but no interval to draw."""
    few = [replace(row, question=place % 2) for place, row in enumerate(rows(20))]
    ax = plots.slo([LoadPoint("a", "concurrency", 1, few)], SLO(end_to_end=9))
    (whisker,) = ax.containers[0].lines[2][0].get_segments()
    assert whisker[0][1] == whisker[1][1]


def test_requests_that_took_no_time_have_no_rate() -> None:
    """Requests refused at once, in no time at all, divide nothing by zero."""
    refused = Row("1", Trace(0.0, end=0.0), "failed", 1, ())
    instant = LoadPoint("a", "concurrency", 32, [refused])
    assert texts(plots.slo([*SWEEP, instant], SLO(end_to_end=9)))[-1] == "0 %"


def test_failures_keep_no_promise() -> None:
    """Where everything failed at a load, goodput there is zero."""
    ax = plots.slo([*SWEEP, point(32, 1, 1, state="failed")], SLO(end_to_end=9))
    assert texts(ax)[-1] == "0 %"


def test_parts_add_up_to_a_latency_that_was_met() -> None:
    """The bars of p50 and p95 are means of real requests, ranked by end-to-end latency."""
    ax = plots.breakdown(rows())
    bars = [patch.get_width() for patch in ax.patches]
    assert bars[:3] == pytest.approx([0.1, 1.095 / 2 - 0.1, 1.095 / 2])
    assert sum(bars[3:6]) == pytest.approx(1.185)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["p50 (n = 20)", "p95"]


def test_a_slow_request_needs_twenty() -> None:
    """Below 20 requests there is no p95 bar; of one request there is its own."""
    few = plots.breakdown({"few": rows(19), "one": rows(1)})
    assert [tick.get_text() for tick in few.get_yticklabels()] == [
        "few  p50 (n = 19)",
        "one  p50 (n = 1)",
    ]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.knee([]), "Got list where an experiment was expected"),
        (lambda: plots.knee(5), "Got int where an experiment was expected"),
        (lambda: plots.knee(rows()), "Got list where an experiment was expected"),
        (lambda: plots.knee([point(1, 1, 1, state="failed")]), "No request of this"),
        (lambda: plots.knee([SWEEP[0], replace(SWEEP[1], kind="rate")]), "others by rate"),
        (lambda: plots.knee(SWEEP, metric="speed"), "no metric 'speed' — choose one of"),
        (lambda: plots.slo(SWEEP, 0.5), "Got float as the objective"),  # type: ignore[arg-type]
        (lambda: plots.slo([point(1, 1, 1, state="failed")], SLO(ttft=1)), "No request"),
        (lambda: plots.breakdown([]), "no answers here"),
        (lambda: plots.breakdown(rows(state="failed")), "No complete answer"),
        (lambda: plots.breakdown({str(x): rows(1) for x in range(17)}), "17 bars are too many"),
    ],
)
def test_bad_input_is_one_clear_error(draw: Any, message: str) -> None:
    """What cannot be drawn is said in a sentence, with the way out, before a figure is made."""
    with pytest.raises(PlotError, match=message):
        draw()
    assert plt.get_fignums() == []


def test_a_metric_nobody_has_is_told() -> None:
    """Where the server counted no tokens there is no curve of TPOT, and no NaN."""
    uncounted = point(1, 1, 1)
    for row in uncounted.rows:
        assert row.trace is not None
        row.trace.tokens = None
    with pytest.raises(PlotError, match="Nothing here has a time per output token"):
        plots.knee([uncounted], metric="tpot")
    with pytest.raises(PlotError, match="TPOT is not known"):
        plots.slo([uncounted], SLO(tpot=1))


def test_a_speedup_says_its_share_of_the_ideal() -> None:
    """On a log scale 40 and 50 look alike: points and title state the share of what is possible."""
    ax = plots.speedup({1: 1.0, 50: 1.25}, sequential={1: 1.0, 50: 50.0})
    assert ax.texts[1].get_text() == "40.0 × (80%)"
    assert ax.get_title() == "50 at once: 40.0 × as fast, 80% of the ideal"
    narrow = plots.speedup({1: 4.0, 8: 1.25}, sequential=4.0, slots=4)
    assert narrow.get_title() == "8 at once: 3.2 × as fast, 80% of the ideal"
