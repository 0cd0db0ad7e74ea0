"""Models that think before they answer: thoughts beside the text, never in it."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer

import nbkit
from nbkit.displays.final_output import settled
from nbkit.streaming.answer import Answer
from nbkit.streaming.thinking import Thought, ThoughtSplitter

ENGINES = ["query", "aquery", "chat", "llm"]


@pytest.mark.parametrize("way", ENGINES)
async def test_thoughts_are_beside_the_answer(way: str) -> None:
    """Whatever engine drops them: thoughts are in `thought`, and TTFT counts the first of them."""
    llm = nbkit.connect(speed=0, thinking_tokens=12, tokens_per_second=50)
    index = nbkit.load_index("en")
    question = "How long is the warranty?"
    engine = index.as_query_engine(llm=llm, streaming=True)
    chat = index.as_chat_engine(chat_mode="context", llm=llm)
    answers: dict[str, Any] = {
        "query": lambda: engine.query(question),
        "aquery": lambda: engine.aquery(question),
        "chat": lambda: chat.astream_chat(question),
        "llm": lambda: llm.astream_complete(question),
    }
    answer = await nbkit.stream(answers[way]())
    assert answer.thought.startswith("The user asks")
    assert "The user asks" not in answer.text
    assert answer.trace.reasoning_tokens == 12
    assert (answer.trace.ttft or 9) < (answer.trace.ttfo or 0)
    assert answer.trace.text_tokens == (answer.trace.tokens or 0) - 12
    if way == "chat":
        assert [str(m.content) for m in chat.chat_history] == [question, answer.text]


async def test_thoughts_in_the_text_of_local_models() -> None:
    """`<think>…</think>` at the head of a text is a thought; it is not in the chat's memory."""
    said = "<think>\nHm, let me see.</think>\n\nYes."
    answer = await nbkit.stream(list(said))
    assert (answer.text, answer.thought) == ("Yes.", "\nHm, let me see.")
    memory = ChatMemoryBuffer.from_defaults()
    engine = SimpleChatEngine.from_defaults(llm=_Says(said), memory=memory)
    answer = await nbkit.stream(engine.astream_chat("Well?"))
    assert (answer.text, answer.thought) == ("Yes.", "\nHm, let me see.")
    assert [message.content for message in memory.get_all()] == ["Well?", "Yes."]


class _Says(MockLLM):
    """A model that says one thing, letter by letter."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    async def astream_chat(self, messages: Sequence[Any], **_: Any) -> Any:
        from llama_index.core.base.llms.types import ChatMessage, ChatResponse

        async def letters() -> Any:
            for end in range(1, len(self._text) + 1):
                message = ChatMessage(role="assistant", content=self._text[:end])
                yield ChatResponse(message=message, delta=self._text[end - 1])

        return letters()


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>a <b></b></think>\n\nThe <think> tag", "a <b></b>", "The <think> tag"),
        (" The answer", "", " The answer"),
        ("<th is a tag", "", "<th is a tag"),
        ("<think>never ends", "never ends", ""),
        ("Thought: a\nAnswer: b", "", "Thought: a\nAnswer: b"),
        ("", "", ""),
    ],
)
def test_wherever_the_deltas_are_cut(text: str, thought: str, answer: str) -> None:
    """However a text is cut into deltas, thought and answer are the same."""
    for seed in range(50):
        cuts, splitter, place = random.Random(seed), ThoughtSplitter(), 0
        deltas: list[str] = []
        while place < len(text):
            size = cuts.randint(1, 5)
            deltas += splitter.add(text[place : place + size])
            place += size
        deltas += splitter.end()
        assert "".join(d for d in deltas if isinstance(d, Thought)) == thought
        assert "".join(d for d in deltas if not isinstance(d, Thought)) == answer


def test_settled_thoughts_are_folded_and_harmless() -> None:
    """The settled output folds the thoughts away, and no HTML in them runs."""
    html = settled(Answer("Yes.", thought="<script>alert(1)</script>"))["text/html"]
    assert "<details><summary>Thought" in html
    assert "<script>" not in html
    assert "alert" not in settled(Answer("Yes.", thought="alert"))["text/plain"]
