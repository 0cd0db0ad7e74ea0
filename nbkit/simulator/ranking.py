"""Which sentences of a context answer a question: by meaning, by words, by the kind of answer.

Nothing here knows any document: weights were chosen on questions about small folders that are not
part of this package, and how rare a word is follows from the context itself.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from nbkit.simulator.passages import Paragraph
from nbkit.simulator.sentence_vectors import nearness

PARAGRAPH, WORDS, KIND, LEAD, FIRST = 0.5, 0.45, 0.2, 0.12, 0.1
"""Weights in a sentence's score of its paragraph's meaning, shared words, the kind of answer asked
for, an early place, and the first chunk retrieved; that of its own meaning is 1."""
ENOUGH, ENOUGH_ZH, STRANGE = 0.3, 0.39, 0.1
"""Meaning and words that an answer needs. Chinese texts are nearer to each other; a question about
a name or number that the context does not have needs more."""
READ = 120
"""Most sentences compared by meaning, those with the best words: more would take too long."""

_STOP = frozenset(
    re.findall(
        r"\w+",
        """
        a about an and any are as at be been but by can could did do does for from get has have how
        i if in is it its long many me much my of on or our please should so some tell that the
        their them there they this those to us was we were what when where which who why will with
        would you your describe detail details explain feature features introduce item list overview
        product summarize thing
        """,
    )
)
_STOP_ZH = re.compile(
    "请问|详细|介绍|描述|总结|功能|特点|产品|商品|这款|一款|什么|多少|多久|多长|怎么|怎样|如何|哪些|哪里|哪儿|哪个|可以|能不能|是否|有没有|我们|你们|这个|那个|一个|一下"
    "|[的了吗呢吧啊是有在我你您它他她这那就都也还和与把被到能会要想给让几哪谁]"
)
_WORD = re.compile(r"[^\W_㐀-鿿]+(?:[-.'’][^\W_㐀-鿿]+)*")
_RUN = re.compile(r"[㐀-鿿]+")
_NAME = re.compile(r"(?<=\w )[A-Z]\w+|\b\d{3,}\b")
_AMOUNT = (
    r"(?:\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|half)\b"
    r"|[一二两三四五六七八九十半百])"
)
# How a question asks for money, a time, a number, a measure, a place, steps or a reason, and how
# sentences tell it.
_KINDS = tuple(
    (re.compile(asked, re.IGNORECASE), re.compile(told, re.IGNORECASE))
    for asked, told in (
        (
            r"how much|price|cost|\bfee\b|\bpay\b|多少钱|价|费|收钱",
            r"[$€£¥]\s?\d|\d\s*(?:[A-Z]{3}\b|dollars?|euros?|pounds?|元|块|角)"
            r"|\bfree\b|免费|[角元]钱?",
        ),
        (
            r"how (?:long|soon|often)|when|what time|hours|deadline"
            r"|多久|多长|几天|几点|什么时候|何时|周期",
            rf"{_AMOUNT}.{{0,12}}?(?:second|minute|hour|day|week|month|year"
            r"|秒|分钟|小时|点|天|日|周|月|年)|\d (?:am|pm)\b|\d:\d\d|daily|每[天周]|o'clock",
        ),
        (r"how (?:many|old)|多[少大]|几[个本次人]", _AMOUNT),
        (r"how heavy|weigh|多重|重量", r"\d\s*(?:kg|g|lbs?|pounds|公斤|千克|克)\b"),
        (
            r"how (?:big|tall|wide|far|high|large|deep)|size|多[高宽远深]|尺寸",
            r"\d\s*(?:mm|cm|km|m|inch(?:es)?|feet|miles|毫米|厘米|公里|米)\b",
        ),
        (
            r"^(?:where|which place)|在?哪[里儿]|地址",
            r"\b(?:at|street|road|avenue|floor)\b|在|位于|路|楼",
        ),
        (
            r"how (?:do|can|should|to) |steps|怎么|如何|怎样|步骤",
            r"^(?:open|press|tap|go|choose|select|enter|call|use|turn|scan|bring|send|write)\b"
            r"|点选|点击|按住|按下|打开|进入|凭|拨打",
        ),
        (r"why|为什么|为何", r"because|since|so that|due to|因为|由于|以免"),
    )
)


@dataclass(frozen=True)
class Ranked:
    """A sentence, its score, and its place in the context."""

    text: str
    paragraph: int
    place: int
    score: float
    near: float
    """How near the question it is in meaning, with half of its paragraph's nearness."""
    overlap: float
    """Share of the question's words (0 to 1)."""
    fits: bool
    """Whether it is the kind of answer asked for: money, a time ..."""


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese rather than English: one character counts like two letters."""
    characters = sum(map(len, _RUN.findall(text)))
    return 2 * characters > sum(c.isascii() and c.isalpha() for c in text)


@lru_cache(maxsize=20_000)
def words(text: str) -> frozenset[str]:
    """What a text is about: stems of its words, pairs of Chinese characters."""
    found = {_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP}
    for run in _RUN.findall(_STOP_ZH.sub(" ", text)):
        found.update(run[i : i + 2] for i in range(max(1, len(run) - 1)))
    return frozenset(found)


def _stem(word: str) -> str:
    for end in ("ies", "ing", "ed", "es", "s", "ly", "y", "e"):
        if word.endswith(end) and len(word) - len(end) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(end)
            break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word


def rank(question: str, paragraphs: Sequence[Paragraph], earlier: str = "") -> list[Ranked]:
    """The sentences of a context, the one that answers the question best first.

    `earlier` is a previous question of the chat, on which this one leans.
    """
    rows = [(text, number) for number, p in enumerate(paragraphs) for text in p.sentences]
    asked = f"{earlier} {question}".strip()
    overlaps = _overlaps(words(asked), paragraphs)
    read = sorted(sorted(range(len(rows)), key=lambda i: (-overlaps[i], i))[:READ])
    nearest = nearness(asked, [rows[i][0] for i in read], [rows[i][1] for i in read])
    meant = dict(zip(read, nearest, strict=True))
    # Without words of its own a question is near to nothing: what stands first counts.
    vague = 1.0 if words(asked) else 0.3
    wanted = [told for asks, told in _KINDS if asks.search(question)]
    before: Counter[tuple[str, int]] = Counter()
    ranked = []
    for place, (text, number) in enumerate(rows):
        own, around = meant.get(place, (0.0, 0.0))
        chunk = paragraphs[number].chunk
        # What matters most is said first: "How much is it?" means the thing, not its extras.
        lead = 1 / (1 + before["chunk", chunk]) + 1 / (1 + before["paragraph", number])
        before.update([("chunk", chunk), ("paragraph", number)])
        fits = not wanted or any(told.search(text) for told in wanted)
        near = vague * (own + PARAGRAPH * around)
        score = near + WORDS * overlaps[place] + KIND * fits + LEAD * lead + FIRST / (1 + chunk)
        ranked.append(Ranked(text, number, place, score, near, overlaps[place], fits))
    return sorted(ranked, key=lambda r: (-r.score, r.place))


def is_found(question: str, ranked: Sequence[Ranked]) -> bool:
    """Whether a context, as ranked, holds an answer at all."""
    if not words(question):
        # "How much is it?" has no words of its own, only a kind of answer; "What is it?" not even.
        return any(r.fits for r in ranked)
    told = " ".join(r.text for r in ranked)
    enough = ENOUGH_ZH if is_chinese(question) and is_chinese(told) else ENOUGH
    names = _NAME.findall(question)
    if any(name not in told for name in names):
        enough += STRANGE
    near = max((r.near for r in ranked), default=0.0)
    return near + max((r.overlap for r in ranked), default=0.0) >= enough


def _overlaps(asked: frozenset[str], paragraphs: Sequence[Paragraph]) -> list[float]:
    """Give for each sentence the share, by rarity, of the question's words in it or around it."""
    own = [words(text) for p in paragraphs for text in p.sentences]
    seen = Counter(word for found in own for word in found)
    # A Chinese word gives several pairs.
    weights = {
        word: math.log(1 + len(own) / (0.5 + seen[word])) * (1.0 if word.isascii() else 0.5)
        for word in sorted(asked)
    }
    total = sum(weights.values()) or 1.0
    found = iter(own)
    shares = []
    for p in paragraphs:
        above, around = words(" / ".join(p.headings)), words(p.markdown)
        for _, held in zip(p.sentences, found, strict=False):
            worth = (
                w * (1.0 if f in held else 0.5 if f in above else 0.3 if f in around else 0.0)
                for f, w in weights.items()
            )
            shares.append(sum(worth) / total)
    return shares
