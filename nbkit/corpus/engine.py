"""An index whose query engines ask exactly what LlamaIndex's ask, for less CPU.

About half of the 12 ms that LlamaIndex spends on a question goes into counting tokens, each time
in a new thread, and into copying prompts. `python -m tests.benchmarks.aquery_cpu` shows it.
"""

import inspect
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from llama_index.core import (
    PromptHelper,
    Settings,
    VectorStoreIndex,
    get_response_synthesizer,
)
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.indices.prompt_helper import DEFAULT_PADDING
from llama_index.core.llms.utils import LLMType, resolve_llm
from llama_index.core.prompts import BasePromptTemplate, SelectorPromptTemplate
from llama_index.core.prompts.default_prompt_selectors import (
    DEFAULT_REFINE_PROMPT_SEL,
    DEFAULT_TEXT_QA_PROMPT_SEL,
)
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.response_synthesizers.context_only import ContextOnly
from llama_index.core.response_synthesizers.no_text import NoText
from llama_index.core.utilities.token_counting import TokenCounter
from llama_index.core.utils import get_tokenizer

from nbkit.corpus.reading import CorpusError

# What as_query_engine() hands on to the response synthesizer that it makes.
_SYNTHESIS = (
    inspect.signature(RetrieverQueryEngine.from_args).parameters.keys()
    & inspect.signature(get_response_synthesizer).parameters.keys()
) - {"llm", "callback_manager"}


class LeanIndex(VectorStoreIndex):
    """LlamaIndex's vector index; its query engines give the same answers for less CPU.

    A synthesizer, a prompt helper or prompts of your own are used as they are.
    """

    def as_query_engine(self, llm: LLMType | None = None, **kwargs: Any) -> BaseQueryEngine:
        """Make a query engine; takes what LlamaIndex's `as_query_engine` takes.

        Raises CorpusError for a response mode that does not exist, or that cannot stream.
        """
        llm = resolve_llm(llm, callback_manager=self._callback_manager) if llm else Settings.llm
        if kwargs.get("response_synthesizer") is None:
            mode = _mode(kwargs)
            if mode in _WITHOUT_LLM:
                # LlamaIndex forgets the LLM here, looks for OpenAI's, and wants a key for it.
                kwargs["response_synthesizer"] = _WITHOUT_LLM[mode](llm=llm)
                return super().as_query_engine(llm=llm, **kwargs)
            given = {name: kwargs[name] for name in _SYNTHESIS & kwargs.keys()}
            given["text_qa_template"] = given.get("text_qa_template") or _TEXT_QA
            given["refine_template"] = given.get("refine_template") or _REFINE
            kwargs["response_synthesizer"] = get_response_synthesizer(
                llm=llm,
                prompt_helper=Settings._prompt_helper
                or LeanPromptHelper.from_llm_metadata(llm.metadata),
                **given,
            )
        return super().as_query_engine(llm=llm, **kwargs)


_WITHOUT_LLM = {ResponseMode.NO_TEXT: NoText, ResponseMode.CONTEXT_ONLY: ContextOnly}
_SEVERAL_ANSWERS = (ResponseMode.ACCUMULATE, ResponseMode.COMPACT_ACCUMULATE)


def _mode(settings: Mapping[str, Any]) -> ResponseMode:
    asked = settings.get("response_mode") or ResponseMode.COMPACT
    try:
        mode = ResponseMode(asked)
    except ValueError:
        names = ", ".join(mode.value for mode in ResponseMode)
        raise CorpusError(f"There is no response mode {asked!r}", f"choose from {names}.") from None
    if mode in _SEVERAL_ANSWERS and settings.get("streaming"):
        raise CorpusError(
            f"{mode.value} asks the model several times and joins the answers, so it cannot stream",
            'leave out streaming=True, or use response_mode="tree_summarize".',
        )
    return mode


class LeanPromptHelper(PromptHelper):
    """LlamaIndex's `PromptHelper`, with the same result, that starts no thread to count tokens."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # LlamaIndex counts the same few texts four times in a row.
        self._token_counter = _TokenCounter(
            lru_cache(16)(kwargs.get("tokenizer") or get_tokenizer())
        )

    @classmethod
    def class_name(cls) -> str:
        """Give the name LlamaIndex stores and logs."""
        return "LeanPromptHelper"

    def repack(
        self,
        prompt: BasePromptTemplate,
        text_chunks: Sequence[str],
        padding: int = DEFAULT_PADDING,
        llm: Any = None,
        tools: Any = None,
    ) -> list[str]:
        """Join the chunks, and split them again if the model's window is too small for them."""
        splitter = self.get_text_splitter_given_prompt(
            prompt, padding=padding, llm=llm, tools=tools
        )
        text = "\n\n".join(chunk.strip() for chunk in text_chunks if chunk.strip())
        # A token stands for at least one byte: no need to count those of a text this short.
        if len(text.encode()) <= splitter.chunk_size:
            return [text]
        return splitter.split_text(text)


class _TokenCounter(TokenCounter):
    def estimate_tokens_in_messages(self, messages: list[ChatMessage]) -> int:
        """Count on the spot: for text, LlamaIndex's coroutine never waits for anything."""
        counting = self.aestimate_tokens_in_messages(messages)
        try:
            counting.send(None)
        except StopIteration as finished:
            return int(finished.value)
        counting.close()
        return super().estimate_tokens_in_messages(messages)


class _SharedPrompt(SelectorPromptTemplate):
    """A default prompt that is filled in without copying its messages, which nobody changes."""

    def partial_format(self, **kwargs: Any) -> "_SharedPrompt":
        def filled(prompt: BasePromptTemplate) -> BasePromptTemplate:
            return prompt.model_copy(update={"kwargs": {**prompt.kwargs, **kwargs}})

        return self.model_copy(
            update={
                "default_template": filled(self.default_template),
                "conditionals": [
                    (when, filled(prompt)) for when, prompt in self.conditionals or ()
                ],
                "kwargs": {**self.kwargs, **kwargs},
            }
        )


_TEXT_QA = _SharedPrompt.model_construct(**dict(DEFAULT_TEXT_QA_PROMPT_SEL))
_REFINE = _SharedPrompt.model_construct(**dict(DEFAULT_REFINE_PROMPT_SEL))
