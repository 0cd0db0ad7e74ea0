"""The text in a file's bytes, whatever encoding they are in."""

import codecs
import re

from charset_normalizer import CharsetMatch, from_bytes

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
_AS_GOOD = 0.05
_STRAY = 0.05
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+(?:=[\w.+-]+)?)*,[\w+/=%.~-]{64,}")
_EMBEDDED_IMAGE = re.compile(r"!\[([^\]\n]*)\]\(<?data:…[^)\n]*\)")


def decoded(content: bytes) -> tuple[str, str] | None:
    """The text and the name of its encoding; `None` for what is no text.

    UTF-8, and whatever carries a byte order mark, is read as that; anything else as the likeliest
    by charset-normalizer, which may be wrong about short texts.
    """
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return _strictly(content, encoding)
    plain = _strictly(content, "utf-8")
    # A wide encoding has a zero byte for every English letter; a few are strays, as in logs.
    if plain and plain[0].count("\0") <= len(plain[0]) * _STRAY:
        return plain[0].replace("\0", ""), plain[1]
    found = _likeliest(content)
    return None if found is None else (str(found), found.encoding)


def _strictly(content: bytes, encoding: str) -> tuple[str, str] | None:
    try:
        return content.decode(encoding), encoding
    except UnicodeDecodeError:
        return None


def _likeliest(content: bytes) -> CharsetMatch | None:
    # Zero bytes are in no text but a wide encoding's, and there they are whatever is written.
    if b"\0" in content:
        return from_bytes(content, cp_isolation=_WIDE).best()
    ranked = list(from_bytes(content, cp_exclusion=_WIDE))
    if not ranked:
        return None
    best = ranked[0]
    # Too short to show a language, a text may be anything: then what is usual is likeliest.
    alike = [
        match
        for match in ranked
        if not best.coherence
        or (match.chaos <= best.chaos + _AS_GOOD and match.coherence >= best.coherence)
    ]
    usual = sorted(
        (match for match in alike if match.encoding in _USUAL),
        key=lambda match: (match.chaos, _USUAL.index(match.encoding)),
    )
    return (usual or alike)[0]


def without_data(text: str) -> str:
    """Take out pictures that are pasted into a text as letters; their descriptions stay."""
    if "data:" not in text:
        return text
    return _EMBEDDED_IMAGE.sub(r"[image: \1]", _DATA_URI.sub("data:…", text))
