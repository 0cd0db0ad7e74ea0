"""One answer as spans, in OpenTelemetry's semantic conventions for generative AI.

Names that the conventions do not have begin with `nbkit.`. The attributes `gen_ai.*` are those of
the package opentelemetry-semantic-conventions, 0.66.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from nbkit.batch.records import without_keys
from nbkit.streaming.answer import Answer
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.trace import Trace
from nbkit.wording import is_simulated, whole_characters


@dataclass
class SpanFacts:
    """What a span says; times are readings of `time.perf_counter`."""

    name: str
    start: float
    end: float
    attributes: dict[str, Any]
    """Those that are `None` are not known."""
    is_call: bool = False
    """A request to another process (span kind CLIENT), not work in this one (INTERNAL)."""
    events: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    """The class of an error; `None` for the status UNSET."""
    message: str | None = None
    """What went wrong, in words."""
    children: list["SpanFacts"] = field(default_factory=list)


def spans_of(answer: Answer, question: str | None, *, content: bool) -> SpanFacts:
    """The span of an answer, with those of its model call or its tools in it.

    `invoke_agent` for an agent: its tools are `execute_tool` spans, its tokens a sum; the times of
    its requests to the model are not kept, so there are no spans of them. `invoke_workflow` for
    any other answer, with the model call that was streamed as a `chat` span.
    """
    trace = answer.trace
    agent = answer.steps[0].agent if answer.steps else _agent_of(answer.response)
    operation = "invoke_agent" if agent or trace.requests > 1 else "invoke_workflow"
    end = _end(answer)
    whole = SpanFacts(
        f"{operation} {agent}" if agent else operation,
        trace.start,
        end,
        {
            "gen_ai.operation.name": operation,
            "gen_ai.agent.name": agent or None,
            "nbkit.state": answer.state,
            "nbkit.ttft": trace.ttft,
            "nbkit.ttfo": trace.ttfo if trace.thoughts else None,
            "nbkit.end_to_end": trace.end_to_end,
            "nbkit.chunks": trace.chunks,
            "nbkit.time_per_output_chunk": _per_chunk(trace),
            "nbkit.time_per_output_token": trace.tpot,
            "nbkit.sources": len(answer.sources) or None,
        },
        **_status(answer, content=content),
    )
    messages = _messages(answer, question) if content else {}
    whole.attributes |= messages
    if operation == "invoke_agent":
        whole.attributes |= _model_call(trace)
        whole.events = _first_chunks(trace)
        whole.children = [_tool_span(step, end, content=content) for step in answer.steps]
    elif trace.model is not None or trace.requested is not None:
        call = _call_span(whole, trace)
        # What the model was sent is more than the question, and not known.
        call.attributes["gen_ai.output.messages"] = messages.get("gen_ai.output.messages")
        whole.children = [call]
    else:
        whole.events = _first_chunks(trace)
    return whole


def _per_chunk(trace: Trace) -> float | None:
    """Mean seconds from one chunk to the next; `None` if tools ran between them."""
    return None if trace.requests > 1 or not trace.chunk_rate else 1 / trace.chunk_rate


def _call_span(whole: SpanFacts, trace: Trace) -> SpanFacts:
    """The model call; its time to the first chunk begins with the call, not with the question."""
    streamed: dict[str, Any] = {"gen_ai.request.stream": True} if trace.chunks > 1 else {}
    if streamed and trace.first_token_wait is not None:
        streamed["gen_ai.response.time_to_first_chunk"] = trace.first_token_wait
    return SpanFacts(
        f"chat {trace.model}" if trace.model else "chat",
        trace.start + (trace.before_call or 0.0),
        whole.end,
        {"gen_ai.operation.name": "chat", **_model_call(trace), **streamed},
        is_call=True,
        events=_first_chunks(trace),
        error=whole.error,
        message=whole.message,
    )


def _tool_span(step: ToolStep, end: float, *, content: bool) -> SpanFacts:
    """The call of a tool; one that had not returned ends with the run."""
    failed = step.error is not None
    span = SpanFacts(
        f"execute_tool {step.tool}",
        step.start,
        end if step.end is None else step.end,
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": step.tool,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": step.call_id or None,
            "gen_ai.agent.name": step.agent or None,
            "nbkit.state": step.state,
        },
        # LlamaIndex keeps the message of a tool's error, not its class.
        error="_OTHER" if failed else "stopped" if step.end is None else None,
        message=without_keys(step.error or "") if failed and content else None,
    )
    if content:
        span.attributes["gen_ai.tool.call.arguments"] = _json(step.arguments)
        span.attributes["gen_ai.tool.call.result"] = step.result
    return span


def _model_call(trace: Trace) -> dict[str, Any]:
    """What is known about the model, and how it was used."""
    return {
        # Required by the conventions; which provider it was, a trace does not say.
        "gen_ai.provider.name": "nbkit.simulated" if is_simulated(trace.model) else "unknown",
        "gen_ai.request.model": trace.model,
        "gen_ai.response.finish_reasons": [trace.finish_reason] if trace.finish_reason else None,
        "gen_ai.usage.input_tokens": trace.prompt_tokens,
        "gen_ai.usage.output_tokens": trace.tokens,
        "gen_ai.usage.reasoning.output_tokens": trace.reasoning_tokens or None,
        "gen_ai.usage.cache_read.input_tokens": trace.cached_tokens,
    }


def _first_chunks(trace: Trace) -> dict[str, float]:
    events = {} if trace.first is None else {"nbkit.first_chunk": trace.first}
    if trace.thoughts and trace.arrivals:
        events["nbkit.first_output_chunk"] = trace.arrivals[0]
    return events


def _status(answer: Answer, *, content: bool) -> dict[str, Any]:
    """The error of an answer that is not complete; one that was stopped is told as such."""
    if answer.state == "done":
        return {}
    if answer.error is None:
        return {"error": answer.state}
    message = without_keys(str(answer.error)) if content else None
    return {"error": type(answer.error).__name__, "message": message}


def _messages(answer: Answer, question: str | None) -> dict[str, Any]:
    """Question and answer as JSON, in the schema of the conventions."""
    thought = [{"type": "reasoning", "content": answer.thought}] if answer.thought else []
    said = {
        "role": "assistant",
        "parts": [*thought, {"type": "text", "content": answer.text}],
        "finish_reason": answer.trace.finish_reason or ("error", "stop")[answer.state == "done"],
    }
    asked = {"role": "user", "parts": [{"type": "text", "content": question}]}
    return {
        "gen_ai.input.messages": None if question is None else _json([asked]),
        "gen_ai.output.messages": _json([said]),
    }


def _json(value: Any) -> str:
    return whole_characters(json.dumps(value, ensure_ascii=False, default=str))


def _agent_of(response: Any) -> str | None:
    """The name of the agent that gave this response, if an agent did."""
    name = getattr(response, "current_agent_name", None)
    return name if isinstance(name, str) else None


def _end(answer: Answer) -> float:
    """The last time that is known of an answer."""
    trace = answer.trace
    known = [trace.start, trace.responded, trace.requested, trace.end]
    known += [*trace.thoughts[-1:], *trace.arrivals[-1:], *(step.end for step in answer.steps)]
    return max(moment for moment in known if moment is not None)
