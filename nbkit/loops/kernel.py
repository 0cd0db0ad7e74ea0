"""The Jupyter kernel that runs this code, if there is one."""

import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """One run of a cell, or of the function that a button or another control calls."""

    cell: str | None
    """The id of the cell or control, if the front end sends it."""
    execution: str | None
    """The id of the message that started this run."""
    is_control: bool = False

    def is_again(self, earlier: "Place") -> bool:
        """Whether this is a later run of the same cell or control."""
        return self.cell == earlier.cell is not None and self != earlier


def kernel_shell() -> Any:
    """The IPython shell of the Jupyter kernel that runs this code; `None` without a kernel."""
    shell = ipython_shell()
    return shell if hasattr(shell, "kernel") else None


def ipython_shell() -> Any:
    """The IPython shell that runs this code, in a kernel or a terminal; `None` without one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def in_marimo() -> bool:
    """Whether this code runs in a notebook of marimo: no Jupyter, and none of its widgets."""
    running = getattr(sys.modules.get("marimo"), "running_in_notebook", None)
    return running is not None and bool(running())


def _parent() -> dict[str, Any]:
    """The message that made the kernel run this code."""
    shell = kernel_shell()
    return {} if shell is None else shell.kernel.get_parent()


def this_place() -> Place:
    """The cell or control whose code is running now."""
    parent = _parent()
    header = parent.get("header", {})
    if header.get("msg_type") == "comm_msg":
        return Place(parent["content"].get("comm_id"), header.get("msg_id"), is_control=True)
    return Place(parent.get("metadata", {}).get("cellId"), header.get("msg_id"))


def has_widgets() -> bool:
    """Whether a front end can show widgets: a notebook can, a console or a terminal cannot.

    Notebook and console allow `input()`, but only a notebook sends the cell's id (Google Colab
    does not). A program that runs a notebook does not allow `input()`.
    """
    if kernel_shell() is None:
        return False
    asks = _parent().get("content", {}).get("allow_stdin", False)
    return not asks or this_place().cell is not None or "google.colab" in sys.modules
