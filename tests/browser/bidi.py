"""The distribution's own Firefox, driven over WebDriver BiDi, which it speaks without a driver.

Playwright drives only a Firefox of its own build. `FirefoxPage` has those of its methods that the
functions in conftest.py call, so that they serve both.
"""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

from tests.browser.started import started

ENTER = "\ue007"
"""What the protocol calls the Enter key."""
# Code may be an expression or a function, as with Playwright.
RUN = (
    "async (...args) => { const it = (CODE); return typeof it === 'function' ? it(...args) : it; }"
)
RUN_AS_JSON = f"async args => JSON.stringify(await ({RUN})(...JSON.parse(args)) ?? null)"
SCROLL = "() => { const it = (CODE); it.scrollIntoView({ block: 'nearest' }); return it; }"

LEFT = (
    "NetworkError",
    "AbortError",
    "Could not restore the debugger state",
    "Canceled future",
    "establish a connection to the server at ws:",  # to the kernel; nbkit opens no WebSocket
)
"""What is said of JupyterLab's own requests when a page or a notebook is left during one."""


class Firefox:
    """A session with a running Firefox; `log` has what its pages' consoles and errors said."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self._last = 0
        self.log: list[dict[str, Any]] = []
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded"])

    def ask(self, method: str, **params: Any) -> Any:
        """Send one command and wait for its result; log entries that come meanwhile are kept."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message["type"] == "event":
                self.log.append(message["params"])
            elif message["type"] == "error":
                raise RuntimeError(f"{method}: {message['error']}: {message['message']}")
            elif message["id"] == self._last:
                return message["result"]

    def errors(self) -> list[str]:
        """Give what went wrong in the pages since this was asked before, as their consoles say.

        What a widget's module throws is only a warning of anywidget's where that goes on.
        """
        self.ask("session.status")  # what it has sent until now comes before the answer
        log, self.log = self.log, []
        said = [f"{entry['level']}: {entry['text']}" for entry in log]
        wrong = [line for line in said if line.startswith("error") or "[anywidget]" in line]
        return [line for line in wrong if not any(left in line for left in LEFT)]

    def new_page(self) -> "FirefoxPage":
        """Open a page as large as a projector's.

        Firefox's first one never has the focus while no screen shows it; JupyterLab needs it.
        """
        context = self.ask("browsingContext.create", type="tab")["context"]
        size = {"width": 1280, "height": 720}
        self.ask("browsingContext.setViewport", context=context, viewport=size)
        return FirefoxPage(self, context)


class FirefoxPage:
    """A page, or a frame in one."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self.firefox, self.context = firefox, context

    @property
    def url(self) -> str:
        return str(self.evaluate("location.href"))

    def goto(self, url: str) -> None:
        """Load an address."""
        self._ask("browsingContext.navigate", url=url, wait="complete")

    def reload(self) -> None:
        """Load the page again."""
        self._ask("browsingContext.reload", wait="complete")

    def evaluate(self, code: str, *args: Any) -> Any:
        """Evaluate an expression, or call a function; waits for a promise."""
        given = [{"type": "string", "value": json.dumps(args)}]
        result = self._call(RUN_AS_JSON.replace("CODE", code), given)
        return json.loads(result["value"])

    def wait_for_function(self, code: str, *, timeout: float = 60_000) -> Any:
        """Wait until an expression or function gives something true, and return that."""
        end = time.monotonic() + timeout / 1000
        while not (value := self.evaluate(code)):
            if time.monotonic() > end:
                raise AssertionError(
                    f"never true: {code}\n{self.evaluate('document.body.innerText')}"
                )
            time.sleep(0.05)
        return value

    def click(self, element: str) -> None:
        """Scroll to what an expression gives, and click on its middle, as a mouse does.

        A view that is being put up anew has its elements out of sight for a moment: that is
        waited for, as Playwright does.
        """
        end = time.monotonic() + 20
        while True:
            try:
                return self._click(element)
            except RuntimeError as error:
                if "is not displayed" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def _click(self, element: str) -> None:
        node = self._call(RUN.replace("CODE", SCROLL.replace("CODE", element)), [])
        origin = {"type": "element", "element": {"sharedId": node["sharedId"]}}
        actions = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "actions": actions}
        self._ask("input.performActions", actions=[mouse])

    def type(self, keys: str) -> None:
        """Press keys one after the other, in what has the focus."""
        ways = ("keyDown", "keyUp")
        actions = [{"type": way, "value": key} for key in keys for way in ways]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._ask("input.performActions", actions=[keyboard])

    def screenshot(self, path: Path) -> None:
        """Save what the window shows."""
        path.write_bytes(base64.b64decode(self._ask("browsingContext.captureScreenshot")["data"]))

    def frames(self) -> "list[FirefoxPage]":
        """Give the frames that stand in the page."""
        tree = self.firefox.ask("browsingContext.getTree", root=self.context)
        return [
            FirefoxPage(self.firefox, child["context"]) for child in tree["contexts"][0]["children"]
        ]

    def _ask(self, method: str, **params: Any) -> Any:
        return self.firefox.ask(method, context=self.context, **params)

    def _call(self, function: str, arguments: list[Any]) -> dict[str, Any]:
        answer = self.firefox.ask(
            "script.callFunction",
            functionDeclaration=function,
            arguments=arguments,
            target={"context": self.context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        result: dict[str, Any] = answer["result"]
        return result


@contextmanager
def running_firefox(path: str, profile: Path) -> Iterator[Firefox]:
    """Start Firefox with an empty profile, and no window on this machine's screen; ends it."""
    command = [path, "--headless", "--no-remote", "--remote-debugging-port=0"]
    command += ["--profile", str(profile)]
    # As root it starts only in a home that is root's own.
    environment = {**os.environ, "HOME": str(profile)}
    settings = {"stdout": subprocess.DEVNULL, "env": environment}
    with started("Firefox", command, r"ws://127\.0\.0\.1:\d+", **settings) as address:
        yield Firefox(f"{address}/session")
