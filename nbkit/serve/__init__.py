"""Serve answers to a web page, and to programs, as server-sent events: `nbkit.serve(engine)`.

The module is also the function: calling it calls `nbkit.serve.server.serve`, whose docstring says
what it takes. `python -m nbkit.serve --data FOLDER` does the same from a shell.

Taught in notebook 07.
"""

import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbkit.serve.server import Server


class _Callable(ModuleType):
    """A module that can be called: the package and the function share the name `nbkit.serve`."""

    def __call__(self, *args: Any, **kwargs: Any) -> "Server":
        from nbkit.serve.server import serve

        return serve(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        from nbkit.serve.server import serve

        return inspect.signature(serve)


sys.modules[__name__].__class__ = _Callable
