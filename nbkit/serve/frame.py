"""The page inside a notebook."""

import os
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbkit.serve.server import Server

HEIGHT = 620
"""Pixels."""


def show_page(server: "Server") -> None:
    """Display the page, framed, and a link to it; outside a notebook, print the link."""
    from IPython.display import HTML, display

    # An object, not an iframe: once the server is gone, it shows what stands inside it.
    url = escape(notebook_url(server))
    link = f'<a href="{url}" target="_blank" rel="noopener">Open the page in a tab of its own</a>'
    gone = "The page was here while its server ran. Run the cells again to bring it back."
    frame = (
        f'<object type="text/html" data="{url}" style="width: 100%; height: {HEIGHT}px">{gone}'
        f"</object><p>{link}</p>"
    )
    display(HTML(frame))  # type: ignore[no-untyped-call]


def notebook_url(server: "Server") -> str:
    """Give the page's address as the reader's browser can reach it.

    On JupyterHub and Binder that is a path of the hub's own, through jupyter-server-proxy.
    """
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix and find_spec("jupyter_server_proxy"):
        return f"{prefix.rstrip('/')}/proxy/{server.port}/#{server.token}"
    return server.page
