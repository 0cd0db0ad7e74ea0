"""The answer that every display shows: the same Markdown each time, in English and Chinese."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count, cycle, islice

# Token sizes in characters, four on average; a marker is a token of its own.
_SIZES = (3, 5, 2, 6, 4)
_MARKER = re.compile(r"(⟦[^⟧]*⟧)")
_SYNTAX_ONLY = re.compile(r"(?m)^(```\w*|\d+\. )")

# Every @ becomes a numbered marker, so that a page can tell how old the text is that it shows.
_SECTIONS = (
    """\
## {n}. The lighthouse keeper's log · 守塔人的日志

The wind turned **north-west** at four and stayed there until the kettle boiled. @ Nobody on the
island owns a barometer, so the gulls are asked instead; @ they were seen walking, which is what
gulls do before rain. @ 傍晚时分，海面像一块*没有熨平的布*，@ 船都早早地回了港。@

- The lamp was trimmed twice and the `shutter` oiled once. @
- Two boats passed without lights, and one with too many. @
- 晚饭是土豆和一条很小的鱼。@

""",
    """\
### {n}. Counting the steps · 数台阶

Visitors climb the tower slowly and come down quickly. @ Their pace fits on four lines: @

```python
def steps(floors, per_floor=17):
    landings = max(floors - 1, 0)
    return floors * per_floor + landings  # @
```

1. Hold the rail with the hand that carries nothing. @
2. Stop where the window is, for the view and for breath. @
3. 如果听见钟声，请靠右站。@ 让下楼的人先走。@

""",
    """\
## {n}. What the stores hold · 库房清单

| item | on the shelf | 说明 |
|---|---|---|
| lamp oil | 41 litres | 够用到春天 @ |
| rope | 3 coils | one of them is mostly knots @ |
| 茶叶 | 2 tins | 其中一罐受了潮 @ |

> A store that looks full has not been counted. @ 数过之后，它总是少一点。@

The cat keeps its own accounts, and **they always balance**. @

""",
    """\
### {n}. Letters from the mainland · 岸上来信

每个星期二，邮船会带来报纸和三四封信。@ The newspapers are read from the back, where the
weather is printed, @ to see how wrong it was. @ 有一封信问：*灯为什么是转的？* @ Because a light
that stands still could be a house, a star or a fire, @ and a light that turns can only be us. @

- *Ask for:* wick, paper, a clock that agrees with the other clock. @
- **不要再寄：** 雨伞。这里的风不认识雨伞。@

""",
)


def _text(stream: int) -> Iterator[str]:
    markers = count()
    for n, section in enumerate(cycle(_SECTIONS), 1):
        yield re.sub("@", lambda _: f"⟦{stream}.{next(markers)}⟧", section.format(n=n))


def _cut(stream: int) -> Iterator[str]:
    sizes = cycle(_SIZES)
    for section in _text(stream):
        for part in _MARKER.split(section):
            at = 0
            while at < len(part):
                size = len(part) if _MARKER.match(part) else next(sizes)
                yield part[at : at + size]
                at += size


def answer(tokens: int, stream: int = 0) -> list[str]:
    """Tokens of one answer; the last is its end sentinel."""
    return [*islice(_cut(stream), tokens - 1), f"\n\n⟦{stream}.end⟧"]


def letters(text: str) -> str:
    """Letters and digits alone, which no display may lose, repeat or reorder."""
    return "".join(character for character in text if character.isalnum())


def visible_forms(text: str) -> set[str]:
    """The letters a complete display may show: of the Markdown as written, or rendered."""
    return {letters(text), letters(_SYNTAX_ONLY.sub("", text))}


async def source(
    tokens: list[str], rate: float | None, produced: dict[str, float]
) -> AsyncIterator[str]:
    """Yield tokens at `rate` a second, or as fast as the loop turns.

    Writes down when each marker was produced (`time.time`, the clock that pages share).
    """
    start = time.perf_counter()
    for n, token in enumerate(tokens, 1):
        due = 0.0 if rate is None else start + n / rate - time.perf_counter()
        await asyncio.sleep(max(0.0, due))
        if marker := _MARKER.search(token):
            produced[marker[0][1:-1]] = time.time()
        yield token
