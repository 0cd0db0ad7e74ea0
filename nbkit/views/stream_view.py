"""Show one answer while it streams, then leave it in the notebook for good."""

import asyncio
import sys
import time
from collections.abc import Generator
from typing import Any

from nbkit.answer import Answer
from nbkit.stream_errors import StreamError, StreamMisused
from nbkit.streams import TokenStream, stream
from nbkit.views.live_widget import LiveText
from nbkit.views.settled import caption, settled, source_rows

_FRAME = 1 / 30
_SETTLE_SECONDS = 3.0
_running: set[asyncio.Task[None]] = set()  # a task nobody holds may be collected mid-stream


class StreamView:
    """A running display of one answer: `await` it for the `Answer`, `stop()` it, or let it run.

    Raises what the stream raises (`StreamBroken`, `AnswerTruncated`, `StreamMisused`) when it is
    awaited; the partial answer stays on the screen and in `.answer` either way.

    Taught in notebook 01.
    """

    def __init__(self, tokens: TokenStream) -> None:
        self.stream = tokens
        loop = asyncio.get_running_loop()
        self._screen = _Widget(tokens) if _has_kernel() else _Terminal()
        self._task = loop.create_task(self._read(), name="nbkit-view")
        _running.add(self._task)
        self._task.add_done_callback(_running.discard)

    @property
    def answer(self) -> Answer | None:
        """The finished answer; `None` while it streams."""
        return self.stream.answer

    def stop(self) -> None:
        """End generation at the model, keeping what has arrived; safe from any thread."""
        self.stream.cancel()

    def __await__(self) -> Generator[Any, None, Answer]:
        return self._wait().__await__()

    async def _wait(self) -> Answer:
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait({self._task}, timeout=_SETTLE_SECONDS)
            raise
        self._task.result()
        assert self.answer is not None
        self._screen.repeat(self.answer)
        if self.answer.error is not None:
            raise self.answer.error
        return self.answer

    async def _read(self) -> None:
        announcing = asyncio.create_task(self._announce())
        try:
            async for chunk in self.stream:
                self._screen.add(chunk)
        except StreamError:
            pass  # in the answer: shown by `close`, raised for whoever awaits the view
        finally:
            announcing.cancel()
            if self.answer is not None:
                self._screen.close(self.answer)

    async def _announce(self) -> None:
        """Show the sources as soon as they are known: they fill the wait for the first token."""
        await self.stream.opened.wait()
        self._screen.announce(source_rows(self.stream.sources))

    def _ipython_display_(self) -> None:
        """Show nothing more when the view is a cell's last expression: it is on the screen."""

    def __repr__(self) -> str:
        return repr(self.answer) if self.answer else f"<StreamView {self.stream.trace.caption}>"


class _Widget:
    """A cell's output: a live widget, replaced by static output when the answer settles."""

    def __init__(self, tokens: TokenStream) -> None:
        from IPython.display import display

        self._tokens = tokens
        self._loop = asyncio.get_running_loop()
        self._waiting: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._painted = 0.0
        self._cell = _cell_id()
        self._live = LiveText(on_stop=tokens.cancel)
        self._slot: Any = display(self._live, display_id=True)  # type: ignore[no-untyped-call]

    def announce(self, sources: list[dict[str, str]]) -> None:
        """Show what the answer will rest on."""
        self._live.sources = sources

    def add(self, chunk: str) -> None:
        """Paint a chunk now, or with its neighbours in the next frame (30 a second)."""
        self._waiting.append(chunk)
        if self._timer is not None:
            return
        due = self._painted + _FRAME - time.perf_counter()
        if due <= 0:
            self._paint()
        else:
            self._timer = self._loop.call_later(due, self._paint)

    def _paint(self) -> None:
        self._timer = None
        self._painted = time.perf_counter()
        trace, text = self._tokens.trace, "".join(self._waiting)
        self._waiting.clear()
        self._live.grow(
            text,
            ttft=trace.ttft,
            chunks=trace.chunks,
            rate=trace.chunk_rate,
            elapsed=self._painted - trace.start,
            model=trace.model,
        )

    def close(self, answer: Answer) -> None:
        """Replace the widget by output that needs no kernel."""
        if self._timer is not None:
            self._timer.cancel()
        self._slot.update(settled(answer), raw=True)
        self._live.close()

    def repeat(self, answer: Answer) -> None:
        """Say it again if a later cell waited: nbclient hears only the cell it is running."""
        if _cell_id() != self._cell:
            self._slot.update(settled(answer), raw=True)


class _Terminal:
    """Standard output: the text as it arrives, then its caption."""

    def announce(self, sources: list[dict[str, str]]) -> None:
        """Nothing: plain text keeps to the answer."""

    def add(self, chunk: str) -> None:
        sys.stdout.write(chunk)
        sys.stdout.flush()

    def close(self, answer: Answer) -> None:
        sys.stdout.write(f"\n{caption(answer)}\n")

    def repeat(self, answer: Answer) -> None:
        """Nothing: it is on the screen."""


def show(source: Any) -> StreamView:
    """Show an answer live in the cell's output, with its TTFT, its sources and a Stop button.

    Takes whatever `nbkit.stream` takes, and starts reading at once: `await` the view to wait for
    the `Answer`, or leave it running and use the next cell. The finished answer stays in the
    notebook as plain output. Outside a notebook the text goes to standard output.

    Raises `StreamMisused`, naming the right call, where `nbkit.stream` would.

    Taught in notebook 01.
    """
    tokens = stream(source)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise StreamMisused(
            "`show` needs a running event loop — in a notebook call it in a cell; in a script, "
            "from a coroutine started with `asyncio.run(main())`."
        ) from None
    return StreamView(tokens)


def _cell_id() -> str | None:
    """Identify the cell whose code is running (the id of its execute request)."""
    parent = sys.modules["IPython"].get_ipython().kernel.get_parent()
    request: str | None = parent.get("header", {}).get("msg_id")
    return request


def _has_kernel() -> bool:
    """Tell whether a Jupyter kernel runs this code; an IPython terminal has no display for us."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
