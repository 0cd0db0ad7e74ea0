"""The page lets nothing out of an answer run, and itself nothing in from elsewhere."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from llama_index.core.schema import NodeWithScore, TextNode
from playwright.sync_api import Page, Route, expect

import nbkit
from nbkit.web.server import Server
from tests.browser.conftest import Trap
from tests.browser.test_security import ANSWER, BAD, MARKER, SHORT
from tests.served import Scripted, echo

pytestmark = pytest.mark.browser


class Hostile(Scripted):
    """An engine whose answer, sources and error all attack the page."""

    async def _aquery(self, query_bundle: object) -> object:
        response = await super()._aquery(query_bundle)  # type: ignore[arg-type]
        node = TextNode(text=SHORT, metadata={"file_name": SHORT})
        response.source_nodes = [NodeWithScore(node=node, score=1)]
        return response


async def _attack(_question: str) -> AsyncIterator[str]:
    for start in range(0, len(ANSWER), 9):
        yield ANSWER[start : start + 9]
        await asyncio.sleep(0.005)
    raise RuntimeError(SHORT)


def test_an_answer_is_only_text(page: Page) -> None:
    """Scripts, handlers, links and images in answer, question, sources and error do nothing."""
    trap = Trap()
    with nbkit.serve(Hostile(_attack)) as server:
        trap.watch(page, server.url)
        page.goto(server.page)
        page.locator("#question").fill(SHORT)
        page.keyboard.press("Enter")
        turn = page.locator(".turn")
        expect(turn).to_have_attribute("data-state", "failed")
        expect(turn.locator(".answer")).to_contain_text(MARKER)
        expect(turn.get_by_role("alert")).to_contain_text(MARKER)
        turn.locator(".sources summary").click()
        expect(turn.locator("li")).to_contain_text(MARKER)
        assert turn.evaluate(BAD) == []
        page.wait_for_timeout(200)
        assert trap.sprung == []


ESCAPES = {
    "an inline script": "document.body.append(Object.assign(document.createElement('script'),"
    "{ textContent: 'window.hacked = 1' }))",
    "a handler": "document.body.insertAdjacentHTML('beforeend',"
    "'<img src=data:x onerror=window.hacked=1>')",
    "a style": "document.body.insertAdjacentHTML('beforeend', '<p style=color:red>x</p>')",
    "an image": "new Image().src = 'http://attacker.invalid/x.png'",
    "a request": "fetch('http://attacker.invalid/x').catch(() => {})",
    "a form": "document.body.insertAdjacentHTML('beforeend',"
    "'<form action=/x><button id=go></button></form>'); go.click()",
    "a frame": "document.body.insertAdjacentHTML('beforeend', '<iframe src=/></iframe>')",
    "a base": "document.head.insertAdjacentHTML('beforeend', '<base href=http://attacker.invalid>')",
}


# Not wait_for_function: it polls by eval, which the page's own policy forbids.
LISTEN = """() => { window.violation = new Promise(stopped => addEventListener(
    'securitypolicyviolation', () => stopped(true), { once: true })) }"""
STOPPED = """Promise.race([window.violation,
    new Promise(missed => setTimeout(() => missed(false), 5000))])"""


@pytest.mark.parametrize("escape", ESCAPES)
def test_the_policy_stops_what_would_get_through(page: Page, escape: str) -> None:
    """Even with the sanitiser gone the page could run, load and send nothing."""
    with nbkit.serve(Scripted(echo)) as server:
        page.goto(server.page)
        page.evaluate(LISTEN)
        page.evaluate(ESCAPES[escape])
        assert page.evaluate(STOPPED)
        assert page.evaluate("window.hacked") is None
        assert page.url == f"{server.url}/"


def test_the_page_asks_nobody_else(page: Page) -> None:
    """Everything it needs is in the one file; only its own server is ever asked."""
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    with nbkit.serve(Scripted(echo)) as server:
        page.goto(server.page)
        page.keyboard.type("x\n")
        expect(page.locator(".turn")).to_have_attribute("data-state", "done")
        assert asked == [f"{server.url}/", f"{server.url}/query"]


def test_only_a_page_of_this_machine_may_frame_it() -> None:
    """Jupyter on another port can show it; a site of the Internet cannot trick clicks out of it."""
    with nbkit.serve(Scripted(echo)) as server:
        policy = httpx.get(server.url).headers["content-security-policy"]
    (rule,) = [rule for rule in policy.split("; ") if rule.startswith("frame-ancestors")]
    assert rule.split()[1:] == [
        "'self'",
        "http://localhost:*",
        "http://127.0.0.1:*",
        "vscode-webview:",
    ]


def test_two_pages_of_one_origin_keep_their_own_tokens(page: Page) -> None:
    """Behind a hub the pages of several servers have one origin: each finds its token again."""
    sent: list[str | None] = []
    with nbkit.serve(Scripted(echo)) as one, nbkit.serve(Scripted(echo)) as two:
        for path, server in (("one", one), ("two", two)):

            def forward(route: Route, path: str = path, server: Server = server) -> None:
                if route.request.method == "POST":
                    sent.append(route.request.header_value("x-token"))
                    return route.abort()
                rest = route.request.url.partition(f"/{path}/")[2]
                return route.fulfill(response=route.fetch(url=f"{server.url}/{rest}"))

            page.route(f"http://hub.test/{path}/**", forward)
            page.goto(f"http://hub.test/{path}/#{server.token}")
        for path in ("one", "two"):
            page.goto(f"http://hub.test/{path}/")
            page.locator("#question").fill("who answers?")
            page.keyboard.press("Enter")
            expect(page.locator(".turn")).to_have_attribute("data-state", "failed")
        assert sent == [one.token, two.token]
