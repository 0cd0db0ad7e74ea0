"""Service-level objectives (SLO), and how many answers met them (goodput)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from nbkit.language import say
from nbkit.metrics.intervals import (
    Interval,
    dependence_of,
    repeats_of,
    share_interval,
    too_few_questions,
)
from nbkit.metrics.requests import NotMeasured, Row, in_flight_together, read_rows, windows_of
from nbkit.streaming.trace import Trace
from nbkit.wording import listed


@dataclass(frozen=True)
class SLO:
    """A service-level objective: the most seconds that a request may take, by metric.

    A request meets it if it is complete and within every given limit: `nbkit.SLO(ttft=0.5,
    tpot=0.05)` requires a first token within 0.5 s, then at least 20 tokens per second.

    Raises `NotMeasured` without a limit, and for a limit that is not a number above 0.
    Taught in notebook 09.
    """

    ttft: float | None = None
    tpot: float | None = None
    end_to_end: float | None = None

    def __post_init__(self) -> None:
        if not self.limits:
            raise NotMeasured(
                say("This SLO has no limit"), say("give a limit, such as SLO(ttft=0.5).")
            )
        for name, limit in self.limits.items():
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
                raise NotMeasured(
                    say("{name}={limit!r} is not a limit", name=name, limit=limit),
                    say("give seconds above 0."),
                )

    @property
    def limits(self) -> dict[str, float]:
        """The given limits, in seconds, by metric."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: limit for name, limit in given.items() if limit is not None}

    def met_by(self, trace: Trace) -> bool:
        """Whether a complete answer with this timing meets the objective.

        Raises `NotMeasured` for a limit on TPOT if the server did not count tokens. An answer in
        one piece has no TPOT, and meets that limit.
        """
        if self.tpot is not None and trace.text_tokens is None and trace.chunks > 1:
            raise NotMeasured(
                say("The server did not report how many tokens it streamed, so TPOT is not known"),
                say(
                    'ask it for usage (`stream_options={"include_usage": True}`), or leave tpot '
                    "out."
                ),
            )
        taken = [(getattr(trace, name), limit) for name, limit in self.limits.items()]
        return all(seconds is None or seconds <= limit for seconds, limit in taken)

    def __str__(self) -> str:
        names = {"ttft": "TTFT", "tpot": "TPOT", "end_to_end": say("end-to-end")}
        return listed(
            say("{metric} ≤ {limit:g} s", metric=names[name], limit=limit)
            for name, limit in self.limits.items()
        )


@dataclass(frozen=True)
class Goodput:
    """How many requests met an objective. Taught in notebook 09."""

    slo: SLO
    met: int
    n: int
    """All requests after the ramp that can be judged, failed ones included."""
    per_second: float
    """All requests that ended per second, whether they met it or not."""
    dependence: float = 1.0
    """The factor by which shared queues and repeated questions raise the variance."""
    lacks: str | None = None
    """The reason why there is no interval; `None` if there is one."""

    @property
    def share(self) -> float:
        """The share of the requests that met the objective, 0 to 1."""
        return self.met / self.n

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the share over all requests like these; `None` if `lacks`."""
        return None if self.lacks else share_interval(self.met, self.n, self.dependence)

    @property
    def rate(self) -> float:
        """Goodput: requests per second that met the objective (as in the vLLM benchmark)."""
        return self.share * self.per_second

    @property
    def rate_interval(self) -> Interval | None:
        """The 95 % interval of the rate; it includes only the uncertainty of the share."""
        if self.interval is None:
            return None
        return Interval(*(share * self.per_second for share in self.interval))

    def __repr__(self) -> str:
        trust = say("no interval: {lacks}", lacks=self.lacks)
        if self.interval is not None:
            low, high = (100 * bound for bound in self.interval)
            trust = say("95 % interval {low:.0f}–{high:.0f} %", low=low, high=high)
        told = say(
            "{rate:.2f} requests/s · {met} of {n} ({percent:.0f} %; {trust}) met {slo}",
            rate=self.rate,
            met=self.met,
            n=self.n,
            percent=100 * self.share,
            trust=trust,
            slo=self.slo,
        )
        return f"<Goodput {told}>"


def goodput(answers: Any, slo: SLO) -> Goodput:
    """The share and the rate of requests that met an objective.

    `answers` are those of one run: Answers, outcomes or Traces, in a list or in a dict by label.
    Failed requests count as not met. Requests during which the machine slept, and the ramp of an
    experiment's runs, do not count. Defined by Y. Zhong et al., "DistServe" (2024).

    Raises `NotMeasured` for anything else, and if nothing can be judged. Taught in notebook 09.
    """
    if not isinstance(slo, SLO):
        raise NotMeasured(
            say("Got {kind} as the objective", kind=type(slo).__name__),
            say("pass nbkit.SLO(ttft=0.5), say."),
        )
    return judged(read_rows(answers), slo)


def judged(rows: Sequence[Row], slo: SLO) -> Goodput:
    """The goodput of one or several runs; raises `NotMeasured` if nothing can be judged."""
    known = [row for row in rows if row.trace and not row.trace.suspended]
    if not known:
        raise NotMeasured(
            say("The machine slept, or its clock was set, during all of these"),
            say("measure again."),
        )
    steady = sorted((row for row in known if not row.ramp), key=lambda row: row.start)
    if not steady:
        raise NotMeasured(
            say("All of these are the first of their run, when the server was idle"),
            say("ask at least twice as many as are in flight."),
        )
    met = [bool(row.counts and row.trace and slo.met_by(row.trace)) for row in steady]
    windows = windows_of(known)
    seconds = sum(window.seconds for window in windows)
    ended = sum(window.share(row) for window in windows for row in window.rows)
    return Goodput(
        slo,
        sum(met),
        len(steady),
        ended / seconds if seconds > 0 else 0.0,
        _dependence(steady, met, slo),
        too_few_questions(len(set(map(_question, steady))), len(steady)),
    )


def _dependence(rows: list[Row], met: list[bool], slo: SLO) -> float:
    """The variance factor of the share, also from the times: all or none may have met it."""
    series = [(met, rows)]
    for name in slo.limits:
        timed = [row for row in rows if row.counts and getattr(row.trace, name) is not None]
        if timed:
            values = np.array([getattr(row.trace, name) for row in timed])
            series.append(((values > np.median(values)).tolist(), timed))
    # Twice the lag of a median: with this, intervals held the truth in simulated closed loops.
    most_lag = 2 * in_flight_together(rows)
    correlated = max(dependence_of(np.array(high, dtype=float), most_lag) for high, _ in series)
    return correlated * max(repeats_of(high, list(map(_question, part))) for high, part in series)


def _question(row: Row) -> Any:
    return id(row) if row.question is None else row.question
