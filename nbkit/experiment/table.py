"""The rows of an experiment's table, and the notes under it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nbkit.experiment.measurements import Measurement
from nbkit.language import say
from nbkit.metrics.intervals import FEWEST
from nbkit.metrics.load_point import LoadPoint
from nbkit.metrics.slo import SLO
from nbkit.wording import count
from nbkit.wording import listed as listed_names

_LATE = 0.05
"""Seconds that a request may be late before a note says so."""


def failures_of(results: Iterable[Measurement]) -> dict[str, int]:
    """How often each error happened, most frequent first."""
    return dict(Counter(one.error for one in results if one.error).most_common())


def notes_of_requests(results: Sequence[Measurement]) -> Iterator[str]:
    """What a reader must know about the requests, in sentences."""
    for error, times in failures_of(results).items():
        yield say(
            "{times} of {requests} failed: {error}",
            times=times,
            requests=count(len(results), "request"),
            error=error,
        )
    if asleep := sum(one.trace.suspended for one in results):
        answers = count(asleep, "answer")
        yield say(
            "{answers} left out: the machine slept, or its clock was set, meanwhile.",
            answers=answers,
        )
    if ramp := sum(one.ramp for one in results):
        yield say(
            "{requests} left out: the first of each run, as many as are in flight, meet an idle "
            "server.",
            requests=count(ramp, "request"),
        )
    late = max((one.late for one in results), default=0.0)
    if late > _LATE:
        yield say(
            "Requests were made up to {late:.2f} s later than planned, which is in their latency: "
            "this machine, not the server, may be what is slow.",
            late=late,
        )
    for label in dict.fromkeys(one.label for one in results):
        told = [one.trace.looks_buffered for one in results if one.label == label]
        if any(told):
            yield say(
                "{label}: {several} of {answers} came in one lump, so TTFT is nearly end-to-end "
                "latency.",
                label=label,
                several=sum(map(bool, told)),
                answers=count(len(told), "answer"),
            )


def notes_of_points(points: Sequence[LoadPoint]) -> Iterator[str]:
    """What is missing in the numbers, in sentences."""
    lacking = (point.spread("ttft").lacks for point in points if point.n >= FEWEST)
    for lacks in dict.fromkeys(why for why in lacking if why):
        yield say("{lacks}.", lacks=lacks)
    some = [(point.spread("tpot").n, point.n) for point in points]
    if any(0 < known < n for known, n in some):
        known, n = (sum(each) for each in zip(*some, strict=True))
        yield say(
            "TPOT is of {known} of {answers}: the others have none.",
            known=known,
            answers=count(n, "answer"),
        )


def table_row(point: LoadPoint, slo: SLO | None) -> dict[str, Any]:
    """The numbers of one label at one load, by column."""
    ttft, tpot, whole = (point.spread(name) for name in ("ttft", "tpot", "end_to_end"))
    row = {
        "label": point.label,
        point.kind: point.load,
        "asked": len(point.rows),
        "ramp": sum(row.complete and row.ramp for row in point.rows),
        "n": point.n,
        "errors": sum(not row.complete for row in point.rows),
        **{f"ttft_{name}": getattr(ttft, name) for name in ("p50", "p90", "p99")},
        "tpot_p50": tpot.p50,
        **{f"end_to_end_{name}": getattr(whole, name) for name in ("p50", "p90", "p99")},
        "throughput": point.throughput,
        "tokens_per_s": point.token_throughput,
        "in_flight": point.in_flight,
    }
    judged = [one for one in point.rows if one.trace and not one.trace.suspended and not one.ramp]
    if slo is not None and judged:
        kept = point.goodput(slo)
        row |= {"slo_n": kept.n, "slo_share": kept.share, "goodput": kept.rate}
    return row


def listed(loads: Iterable[float]) -> str:
    """The loads as text."""
    return listed_names(f"{load:g}" for load in loads) or say("(none)")
