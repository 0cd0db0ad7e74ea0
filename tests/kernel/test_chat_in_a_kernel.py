from typing import Any

import pytest

from tests.kernel.conftest import Kernel, Run

pytestmark = pytest.mark.kernel

SETUP = """
import asyncio, nbkit
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer

def engine(**timing):
    llm = nbkit.connect(**timing)
    return SimpleChatEngine.from_defaults(llm=llm, memory=ChatMemoryBuffer.from_defaults())
"""


@pytest.fixture
def ready(lasting_kernel: Kernel) -> Kernel:
    """A kernel that can make chat engines."""
    lasting_kernel.run(SETUP)
    return lasting_kernel


def _after(kernel: Kernel, turns: int) -> Run:
    """What the kernel shows while it waits for so many finished turns."""
    waiting = f"while len(chat.turns) < {turns}: await asyncio.sleep(0.01)"
    return kernel.run(waiting)


def _transcript(*runs: Run) -> str:
    """What stands in the chat's cell after these runs, its first among them."""
    shown: dict[str, str] = {}
    for run in runs:
        for message in (*run.of("display_data"), *run.of("update_display_data")):
            shown[message["transient"]["display_id"]] = message["data"]["text/plain"]
    return "\n".join(shown.values())


def test_what_is_typed_is_answered_and_stays(ready: Kernel) -> None:
    """A message from the page becomes a turn; the transcript is static output, turn by turn."""
    run = ready.run("chat = nbkit.chat(engine(speed=0))")
    ready.tell_widget(run.live_comm, type="say", text="What can you do?")
    first = _after(ready, 1)
    ready.tell_widget(run.live_comm, type="say", text="And in Chinese?")
    second = _after(ready, 2)
    assert "What can you do?" in _transcript(first)
    assert _transcript(first, second).count("✓ done") == 2
    same = (
        "print([t for _, t in chat.conversation.history][1::2] == [a.text for _, a in chat.turns])"
    )
    assert ready.run(same).text == "True\n"


def test_the_memory_agrees_with_the_screen_after_a_stop(ready: Kernel) -> None:
    """A stopped turn is remembered as far as it was shown, marked; the next turn works."""
    run = ready.run("chat = nbkit.chat(engine(ttft=0.1, tokens_per_second=20))")
    ready.tell_widget(run.live_comm, type="say", text="What can you do?")
    ready.run("while not chat.conversation.running.text: await asyncio.sleep(0.01)")
    ready.tell_widget(run.live_comm, type="stop")
    assert "■ stopped" in _transcript(_after(ready, 1))
    ready.run("shown = chat.turns[0][1].text")
    kept = "print(chat.conversation.history[1] == ('assistant', shown + '\\n\\n[interrupted]'))"
    assert ready.run(kept).text == "True\n"
    assert ready.run("print((await chat.say('Go on')).state)").text == "done\n"


def test_a_failed_turn_says_why_and_is_remembered(ready: Kernel) -> None:
    """An error in mid-answer stands in the transcript with the partial; the memory has the same."""
    run = ready.run("chat = nbkit.chat(engine(speed=0, fault='cut', fault_after=5))")
    ready.tell_widget(run.live_comm, type="say", text="What can you do?")
    assert "✗ failed" in _transcript(_after(ready, 1))
    told = ready.run("print([role for role, _ in chat.conversation.history])").text
    assert told == "['user', 'assistant']\n"


def test_one_turn_at_a_time(ready: Kernel) -> None:
    """A second message during a turn is refused on the page, and nothing is lost."""
    run = ready.run("chat = nbkit.chat(engine(ttft=0.3, tokens_per_second=50))")
    ready.tell_widget(run.live_comm, type="say", text="What can you do?")
    ready.run("while chat.conversation.running is None: await asyncio.sleep(0.01)")
    ready.tell_widget(run.live_comm, type="say", text="Hello?")
    run = _after(ready, 1)
    notices = [c["data"].get("content") or {} for c in run.of("comm_msg")]
    assert any("still running" in str(n.get("notice")) for n in notices)
    assert ready.run("print(len(chat.turns), len(chat.conversation.history))").text == "1 2\n"


def test_clear_forgets_on_both_sides(ready: Kernel) -> None:
    """Clear empties the transcript and the engine's memory."""
    run = ready.run("chat = nbkit.chat(engine(speed=0)); answer = await chat.say('Hello')")
    ready.tell_widget(run.live_comm, type="clear")
    ready.run("while chat.turns: await asyncio.sleep(0.01)")
    assert ready.run("print(chat.conversation.history)").text == "[]\n"


def test_end_leaves_only_static_output(ready: Kernel) -> None:
    """An ended chat has no widget; its transcript stays, and a further message is refused."""
    opened = ready.run("chat = nbkit.chat(engine(speed=0)); answer = await chat.say('Hello')")
    request = ready.start("await chat")
    ready.tell_widget(opened.live_comm, type="end")
    run = ready.follow(request)
    assert run.reply["status"] == "ok"
    widgets = {c["comm_id"] for c in opened.of("comm_open")}
    assert ready.closed_once_replaced(opened) == widgets
    assert "Hello" in _transcript(opened, run)
    assert ready.follow(ready.start("chat.say('More')")).reply["ename"] == "StreamMisused"


def test_an_interrupt_ends_an_awaited_chat(ready: Kernel) -> None:
    """Ctrl-C in a cell that awaits the chat ends it, and keeps the running turn's partial."""
    run = ready.run("chat = nbkit.chat(engine(ttft=0.1, tokens_per_second=20))")
    ready.tell_widget(run.live_comm, type="say", text="What can you do?")
    ready.run("while not chat.conversation.running.text: await asyncio.sleep(0.01)")
    # Printed once the cell waits: before that, an interrupt may come too early to be the cell's.
    here = "import asyncio; asyncio.get_running_loop().call_soon(print, 'waiting')"
    request = ready.start(f"{here}\nawait chat")
    ready.follow(request, until=lambda run: "waiting" in run.text)
    ready.manager.interrupt_kernel()
    assert ready.follow(request).reply["status"] == "error"
    _after(ready, 1)
    assert ready.run("print(chat.turns[0][1].stopped)").text == "True\n"


@pytest.mark.parametrize("wrong", ["nbkit.load_index('en')", "nbkit.connect()", "None"])
def test_other_things_than_chat_engines_are_refused(ready: Kernel, wrong: Any) -> None:
    """A query engine, an index or a model gets the call that makes a chat engine."""
    run = ready.follow(ready.start(f"nbkit.chat({wrong})"))
    assert "as_chat_engine" in run.reply["evalue"]


FULL = """
class FullDisk(ChatMemoryBuffer):
    async def aput(self, message): raise OSError(28, "No space left on device")
    async def aput_messages(self, messages): await self.aput(messages[0])
    def reset(self): raise OSError(28, "No space left on device")

def full():
    llm = nbkit.connect(speed=0)
    memory = FullDisk(token_limit=1000, tokenizer_fn=str.split)
    return SimpleChatEngine.from_defaults(llm=llm, memory=memory)
"""


def test_a_memory_that_fails_leaves_nothing_live(ready: Kernel) -> None:
    """A turn whose memory cannot be written stands in the transcript, with what went wrong."""
    ready.run(FULL)
    opened = ready.run("chat = nbkit.chat(full())")
    ready.tell_widget(opened.live_comm, type="say", text="What can you do?")
    assert "memory could not be written" in _transcript(_after(ready, 1))
    assert ready.run("print(chat.conversation.running)").text == "None\n"
    said = ready.follow(ready.start("await chat.say('Hello?')")).reply
    assert said["ename"] == "MemoryNotWritten"
    ready.tell_widget(opened.live_comm, type="clear")
    notices = ready.run("await asyncio.sleep(0.2)").of("comm_msg")
    assert "No space left on device" in str(notices)


def test_show_settles_though_a_memory_fails(ready: Kernel) -> None:
    """The live view of such an answer is replaced by static output that says why."""
    ready.run(FULL)
    run = ready.follow(ready.start("await nbkit.show(full().astream_chat('Hello?'))"))
    assert run.reply["ename"] == "MemoryNotWritten"
    assert "memory could not be written" in run.settled[-1]["text/plain"]
    assert run.live_comm in ready.closed_once_replaced(run)


def test_the_screen_says_what_the_model_no_longer_sees(ready: Kernel) -> None:
    """Once the memory has no room for the first turns, the transcript says so; Clear ends it."""
    ready.run(
        "llm = nbkit.connect(speed=0)\n"
        "memory = ChatMemoryBuffer.from_defaults(token_limit=150)\n"
        "chat = nbkit.chat(SimpleChatEngine.from_defaults(llm=llm, memory=memory))"
    )
    first = ready.run("answer = await chat.say('What can you do?')")
    assert "no longer sees" not in _transcript(first)
    full = ready.run("for _ in range(4): answer = await chat.say('What can you do?')")
    number = int(ready.run("print(chat.conversation.forgotten)").text)
    assert f"no longer sees the first {number} message" in _transcript(full)
    assert number > 0
    assert "no longer sees" not in _transcript(ready.run("chat.clear()"))


def test_half_a_character_is_said_and_answered(ready: Kernel) -> None:
    """Half an emoji, typed or sent by a model, is shown and kept as a whole character."""
    ready.run(
        "async def halves():\n"
        "    for part in ('a', '\\ud83d', '\\ude00', '\\ud83d'): yield part\n"
        "chat = nbkit.chat(engine(speed=0))"
    )
    told = ready.run("answer = await chat.say('Hello \\ud83d')")
    assert "Hello \ufffd" in _transcript(told)
    shown = ready.run("answer = await nbkit.show(halves())")
    assert shown.settled[-1]["text/plain"].startswith("a\U0001f600\ufffd")
    grid = ready.run("answers = await nbkit.show_all({'half \\ud83d': halves()})")
    assert "half \ufffd" in grid.settled[-1]["text/plain"]
    assert (
        ready.follow(ready.start("raise nbkit.NbkitError('\\ud83d')")).reply["evalue"] == "\ufffd"
    )


def test_a_turn_sends_itself_and_not_all_before(ready: Kernel) -> None:
    """Twenty turns put less than three times what they say on the wire, and all stand there."""
    opened = ready.run("chat = nbkit.chat(engine(speed=0))")
    ready.tell_widget(opened.live_comm, type="page", page="one", seen=True, replaced=False)
    told = ready.run("for turn in range(20): await chat.say(f'What is turn {turn}?')")
    sent = sum(len(bundle["text/plain"]) for bundle in told.settled)
    shown = _transcript(opened, told)
    assert [shown.count(f"turn {turn}?") for turn in range(20)] == [1] * 20
    assert shown.index("turn 8?") < shown.index("turn 9?") < shown.index("turn 19?")
    ready.run("chat.end()")
    assert sent < 3 * len(shown)


def test_a_chat_that_is_run_again_leaves_no_widget(ready: Kernel) -> None:
    """The cell run again ends the chat of its earlier run, and closes its widgets."""
    first = ready.run("chat = nbkit.chat(engine(speed=0))", cell="chat-cell")
    ready.run("earlier = chat; answer = await chat.say('Hello')")
    again = ready.run("chat = nbkit.chat(engine(speed=0))", cell="chat-cell")
    widgets = {content["comm_id"] for content in first.of("comm_open")}
    assert {content["comm_id"] for content in again.of("comm_close")} == widgets
    assert ready.follow(ready.start("earlier.say('More')")).reply["ename"] == "StreamMisused"
