"""Which tools the simulated model calls for a question."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from nbkit.simulator.arguments import (
    FromContext,
    FromQuestion,
    asks_a_question,
    fill,
    has_the_numbers,
    names_in,
    takes_one_name,
    words_in,
)
from nbkit.simulator.passages import split_sentences
from nbkit.simulator.ranking import words
from nbkit.simulator.sentence_vectors import nearness

NEAR = 0.15
"""The least similarity of a question and the tool that is called for it."""
SHARED_WORDS = 0.3
"""The weight of the question's words that a tool's description has; its meaning has weight 1."""

_PARTS = re.compile(
    r"[?？;；](?=\s*\S)|[,，]?\s*\band (?:also |then )?"
    r"(?=(?:what|how|when|where|who|which|why|is|are|do|does|can|tell|find|give|add|multiply)\b)"
    r"|[,，]?(?:另外|还有|以及|然后|同时)",
    re.IGNORECASE,
)

# LlamaIndex's tool for handing a question to another agent, and what it returns.
_AGENTS = re.compile(r"available agents:\s*(\{.*\})", re.IGNORECASE | re.DOTALL)
_HANDED_OVER = re.compile(r"Agent .+ is now handling the request")
_IS_QUESTION = re.compile(
    r"^(?:what|how|when|where|who|which|why|is|are|do|does|can)\b|[吗呢]|什么|怎|[哪多几]",
    re.IGNORECASE,
)


class Call(NamedTuple):
    """One call of a tool; `arguments` is JSON, unless a fault has broken it."""

    name: str
    arguments: str


class Tool(NamedTuple):
    """A tool that a request offers, with the JSON schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]

    @property
    def told(self) -> str:
        """Its name and description as one text."""
        return f"{' '.join(words_in(self.name))}: {self.description}"


@dataclass(frozen=True)
class Offer:
    """The tools of one request, and whether the model may choose."""

    tools: tuple[Tool, ...] = ()
    required: bool = False
    """A tool must be called, as for structured output."""
    together: bool = True
    """Several calls at once are allowed."""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """The offer in a request; raises ValueError if a tool has no name."""
        tools = tuple(
            tool for row in body.get("tools") or () for tool in _handoffs(_read_tool(row))
        )
        choice = body.get("tool_choice") or "auto"
        if isinstance(choice, Mapping):
            named = (choice.get("function") or choice).get("name")
            tools = tuple(tool for tool in tools if tool.name == named)
        if choice == "none":
            tools = ()
        required = bool(tools) and choice not in ("auto", "none")
        return cls(tools, required, body.get("parallel_tool_calls") is not False)

    def calls(self, question: str, context: str) -> list[Call]:
        """The calls for a question: for each of its parts, the tool nearest in meaning.

        None if no tool is near. A single tool that takes no question, as for structured output, is
        filled from the context, or from a question of several sentences.
        """
        near = self._nearest(question)
        if self.required:
            near = near or self.tools[0]
        is_text = context or len(split_sentences(question)) > 2
        if near and (self.required or is_text) and not asks_a_question(near.schema):
            return [_call(near, fill(near.schema, FromContext(context or question)))]
        parts = [part.strip(" ?？") for part in _PARTS.split(question)]
        chosen = [(part, self._nearest(part)) for part in parts if words(part)]
        if not all(tool for _, tool in chosen):
            chosen = [(question, self._nearest(question))]
        calls = [call for part, tool in chosen if tool for call in _calls(part, tool)]
        return list(dict.fromkeys(calls))[: None if self.together else 1]

    def _nearest(self, part: str) -> Tool | None:
        tools = [tool for tool in self.tools if has_the_numbers(tool.schema, part)]
        told = [tool.told for tool in tools]
        asked = words(part)
        shared = [len(asked & words(text)) / max(len(asked), 1) for text in told]
        meant = nearness(part, told, range(len(told)))
        scores = [near + SHARED_WORDS * s for (near, _), s in zip(meant, shared, strict=True)]
        best = sorted(zip(scores, tools, strict=True), key=lambda pair: -pair[0])
        if best and best[0][0] >= NEAR:
            return best[0][1]
        able = (tool for _, tool in best if asks_a_question(tool.schema))
        return next(able, None) if _IS_QUESTION.search(part) else None


def _read_tool(row: Any) -> Tool:
    function = row.get("function") if isinstance(row, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name := function.get("name"), str):
        raise ValueError("Each of 'tools' must be a function with a name.")
    return Tool(name, str(function.get("description") or ""), function.get("parameters") or {})


def _handoffs(tool: Tool) -> list[Tool]:
    """A tool; instead of the one that hands over, one for each agent, chosen by its purpose."""
    found = _AGENTS.search(tool.description)
    if found is None or "to_agent" not in (tool.schema.get("properties") or ()):
        return [tool]
    try:
        agents = dict(ast.literal_eval(found[1]))
    except (ValueError, SyntaxError, TypeError):
        return [tool]
    return [
        Tool(tool.name, f"{name}: {purpose}", _constant({"to_agent": name, "reason": purpose}))
        for name, purpose in agents.items()
    ]


def _constant(values: Mapping[str, str]) -> Mapping[str, Any]:
    """The schema that only these values fit."""
    return {"properties": {name: {"const": value} for name, value in values.items()}}


def is_handed_over(result: str) -> bool:
    """Whether a tool's result says that this agent is to answer now."""
    return _HANDED_OVER.match(result) is not None


def _calls(part: str, tool: Tool) -> Iterator[Call]:
    """One call; or one for each name in the question, if the tool takes a single name."""
    names = names_in(part, tool.told)
    for text in names if takes_one_name(tool.schema) and len(names) > 1 else [part]:
        yield _call(tool, fill(tool.schema, FromQuestion(text, tool.told)))


def _call(tool: Tool, arguments: Mapping[str, Any]) -> Call:
    return Call(tool.name, json.dumps(arguments, ensure_ascii=False))
