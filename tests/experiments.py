"""Experiments made up for tests, without asking anybody."""

from typing import Any

from nbkit import Experiment
from nbkit.experiment import Measurement
from nbkit.streaming.trace import Trace


def trace(ttft: float = 0.5, gap: float = 0.1, chunks: int = 5, start: float = 10.0) -> Trace:
    """Make a trace of as many tokens as chunks."""
    made = Trace(start, tokens=chunks, requested=start + 0.1)
    for number in range(chunks):
        made.add(start + ttft + number * gap, 4)
    made.end = made.arrivals[-1] if chunks else start
    return made


def measurement(
    label: str = "a", load: float = 1, question: int = 0, ttft: float = 0.5, **fields: Any
) -> Measurement:
    """Make a request of six tokens in five chunks of 0.1 s, begun at `start`."""
    start = fields.pop("start", 10.0 * question)
    trace = Trace(start, tokens=5, prompt_tokens=9, model="m", requested=start + 0.1)
    for number in range(5):
        trace.add(start + ttft + 0.1 * number, 4)
    trace.end = trace.responded = trace.arrivals[-1]
    return Measurement(label, load, fields.pop("repetition", 0), question, trace, **fields)


def experiment(results: list[Measurement], **fields: Any) -> Experiment:
    labels = dict.fromkeys(one.label for one in results) or {"a": None}
    return Experiment(
        **{
            "kind": "concurrency",
            "planned": len(results),
            "parameters": {"against": {label: {"fn": "ask"} for label in labels}},
            "environment": {"started": "now"},
            "questions": ["What is secret?"],
            "results": results,
            **fields,
        }
    )


def several(label: str, n: int = 12, slower: float = 1.0, **fields: Any) -> list[Measurement]:
    """Measure as many questions, each of its own duration."""
    return [
        measurement(label, question=place, ttft=slower * (0.3 + place / 20), **fields)
        for place in range(n)
    ]
