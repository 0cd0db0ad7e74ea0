"""What real servers send when they refuse a request, as their manuals and users report it."""

import json
from typing import Any


def error(message: str, **more: Any) -> dict[str, Any]:
    """Give an error in OpenAI's shape."""
    return {"error": {"message": message, **more}}


def gemini(*quotas: str, wait: str = "34s") -> list[dict[str, Any]]:
    """Give what Gemini's OpenAI endpoint says of a quota: a list, with details."""
    violations = [{"quotaId": quota} for quota in quotas]
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait},
    ]
    message = "You exceeded your current quota, please check your plan and billing details."
    return [error(message, code=429, status="RESOURCE_EXHAUSTED", details=details)]


SPENT = "no credit left"
SHORTER = "send less"
BUSY = "wait a moment"
# HTTP status, body, how the message begins, what it advises, whether asking again can help.
CASES: dict[str, tuple[int, Any, str, str, bool]] = {
    # --- OpenAI
    "quota": (
        429,
        error("You exceeded your current quota.", type="insufficient_quota", code=None),
        "You exceeded your current quota (HTTP 429)",
        SPENT,
        False,
    ),
    "rate": (
        429,
        error(
            "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000. You can increase "
            "your rate limit by adding a payment method at /account/billing.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        "Rate limit reached for gpt-4o",
        BUSY,
        True,
    ),
    "rate a day": (
        429,
        error("Rate limit reached for gpt-4o on requests per day (RPD): Limit 200, Used 200."),
        "Rate limit reached for gpt-4o",
        "ask again tomorrow",
        False,
    ),
    "too large for the rate": (
        429,
        error("Request too large for gpt-4o on tokens per min: Limit 30000, Requested 50000."),
        "Request too large for gpt-4o",
        SHORTER,
        False,
    ),
    "context": (
        400,
        error(
            "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"
        ),
        "This model's maximum context length is 8192 tokens",
        SHORTER,
        False,
    ),
    "temperature": (
        400,
        error(
            "Unsupported value: 'temperature' does not support 0.1 with this model.",
            code="unsupported_value",
        ),
        "Unsupported value: 'temperature'",
        "leave this setting out",
        False,
    ),
    "country": (
        403,
        error(
            "Country, region, or territory not supported",
            code="unsupported_country_region_territory",
        ),
        "Country, region, or territory not supported",
        "and from where",
        False,
    ),
    "key": (
        401,
        error("Incorrect API key provided: sk-proj-abcdefgh1234.", code="invalid_api_key"),
        "Incorrect API key provided: … (HTTP 401)",
        "check the API key",
        False,
    ),
    "no such model": (
        404,
        error("The model `gpt-9` does not exist.", code="model_not_found"),
        "The model `gpt-9` does not exist",
        "`model=`",
        False,
    ),
    "server": (500, error("The server had an error."), "The server had an error", "ask", True),
    "overloaded": (503, error("The engine is overloaded."), "The engine is overl", BUSY, True),
    # --- Azure
    "Azure's filter": (
        400,
        error("The response was filtered due to Azure's content policy", code="content_filter"),
        "The response was filtered",
        "rephrase",
        False,
    ),
    "Azure's rate": (
        429,
        error(
            "Requests have exceeded token rate limit. Please retry after 26 seconds.", code="429"
        ),
        "Requests have exceeded token rate limit",
        BUSY,
        True,
    ),
    # --- DeepSeek, Moonshot, Zhipu, DashScope
    "DeepSeek's balance": (
        402,
        error("Insufficient Balance"),
        "Insufficient Balance",
        SPENT,
        False,
    ),
    "Moonshot's quota": (
        429,
        error(
            "Your account is suspended, please recharge your account or check your plan",
            type="exceeded_current_quota_error",
        ),
        "Your account is suspended",
        SPENT,
        False,
    ),
    "Moonshot's rate": (
        429,
        error(
            "request reached max request: 3, please try again after 1 seconds", type="rate_limit"
        ),
        "request reached max request: 3",
        BUSY,
        True,
    ),
    "Moonshot's load": (
        429,
        error("The engine is currently overloaded", type="engine_overloaded_error"),
        "The engine is currently overloaded",
        BUSY,
        True,
    ),
    "Zhipu's balance": (
        429,
        error("您的账户已欠费，请充值后重试", code="1113"),
        "您的",
        SPENT,
        False,
    ),
    "Zhipu's rate": (429, error("您当前使用该API的并发数过高", code="1302"), "您当前", BUSY, True),
    "Zhipu's filter": (400, error("包含敏感内容", code="1301"), "包含", "rephrase", False),
    "DashScope's arrears": (
        400,
        {"code": "Arrearage", "message": "Access denied, your account is not in good standing."},
        "Access denied",
        SPENT,
        False,
    ),
    "DashScope's filter": (
        400,
        error("Input data may contain bad content.", code="data_inspection_failed"),
        "Input data may contain bad content",
        "rephrase",
        False,
    ),
    "DashScope's length": (
        400,
        error("Range of input length should be [1, 30720]", code="invalid_parameter_error"),
        "Range of input length",
        SHORTER,
        False,
    ),
    # --- Gemini
    "Gemini's minute": (429, gemini("GenerateRequestsPerMinute"), "You exceeded", BUSY, True),
    "Gemini's day": (
        429,
        gemini("GenerateRequestsPerMinute", "GenerateRequestsPerDayPerProject"),
        "You exceeded your current quota",
        "tomorrow",
        False,
    ),
    "Gemini's minute, within a gateway's": (
        429,
        error(json.dumps(gemini("GenerateRequestsPerMinute")[0]), code=429),
        "You exceeded your current quota",
        BUSY,
        True,
    ),
    "Gemini's key": (
        400,
        [error("API key not valid. Please pass a valid API key.", code=400)],
        "API key not valid",
        "check the API key",
        False,
    ),
    # --- Anthropic
    "Anthropic's load": (
        529,
        {"type": "error", **error("Overloaded", type="overloaded_error")},
        "Overloaded (HTTP 529)",
        BUSY,
        True,
    ),
    "Anthropic's credit": (
        400,
        error("Your credit balance is too low to access the Anthropic API."),
        "Your credit balance is too low",
        SPENT,
        False,
    ),
    "Anthropic's length": (
        400,
        error("prompt is too long: 210000 tokens > 200000 maximum"),
        "prompt is too long",
        SHORTER,
        False,
    ),
    # --- servers of one's own
    "vLLM's length": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you asked.",
            "code": 400,
        },
        "This model's maximum context length is 4096",
        SHORTER,
        False,
    ),
    "vLLM's field": (
        422,
        {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]},
        "stream_options: Extra inputs are not permitted",
        "leave this setting out",
        False,
    ),
    "llama.cpp loads": (
        503,
        error("Loading model", type="unavailable_error", code=503),
        "Loading model",
        BUSY,
        True,
    ),
    "llama.cpp's length": (
        400,
        error("the request exceeds the available context size", type="exceed_context_size_error"),
        "the request exceeds the available context size",
        SHORTER,
        False,
    ),
    "Ollama's memory": (
        500,
        error("model requires more system memory (8.4 GiB) than is available (5.6 GiB)"),
        "model requires more system memory",
        "smaller model",
        False,
    ),
    "Ollama's model": (
        404,
        error('model "llama9" not found, try pulling it first'),
        'model "llama9" not found',
        "`model=`",
        False,
    ),
    "LM Studio has no model": (
        404,
        {"error": "No models loaded. Please load a model in the developer page"},
        "No models loaded",
        "`model=`",
        False,
    ),
    "LiteLLM's wrapping": (
        429,
        error("litellm.RateLimitError: RateLimitError: OpenAIException - Slow down", code="429"),
        "Slow down (HTTP 429)",
        BUSY,
        True,
    ),
    "OpenRouter's wrapping": (
        502,
        error("Provider returned error", code=502, metadata={"raw": "upstream died"}),
        "upstream died",
        "ask again",
        True,
    ),
    # --- whatever stands between
    "FastAPI's 404": (404, {"detail": "Not Found"}, "Not Found", "ends in /v1", False),
    "nginx's 413": (
        413,
        "<html><head><title>413 Request Entity Too Large</title></head></html>",
        "413 Request Entity Too Large",
        SHORTER,
        False,
    ),
    "nginx's 502": (
        502,
        "<html><head><title>502 Bad Gateway</title></head></html>",
        "502 Bad Gateway",
        "ask again",
        True,
    ),
    "nginx's 504": (504, "", "The model's server failed (HTTP 504)", "raise `timeout`", True),
    "nothing said": (418, "", "The server refused the request (HTTP 418)", "change the req", False),
    "not for this account": (403, error("Forbidden."), "Forbidden", "account of this key", False),
}
