"""Running views, and what ends them: a stop, an interrupt, running their cell again."""

import asyncio
from collections.abc import Coroutine, Generator
from functools import cache
from typing import Any, Generic, TypeVar

from nbkit.loops.heartbeat import keep_waking
from nbkit.loops.kernel import Place, kernel_shell, this_place
from nbkit.streaming.errors import StreamMisused

_SETTLE_SECONDS = 3.0
_running: dict[asyncio.Task[Any], "RunningView[Any]"] = {}
"""Holds tasks, too: one that nobody holds may be collected in the middle of its stream."""

Result = TypeVar("Result")


class RunningView(Generic[Result]):
    """A display that runs in a task of its own: `await` it, `stop()` it, or let it run."""

    def __init__(self, shown: Coroutine[Any, Any, None], place: Place | None = None) -> None:
        self._place = place or this_place()
        self._task = asyncio.get_running_loop().create_task(shown, name="nbkit-view")
        _running[self._task] = self
        self._task.add_done_callback(_running.pop)
        if self._place.cell is not None:
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


def need_loop(name: str) -> None:
    """Raise `StreamMisused` where no event loop runs to show anything on."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise StreamMisused(
            f"`{name}` needs a running event loop",
            "in a notebook call it in a cell; in a script, "
            "from a coroutine started with `asyncio.run(main())`.",
        ) from None


@cache
def _watch_cells() -> None:
    """Stop a view when its cell is run again: its output has just been cleared."""

    def before_cell(_info: Any) -> None:
        now = this_place()
        for view in list(_running.values()):
            if view._place.cell == now.cell is not None and view._place != now:
                view.stop()

    kernel_shell().events.register("pre_run_cell", before_cell)
