"""Which sentences of a context answer a question: by meaning, and by words.

Nothing depends on particular documents: the weights were chosen with other documents than those
of this package, and word frequencies come from the context itself.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from nbkit.simulator.passages import Paragraph
from nbkit.simulator.sentence_vectors import nearness

PARAGRAPH, WORDS, TIME, LEAD, FIRST = 0.5, 0.45, 0.2, 0.12, 0.1
"""Weights in a sentence's score: its paragraph's meaning, shared words, a time if the question
asks for one, an early position, and the first retrieved chunk; its own meaning has weight 1."""
ENOUGH, ENOUGH_ZH = 0.3, 0.39
"""The least meaning + words of an answer; Chinese texts are more similar to each other."""
MOST_READ = 120
"""The number of sentences compared by meaning, best words first; more would be too slow."""

# Words that are in many questions on any subject.
_STOP = frozenset(
    re.findall(
        r"\w+",
        """
        a about an and any are as at be been but by can could did do does for from get has
        have how i if in is it its long many me much my of on or our please should so some
        tell that the their them there they this those to us was we were what when where which
        who why will with would you your describe detail details explain feature features
        introduce item list overview product summarize thing
        """,
    )
)
_STOP_ZH = re.compile(
    "请问|详细|介绍|描述|总结|功能|特点|产品|什么|怎[么样]|如何|哪[些里儿个]|可以|能不能|是否|有没有"
    "|[我你]们|[这那一][个款下]|多[少久长]|[的了吗呢吧啊是有在我你您它他她这那就都也还和与被到能会要想给让几哪谁]"
)
_CJK = "㐀-鿿"
_WORD = re.compile(rf"[^\W_{_CJK}]+(?:[-.'’][^\W_{_CJK}]+)*")
_RUN = re.compile(f"[{_CJK}]+")
_ENDING = re.compile(r"(?<=\w{3})(?:ies|ing|ed|es|(?<!s)s|ly|y|e)$")
_ASKS_TIME = re.compile(
    r"how (?:long|soon|often)|when|what time|hours|deadline|多久|多长|几天|几点|什么时候|何时|周期",
    re.IGNORECASE,
)
_TELLS_TIME = re.compile(
    r"(?:\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|half)\b|[一二两三四五六七八九十半])"
    r".{0,12}?(?:second|minute|hour|day|week|month|year|秒|分钟|小时|点|天|日|周|月|年)"
    r"|\d (?:am|pm)\b|\d:\d\d|daily|每[天周]|o'clock",
    re.IGNORECASE,
)


class Ranked(NamedTuple):
    """A sentence, its score, and its position in the context."""

    text: str
    paragraph: int
    place: int
    score: float
    near: float
    """Similarity to the question, plus half of that of its paragraph."""
    overlap: float
    """Share of the question's words (0 to 1)."""
    fits: bool
    """Whether it contains a time, if the question asks for one."""


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese, not English; one Chinese character counts as two letters."""
    characters = sum(map(len, _RUN.findall(text)))
    return 2 * characters > sum(c.isascii() and c.isalpha() for c in text)


@lru_cache(maxsize=20_000)
def words(text: str) -> frozenset[str]:
    """The content words of a text: English stems, and pairs of Chinese characters."""
    found = {_ENDING.sub("", word) for word in _WORD.findall(text.lower()) if word not in _STOP}
    for run in _RUN.findall(_STOP_ZH.sub(" ", text)):
        found.update(run[i : i + 2] for i in range(max(1, len(run) - 1)))
    return frozenset(found)


def beyond(text: str, known: str) -> str:
    """The content words of a text that are not in another one, in their order."""
    held = words(known)
    rest = [word for word in _WORD.findall(text) if words(word) - held]
    pairs = "|".join(re.escape(pair) for pair in held if not pair.isascii())
    for run in _RUN.findall(_STOP_ZH.sub(" ", text)):
        parts = _RUN.findall(re.sub(pairs, " ", run) if pairs else run)
        rest += [part for part in parts if len(part) > 1]
    return " ".join(rest)


def rank(question: str, paragraphs: Sequence[Paragraph], earlier: str = "") -> list[Ranked]:
    """The sentences of a context, best answer first.

    `earlier` is a previous question of the chat to which this one refers.
    """
    rows = [(text, number) for number, p in enumerate(paragraphs) for text in p.sentences]
    asked = f"{earlier} {question}".strip()
    overlaps = _overlaps(words(asked), paragraphs)
    read = sorted(range(len(rows)), key=lambda i: (-overlaps[i], i))[:MOST_READ]
    nearest = nearness(asked, [rows[i][0] for i in read], [rows[i][1] for i in read])
    meant = dict(zip(read, nearest, strict=True))
    # A question without content words is similar to nothing, so the position counts more.
    vague = 1.0 if words(asked) else 0.3
    asks_time = bool(_ASKS_TIME.search(question))
    before: Counter[tuple[str, int]] = Counter()
    ranked = []
    for place, (text, number) in enumerate(rows):
        own, around = meant.get(place, (0.0, 0.0))
        chunk = paragraphs[number].chunk
        # Main facts come first: "How much is it?" asks about the product, not its accessories.
        lead = 1 / (1 + before["chunk", chunk]) + 1 / (1 + before["paragraph", number])
        before.update([("chunk", chunk), ("paragraph", number)])
        fits = not asks_time or bool(_TELLS_TIME.search(text))
        near = vague * (own + PARAGRAPH * around)
        score = near + WORDS * overlaps[place] + TIME * fits + LEAD * lead + FIRST / (1 + chunk)
        ranked.append(Ranked(text, number, place, score, near, overlaps[place], fits))
    return sorted(ranked, key=lambda r: (-r.score, r.place))


def is_found(question: str, ranked: Sequence[Ranked]) -> bool:
    """Whether the ranked sentences contain an answer at all."""
    if not words(question):
        # "How long is it?" has no content words.
        return any(r.fits for r in ranked)
    both = is_chinese(question) and is_chinese(" ".join(r.text for r in ranked))
    near = max((r.near for r in ranked), default=0.0)
    overlap = max((r.overlap for r in ranked), default=0.0)
    return near + overlap >= (ENOUGH_ZH if both else ENOUGH)


def _overlaps(asked: frozenset[str], paragraphs: Sequence[Paragraph]) -> list[float]:
    """For each sentence, the share of the question's words in or around it, weighted by rarity."""
    own = [[words(text) for text in p.sentences] for p in paragraphs]
    seen = Counter(word for sentences in own for found in sentences for word in found)
    count = sum(map(len, own))
    # A Chinese word has several pairs.
    weights = {
        word: math.log(1 + count / (0.5 + seen[word])) * (1.0 if word.isascii() else 0.5)
        for word in sorted(asked)
    }
    total = sum(weights.values()) or 1.0
    shares = []
    for p, sentences in zip(paragraphs, own, strict=True):
        above, around = words(" / ".join(p.headings)), words(p.markdown)
        for held in sentences:
            worth = (
                w * (1.0 if f in held else 0.5 if f in above else 0.3 if f in around else 0.0)
                for f, w in weights.items()
            )
            shares.append(sum(worth) / total)
    return shares
