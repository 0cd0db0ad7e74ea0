"""Server-sent events, as the WHATWG standard has them, and as servers send them."""

import pytest

from nbkit.models.sse import Event, EventParser


def events_in(*pieces: bytes) -> list[Event]:
    """Feed the pieces to one parser, to the end."""
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)] + parser.end()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [Event("a"), Event("b")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [Event("a"), Event("b")]),
        (b"data: a\r\rdata: b\r\r", [Event("a"), Event("b")]),
        (b"data:a\n\n", [Event("a")]),
        (b"data:  a\n\n", [Event(" a")]),
        (b"data: a\ndata: b\n\n", [Event("a\nb")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
        (b": ping\n\ndata: a\n\n: ping\n\n", [Event("a")]),
        (b"retry: 1\n\nid: 7\n\nevent: ping\n\ndata: a\n\n", [Event("a")]),
        (b"event: error\ndata: a\n\ndata: b\n\n", [Event("a", "error"), Event("b")]),
        (b"id: 1\nfoo: bar\nnonsense\ndata: a\n\n", [Event("a")]),
        (b"data\n\n", [Event("")]),
        ("data: 你好\n\n".encode(), [Event("你好")]),
        (b"data: a\n\ndata: b", [Event("a"), Event("b")]),
        (b"data: \xff\n\n", [Event("\ufffd")]),
        (b"", []),
    ],
    ids=repr,
)
def test_events_are_found_wherever_the_bytes_are_cut(body: bytes, expected: list[Event]) -> None:
    """All at once, byte by byte, or in two pieces cut anywhere: always the same events."""
    assert events_in(body) == expected
    assert events_in(*(body[i : i + 1] for i in range(len(body)))) == expected
    for cut in range(len(body)):
        assert events_in(body[:cut], body[cut:]) == expected


def test_an_event_is_given_at_once() -> None:
    """An event is not held back until the next bytes come."""
    for end in (b"\n", b"\r\n"):
        assert EventParser().feed(b"data: a" + end + end) == [Event("a")]
