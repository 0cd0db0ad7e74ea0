"""Which line of code a thread is running, named by its cell, script or module."""

import gc
import linecache
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath
from types import FrameType
from typing import Any

from nbkit.language import say
from nbkit.loops.kernel import kernel_shell

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_STDLIB = str(Path(os.__file__).parent) + os.sep
_WIDEST = 80
_LOOP_ITSELF = {("asyncio.events", "_run"), ("asyncio.runners", "run")}
"""The frames outside these show who started the loop, not what the loop is doing."""


def lines_of(thread: int) -> tuple[str, str] | None:
    """The lines a thread is running: the innermost one of the user's own code, and of any code.

    If no code of the user is running, the first is that of a third-party library, or else of the
    standard library. `None` if the thread has ended.
    """
    frames = list(_stack(_frame_of(thread)))
    if not frames:
        return None
    nearest = min(frames, key=lambda frame: _distance_from_user(frame.f_code.co_filename))
    return _describe(nearest), _describe(frames[0])


def _frame_of(thread: int) -> FrameType | None:
    current_frames: Any = getattr(sys, "_current_frames", dict)  # private: CPython has it
    # CPython 3.11 holds the lock on its list of threads during this call. A garbage collection that
    # starts inside it and finalizes a `threading.local` would wait for that lock forever.
    collecting = gc.isenabled()
    gc.disable()
    try:
        frame: FrameType | None = current_frames().get(thread)
        return frame
    finally:
        if collecting:
            gc.enable()


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in _LOOP_ITSELF:
            return
        yield frame
        frame = frame.f_back


@cache
def _distance_from_user(name: str) -> int:
    """0 for a file of the user's own code, 1 for one of a library, 2 for one of Python itself."""
    if {"site-packages", "dist-packages"} & set(PurePath(name).parts) or name.startswith(_PACKAGE):
        return 1
    return 2 if name.startswith((_STDLIB, "<frozen")) else 0


def _describe(frame: FrameType) -> str:
    """The place and the text of a line; never a full path, which could be private."""
    file, number = frame.f_code.co_filename, frame.f_lineno or 0
    module, shell = frame.f_globals.get("__name__"), kernel_shell()
    cell = shell.compile.format_code_name(file) if shell is not None else None
    if cell is not None:
        place = say("cell {number}", number=cell[1].removeprefix("In"))
    else:
        place = PurePath(file).name if module in (None, "__main__") else str(module)
    text = linecache.getline(file, number).strip()
    if len(text) > _WIDEST:
        text = text[: _WIDEST - 1] + "…"
    line = say("{place}, line {number}", place=place, number=number)
    return f"{line}: {text}" if text else line
