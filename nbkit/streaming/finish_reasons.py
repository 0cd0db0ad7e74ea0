"""What a model's finish reason says about its answer."""

from typing import Literal

Ending = Literal["good", "limit", "filter", "passing", "unknown"]

_GOOD = {
    "stop",
    "stop_sequence",
    "tool_calls",
    "tool_call",
    "tool_use",
    "function_call",
    "end_turn",  # Anthropic
    "eos",  # Together
    "eos_token",  # Hugging Face TGI
    "complete",  # Cohere
    "normal",  # Baidu
}
_LIMIT = {
    "length",
    "max_tokens",
    "max_output_tokens",
    "model_length",  # Mistral
    "model_context_window_exceeded",  # Zhipu, Anthropic
    "token_limit",  # watsonx
    "error_limit",  # Cohere
}
_FILTER = {
    "content_filter",
    "sensitive",  # Zhipu
    "refusal",  # Anthropic
    "safety",  # Gemini, as the next three
    "recitation",
    "prohibited_content",
    "blocklist",
    "error_toxic",  # Cohere
}
_PASSING = {
    "network_error",  # Zhipu
    "insufficient_system_resource",  # DeepSeek
    "error",  # OpenRouter, Mistral, vLLM
    "abort",  # vLLM, SGLang
    "timeout",  # Cohere
    "time_limit",  # watsonx
}


def ending(reason: str) -> Ending:
    """Tell what ended an answer, from the server's finish reason in any case of letters.

    "good": the model was done. "limit": at a token limit. "filter": a filter of the provider's.
    "passing": trouble at the server, which may be over when asked again. "unknown": none that
    OpenAI or a server like it documents, so that the answer may not be whole.
    """
    # Gemini's OpenAI endpoint adds why: "content_filter: RECITATION".
    word = reason.lower().partition(":")[0].strip()
    for name, words in _ENDINGS.items():
        if word in words:
            return name
    return "unknown"


_ENDINGS: dict[Ending, set[str]] = {
    "good": _GOOD,
    "limit": _LIMIT,
    "filter": _FILTER,
    "passing": _PASSING,
}
