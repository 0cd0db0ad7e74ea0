"""When to ask again: every way in which servers say it."""

import json
import time
from email.utils import formatdate
from typing import Any

import httpx
import openai
import pytest

from nbkit.batch.retries import retry_after
from nbkit.streaming.server_words import duration, until
from tests.server_bodies import error, gemini


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "1.5"}, None, 1.5),
        ({"retry-after": "2s"}, None, 2),
        ({"retry-after": "-1"}, None, 0),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": "nan"}, None, None),
        ({"retry-after": "inf"}, None, None),
        ({"retry-after-ms": "250", "retry-after": "1"}, None, 0.25),
        ({"x-ratelimit-reset-requests": "6m0s"}, None, 360),
        ({"x-ratelimit-reset-requests": "1.5s", "x-ratelimit-reset-tokens": "17ms"}, None, 0.017),
        (
            {
                "x-ratelimit-reset-requests": "1.5s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "17ms",
                "x-ratelimit-remaining-tokens": "900",
            },
            None,
            1.5,
        ),
        ({}, error("Please try again in 6m0s. Visit the docs."), 360),
        ({}, error("please try again after 1 seconds"), 1),
        ({}, error("Please retry after 26 seconds."), 26),
        ({}, error("Please retry in 10.673410956s."), 10.673410956),
        ({}, gemini("PerMinute", wait="34s"), 34),
        ({}, error(json.dumps(gemini("PerMinute", wait="34s")[0])), 34),
        ({}, error("try again"), None),
        ({}, None, None),
    ],
)
def test_every_way_to_ask_for_a_wait_is_read(
    headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    """Headers first, the most exact before the others, then the server's words."""
    request = httpx.Request("POST", "http://model/v1")
    response = httpx.Response(429, headers=headers, request=request)
    assert retry_after(openai.RateLimitError("no", response=response, body=body)) == seconds


def test_a_date_to_wait_for_is_read() -> None:
    """`Retry-After` may be a date (RFC 9110)."""
    headers = {"retry-after": formatdate(time.time() + 100, usegmt=True)}
    response = httpx.Response(503, headers=headers, request=httpx.Request("POST", "http://m/v1"))
    asked = retry_after(openai.InternalServerError("no", response=response, body=None))
    assert asked == pytest.approx(100, abs=5)


def test_waits_of_any_length_have_words() -> None:
    """Even a number that no calendar holds does not raise."""
    assert duration("1d2h3m4.5s") == 86_400 + 7_200 + 180 + 4.5
    assert duration("") is duration("5 apples") is None
    assert "after the year 9999" in until(1e18)
