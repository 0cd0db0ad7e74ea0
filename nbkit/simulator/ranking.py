"""Which pieces of a context bear on a question, and how much.

A piece's score is `s + PARAGRAPH·p + WORDS·w + LEAD·l`: how near it is to the question in meaning
(s), how near its paragraph is (p), the words they share (w), and how early it stands in its chunk
and paragraph (l). All weights but LEAD were chosen on a blind development set: questions made up
from the handbook alone, by someone who had not seen those of `data/questions`. Their exact values
matter little; that meaning and words both count matters most. LEAD is the least that lets plain
questions for a price find that of the thing itself; over `data/questions` it changes no total.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from nbkit.simulator.document import Document, Piece
from nbkit.simulator.lexicon import INTENTS, features
from nbkit.simulator.sentence_vectors import nearness

PARAGRAPH, WORDS, LEAD = 0.5, 0.6, 0.08
"""Weights of the score, see above; nearness of the piece itself has weight 1."""
READ = 120
"""Most pieces compared by meaning, the best by their words: reading more takes too long."""

PAIR = 0.5
"""Weight of a pair of Chinese characters: one word gives several."""
IDEA = 1.4
"""Weight of an idea, which many words express, against one of a word."""
UNHEARD = 0.3
"""Weight of a word the context never uses: people wrap their questions in stories."""
IN_HEADING, NEARBY = 0.5, 0.3
"""What a word is worth that stands in the heading, or elsewhere in the paragraph."""
BACKGROUND = frozenset({"#europe", "#uk", "#china", "#abroad", "#bulk"})
"""Ideas that colour a question; a piece that shares no other is not an answer."""
FITTING = 0.22
"""Bonus for the kind of thing asked for: a sum for how much, a span of time for how long."""
RETRIEVED_FIRST = 0.16
"""Bonus for the first chunk retrieved; later ones get less."""


@dataclass(frozen=True)
class Ranked:
    """A piece with its score (about 0 to 1.8), share of the question's words, and place."""

    score: float
    overlap: float
    place: int
    piece: Piece


_features = lru_cache(maxsize=20_000)(features)


@lru_cache(maxsize=20_000)
def _has(told: re.Pattern[str], text: str) -> bool:
    return bool(told.search(text))


def rank(question: str, document: Document, earlier: str = "") -> list[Ranked]:
    """Give the pieces of a document, the one that answers the question best first.

    `earlier` is a previous question of the chat: its meaning counts in full, its words a third.
    """
    pieces = document.pieces
    shared = _shared(question, pieces, earlier)
    order = sorted(range(len(pieces)), key=lambda i: (-shared[i][0], i))
    read = sorted(order[:READ])
    asked = f"{earlier} {question}" if earlier else question
    near = nearness(asked, [pieces[i].text for i in read], [pieces[i].block for i in read])
    meant = dict(zip(read, near, strict=True))
    ranked = []
    for place, (piece, lead) in enumerate(zip(pieces, _leads(pieces), strict=True)):
        words, overlap = shared[place]
        own, around = meant.get(place, (0.0, 0.0))
        score = own + PARAGRAPH * around + WORDS * words + LEAD * lead
        ranked.append(Ranked(score, overlap, place, piece))
    return sorted(ranked, key=lambda r: (-r.score, r.place))


def _shared(question: str, pieces: Sequence[Piece], earlier: str) -> list[tuple[float, float]]:
    """Give for each piece its score by words alone, and its overlap with the question (0 to 1)."""
    own = [_features(piece.text) for piece in pieces]
    seen = Counter(f for found in own for f in found)
    weights = dict.fromkeys(features(question), 1.0)
    for f in features(earlier):
        weights.setdefault(f, 0.33)
    for f in weights:
        rarity = math.log(1 + len(pieces) / (0.5 + seen[f]))
        weights[f] *= rarity * _trust(f) * (1.0 if seen[f] else UNHEARD)
    total = sum(weights.values()) or 1.0
    nearby: dict[int, set[str]] = defaultdict(set)
    for piece, found in zip(pieces, own, strict=True):
        nearby[piece.block] |= found
    wanted = [told for asked, told in INTENTS if asked.search(question)]
    shared = []
    for piece, found in zip(pieces, own, strict=True):
        heading = _features(" / ".join((*piece.headings, piece.source)))
        overlap = 0.0
        if (found | heading) & weights.keys() - BACKGROUND:
            overlap = sum(
                w * (1.0 if f in found else IN_HEADING if f in heading else NEARBY)
                for f, w in weights.items()
                if f in found or f in heading or f in nearby[piece.block]
            )
        overlap /= total
        score = overlap + RETRIEVED_FIRST / (1 + piece.chunk)
        if wanted and overlap > 0:
            score += FITTING * sum(_has(told, piece.text) for told in wanted) / len(wanted)
        shared.append((score, overlap))
    return shared


def _leads(pieces: Sequence[Piece]) -> list[float]:
    """Give how early each piece stands in its chunk and in its paragraph (0 to 2).

    What matters most is said first. It decides where the words of a short question fit many
    pieces alike: "How much does it cost?" means the thing itself, not its extras.
    """
    in_chunk: Counter[int] = Counter()
    in_block: Counter[int] = Counter()
    leads = []
    for piece in pieces:
        leads.append(1 / (1 + in_chunk[piece.chunk]) + 1 / (1 + in_block[piece.block]))
        in_chunk[piece.chunk] += 1
        in_block[piece.block] += 1
    return leads


def _trust(feature: str) -> float:
    if feature.startswith("#"):
        return IDEA
    return 1.0 if feature.isascii() else PAIR
