"""API keys: from the environment, a `.env` file, or a person who types one without seeing it."""

import getpass
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values, find_dotenv

from nbkit.language import say
from nbkit.loops.kernel import kernel_shell
from nbkit.models.errors import MissingKeyError, RefusedKeyError
from nbkit.models.server_settings import check_key

_Made = TypeVar("_Made")
_typed: dict[str, str] = {}
"""The keys that were typed in this process and accepted, by the server's address."""
_may_ask = ContextVar("may_ask", default=True)


def with_key(variable: str, base_url: str, make: Callable[[str | None, bool], _Made]) -> _Made:
    """What `make` gives for the server's key, or `None`, and whether it was typed just now.

    The key is the one typed before for this server, or `variable` in the environment, or in the
    nearest `.env` file of this folder and those above it. If `make` raises MissingKeyError or
    RefusedKeyError and there is a person, they are asked once, and `make` is called again. Never
    asked: in a notebook that a program runs, in a script without a terminal, in a thread.
    """
    try:
        return make(_typed.get(base_url) or _set_key(variable), False)
    except (MissingKeyError, RefusedKeyError):
        typed = _ask(
            say(
                "API key for {hostname} (hidden, not stored): ",
                hostname=urlsplit(base_url).hostname,
            )
        )
        if typed is None:
            raise
    made = make(typed, True)
    _typed[base_url] = typed
    return made


@contextmanager
def without_asking() -> Iterator[None]:
    """Inside this block nobody is asked for a key."""
    token = _may_ask.set(False)
    try:
        yield
    finally:
        _may_ask.reset(token)


def ways_to_give(variable: str) -> str:
    """The advice for a key that is missing or wrong."""
    return say(
        "set {variable} before starting Jupyter, or in a file named .env in your folder, or "
        "connect in JupyterLab or a terminal, where you can type the key",
        variable=variable,
    )


def _set_key(variable: str) -> str | None:
    if variable in os.environ:
        return check_key(os.environ[variable], variable)
    try:
        file = find_dotenv(usecwd=True)
        # Windows' editors put a byte order mark at the beginning.
        values = dotenv_values(file, interpolate=False, encoding="utf-8-sig") if file else {}
    except (OSError, UnicodeError) as error:
        warnings.warn(
            say(
                "The .env file cannot be read ({kind}) — save it as UTF-8 text.",
                kind=type(error).__name__,
            ),
            stacklevel=2,
        )
        return None
    key = (values.get(variable) or "").strip()
    if not key:
        return None
    _warn_if_git_takes(Path(file))
    return check_key(key, say("{variable} in the .env file", variable=variable))


def _warn_if_git_takes(file: Path) -> None:
    command = ["git", "check-ignore", "--quiet", file.name]
    with suppress(OSError, subprocess.SubprocessError):
        asked = subprocess.run(command, cwd=file.parent, capture_output=True, timeout=5)
        if asked.returncode == 1:  # 0: ignored, 128: not in a repository
            warnings.warn(
                say(
                    "The .env file with your key is in a git repository that does not ignore it — "
                    "add .env to .gitignore."
                ),
                stacklevel=2,
            )


def _ask(prompt: str) -> str | None:
    """What a person types; `None` without a person, or if they type nothing."""
    if not _may_ask.get() or threading.current_thread() is not threading.main_thread():
        return None
    if kernel_shell() is not None:
        # Only while a cell runs does the kernel replace it; the original would ask in the terminal
        # that Jupyter was started from.
        if getpass.getpass.__module__ == "getpass":
            return None
    elif sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        return None
    try:
        with warnings.catch_warnings():
            # Where it cannot hide what is typed, it warns and shows it.
            warnings.simplefilter("error", getpass.GetPassWarning)
            typed = getpass.getpass(prompt)
    except (NotImplementedError, EOFError, OSError, getpass.GetPassWarning):
        return None
    return check_key(typed, say("The key you typed")) if typed.strip() else None
