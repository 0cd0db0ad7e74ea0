"""The plan of an experiment: the order of labels, loads and questions."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, cycle, islice
from typing import Any

from nbkit.experiment.measurements import ExperimentError
from nbkit.experiment.targets import Target
from nbkit.language import say
from nbkit.metrics.load_point import Kind
from nbkit.wording import whole_characters

_ROUNDS = 10
"""Requests in a closed loop per request in flight; the first of them are the ramp."""


@dataclass(frozen=True)
class Run:
    """One label at one load, in one repetition."""

    target: Target
    kind: Kind
    load: float
    repetition: int
    order: list[int]
    """Positions of the questions in the list, in the order of asking."""
    arrivals: list[float]
    """Seconds from the start of the run; empty in a closed loop."""

    @property
    def ramp(self) -> int:
        """How many requests it takes to reach the full load; the server is not busy before."""
        return int(self.load) if self.kind == "concurrency" and self.load > 1 else 0


def plan_of(
    targets: list[Target],
    kind: Kind,
    loads: list[float],
    questions: int,
    requests: int | None,
    repeat: int,
    seed: int,
) -> list[Run]:
    """The runs, in the order in which they are made."""
    runs = []
    for repetition in range(repeat):
        turn = []
        for load in loads:
            # The same questions at the same times for every label: only the label differs.
            draw = random.Random(f"{seed}/{repetition}/{load}")
            order = _order(questions, requests or _enough(kind, load, questions), draw)
            pauses = (draw.expovariate(load) for _ in order)
            arrivals = list(accumulate(pauses)) if kind == "rate" else []
            turn += [Run(target, kind, load, repetition, order, arrivals) for target in targets]
        random.Random(f"{seed}/{repetition}").shuffle(turn)
        runs += turn
    return runs


def warm_up_of(
    runs: list[Run], questions: list[str], warmup: bool | int
) -> list[tuple[Target, str]]:
    """The (target, question) pairs of the warm-up: all questions, or `warmup` of them each."""
    asked: dict[Target, dict[str, None]] = {}
    for run in runs:
        once = dict.fromkeys(questions[place] for place in run.order)
        asked.setdefault(run.target, {}).update(once)
    return [
        (target, question)
        for target, each in asked.items()
        for question in islice(cycle(each), len(each) if warmup is True else warmup)
    ]


def _order(questions: int, requests: int, draw: random.Random) -> list[int]:
    places = list(range(questions))
    draw.shuffle(places)
    return list(islice(cycle(places), requests))


def _enough(kind: Kind, load: float, questions: int) -> int:
    """Enough requests to keep a closed loop full for most of a run."""
    least = _ROUNDS * load if kind == "concurrency" and load > 1 else 1
    return questions * math.ceil(least / questions)


def read_questions(questions: Any) -> list[str]:
    """The questions as a list; raises `ExperimentError` for anything else."""
    if isinstance(questions, str):
        questions = [questions]
    listed = list(questions) if isinstance(questions, Iterable) else []
    if not listed or not all(isinstance(one, str) for one in listed):
        raise ExperimentError(
            say("There is nothing to ask"), say("pass a list of questions, as text.")
        )
    return [whole_characters(one) for one in listed]


def read_loads(max_concurrency: Any, requests_per_second: Any) -> tuple[Kind, list[float]]:
    """The kind of load, and the loads in ascending order; raises `ExperimentError`."""
    if max_concurrency is not None and requests_per_second is not None:
        raise ExperimentError(
            say("max_concurrency and requests_per_second are two ways to load a server"),
            say("give one, and measure twice."),
        )
    if requests_per_second is None:
        kind: Kind = "concurrency"
        name, given, wanted = "max_concurrency", max_concurrency, say("whole numbers from 1")
        given = 1 if given is None else given
    else:
        kind, name, given = "rate", "requests_per_second", requests_per_second
        wanted = say("arrivals a second, above 0")
    loads: list[Any] = [given] if isinstance(given, int | float | str) else list(given)
    allowed = int if kind == "concurrency" else int | float
    for load in loads:
        number = isinstance(load, allowed) and not isinstance(load, bool)
        if not number or not 0 < load < math.inf:
            raise ExperimentError(
                say("{name}={load!r} is not possible", name=name, load=load),
                say("give {wanted}.", wanted=wanted),
            )
    if not loads:
        raise ExperimentError(say("{name} is empty", name=name), say("give at least one load."))
    return kind, sorted(set(loads))


def check_counts(
    requests: Any, repeat: Any, warmup: Any, timeout: Any, kind: Kind, loads: list[float]
) -> None:
    """Raise `ExperimentError` for an invalid count or timeout."""
    for name, value, least in (
        ("requests", 1 if requests is None else requests, 1),
        ("repeat", repeat, 1),
        ("warmup", int(warmup) if isinstance(warmup, bool) else warmup, 0),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ExperimentError(
                say("{name}={value!r} is not possible", name=name, value=value),
                say("give {least} or more.", least=least),
            )
    most = int(max(loads))
    if requests is not None and kind == "concurrency" and 1 < most > requests / 2:
        raise ExperimentError(
            say(
                "requests={requests} is too few for max_concurrency={most}: the first {most} meet "
                "an idle server and are left out",
                requests=requests,
                most=most,
            ),
            say("ask {most} at least, better {rounds}.", most=2 * most, rounds=_ROUNDS * most),
        )
    if timeout is not None and not (isinstance(timeout, int | float) and 0 < timeout < math.inf):
        raise ExperimentError(
            say("timeout={timeout!r} is not possible", timeout=timeout),
            say("give seconds, or None."),
        )
