"""The page inside a notebook."""

import os
import sys
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nbkit.loops.kernel import kernel_shell

if TYPE_CHECKING:
    from nbkit.web.server import Server

HEIGHT = 480
"""Pixels."""
# A framed page is told to be dark by the color-scheme of its frame, else by the system.
_STYLE = f"""<style>
.nbkit-page {{ width: 100%; height: {HEIGHT}px }}
[data-jp-theme-light="true"] .nbkit-page, .vscode-light .nbkit-page {{ color-scheme: light }}
[data-jp-theme-light="false"] .nbkit-page, .vscode-dark .nbkit-page {{ color-scheme: dark }}
</style>"""
_NEEDS_PROXY = " On a hub it is out of reach until jupyter-server-proxy is installed there."


def show_page(server: "Server") -> None:
    """Display the page in a frame, or a link to it where a frame cannot be."""
    if kernel_shell() is None:
        sys.stdout.write(f"{server.page}\n")
        return
    from IPython.display import display

    url = escape(notebook_url(server))
    needs = _NEEDS_PROXY if _on_hub() and not find_spec("jupyter_server_proxy") else ""
    # An object, not an iframe: where the page cannot be shown, or its server is gone, it shows what
    # stands inside it.
    frame = (
        f'{_STYLE}<object class="nbkit-page" type="text/html" data="{url}">'
        "The page was here while its server ran: run the cells again to bring it back. If it runs, "
        f'<a href="{url}" target="_blank" rel="noopener">open the page</a> in a tab of its own.'
        f"{needs}</object>"
    )
    words = f"The page of {server.url}: its whole address, with the token, is server.page."
    display({"text/html": frame, "text/plain": words}, raw=True)  # type: ignore[no-untyped-call]


def notebook_url(server: "Server") -> str:
    """Give the page's address as the reader's browser can reach it.

    On JupyterHub and Binder that is a path of the hub's own, through jupyter-server-proxy.
    """
    prefix = _on_hub()
    if prefix and find_spec("jupyter_server_proxy"):
        return f"{prefix.rstrip('/')}/proxy/{server.port}/#{server.token}"
    return server.page


def _on_hub() -> str | None:
    return os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
