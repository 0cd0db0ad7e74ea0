"""A profile from what was measured of a real model, to practise offline with its timing."""

import math
from collections.abc import Sequence
from datetime import date
from itertools import combinations
from statistics import median
from typing import Any

from nbkit.language import say
from nbkit.simulator.errors import ProfileError
from nbkit.simulator.pacing import Profile

FEWEST = 10
"""The fewest answers that a profile is made from."""
_MOST = 300
_SPREAD = 200
"""Prompt tokens by which prompts must differ, to tell the part of TTFT that grows with them."""
_SLOWER = 1.3
"""How many times as long a token takes under load, for tokens to count as shared."""
_QUEUED = 1.5
"""How many times as long the first token takes under load, for requests to count as queued."""
_NORMAL = 1.4826
"""A standard deviation, in median absolute deviations (of a normal distribution)."""


def profile_of(experiment: Any, label: str | None = None) -> Profile:
    """The profile of the simulated model whose timing is that of a measured model.

    It is made of the answers of `nbkit.measure` at the lowest load, complete or cut at their token
    limit: TTFT without retrieval, as a line over the prompt tokens (Theil-Sen) if prompts differ
    enough; the tokens per second (1 / TPOT); `jitter`, from how TTFT scatters. From several loads
    of a closed loop also `slots` and `total_tokens_per_second`, if requests queue there or are
    written more slowly. Limits of a minute are not found. `label` chooses one of several targets.

    Raises ProfileError for fewer than ten answers. Taught in notebook 12.
    """
    label = _only(experiment, label)
    rows = [one for one in experiment.results if one.label == label and _is_usable(one)]
    lowest = min((one.load for one in rows), default=0)
    calm = [one.trace for one in rows if one.load == lowest][:_MOST]
    if len(calm) < FEWEST:
        raise ProfileError(
            say(
                "{calm} answers of {label!r} at the lowest load have their tokens counted, and "
                "{fewest} are needed",
                calm=len(calm),
                label=label,
                fewest=FEWEST,
            ),
            say("measure more (`repeat=`), with a server that reports usage."),
        )
    waits = [(trace.prompt_tokens, trace.first_token_wait) for trace in calm]
    slope = _slope(waits)
    ttft = max(0.0, median(wait - slope * size for size, wait in waits))
    # A cache of prompts scatters TTFT, and a busy network the gaps: neither is jitter of the other.
    first = _scatter([wait / max(ttft + slope * size, 1e-6) for size, wait in waits])
    jitter = min(2.0, first, median(_scatter(trace.gaps) for trace in calm))
    measured = str(experiment.environment.get("started", date.today().isoformat()))[:10]
    return Profile(
        name="".join(c if c.isalnum() else "_" for c in label)[:40] or "measured",
        resembles=say(
            "{label} as measured on {measured}, n = {calm}",
            label=label,
            measured=measured,
            calm=len(calm),
        ),
        ttft=_round(ttft),
        ttft_per_1k_prompt_tokens=_round(1000 * slope),
        # The mean of a lognormal factor is above its median; TPOT is a mean.
        tokens_per_second=_round(math.exp(jitter**2 / 2) / median(t.tpot for t in calm)),
        jitter=_round(jitter),
        **(_under_load(rows, lowest, jitter) if experiment.kind == "concurrency" else {}),
    )


def _only(experiment: Any, label: str | None) -> str:
    labels = list(experiment.labels)
    if label is None and len(labels) == 1:
        return str(labels[0])
    if label not in labels:
        raise ProfileError(
            say("This experiment has {labels} targets", labels=len(labels)),
            say("choose one with label=: {labels}.", labels=labels),
        )
    return str(label)


def _is_usable(one: Any) -> bool:
    trace = one.trace
    return (
        (one.state == "done" or trace.finish_reason == "length")
        and not one.ramp
        and None not in (trace.prompt_tokens, trace.first_token_wait, trace.tpot)
        and trace.tpot > 0
    )


def _slope(waits: Sequence[tuple[int, float]]) -> float:
    """Seconds of TTFT for each prompt token: the median slope of all pairs; 0 if too close."""
    sizes = sorted(size for size, _ in waits)
    if sizes[-1 - len(sizes) // 10] - sizes[len(sizes) // 10] < _SPREAD:
        return 0.0
    pairs = combinations(waits, 2)
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs if abs(b[0] - a[0]) >= _SPREAD // 2]
    return max(0.0, median(slopes)) if slopes else 0.0


def _scatter(values: Sequence[float]) -> float:
    """The sigma of a lognormal distribution, from the median deviation of its logarithms."""
    logs = [math.log(value) for value in values if value > 0]
    middle = median(logs) if logs else 0.0
    return _NORMAL * median(abs(log - middle) for log in logs) if logs else 0.0


def _under_load(rows: Sequence[Any], lowest: float, jitter: float) -> dict[str, Any]:
    """What more requests at once show: tokens that they share, or a queue."""
    by_load: dict[float, list[Any]] = {}
    for one in rows:
        by_load.setdefault(one.load, []).append(one.trace)
    tokens = {load: median(t.tpot for t in found) for load, found in by_load.items()}
    first = {load: median(t.first_token_wait for t in found) for load, found in by_load.items()}
    writing = {load: median(t.streaming for t in found) for load, found in by_load.items()}
    slower = [load for load in tokens if tokens[load] > _SLOWER * tokens[lowest]]
    slowed = {load: max(1.0, tokens[load] / tokens[lowest]) for load in tokens}
    queued = [n for n in first if first[n] > _QUEUED * slowed[n] * first[lowest]]
    settings: dict[str, Any] = {}
    if slower:
        rates = [load * math.exp(jitter**2 / 2) / tokens[load] for load in slower]
        settings["total_tokens_per_second"] = _round(median(rates))
    if queued:
        # Little's law: of those in flight, the share that is served is that of its time in latency.
        unqueued = {n: slowed[n] * first[lowest] + writing[n] for n in queued}
        shares = [unqueued[n] / (first[n] + writing[n]) for n in queued]
        served = [load * share for load, share in zip(queued, shares, strict=True)]
        settings["slots"] = max(1, round(median(served)))
    return settings


def _round(value: float) -> float:
    return float(f"{value:.3g}")
