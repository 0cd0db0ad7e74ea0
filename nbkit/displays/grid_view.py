"""Show several answers side by side while they stream, then leave one table of them."""

import asyncio
from collections.abc import Iterable, Mapping
from inspect import iscoroutine
from typing import Any

from nbkit.displays.active import RunningView, need_loop
from nbkit.displays.final_output import settled_grid
from nbkit.displays.following import answer_page, follow
from nbkit.displays.output import open_screen
from nbkit.language import say
from nbkit.streaming.agents import end_run, is_of_agent, is_run, refuse
from nbkit.streaming.answer import Answer
from nbkit.streaming.errors import StreamMisused
from nbkit.streaming.stream import TokenStream, stream
from nbkit.wording import whole_characters


class GridView(RunningView[dict[str, Answer]]):
    """A running display of several answers: `await` it for all of them by label, or `stop()` it.

    An answer that failed is in its place, with its `.error`, beside the others.
    Taught in notebook 05.
    """

    def __init__(self, streams: Mapping[str, TokenStream], *, race: bool = False) -> None:
        self.streams = dict(streams)
        self._race = race
        self._screen = open_screen([*self.streams], self._hear, race=race)
        super().__init__(self._show())

    @property
    def answers(self) -> dict[str, Answer]:
        """The answers that have settled so far, by label."""
        ended = {label: tokens.answer for label, tokens in self.streams.items()}
        return {label: answer for label, answer in ended.items() if answer is not None}

    def stop(self, which: int | str | None = None) -> None:
        """End all of them, or one, given by label or number; what has arrived is kept."""
        for number, (label, tokens) in enumerate(self.streams.items()):
            if which is None or which in (number, label):
                tokens.cancel()

    def _hear(self, message: dict[str, Any]) -> None:
        index = message.get("index")
        for number, tokens in enumerate(self.streams.values()):
            if index is None or index == number:
                answer_page(message, tokens)

    async def _show(self) -> None:
        numbered = enumerate(self.streams.values())
        await asyncio.gather(*(follow(tokens, self._screen, place) for place, tokens in numbered))
        await self._screen.settle(settled_grid(self.answers, race=self._race))

    def _result(self) -> dict[str, Answer]:
        self._screen.repeat()
        return self.answers

    def __repr__(self) -> str:
        return f"<GridView of {len(self.streams)}, {len(self.answers)} finished>"


def show_all(sources: Mapping[str, Any] | Iterable[Any], *, race: bool = False) -> GridView:
    """Show several answers side by side while they stream, all started at once.

    `sources` maps labels to whatever `nbkit.stream` takes; without labels they are numbered from
    "1". `race=True` adds a lane for each on one clock and the order in which they ended. Each has a
    Stop of its own, and there is one for all. `await` the view for the answers, a dict by label.

    Raises `StreamMisused`, naming the right call, for an empty or wrong argument.
    Taught in notebook 05.
    """
    given = _labelled(sources)
    try:
        need_loop("show_all")
        streams = {label: stream(source) for label, source in given.items()}
        if not streams:
            raise StreamMisused(
                say("`show_all` got nothing to show"),
                say(
                    "give it answers by label, such as `{q: engine.aquery(q) for q in questions}`."
                ),
            )
    except StreamMisused:
        for source in given.values():
            if iscoroutine(source):
                source.close()
            elif is_run(source):
                end_run(source)
            elif is_of_agent(source):
                refuse(source)  # and end the run behind it
        raise
    return GridView(streams, race=race)


def _labelled(sources: Any) -> dict[str, Any]:
    if is_of_agent(sources):
        raise StreamMisused(refuse(sources))
    if is_run(sources):
        end_run(sources)
    if isinstance(sources, Mapping):
        return {whole_characters(str(label)): source for label, source in sources.items()}
    if isinstance(sources, Iterable) and not isinstance(sources, str | bytes):
        return {str(number): source for number, source in enumerate(sources, 1)}
    if iscoroutine(sources):
        sources.close()
    raise StreamMisused(
        say("`show_all` got one {kind}", kind=type(sources).__name__),
        say(
            "for one answer call `show`; for several give a dict by label, such as `{q: "
            "engine.aquery(q) for q in questions}`."
        ),
    )
