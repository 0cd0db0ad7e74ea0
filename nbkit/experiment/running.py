"""Runs an experiment: every target gets the same questions at every load, in random order."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from nbkit.batch.budget import Budget
from nbkit.displays.progress import Hear, Progress, shown
from nbkit.experiment.environment import environment
from nbkit.experiment.measurements import ExperimentError, Measurement
from nbkit.experiment.plan import (
    Run,
    check_counts,
    plan_of,
    read_loads,
    read_questions,
    warm_up_of,
)
from nbkit.experiment.results import Experiment
from nbkit.experiment.targets import Target, Timed, targets_of
from nbkit.language import say
from nbkit.loops.heartbeat import keep_waking
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import AnswerTruncated, StreamBroken, StreamError
from nbkit.streaming.stream import TokenStream, stream

_MOST_THREADS = 256
_WARMING = 8
"""The most requests in flight during warm-up, and never more than will be measured."""


async def measure(
    questions: Iterable[str],
    against: Any,
    *,
    max_concurrency: int | Sequence[int] | None = None,
    requests_per_second: float | Sequence[float] | None = None,
    requests: int | None = None,
    repeat: int = 1,
    warmup: bool | int = True,
    timeout: float | None = None,
    max_cost: float | None = None,
    seed: int = 0,
    progress: Progress = True,
) -> Experiment:
    """Ask the same questions of one or several engines at one or several loads, with timing.

    `against` is a query engine, a chat engine (each question starts a new conversation), an LLM,
    or a function of a question, async or blocking, that returns what `nbkit.stream` reads; or a
    dict of these by label.

    - `max_concurrency`: closed loop with this number of requests in flight (default 1); when one
      ends, the next starts. The first ones, as many as are in flight, meet an idle server and are
      not in the numbers.
    - `requests_per_second`: open loop with this mean number of arrivals (a Poisson process), even
      if the server is slow. Latency starts at the planned arrival, even if this machine sent the
      request later (G. Tene, "coordinated omission").
    - `requests`: how many at each load. Default: every question once, or repeated until there are
      ten times `max_concurrency`.
    - `repeat`: how often the complete plan is repeated.
    - `warmup`: ask every target every question once before measuring, because servers are faster
      with a prompt they have seen; or a number of questions per target; or False.
    - `timeout`: seconds for one answer; then it is stopped and counts as an error.
    - `max_cost`: the most that may be spent, warm-up included, as in `run_batch`. Without it, and
      if your file of prices has one for the model, you are asked after the warm-up at the latest.
    - `progress`: a bar, warm-up included; or a function of (done, total, question); or False.

    Each repetition measures every label at every load once, in random order; `seed` determines
    questions, order and arrivals. A failed request is a result: it is counted, but not in latency.
    If it is stopped, `nbkit.Experiment.latest()` has the requests that ended.

    Raises `ExperimentError` or `PriceError` before anything is asked; `StreamMisused` if a target
    returns no answer; `CostTooHigh`. Taught in notebook 09.
    """
    asked = read_questions(questions)
    targets = targets_of(against, max_cost)
    kind, loads = read_loads(max_concurrency, requests_per_second)
    check_counts(requests, repeat, warmup, timeout, kind, loads)
    runs = plan_of(targets, kind, loads, len(asked), requests, repeat, seed)
    warming = warm_up_of(runs, asked, warmup)
    budgets = _begin_budgets(warming, runs, max_cost)
    experiment = Experiment(
        kind=kind,
        planned=sum(len(run.order) for run in runs),
        parameters={
            "against": {target.label: target.parameters for target in targets},
            kind: loads,
            "questions": len(asked),
            "requests": requests,
            "repeat": repeat,
            "warmup": warmup,
            "timeout": timeout,
            "seed": seed,
        },
        environment=environment(),
        questions=asked,
    )
    Experiment._latest = experiment
    width = int(max(loads)) if kind == "concurrency" else _MOST_THREADS
    threads = ThreadPoolExecutor(min(width, _MOST_THREADS), thread_name_prefix="nbkit-measure")
    try:
        with (
            keep_waking(asyncio.get_running_loop()),
            shown(progress, len(warming) + experiment.planned) as hear,
        ):
            runner = _Runner(asked, threads, timeout, experiment, hear)
            await _at_most(min(width, _WARMING), (runner.warm_up(*each) for each in warming))
            for budget in budgets:
                budget.learned()
            for run in runs:
                await runner.measure(run)
    except BaseException as error:
        ended = say(
            "{results} of {planned} requests",
            results=len(experiment.results),
            planned=experiment.planned,
        )
        error.add_note(
            say("{ended} had ended; they are in nbkit.Experiment.latest().", ended=ended)
        )
        raise
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    return experiment


@dataclass
class _Runner:
    """Asks, times, and adds each result to the experiment."""

    questions: list[str]
    threads: ThreadPoolExecutor
    timeout: float | None
    experiment: Experiment
    hear: Hear

    async def warm_up(self, target: Target, question: str) -> None:
        """Ask without keeping the result; raises `StreamMisused` if there is no answer."""
        await target.budget.turn()
        tokens = stream(target.ask(question, self.threads))
        # An error here will happen again in the measurement, where it is counted.
        with contextlib.suppress(StreamBroken, AnswerTruncated, TimeoutError):
            async with asyncio.timeout(self.timeout):
                await tokens
        answer = _answer_of(tokens)
        self.experiment.warmed.append(answer.trace.usage)
        target.budget.ended(answer.trace, answered=answer.state == "done")
        self.hear(question, failed=False, retried=False)

    async def measure(self, run: Run) -> None:
        """Make all requests of a run, and wait for their end."""
        if run.kind == "concurrency":
            numbered = enumerate(run.order)
            asking = (self._ask(run, place, ramp=number < run.ramp) for number, place in numbered)
            await _at_most(int(run.load), asking)
            return
        begin = time.perf_counter()
        async with _first_error(), asyncio.TaskGroup() as group:
            for question, arrival in zip(run.order, run.arrivals, strict=True):
                await asyncio.sleep(begin + arrival - time.perf_counter())
                group.create_task(self._ask(run, question, planned=begin + arrival))

    async def _ask(
        self, run: Run, place: int, *, ramp: bool = False, planned: float | None = None
    ) -> None:
        await run.target.budget.turn()
        tokens = stream(run.target.ask(self.questions[place], self.threads))
        error: Exception | None = None
        try:
            async with asyncio.timeout(self.timeout):
                await tokens
        except TimeoutError:
            error = StreamBroken(
                say("No complete answer within {timeout:g} s", timeout=self.timeout),
                say("raise `timeout`."),
            )
        except StreamError as raised:
            error = raised
        answer = _answer_of(tokens)
        if error is None:
            error = _missing(answer)
        trace, sent = answer.trace, tokens.trace.start
        run.target.budget.ended(trace, answered=error is None)
        self.experiment.results.append(
            Measurement(
                label=run.target.label,
                load=run.load,
                repetition=run.repetition,
                question=place,
                trace=trace if planned is None else replace(trace, start=planned),
                state="truncated" if answer.truncated else "failed" if error else "done",
                error=None if error is None else f"{type(error).__name__}: {error}",
                late=0.0 if planned is None else max(sent - planned, 0.0),
                ramp=ramp,
                text=answer.text,
            )
        )
        self.hear(self.questions[place], failed=error is not None, retried=False)


async def _at_most(together: int, asking: Iterator[Coroutine[Any, Any, None]]) -> None:
    """Await them all, `together` at a time; the first error cancels the rest and is raised."""

    async def one_after_the_other() -> None:
        for each in asking:
            await each

    async with _first_error(), asyncio.TaskGroup() as group:
        for _ in range(together):
            group.create_task(one_after_the_other())


@contextlib.asynccontextmanager
async def _first_error() -> AsyncIterator[None]:
    try:
        yield
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def _begin_budgets(
    warming: list[tuple[Target, str]], runs: list[Run], max_cost: float | None
) -> list[Budget]:
    """Tell the budgets of the targets how many requests there will be."""
    asks = [target for target, _ in warming] + [run.target for run in runs for _ in run.order]
    requests = Counter(target.budget for target in asks)
    for budget, number in requests.items():
        budget.begin(number)
        if budget.charges and max_cost is None and not warming:
            raise ExperimentError(
                say("Without a warm-up nothing tells what this will cost"),
                say("leave warmup on, or pass max_cost=."),
            )
    return list(requests)


def _answer_of(tokens: TokenStream) -> Answer:
    answer = tokens.answer or Answer(tokens.text, trace=tokens.trace)
    return answer.response.answer if isinstance(answer.response, Timed) else answer


def _missing(answer: Answer) -> StreamBroken | None:
    """The error of an answer that was stopped or has no text; `None` for a complete one."""
    if answer.stopped:
        return StreamBroken(
            say("The call was cancelled, but not by the experiment"), say("ask again.")
        )
    if answer.nothing_found:
        return StreamBroken(
            say("No document matched, so no model was asked"), say("look at the retriever.")
        )
    return (
        None
        if answer.text
        else StreamBroken(say("The answer has no text"), say("look at the model."))
    )
