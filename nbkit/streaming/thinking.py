"""Separates what a model thinks from what it answers, where both are in one text."""

_TAGS = {"<think>": "</think>", "<thinking>": "</thinking>"}
_REACT = ("Thought:", "Action:", "Answer:")


class Thought(str):
    """A delta of what a model thinks, which is no part of its answer."""

    __slots__ = ()


class ThoughtSplitter:
    """Splits a text that arrives in deltas into thoughts and answer.

    Local models write `<think>…</think>` before the answer. LlamaIndex's `ReActAgent` has a model
    write "Thought: … Action: …", and in its last turn "Answer: …"; give `react` for it.
    """

    def __init__(self, *, react: bool = False) -> None:
        self._react = react
        self._held = ""
        self._begun = False
        """It is known whether the text begins with thoughts."""
        self._closing = ""
        """What ends the thoughts that are being read now."""
        self._after_thought = False
        """The space between a thought and the answer has not ended yet."""

    def add(self, delta: str) -> list[str]:
        """The deltas that this one completes, each a `Thought` or text of the answer."""
        if self._begun and not (self._held or self._closing or self._after_thought):
            return [delta]
        self._held += delta
        if not self._begun:
            self._find_opening()
        return [one for one in (self._thought(), self._answer()) if one]

    def end(self) -> list[str]:
        """What was held back until the end of the text."""
        held, self._held = self._held, ""
        return [Thought(held) if self._closing else held] if held else []

    def _find_opening(self) -> None:
        """Look at the head of the text, which may be too short to tell."""
        head = self._held.lstrip()
        openings = (*_TAGS, *(_REACT if self._react else ()))
        found = next((opening for opening in openings if head.startswith(opening)), None)
        if found in _TAGS:
            self._held, self._closing = head[len(found) :], _TAGS[found]
        elif found is not None:
            self._held, self._closing = head, "Answer:"
        self._begun = bool(found) or not any(opening.startswith(head) for opening in openings)

    def _thought(self) -> Thought:
        """The thoughts that are held; what ends them may be split between two deltas."""
        if not self._closing:
            return Thought()
        thought, ended, rest = self._held.partition(self._closing)
        if ended:
            self._held, self._closing, self._after_thought = rest, "", True
            return Thought(thought.rstrip())
        parts = range(len(self._closing) - 1, 0, -1)
        kept = next((n for n in parts if self._held.endswith(self._closing[:n])), 0)
        cut = len(self._held) - kept
        thought, self._held = self._held[:cut], self._held[cut:]
        return Thought(thought)

    def _answer(self) -> str:
        """The answer that is held, without the space between a thought and it."""
        if self._closing or not self._begun:
            return ""
        answer, self._held = self._held, ""
        if self._after_thought:
            answer = answer.lstrip()
            self._after_thought = not answer
        return answer
