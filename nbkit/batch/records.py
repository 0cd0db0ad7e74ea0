"""An outcome as one flat JSON object, and back."""

import os
import re
import time
from typing import Any

from nbkit.batch.outcome import Outcome
from nbkit.streaming.answer import Answer
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.trace import Trace, Usage

_KEYS = re.compile(r"(?i)\b(sk-|bearer\s+)[\w.-]{6,}")
_NUMBERS = (
    *("tokens", "reasoning_tokens", "prompt_tokens", "cached_tokens", "requests"),
    *("model", "finish_reason"),
)
_STEP = ("tool", "arguments", "agent", "error")


def record_of(outcome: Outcome) -> dict[str, Any]:
    """The record of an outcome; times in seconds, `started` and `asked` since 1970.

    `started` and `seconds` are `None` for what a provider's Batch file answered.
    """
    now, clock = time.time(), time.perf_counter()
    asked = outcome.attempt_starts[0] if outcome.attempt_starts else None
    record: dict[str, Any] = {
        "key": outcome.key,
        "item": outcome.item,
        "error": None,
        "attempts": outcome.attempts,
        "refused": outcome.refused,
        "started": None if asked is None else round(now - (clock - asked), 3),
        "seconds": None if asked is None else round(clock - asked, 4),
    }
    if outcome.error is not None:
        error = f"{type(outcome.error).__name__}: {without_keys(str(outcome.error))}"
        return record | {"error": error}
    if not isinstance(outcome.value, Answer):
        return record | {"value": outcome.value}
    answer = outcome.value
    trace = answer.trace
    return record | {
        "text": answer.text,
        "sources": [
            {"id": node.node_id, "score": None if node.score is None else float(node.score)}
            for node in answer.sources
        ],
        "ttft": trace.ttft,
        **{name: getattr(trace, name) for name in _NUMBERS},
        "usage": trace.usage,
        "asked": round(now - (clock - trace.start), 3),
        "arrivals": [round(arrival - trace.start, 4) for arrival in trace.arrivals],
        "sizes": trace.sizes,
        **_way(answer),
    }


def _way(answer: Answer) -> dict[str, Any]:
    """The steps of an agent without their results, and when thoughts came without their words."""
    start = answer.trace.start
    steps = [
        {
            **{name: getattr(step, name) for name in _STEP},
            "start": round(step.start - start, 4),
            "end": None if step.end is None else round(step.end - start, 4),
        }
        for step in answer.steps
    ]
    thoughts = [round(moment - start, 4) for moment in answer.trace.thoughts]
    kept = {"steps": steps, "thoughts": thoughts}
    return {name: values for name, values in kept.items() if values}


def answer_of(record: dict[str, Any]) -> Answer:
    """The recorded answer: text, and timing converted to this process's perf_counter."""
    start = time.perf_counter() - (time.time() - record["asked"])
    trace = Trace(start, [start + arrival for arrival in record["arrivals"]], record["sizes"])
    for name in _NUMBERS:
        setattr(trace, name, record.get(name, getattr(trace, name)))
    trace.usage = [Usage(*call) for call in record.get("usage", ())]
    trace.thoughts = [start + moment for moment in record.get("thoughts", ())]
    steps = []
    for kept in record.get("steps", ()):
        step = ToolStep(**{name: kept[name] for name in _STEP}, start=start + kept["start"])
        step.end = None if kept["end"] is None else start + kept["end"]
        steps.append(step)
    return Answer(text=record["text"], trace=trace, steps=steps)


def without_keys(text: str) -> str:
    """The text without API keys, which errors of servers may quote."""
    for name, secret in os.environ.items():
        if name.endswith("_API_KEY") and len(secret) > 6:
            text = text.replace(secret, "[key]")
    return _KEYS.sub("[key]", text)
