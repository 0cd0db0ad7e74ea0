"""The Jupyter kernel that runs this code, if one does."""

import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """A run of a cell."""

    cell: str | None
    """The id the notebook gives the cell, where the front end sends it."""
    execution: str | None
    """The id of the request to run it."""


def kernel_shell() -> Any:
    """The IPython shell of the Jupyter kernel that runs this code; `None` without one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if hasattr(shell, "kernel") else None


def this_place() -> Place:
    """Say where in a notebook the running code stands."""
    shell = kernel_shell()
    parent = {} if shell is None else shell.kernel.get_parent()
    return Place(parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id"))
