"""What the server is asked and what it sends, as an OpenAPI document."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from nbkit.web.messages import Done, Failed, RenderedToken, Sources, Token

_PLACE = "#/components/schemas/{model}"
_EVENTS: dict[str, Sequence[type[BaseModel]]] = {
    "sources": [Sources],
    "token": [Token, RenderedToken],
    "done": [Done],
    "error": [Failed],
}


class Refusal(BaseModel):
    """Why a request was turned away."""

    detail: str = Field(description="One sentence: what is wrong, and what to do.")


REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "The token is missing or wrong."},
    403: {"model": Refusal, "description": "Asked by another name, or by another site's page."},
    408: {"model": Refusal, "description": "The request took too long to arrive."},
    413: {"model": Refusal, "description": "The request is too large."},
    422: {"model": Refusal, "description": "The request is not as it should be."},
    503: {"model": Refusal, "description": "No place is free; Retry-After says when to ask again."},
}


def describe(app: FastAPI) -> None:
    """Add to the application's OpenAPI document what each event carries, and the token."""
    document = app.openapi()
    components = document["components"]
    _, defined = models_json_schema(
        [(model, "serialization") for named in _EVENTS.values() for model in named],
        ref_template=_PLACE,
    )
    components["schemas"] |= defined["$defs"]
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    events = {"oneOf": [_event(name, named) for name, named in _EVENTS.items()]}
    for path in document["paths"].values():
        for operation in path.values():
            content = operation["responses"].get("200", {}).get("content", {})
            if "text/event-stream" in content:
                content["text/event-stream"]["itemSchema"] = events


def _event(name: str, models: Sequence[type[BaseModel]]) -> dict[str, Any]:
    shapes = [{"$ref": _PLACE.format(model=model.__name__)} for model in models]
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes},
    }
    return {
        "type": "object",
        "required": ["event", "data", "id"],
        "properties": {"event": {"const": name}, "data": data, "id": {"type": "string"}},
    }
