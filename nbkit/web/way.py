"""What a server sends of an answer beside its text: sources, thoughts, the steps of an agent."""

from collections.abc import Iterator

from nbkit.streaming.stream import TokenStream
from nbkit.web.messages import Data, sources, step


class Way:
    """Knows what has been sent of one answer, and what is new."""

    def __init__(self, stream: TokenStream) -> None:
        self._stream = stream
        self._sources: int | None = None
        self._thoughts = 0
        self._states: list[str] = []

    def news(self) -> Iterator[tuple[str, Data]]:
        """The events, by name, for what has changed since the last call."""
        found = len(self._stream.sources)
        if self._stream.opened.is_set() and self._sources != found:
            self._sources = found
            yield "sources", sources(self._stream.sources)
        if new := self._stream.thoughts[self._thoughts :]:
            self._thoughts += len(new)
            yield "thinking", {"text": "".join(new)}
        for number, one in enumerate(self._stream.steps):
            if self._states[number : number + 1] != [one.state]:
                self._states[number : number + 1] = [one.state]
                yield "step", step(number, one)
