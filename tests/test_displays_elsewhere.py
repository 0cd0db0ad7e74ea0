"""Displays where there is no notebook: consoles, IPython's terminal, other encodings, no loop."""

import asyncio
import os
import pty
import re
import subprocess
import sys
import time

import psutil
import pytest

import nbkit

SETUP = """
import asyncio, nbkit
async def words(count, pause):
    for number in range(count):
        await asyncio.sleep(pause)
        yield f"word{number} "
"""


def _script(code: str, **environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", SETUP + code],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )
    return done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def test_an_encoding_without_the_signs_loses_no_answer() -> None:
    """A console of Windows says `?` for what it does not have, and the call returns the answer."""
    code = (
        "async def main():\n    print((await nbkit.show(['中文 ✓ word'])).text == '中文 ✓ word')\n"
    )
    out, errors = _script(code + "asyncio.run(main())", PYTHONIOENCODING="cp1252")
    assert "?? ? word" in out
    assert "True" in out
    assert not errors


def test_without_a_loop_nothing_is_left_over() -> None:
    """The error names the way to start a loop; no warning of a coroutine never awaited follows."""
    out, errors = _script(
        "async def ask(): return 'text'\n"
        "try: nbkit.show(ask())\nexcept nbkit.NbkitError as error: print(error)"
    )
    assert "asyncio.run(main())" in out
    assert "never awaited" not in errors


REFUSED = """
from tests.served import parrot
engine = parrot()
try: nbkit.chat(engine)
except nbkit.NbkitError as error: print(error)
async def main():
    talk = nbkit.Conversation(engine)
    await nbkit.show(talk.turn("hello"))
    print(len(engine.chat_history))
asyncio.run(main())
"""


@pytest.mark.parametrize("marimo", [False, True])
def test_a_chat_outside_jupyter_names_what_works(marimo: bool) -> None:
    """One sentence, and what it advises answers, with an engine that the refusal left alone."""
    # Marimo itself is no dependency: what nbkit asks of it is one function.
    known = "sys.modules['marimo'] = types.SimpleNamespace(running_in_notebook=lambda: True)\n"
    out, errors = _script("import sys, types\n" + (known if marimo else "") + REFUSED)
    refusal, *shown = out.strip().splitlines()
    assert "`chat` needs a Jupyter notebook" in refusal
    assert "await nbkit.show(talk.turn(message))" in refusal
    assert ("marimo" in refusal, "nbkit.serve(chat=...)" in refusal) == (marimo, marimo)
    assert "hello" in shown[0]
    assert shown[-1] == "2"
    assert not errors


async def test_a_task_of_a_stream() -> None:
    """`asyncio.create_task` takes a stream as it takes a coroutine: result and cancellation."""

    async def words():  # type: ignore[no-untyped-def]
        yield "one "
        await asyncio.sleep(30)

    task = asyncio.create_task(nbkit.stream(["one ", "two"]))
    assert (await task).text == "one two"
    tokens = nbkit.stream(words())
    endless = asyncio.create_task(tokens)
    while not tokens.text:
        await asyncio.sleep(0)
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await endless
    assert tokens.answer is not None
    assert (tokens.answer.text, tokens.answer.state) == ("one ", "stopped")


class Terminal:
    """IPython in a terminal of its own."""

    def __init__(self) -> None:
        self._master, inside = pty.openpty()
        command = [sys.executable, "-m", "IPython", "--simple-prompt", "--colors=NoColor"]
        self._process = subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
        )
        os.close(inside)
        self.seen = ""

    def type(self, line: str) -> None:
        """Type a line, or a control character."""
        os.write(self._master, line.encode())

    def wait_for(self, pattern: str) -> str:
        """What is on the screen up to a pattern, since the last one."""
        deadline = time.monotonic() + 60
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, self.seen
            self.seen += os.read(self._master, 4096).decode("utf-8", "replace")
        until, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return until

    def wait_until_idle(self) -> None:
        """Wait for the loop to wait: an interrupt in the middle of a step is that step's error."""
        process = psutil.Process(self._process.pid)
        deadline = time.monotonic() + 60
        while process.status() != psutil.STATUS_SLEEPING:
            assert time.monotonic() < deadline

    def end(self) -> None:
        """Close it."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)


def test_ctrl_c_in_a_terminal_of_ipython() -> None:
    """Ctrl-C stops the model, the partial is kept, and the next cell prints only its own."""
    terminal = Terminal()
    try:
        terminal.wait_for(r"In \[1\]")
        terminal.type(f"exec({SETUP!r})\n")
        terminal.wait_for(r"In \[2\]")
        terminal.type("view = nbkit.show(words(900, 0.05)); await view\n")
        terminal.wait_for("word5 ")
        terminal.wait_until_idle()
        # To the foreground process, as the terminal's driver would for a controlling terminal.
        os.killpg(terminal._process.pid, 2)
        assert "stopped" in terminal.wait_for(r"In \[3\]")
        terminal.type("await asyncio.sleep(0.3); print('state', view.answer.state)\n")
        said = terminal.wait_for(r"state stopped")
        assert "word" not in said.partition("\n")[2]
    finally:
        terminal.end()
