"""Agents on the simulated model, and the tools they are given in tests."""

import asyncio
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.tools import QueryEngineTool

import nbkit

BOTH = "How long is the warranty, and what is the weather in Oslo?"
PRODUCT = "What is 6 times 7?"


def multiply(a: int, b: int) -> int:
    """Multiply two integers and return the product."""
    return a * b


async def weather(city: str) -> str:
    """The weather in a city today."""
    await asyncio.sleep(0.2)
    return f"It is sunny in {city}."


def handbook() -> QueryEngineTool:
    """A query engine as a tool."""
    engine = nbkit.load_index("en").as_query_engine(llm=nbkit.connect(speed=0))
    about = "Answers questions about the lamp: price, warranty, returns, delivery."
    return QueryEngineTool.from_defaults(engine, name="handbook", description=about)


def agent(kind: Any = FunctionAgent, *tools: Any, **settings: Any) -> Any:
    """Make an agent on the simulated model."""
    llm = nbkit.connect(**{"speed": 0, **settings})
    return kind(tools=list(tools or (handbook(), weather, multiply)), llm=llm)
