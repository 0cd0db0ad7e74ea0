"""Asks for one item until there is a value, or an error that a retry cannot solve."""

import asyncio
import inspect
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_args

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.chat_engine.types import AGENT_CHAT_RESPONSE_TYPE

from nbkit.batch.asking import not_async
from nbkit.batch.budget import Budget, CostTooHigh
from nbkit.batch.concurrency import How, Seats
from nbkit.batch.outcome import BatchMisused, Outcome
from nbkit.batch.pace import Pace
from nbkit.batch.retries import backoff, can_succeed_later, is_refusal, retry_after
from nbkit.batch.shared_pace import SharedPace
from nbkit.language import say, to_say
from nbkit.streaming import events
from nbkit.streaming.agents import is_of_agent, is_run, refuse
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import StreamBroken, StreamError, in_words
from nbkit.streaming.stream import TokenStream
from nbkit.streaming.trace import Trace

_MOST_REFUSALS = 20
_STOPPED = to_say("The call was cancelled, but not by the batch — ask again.")
_ANSWERS = (
    *get_args(RESPONSE_TYPE),
    *get_args(AGENT_CHAT_RESPONSE_TYPE),
    ChatResponse,
    CompletionResponse,
)


class AttemptTimedOut(StreamError, TimeoutError):
    """No complete answer within `timeout`; generation was stopped. Taught in notebook 06."""


@dataclass
class Asker:
    """Asks `fn` for items, with pacing, timing and retries; many items at once."""

    fn: Callable[[Any], Any]
    attempts: int
    timeout: float | None
    pace: Pace | SharedPace
    seats: Seats
    budget: Budget

    async def ask(self, outcome: Outcome) -> None:
        """Fill in value or error; raises only an error of the batch as a whole.

        A refusal (429) is counted, but does not use up `attempts`, because it only asks to wait.
        After twenty refusals an item has failed.
        """
        while True:
            try:
                outcome.value = await self._attempt(outcome)
            except (BatchMisused, CostTooHigh):
                raise
            except Exception as error:  # noqa: BLE001 - the outcome carries it
                if not self._is_worth_another(outcome, error):
                    outcome.error = in_words(error)
                    return
                pause = backoff(error, outcome.attempts - outcome.refused)
            else:
                return
            await asyncio.sleep(pause)

    def _is_worth_another(self, outcome: Outcome, error: Exception) -> bool:
        failures = outcome.attempts - outcome.refused
        if failures >= self.attempts or outcome.refused >= _MOST_REFUSALS:
            return False
        # An answer read here is not shown before it is complete. Text that the function itself read
        # may have been shown already, and a retry would show it twice.
        partial = getattr(error, "answer", None)
        if partial and partial.text and not (outcome.trace and outcome.trace.chunks):
            return False
        return can_succeed_later(error)

    async def _attempt(self, outcome: Outcome) -> Any:
        await self.budget.turn()
        began = await self.pace.turn()
        round_ = self.seats.began()
        start = time.perf_counter()
        outcome.attempts += 1
        outcome.attempt_starts.append(start)
        outcome.trace = Trace(start)
        tokens: TokenStream | None = None
        how: How = "failed"
        record = events.begin()
        try:
            async with asyncio.timeout(self.timeout) as scope:
                # No stream around the call: it costs 0.1 ms, and only an answer needs it.
                value = await self._call(outcome.item, start, record)
                if _is_answer(value):
                    tokens = TokenStream.of_call(value, start, record)
                    outcome.trace = tokens.trace
                    value = await _read(tokens)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise StreamBroken(say(_STOPPED)) from None
        except Exception as error:
            if isinstance(error, TimeoutError) and scope.expired():
                how = "overloaded"
                late = AttemptTimedOut(
                    say(
                        "No complete answer within {timeout:g} s, so it was stopped",
                        timeout=self.timeout,
                    ),
                    say("raise `timeout`, or ask fewer at once."),
                )
                late.answer = tokens.answer if tokens else None
                raise late from None
            # If the quota is used up until tomorrow, waiting does not help: this item fails.
            if is_refusal(error) and can_succeed_later(error):
                how = "overloaded"
                outcome.refused += 1
                self.pace.refused(began, retry_after(error))
            raise
        else:
            how = "answered"
            self.pace.accepted()
            if isinstance(value, Answer):
                trace = outcome.trace = value.trace
                used = None if trace.tokens is None else trace.tokens + (trace.prompt_tokens or 0)
                self.pace.spent(used)
            return value
        finally:
            trace = outcome.trace
            trace.end = trace.end or time.perf_counter()
            trace.usage = trace.usage or record.usage
            self.seats.ended(round_, trace, how)
            self.budget.ended(trace, answered=how == "answered")

    async def _call(self, item: Any, start: float, record: events.EventRecord) -> Any:
        try:
            return await _called(self.fn, item)
        except BaseException as error:
            if record.turn is not None:
                # A stream corrects the memory of a chat after a failed turn.
                with suppress(StreamError):
                    await TokenStream.of_call(_raise(error), start, record)
            raise


async def _read(tokens: TokenStream) -> Answer:
    answer = await tokens
    if answer.stopped:
        stopped = StreamBroken(say(_STOPPED))
        stopped.answer = answer
        raise stopped
    return answer


async def _raise(error: BaseException) -> None:
    raise error


async def _called(fn: Callable[[Any], Any], item: Any) -> Any:
    value = fn(item)
    if is_run(value):
        return value
    if inspect.isawaitable(value):
        value = await value
    elif not inspect.isasyncgen(value) and not is_of_agent(value):
        raise not_async(fn)
    if is_of_agent(value):
        raise BatchMisused(refuse(value))
    return value


def _is_answer(value: Any) -> bool:
    return (
        isinstance(value, _ANSWERS)
        or is_run(value)
        or inspect.isasyncgen(value)
        or inspect.isgenerator(value)
    )
