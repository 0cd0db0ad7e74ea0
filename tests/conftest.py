"""Fixtures that several test files share, and what keeps the tests short."""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

# Started by `nohup` or some CI runners, Python ignores SIGINT, and so would all it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("tests.simulated", "tests.model_servers")

from tests.model_servers import serve  # noqa: E402 - after that line
from tests.simulated import client, instant, model, simulator  # noqa: E402

__all__ = ["client", "instant", "model", "plain_environment", "serve", "simulator"]

_SETTINGS = ("NBKIT_LLM", "NBKIT_SPEED", "NBKIT_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL")


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one worker (`--dist loadgroup`), unless they have a group.

    What they share (a model's server, a kernel, JupyterLab and its browser) is then made once.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            file = item.path.relative_to(item.config.rootpath).as_posix()
            item.add_marker(pytest.mark.xdist_group(file))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out of the tests."""
    for name in _SETTINGS:
        monkeypatch.delenv(name, raising=False)
