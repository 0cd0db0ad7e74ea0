"""Answers without a word of the model's: what is said of each."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata
from llama_index.core.base.response.schema import Response
from llama_index.core.chat_engine.types import BaseChatEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback

import nbkit
from nbkit.displays.final_output import caption, settled
from nbkit.streaming.errors import AnswerTruncated

NO_DOCUMENT = "no document matched, no model was asked"


class Silent(CustomLLM):
    """A model that speaks no protocol of OpenAI's, and says nothing."""

    words: tuple[str, ...] = ()

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="silent")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        return CompletionResponse(text="".join(self.words))

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **_: Any
    ) -> Iterator[CompletionResponse]:
        def say() -> Iterator[CompletionResponse]:
            for word in ["", *self.words]:
                yield CompletionResponse(text=word, delta=word)

        return say()


def _empty_index() -> VectorStoreIndex:
    return VectorStoreIndex([], embed_model=MockEmbedding(embed_dim=8))


def _asked(llm: Silent, call: str) -> Any:
    ask = getattr(llm, call)
    return ask("Hello?") if call.startswith("a") else lambda: ask("Hello?")


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("way", ["aquery", "query", "made"])
async def test_no_document_matched(streaming: bool, way: str) -> None:
    """Where the retriever finds nothing, answer and caption say so; LlamaIndex only stands in."""
    engine = _empty_index().as_query_engine(llm=nbkit.connect(speed=0), streaming=streaming)
    source: Any = {
        "aquery": lambda: engine.aquery("How long?"),
        "query": lambda: lambda: engine.query("How long?"),
        "made": lambda: engine.query("How long?"),
    }[way]()
    answer = await nbkit.stream(source)
    assert answer.nothing_found
    assert answer.state == "done"
    assert NO_DOCUMENT in caption(answer)
    assert NO_DOCUMENT in settled(answer)["text/plain"]
    assert NO_DOCUMENT in repr(answer)


async def test_words_of_ones_own_for_no_document() -> None:
    """What LlamaIndex was told to say instead is recognised: nothing is guessed from the text."""
    engine = _empty_index().as_query_engine(llm=nbkit.connect(speed=0), streaming=True)
    synthesizer = engine._response_synthesizer
    synthesizer._empty_response = "I know nothing of that."
    answer = await nbkit.stream(engine.aquery("How long?"))
    assert answer.nothing_found


@pytest.mark.parametrize("mode", ["context", "condense_question", "condense_plus_context"])
async def test_no_document_matched_in_a_chat(mode: str) -> None:
    """A chat that finds nothing says so too, also after a model was asked to condense."""
    engine: BaseChatEngine = _empty_index().as_chat_engine(
        chat_mode=mode, llm=nbkit.connect(speed=0)
    )
    conversation = nbkit.Conversation(engine)
    for question in ("How long?", "And the battery?"):
        answer = await conversation.turn(question)
        assert answer.nothing_found == (answer.text == "Empty Response")
    assert answer.nothing_found


async def test_other_answers_found_something() -> None:
    """A model's own answer is not marked, nor a text without any retrieval that reads the same."""

    async def say(text: str) -> AsyncIterator[str]:
        yield text

    llm = nbkit.connect(speed=0)
    for source in (llm.acomplete("Hello?"), say("Empty Response"), Response("An answer.")):
        answer = await nbkit.stream(source)
        assert not answer.nothing_found
        assert NO_DOCUMENT not in caption(answer)


async def test_nothing_found_is_not_measured() -> None:
    """An experiment counts it as a failure, not as a very quick answer."""
    engine = _empty_index().as_query_engine(llm=nbkit.connect(speed=0), streaming=True)
    made = await nbkit.measure(["How long?"], engine, progress=False)
    assert [one.state for one in made.results] == ["failed"]
    assert "No document matched" in str(made.results[0].error)


@pytest.mark.parametrize("call", ["astream_complete", "stream_complete", "acomplete"])
async def test_a_silent_model_is_said_to_be_silent(call: str) -> None:
    """A model that says nothing gives no whole answer; no server's settings are blamed for it."""
    with pytest.raises(AnswerTruncated, match="The model sent no text") as caught:
        await nbkit.stream(_asked(Silent(), call))
    assert "stream" not in str(caught.value)
    assert caught.value.answer.state == "truncated"
    spoken = await nbkit.stream(_asked(Silent(words=("Hello.",)), call))
    assert (spoken.text, spoken.state) == ("Hello.", "done")
