import heapq
from typing import Any

import matplotlib as mpl
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

import nbkit
from nbkit import SLO, Experiment, NbkitError, summary
from nbkit.experiment import Measurement
from nbkit.experiment.measurements import ExperimentError
from nbkit.metrics.requests import NotMeasured
from nbkit.streaming.trace import Trace
from tests.experiments import experiment, measurement, several


def test_the_table_has_a_row_per_label_and_load() -> None:
    """Rows are in the order of labels and loads, figures of complete answers, times in seconds."""
    table = experiment([*several("b", 2, load=4), *several("b", 2), *several("a", 1)]).table()
    assert list(table.index) == [("b", 1), ("b", 4), ("a", 1)]
    assert table.index.names == ["label", "concurrency"]
    row = table.loc[("b", 1)]
    assert row["ttft_p50"] == pytest.approx(0.325)
    assert row["tpot_p50"] == pytest.approx(0.1)
    assert row["end_to_end_p50"] == pytest.approx(0.725)
    assert row["throughput"] == pytest.approx(2 / 10.75)
    assert row["tokens_per_s"] == pytest.approx(10 / 10.75)
    assert row["in_flight"] == pytest.approx(1.45 / 10.75)
    assert not {"ttft_p90", "ttft_p99"} & set(table.columns)


def test_what_n_cannot_bear_is_missing_in_its_row() -> None:
    """A column stands where one row bears it; the others say <NA>, never a figure of too few."""
    table = experiment([*several("a", 12), *several("b", 2)]).table()
    assert table.loc[("a", 1), "ttft_p90"] == pytest.approx(0.795)
    assert str(table.loc[("b", 1), "ttft_p90"]) == "<NA>"


def test_time_between_repetitions_is_not_measured() -> None:
    """Throughput counts the time of each repetition, not what others did in between."""
    twice = [measurement(start=0.0), measurement(start=100.0, repetition=1)]
    assert experiment(twice).table()["throughput"].iloc[0] == pytest.approx(2 / 1.8)


def test_failures_are_in_the_table_and_in_no_percentile() -> None:
    """A failed request counts as asked, as an error, and against the objective."""
    bad = measurement(ttft=99, state="failed", error="StreamBroken: gone", start=0.0)
    row = experiment([measurement(start=0.0), bad]).table(SLO(ttft=1)).iloc[0]
    assert (row["asked"], row["n"], row["errors"]) == (2, 1, 1)
    assert row["ttft_p50"] == pytest.approx(0.5)
    assert row["slo_share"] == 0.5
    assert row["goodput"] == pytest.approx(1 / 99.4)


def test_what_was_slept_through_keeps_no_promise_and_breaks_none() -> None:
    """Where the clock stood still all the time, goodput is missing, and so are latencies."""
    asleep = several("b", 3)
    for one in asleep:
        one.trace.clock_jump = 60.0
    table = experiment([*several("a", 3), *asleep]).table(SLO(ttft=1))
    assert str(table.loc[("b", 1), "goodput"]) == str(table.loc[("b", 1), "ttft_p50"]) == "<NA>"
    assert table.loc[("a", 1), "slo_share"] == 1


def test_a_table_of_failures_has_no_figures() -> None:
    """Where everything failed the table says how often, and the notes say why."""
    bad = [measurement(state="failed", error="StreamBroken: gone") for _ in range(3)]
    made = experiment(bad)
    assert made.table().iloc[0][["asked", "n", "errors"]].tolist() == [3, 0, 3]
    assert "ttft_p50" not in made.table().columns
    assert made.notes == ["3 of 3 requests failed: StreamBroken: gone"]
    assert "3 failed" in repr(made)
    assert "<table" in made._repr_html_()


def test_an_experiment_stopped_at_once_has_an_empty_table() -> None:
    """Nothing measured is no error, and no figure."""
    assert len(experiment([], planned=5).table()) == 0


def test_mixed_labels_and_loads_are_told() -> None:
    """One summary of what was measured under several conditions says so."""
    made = experiment([*several("a"), *several("a", load=4), *several("b")])
    assert summary(made.requests_of("a", at=1)).notes == [
        "n = 12 is too few for a p99 (100 are needed)."
    ]
    assert summary(made.results).notes[-1] == (
        "Several labels or loads are mixed here: a at 1, a at 4, b at 1."
    )
    with pytest.raises(NotMeasured, match=r'pass `experiment.requests_of\("label", at=4\)`'):
        summary(made)


def test_notes_tell_what_figures_hide() -> None:
    """Lateness of this machine, sleep, and answers in one lump are told in words."""
    asleep, lump = measurement("b"), measurement("c")
    asleep.trace.clock_jump = 60.0
    lump.trace = Trace(0.0, arrivals=[2.0], sizes=[400], end=2.0)
    notes = experiment([measurement(late=0.3), asleep, lump]).notes
    assert [note.split(":")[0] for note in notes] == [
        "1 answer left out",
        "Requests were made up to 0.30 s later than planned, which is in their latency",
        "c",
    ]


def test_a_figure_of_fewer_answers_says_so() -> None:
    """Where some answers have no TPOT, the notes say how many have one."""
    made = experiment(several("a"))
    made.results[0].trace.tokens = None
    assert made.notes == ["TPOT is of 11 of 12 answers: the others have none."]


def test_a_difference_is_told_with_its_size() -> None:
    """Where the interval of the ratio leaves out 1, the verdict says faster or slower, by what."""
    made = experiment([*several("a", slower=2), *several("b")])
    found = made.compare("a", "b")
    assert found.ratio == pytest.approx(2)
    assert found.differ
    assert found.verdict == "time to first token: a is slower than b, 2.0 × (n = 12 pairs)"
    assert (
        made.compare("b", "a").verdict
        == "time to first token: b is faster than a, 2.0 × (n = 12 pairs)"
    )


@pytest.mark.parametrize(
    ("slower", "size"),
    [
        (1.03, "slower than b, but by less than 4 % (1.03 ×, n = 12 pairs)"),
        (1.004, "slower than b, but by less than 1 % (1.004 ×, n = 12 pairs)"),
        (1 / 1.0004, "faster than b, but by less than 1 % (1.0004 ×, n = 12 pairs)"),
        (1.06, "slower than b, 1.06 × (n = 12 pairs)"),
    ],
)
def test_a_small_difference_is_called_small(slower: float, size: str) -> None:
    """A difference nobody feels is told as one, by figures that leave 1 out."""
    found = experiment([*several("a", slower=slower), *several("b")]).compare("a", "b")
    assert found.verdict == f"time to first token: a is {size}"
    assert repr(found) == found.verdict


def test_pairs_are_compared_question_by_question() -> None:
    """Where both were asked the same, the ratio is that of a question, not of two medians."""
    quick, slow = several("a", 6), several("b", 6)
    quick[2].trace.arrivals = [moment + 0.2 for moment in quick[2].trace.arrivals]
    found = experiment([*quick, *slow]).compare("a", "b")
    assert found.ratio == pytest.approx(1)
    assert found.medians[0] > found.medians[1]


def test_a_failed_request_leaves_the_other_pairs() -> None:
    """Pairs are the questions that both answered: one failure costs one pair, not all of them."""
    failed = measurement("b", question=3, state="failed", error="StreamBroken: gone")
    slow = several("a", 20, slower=1.03)
    quick = [one if one.question != 3 else failed for one in several("b", 20)]
    found = experiment([*slow, *quick]).compare("a", "b")
    assert found.differ
    assert found.pairs == 19
    assert found.verdict.endswith("(1.03 ×, n = 19 pairs)")


@pytest.mark.parametrize("questions", [2, 3, 4])
def test_few_questions_asked_often_give_no_interval(questions: int) -> None:
    """Asked again and again, fewer than five questions tell nothing about others."""
    often = [
        measurement(label, question=place % questions, ttft=0.3 + place / 100, start=10.0 * place)
        for label in "ab"
        for place in range(50 * questions)
    ]
    made = experiment(often)
    found = made.compare("a", "b")
    assert (found.interval, found.differ) == (None, False)
    reason = f"{questions} different questions are too few for an interval (5 are needed)"
    assert reason in found.verdict
    spread = made.points[0].spread("ttft")
    assert spread.interval is None
    assert reason in (spread.lacks or "")
    assert any(reason in note for note in made.notes)
    assert any(reason in note for note in summary(made.requests_of("a")).notes)


def _closed_loop(load: int, slots: int, took: float, n: int) -> list[Measurement]:
    """Ask as a closed loop does, of a server of so many slots whose answers all take as long."""
    free, clients, found = [0.0] * slots, [0.0] * load, []
    for number in range(n):
        asked, idle = heapq.heappop(clients), heapq.heappop(free)
        begin = max(asked, idle)
        trace = Trace(asked, [begin + took / 2, begin + took], [9, 9], tokens=9, end=begin + took)
        found.append(Measurement("a", load, 0, number % 8, trace, ramp=load > 1 and number < load))
        heapq.heappush(free, begin + took)
        heapq.heappush(clients, begin + took)
    return found


@pytest.mark.parametrize("n", [32, 160])
def test_figures_are_those_of_a_busy_server(n: int) -> None:
    """The first requests met an idle server: they raise neither goodput nor throughput."""
    made = experiment(_closed_loop(16, 4, 1.0, n))
    (point,) = made.points
    kept = point.goodput(SLO(ttft=1.0))
    assert (kept.met, kept.n) == (0, n - 16)
    assert kept.rate == 0
    assert point.spread("ttft").p50 == pytest.approx(3.5)
    assert point.throughput == pytest.approx(4, rel=0.2 if n == 32 else 0.02)
    assert point.in_flight == pytest.approx(16)
    assert nbkit.goodput(made.requests_of(at=16), SLO(ttft=1.0)).n == kept.n
    assert made.table(SLO(ttft=1.0)).iloc[0]["slo_n"] == kept.n
    drawn = made.plot(metric="ttft")
    assert f"n = {point.n}" in drawn.get_legend().get_texts()[0].get_text()
    plt.close(drawn.figure)


@pytest.mark.parametrize(("load", "slots"), [(4, 4), (4, 2), (16, 4)])
def test_throughput_is_that_of_the_busy_server(load: int, slots: int) -> None:
    """Requests that begin together end together: their burst is no part of the rate."""
    (point,) = experiment(_closed_loop(load, slots, 0.5, 10 * load)).points
    assert point.throughput == pytest.approx(2 * slots, rel=0.02)
    assert point.token_throughput == pytest.approx(9 * point.throughput)


def test_noise_is_not_a_difference() -> None:
    """Where the interval holds 1, the verdict says what n cannot show."""
    shifted = several("b")
    for one in shifted[::2]:
        one.trace.arrivals = [moment + 0.2 for moment in one.trace.arrivals]
    found = experiment([*several("a"), *shifted]).compare("a", "b")
    assert not found.differ
    assert "no difference between a and b that n = 12 pairs can show (ratio 0." in found.verdict


def test_few_measurements_give_no_verdict() -> None:
    """Below five measurements the ratio is told nobody as a difference."""
    found = experiment([*several("a", 4, slower=9), *several("b")]).compare("a", "b")
    assert (found.interval, found.differ) == (None, False)
    assert found.verdict == (
        "time to first token: a cannot be told from b, n = 4 and 12: "
        "4 measured is too few for an interval (5 are needed)"
    )


def test_loads_are_compared_by_name() -> None:
    """Of several loads one is named, or a pair, to compare one label with itself."""
    made = experiment([*several("a"), *several("a", load=4, slower=3), *several("b", load=4)])
    assert made.compare("a", "b", at=4).ratio == pytest.approx(3)
    found = made.compare("a", "a", at=(4, 1))
    assert "a at 4 is slower than a at 1, 3.0 ×" in found.verdict
    with pytest.raises(ExperimentError, match="Concurrency was 1, 4 — choose one with at="):
        made.compare("a", "b")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda made: made.compare("a", "z"), "no 'z' here — choose one of"),
        (lambda made: made.compare("a", "b", "speed"), "no metric 'speed' — choose one of"),
        (lambda made: made.requests_of("a", at=7), "Nothing was measured at concurrency 7"),
        (lambda made: made.compare("a", "c"), "c has no time to first token to compare"),
    ],
)
def test_what_was_not_measured_cannot_be_asked_for(call: Any, message: str) -> None:
    """Unknown labels, loads and metrics, and sides without figures, are one clear error."""
    bad = measurement("c", state="failed", error="x")
    with pytest.raises(NbkitError, match=message):
        call(experiment([*several("a"), *several("b"), bad]))


@pytest.mark.parametrize(
    ("results", "options", "title"),
    [
        (several("a"), {}, "What is the waiting made of"),
        (several("a"), {"metric": "ttft"}, "How many had their first token by when"),
        ([*several("a"), *several("b")], {}, "How many had their first token by when"),
        ([*several("a"), *several("a", load=4)], {}, "Where does more load stop paying"),
        (several("a"), {"slo": SLO(ttft=1)}, "How much load keeps the promise"),
    ],
    ids=["one of each", "a metric", "labels", "loads", "objective"],
)
def test_the_figure_fits_what_was_measured(
    results: list[Measurement], options: dict[str, Any], title: str
) -> None:
    """Loads, labels, an objective or none of them: each asks its own question."""
    ax = experiment(results).plot(**options)
    assert ax.get_title().startswith(title)
    plt.close(ax.figure)


def test_before_anything_was_measured_there_is_no_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    """`latest` says what to do where nothing was measured."""
    monkeypatch.setattr(Experiment, "_latest", None)
    with pytest.raises(ExperimentError, match="Nothing was measured yet"):
        Experiment.latest()
