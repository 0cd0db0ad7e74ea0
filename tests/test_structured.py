"""Structured output as a stream: JSON that grows, and the object at its end."""

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel, Field

import nbkit
from nbkit.displays.final_output import settled
from nbkit.streaming.errors import StreamBroken

TEXT = "The bike costs 850 euros. It comes in red and blue. It has 21 gears & a bell."


class Bike(BaseModel):
    """A bicycle."""

    price: float = Field(description="price in euros")
    colours: str = Field(description="colours it comes in")


class Small(Bike):
    """A bicycle that cannot be this dear."""

    price: float = Field(description="price in euros", lt=100)


def _ask(kind: type[BaseModel], way: str, llm: Any = None) -> Any:
    llm = llm or nbkit.connect(speed=0)
    if way == "predict":
        return llm.astream_structured_predict(kind, PromptTemplate("{text}"), text=TEXT)
    message = ChatMessage(role="user", content=TEXT)
    return llm.as_structured_llm(kind).astream_chat([message])


@pytest.mark.parametrize("way", ["predict", "structured llm"])
async def test_the_json_grows_and_the_object_is_valid(way: str) -> None:
    """The text is the JSON as the model writes it; `object` is of the class that was asked for."""
    stream = nbkit.stream(_ask(Bike, way))
    chunks = [chunk async for chunk in stream]
    assert stream.answer is not None
    assert len(chunks) > 5
    assert "".join(chunks) == stream.answer.text
    assert Bike.model_validate_json(stream.answer.text) == stream.answer.object
    assert stream.answer.object.price == 850


@pytest.mark.parametrize("way", ["predict", "structured llm"])
async def test_an_object_that_is_not_valid_names_the_field(way: str) -> None:
    """The error says which field is wrong, and keeps what the model wrote."""
    with pytest.raises(StreamBroken, match="price: Input should be less than 100") as raised:
        await nbkit.stream(_ask(Small, way))
    assert '"price": 850' in raised.value.answer.text
    assert raised.value.answer.object is None


async def test_it_settles_as_a_table() -> None:
    """The settled output is a table of fields, in which nothing of the model runs."""
    answer = await nbkit.stream(_ask(Bike, "predict"))
    html = settled(answer)["text/html"]
    assert '<th scope="row"' in html
    assert "850.0</td>" in html
    answer.object.colours = "<script>"
    assert "<script>" not in settled(answer)["text/html"]
