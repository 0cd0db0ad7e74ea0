"""Fixtures that several test files share, and what keeps the tests short."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest

# Started by `nohup` or some CI runners, Python ignores SIGINT, and so would all it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("tests.simulated", "tests.model_servers")

from tests.model_servers import serve  # noqa: E402 - after that line
from tests.simulated import client, instant, model, simulator  # noqa: E402

__all__ = ["client", "instant", "model", "plain_environment", "serve", "simulator"]

_SETTINGS = (
    "NBKIT_LANG",
    "NBKIT_LLM",
    "NBKIT_SPEED",
    "NBKIT_API_KEY",
    "NBKIT_PRICES",
    "OPENAI_API_KEY",
)
_SETTINGS += ("OPENAI_BASE_URL",)


@pytest.fixture(scope="session", autouse=True)
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let clients load one authority: all of them take 40 ms a client, and no test leaves home."""
    end = "-----END CERTIFICATE-----\n"
    first = Path(certifi.where()).read_text("utf-8").partition(end)[0] + end
    file = tmp_path_factory.mktemp("authorities") / "one.pem"
    file.write_text(first, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


def pytest_collection_finish() -> None:
    """Take all that is imported out of Python's collections of garbage, which it makes slow."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together, in one worker, the tests of a file; of the exercises, those of a notebook.

    What they share (a model's server, a kernel, JupyterLab and its browser) is then made once.
    pytest-xdist's own groups (`loadgroup`) have no effect from pytest 9.2 on.
    """
    from xdist.scheduler import LoadScopeScheduling

    class InGroups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            return test.partition("[")[2] if file == "tests/test_exercises.py" else file

    return InGroups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the slow files go first, or a worker is left with one when all others are done."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = ("browser", "kernel", "process")
        items.sort(key=lambda item: [item.get_closest_marker(mark) is None for mark in slow])


@pytest.fixture(autouse=True)
def no_figures_left() -> Iterator[None]:
    """Close what a test has drawn: pyplot keeps every figure."""
    yield
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out of the tests."""
    for name in _SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("nbkit.models.keys.find_dotenv", lambda **_: "")
    monkeypatch.setattr("nbkit.models.keys._ask", lambda _: None)
