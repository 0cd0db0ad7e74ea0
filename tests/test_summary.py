import heapq
import math
from typing import Any

import numpy as np
import pytest

from nbkit import SLO, goodput, summary
from nbkit.metrics import intervals
from nbkit.metrics.intervals import Sample, _students_t, median_interval, ratio_interval
from nbkit.metrics.percentiles import enough_for, percentile, values_of
from nbkit.metrics.requests import NotMeasured, Row, in_flight_together
from nbkit.streaming.answer import Answer
from tests.experiments import trace


def test_percentiles_are_numpys() -> None:
    """A percentile is interpolated as numpy does, from exactly the values given."""
    values = list(range(1, 101))
    assert percentile(values, 90) == pytest.approx(np.percentile(values, 90))
    assert percentile([3.0], 50) == 3.0


@pytest.mark.parametrize(("percent", "least"), [(50, 1), (90, 10), (95, 20), (99, 100)])
def test_a_percentile_needs_a_measurement_beyond_it(percent: float, least: int) -> None:
    """One measurement fewer, and the figure is refused, not guessed."""
    assert enough_for(percent) == least
    assert percentile([1.0] * least, percent) == 1.0
    assert percentile([1.0] * (least - 1), percent) is None


def test_no_interval_from_four_measurements() -> None:
    """Below five measurements there is no interval, be they of one group or of many."""
    assert median_interval(Sample([1, 2, 3, 4])) is None
    assert ratio_interval(Sample([1] * 4), Sample([1] * 9)) is None
    assert median_interval(Sample([1, 2, 3, 4, 5])) == (1, 5)


def test_the_interval_is_the_same_each_time() -> None:
    """Intervals are seeded: the same measurements give the same figures."""
    values = Sample(np.random.default_rng(1).lognormal(size=30))
    assert median_interval(values) == median_interval(values)


@pytest.mark.parametrize("n", [6, 10, 21])
def test_the_interval_holds_the_median_as_often_as_it_says(n: int) -> None:
    """Of 200 samples of known median, at least 93 % have it in their 95 % interval."""
    random = np.random.default_rng(n)
    samples = (Sample(random.lognormal(sigma=0.3, size=n)) for _ in range(200))
    assert sum(1.0 in (median_interval(one) or ()) for one in samples) >= 186


def test_those_that_wait_together_tell_less() -> None:
    """Where four wait for two slots, an interval that thinks them strangers fails too often."""
    random = np.random.default_rng(6)

    def waits(n: int) -> Any:
        took = random.lognormal(-1, 0.3, size=n)
        free, asked, found = [0.0, 0.0], [0.0] * 4, []
        for seconds in took:
            came, slot = heapq.heappop(asked), heapq.heappop(free)
            end = max(came, slot) + seconds
            found.append(end - came)
            heapq.heappush(free, end)
            heapq.heappush(asked, end)
        return np.array(found[4:])

    truth = float(np.median(waits(20_000)))
    runs = [waits(48) for _ in range(100)]
    blind = sum(truth in (median_interval(Sample(run)) or ()) for run in runs)
    aware = sum(truth in (median_interval(Sample(run, together=4)) or ()) for run in runs)
    assert blind < aware
    assert aware >= 90


def test_strangers_are_not_thought_to_depend() -> None:
    """Independent measurements in flight together have an interval hardly wider."""
    random = np.random.default_rng(9)
    found = [Sample(random.lognormal(size=60), together=4).dependence for _ in range(50)]
    assert 1 <= float(np.median(found)) < 1.3


def test_together_is_read_off_the_traces() -> None:
    """How many were in flight is counted from when requests began and ended."""
    alone = [Row("", trace(start=10.0 * number), "done", 1, ()) for number in range(6)]
    crowd = [Row("", trace(start=0.1 * number), "done", 1, ()) for number in range(60)]
    assert values_of(alone, "ttft").dependence == 1
    assert in_flight_together(alone) == 1
    assert in_flight_together(crowd) in (8, 9)


def test_equal_sides_are_rarely_told_apart() -> None:
    """Of 100 pairs drawn alike, at most 5 have an interval without 1."""
    random = np.random.default_rng(8)
    pairs = [[Sample(random.lognormal(sigma=0.3, size=12)) for _ in "ab"] for _ in range(100)]
    assert sum(1.0 not in (ratio_interval(*pair) or (1.0,)) for pair in pairs) <= 5


@pytest.mark.parametrize(("freedom", "t"), [(4, 2.776), (9, 2.262), (29, 2.045)])
def test_students_t_is_the_tables(freedom: int, t: float) -> None:
    """The expansion agrees with the printed tables of Student's t."""
    assert _students_t(freedom) == pytest.approx(t, rel=4e-3)


def test_asking_the_same_again_proves_nothing() -> None:
    """Ten times the same ten questions give no narrower interval than once."""
    values = list(np.random.default_rng(2).lognormal(size=10))
    once = median_interval(Sample(values, range(10)))
    assert median_interval(Sample(values * 10, list(range(10)) * 10)) == once


def test_pairs_cancel_what_questions_cost() -> None:
    """If each question takes 10 % longer, the ratio is 1.1, however much questions differ."""
    values = np.random.default_rng(3).lognormal(sigma=2, size=12)
    paired = ratio_interval(Sample(1.1 * values, range(12)), Sample(values, range(12)))
    assert paired == (pytest.approx(1.1), pytest.approx(1.1))
    low, high = ratio_interval(Sample(1.1 * values), Sample(values)) or (1.1, 1.1)
    assert low < 0.9 < 1.3 < high


def test_many_values_are_drawn_in_parts() -> None:
    """What does not fit into memory at once gives the interval that it would give otherwise."""
    values = np.random.default_rng(4).lognormal(size=2_000)
    groups = [number // 100 for number in range(2_000)]
    once = median_interval(Sample(values, groups))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "_AT_ONCE", 100_000)
        assert median_interval(Sample(values, groups)) == once


def test_summary_gives_each_metric_with_its_n() -> None:
    """Figures come with the number they rest on; what that number cannot bear is absent."""
    found = summary([trace(ttft=0.1 * number) for number in range(1, 13)])
    assert found["ttft"].n == 12
    assert found["ttft"].p50 == pytest.approx(0.65)
    assert found["ttft"].p90 == pytest.approx(1.09)
    assert found["ttft"].p99 is None
    assert found["gaps"].n == 48
    assert found["tpot"].p50 == pytest.approx(0.1)
    assert found["end_to_end"].p50 == pytest.approx(1.05)
    assert found["ttft"].p50 in found["ttft"].interval
    assert found.notes == ["n = 12 is too few for a p99 (100 are needed)."]
    assert "<NA>" in repr(found)
    assert "<table" in found._repr_html_()


def test_one_sample_has_a_median_and_nothing_else() -> None:
    """One answer is what it is; nobody is told how sure that is."""
    found = summary(trace())
    assert (found["ttft"].p50, found["ttft"].interval, found["ttft"].p90) == (0.5, None, None)
    assert found.notes == ["n = 1 is too few for a p99 (100 are needed), and for a p90 (10)."]
    assert repr(found["ttft"]) == "<Spread p50 0.5000 s · n = 1>"


def test_what_failed_is_counted_and_in_no_figure() -> None:
    """Failures, answers without text and answers slept through are told, never averaged in."""
    slept = trace(ttft=99)
    slept.clock_jump = 3600.0
    failed = Answer("", trace=trace(ttft=99), error=RuntimeError("gone"))
    found = summary([trace(), Answer("", trace=trace(chunks=0)), slept, failed])
    assert (found.asked, found.n) == (4, 1)
    assert found["end_to_end"].p50 == pytest.approx(0.9)
    assert found.notes[:3] == [
        "1 request not complete, and not in these figures.",
        "1 answer without any text, and not in these figures.",
        "1 answer left out: the machine slept, or its clock was set, meanwhile.",
    ]


def test_mixed_models_are_told() -> None:
    """Figures over answers of several models say so."""
    one, other = trace(), trace()
    one.model, other.model = "a", "b"
    assert "Answers of several models are mixed here: a, b." in summary([one, other]).notes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: summary([]), "no answers here — pass at least one"),
        (lambda: summary({"a": [trace()]}), "Got list where an answer was expected"),
        (lambda: summary([trace(chunks=0)]), "None of 1 request can be measured: 1 answer"),
        (lambda: summary([Answer("", error=RuntimeError("x"))]), "1 request not complete"),
        (lambda: SLO(), "has no limit — give a limit"),
        (lambda: SLO(ttft=0), "ttft=0 is not a limit"),
        (lambda: SLO(tpot=math.nan), "tpot=nan is not a limit"),
        (lambda: SLO(ttft=True), "ttft=True is not a limit"),
        (lambda: goodput([trace()], 0.5), "Got float as the objective"),  # type: ignore[arg-type]
        (lambda: goodput([], SLO(ttft=1)), "no answers here"),
    ],
)
def test_bad_input_is_one_clear_error(call: object, message: str) -> None:
    """What cannot be measured is said in a sentence, with the way out."""
    with pytest.raises(NotMeasured, match=message):
        call()  # type: ignore[operator]
