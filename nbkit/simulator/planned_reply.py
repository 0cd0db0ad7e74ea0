"""One whole reply of the simulated model: what it thinks, the tools it calls, what it says."""

import json
import re
from collections.abc import Sequence
from itertools import cycle
from typing import NamedTuple

from nbkit.simulator.answers import answer, answer_from, earlier_question
from nbkit.simulator.passages import take_apart
from nbkit.simulator.prompts import PromptMessage, read_prompt
from nbkit.simulator.ranking import is_chinese, words
from nbkit.simulator.tokens import tokenize
from nbkit.simulator.tools import Call, Offer, Tool, is_handed_over

_NO_TOOL = {
    False: "None of the tools I can call fits this question.",
    True: "我可以调用的工具都不适合这个问题。",
}
_NO_TEXT = {
    False: "The tool returned nothing that I can read.",
    True: "工具没有返回我能读的内容。",
}
# LlamaIndex's ReActAgent tells a model its tools in words, and reads the calls from its text.
_REACT_TOOL = re.compile(
    r"^> Tool Name: (\S+)\nTool Description: (.*?)\nTool Args: (\{.*?\})$", re.MULTILINE | re.DOTALL
)
_OBSERVATION = "Observation:"
_REACT_CALL = (
    "Thought: The current language of the user is: {language}. I need to use a tool to help me "
    "answer the question.\nAction: {name}\nAction Input: {arguments}"
)
_REACT_ANSWER = (
    "Thought: I can answer without using any more tools. I'll use the user's language to answer\n"
    "Answer: {text}"
)


class Reply(NamedTuple):
    """A reply: text, or calls of tools."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thought: str = ""


class Piece(NamedTuple):
    """One token of a reply."""

    field: str
    """Where it is in a message: reasoning_content, tool_calls or content."""
    token: str
    call: int = 0
    """The number of the tool call it belongs to."""
    name: str = ""
    """The tool's name, in the first piece of a call, which has no token of the arguments."""


def pieces(reply: Reply) -> list[Piece]:
    """The tokens of a reply in the order they are sent."""
    parts = [Piece("reasoning_content", token) for token in tokenize(reply.thought)]
    for number, call in enumerate(reply.calls):
        parts.append(Piece("tool_calls", "", number, call.name))
        parts += [Piece("tool_calls", token, number) for token in tokenize(call.arguments)]
    return parts + [Piece("content", token) for token in tokenize(reply.text)]


def reply(
    messages: Sequence[PromptMessage], offer: Offer, *, thinking: int = 0, fault: str | None = None
) -> Reply:
    """The reply to a request; `thinking` is how many tokens its thoughts have.

    The faults "bad_json", "unknown_tool" and "same_call" spoil the calls of tools.
    """
    react = tuple(_react_tools(messages))
    results = _results(messages, react=bool(react))
    conversation = [m for m in messages if m.role != "tool" and not _is_observation(m)]
    prompt = read_prompt(conversation)
    together = f"{earlier_question(prompt)} {prompt.question}".strip()
    asked = prompt.question if words(prompt.question) else together
    offer = Offer(react) if react else offer
    calls = offer.calls(asked, prompt.context) or offer.calls(together, prompt.context)
    # A ReAct agent runs one call after the other.
    left = calls[len(results) :] if react else [] if results else calls
    chosen = tuple(_spoilt(calls if fault == "same_call" else left, fault))
    chinese = is_chinese(asked)
    if chosen:
        text = ""
    elif results:
        text = "\n\n".join(answer_from(asked, r) if r else _NO_TEXT[chinese] for r in results)
    elif offer.tools and not prompt.context:
        text = _NO_TOOL[chinese]
    else:
        text = answer(conversation)
    thought = _thought(asked, "\n\n".join(results) or prompt.context, thinking, chinese=chinese)
    if not react:
        return Reply(text, chosen, thought)
    if not chosen:
        return Reply(_REACT_ANSWER.format(text=text), (), thought)
    language = "Chinese" if chinese else "English"
    return Reply(_REACT_CALL.format(language=language, **chosen[0]._asdict()), (), thought)


def _react_tools(messages: Sequence[PromptMessage]) -> list[Tool]:
    system = "\n".join(m.text for m in messages if m.role in ("system", "developer"))
    return [
        Tool(name, told, json.loads(schema)) for name, told, schema in _REACT_TOOL.findall(system)
    ]


def _is_observation(message: PromptMessage) -> bool:
    return message.role == "user" and message.text.startswith(_OBSERVATION)


def _results(messages: Sequence[PromptMessage], *, react: bool) -> list[str]:
    """What the tools gave since the last question."""
    results: list[str] = []
    for message in messages:
        if message.role == "tool" or (react and _is_observation(message)):
            result = message.text.removeprefix(_OBSERVATION).strip()
            results += [] if is_handed_over(result) else [result]
        elif message.role == "user":
            results.clear()
    return results


def _spoilt(calls: Sequence[Call], fault: str | None) -> list[Call]:
    if fault == "bad_json":
        return [Call(name, arguments.replace(":", " ->")) for name, arguments in calls]
    if fault == "unknown_tool":
        return [Call(f"{name}_v2", arguments) for name, arguments in calls]
    return list(calls)


def _thought(question: str, context: str, size: int, *, chinese: bool) -> str:
    """Thoughts of `size` tokens about a question: its words, then what the context says."""
    if not size:
        return ""
    opening = (
        f"用户问的是：{question}我先看看资料。"
        if chinese
        else (f"The user asks: {question} Let me look at what I have. ")
    )
    said = [sentence for part in take_apart(context) for sentence in part.sentences]
    again = "我再想一想。" if chinese else "Let me check that again."
    text = opening
    for sentence in cycle([*said, again]):
        if len(tokens := tokenize(text)) >= size:
            return "".join(tokens[:size])
        text += sentence if chinese else f"{sentence.strip()} "
    raise AssertionError  # `cycle` does not end
