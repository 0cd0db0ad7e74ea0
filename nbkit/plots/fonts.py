"""Fonts that can draw Chinese, on any machine."""

import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

import matplotlib as mpl
from matplotlib.font_manager import findSystemFonts, fontManager

from nbkit.language import language, say

# Matplotlib before 3.11 reads only the first font of a collection: the Japanese one of Noto and the
# Hong Kong one of PingFang. Both contain the simplified characters, too.
_CHINESE = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN"),
    *("PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK JP", "PingFang HK"),
    *("Heiti TC", "Heiti SC", "SimHei", "SimSun", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Arial Unicode MS", "Droid Sans Fallback"),
)


def families(texts: Iterable[str]) -> list[str]:
    """The font families to draw with: the user's own, then one that has Chinese.

    Warns, once per process, if one of `texts` is Chinese and the machine has no font for it.
    """
    found = chinese()
    if found is None and any("\u4e00" <= char <= "\u9fff" for text in texts for char in text):
        _warn_once()
    # DejaVu Sans is part of matplotlib and has the signs used here (×, ✂, ↻).
    own = [family for family in mpl.rcParams["font.family"] if family != found]
    return [*own, *([found] if found else []), "DejaVu Sans"]


def for_own_figures() -> None:
    """Add a Chinese font to Matplotlib's own, if Chinese is the reader's language.

    So that a notebook's figures without nbkit have no boxes either. It is for the whole process,
    and changes only what Matplotlib could not draw.
    """
    if language() == "zh" and chinese() is not None:
        mpl.rcParams["font.family"] = families(())


def chinese() -> str | None:
    """The family that draws Chinese here; `None` if this machine has no such font."""
    return _installed(_CHINESE)


@cache
def _installed(wanted: tuple[str, ...]) -> str | None:
    known = fontManager.get_font_names()
    if not set(wanted) & set(known):
        # Matplotlib's cached list may be old: add the fonts that were installed later.
        for path in set(findSystemFonts()) - {font.fname for font in fontManager.ttflist}:
            with suppress(OSError, RuntimeError, ValueError):  # a font that FreeType cannot read
                fontManager.addfont(path)
        known = fontManager.get_font_names()
    return next((name for name in wanted if name in known), None)


@cache
def _warn_once() -> None:
    warnings.warn(
        say(
            "No font on this machine can draw Chinese, so labels show boxes — install one (on "
            "Debian or Ubuntu: `sudo apt install fonts-noto-cjk`) and restart the kernel."
        ),
        stacklevel=6,  # the cell that called the plot
    )
