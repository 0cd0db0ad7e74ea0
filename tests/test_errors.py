"""Errors that tell what happened apart from what to do."""

import pickle

import pytest

from nbkit.errors import NbkitError
from nbkit.streaming.errors import StreamBroken
from nbkit.streaming.trace import Trace
from nbkit.web.messages import failed

UPSTREAM = "The server failed (disk full — code 7)"


@pytest.mark.parametrize(
    ("error", "message", "happened", "advice"),
    [
        (NbkitError(UPSTREAM, "ask again."), f"{UPSTREAM} — ask again.", UPSTREAM, "ask again."),
        (NbkitError(UPSTREAM), UPSTREAM, UPSTREAM, None),
        (NbkitError(), "", "", None),
    ],
)
def test_advice_is_told_apart(
    error: NbkitError, message: str, happened: str, advice: str | None
) -> None:
    """A dash in what another program said is no border; the message reads as before."""
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert (str(each), each.happened, each.advice) == (message, happened, advice)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (StreamBroken(UPSTREAM, "raise `timeout=`."), f"{UPSTREAM} — ask again."),
        (StreamBroken(f"{UPSTREAM} — ask later."), f"{UPSTREAM} — ask later."),
    ],
)
def test_a_page_shows_what_happened_whole(error: StreamBroken, shown: str) -> None:
    """Advice to programmers is left out where it is told apart; nothing else is cut."""
    assert failed(error, Trace(start=0.0))["message"] == shown
