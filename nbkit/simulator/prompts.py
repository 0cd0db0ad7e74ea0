"""Reads LlamaIndex's prompts: the question, the context, and the task."""

import ast
import re
from collections.abc import Sequence
from typing import NamedTuple


class PromptMessage(NamedTuple):
    """One message of a chat: role (system, user, assistant) and text."""

    role: str
    text: str


class Prompt(NamedTuple):
    """What is asked of the model; `earlier` holds the user's previous questions, oldest first."""

    kind: str
    """answer, refine, condense, summarize, or chat."""
    question: str
    context: str = ""
    existing: str = ""
    earlier: tuple[str, ...] = ()


_FLAGS = re.DOTALL | re.IGNORECASE
_RULE = r"\n[ \t]*-{5,}[ \t]*\n"
# The text around each part in the templates of llama_index.core 0.14 (prompts/, chat_engine/).
_CONDENSE = re.compile(
    r"<?Chat History(?:>|:)(?P<history>.*)\n\s*<?Follow Up (?:Input:|Message>)\s*"
    r"(?P<question>.*?)\s*<?Standalone question",
    _FLAGS,
)
_CONTEXTS = tuple(
    re.compile(pattern, _FLAGS)
    for pattern in (
        r"New Context:\s*(.*)(?=\nQuery:.*\nOriginal Answer:)",
        rf"{_RULE}(.*){_RULE}(?=\s*Existing Answer:)",
        r"relevant documents for the context:\s*(.*)\n\s*(?=Existing Answer:|Instruction: Based)",
        r"Write a summary of the following\.[^\n]*\n(.*)SUMMARY:",
        rf"{_RULE}(.*){_RULE}",  # in most templates, and in many that users write
    )
)
_EXISTING = re.compile(
    r"(?:existing|original) answer:\s*(.*?)\s*"
    rf"(?:\nWe have the opportunity|\n\s*Instruction: Refine|New Answer:|{_RULE})",
    _FLAGS,
)
_QUESTION = re.compile(
    r"(?:^|\n)[ \t]*(?:The original query is as follows|Query|Question|问题|查询|提问|用户问题)"
    r"[ \t]*[:：]\s*(.*?)\s*"
    r"(?:\nWe have provided|\n[ \t]*(?:[\w ]{0,20}Answer|回答|答案|答)[ \t]*(?:[:：]|$)|$)",
    _FLAGS,
)
# How an agent with a state (`initial_state=`) puts it before each message.
_STATE = re.compile(r"\ACurrent state:\n.*\n\nCurrent message:\n(.*)", re.DOTALL)
_SPEAKER = re.compile(r"^(user|human|assistant|system|tool):\s*", re.IGNORECASE | re.MULTILINE)


def read_prompt(messages: Sequence[PromptMessage]) -> Prompt:
    """What LlamaIndex asks with these messages; a plain chat if no template is recognised.

    Recognises the QA, refine, tree-summarize, simple, condense and chat-with-context templates of
    llama_index.core 0.14, and any prompt with its context between two lines of dashes and its
    question after `Query:`, `Question:` or 问题：.
    """
    asked = [_STATE.sub(r"\1", m.text).strip() for m in messages if m.role == "user"]
    last, earlier = asked[-1] if asked else "", tuple(asked[:-1])
    if condense := _CONDENSE.search(last):
        return Prompt("condense", condense["question"], earlier=_users_turns(condense["history"]))
    system = "\n".join(m.text for m in messages if m.role in ("system", "developer"))
    # In a query the context is in the user's message, in a chat it is in the system message.
    for text in (f"\n{last}\n", f"\n{system}\n"):
        found = next(filter(None, (pattern.search(text) for pattern in _CONTEXTS)), None)
        if found is None:
            continue
        around = text[: found.start()] + "\n" + text[found.end() :]
        existing = _EXISTING.search(around)
        labelled = _QUESTION.findall(around)
        question = labelled[-1] if labelled else "" if text.strip() == last else last
        is_summary = found[0].lower().startswith("write a summary")
        kind = "refine" if existing else "summarize" if is_summary else "answer"
        said = existing[1] if existing else ""
        return Prompt(kind, question, _joined(found[1].strip()), said, earlier)
    return Prompt("chat", last, earlier=earlier)


def _joined(context: str) -> str:
    """Undo what `simple_summarize` does: it puts a Python list of texts into the prompt."""
    try:
        texts = ast.literal_eval(context) if context.startswith(("['", '["')) else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return context
    return "\n\n".join(map(str, texts)) if isinstance(texts, list) else context


def _users_turns(history: str) -> tuple[str, ...]:
    parts = _SPEAKER.split(history.strip())
    turns = zip(parts[1::2], parts[2::2], strict=False)
    return tuple(text.strip() for who, text in turns if who.lower() in ("user", "human"))
