"""Running a coroutine from anywhere, and nesting event loops where that is needed."""

import asyncio
import atexit
import contextlib
import inspect
import sys
import threading
from collections.abc import Awaitable
from functools import cache
from types import FrameType
from typing import Any, Generic, TypeVar

from nbkit.loops.turns import LoopMisused

T = TypeVar("T")

_WAIT_SLICE = 0.1
_CLOSE_SECONDS = 2.0
_ASYNC_CODE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_NESTED = """\
nest_asyncio is on for the rest of this process: asyncio.run() now works in a cell. The price:
  - nested runs end last in, first out: a short one waits for a longer one started after it;
  - asyncio.run(loop_factory=...) and uvicorn.run() fail; from Python 3.12 so does a uvicorn
    server in a thread, and its clients only see "connection refused";
  - asyncio.Runner and anyio.run are refused as before, and tasks are slower, in pure Python.
A notebook needs none of it: write `await main()` where a script has `asyncio.run(main())`.
"""


class _SharedLoop:
    """The event loop, in a thread of its own, on which every `run` of the process runs.

    One loop for all of them, because connections that a client keeps belong to the loop they were
    made in: a second loop would find them dead after the model's server has got the request.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._live, name="nbkit-run", daemon=True)
        self.thread.start()
        atexit.register(self._close)

    @property
    def usable(self) -> bool:
        """It was not stopped, and its thread lives: a forked process inherits it without one."""
        return not self.stopped and self.thread.is_alive()

    def _live(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.stopped = True
            self.loop.run_until_complete(wind_up())
            self.loop.close()

    def wait(self, finished: threading.Event) -> None:
        """Wait until something has finished, or the loop has ended without it.

        In slices: on Windows Ctrl-C does not reach a wait without an end.
        """
        while not finished.wait(_WAIT_SLICE) and self.thread.is_alive():
            pass

    def _close(self) -> None:
        if self.usable:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(_CLOSE_SECONDS)


class _Job(Generic[T]):
    """One awaitable on its way over the shared loop."""

    def __init__(self, awaitable: Awaitable[T]) -> None:
        self.finished = threading.Event()
        self.began = False
        self.task: asyncio.Task[T] | None = None
        self._awaitable = awaitable

    def start(self) -> None:
        """Begin; called on the loop's thread, as `cancel` is."""
        self.task = asyncio.get_running_loop().create_task(self._work(), name="nbkit-run")
        self.task.add_done_callback(lambda _: self.finished.set())

    def cancel(self) -> None:
        """End it early."""
        if self.task is None:
            self.finished.set()
        else:
            self.task.cancel()

    async def _work(self) -> T:
        self.began = True
        return await self._awaitable


async def wind_up() -> None:
    """Do as `asyncio.run` does at its end, but start no thread: Python may be shutting down."""
    # More than once: other threads may have sent work that only begins now.
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


_shared: _SharedLoop | None = None
_shared_lock = threading.Lock()


def _shared_loop() -> _SharedLoop:
    global _shared
    with _shared_lock:
        if _shared is None or not _shared.usable:
            _shared = _SharedLoop()
        return _shared


def run(awaitable: Awaitable[T]) -> T:
    """Run a coroutine to its end and give its result: from a script, a thread, or a plain cell.

    All calls share one event loop in a thread of its own, so clients, connections and background
    tasks live on from one call to the next; it is closed when the process ends. The caller waits:
    in a cell that means the whole kernel, so prefer `await` there. An interrupt cancels the
    coroutine and waits for it to clean up; a second one does not wait.

    Raises what the coroutine raises, and `LoopMisused` where waiting would be a deadlock (inside
    a coroutine, or for a task of another loop), for a coroutine used before, and for other objects.

    Taught in notebook 03.
    """
    _check(awaitable)
    shared, job = _shared_loop(), _Job(awaitable)
    try:
        with contextlib.suppress(RuntimeError):  # the loop has just been closed
            shared.loop.call_soon_threadsafe(job.start)
            shared.wait(job.finished)
    except KeyboardInterrupt:
        with contextlib.suppress(RuntimeError):
            shared.loop.call_soon_threadsafe(job.cancel)
            shared.wait(job.finished)
        raise
    if job.task is None or not job.began:
        return run(awaitable)  # another run stopped the loop before this one began
    try:
        return job.task.result()
    except (asyncio.CancelledError, asyncio.InvalidStateError):
        if shared.stopped:
            raise LoopMisused(
                "Somebody stopped the event loop of `run` while this coroutine ran on it",
                "let coroutines return instead of calling `loop.stop()`, then run it again.",
            ) from None
        raise
    except RuntimeError as error:
        if "different loop" in str(error) or "different event loop" in str(error):
            raise LoopMisused(
                "The coroutine waits for something that belongs to another event loop",
                "`await` it in the cell or coroutine that made it.",
            ) from error
        raise


def _check(awaitable: Any) -> None:
    kind = type(awaitable).__name__
    if not inspect.isawaitable(awaitable):
        call = " with its parentheses: `run(main())`" if callable(awaitable) else ": `run(main())`"
        raise LoopMisused(f"Got {kind}, which cannot be awaited", f"pass a coroutine{call}.")
    used = inspect.iscoroutine(awaitable) and inspect.getcoroutinestate(awaitable) != "CORO_CREATED"
    if used:
        raise LoopMisused(
            "This coroutine has been run or awaited before",
            "call its function again for a new one.",
        )
    if asyncio.isfuture(awaitable):
        raise LoopMisused(
            f"This {kind} belongs to an event loop already, which waiting here could block",
            "write `await` where it was made.",
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if not _in_plain_cell():
        if inspect.iscoroutine(awaitable):
            awaitable.close()  # or Python would warn of it in a later cell
        raise LoopMisused(
            "`run` was called inside a coroutine, where it would block the event loop it waits for",
            "write `await` instead of `run`.",
        )
    if not inspect.iscoroutine(awaitable):
        raise LoopMisused(
            f"This {kind} may depend on the event loop of the notebook, which `run` would block",
            "write `await` instead of `run`.",
        )


def _in_plain_cell() -> bool:
    """Tell whether a cell calls `run` without any `async` function in between."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and not frame.f_code.co_flags & _ASYNC_CODE:
        frame = frame.f_back
    module = "" if frame is None else str(frame.f_globals.get("__name__"))
    return module.partition(".")[0] in ("IPython", "ipykernel")


def allow_nested_run() -> None:
    """Make `asyncio.run()` work in a cell, by nest_asyncio; says, the first time, what that breaks.

    It patches asyncio for the whole process and cannot be undone. Nothing else in nbkit applies
    it, or needs it: `await` at the top of a cell does the same and breaks nothing.

    Raises `LoopMisused` where no loop is running, or one that nest_asyncio cannot patch (uvloop).

    Taught in notebook 03.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise LoopMisused(
            "No event loop is running here, so `asyncio.run` works as it is",
            "leave `allow_nested_run()` out.",
        ) from None
    # nest_asyncio would find out after it had patched half of asyncio.
    if not isinstance(loop, asyncio.BaseEventLoop):
        raise LoopMisused(
            f"An event loop of type {type(loop).__module__}.{type(loop).__name__} cannot be nested",
            "write `await`, or run this on one of asyncio's own loops.",
        )
    import nest_asyncio

    nest_asyncio.apply(loop)
    _say_the_price()


@cache
def _say_the_price() -> None:
    sys.stdout.write(_NESTED)
