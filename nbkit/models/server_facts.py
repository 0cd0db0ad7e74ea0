"""What a server tells of its models: their names, and how much each can read."""

import re
from collections.abc import Mapping
from typing import Any

from nbkit.errors import ConnectError
from nbkit.models.errors import ModelChoiceError, NoServerError
from nbkit.models.http import httpx, sync_client
from nbkit.wording import shown_address

PATIENCE = 10.0
"""Seconds to wait for the list of models, without which there is no model to use."""
SHORT = 2.0
"""Seconds to wait for what can be done without."""

# What vLLM and SGLang, LM Studio (twice), Groq, and Ollama, OpenRouter and Together call it.
_WINDOW_NAMES = (
    "max_model_len",
    "loaded_context_length",
    "max_context_length",
    "context_window",
    "context_length",
)


class ServerFacts:
    """Asks one server about its models. Raises ConnectError for a proxy that cannot be used."""

    def __init__(self, base_url: str, api_key: str, headers: Mapping[str, str] | None) -> None:
        self._base_url = base_url
        self._client = sync_client(base_url, "start the server, or check host and port.")
        self._client.headers.update({"Authorization": f"Bearer {api_key}", **(headers or {})})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def only_model(self) -> str:
        """The name of its only model.

        Raises NoServerError, ModelChoiceError when there are several, or ConnectError when the
        key is refused.
        """
        base_url = shown_address(self._base_url)
        try:
            response = self._client.get(f"{self._base_url}/models", timeout=PATIENCE)
        except NoServerError:
            raise
        except httpx.HTTPError as error:
            raise NoServerError(
                f"Nobody answers at {base_url} ({type(error).__name__})",
                "start the server, or check host and port.",
            ) from None
        if response.status_code == 404 and not base_url.endswith("/v1"):
            raise NoServerError(
                f"{base_url} has no /models",
                f'such addresses usually end in /v1: connect("{base_url}/v1").',
            )
        if response.status_code in (401, 403):
            raise ConnectError(
                f"{base_url} wants another API key",
                'set NBKIT_API_KEY to it, or OPENAI_API_KEY with connect("openai").',
            )
        rows = _rows(_json(response))
        if rows is None:
            raise NoServerError(
                f"{base_url}/models answered {response.status_code} with no list of models",
                "is it an OpenAI-compatible server? If so, give model=.",
            )
        names = [str(row["id"]) for row in rows if row.get("id")]
        if len(names) != 1:
            have = f"offers {', '.join(names)}" if names else "offers no model"
            raise ModelChoiceError(f"{base_url} {have}", "say which with model=.")
        return names[0]

    def context_window(self, model: str) -> int | None:
        """How many tokens a model can read and write together, if the server tells.

        Asks vLLM, SGLang, LM Studio, Ollama, llama.cpp and hosts that say it in their list of
        models. A server that does not answer at all is asked once only.
        """
        root = re.sub(r"/v\d+$", "", self._base_url)
        try:
            row = _row(self._get(f"{self._base_url}/models"), model)
            return (
                _window(row)
                or _llama_cpp(self._get(f"{root}/props"))
                or _window(_row(self._get(f"{root}/api/v0/models"), model))
                or self._ollama(root, model)
                or _count(_meta(row).get("n_ctx_train"))
            )
        except (NoServerError, httpx.HTTPError):
            return None

    def _ollama(self, root: str, model: str) -> int | None:
        shown = _json(self._client.post(f"{root}/api/show", json={"model": model}, timeout=SHORT))
        if not isinstance(shown, dict):
            return None
        # What it runs with counts; what the model was made for may be much more.
        set_to = re.search(r"^\s*num_ctx\s+(\d+)", str(shown.get("parameters") or ""), re.MULTILINE)
        if set_to:
            return int(set_to[1])
        running = self._get(f"{root}/api/ps")
        rows = running.get("models") if isinstance(running, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and model in (row.get("name"), row.get("model")):
                return _window(row)
        known = shown.get("model_info")
        for name, value in known.items() if isinstance(known, dict) else ():
            if str(name).endswith(".context_length"):
                return _count(value)
        return None

    def _get(self, url: str) -> Any:
        return _json(self._client.get(url, timeout=SHORT))


def _json(response: httpx.Response) -> Any:
    if response.is_error:
        return None
    try:
        return response.json()
    except ValueError:
        return None


def _rows(found: Any) -> list[dict[str, Any]] | None:
    rows = found.get("data") if isinstance(found, dict) else None
    good = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    return rows if good else None


def _row(found: Any, model: str) -> dict[str, Any]:
    return next((row for row in _rows(found) or () if row.get("id") == model), {})


def _window(row: Mapping[str, Any]) -> int | None:
    return next((count for name in _WINDOW_NAMES if (count := _count(row.get(name)))), None)


def _meta(row: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = row.get("meta")
    return meta if isinstance(meta, dict) else {}


def _llama_cpp(props: Any) -> int | None:
    """How much fits into one slot, which may be less than the model was trained for."""
    set_to = props.get("default_generation_settings") if isinstance(props, dict) else None
    return _count(set_to.get("n_ctx")) if isinstance(set_to, dict) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
