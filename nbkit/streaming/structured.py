"""The stream of an object that fills in, as structured output gives it: JSON that grows."""

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel, ValidationError

from nbkit.language import say
from nbkit.streaming.errors import StreamBroken
from nbkit.streaming.events import EventRecord
from nbkit.streaming.readers import Reader


class ObjectReader(Reader):
    """The JSON of an object whose partial forms a generator yields.

    The text is what the model writes, if events say it; otherwise the finished object's JSON, in
    one piece. Afterwards `result` is the validated object.
    """

    def __init__(self, items: Any, record: EventRecord, output_cls: type[BaseModel]) -> None:
        super().__init__(items, from_model=True)
        self._record = record
        self._output_cls = output_cls

    async def __aiter__(self) -> AsyncIterator[str]:
        sent, found = 0, None
        async for item in self._items:
            found = getattr(item, "raw", item)
            written = self._record.call.arguments
            yield written[sent:]
            sent = len(written)
        if found is None:
            return
        several = isinstance(found, list)
        partial = found if several else [found]
        if not sent:
            values = [one.model_dump() for one in partial]
            yield json.dumps(values if several else values[0], default=str, ensure_ascii=False)
        objects = [self._validated(one) for one in partial]
        self.result = objects if several else objects[0]

    def _validated(self, found: BaseModel) -> BaseModel:
        try:
            return self._output_cls.model_validate(found.model_dump())
        except ValidationError as error:
            wrong = error.errors()[0]
            field = ".".join(map(str, wrong["loc"]))
            raise StreamBroken(
                say(
                    "The model's {kind} is not valid: {field}: {msg}",
                    kind=self._output_cls.__name__,
                    field=field,
                    msg=wrong["msg"],
                ),
                say(
                    "what it wrote is in `.answer`; describe the field better, or make it optional."
                ),
            ) from error


def object_in(result: Any) -> Any:
    """The object in what a source gave at its end: itself, or an agent's structured response."""
    structured = getattr(result, "structured_response", None)
    is_object = isinstance(result, BaseModel) and not hasattr(result, "structured_response")
    return result if is_object or isinstance(result, list) else structured


def output_class(answer: Any) -> type[BaseModel] | None:
    """The class of the objects that a structured LLM or `astream_structured_predict` gives.

    It is found in the program or model that the generator belongs to; `None` for other answers.
    """
    waiting, seen = [answer], 0
    while waiting and seen < 10:
        seen += 1
        frame = getattr(waiting.pop(), "ag_frame", None)
        held = dict(frame.f_locals) if frame is not None else {}
        for value in [SimpleNamespace(**held), *held.values()]:
            wanted = getattr(value, "output_cls", None)
            if isinstance(wanted, type) and issubclass(wanted, BaseModel):
                return wanted
            if hasattr(value, "ag_frame"):
                waiting.append(value)
    return None
