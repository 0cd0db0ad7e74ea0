"""What is wrong with a reply that came without an error; LlamaIndex does not report it."""

from nbkit.streaming.errors import AnswerTruncated, NoAnswer
from nbkit.streaming.model_call import ModelCall
from nbkit.wording import count

_LIMIT = (
    "The answer was cut at its token limit",
    "raise `max_tokens` of the model, or ask for a shorter answer.",
)
_FILTER = ("The model's provider cut the answer", "rephrase the question.")
_SERVER = (
    "The model's server could not finish the answer",
    "the partial answer is kept in `.answer`; ask again.",
)
_DONE = (
    *("stop", "stop_sequence", "tool_calls", "tool_call", "tool_use", "function_call"),
    *("end_turn", "eos", "eos_token", "complete", "normal"),
)
_MEANINGS: dict[str, tuple[str, str] | None] = {
    **dict.fromkeys(_DONE),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), _LIMIT),
    **dict.fromkeys(("model_context_window_exceeded", "token_limit", "error_limit"), _LIMIT),
    **dict.fromkeys(("content_filter", "sensitive", "refusal", "error_toxic"), _FILTER),
    **dict.fromkeys(("safety", "recitation", "prohibited_content", "blocklist"), _FILTER),
    **dict.fromkeys(("network_error", "insufficient_system_resource", "error"), _SERVER),
    **dict.fromkeys(("abort", "timeout", "time_limit"), _SERVER),
}
"""Finish reasons documented by OpenAI, Anthropic, Gemini, Mistral, Cohere, DeepSeek, Zhipu, vLLM,
Hugging Face, watsonx and OpenRouter; `None`: a complete answer."""
_LLAMAINDEX_EMPTY = ("Empty Response", "None")
"""What LlamaIndex returns as the answer if the model wrote nothing."""


def fault_of(call: ModelCall, text: str, chunks: int, *, streamed: bool) -> AnswerTruncated | None:
    """The error of a reply that is not a complete answer; `None` for a complete one.

    `streamed`: the text came from a model's stream, even if no event reported its call.
    """
    reason = call.finish_reason
    if reason is not None and (cut := cut_by_model(reason)) is not None:
        return cut
    if call.speaks_openai and reason is None and not call.counted:
        happened = f"The connection closed after {count(chunks, 'chunk')}, before the model said "
        cut = AnswerTruncated(f"{happened}it had finished", _SERVER[1])
        cut.later = True
        return cut
    wrote_nothing = call.speaks_openai and not call.wrote
    empty = not text.strip() or (wrote_nothing and text in _LLAMAINDEX_EMPTY)
    return _no_answer(call) if empty and (streamed or call.requested is not None) else None


def cut_by_model(reason: str) -> AnswerTruncated | None:
    """The error that a finish reason means; `None` if the answer is complete."""
    # Gemini's OpenAI endpoint adds the reason: "content_filter: RECITATION".
    word = reason.lower().partition(":")[0].strip()
    if word not in _MEANINGS:
        return AnswerTruncated(
            f"The model ended with finish reason {reason!r}, so the answer may be incomplete",
            "it is in `.answer`; see the server's documentation for this reason.",
        )
    meaning = _MEANINGS[word]
    if meaning is None:
        return None
    cut = AnswerTruncated(f"{meaning[0]} (finish reason {reason!r})", meaning[1])
    cut.later = meaning is _SERVER
    return cut


def _no_answer(call: ModelCall) -> NoAnswer:
    """The error that says what came instead of an answer."""
    ended = f" (finish reason {call.finish_reason!r})" if call.finish_reason else ""
    if call.refusal:
        happened, advice = f"The model refused to answer: {_excerpt(call.refusal)}", "rephrase it."
    elif call.tools:
        named = ", ".join(f"`{tool}`" for tool in call.tools)
        happened = f"The model called {named} instead of answering"
        advice = "ask an agent instead, which runs the tools that the model calls."
    elif call.thought:
        happened = f"The model thought and then gave no answer{ended}: {_excerpt(call.thought)}"
        advice = "ask again, or ask for less; the complete reasoning is in `.kept`."
    elif ended:
        happened, advice = f"The model gave an empty answer{ended}", "ask again, or rephrase."
    else:
        happened = "The model sent no text"
        advice = "ask again, or ask the model itself (`llm.complete`) to see what it does."
    error = NoAnswer(happened, advice)
    error.kept = call.refusal or call.thought
    return error


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 200 else f"{text[:199]}…")
