"""What one call of a model says of itself: why it ended, the tokens it used, what it thought."""

from dataclasses import dataclass, field
from typing import Any

from nbkit.streaming.trace import Trace, Usage

_TRACED = (
    *("requested", "model", "finish_reason"),
    *("tokens", "reasoning_tokens", "prompt_tokens", "cached_tokens"),
)
_THOUGHTS = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
_ENDS = {"response.completed": "stop", "response.incomplete": "length", "response.failed": "error"}
"""The last events of OpenAI's Responses protocol, and the finish reasons they stand for."""


@dataclass
class ModelCall:
    """What events said about one call of a model."""

    requested: float | None = None
    """`time.perf_counter` at its start; `None` before the first call."""
    model: str | None = None
    finish_reason: str | None = None
    tokens: int | None = None
    reasoning_tokens: int | None = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    speaks_openai: bool = False
    """The raw chunks are OpenAI's, so a complete answer must end with a finish reason."""
    counted: bool = False
    """The chunk with only the usage has arrived, which is the last one of a complete answer."""
    wrote: bool = False
    """The model has written text."""
    thought: str = ""
    refusal: str = ""
    tools: list[str] = field(default_factory=list)
    """Names of the tools that the model called."""
    arguments: str = ""
    """The JSON that the model wrote for the first of them."""
    last_raw: Any = None
    """The last chunk, completion or event that was noted."""

    def on_raw(self, raw: Any) -> str:
        """Note finish reason and usage from a raw OpenAI chunk or completion; returns a thought.

        Agents give their chunks as a dict. OpenAI's Responses protocol has events instead.
        """
        choices = _field(raw, "choices")
        if choices is None:
            return self._on_response(raw)
        self.speaks_openai = True
        thought = ""
        # LlamaIndex reports the last chunk again when its call ends.
        if choices and raw is not self.last_raw:
            thought = self._on_choice(choices[0])
        self.last_raw = raw
        usage = _field(raw, "usage")
        if usage is not None:
            self.counted = self.counted or not choices
            self._on_usage(usage, "prompt", "completion")
        return thought

    def _on_usage(self, usage: Any, read: str, written: str) -> None:
        """Note the counts of tokens; `read` and `written` are what the protocol calls them."""
        self.prompt_tokens = _field(usage, f"{read}_tokens")
        self.tokens = _field(usage, f"{written}_tokens")
        self.cached_tokens = _field(_field(usage, f"{read}_tokens_details"), "cached_tokens")
        details = _field(usage, f"{written}_tokens_details")
        self.reasoning_tokens = _field(details, "reasoning_tokens") or self.reasoning_tokens

    def _on_choice(self, choice: Any) -> str:
        self.finish_reason = _field(choice, "finish_reason") or self.finish_reason
        part = _fields(_field(choice, "delta") or _field(choice, "message"))
        thought = part.get("reasoning_content") or part.get("reasoning")
        thought = thought if isinstance(thought, str) else ""
        if thought:
            self.reasoning_tokens = None  # only the usage says how many tokens it took
        if part.get("content"):
            self.wrote = True
            return thought
        self.refusal += part.get("refusal") or ""
        self.thought += thought
        for call in part.get("tool_calls") or ():
            function = _field(call, "function")
            if name := _field(function, "name"):
                self.tools.append(name)
            if not _field(call, "index"):
                self.arguments += _field(function, "arguments") or ""
        return thought

    def _on_response(self, raw: Any) -> str:
        """Note an event of the Responses protocol, or a whole response; returns a thought."""
        whole = _field(raw, "object") == "response"
        kind = f"response.{_field(raw, 'status')}" if whole else _field(raw, "type")
        if not (isinstance(kind, str) and kind.startswith("response.")) or raw is self.last_raw:
            return ""
        self.speaks_openai, self.last_raw = True, raw
        if kind in _ENDS:
            self._on_end(kind, raw if whole else _field(raw, "response"))
        delta = _field(raw, "delta")
        if kind == "response.output_text.delta":
            self.wrote = True
        elif kind == "response.refusal.delta":
            self.refusal += delta
        elif kind == "response.function_call_arguments.delta" and len(self.tools) < 2:
            self.arguments += delta
        elif kind == "response.output_item.added":
            item = _field(raw, "item")
            self.tools += [_field(item, "name")] * (_field(item, "type") == "function_call")
        elif kind in _THOUGHTS:
            self.reasoning_tokens = None
            self.thought += delta
            return str(delta)
        return ""

    def _on_end(self, kind: str, response: Any) -> None:
        why = _field(_field(response, "incomplete_details"), "reason")
        self.finish_reason = why or _ENDS[kind]
        self.wrote = self.wrote or bool(_field(response, "output_text"))
        if (usage := _field(response, "usage")) is not None:
            self._on_usage(usage, "input", "output")

    @property
    def usage(self) -> Usage:
        """Its model and its tokens."""
        return Usage(self.model, self.prompt_tokens, self.cached_tokens, self.tokens)

    def copy_to(self, trace: Trace) -> None:
        """Copy to a trace the fields that both have."""
        for name in _TRACED:
            setattr(trace, name, getattr(self, name))


def _field(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


def _fields(part: Any) -> dict[str, Any]:
    """All fields of an SDK object; reading a missing attribute instead takes microseconds."""
    if isinstance(part, dict):
        return part
    return {**getattr(part, "__dict__", {}), **(getattr(part, "model_extra", None) or {})}
