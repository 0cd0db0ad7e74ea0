"""A small tokenizer, which needs no download."""

import re

_TOKEN = re.compile(
    r"""
      \n+
    | [ ]?[^\W\d_㐀-鿿぀-ヿ가-힣]{1,6}   # a piece of a word, with the space before it
    | [ ]?\d{1,3}
    | [㐀-鿿぀-ヿ가-힣]{1,2}
    | [^\S\n]+(?=\s|$)
    | [ ]?[^\w\s]
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def tokenize(text: str) -> list[str]:
    """The tokens of a text; joined together they are equal to the text.

    Pieces of up to six letters with the space before them, up to three digits, one or two
    Chinese characters, single punctuation marks, runs of newlines. This is not any
    vendor's vocabulary, but counts are similar: about 1.3 tokens per English word, 0.6 per Chinese
    character.
    """
    return _TOKEN.findall(text)


class Tokenizer:
    """The same tokens in the form that LlamaIndex needs."""

    def encode(self, text: str) -> list[int]:
        """One number for each token; equal tokens have equal numbers within a process."""
        return [hash(token) for token in tokenize(text)]
