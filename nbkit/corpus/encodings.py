"""The text in a file's bytes, in any encoding."""

import re

from charset_normalizer import CharsetMatch, from_bytes

_WIDE = ["utf_32_le", "utf_32_be", "utf_16_le", "utf_16_be"]
_USUAL = ("gb18030", "big5", "cp1252")
"""Common encodings besides Unicode, preferred because a short text may fit rare ones as well."""
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+(?:=[\w.+-]+)?)*,[\w+/=%.~-]{64,}")
_EMBEDDED_IMAGE = re.compile(r"!\[([^\]\n]*)\]\(<?data:…[^)\n]*\)")


def decoded(content: bytes) -> tuple[str, str | None] | None:
    """The text, and the name of its encoding if that was guessed; `None` if it is not text.

    UTF-8 and byte order marks are recognised; other encodings are guessed by charset-normalizer,
    which may be wrong for short texts.
    """
    try:
        text = content.decode("utf-8-sig")
        # UTF-16 has a zero byte for every English letter; a few can be errors, as in logs.
        if text.count("\0") <= len(text) / 20:
            return text.replace("\0", ""), None
    except UnicodeDecodeError:
        pass
    found = _likeliest(content)
    if found is None:
        return None
    return str(found), None if found.byte_order_mark else found.encoding


def _likeliest(content: bytes) -> CharsetMatch | None:
    if b"\0" in content:  # which only UTF-16 and UTF-32 have in text
        ranked = list(from_bytes(content, cp_isolation=[*_WIDE, "utf_16", "utf_32"]))
    else:
        ranked = list(from_bytes(content, cp_exclusion=_WIDE))
    usual = [
        match
        for match in ranked
        if match.encoding in _USUAL and match.coherence >= ranked[0].coherence
    ]
    if usual:
        return min(usual, key=lambda match: (match.chaos, _USUAL.index(match.encoding)))
    return ranked[0] if ranked else None


def without_data(text: str) -> str:
    """The text without embedded pictures (`data:` URLs); their descriptions stay."""
    if "data:" not in text:
        return text
    return _EMBEDDED_IMAGE.sub(r"[image: \1]", _DATA_URI.sub("data:…", text))
