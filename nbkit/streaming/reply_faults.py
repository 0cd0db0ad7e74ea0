"""What is wrong with a reply that came without an error; LlamaIndex does not report it."""

from nbkit.language import say, to_say
from nbkit.streaming.errors import AnswerTruncated, NoAnswer
from nbkit.streaming.model_call import ModelCall
from nbkit.wording import count

_LIMIT = (
    to_say("The answer was cut at its token limit"),
    to_say("raise `max_tokens` of the model, or ask for a shorter answer."),
)
_FILTER = (to_say("The model's provider cut the answer"), to_say("rephrase the question."))
_SERVER = (
    to_say("The model's server could not finish the answer"),
    to_say("the partial answer is kept in `.answer`; ask again."),
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
        happened = say(
            "The connection closed after {chunks}, before the model said it had finished",
            chunks=count(chunks, "chunk"),
        )
        cut = AnswerTruncated(happened, say(_SERVER[1]))
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
            say(
                "The model ended with finish reason {reason!r}, so the answer may be incomplete",
                reason=reason,
            ),
            say("it is in `.answer`; see the server's documentation for this reason."),
        )
    meaning = _MEANINGS[word]
    if meaning is None:
        return None
    cut = AnswerTruncated(
        say("{meaning} (finish reason {reason!r})", meaning=say(meaning[0]), reason=reason),
        say(meaning[1]),
    )
    cut.later = meaning is _SERVER
    return cut


def _no_answer(call: ModelCall) -> NoAnswer:
    """The error that says what came instead of an answer."""
    reason = call.finish_reason
    ended = say(" (finish reason {reason!r})", reason=reason) if reason else ""
    if call.refusal:
        happened = say("The model refused to answer: {refusal}", refusal=_excerpt(call.refusal))
        advice = say("rephrase it.")
    elif call.tools:
        named = ", ".join(f"`{tool}`" for tool in call.tools)
        happened = say("The model called {named} instead of answering", named=named)
        advice = say("ask an agent instead, which runs the tools that the model calls.")
    elif call.thought:
        happened = say(
            "The model thought and then gave no answer{ended}: {thought}",
            ended=ended,
            thought=_excerpt(call.thought),
        )
        advice = say("ask again, or ask for less; the complete reasoning is in `.kept`.")
    elif ended:
        happened = say("The model gave an empty answer{ended}", ended=ended)
        advice = say("ask again, or rephrase.")
    else:
        happened = say("The model sent no text")
        advice = say("ask again, or ask the model itself (`llm.complete`) to see what it does.")
    error = NoAnswer(happened, advice)
    error.kept = call.refusal or call.thought
    return error


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 200 else f"{text[:199]}…")
