"""The text in a file's bytes, whatever encoding they are in."""

import codecs
import re

from charset_normalizer import from_bytes

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CERTAIN = {"utf-8", *_MARKS.values()}
"""What a text says itself that it is in; everything else is a guess."""
_WIDE = ["utf_32_le", "utf_32_be", "utf_16_le", "utf_16_be"]
_USUAL = ("gb18030", "big5", "cp1252")
"""What people's files are in, if not Unicode; a short text tells them from rarer ones by little."""
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+(?:=[\w.+-]+)?)*,[\w+/=%.~-]{64,}")
_EMBEDDED_IMAGE = re.compile(r"!\[([^\]\n]*)\]\(<?data:…[^)\n]*\)")


def decoded(content: bytes) -> tuple[str, str] | None:
    """The text and the name of its encoding; `None` for what is no text.

    UTF-8, and whatever carries a byte order mark, is read as that; anything else as the likeliest
    by charset-normalizer, which may be wrong about short texts.
    """
    marked = (encoding for mark, encoding in _MARKS.items() if content.startswith(mark))
    encoding = next(marked, "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return _likeliest(content) if encoding == "utf-8" else None
    # A wide encoding has a zero byte for every English letter; a few are strays, as in logs.
    if encoding == "utf-8" and text.count("\0") > len(text) / 20:
        return _likeliest(content)
    return text.replace("\0", ""), encoding


def _likeliest(content: bytes) -> tuple[str, str] | None:
    if b"\0" in content:  # which no other encoding than a wide one has in its texts
        ranked = list(from_bytes(content, cp_isolation=_WIDE))
    else:
        ranked = list(from_bytes(content, cp_exclusion=_WIDE))
    if not ranked:
        return None
    usual = [
        match
        for match in ranked
        if match.encoding in _USUAL and match.coherence >= ranked[0].coherence
    ]
    chosen = min(
        usual,
        key=lambda match: (match.chaos, _USUAL.index(match.encoding)),
        default=ranked[0],
    )
    return str(chosen), chosen.encoding


def without_data(text: str) -> str:
    """Take out pictures that are pasted into a text as letters; their descriptions stay."""
    if "data:" not in text:
        return text
    return _EMBEDDED_IMAGE.sub(r"[image: \1]", _DATA_URI.sub("data:…", text))
