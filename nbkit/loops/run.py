"""Running a coroutine from anywhere, and nesting event loops where that is needed."""

import asyncio
import atexit
import inspect
import sys
import threading
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from functools import cache
from types import FrameType
from typing import Any, TypeVar

from nbkit.language import say, to_say
from nbkit.loops.turns import LoopMisused

T = TypeVar("T")

_WAIT_SLICE = 0.1
_CLOSE_SECONDS = 2.0
_ASYNC_CODE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_NESTED = to_say("""\
nest_asyncio is on for the rest of this process: asyncio.run() now works in a cell. But:
  - nested runs end in reverse order: a short one waits for a longer one started after it;
  - asyncio.run(loop_factory=...) and uvicorn.run() fail; from Python 3.12 so does a uvicorn
    server in a thread, and its clients only see "connection refused";
  - asyncio.Runner and anyio.run are refused as before, and tasks are slower, in pure Python.
A notebook needs none of it: write `await main()` where a script has `asyncio.run(main())`.
""")


class _SharedLoop:
    """The event loop, in a thread of its own, on which every `run` of the process runs.

    The connections that a client keeps open work only on the loop that opened them.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._closing = False
        self.thread = threading.Thread(target=self._run_loop, name="nbkit-run", daemon=True)
        self.thread.start()
        atexit.register(self._close)

    def _run_loop(self) -> None:
        try:
            while not self._closing:  # a coroutine that stops the loop must not stop the others
                self.loop.run_forever()
        finally:
            self.loop.run_until_complete(wind_up())
            self.loop.close()

    def wait(self, finished: threading.Event) -> None:
        """Wait until `finished` is set, or the loop's thread has ended."""
        # In short waits: on Windows, Ctrl-C does not interrupt a wait without a timeout.
        while not finished.wait(_WAIT_SLICE) and self.thread.is_alive():
            pass

    def _close(self) -> None:
        if self.thread.is_alive():
            self._closing = True
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(_CLOSE_SECONDS)


async def wind_up() -> None:
    """Clean up as `asyncio.run` does, but without a new thread: Python may be shutting down."""
    # Repeated, because other threads may have sent work that starts only now.
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
        # A forked process inherits the loop without its thread.
        if _shared is None or not _shared.thread.is_alive():
            _shared = _SharedLoop()
        return _shared


def run(awaitable: Awaitable[T]) -> T:
    """The result of a coroutine, run from a script, a thread, or a cell without `await`.

    All calls share one event loop in its own thread, so clients, connections and background tasks
    stay alive between calls; the loop is closed when the process ends. The caller is blocked, which
    in a cell means the whole kernel: prefer `await` there. An interrupt cancels the coroutine and
    waits for it to clean up; a second interrupt does not wait.

    Raises what the coroutine raises, and `LoopMisused` for a call that would deadlock, a coroutine
    that was used before, or another kind of object. Taught in notebook 02.
    """
    _check(awaitable)
    shared, finished = _shared_loop(), threading.Event()
    tasks: list[asyncio.Task[T]] = []

    async def result() -> T:
        return await awaitable

    def start() -> None:
        tasks.append(shared.loop.create_task(result(), name="nbkit-run"))
        tasks[0].add_done_callback(lambda _: finished.set())

    def stop() -> None:
        if tasks:
            tasks[0].cancel()
        else:  # interrupted before it was started
            finished.set()

    try:
        shared.loop.call_soon_threadsafe(start)
        shared.wait(finished)
    except KeyboardInterrupt:
        shared.loop.call_soon_threadsafe(stop)
        shared.wait(finished)
        raise
    try:
        return tasks[0].result()
    except RuntimeError as error:
        if "different loop" in str(error) or "different event loop" in str(error):
            raise LoopMisused(
                say("The coroutine waits for something that belongs to another event loop"),
                say("`await` it in the cell or coroutine that made it."),
            ) from error
        raise


def start(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the loop of `run` without waiting for it; cancel the future to stop it."""
    return asyncio.run_coroutine_threadsafe(coroutine, _shared_loop().loop)


def _check(awaitable: Any) -> None:
    kind = type(awaitable).__name__
    coroutine = awaitable if inspect.iscoroutine(awaitable) else None
    if not inspect.isawaitable(awaitable):
        advice = say("pass a coroutine: `run(main())`.")
        if callable(awaitable):
            advice = say("pass a coroutine with its parentheses: `run(main())`.")
        raise LoopMisused(say("Got {kind}, which cannot be awaited", kind=kind), advice)
    if coroutine is not None and inspect.getcoroutinestate(coroutine) != "CORO_CREATED":
        raise LoopMisused(
            say("This coroutine has been run or awaited before"),
            say("call its function again for a new one."),
        )
    try:
        in_a_loop = bool(asyncio.get_running_loop())
    except RuntimeError:
        in_a_loop = False
    if in_a_loop and not _in_plain_cell():
        if coroutine is not None:
            coroutine.close()  # otherwise Python warns about it in a later cell
        raise LoopMisused(
            say(
                "`run` was called inside a coroutine, where it would block the event loop it waits "
                "for"
            ),
            say("write `await` instead of `run`."),
        )
    if asyncio.isfuture(awaitable) or (in_a_loop and coroutine is None):
        raise LoopMisused(
            say("This {kind} belongs to an event loop already, which `run` could block", kind=kind),
            say("write `await` where it was made."),
        )


def _in_plain_cell() -> bool:
    """Whether a cell calls `run` with no `async` function in between."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and not frame.f_code.co_flags & _ASYNC_CODE:
        frame = frame.f_back
    module = "" if frame is None else str(frame.f_globals.get("__name__"))
    return module.partition(".")[0] in ("IPython", "ipykernel")


def allow_nested_run() -> None:
    """Make `asyncio.run()` work in a cell, with nest_asyncio; prints once what that breaks.

    This patches asyncio for the whole process and cannot be undone. nbkit does not need it. Raises
    `LoopMisused` if no loop is running. Taught in notebook 02.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise LoopMisused(
            say("No event loop is running here, so `asyncio.run` works as it is"),
            say("leave `allow_nested_run()` out."),
        ) from None
    import nest_asyncio

    nest_asyncio.apply(loop)
    _warn_once()


@cache
def _warn_once() -> None:
    sys.stdout.write(say(_NESTED))
