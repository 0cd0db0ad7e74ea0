"""An interrupt reaches every cell that awaits something of nbkit in which nothing happens."""

import pytest

from tests.kernel.conftest import Kernel

pytestmark = pytest.mark.kernel

# A lock held elsewhere: the memory of a chat, say, that settles for minutes.
SETUP = """
import asyncio, nbkit
from llama_index.core.chat_engine import SimpleChatEngine

llm = nbkit.connect(ttft=600)
engine = SimpleChatEngine.from_defaults(llm=llm)

async def never(question=""):
    await asyncio.Event().wait()
    yield ""

async def slow(question):
    await asyncio.Event().wait()

async def read(stream):
    async for chunk in stream:
        print(chunk)

from nbkit.displays.active import RunningView

class Settling(RunningView):
    def stop(self): self._task.cancel()
"""

WAITS = {
    "an idle chat": "await nbkit.chat(engine)",
    "a turn of a chat": "await nbkit.chat(engine).say('Hello?')",
    "a conversation": "await nbkit.Conversation(engine).turn('Hello?')",
    "show": "await nbkit.show(never())",
    "a view that settles": "await Settling(asyncio.Event().wait())",
    "show_all": "await nbkit.show_all([never(), never()])",
    "stream": "await nbkit.stream(never())",
    "async for": "await read(nbkit.stream(never()))",
    "run_batch": "await nbkit.run_batch([1, 2], slow, progress=False)",
    "iter_batch": "await read(nbkit.iter_batch([1, 2], slow))",
    "measure": "await nbkit.measure(['Why?'], never, warmup=False, progress=False)",
    "watch_loop": "with nbkit.watch_loop(): await nbkit.stream(never())",
}


@pytest.fixture(scope="module")
def ready(lasting_kernel: Kernel) -> Kernel:
    """A kernel in which everything waits for ever."""
    lasting_kernel.run(SETUP)
    return lasting_kernel


@pytest.mark.parametrize("code", WAITS.values(), ids=WAITS)
def test_an_interrupt_is_felt(ready: Kernel, code: str) -> None:
    """An interrupted cell ends, though nothing else wakes its event loop."""
    # The timer shows that the cell waits; after it nothing in the loop does anything.
    here = "asyncio.get_running_loop().call_later(0.5, print, 'waiting')"
    request = ready.start(f"{here}\n{code}")
    ready.follow(request, until=lambda run: "waiting" in run.text)
    ready.manager.interrupt_kernel()
    assert ready.follow(request).reply["ename"] in ("CancelledError", "KeyboardInterrupt")
