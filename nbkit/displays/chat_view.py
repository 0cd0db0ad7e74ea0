"""Talk with a chat engine in a cell's output; what was said stays in the notebook."""

import asyncio
from collections.abc import Generator
from typing import Any

from nbkit.displays.active import RunningView, need_loop
from nbkit.displays.following import answer_page, follow
from nbkit.displays.live_widget import ChatWidget
from nbkit.displays.transcript import Transcript
from nbkit.errors import NbkitError
from nbkit.language import say, to_say
from nbkit.loops.heartbeat import keep_waking
from nbkit.loops.kernel import has_widgets, in_marimo, this_place
from nbkit.streaming.answer import Answer
from nbkit.streaming.conversation import Conversation
from nbkit.streaming.errors import StreamMisused
from nbkit.streaming.stream import TokenStream
from nbkit.wording import whole_characters

_ENDED = to_say("This chat has ended — run the cell that shows it again to go on.")


class TurnView(RunningView[Answer]):
    """One turn of a chat while it streams: `await` it for the `Answer`, or `stop()` it."""

    def __init__(self, chat: "ChatView", message: str, tokens: TokenStream) -> None:
        self.stream = tokens
        self._chat, self._message = chat, message
        super().__init__(self._show(), chat.place)

    def stop(self) -> None:
        """End generation at the model, keeping what has arrived; safe from any thread."""
        self.stream.cancel()

    async def _show(self) -> None:
        await follow(self.stream, self._chat.widget, self._chat.widget.begin(self._message))
        if self.stream.answer is not None:
            self._chat.add(self._message, self.stream.answer)

    def _result(self) -> Answer:
        answer = self.stream.answer
        assert answer is not None
        self._chat.repeat()
        if answer.error is not None:
            raise answer.error
        return answer


class ChatView:
    """A chat on the screen: type into it, or `await chat.say("...")`; `end()` closes it.

    Awaiting the view itself waits until the chat is ended, by `end()` or by its End button. The
    transcript is static output, kept in the notebook file turn by turn. Taught in notebook 03.
    """

    def __init__(self, conversation: Conversation) -> None:
        from IPython.display import display

        self.conversation = conversation
        self.turns: list[tuple[str, Answer]] = []
        """What was said in this view, and the answers."""
        self.place = this_place()
        self._ended = asyncio.Event()
        self.widget = ChatWidget([], self._hear)
        self._transcript = Transcript(self.widget.key)
        self._slot: Any = display(self.widget, display_id=True)  # type: ignore[no-untyped-call]

    def say(self, message: str) -> TurnView:
        """Put a message, as if typed; gives the running turn, to be awaited or stopped.

        Raises `TurnRunning` while another turn is, `StreamMisused` for no text or an ended chat.
        """
        if self._ended.is_set():
            raise StreamMisused(say(_ENDED))
        need_loop("chat.say")
        turn = self.conversation.turn(message)
        return TurnView(self, whole_characters(message), turn)

    def stop(self) -> None:
        """Stop the running turn, if there is one; what has arrived is kept, and remembered."""
        if (running := self.conversation.running) is not None:
            running.cancel()

    def clear(self) -> None:
        """Forget all turns, here and in the engine's memory; raises `TurnRunning` during one."""
        self.conversation.clear()
        self.turns.clear()
        self.widget.clear()
        self._transcript.clear(ended=self.widget.finished)

    def end(self) -> None:
        """Close the chat: the running turn is stopped, the transcript stays."""
        self.stop()
        self._ended.set()
        self.repeat()
        words = say("(chat ended)")
        html = f'<div data-nbkit="{self.widget.key}">{words}</div>'
        self._slot.update({"text/plain": words, "text/html": html}, raw=True)
        self.widget.make_way(words)

    def add(self, message: str, answer: Answer) -> None:
        """Add a finished turn to the transcript."""
        self.turns.append((message, answer))
        ended, forgotten = self.widget.finished, self.conversation.forgotten
        self._transcript.add(message, answer, ended=ended, forgotten=forgotten)

    def repeat(self) -> None:
        """Send what a later cell has changed again, if no page has seen it."""
        if not self.widget.is_seen:
            self._transcript.repeat()

    def _hear(self, message: dict[str, Any]) -> None:
        """Do what the page asks for; what goes wrong is said there."""
        try:
            if message.get("type") == "say":
                self.say(str(message.get("text")))
            elif message.get("type") == "reply" and (turn := self.conversation.running):
                answer_page(message, turn)
            elif (asked := message.get("type")) in ("stop", "clear", "end"):
                getattr(self, asked)()
        except Exception as error:  # noqa: BLE001 - nobody else would see it
            name = "" if isinstance(error, NbkitError) else f"{type(error).__name__}: "
            self.widget.notice(whole_characters(f"{name}{error}"))

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        try:
            with keep_waking(asyncio.get_running_loop()):
                await self._ended.wait()
        finally:
            self.end()

    def _ipython_display_(self) -> None:
        """Show nothing more when the view is a cell's last expression: it is on the screen."""

    def __repr__(self) -> str:
        return f"<ChatView, {len(self.turns)} turns>"


def chat(engine: Any, memory: Any = None) -> ChatView:
    """Talk with a chat engine or an agent: input box, live answers, Stop, sources, Clear.

    One turn at a time. After a stop or an error the engine's memory holds what the screen shows,
    the partial answer marked; where it does not, the screen says so. Other cells can run meanwhile;
    `await` the view to wait until the chat is ended.

    An agent remembers in `memory`, or in a new `Memory`.

    Raises `NotAChatEngine` for an engine of another kind, `StreamMisused` outside Jupyter.
    Taught in notebook 03.
    """
    conversation = Conversation(engine, memory)
    if not has_widgets():
        advice = say(
            "make `talk = nbkit.Conversation(engine)`, then for each message `await "
            "nbkit.show(talk.turn(message))`."
        )
        if in_marimo():
            page = say(
                "in marimo use the page of `nbkit.serve(chat=...)`; or {advice}", advice=advice
            )
            advice = page
        raise StreamMisused(say("`chat` needs a Jupyter notebook, for its widgets"), advice)
    return ChatView(conversation)
