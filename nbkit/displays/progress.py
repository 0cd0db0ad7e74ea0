"""How far a batch is: a bar that counts, in a notebook or a terminal, or a call back."""

import asyncio
import html
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tqdm.auto import tqdm

from nbkit.language import say, to_say

_FRAME_SECONDS = 0.1
Progress = bool | Callable[[int, int | None, object], None]


class Hear(Protocol):
    """Called for each item that has ended."""

    def __call__(self, item: object, *, failed: bool, retried: bool) -> None:
        """Count it."""


@contextmanager
def shown(progress: Progress, total: int | None, page: str | None = None) -> Iterator[Hear]:
    """Show each item that ends, in the way chosen, until the block ends; a bar links to `page`."""
    if callable(progress):
        yield _calling(progress, total)
    elif progress:
        with _bar(total, page) as hear:
            yield hear
    else:
        yield lambda item, failed, retried: None


def _calling(call: Callable[[int, int | None, object], None], total: int | None) -> Hear:
    done, broken = 0, False

    def hear(item: object, *, failed: bool, retried: bool) -> None:
        nonlocal done, broken
        done += 1
        try:
            if not broken:
                call(done, total, item)
        except Exception as error:  # noqa: BLE001 - a display must not cost the answers
            broken = True
            warnings.warn(
                say(
                    "The progress function raised {error!r} — it is not called again.", error=error
                ),
                stacklevel=2,
            )

    return hear


@contextmanager
def _bar(total: int | None, page: str | None) -> Iterator[Hear]:
    bar, slot = _put_up(total, page)
    loop = asyncio.get_running_loop()
    counts = {to_say("failed"): 0, to_say("retried"): 0}
    painting: asyncio.TimerHandle | None = None

    def paint() -> None:
        nonlocal painting
        painting = None
        bar.set_postfix({say(name): number for name, number in counts.items()})

    def hear(item: object, *, failed: bool, retried: bool) -> None:
        nonlocal painting
        counts["failed"] += failed
        counts["retried"] += retried
        bar.n += 1
        # tqdm's own throttle drops the last of a burst until there is another update.
        painting = painting or loop.call_later(_FRAME_SECONDS, paint)

    try:
        yield hear
    finally:
        if painting is not None:
            painting.cancel()
            paint()
        bar.close()
        if slot is not None:
            # A saved widget is empty without its kernel: leave the last line as text.
            slot.update({"text/plain": str(bar)}, raw=True)


def _put_up(total: int | None, page: str | None) -> tuple[Any, Any]:
    """Show a bar; in a notebook, where it is a widget, also give the place it was put in."""
    if all(cls.__module__ != "tqdm.notebook" for cls in tqdm.__mro__):
        if page:
            tqdm.write(say("The workers: {page}", page=page), file=sys.stderr)
        return tqdm(total=total, unit=say("item")), None
    from IPython.display import display
    from ipywidgets import HTML, HBox

    bar = tqdm(total=total, display=False, unit=say("item"))
    row = [bar.container]
    if page:  # beside it: tqdm counts the children of its container
        link = f'<a href="{html.escape(page)}" target="_blank">{say("the workers")}</a>'
        row.append(HTML(link))
    return bar, display(HBox(row), display_id=True)  # type: ignore[no-untyped-call]
