"""Which model of a server is meant: its only one, or the one with a name that it knows."""

import warnings
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from nbkit.language import say
from nbkit.models.errors import ModelChoiceError, NoServerError, RefusedKeyError
from nbkit.models.http import httpx
from nbkit.models.keys import ways_to_give
from nbkit.wording import shown_address, some

LIST_SECONDS = 10.0
"""The timeout for the list of models, which is needed to choose one."""
CHECK_SECONDS = 2.0
"""The timeout for the same list if the name is given, so that it is only checked."""
_SHOWN = 10
_TAKE_ANY = ("llamacpp", "llama-swap")
"""`owned_by` of servers that answer to names which are not in their list."""


class ServedModel(NamedTuple):
    """A model of a server."""

    name: str
    row: Any
    """What the server's list says about it; `None` if it is not there."""

    @property
    def listed_as(self) -> str:
        """Its name in the list, such as "llama3:latest" for "llama3"."""
        return self.row["id"] if self.row else self.name


def only_model(client: httpx.Client, base_url: str) -> ServedModel:
    """A server's only model.

    Raises NoServerError, ModelChoiceError unless there is exactly one, or RefusedKeyError.
    """
    shown = shown_address(base_url)
    try:
        response = client.get(f"{base_url}/models", timeout=LIST_SECONDS)
    except httpx.HTTPError as error:
        raise NoServerError(
            say("Nobody answers at {shown} ({kind})", shown=shown, kind=type(error).__name__),
            say("start the server, or check host and port."),
        ) from None
    if response.status_code == 404 and not shown.endswith("/v1"):
        raise NoServerError(
            say("{shown} has no /models", shown=shown),
            say('such addresses usually end in /v1: connect("{shown}/v1").', shown=shown),
        )
    if response.status_code in (401, 403):
        raise _refused(shown)
    rows = _rows(response)
    if rows is None:
        raise NoServerError(
            say(
                "{shown}/models answered {status_code} without a list of models",
                shown=shown,
                status_code=response.status_code,
            ),
            say("is it an OpenAI-compatible server? If so, give model=."),
        )
    if len(rows) != 1:
        names = [row["id"] for row in rows]
        happened = say("{shown} offers no model", shown=shown)
        if names:
            happened = say("{shown} offers {names}", shown=shown, names=some(names, _SHOWN))
        raise ModelChoiceError(happened, say("say which with model=."))
    return ServedModel(rows[0]["id"], rows[0])


def named_model(
    client: httpx.Client, base_url: str, name: str, *, key_is_sure: bool
) -> ServedModel | None:
    """The model with this name; `None` if nobody answers.

    Raises ModelChoiceError, with the most similar names, if the server does not list it. Not
    refused: a server without a list, one with names that stand for many ("*"), and servers known
    to answer to other names. A server on https:// may be a provider whose list is not complete, so
    it only leads to a warning. Raises RefusedKeyError if the key is refused and `key_is_sure`.
    """
    shown = shown_address(base_url)
    try:
        response = client.get(f"{base_url}/models", timeout=CHECK_SECONDS)
    except (NoServerError, httpx.HTTPError):
        return None
    if response.status_code == 401 and key_is_sure:
        raise _refused(shown)
    rows = _rows(response) or []
    row = next((row for row in rows if _is_named(row, name)), None)
    if row is None and rows and not _takes_others(response, rows):
        names = [row["id"] for row in rows]
        names.sort(key=lambda listed: -_likeness(name, listed))
        happened = say(
            "{shown} does not list a model {name!r}; it offers {names}",
            shown=shown,
            name=name,
            names=some(names, _SHOWN),
        )
        if not base_url.startswith("https://"):
            raise ModelChoiceError(
                happened,
                say(
                    "choose one with model=; if the server knows yours all the same, give its "
                    "context_window=, too, and the list is not read."
                ),
            )
        warnings.warn(
            say("{happened} — if yours is refused, choose one of these.", happened=happened),
            stacklevel=2,
        )
    return ServedModel(name, row)


def _refused(shown: str) -> RefusedKeyError:
    where = say('NBKIT_API_KEY, or OPENAI_API_KEY with connect("openai"),')
    return RefusedKeyError(
        say("{shown} needs an API key, or refused the one it got", shown=shown),
        say("{advice}.", advice=ways_to_give(where)),
    )


def _rows(response: httpx.Response) -> list[dict[str, Any]] | None:
    """The rows of the list that have a name; `None` if this is not a list of models."""
    try:
        found = None if response.is_error else response.json()
    except ValueError:
        return None
    rows = found.get("data") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        return None
    return [
        {**row, "id": str(row["id"])} for row in rows if isinstance(row, dict) and row.get("id")
    ]


def _is_named(row: dict[str, Any], name: str) -> bool:
    aliases = row.get("aliases")
    known = {row["id"], row.get("name"), *(aliases if isinstance(aliases, list) else ())}
    # Ollama's "llama3" is "llama3:latest", Gemini's "gemini" is "models/gemini".
    meant = {name, f"{name}:latest", f"models/{name}", name.removeprefix("models/")}
    # In OpenRouter's "gpt:online", the part after the colon is a variant of "gpt".
    return bool(known & meant) or row["id"] == name.rpartition(":")[0]


def _takes_others(response: httpx.Response, rows: list[dict[str, Any]]) -> bool:
    """Whether the server may know names that are not in its list."""
    return (
        "x-litellm-version" in response.headers  # its aliases may be hidden
        or response.json().get("has_more") is True
        or any("*" in row["id"] or row.get("owned_by") in _TAKE_ANY for row in rows)
    )


def _likeness(name: str, listed: str) -> float:
    return SequenceMatcher(None, name.lower(), listed.lower()).ratio()
