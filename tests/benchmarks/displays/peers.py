"""The displays that are compared, each as one would write it in a cell; this runs in the kernel."""

import asyncio
import html
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.util import find_spec
from typing import Any

import anywidget
import ipywidgets
import traitlets
from IPython.display import Markdown, display

import nbkit
from tests.benchmarks.displays.workload import answer, source

Chunks = AsyncIterator[str]
_FRAME = 1 / 30
_DRAIN_SECONDS = 0.3
NONE, SHOW, GRID = "no display", "nbkit.show", "nbkit.show_all"
DELTAS = "anywidget, plain text, deltas at 30 Hz"
FLOOR = "print once, at the end"


async def _nothing(chunks: Chunks) -> None:
    async for _ in chunks:
        pass


async def _print_once(chunks: Chunks) -> None:
    print("".join([chunk async for chunk in chunks]))


async def _print(chunks: Chunks) -> None:
    async for chunk in chunks:
        print(chunk, end="")


async def _print_flush(chunks: Chunks) -> None:
    async for chunk in chunks:
        print(chunk, end="", flush=True)


async def _markdown(chunks: Chunks) -> None:
    slot, text = display(Markdown(""), display_id=True), ""
    async for chunk in chunks:
        text += chunk
        slot.update(Markdown(text))


async def _markdown_10_hz(chunks: Chunks) -> None:
    slot, text, painted = display(Markdown(""), display_id=True), "", 0.0
    async for chunk in chunks:
        text += chunk
        if time.perf_counter() - painted >= 0.1:
            slot.update(Markdown(text))
            painted = time.perf_counter()
    slot.update(Markdown(text))


async def _html_value(chunks: Chunks) -> None:
    widget, text = ipywidgets.HTML(), ""
    display(widget)
    async for chunk in chunks:
        text += chunk
        widget.value = f"<pre>{html.escape(text)}</pre>"


async def _append_stdout(chunks: Chunks) -> None:
    widget = ipywidgets.Output()
    display(widget)
    async for chunk in chunks:
        widget.append_stdout(chunk)


async def _rich_live(chunks: Chunks) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.markdown import Markdown as RichMarkdown

    text = ""
    with Live(console=Console()) as live:
        async for chunk in chunks:
            text += chunk
            live.update(RichMarkdown(text))


class _Deltas(anywidget.AnyWidget):
    """Text that grows by increments; the whole of it travels at doublings and when asked for."""

    _esm = """
    function render({ model, el }) {
        const content = document.createTextNode(""), text = document.createElement("pre");
        text.append(content);
        el.append(text);
        let end = 0;
        const whole = () => {
            const { to, text } = model.get("checkpoint");
            if (to > end) { content.data = text; end = to; }
        };
        model.on("msg:custom", ({ from, to, text }) => {
            if (from > end) model.send("resync");
            else if (from === end) { content.appendData(text); end = to; }
            else if (from === 0 && to > end) { content.data = text; end = to; }
        });
        model.on("change:checkpoint", whole);
        whole();
    }
    export default { render };
    """
    checkpoint = traitlets.Dict({"to": 0, "text": ""}).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._sent = 0
        self.on_msg(lambda *_: self.send({"from": 0, "to": len(self._text), "text": self._text}))

    def grow(self, text: str) -> None:
        self._text += text
        self.send({"from": self._sent, "to": len(self._text), "text": text})
        self._sent = len(self._text)
        if self._sent >= 2 * self.checkpoint["to"]:
            self.save()

    def save(self) -> None:
        self.checkpoint = {"to": self._sent, "text": self._text}


async def _deltas(chunks: Chunks) -> None:
    widget = _Deltas()
    display(widget)
    waiting: list[str] = []
    painted = 0.0
    async for chunk in chunks:
        waiting.append(chunk)
        if time.perf_counter() - painted >= _FRAME:
            widget.grow("".join(waiting))
            waiting.clear()
            painted = time.perf_counter()
    widget.grow("".join(waiting))
    widget.save()


async def _show(chunks: Chunks) -> None:
    await nbkit.show(chunks)


# One coroutine per stream; NONE first, ours last.
PEERS: dict[str, Callable[[Chunks], Awaitable[None]]] = {
    NONE: _nothing,
    FLOOR: _print_once,
    "print(flush=True)": _print_flush,
    "print": _print,
    "update_display(Markdown)": _markdown,
    "update_display(Markdown) at 10 Hz": _markdown_10_hz,
    "ipywidgets.HTML.value": _html_value,
    "Output.append_stdout": _append_stdout,
    "rich.live.Live(Markdown)": _rich_live,
    DELTAS: _deltas,
    SHOW: _show,
}
OURS = (SHOW, GRID)
UNCOALESCED = (
    "print(flush=True)",
    "update_display(Markdown)",
    "ipywidgets.HTML.value",
    "Output.append_stdout",
)
SLOW = ("Output.append_stdout", "rich.live.Live(Markdown)")


def missing(label: str) -> str | None:
    """Why a display cannot be measured here; `None` if it can."""
    if label.startswith("rich") and find_spec("rich") is None:
        return "rich is not installed"
    if label == GRID and not hasattr(nbkit, "show_all"):
        return "nbkit.show_all does not exist"
    return None


async def _display(label: str, sources: list[Chunks]) -> None:
    if label == GRID:
        await nbkit.show_all({f"stream {n}": chunks for n, chunks in enumerate(sources)})
    else:
        await asyncio.gather(*(PEERS[label](chunks) for chunks in sources))


async def _flood(messages: int) -> None:
    """Send messages that are no display's, as somebody else's widget in the same cell would."""
    if messages:
        widget = ipywidgets.IntProgress()
        display(widget)
        for n in range(messages):
            widget.send({"step": n})
            await asyncio.sleep(0)


async def measure(
    label: str, streams: int, tokens: int, rate: float | None, foreign: int = 0
) -> dict[str, Any]:
    """Run a display once; give its wall and CPU time (s) and when each marker was produced.

    CPU is that of all threads of the kernel, until a while after the last token.
    """
    answers = [answer(tokens, stream) for stream in range(streams)]
    produced: dict[str, float] = {}
    sources = [source(parts, rate, produced) for parts in answers]
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(_display(label, sources), _flood(foreign))
    wall = time.perf_counter() - wall
    await asyncio.sleep(_DRAIN_SECONDS)
    return {"wall": wall, "cpu": time.process_time() - cpu, "produced": produced}
