"""The page's reader of server-sent events: what WHATWG says, however the network cuts it.

https://html.spec.whatwg.org/#event-stream-interpretation; Chromium's own EventSource reads the
same vectors, so that they are the standard's and not ours.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from playwright.sync_api import Browser, Page

import nbkit.web

pytestmark = pytest.mark.browser

READER = Path(nbkit.web.__path__[0], "static", "sse_reader.js").read_text("utf-8")
Events = list[tuple[str, str, str]]
"""Name, data, id."""

VECTORS: dict[str, tuple[bytes, Events]] = {
    "one line": (b"data: a\n\n", [("message", "a", "")]),
    "several lines": (b"data: a\ndata:\ndata: b\n\n", [("message", "a\n\nb", "")]),
    "named": (b"event: token\ndata: a\n\n", [("token", "a", "")]),
    "the last name counts": (b"event: x\nevent: token\ndata: a\n\n", [("token", "a", "")]),
    "an empty name is none": (b"event: token\nevent\ndata: a\n\n", [("message", "a", "")]),
    "a name lasts for one event": (
        b"event: token\ndata: a\n\ndata: b\n\n",
        [("token", "a", ""), ("message", "b", "")],
    ),
    "a name without data": (b"event: token\n\ndata: a\n\n", [("message", "a", "")]),
    "no space after the colon": (b"data:a\n\n", [("message", "a", "")]),
    "one space belongs to the colon": (b"data:  a \n\n", [("message", " a ", "")]),
    "a tab does not": (b"data:\ta\n\n", [("message", "\ta", "")]),
    "a colon in the data": (b"data: a: b\n\n", [("message", "a: b", "")]),
    "no colon": (b"data\n\n", [("message", "", "")]),
    "empty data": (b"data:\n\n", [("message", "", "")]),
    "two empty lines of data": (b"data\ndata\n\n", [("message", "\n", "")]),
    "no data": (b"\n\n\nid: 1\n\n", []),
    "comments": (b": ping\n:\n\ndata: a\n: in between\ndata: b\n\n", [("message", "a\nb", "")]),
    "unknown fields": (b"Data: x\ndata : x\n data: x\nx\ndata: a\n\n", [("message", "a", "")]),
    "ids last": (
        b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
        [("message", "a", "1"), ("message", "b", "1"), ("message", "c", "")],
    ),
    "an id without data counts": (b"id: 7\n\ndata: a\n\n", [("message", "a", "7")]),
    "an id with a null does not": (
        b"id: 1\nid: 2\x003\ndata: a\n\n",
        [("message", "a", "1")],
    ),
    "retry is not data": (b"retry: 250\nretry: x\ndata: a\n\n", [("message", "a", "")]),
    "a last event cut off": (b"data: a\n\ndata: b\n", [("message", "a", "")]),
    "a last line cut off": (b"data: a\n\ndata: b", [("message", "a", "")]),
    "a mark at the start": (b"\xef\xbb\xbfdata: a\n\n", [("message", "a", "")]),
    "a mark elsewhere": (
        b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n",
        [("message", "a", ""), ("message", "c", "")],
    ),
    "characters of all lengths": (
        "event: token\ndata: aé说💡\u2028b\x85c\n\n".encode(),
        [("token", "aé说💡\u2028b\x85c", "")],
    ),
    "bytes that are none": (b"data: a\xff\xe8\xaf\n\n", [("message", "a\ufffd\ufffd", "")]),
    "nothing": (b"", []),
    "an answer": (
        b'event: sources\ndata: {"sources":[]}\nid: 1\n\n: ping\n\n'
        b'event: token\ndata: {"text":"\\n\\n"}\nid: 2\n\n',
        [("sources", '{"sources":[]}', "1"), ("token", '{"text":"\\n\\n"}', "2")],
    ),
}
ENDINGS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}
MIXED = [b"\r\n", b"\n", b"\r", b"\r\n", b"\r", b"\n", b"\n"]


def _variants() -> Iterator[tuple[str, bytes, Events]]:
    """Give each vector with each kind of line ending, and with all of them mixed."""
    for name, (stream, events) in VECTORS.items():
        for ending, characters in ENDINGS.items():
            yield f"{name}, {ending}", stream.replace(b"\n", characters), events
        yield f"{name}, mixed", _mixed(stream), events


def _mixed(stream: bytes) -> bytes:
    """Give a stream with line ends of all kinds, none of which would join with its neighbour."""
    mixed, *rest = stream.split(b"\n")
    for number, part in enumerate(rest):
        ending = MIXED[number % len(MIXED)]
        if mixed.endswith(b"\r") and ending == b"\n":
            ending = b"\r"
        mixed += ending + part
    return mixed


READ = """([stream, seed]) => {
    const bytes = Uint8Array.from(stream);
    const read = (cuts) => {
        const reader = new SSEReader();
        const events = [];
        let start = 0;
        for (const end of [...cuts, bytes.length]) {
            events.push(...reader.read(bytes.slice(start, end)));
            start = end;
        }
        return JSON.stringify(events.map(({ event, data, id }) => [event, data, id]));
    };
    let state = seed;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    const positions = [...bytes.keys()];
    const ways = [[], positions, positions.flatMap(cut => [cut, cut])];
    for (const cut of positions) ways.push([cut]);
    for (let way = 0; way < 50; way++) ways.push(positions.filter(() => random() < 0.3));
    return [...new Set(ways.map(read))].map(JSON.parse);
}"""
"""All different results of reading one stream in many ways; there must be one."""


@pytest.fixture(scope="module")
def reading(browser: Browser) -> Iterator[Page]:
    """A page that has the reader."""
    page = browser.new_page()
    page.evaluate(f"() => {{ {READER}; Object.assign(window, {{ SSEReader, eventsOf }}); }}")
    yield page
    page.close()


def test_every_stream_is_read_the_same_however_it_is_cut(reading: Page) -> None:
    """Whole, byte by byte, in two at each place, and at random, with every kind of line ending."""
    wrong = {}
    for number, (name, stream, events) in enumerate(_variants()):
        results = reading.evaluate(READ, [list(stream), number + 1])
        if results != [[list(event) for event in events]]:
            wrong[name] = results
    assert wrong == {}


def test_an_event_is_given_as_soon_as_its_blank_line_is_there(reading: Page) -> None:
    """A CR that may become CRLF is not waited for, nor taken for two line ends when it does."""
    seen = reading.evaluate(
        """() => {
            const reader = new SSEReader();
            const encode = (text) => new TextEncoder().encode(text);
            return ["data: a\\r\\n\\r", "\\ndata: b\\r\\r", "\\n", "\\ndata: c\\n\\n"]
                .map(part => [...reader.read(encode(part))].map(({ data }) => data));
        }"""
    )
    assert seen == [["a"], ["b"], [], ["c"]]


def test_what_a_reconnection_needs_is_kept(reading: Page) -> None:
    """The last id and the retry time can be read off, whether or not an event had them."""
    kept = reading.evaluate(
        """() => {
            const reader = new SSEReader();
            [...reader.read(new TextEncoder().encode("id: 7\\nretry: 250\\nretry: soon\\n\\n"))];
            return [reader.lastEventId, reader.retry];
        }"""
    )
    assert kept == ["7", 250]


class _Vectors(BaseHTTPRequestHandler):
    """Serves each vector under its number, as an event stream."""

    streams: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        stream = self.streams.get(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if stream is not None else "text/html")
        self.end_headers()
        self.wfile.write(stream or b"")

    def log_message(self, *_: object) -> None:
        pass


ORACLE = """path => new Promise(resolve => {
    const events = [];
    const source = new EventSource(path);
    const note = ({ type, data, lastEventId }) => events.push([type, data, lastEventId]);
    for (const name of ["message", "token", "sources"]) source.addEventListener(name, note);
    source.onerror = () => { source.close(); resolve(events); };
})"""


def test_the_vectors_are_the_standards(page: Page) -> None:
    """Chromium's EventSource, given the same streams over a real connection, gives the same."""
    variants = list(_variants())
    _Vectors.streams = {f"/{n}": stream for n, (_, stream, _) in enumerate(variants)}
    with ThreadingHTTPServer(("127.0.0.1", 0), _Vectors) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
        wrong = {}
        for number, (name, _, events) in enumerate(variants):
            found = page.evaluate(ORACLE, f"http://127.0.0.1:{server.server_port}/{number}")
            if found != [list(event) for event in events]:
                wrong[name] = found
        server.shutdown()
    assert wrong == {}
