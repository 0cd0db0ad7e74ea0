"""What the simulated model says: the context's own sentences, chosen by the question."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from statistics import fmean

from nbkit.simulator.document import Block, Document, Piece, take_apart
from nbkit.simulator.lexicon import features, is_chinese
from nbkit.simulator.prompts import Message, Prompt, read_prompt
from nbkit.simulator.ranking import RETRIEVED_FIRST, Ranked, rank
from nbkit.simulator.tokens import tokenize

SENTENCES = 3
"""Most sentences in an answer that is sure, fewest in one that is not."""
TOKENS_UNSURE = 180
"""Length of an answer that is not sure, about: the same in both languages, so more Chinese
sentences, which are shorter."""
SURE = 0.8
"""Share of the question's words that the best sentence must hold to be trusted."""
READS_ON = 0.25
"""Bonus for a sentence from the paragraph of the best, in an answer that is sure."""
WORTH = 0.6
"""Share of the best score a further sentence must reach in an answer that is sure."""
CLOSE = 0.45
"""How far below the best score a sentence may be in an answer that is not."""
ENOUGH, ENOUGH_ZH = 0.42, 0.48
"""Best score below which the context is said not to hold the answer. Chinese texts are nearer to
each other, so more is asked where question and context are both Chinese."""
WORTH_AT_LENGTH = 0.5
"""The same for a section of a long answer."""
LONG = 1_800
"""Letters of a long answer, about; a Chinese character counts as three."""

_AT_LENGTH = re.compile(
    r"\bdescribe\b|\bexplain\b|in detail|\bdetailed\b|\boverview\b|\bsummar"
    r"|\ball (?:the|of|about)\b|tell me (?:everything|all|more) about"
    r"|\blist (?:all|the|every)|\bintroduce\b|\bfeatures\b"
    r"|详细|介绍|描述|说明一下|功能特点|特点|列出|全部|总结|概述|讲讲|完整",
    re.IGNORECASE,
)
_STEPS = re.compile(
    r"\bhow (?:do|can|to|should) |\bsteps\b|怎么|如何|怎样|步骤|操作", re.IGNORECASE
)
_POINTS_BACK = re.compile(
    r"\b(?:it|its|that|this|they|them|those|these|one|ones|there)\b|它|那|这|呢[?？]?$|还有",
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


def answer(messages: Sequence[Message]) -> str:
    """Give the answer to a request, in Markdown, made only of the context it brings along.

    Two or three sentences, up to `TOKENS_UNSURE` where it is unsure which ones answer, or some
    hundred words when the question asks to describe, explain or list. Says so when the context does
    not hold the answer, or when there is no context. Same messages, same answer. The first call
    with a context waits for the embedding (see `meaning`); then a context takes about 0.2 s of CPU
    when new, and milliseconds when not.
    """
    prompt = read_prompt(messages)
    if prompt.kind == "condense":
        return _standalone(prompt)
    chinese = is_chinese(prompt.question or prompt.context)
    if prompt.kind == "chat" or not prompt.context.strip():
        return prompt.existing or _NO_CONTEXT[chinese]
    document = _take_apart(prompt.context)
    if prompt.kind == "summarize" or not prompt.question:
        return _at_length(document, []) or _NOT_FOUND[chinese]
    earlier = prompt.earlier[-1] if prompt.earlier and _points_back(prompt.question) else ""
    ranked = rank(prompt.question, document, earlier)
    if prompt.kind == "refine":
        return _refined(prompt, document, ranked)
    if _AT_LENGTH.search(prompt.question):
        return _at_length(document, ranked) or _NOT_FOUND[chinese]
    if not _is_found(prompt, ranked):
        return _NOT_FOUND[chinese]
    return _briefly(document, ranked, steps=bool(_STEPS.search(prompt.question)))


# Chunks come again with other questions, and a document is never changed.
_take_apart = lru_cache(maxsize=256)(take_apart)


def _is_found(prompt: Prompt, ranked: list[Ranked]) -> bool:
    chinese = is_chinese(prompt.question) and is_chinese(prompt.context)
    return bool(ranked) and ranked[0].score >= (ENOUGH_ZH if chinese else ENOUGH)


def _standalone(prompt: Prompt) -> str:
    if prompt.earlier and _points_back(prompt.question):
        return f"{prompt.earlier[-1]} {prompt.question}"
    return prompt.question


def _points_back(question: str) -> bool:
    """Whether a question of a chat leans on the one before it."""
    words = [f for f in features(question) if not f.startswith("#")]
    return len(words) < 3 or bool(_POINTS_BACK.search(question))


def _refined(prompt: Prompt, document: Document, ranked: list[Ranked]) -> str:
    existing = prompt.existing
    if existing in _NOT_FOUND.values():
        existing = ""
    if not _is_found(prompt, ranked):
        return prompt.existing or _NOT_FOUND[is_chinese(prompt.question)]
    if _AT_LENGTH.search(prompt.question):
        return "\n\n".join(filter(None, [existing, _at_length(document, ranked)]))
    # Only a sentence that beats everything said so far is worth changing an answer for.
    so_far = rank(prompt.question, take_apart(existing)) if existing else []
    if so_far and so_far[0].score >= ranked[0].score:
        return existing
    fresh = _briefly(document, ranked, steps=bool(_STEPS.search(prompt.question)))
    return fresh if fresh in existing or not existing else f"{fresh}\n\n{existing}"


def _briefly(document: Document, ranked: list[Ranked], *, steps: bool) -> str:
    best = ranked[0]
    if best.piece.shape == "item" and steps:
        return _with_lead(document, best.piece)
    sure = best.overlap >= SURE
    if sure:
        ranked = sorted(
            ranked, key=lambda r: -r.score - READS_ON * (r.piece.block == best.piece.block)
        )
    least = WORTH * best.score if sure else best.score - CLOSE
    chosen: list[Ranked] = []
    length = 0
    for r in ranked:
        full = len(chosen) >= SENTENCES and (sure or length >= TOKENS_UNSURE)
        if full or (r.score < least and (sure or len(chosen) >= SENTENCES)):
            break
        if r.piece.text not in (c.piece.text for c in chosen):
            chosen.append(r)
            length += len(tokenize(r.piece.text))
    # In the order of the context, but what answers best comes first if it is from elsewhere.
    chosen.sort(key=lambda r: (r.piece.chunk != best.piece.chunk, r.place))
    if len(chosen) <= SENTENCES:
        return _join([r.piece for r in chosen])
    paragraphs = groupby((r.piece for r in chosen), lambda piece: piece.chunk)
    return "\n\n".join(_join(list(pieces)) for _, pieces in paragraphs)


def _join(pieces: Sequence[Piece]) -> str:
    if len(pieces) > 1 and all(piece.shape != "sentence" for piece in pieces):
        return "\n".join(f"- {piece.text}" for piece in pieces)
    text = ""
    for piece in pieces:
        sentence = piece.text
        if sentence[-1] not in ".!?。！？:：`":
            sentence += "。" if is_chinese(sentence) else "."
        space = "" if not text or text[-1] in "。！？" else " "
        text += space + sentence
    return text


def _with_lead(document: Document, piece: Piece) -> str:
    """Give the whole list a piece is from, with the line that leads to it."""
    block = document.blocks[piece.block]
    before = document.blocks[block.number - 1] if block.number else None
    if before and before.headings == block.headings and before.markdown.rstrip()[-1] in ":：":
        return f"{before.markdown}\n\n{block.markdown}"
    return block.markdown


def _at_length(document: Document, ranked: list[Ranked]) -> str:
    """Give the best sections in their own Markdown, each document's in its own order."""
    overlaps: dict[int, list[float]] = {}
    for r in ranked:
        overlaps.setdefault(r.piece.block, []).append(r.overlap)
    by_chunk: dict[int, list[float]] = {}
    for block in document.blocks:
        by_chunk.setdefault(block.chunk, []).extend(overlaps.get(block.number, [0.0]))
    # A whole document may be what is meant: its title bears on every sentence in it.
    about = {c: fmean(found) + RETRIEVED_FIRST / (1 + c) for c, found in by_chunk.items()}
    sections = [list(blocks) for _, blocks in groupby(document.blocks, _section)]
    scores = []
    for blocks in sections:
        found = [overlap for block in blocks for overlap in overlaps.get(block.number, [0.0])]
        scores.append(about[blocks[0].chunk] + fmean(found) + max(found))
    chosen: list[list[Block]] = []
    room = LONG
    for score, blocks in sorted(zip(scores, sections, strict=True), key=lambda s: -s[0]):
        size = sum(len(b.markdown) * (3 if is_chinese(b.markdown) else 1) for b in blocks)
        if chosen and (size > room or score < WORTH_AT_LENGTH * max(scores)):
            continue
        chosen.append(blocks)
        room -= size
    chosen.sort(key=lambda blocks: (-about[blocks[0].chunk], blocks[0].number))
    parts: list[str] = []
    for blocks in chosen:
        if blocks[0].headings:
            parts.append(f"## {blocks[0].headings[-1]}")
        parts.extend(block.markdown for block in blocks)
    return "\n\n".join(parts)


def _section(block: Block) -> tuple[int, tuple[str, ...]]:
    return block.chunk, block.headings
