"""Fixtures that several test files share."""

import signal

import pytest

# Started by `nohup` or some CI runners, Python ignores SIGINT, and so would all it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("tests.simulated", "tests.model_servers")

from tests.model_servers import serve  # noqa: E402 - after that line
from tests.simulated import client, instant, model, simulator  # noqa: E402

__all__ = ["client", "instant", "model", "plain_environment", "serve", "simulator"]

_SETTINGS = ("NBKIT_LLM", "NBKIT_SPEED", "NBKIT_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out of the tests."""
    for name in _SETTINGS:
        monkeypatch.delenv(name, raising=False)
