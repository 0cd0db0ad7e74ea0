"""Service-level objectives, and how many answers keep them."""

import heapq
import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from nbkit import SLO, goodput
from nbkit.metrics.intervals import share_interval
from nbkit.metrics.requests import NotMeasured, Row, read_rows
from nbkit.metrics.slo import judged
from nbkit.streaming.answer import Answer
from nbkit.streaming.trace import Trace
from tests.experiments import trace


def test_the_interval_of_a_share_is_wilsons() -> None:
    """The score interval, also where every request kept the promise, or none."""
    assert share_interval(8, 10) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert share_interval(10, 10) == (pytest.approx(0.722, abs=1e-3), pytest.approx(1.0))
    assert share_interval(0, 10).low == pytest.approx(0.0)


def test_goodput_is_share_and_rate() -> None:
    """Met requests, of all that were asked, and by the time from first start to last end."""
    answers = [Answer("x", trace=trace(ttft=number / 10)) for number in range(1, 11)]
    answers.append(Answer("", trace=trace(), error=RuntimeError("gone")))
    kept = goodput(answers, SLO(ttft=0.35))
    assert (kept.met, kept.n) == (3, 11)
    assert kept.rate == pytest.approx(3 / 1.4)
    assert kept.share in kept.interval
    assert "3 of 11 (27 %; 95 % interval " in repr(kept)
    assert repr(kept).endswith("met TTFT ≤ 0.35 s>")


def test_one_after_the_other_a_share_has_wilsons_interval() -> None:
    """Requests that never waited together are strangers to each other."""
    alone = [trace(ttft=0.2 + 0.2 * (place % 2), start=10.0 * place) for place in range(20)]
    assert goodput(alone, SLO(ttft=0.3)).interval == share_interval(10, 20)


def test_shares_of_those_that_wait_together_tell_less() -> None:
    """Where eight wait for two slots, an interval that thinks them strangers fails too often."""
    random = np.random.default_rng(11)

    def run(n: int) -> list[Trace]:
        free, asked, found = [0.0, 0.0], [0.0] * 8, []
        for seconds in random.lognormal(-1, 0.8, size=n):
            came, slot = heapq.heappop(asked), heapq.heappop(free)
            begin = max(came, slot)
            found.append(Trace(came, [begin + seconds / 2, begin + seconds], [1, 1]))
            for line in (free, asked):
                heapq.heappush(line, begin + seconds)
        return found[8:]

    slo = SLO(ttft=1.5)
    truth = goodput(run(20_000), slo).share
    runs = [goodput(run(88), slo) for _ in range(100)]
    blind = sum(truth in share_interval(one.met, one.n) for one in runs)
    aware = sum(truth in one.interval for one in runs)
    assert 0.2 < truth < 0.8
    assert blind < aware
    assert aware >= 85


def test_a_share_over_few_questions_tells_less() -> None:
    """Twenty questions asked five times each, with the same result, tell as much as asked once."""
    once = [Answer("x", trace=trace(ttft=0.2 + 0.2 * (n % 2), start=10.0 * n)) for n in range(20)]
    rows = [
        replace(row, question=place, trace=trace(ttft=0.2 + 0.2 * (place % 2), start=10.0 * start))
        for round_ in range(5)
        for place, row in enumerate(read_rows(once))
        for start in [20 * round_ + place]
    ]
    low, high = judged(rows, SLO(ttft=0.3)).interval
    alone = goodput(once, SLO(ttft=0.3)).interval
    assert low == pytest.approx(alone.low, abs=0.02)
    assert high == pytest.approx(alone.high, abs=0.02)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("questions", [5, 8, 20])
def test_shares_of_repeated_questions_hold_their_truth(questions: int, share: float) -> None:
    """Where the question decides, asking it ten times does not make the interval narrower."""
    random = np.random.default_rng(questions)
    limit = math.exp(0.5 * NormalDist().inv_cdf(share))
    held = 0
    for _ in range(100):
        own = np.exp(random.normal(0, 0.5, size=questions))
        rows = [
            Row("", trace(ttft=own[n % questions], start=100.0 * n), "done", 1, (), n % questions)
            for n in range(10 * questions)
        ]
        interval = judged(rows, SLO(ttft=limit)).interval
        held += interval is not None and share in interval
    assert held >= 90


@pytest.mark.parametrize("questions", [2, 3, 4])
def test_a_share_over_fewer_than_five_questions_has_no_interval(questions: int) -> None:
    """Asked again and again, they tell nothing about others; of one question it is told."""
    rows = [
        Row("", trace(start=10.0 * n), "done", 1, (), n % questions) for n in range(20 * questions)
    ]
    kept = judged(rows, SLO(ttft=1))
    assert (kept.share, kept.interval, kept.rate_interval) == (1, None, None)
    assert f"no interval: {questions} different questions are too few" in repr(kept)
    one = [replace(row, question=0) for row in rows]
    assert judged(one, SLO(ttft=1)).interval == share_interval(len(rows), len(rows))


def test_every_limit_must_be_kept() -> None:
    """An objective of several limits is met by requests that keep all of them."""
    assert SLO(ttft=0.6, tpot=0.2).met_by(trace())
    assert not SLO(ttft=0.6, tpot=0.05).met_by(trace())
    assert not SLO(end_to_end=0.8, tpot=0.2).met_by(trace())


def test_tpot_without_token_counts_is_not_guessed() -> None:
    """A limit on TPOT cannot be judged where the server counted no tokens."""
    uncounted = trace()
    uncounted.tokens = None
    with pytest.raises(NotMeasured, match=r"TPOT is not known — ask it for usage"):
        SLO(tpot=0.1).met_by(uncounted)
    assert SLO(ttft=0.6).met_by(uncounted)


def test_goodput_of_nights_slept_through_is_refused() -> None:
    """Where no clock can be trusted there is no share, not a share of zero."""
    slept = trace()
    slept.clock_jump = -2.0
    with pytest.raises(NotMeasured, match="machine slept, or its clock was set"):
        goodput([slept], SLO(ttft=1))
