"""What is wrong with a reply that came without an error; LlamaIndex would not say it."""

from nbkit.streaming.errors import AnswerTruncated, NoAnswer
from nbkit.streaming.events import Hearing
from nbkit.wording import count

_GOOD = {
    *("stop", "stop_sequence", "tool_calls", "tool_call", "tool_use", "function_call"),
    "end_turn",  # Anthropic
    "eos",  # Together
    "eos_token",  # Hugging Face TGI
    "complete",  # Cohere
    "normal",  # Baidu
}
_LIMIT = {
    *("length", "max_tokens", "max_output_tokens"),
    "model_length",  # Mistral
    "model_context_window_exceeded",  # Zhipu, Anthropic
    "token_limit",  # watsonx
    "error_limit",  # Cohere
}
_FILTER = {
    "content_filter",
    "sensitive",  # Zhipu
    "refusal",  # Anthropic
    *("safety", "recitation", "prohibited_content", "blocklist"),  # Gemini
    "error_toxic",  # Cohere
}
_SERVER_TROUBLE = {
    "network_error",  # Zhipu
    "insufficient_system_resource",  # DeepSeek
    "error",  # OpenRouter, Mistral, vLLM
    "abort",  # vLLM, SGLang
    "timeout",  # Cohere
    "time_limit",  # watsonx
}
_LLAMAINDEX_EMPTY = ("", "Empty Response", "None")
"""What LlamaIndex gives for an answer where the model wrote nothing."""


def fault_of(heard: Hearing, text: str, chunks: int, *, streamed: bool) -> AnswerTruncated | None:
    """Return the error of a reply that is no whole answer; `None` for a good one.

    `streamed`: the text was read off a model's stream, whether or not its call was observed.
    """
    reason = heard.finish_reason
    if reason is not None and (cut := cut_by_model(reason)) is not None:
        return cut
    if heard.speaks_openai and reason is None and not heard.counted:
        cut = AnswerTruncated(
            f"The connection closed after {count(chunks, 'chunk')}, before the model said it had "
            "finished",
            "the partial answer is kept in `.answer`; ask again.",
        )
        cut.later = True
        return cut
    if heard.speaks_openai and not heard.wrote:
        empty = text in _LLAMAINDEX_EMPTY
    else:
        empty = not text.strip()
    return _no_answer(heard) if empty and (streamed or heard.requested is not None) else None


def cut_by_model(reason: str) -> AnswerTruncated | None:
    """Return the error that a finish reason stands for; `None` if the model was done.

    Known are the reasons, in any case of letters, that OpenAI and servers like it document.
    """
    # Gemini's OpenAI endpoint adds why: "content_filter: RECITATION".
    word = reason.lower().partition(":")[0].strip()
    if word in _GOOD:
        return None
    if word in _LIMIT:
        return AnswerTruncated(
            f"The answer was cut at its token limit (finish reason {reason!r})",
            "raise `max_tokens` of the model, or ask for a shorter answer.",
        )
    if word in _FILTER:
        return AnswerTruncated(
            f"The model's provider cut the answer (finish reason {reason!r})",
            "rephrase the question.",
        )
    if word in _SERVER_TROUBLE:
        cut = AnswerTruncated(
            f"The model's server could not finish the answer (finish reason {reason!r})",
            "the partial answer is kept in `.answer`; ask again.",
        )
        cut.later = True
        return cut
    return AnswerTruncated(
        f"The model ended with finish reason {reason!r}, so the answer may not be whole",
        "it is kept in `.answer`; the server's manual says what this reason means.",
    )


def _no_answer(heard: Hearing) -> NoAnswer:
    """Say what there was in place of an answer."""
    ended = f" (finish reason {heard.finish_reason!r})" if heard.finish_reason else ""
    if heard.refusal:
        error = NoAnswer(f"The model refused to answer: {_excerpt(heard.refusal)}", "rephrase it.")
    elif heard.tools:
        error = NoAnswer(
            f"The model called {', '.join(f'`{tool}`' for tool in heard.tools)} instead of "
            "answering",
            "give the question to an agent, which runs the tools of a model.",
        )
    elif heard.thought:
        error = NoAnswer(
            f"The model thought and then gave no answer{ended}: {_excerpt(heard.thought)}",
            "ask again, or for less at once; the whole thought is in `.kept`.",
        )
    elif ended:
        error = NoAnswer(f"The model gave an empty answer{ended}", "ask again, or rephrase.")
    else:
        error = NoAnswer(
            "The model sent no text",
            "ask again, or ask the model itself (`llm.complete`) to see what it does.",
        )
    error.kept = heard.refusal or heard.thought
    return error


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 200 else f"{text[:199]}…")
