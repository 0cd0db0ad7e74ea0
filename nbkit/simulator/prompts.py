"""Reading LlamaIndex's prompts back: which question, over which context, to do what."""

import ast
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Kind = Literal["answer", "refine", "condense", "summarize", "chat"]


class PromptMessage(NamedTuple):
    """One message of a chat: who speaks (system, user, assistant) and what."""

    role: str
    text: str


class Prompt(NamedTuple):
    """What is asked of the model; `earlier` holds the user's previous questions, oldest first."""

    kind: Kind
    question: str
    context: str = ""
    existing: str = ""
    earlier: tuple[str, ...] = ()


_RULE = r"\n[ \t]*-{5,}[ \t]*\n"
_FLAGS = re.DOTALL | re.IGNORECASE

# Each pattern follows one template of llama_index.core 0.14; the file is named above it.
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, _FLAGS))  # type: ignore[misc]
    for kind, pattern in (
        # chat_engine/condense_plus_context.py
        (
            "condense",
            r"Chat History:\s*(?P<history>.*)\n\s*Follow Up Input:\s*(?P<question>.*?)\s*"
            r"Standalone question:",
        ),
        # chat_engine/condense_question.py
        (
            "condense",
            r"<Chat History>\s*(?P<history>.*)<Follow Up Message>\s*(?P<question>.*?)\s*"
            r"<Standalone question>",
        ),
        # prompts/chat_prompts.py
        (
            "refine",
            r"New Context:\s*(?P<context>.*)\nQuery:\s*(?P<question>.*?)\n"
            r"Original Answer:\s*(?P<existing>.*?)\s*New Answer:\s*$",
        ),
        # prompts/default_prompts.py
        (
            "refine",
            r"original query is as follows:\s*(?P<question>.*?)\n.*?existing answer:\s*"
            rf"(?P<existing>.*?)\nWe have the opportunity.*?{_RULE}(?P<context>.*){_RULE}",
        ),
        # chat_engine/context.py and condense_plus_context.py, second and later windows
        (
            "refine",
            rf"refine the following existing answer.*?{_RULE}(?P<context>.*){_RULE}"
            rf"\s*Existing Answer:\s*(?P<existing>.*?){_RULE}",
        ),
        (
            "refine",
            r"relevant documents for the context:\s*(?P<context>.*)\n\s*Existing Answer:\s*"
            r"(?P<existing>.*?)\n\s*Instruction: Refine",
        ),
        # chat_engine/condense_plus_context.py
        (
            "answer",
            r"relevant documents for the context:\s*(?P<context>.*)\n\s*Instruction: Based on",
        ),
        # prompts/default_prompts.py
        ("summarize", r"Write a summary of the following\.[^\n]*\n(?P<context>.*)SUMMARY:"),
        # Every other: context between two rules, as most templates have it, readers' own too.
        ("answer", rf"{_RULE}(?P<context>.*){_RULE}"),
    )
)
_QUESTION = re.compile(
    r"(?:^|\n)[ \t]*(?:Query|Question|问题|查询|提问|用户问题)[ \t]*[:：][ \t]*(?P<question>.*?)\s*"
    r"(?:\n[ \t]*(?:[\w ]{0,20}Answer|回答|答案|答)[ \t]*[:：]?\s*)?$",
    _FLAGS,
)
_SPEAKER = re.compile(r"^(user|human|assistant|system|tool):\s*", re.IGNORECASE | re.MULTILINE)


def read_prompt(messages: Sequence[PromptMessage]) -> Prompt:
    """What LlamaIndex asks with these messages; a plain chat when nothing is recognised.

    Knows the QA, refine, tree-summarize, simple, condense and chat-with-context templates of
    llama_index.core 0.14, and any prompt with its context between two lines of dashes and its
    question after `Query:`, `Question:` or 问题：.
    """
    asked = [m.text.strip() for m in messages if m.role == "user"]
    last = asked[-1] if asked else ""
    system = "\n".join(m.text for m in messages if m.role in ("system", "developer"))
    earlier = tuple(asked[:-1])
    # In a chat the context is in the system message, in a query it is in the user's.
    for text, is_users in ((last, True), (system, False)):
        padded = f"\n{text}\n"
        for kind, pattern in _PATTERNS:
            found = pattern.search(padded)
            if found is None:
                continue
            parts = found.groupdict()
            if kind == "condense":
                earlier = _users_turns(parts["history"])
            question = parts.get("question") or (_question(padded[found.end() :]) or last)
            if is_users and question == last:
                question = ""
            return Prompt(
                kind,
                question.strip(),
                _joined((parts.get("context") or "").strip()),
                (parts.get("existing") or "").strip(),
                earlier,
            )
    return Prompt("chat", last, earlier=earlier)


def _joined(context: str) -> str:
    """Undo what `simple_summarize` does: it puts a Python list of texts into the prompt."""
    if not context.startswith(("['", '["')):
        return context
    try:
        texts = ast.literal_eval(context)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return context
    return "\n\n".join(map(str, texts)) if isinstance(texts, list) else context


def _question(after_context: str) -> str | None:
    found = list(_QUESTION.finditer(after_context))
    return found[-1]["question"] if found else None


def _users_turns(history: str) -> tuple[str, ...]:
    """Pick the user's turns from `role: text` lines."""
    parts = _SPEAKER.split(history)
    turns = zip(parts[1::2], parts[2::2], strict=False)
    return tuple(text.strip() for who, text in turns if who.lower() in ("user", "human"))
