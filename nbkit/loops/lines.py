"""Which line of code a thread is at, said as its reader knows it: by cell, script or module."""

import asyncio
import gc
import linecache
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath
from types import FrameType

from nbkit.loops.kernel import kernel_shell

_OURS = str(Path(__file__).parent.parent) + os.sep
_STDLIB = str(Path(os.__file__).parent) + os.sep
_WIDEST = 80
# Below these a stack tells who started the loop, not what the loop is doing.
_LOOP_ITSELF = {asyncio.Handle._run.__code__, asyncio.Runner.run.__code__}


def lines_of(thread: int) -> tuple[str, str] | None:
    """Give the line a thread is at: its innermost line of the reader's own code, and of any code.

    Where no code of the reader's is running, the innermost line of a third-party library stands
    in for it, then of the standard library. `None` if the thread is gone.
    """
    frames = list(_stack(_frame_of(thread)))
    if not frames:
        return None
    return _describe(min(frames, key=_strangeness)), _describe(frames[0])


def _frame_of(thread: int) -> FrameType | None:
    # CPython 3.11 holds the lock of its list of threads in here; a garbage collection that begins
    # meanwhile, and meets a `threading.local`, would wait for that lock for ever.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(thread)
    finally:
        if collecting:
            gc.enable()


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None and frame.f_code not in _LOOP_ITSELF:
        yield frame
        frame = frame.f_back


def _strangeness(frame: FrameType) -> int:
    return _strangeness_of_file(frame.f_code.co_filename)


@cache
def _strangeness_of_file(name: str) -> int:
    """0 for the reader's own code, 1 for libraries, 2 for Python itself."""
    if {"site-packages", "dist-packages"} & set(PurePath(name).parts) or name.startswith(_OURS):
        return 1
    return 2 if name.startswith((_STDLIB, "<frozen")) else 0


def _describe(frame: FrameType) -> str:
    file, number = frame.f_code.co_filename, frame.f_lineno or 0
    place = f"{_place(file, frame.f_globals.get('__name__'))}, line {number}"
    text = linecache.getline(file, number).strip()
    if len(text) > _WIDEST:
        text = text[: _WIDEST - 1] + "…"
    return f"{place}: {text}" if text else place


def _place(file: str, module: str | None) -> str:
    """A cell's number, a script's name or a module's; never a path of this machine."""
    shell = kernel_shell()
    cell = shell.compile.format_code_name(file) if shell is not None else None
    if cell is not None:
        return f"cell {cell[1].removeprefix('In')}"
    return PurePath(file).name if module in (None, "__main__") else str(module)
