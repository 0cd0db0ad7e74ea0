"""What a server says about the context window of its models."""

import re
from typing import Any

from nbkit.models.errors import NoServerError
from nbkit.models.http import httpx
from nbkit.models.model_names import ServedModel

WINDOW_SECONDS = 2.0
"""The timeout for each question about the context window, which has a default."""

# The names in vLLM and SGLang, LM Studio (two), Groq, and Ollama, OpenRouter and Together.
_WINDOW_NAMES = (
    "max_model_len",
    "loaded_context_length",
    "max_context_length",
    "context_window",
    "context_length",
)


def context_window(client: httpx.Client, base_url: str, served: ServedModel) -> int | None:
    """The context window of a model (tokens read and written together); `None` if unknown.

    Works with vLLM, SGLang, LM Studio, Ollama, llama.cpp, and servers that give it in their list
    of models.
    """
    model, row = served.listed_as, served.row
    root = re.sub(r"/v\d+$", "", base_url)

    def found(url: str) -> Any:
        return _json(client.get(url, timeout=WINDOW_SECONDS))

    def of_ollama() -> int | None:
        """The window it is set to or runs with; this may be much less than its maximum."""
        url, asked = f"{root}/api/show", {"model": model}
        shown = _json(client.post(url, json=asked, timeout=WINDOW_SECONDS))
        if shown is None:
            return None
        set_to = re.search(r"^\s*num_ctx\s+(\d+)", str(_at(shown, "parameters")), re.MULTILINE)
        if set_to:
            return int(set_to[1])
        info = _at(shown, "model_info")
        values = info.items() if isinstance(info, dict) else ()
        made_for = (value for name, value in values if name.endswith(".context_length"))
        running = _row(found(f"{root}/api/ps"), "models", model)
        return _window(running) or _tokens(next(made_for, None))

    try:
        # llama.cpp: a slot may be smaller than the window the model was trained with.
        slot = ("default_generation_settings", "n_ctx")
        return (
            _window(row)
            or _tokens(_at(found(f"{root}/props"), *slot))
            or _window(_row(found(f"{root}/api/v0/models"), "data", model))
            or of_ollama()
            or _tokens(_at(row, "meta", "n_ctx_train"))
        )
    except (NoServerError, httpx.HTTPError):
        return None


def _json(response: httpx.Response) -> Any:
    try:
        return None if response.is_error else response.json()
    except ValueError:
        return None


def _at(found: Any, *names: str) -> Any:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _row(found: Any, rows: str, model: str) -> Any:
    listed = _at(found, rows)
    for row in listed if isinstance(listed, list) else ():
        if model in (_at(row, "id"), _at(row, "name"), _at(row, "model")):
            return row
    return None


def _window(row: Any) -> int | None:
    return next((found for name in _WINDOW_NAMES if (found := _tokens(_at(row, name)))), None)


def _tokens(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
