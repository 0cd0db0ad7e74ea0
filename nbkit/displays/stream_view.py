"""Show one answer while it streams, then leave it in the notebook for good."""

from typing import Any

from nbkit.displays.active import RunningView, need_loop
from nbkit.displays.final_output import settled
from nbkit.displays.following import answer_page, follow
from nbkit.displays.output import open_screen
from nbkit.streaming.answer import Answer
from nbkit.streaming.stream import TokenStream, stream


class StreamView(RunningView[Answer]):
    """A running display of one answer: `await` it for the `Answer`, `stop()` it, or let it run.

    Raises what the stream raises (`StreamBroken`, `AnswerTruncated`, `StreamMisused`) when it is
    awaited; the partial answer stays on the screen and in `.answer` either way.
    Taught in notebook 01.
    """

    def __init__(self, tokens: TokenStream) -> None:
        self.stream = tokens
        self._screen = open_screen([""], lambda message: answer_page(message, tokens))
        super().__init__(self._show())

    @property
    def answer(self) -> Answer | None:
        """The finished answer; `None` while it streams."""
        return self.stream.answer

    def stop(self) -> None:
        """End generation at the model, keeping what has arrived; safe from any thread."""
        self.stream.cancel()

    def reply(self, text: str) -> None:
        """Answer an agent's question to a person, as the box under the answer does."""
        self.stream.reply(text)

    async def _show(self) -> None:
        answer = await follow(self.stream, self._screen, 0)
        if answer is not None:
            await self._screen.settle(settled(answer))

    def _result(self) -> Answer:
        assert self.answer is not None
        self._screen.repeat()
        if self.answer.error is not None:
            raise self.answer.error
        return self.answer

    def __repr__(self) -> str:
        return repr(self.answer) if self.answer else f"<StreamView {self.stream.trace.caption}>"


def show(source: Any) -> StreamView:
    """Show an answer live in the cell's output, with its TTFT, its sources and a Stop button.

    Takes whatever `nbkit.stream` takes, and starts reading at once: `await` the view to wait for
    the `Answer`, or leave it running and use the next cell. The finished answer stays in the
    notebook as plain output. Outside a notebook the text goes to standard output.

    Raises `StreamMisused`, naming the right call, where `nbkit.stream` would.
    Taught in notebook 01.
    """
    tokens = stream(source)
    need_loop("show", tokens)
    return StreamView(tokens)
