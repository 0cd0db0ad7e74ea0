"""Which pieces of a context bear on a question, and how much."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from nbkit.models.simulator.document import Document, Piece
from nbkit.models.simulator.lexicon import INTENTS, features

PAIR = 0.5
"""Weight of a pair of Chinese characters: one word gives several."""
IDEA = 1.4
"""Weight of an idea, which many words express, against one of a word."""
UNHEARD = 0.3
"""Weight of a word the context never uses: people wrap their questions in stories."""
IN_HEADING, NEARBY = 0.5, 0.3
"""What a word is worth that stands in the heading, or elsewhere in the paragraph."""
BACKGROUND = frozenset({"#europe", "#uk", "#china", "#abroad", "#office", "#old", "#quantity"})
"""Ideas that colour a question; a piece that shares no other is not an answer."""
FITTING = 0.22
"""Bonus for the kind of thing asked for: a sum for how much, a span of time for how long."""
RETRIEVED_FIRST = 0.16
"""Bonus for the first chunk retrieved; later ones get less."""


@dataclass(frozen=True)
class Ranked:
    """A piece with its score (about 0 to 1.5) and its place in the context."""

    score: float
    overlap: float
    place: int
    piece: Piece


_features = lru_cache(maxsize=20_000)(features)


def rank(question: str, document: Document, earlier: str = "") -> list[Ranked]:
    """Give the pieces of a document, the one that answers the question best first.

    Overlap of content words weighed by rarity, headings counting half, plus a bonus for the kind
    of fact asked for and for early retrieval. `earlier` is a previous question of the chat, which
    counts a third.
    """
    pieces = document.pieces
    own = [_features(piece.text) for piece in pieces]
    seen = Counter(f for found in own for f in found)
    n = len(pieces)
    weights = dict.fromkeys(features(question), 1.0)
    for f in features(earlier):
        weights.setdefault(f, 0.33)
    for f in weights:
        rarity = math.log(1 + n / (0.5 + seen[f]))
        weights[f] *= rarity * _trust(f) * (1.0 if seen[f] else UNHEARD)
    total = sum(weights.values()) or 1.0
    nearby: dict[int, set[str]] = {}
    for piece, found in zip(pieces, own, strict=True):
        nearby.setdefault(piece.block, set()).update(found)
    wanted = [told for asked, told in INTENTS if asked.search(question)]
    ranked = []
    for place, (piece, found) in enumerate(zip(pieces, own, strict=True)):
        heading = _features(" / ".join((*piece.headings, piece.source)))
        overlap = sum(
            w * (1.0 if f in found else IN_HEADING if f in heading else NEARBY)
            for f, w in weights.items()
            if f in found or f in heading or f in nearby[piece.block]
        )
        overlap /= total
        if not (found | heading) & weights.keys() - BACKGROUND:
            overlap = 0.0
        score = overlap + RETRIEVED_FIRST / (1 + piece.chunk)
        if wanted and overlap > 0:
            score += FITTING * sum(bool(told.search(piece.text)) for told in wanted) / len(wanted)
        ranked.append(Ranked(score, overlap, place, piece))
    return sorted(ranked, key=lambda r: (-r.score, r.place))


def _trust(feature: str) -> float:
    if feature.startswith("#"):
        return IDEA
    return 1.0 if feature.isascii() else PAIR
