"""How long an event loop is blocked, when, and by which line of code."""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nbkit.language import say
from nbkit.loops.kernel import kernel_shell
from nbkit.loops.lines import lines_of
from nbkit.loops.turns import LoopMisused, LoopTurn, turn_timer
from nbkit.wording import count

_LEAST_THRESHOLD = 0.01
_LONGEST_TICK = 0.1
_SAMPLED_AFTER = 0.002
_ROWS = 10
_SMALL_SHARE = 0.05
"""A loop that was blocked for less than this share of the time is marked as slowed, not blocked."""


@dataclass(frozen=True)
class Block:
    """A stretch of time in which an event loop could do nothing else. Taught in notebook 02."""

    start: float
    end: float
    """Both are readings of `time.perf_counter`, as in a `Trace`."""
    where: str
    """The innermost line of the user's own code that was sampled most often."""
    innermost: str
    """The innermost line of any code, sampled together with it."""

    @property
    def seconds(self) -> float:
        """The length of the block: end − start."""
        return self.end - self.start

    def __repr__(self) -> str:
        return f"<Block {self.seconds:.3f} s · {self.where}>"


@dataclass(repr=False)
class LoopWatch:
    """What blocked an event loop inside a `with watch_loop()` block. Taught in notebook 02."""

    threshold: float
    start: float
    """The perf_counter reading when watching began."""
    end: float | None = None
    """The perf_counter reading when it ended; `None` while it is running."""
    blocks: list[Block] = field(default_factory=list)
    """Every stretch of at least `threshold` seconds, in order."""

    @property
    def elapsed(self) -> float:
        """Seconds watched so far."""
        return (time.perf_counter() if self.end is None else self.end) - self.start

    @property
    def blocked(self) -> float:
        """Seconds in all blocks together."""
        return sum((block.seconds for block in self.blocks), 0.0)

    @property
    def longest(self) -> float:
        """Seconds of the longest block; 0 if there was none."""
        return max((block.seconds for block in self.blocks), default=0.0)

    @property
    def share(self) -> float:
        """The share of the watched time that was blocked, 0 to 1."""
        return self.blocked / self.elapsed if self.elapsed else 0.0

    @property
    def caption(self) -> str:
        """The result in one line, for people."""
        if not self.blocks:
            return say("free for {elapsed:.2f} s", elapsed=self.elapsed)
        return say(
            "blocked {blocked:.2f} s of {elapsed:.2f} s ({share:.0%}) · {blocks} · longest "
            "{longest:.3f} s",
            blocked=self.blocked,
            elapsed=self.elapsed,
            share=self.share,
            blocks=count(len(self.blocks), "block"),
            longest=self.longest,
        )

    def __repr__(self) -> str:
        return f"<LoopWatch {self.caption}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return _summary(self)

    def note(self, turn: LoopTurn, end: float) -> None:
        """Record a turn that has ended, if it was long enough."""
        start = max(turn.start, self.start)
        if end - start >= self.threshold:
            self.blocks.append(Block(start, end, *turn.mostly_at()))


def _head() -> str:
    names = f"<th>{say('blocked')}</th><th>{say('times')}</th>"
    return f'<tr>{names}<th style="text-align: left">{say("by the line")}</th></tr>'


def _summary(watch: LoopWatch) -> dict[str, str]:
    """The table of lines that blocked the loop, worst first, as HTML and plain text."""
    lines: dict[str, list[Block]] = defaultdict(list)
    for block in watch.blocks:
        lines[block.where].append(block)
    rows, plain = "", ""
    worst = sorted(lines.values(), key=lambda blocks: -sum(block.seconds for block in blocks))
    for blocks in worst[:_ROWS]:
        where, innermost, times = blocks[0].where, blocks[0].innermost, len(blocks)
        seconds = sum(block.seconds for block in blocks)
        within = say("in {line}", line=escape(innermost))
        inside = "" if innermost == where else f"<br><small>{within}</small>"
        rows += (
            f"<tr><td>{seconds:.3f} s</td><td>{times} ×</td>"
            f'<td style="text-align: left"><code>{escape(where)}</code>{inside}</td></tr>'
        )
        plain += f"\n{seconds:8.3f} s {times:5} ×  {where}"
    more = say("and {lines} more", lines=count(len(lines) - _ROWS, "line"))
    more = f"<p>{more}</p>" if len(lines) > _ROWS else ""
    table = f"<table>{_head()}{rows}</table>{more}" if rows else ""
    if not rows:
        sign, border = "✓", "2px solid #3a3"
    elif watch.share < _SMALL_SHARE:
        sign, border = "△", "4px dotted #b80"
    else:
        sign, border = "✗", "6px double #c33"
    state = say("{sign} loop {caption}", sign=sign, caption=watch.caption)
    html = (
        f'<div class="nbkit-loop" style="max-width: 60em; padding-left: 0.9em; '
        f'border-left: {border}"><strong>{state}</strong>{table}</div>'
    )
    return {"text/html": html, "text/plain": state + plain}


@contextmanager
def watch_loop(threshold: float = 0.02) -> Iterator[LoopWatch]:
    """Watch the event loop inside a `with` block: when it was blocked, how long, by which line.

    `threshold` is the shortest block to record, in seconds (at least 0.01). A block is one turn of
    the loop: from when it wakes up until it waits for input or a timer again. Its length is exact;
    its line is sampled every `threshold` seconds. A late wake-up counts from when it was due.
    A notebook shows the summary at the end.

    Raises `LoopMisused` if no event loop is running, or one that is not asyncio's own.
    Taught in notebook 02.
    """
    if not isinstance(threshold, int | float) or not threshold >= _LEAST_THRESHOLD:
        raise LoopMisused(
            say("The threshold is {threshold!r}", threshold=threshold),
            say("give seconds, {least_threshold} or more.", least_threshold=_LEAST_THRESHOLD),
        )
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise LoopMisused(
            say("No event loop is running here, so there is none to watch"),
            say("enter `watch_loop()` in a notebook cell, or inside a coroutine."),
        ) from None
    timer, left = turn_timer(loop), threading.Event()

    def sample() -> None:
        while not left.wait(min(threshold, _LONGEST_TICK)) and not loop.is_closed():
            turn = timer.turn
            if turn is not None and time.perf_counter() - turn.start > _SAMPLED_AFTER:
                lines = lines_of(timer.thread)
                if lines is not None:
                    turn.seen.append(lines)

    sampler = threading.Thread(target=sample, name="nbkit-loop-watch", daemon=True)
    watch = LoopWatch(threshold, time.perf_counter())
    timer.listeners.append(watch.note)
    sampler.start()
    try:
        yield watch
    finally:
        watch.end = time.perf_counter()
        if timer.turn is not None:
            watch.note(timer.turn, watch.end)
        timer.leave(watch.note)
        left.set()
        sampler.join()
        if kernel_shell() is not None:
            from IPython.display import display

            display(_summary(watch), raw=True)  # type: ignore[no-untyped-call]
