"""Fills in a JSON schema with what a text says: the arguments of a tool call."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nbkit.simulator.passages import take_apart
from nbkit.simulator.ranking import beyond, rank

Schema = Mapping[str, Any]

_QUOTED = re.compile(r"[\"“「『']([^\"”」』']+)[\"”」』']")
_NAME = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*")
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_CODE = re.compile(r"\b[\w-]*\d[\w-]*\b", re.ASCII)
_WHOLE_QUESTION = re.compile(
    r"quer(?:y|ies)|question|input|text|prompt|message|search|keyword|topic|^q$", re.IGNORECASE
)
_LIST_ITEMS = 3


class Values(Protocol):
    """Where the values come from; `name` and `schema` are those of one field."""

    def texts(self, name: str, schema: Schema) -> Sequence[str]:
        """The texts for a field, best first."""

    def number(self, name: str, schema: Schema) -> float | None:
        """The number for a field, if there is one."""


class FromQuestion:
    """Values from a question: its numbers in their order, its names, or all of it."""

    def __init__(self, question: str, known: str) -> None:
        self._question = question
        self._names = names_in(question, known)
        self._numbers = _numbers(question)

    def texts(self, name: str, schema: Schema) -> Sequence[str]:
        """The next name in the question, or the question itself if the field asks for one."""
        if not self._names or _WHOLE_QUESTION.search(name):
            return [self._question]
        return [self._names.pop(0) if len(self._names) > 1 else self._names[0]]

    def number(self, name: str, schema: Schema) -> float | None:
        """The next number in the question."""
        return self._numbers.pop(0) if self._numbers else None


class FromContext:
    """Values from a longer text: for each field, the sentences nearest in meaning."""

    def __init__(self, context: str) -> None:
        self._paragraphs = take_apart(context)

    def texts(self, name: str, schema: Schema) -> Sequence[str]:
        """The sentences for this field, best first."""
        asked = f"{' '.join(words_in(name))}: {schema.get('description', '')}"
        return [sentence.text for sentence in rank(asked, self._paragraphs)]

    def number(self, name: str, schema: Schema) -> float | None:
        """The first number of the best sentence that has one."""
        found = (number for text in self.texts(name, schema) for number in _numbers(text))
        return next(found, None)


def fill(schema: Schema, source: Values) -> dict[str, Any]:
    """Values for the required fields of an object's schema."""
    filled: dict[str, Any] = _value("", schema, schema, source)
    return filled


def has_the_numbers(schema: Schema, question: str) -> bool:
    """Whether a question has as many numbers as the schema requires."""
    fields = schema.get("properties") or {}
    kinds = [_kind(fields[name]) for name in schema.get("required", ()) if name in fields]
    return sum(kind in ("integer", "number") for kind in kinds) <= len(_numbers(question))


def asks_a_question(schema: Schema) -> bool:
    """Whether a tool takes a question or a search, and so may answer anything."""
    return any(map(_WHOLE_QUESTION.search, schema.get("properties") or ()))


def takes_one_name(schema: Schema) -> bool:
    """Whether a tool takes a single text that is not the whole question, such as a city."""
    fields = schema.get("properties") or {}
    return len(fields) == 1 and all(
        _kind(inner) == "string" and not _WHOLE_QUESTION.search(name)
        for name, inner in fields.items()
    )


def names_in(question: str, known: str) -> list[str]:
    """What a question is about: quoted texts, names, numbers, or its words not in `known`."""
    for pattern in (_QUOTED, _NAME, _CODE):
        if found := pattern.findall(question):
            return found
    rest = beyond(question, known)
    return [rest] if rest else []


def words_in(name: str) -> list[str]:
    """The words of an identifier: `get_weather` and `getWeather` have two."""
    return re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[^\W\d_a-zA-Z]+", name)


def _value(name: str, schema: Schema, root: Schema, source: Values) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    kind = _kind(schema)
    if kind == "object":
        fields = schema.get("properties") or {}
        required = schema.get("required", fields)
        return {f: _value(f, fields[f], root, source) for f in fields if f in required}
    if kind == "array":
        items = _resolved(schema.get("items") or {}, root)
        if _kind(items) == "string" and "enum" not in items:
            return list(source.texts(name, schema)[:_LIST_ITEMS])
        return [_value(name, items, root, source)]
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        number = source.number(name, schema)
        number = schema.get("default", 1) if number is None else number
        return int(number) if kind == "integer" or number == int(number) else number
    texts = source.texts(name, schema) or [""]
    if values := schema.get("enum"):
        said = " ".join(texts).lower()
        return next((value for value in values if str(value).lower() in said), values[0])
    return texts[0]


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema that a reference or an optional field stands for."""
    options = schema.get("allOf") or [
        one for one in schema.get("anyOf") or () if one.get("type") != "null"
    ]
    rest = {k: v for k, v in schema.items() if k not in ("$ref", "anyOf", "allOf")}
    if options:
        return {**_resolved(options[0], root), **rest}
    if "$ref" in schema:
        named = str(schema["$ref"]).rpartition("/")[2]
        return {**(root.get("$defs") or {}).get(named, {}), **rest}
    return schema


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), None)
    return str(kind or ("object" if "properties" in schema else "string"))


def _numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in _NUMBER.findall(text)]
