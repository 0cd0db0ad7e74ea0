"""What the simulated model answers: sentences of the context, chosen by the question."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from nbkit.simulator.passages import Paragraph, take_apart
from nbkit.simulator.prompts import Prompt, PromptMessage, read_prompt
from nbkit.simulator.ranking import Ranked, is_chinese, is_found, rank, words
from nbkit.simulator.tokens import tokenize

TOKENS_SURE, TOKENS_UNSURE, TOKENS_LONG = 80, 200, 450
"""Approximate length of an answer: shortest, several sentences may fit, details wanted."""
CLOSE = 0.2
"""A sentence this close to the best score may make an answer longer than the shortest."""

_AT_LENGTH = re.compile(
    r"\b(?:describe|explain|introduce|overview|detail(?:s|ed)?|features|summar\w+)\b"
    r"|\ball (?:the|of|about)\b|tell me (?:everything|all|more) about|\blist (?:all|the|every)"
    r"|详细|介绍|描述|说明一下|功能|特点|列出|全部|总结|概述|讲讲|完整|解释",
    re.IGNORECASE,
)
_STEPS = re.compile(r"\bhow (?:do|can|to|should) |\bsteps\b|怎么|如何|怎样|步骤", re.IGNORECASE)
_REFERS_BACK = re.compile(
    r"\b(?:it|its|that|this|they|them|those|these|ones?|there)\b|它|那|这|呢[?？]?$|还有",
    re.IGNORECASE,
)
_NOT_FOUND = {
    False: "I could not find the answer to that in the documents.",
    True: "在这些文档里没有找到相关内容。",
}
_NO_CONTEXT = {
    False: (
        "I am a simulated model: I only answer from the documents I am given, and this question "
        "came without any. Ask me through an index, for example with "
        "`index.as_query_engine(llm=llm)`."
    ),
    True: (
        "我是一个模拟模型，只会根据给我的文档回答问题，而这次没有收到任何文档。"
        "请通过索引来提问，例如 `index.as_query_engine(llm=llm)`。"
    ),
}

# The same chunks come with other questions, and paragraphs are immutable.
_take_apart = lru_cache(maxsize=256)(take_apart)


def answer(messages: Sequence[PromptMessage]) -> str:
    """The answer to a request, in Markdown, made only from the context in its messages.

    Short if few sentences fit best, longer if many do, and detailed if the question asks to
    describe, explain or list. If the answer is not in the context, or there is no context, it says
    so. Equal messages give equal answers. The first call with a context loads the encoder.
    """
    prompt = read_prompt(messages)
    earlier = earlier_question(prompt)
    asked = f"{earlier} {prompt.question}".strip()
    if prompt.kind == "condense":
        return asked
    chinese = is_chinese(prompt.question or prompt.context)
    if prompt.kind == "chat" or not prompt.context:
        return prompt.existing or _NO_CONTEXT[chinese]
    paragraphs = _take_apart(prompt.context)
    ranked = rank(prompt.question, paragraphs, earlier)
    if prompt.kind == "summarize" or not prompt.question:
        found = _at_length(paragraphs, ranked)
    elif not is_found(asked, ranked):
        found = ""
    elif _AT_LENGTH.search(prompt.question):
        found = _at_length(paragraphs, ranked)
    else:
        found = _briefly(paragraphs, ranked, whole=bool(_STEPS.search(prompt.question)))
    if prompt.kind == "refine":
        found = _refined(prompt, ranked, found)
    return found or _NOT_FOUND[chinese]


def earlier_question(prompt: Prompt) -> str:
    """The previous question of a chat, if this one cannot be understood without it."""
    refers_back = len(words(prompt.question)) < 2 or _REFERS_BACK.search(prompt.question)
    return prompt.earlier[-1] if prompt.earlier and refers_back else ""


def answer_from(question: str, text: str) -> str:
    """What a text says about a question: all of a short text, the best sentences of a long one."""
    if len(tokenize(text)) <= TOKENS_UNSURE:
        return text.strip()
    paragraphs = _take_apart(text)
    return _briefly(paragraphs, rank(question, paragraphs), whole=False)


def _refined(prompt: Prompt, ranked: Sequence[Ranked], found: str) -> str:
    existing = "" if prompt.existing in _NOT_FOUND.values() else prompt.existing
    if not found or not existing:
        return found or existing
    # Only a sentence that is better than all in the existing answer changes it.
    so_far = rank(prompt.question, take_apart(existing))
    if found in existing or (so_far and so_far[0].score >= ranked[0].score):
        return existing
    return f"{found}\n\n{existing}"


def _briefly(paragraphs: Sequence[Paragraph], ranked: Sequence[Ranked], *, whole: bool) -> str:
    """The best sentences; with `whole` all of the best paragraph, as steps are needed together."""
    best = ranked[0]
    first = paragraphs[best.paragraph]
    chosen: dict[str, Ranked] = {}
    length = len(tokenize(first.markdown)) if whole else 0
    lowest = best.score - (0 if whole else CLOSE)
    for r in ranked:
        if length >= TOKENS_UNSURE or (length >= TOKENS_SURE and r.score < lowest):
            break
        if r.text not in chosen and not (whole and r.paragraph == best.paragraph):
            chosen[r.text] = r
            length += len(tokenize(r.text))
    by_paragraph: dict[int, list[str]] = {} if whole else {best.paragraph: []}
    for r in sorted(chosen.values(), key=lambda r: r.place):
        by_paragraph.setdefault(r.paragraph, []).append(r.text)
    parts = [_join(texts, paragraphs[n]) for n, texts in by_paragraph.items()]
    return "\n\n".join([first.markdown, *parts] if whole else parts)


def _join(sentences: Iterable[str], paragraph: Paragraph) -> str:
    if paragraph.is_list:
        return "\n".join(f"- {sentence}" for sentence in sentences)
    text = ""
    for sentence in sentences:
        end = "" if sentence[-1] in ".!?。！？:：`" else "。" if is_chinese(sentence) else "."
        text += ("" if not text or text[-1] in "。！？" else " ") + sentence + end
    return text


def _at_length(paragraphs: Sequence[Paragraph], ranked: Sequence[Ranked]) -> str:
    """The best paragraphs as Markdown under their headings, in the order of the context."""
    chosen: list[int] = []
    room = TOKENS_LONG
    for number in dict.fromkeys(r.paragraph for r in ranked):
        room -= len(tokenize(paragraphs[number].markdown))
        if chosen and room < 0:
            break
        chosen.append(number)
    parts: list[str] = []
    above: tuple[str, ...] = ()
    for p in (paragraphs[number] for number in sorted(chosen)):
        if p.headings != above:
            parts.extend(f"## {title}" for title in p.headings[-1:])
        above = p.headings
        parts.append(p.markdown)
    return "\n\n".join(parts)
