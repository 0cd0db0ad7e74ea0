"""Running views, and what ends them: a stop, an interrupt, running their cell again."""

import asyncio
from collections.abc import Coroutine, Generator
from functools import cache
from typing import Any, Generic, TypeVar

from nbkit.displays.live_widget import cell_ends, cell_runs
from nbkit.displays.output import repeat_unseen
from nbkit.language import say
from nbkit.loops.heartbeat import keep_waking
from nbkit.loops.kernel import Place, ipython_shell, kernel_shell, this_place
from nbkit.streaming.errors import StreamMisused
from nbkit.streaming.stream import TokenStream

_SETTLE_SECONDS = 3.0
_running: dict[asyncio.Task[Any], "RunningView[Any]"] = {}
"""Holds tasks, too: one that nobody holds may be collected in the middle of its stream."""

Result = TypeVar("Result")


class RunningView(Generic[Result]):
    """A display that runs in a task of its own: `await` it, `stop()` it, or let it run."""

    def __init__(self, shown: Coroutine[Any, Any, None], place: Place | None = None) -> None:
        self._place = place or this_place()
        if self._place.is_control:
            _stop_earlier(self._place)
        self._task = asyncio.get_running_loop().create_task(shown, name="nbkit-view")
        _running[self._task] = self
        self._task.add_done_callback(_running.pop)
        _watch_cells()

    def stop(self) -> None:
        """End generation at the model, keeping what has arrived; safe from any thread."""
        raise NotImplementedError

    def _result(self) -> Result:
        """What awaiting gives, once everything has settled."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, None, Result]:
        return self._wait().__await__()

    async def _wait(self) -> Result:
        try:
            with keep_waking(asyncio.get_running_loop()):
                await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait({self._task}, timeout=_SETTLE_SECONDS)
            raise
        self._task.result()
        return self._result()

    def _ipython_display_(self) -> None:
        """Show nothing more when the view is a cell's last expression: it is on the screen."""


def need_loop(name: str, tokens: TokenStream | None = None) -> None:
    """Raise `StreamMisused` where no event loop runs to show anything on."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        if tokens is not None:
            tokens.close()
        raise StreamMisused(
            say("`{name}` needs a running event loop", name=name),
            say(
                "in a notebook call it in a cell; in a script, from a coroutine started with "
                "`asyncio.run(main())`."
            ),
        ) from None


def _stop_earlier(now: Place) -> None:
    """Stop the views of earlier runs of a cell or control."""
    for view in list(_running.values()):
        if now.is_again(view._place):
            view.stop()


@cache
def _watch_cells() -> None:
    """Stop a view when its cell is run again: its output has just been cleared."""

    def before_cell(_info: Any) -> None:
        now = this_place()
        _stop_earlier(now)
        cell_runs(now)
        repeat_unseen()

    def after_cell(result: Any) -> None:
        cell_ends(this_place())
        repeat_unseen()
        if kernel_shell() is None and not getattr(result, "success", True):
            _stop_in_terminal()

    if (shell := ipython_shell()) is not None:
        shell.events.register("pre_run_cell", before_cell)
        shell.events.register("post_run_cell", after_cell)


def _stop_in_terminal() -> None:
    """Stop what IPython's terminal leaves unfinished: Ctrl-C there cancels no task."""
    for task, view in list(_running.items()):
        loop = task.get_loop()
        if not loop.is_running():
            view.stop()
            loop.run_until_complete(asyncio.wait({task}, timeout=_SETTLE_SECONDS))
