"""The page people ask from: one HTML file that needs nothing else, and the policy that says so."""

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from nbkit.language import language, page_said, script_words

_FRAMES = "'self' http://localhost:* http://127.0.0.1:* vscode-webview:"
"""Who may show the page in a frame: Jupyter on this machine, or in front of it."""


def page(modes: list[str]) -> tuple[str, str]:
    """The page and its Content-Security-Policy; `modes` are "query" and "chat" or one."""
    style, script = _file("page.css"), f"{_file('sse_reader.js')}\n{_file('page.js')}"
    words = json.dumps(script_words(script), ensure_ascii=False)
    script = script.replace("{{words}}", words)
    html = (
        page_said(_file("page.html"))
        .replace("{{language}}", language())
        .replace("{{modes}}", " ".join(modes))
        .replace("{{style}}", style)
        .replace("{{script}}", script)
    )
    # The tables of Markdown set each cell's alignment by a style attribute.
    cells = " ".join(_hash(f"text-align: {side}") for side in ("left", "center", "right"))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)} 'unsafe-hashes' {cells}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {_FRAMES}",
        ]
    )
    return html, policy


@cache
def _file(name: str) -> str:
    return (files("nbkit.web") / "static" / name).read_text("utf-8").strip()


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
