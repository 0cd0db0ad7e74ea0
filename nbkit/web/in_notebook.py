"""The page inside a notebook."""

import os
import sys
from html import escape
from importlib.util import find_spec
from urllib.parse import urlsplit

from nbkit.language import say
from nbkit.loops.kernel import kernel_shell

HUB_VARIABLE = "JUPYTERHUB_SERVICE_PREFIX"
"""Set on JupyterHub and Binder: the path under which this notebook's server is reached."""
# A page sees of what is around its frame the height only: page.css takes it for the theme. The
# color-scheme of a frame would do in Chromium and Firefox, not in WebKit.
_STYLE = """<style>
.nbkit-page { width: 100%; height: 480px }
[data-jp-theme-light="true"] .nbkit-page, .vscode-light .nbkit-page { height: 500px }
[data-jp-theme-light="false"] .nbkit-page, .vscode-dark .nbkit-page { height: 520px }
</style>"""


def show_page(page: str) -> None:
    """Display the page in a frame, or a link to it where a frame cannot be; `page` has the token.

    Without a notebook its address is printed.
    """
    if kernel_shell() is None:
        sys.stdout.write(f"{page}\n")
        return
    from IPython.display import display

    url = escape(notebook_url(page))
    out_of_reach = HUB_VARIABLE in os.environ and notebook_url(page) == page
    words = say(
        "The page was here while its server ran: run the cells again to bring it back. If it runs, "
        '<a href="{url}" target="_blank" rel="noopener">open the page</a> in a tab of its own.',
        url=url,
    )
    if out_of_reach:
        words += say(" On a hub this needs jupyter-server-proxy, installed there.")
    # An object, not an iframe: what stands inside it is shown where the page cannot be, or when its
    # server has ended.
    frame = (
        f'{_STYLE}<object class="nbkit-page" type="text/html" title="{say("The page, live")}" '
        f'data="{url}">{words}</object>'
    )
    words = say(
        "The page of {page}: its whole address is server.page.", page=page.partition("/#")[0]
    )
    display({"text/html": frame, "text/plain": words}, raw=True)  # type: ignore[no-untyped-call]


def notebook_url(page: str) -> str:
    """The page's address as the reader's browser can reach it.

    On JupyterHub and Binder that is a path of the hub's own, through jupyter-server-proxy.
    """
    prefix = os.environ.get(HUB_VARIABLE)
    if prefix is None or find_spec("jupyter_server_proxy") is None:
        return page
    parts = urlsplit(page)
    return f"{prefix.rstrip('/')}/proxy/{parts.port}/#{parts.fragment}"
