"""Follows a stream to its end, and keeps a screen up to date with it."""

import asyncio
from typing import Any

from nbkit.displays.agent_steps import step_rows
from nbkit.displays.final_output import caption, source_rows
from nbkit.displays.live_widget import LiveWidget
from nbkit.displays.output import Terminal
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import StreamError
from nbkit.streaming.stream import TokenStream


async def follow(tokens: TokenStream, screen: LiveWidget | Terminal, index: int) -> Answer | None:
    """Show one stream to its end; returns its answer, `None` only if it could not settle."""
    following = _Following(tokens, screen, index)
    tokens.on_progress = following.progress
    announcing = asyncio.create_task(following.announce())
    try:
        await tokens.follow(following.hear)
    except StreamError:
        pass  # in the answer: shown here, raised for whoever awaits the view
    finally:
        announcing.cancel()
        if tokens.answer is not None:
            following.end(tokens.answer)
    return tokens.answer


class _Following:
    """One stream, the screen it is shown on, and what that shows of it now."""

    def __init__(self, tokens: TokenStream, screen: LiveWidget | Terminal, index: int) -> None:
        self._tokens, self._screen, self._index = tokens, screen, index
        self._state = "waiting"
        self._told: Any = ("waiting", [], None)

    def hear(self, chunk: str) -> None:
        """Show a chunk of the answer."""
        trace = self._tokens.trace
        facts: dict[str, Any] = {}
        if self._state != "streaming":
            self._state = "streaming"
            facts = {"state": "streaming", "ttft": trace.ttft, "model": trace.model}
            if trace.thoughts:
                facts["ttfo"] = trace.ttfo
        self._screen.add(self._index, chunk, **facts)

    def progress(self, thought: str) -> None:
        """Show a thought, the steps of an agent, and what it asks a person."""
        if thought:
            self._screen.think(self._index, thought)
        rows, question = step_rows(self._tokens.steps), self._tokens.question
        uses_tools = any(row["state"] == "running" for row in rows)
        state = "using tools" if uses_tools else "thinking" if thought else "waiting"
        if (state, rows, question) != self._told:
            self._told, self._state = (state, rows, question), state
            facts: dict[str, Any] = {"steps": rows, "question": question}
            if (ttft := self._tokens.trace.ttft) is not None:
                facts["ttft"] = ttft
            self._screen.tell(self._index, state=state, **facts)

    async def announce(self) -> None:
        """Show the sources as soon as they are known: they fill the wait for the first token."""
        await self._tokens.opened.wait()
        if self._tokens.sources:
            self._screen.tell(self._index, sources=source_rows(self._tokens.sources))

    def end(self, answer: Answer) -> None:
        """Show how it ended."""
        facts: dict[str, Any] = {"state": answer.state, "caption": caption(answer)}
        if answer.steps:
            facts |= {"steps": step_rows(answer.steps), "sources": source_rows(answer.sources)}
        took = answer.trace.end_to_end
        self._screen.tell(self._index, took=took, question=None, **facts)


def answer_page(message: dict[str, Any], tokens: TokenStream) -> None:
    """Do what the page asks for with one stream: stop it, or reply to an agent's question."""
    if message.get("type") != "reply":
        tokens.cancel()
    elif tokens.question is not None:
        tokens.reply(str(message.get("text", "")))
