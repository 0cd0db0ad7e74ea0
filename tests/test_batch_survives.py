"""Batches whose process is killed, whose disk fills up, whose server is in a storm."""

import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nbkit.batch.journal import Journal
from nbkit.simulator import Simulator

pytestmark = pytest.mark.process

ITEMS = 300
STORM = {
    "good": {
        "failure_rate": 0.2,
        "requests_per_minute": 300,
        "speed": 10,
        "ttft": 0.5,
        "tokens_per_second": 100,
    },
    "cut": {"fault": "cut", "speed": 0},
    "stall": {"fault": "stall", "speed": 0},
}
WORKER = """
import asyncio, collections, os, random, sys, time
from nbkit import connect
from nbkit.batch.run import run_batch

base_url, journal, log, items, seed = sys.argv[1:]
models = {name: connect(base_url, model=name) for name in ("good", "cut", "stall")}
draw = random.Random(int(seed))
asked = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

async def ask(question):
    os.write(asked, f"{question}\\n".encode())
    chance = draw.random()
    name = "cut" if chance < 0.1 else "stall" if chance < 0.15 else "good"
    return await models[name].astream_complete(question)

async def main():
    questions = [f"What can you do? ({number})" for number in range(int(items))]
    outcomes = await run_batch(
        questions, ask, max_concurrency=30, timeout=2, journal=journal, progress=False
    )
    honest = [bool(str(o.error) if o.error else o.value.text) for o in outcomes]
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("nbkit")]
    print(len(outcomes), sum(honest), sum(o.error is None for o in outcomes), len(left))
    print(sum(o.attempts for o in outcomes), sum(o.refused for o in outcomes))
    print(collections.Counter(type(o.error).__name__ for o in outcomes))

asyncio.run(main())
"""


@contextmanager
def stormy_server() -> Iterator[Simulator]:
    """A server with one flaky, limited model, one that cuts its answers and one that stalls."""
    running = Simulator()
    try:
        for name, settings in STORM.items():
            running.set(name, **settings)
        yield running
    finally:
        running.stop()


@pytest.fixture
def storm() -> Iterator[Simulator]:
    with stormy_server() as running:
        yield running


def start(storm: Simulator, folder: Path, items: int, seed: int) -> subprocess.Popen[str]:
    files = [str(folder / "run.jsonl"), str(folder / "asked.txt")]
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, storm.base_url, *files, str(items), str(seed)],
        env={**os.environ, "NBKIT_API_KEY": storm.api_key},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(worker: subprocess.Popen[str]) -> list[str]:
    out, err = worker.communicate(timeout=240)
    assert worker.returncode == 0, err
    assert err == ""
    return out.splitlines()


def values(path: Path) -> list[str]:
    """The items with a value on record; a torn last line is none."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[1:-1]
    return [record["item"] for record in map(json.loads, lines) if record["error"] is None]


def test_a_storm_leaves_no_item_without_an_end(storm: Simulator, tmp_path: Path) -> None:
    """5xx, cut streams, stalls and 429 at once: every item ends with a value or its error."""
    ended, honest, good, left = map(int, finish(start(storm, tmp_path, ITEMS, 1))[0].split())
    assert (ended, honest, left) == (ITEMS, ITEMS, 0)
    assert good >= 0.9 * ITEMS
    assert len(Journal(tmp_path / "run.jsonl").rows()) == ITEMS
    assert storm.stats()["in_flight"] == storm.stats()["queued"] == 0


def kill_and_resume(storm: Simulator, folder: Path, items: int, kills: int) -> list[str]:
    """Kill -9 a batch at so many random moments and resume it; gives the items with a value.

    Raises AssertionError if one of them is lost, or asked again.
    """
    journal, log = folder / "run.jsonl", folder / "asked.txt"
    draw = random.Random(7)
    done: list[str] = []
    for round_ in range(kills + 1):
        log.unlink(missing_ok=True)
        worker = start(storm, folder, items, round_)
        if round_ < kills:
            while not log.exists() and worker.poll() is None:
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 1.2))
            worker.kill()
            worker.communicate()
        else:
            finish(worker)
        asked_again = set(log.read_text("utf-8").splitlines()) & set(done)
        assert asked_again == set()
        before, done = done, values(journal)
        assert done[: len(before)] == before
        assert len(done) == len(set(done))
    return done


def test_killed_at_any_moment_nothing_is_lost_or_done_twice(
    storm: Simulator, tmp_path: Path
) -> None:
    """After each kill -9 and resume what was done stays done; in the end it is there once."""
    # Four times: the benchmark `tests/benchmarks/batch.py` does it ten times, to 400 items.
    done = kill_and_resume(storm, tmp_path, 120, 4)
    rows = Journal(tmp_path / "run.jsonl").rows()
    assert len(rows) == 120
    assert sum(row["error"] is None for row in rows) == len(done) >= 0.9 * 120


FILLS_UP = """
import asyncio, resource, signal, sys
from nbkit.batch.run import run_batch
from nbkit.batch.journal import JournalError

async def ask(item):
    return "x" * 400

async def main():
    if sys.argv[2] == "little":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    run = run_batch(range(50), ask, journal=sys.argv[1], progress=False, max_concurrency=1)
    try:
        await run
    except JournalError as error:
        print(error)
    print(len(run.outcomes), sum(outcome.resumed for outcome in run.outcomes))

asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files the POSIX way")
def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    """When the disk fills in the middle, the batch ends, outcomes stay, and the next resumes."""
    path = tmp_path / "run.jsonl"

    def run(space: str) -> Any:
        command = [sys.executable, "-c", FILLS_UP, str(path), space]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    message, counts = run("little").splitlines()
    assert "cannot be written (File too large)" in message
    written = path.read_bytes().count(b"\n") - 1
    assert int(counts.split()[0]) == written + 1
    assert run("much").split() == ["50", str(written)]


MORE_SPACE_MEANWHILE = """
import asyncio, resource, signal, sys
from nbkit.batch.run import run_batch
from nbkit.batch.journal import JournalError

started = 0
all_under_way = asyncio.Event()

async def ask(item):
    global started
    started += 1
    if started == 4:
        all_under_way.set()
    await all_under_way.wait()
    if item == 2:  # somebody frees space between two records
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))
    return "x" * (4000 if item == 1 else 10)

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 10**6))
    run = run_batch(range(4), ask, journal=sys.argv[1], progress=False, max_concurrency=4)
    try:
        await run
    except JournalError as error:
        print(error)
    print(len(run.outcomes))
    if sys.argv[2] == "again":
        await run
    print(started)

asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files the POSIX way")
@pytest.mark.parametrize(("then", "kept"), [("stop", [0, 2, 3]), ("again", [0, 1, 2, 3])])
def test_a_record_that_did_not_fit_leaves_nothing_behind(
    tmp_path: Path, then: str, kept: list[int]
) -> None:
    """The torn record is cut off, those beside it are whole; awaited again, the run adds it."""
    path = tmp_path / "run.jsonl"
    command = [sys.executable, "-c", MORE_SPACE_MEANWHILE, str(path), then]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    message, ended, asked = ran.stdout.splitlines()
    assert "cannot be written (File too large)" in message
    assert (ended, asked) == ("4", "4")
    assert sorted(row["item"] for row in Journal(path).rows()) == kept
    assert path.read_bytes().endswith(b"\n")


# The kernel itself refuses fsync.
NO_SYNC = """
import asyncio, ctypes, platform, sys
from nbkit.batch.run import run_batch
from nbkit.batch.journal import JournalError

class Line(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte),
                ("k", ctypes.c_uint)]

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.POINTER(Line))]

def refuse_fsync():
    fsync = {"x86_64": 74, "aarch64": 82}[platform.machine()]
    lines = (Line * 4)(Line(0x20, 0, 0, 0), Line(0x15, 0, 1, fsync),
                       Line(0x06, 0, 0, 0x00050005), Line(0x06, 0, 0, 0x7FFF0000))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Program(4, lines)), 0, 0) == 0

async def ask(item):
    if item == int(sys.argv[2]):
        raise SystemError("broken")
    return item

async def main():
    refuse_fsync()
    run = run_batch(range(2), ask, journal=sys.argv[1], progress=False, max_concurrency=1,
                    on_error="stop")
    try:
        await run
    except Exception as error:
        print(type(error).__name__, error, *getattr(error, "__notes__", []))
    print([outcome.value for outcome in run.outcomes])

asyncio.run(main())
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="has the kernel refuse fsync by seccomp",
)
@pytest.mark.parametrize(("failing", "first"), [(9, "JournalError"), (1, "BatchStopped")])
def test_a_disk_that_does_not_sync_is_told(tmp_path: Path, failing: int, first: str) -> None:
    """A sync to disk that fails is told when the batch ends, and all outcomes are kept."""
    path = tmp_path / "run.jsonl"
    command = [sys.executable, "-c", NO_SYNC, str(path), str(failing)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    told, values = ran.stdout.splitlines()
    assert told.startswith(first)
    assert "may not be completely on disk (Input/output error)" in told
    assert values == ("[0, 1]" if failing == 9 else "[0, None]")
    assert ran.stderr == ""
