import subprocess
import sys
import time

import psutil
import pytest

from tests.kernel.conftest import Kernel, Run

pytestmark = pytest.mark.kernel

SETUP = """
import asyncio, nbkit

async def words(count, pause, first=0.0):
    await asyncio.sleep(first)
    for number in range(count):
        await asyncio.sleep(pause)
        yield f"word{number} "
"""


def _has_text(run: Run) -> bool:
    return any("word3" in str(content) for content in run.of("comm_msg"))


def test_a_finished_answer_is_static(kernel: Kernel) -> None:
    """HTML and plain text take its place; the widget goes when the page shows them."""
    kernel.run(SETUP)
    run = kernel.run("answer = await nbkit.show(words(5, 0.01))")
    (bundle,) = run.settled
    assert set(bundle) == {"text/html", "text/plain"}
    assert all("word0 word1 word2 word3 word4" in text for text in bundle.values())
    assert "✓ done" in bundle["text/plain"]
    assert not run.of("comm_close")
    opened = {c["comm_id"] for c in run.of("comm_open")}
    assert kernel.closed_once_replaced(run) == opened


def test_a_widget_stays_where_its_successor_is_not_seen(kernel: Kernel) -> None:
    """A second page that does not get the output keeps it, until its cell is run again."""
    kernel.run(SETUP)
    run = kernel.run("answer = await nbkit.show(words(5, 0.01))", cell="kept")

    def say(page: str, *, seen: bool, replaced: bool = False) -> set[str]:
        kernel.tell_widget(run.live_comm, type="page", page=page, seen=seen, replaced=replaced)
        return kernel.closed()

    assert not say("one", seen=True)
    assert not say("two", seen=True)
    assert not say("one", seen=False, replaced=True)
    assert not say("two", seen=False)  # a closed tab may be opened again
    assert not say("three", seen=True)
    again = kernel.run("answer = await nbkit.show(words(5, 0.01))", cell="kept")
    assert not again.of("comm_close")  # inside an Output it is still on the screen
    assert run.live_comm in say("three", seen=False)


def test_the_button_stops_an_awaited_cell(kernel: Kernel) -> None:
    """A click reaches a cell that awaits; the partial answer is kept and marked."""
    kernel.run(SETUP)
    request = kernel.start("answer = await nbkit.show(words(2000, 0.02))")
    run = kernel.follow(request, until=_has_text)
    kernel.press_stop(run.live_comm)
    rest = kernel.follow(request)
    assert rest.reply["status"] == "ok"
    assert "■ stopped" in rest.settled[0]["text/plain"]
    assert "word3" in rest.settled[0]["text/plain"]
    assert kernel.run("print(answer.stopped, len(asyncio.all_tasks()) <= 3)").text == "True True\n"


def test_an_interrupt_before_the_first_token_is_felt_at_once(kernel: Kernel) -> None:
    """Ctrl-C works while nothing arrives: the cell ends promptly, and the next one runs."""
    kernel.run(SETUP)
    request = kernel.start("view = nbkit.show(words(5, 0.01, first=30)); await view")
    kernel.follow(request, until=lambda run: run.of("display_data"))
    pressed = time.monotonic()
    kernel.manager.interrupt_kernel()
    run = kernel.follow(request)
    assert time.monotonic() - pressed < 5
    assert run.reply["status"] == "error"
    assert "stopped" in run.settled[0]["text/plain"]
    assert kernel.run("print(view.answer.stopped)").text == "True\n"


def test_an_interrupt_keeps_the_partial(kernel: Kernel) -> None:
    """Interrupted mid-stream, the text that had arrived stays in the cell."""
    kernel.run(SETUP)
    request = kernel.start("await nbkit.show(words(2000, 0.02))")
    kernel.follow(request, until=_has_text)
    kernel.manager.interrupt_kernel()
    run = kernel.follow(request)
    assert run.reply["status"] == "error"
    assert "word3" in run.settled[0]["text/html"]
    assert kernel.run("print(6 * 7)").text == "42\n"


def test_an_unawaited_view_runs_on(kernel: Kernel) -> None:
    """`show()` without await lets the next cell run, and settles in its own place."""
    kernel.run(SETUP)
    first = kernel.run("view = nbkit.show(words(40, 0.02))")
    assert not first.settled
    second = kernel.run("print('next cell'); answer = await view")
    assert second.text == "next cell\n"
    (slot,) = first.of("display_data")
    places = {u["transient"]["display_id"] for u in second.of("update_display_data")}
    assert places == {slot["transient"]["display_id"]}


def test_sources_come_before_the_first_token(kernel: Kernel) -> None:
    """What an answer rests on is shown while the model is still silent."""
    kernel.run(
        "import asyncio, nbkit\n"
        "from llama_index.core.base.response.schema import AsyncStreamingResponse\n"
        "from llama_index.core.schema import NodeWithScore, TextNode\n"
        "async def late():\n    await asyncio.sleep(0.5)\n    yield 'first token'\n"
        "node = NodeWithScore(node=TextNode(text='a passage'), score=0.5)\n"
        "async def ask():\n    return AsyncStreamingResponse(late(), source_nodes=[node])"
    )
    run = kernel.run("answer = await nbkit.show(ask())")
    sent = [str(content["data"]) for content in run.of("comm_msg")]
    shown = next(n for n, data in enumerate(sent) if "a passage" in data)
    assert shown < next(n for n, data in enumerate(sent) if "first token" in data)
    assert "1 source" in run.settled[0]["text/html"]


def test_an_error_keeps_the_partial_and_reads_well(kernel: Kernel) -> None:
    """The view shows partial and cause; the cell raises one line, without our frames."""
    kernel.run(SETUP)
    kernel.run("async def breaks():\n    yield 'half an answer'\n    raise OSError('cable pulled')")
    run = kernel.follow(kernel.start("await nbkit.show(breaks())"))
    assert run.reply["ename"] == "StreamBroken"
    assert len(run.reply["traceback"]) == 1
    assert "half an answer" in run.settled[0]["text/plain"]
    assert "✗ failed" in run.settled[0]["text/plain"]
    assert "cable pulled" in run.settled[0]["text/plain"]


def test_messages_and_bytes_stay_bounded(kernel: Kernel) -> None:
    """A burst of 2,000 chunks is coalesced: a few messages, and bytes linear in the text."""
    kernel.run(SETUP)
    run = kernel.run("answer = await nbkit.show(words(2000, 0))")
    sent = [m for m in run.messages if m["msg_type"] in ("comm_msg", "update_display_data")]
    text = sum(len(f"word{n} ") for n in range(2000))
    assert len(sent) < 100
    # Increments once, checkpoints at doublings at most twice, the settled bundle three times.
    assert sum(len(str(message["content"])) for message in sent) < 9 * text


def _script(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_script_gets_plain_text() -> None:
    """Outside a notebook the same call writes the text and its caption to standard output."""
    good = SETUP + "\nasync def main():\n    await nbkit.show(words(3, 0))\nasyncio.run(main())"
    assert "word0 word1 word2 \n✓ done" in _script(good)


def test_a_script_without_a_loop_is_told_so() -> None:
    """Called where no event loop runs, `show` names the way to start one."""
    assert "asyncio.run(main())" in _script(SETUP + "\nnbkit.show(words(3, 0))")


def test_a_restarted_kernel_starts_clean(kernel: Kernel) -> None:
    """A restart takes the model's server with it, mid-stream too; `connect()` brings a new one."""
    pid = "from nbkit import simulator; import nbkit; print(simulator.current().pid)"
    before = int(kernel.run(pid).text)
    kernel.run(
        "llm = nbkit.connect(tokens_per_second=1)\nview = nbkit.show(llm.astream_complete('Hello'))"
    )
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=60)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(before) and psutil.Process(before).status() != "zombie":
        assert time.monotonic() < deadline, "the simulator outlived its kernel"
        time.sleep(0.05)
    assert int(kernel.run(pid).text) != before


def test_a_burst_before_a_pause_is_counted_in_full(kernel: Kernel) -> None:
    """What the caption says of the chunks catches up while nothing more comes."""
    kernel.run(
        "import asyncio, nbkit\n"
        "async def burst():\n"
        "    for _ in range(500):\n        yield 'word '\n"
        "    await asyncio.sleep(30)"
    )
    request = kernel.start("view = nbkit.show(burst()); await view")
    counted = "'chunks': 500"
    kernel.follow(request, until=lambda run: counted in str(run.of("comm_msg")))
    kernel.manager.interrupt_kernel()
    kernel.follow(request)


def test_many_views_share_the_messages(kernel: Kernel) -> None:
    """Sixty-four separate views send few messages a second between them, and each settles."""
    kernel.run(SETUP)
    began = time.monotonic()
    run = kernel.run(
        "views = [nbkit.show(words(100, 0.02)) for _ in range(64)]\n"
        "for view in views: answer = await view"
    )
    seconds = time.monotonic() - began
    frames = [c for c in run.of("comm_msg") if c["data"].get("method") == "custom"]
    # A first and a last frame each, and what they share meanwhile.
    assert len(frames) < 2 * 64 + 90 * seconds
    assert len({c["transient"]["display_id"] for c in run.of("update_display_data")}) == 64
    assert all("word99" in bundle["text/plain"] for bundle in run.settled)
