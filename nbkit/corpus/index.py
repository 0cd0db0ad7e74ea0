"""The index that `load_index` returns: LlamaIndex's, with query engines that need less CPU."""

from collections.abc import Mapping
from typing import Any

from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.llms.utils import LLMType, resolve_llm
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.response_synthesizers.context_only import ContextOnly
from llama_index.core.response_synthesizers.no_text import NoText

from nbkit.corpus.reading import CorpusError
from nbkit.language import say
from nbkit.models.lean import lean_engine

_WITHOUT_LLM = {ResponseMode.NO_TEXT: NoText, ResponseMode.CONTEXT_ONLY: ContextOnly}
_SEVERAL_ANSWERS = (ResponseMode.ACCUMULATE, ResponseMode.COMPACT_ACCUMULATE)


class LeanIndex(VectorStoreIndex):
    """LlamaIndex's vector index; its query engines give the same answers with less CPU."""

    def as_query_engine(self, llm: LLMType | None = None, **kwargs: Any) -> BaseQueryEngine:
        """A query engine; takes the arguments of LlamaIndex's `as_query_engine`.

        Raises CorpusError for an unknown response mode, or one that cannot stream.
        """
        llm = resolve_llm(llm) if llm else Settings.llm
        if kwargs.get("response_synthesizer") is None and (mode := _mode(kwargs)) in _WITHOUT_LLM:
            # LlamaIndex would ignore the LLM here, and need a key for OpenAI's.
            kwargs["response_synthesizer"] = _WITHOUT_LLM[mode](llm=llm)
        return lean_engine(super().as_query_engine(llm=llm, **kwargs), kwargs)


def _mode(settings: Mapping[str, Any]) -> ResponseMode:
    asked = settings.get("response_mode") or ResponseMode.COMPACT
    try:
        mode = ResponseMode(asked)
    except ValueError:
        names = ", ".join(mode.value for mode in ResponseMode)
        raise CorpusError(
            say("There is no response mode {asked!r}", asked=asked),
            say("choose from {names}.", names=names),
        ) from None
    if mode in _SEVERAL_ANSWERS and settings.get("streaming"):
        raise CorpusError(
            say(
                "{mode} asks the model several times and joins the answers, so it cannot stream",
                mode=mode.value,
            ),
            say('leave out streaming=True, or use response_mode="tree_summarize".'),
        )
    return mode
