"""A server for tests, an engine that says what it is told, and a client that reads events."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import AsyncStreamingResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from nbkit.web.server import Server

Event = dict[str, Any]


class Scripted(BaseQueryEngine):
    """A query engine that answers with what `script` yields for the question."""

    def __init__(self, script: Callable[[str], AsyncIterator[str]]) -> None:
        super().__init__(callback_manager=CallbackManager([]))
        self.script = script

    def _get_prompt_modules(self) -> dict[str, Any]:
        return {}

    def _query(self, query_bundle: QueryBundle) -> Any:
        raise NotImplementedError

    async def _aquery(self, query_bundle: QueryBundle) -> Any:
        node = TextNode(text="# The lamp\n\nIt shines.", metadata={"file_name": "lamp.md"})
        return AsyncStreamingResponse(
            self.script(query_bundle.query_str),
            source_nodes=[NodeWithScore(node=node, score=0.5)],
        )


async def echo(question: str) -> AsyncIterator[str]:
    """Say the question back, word by word."""
    for word in question.split(" "):
        yield f"{word} "
        await asyncio.sleep(0)


async def endless(_question: str) -> AsyncIterator[str]:
    """Talk on and on, a word every 2 ms."""
    while True:
        yield "word "
        await asyncio.sleep(0.002)


def parrot() -> SimpleChatEngine:
    """Make a chat engine that repeats the last message, and remembers."""
    return SimpleChatEngine.from_defaults(llm=MockLLM(), memory=ChatMemoryBuffer.from_defaults())


@dataclass
class Reply:
    """A response that is being read as server-sent events."""

    response: httpx.Response
    lines: Iterator[str]
    comments: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Event]:
        event: Event = {}
        for line in self.lines:
            name, _, value = line.partition(": ")
            if line == "" and event:
                yield event
                event = {}
            elif name == "":
                self.comments.append(value)
            elif line:
                event[name] = json.loads(value) if name == "data" else value

    def until(self, name: str) -> Event:
        """Read on to the next event of a name."""
        return next(event for event in self if event["event"] == name)


@contextmanager
def asking(server: Server, path: str = "query", **body: Any) -> Iterator[Reply]:
    """Ask, and give the reply to read; the connection is closed at the end of the block."""
    with httpx.stream(
        "POST",
        f"{server.url}/{path}",
        headers=server.headers,
        json=body,
        timeout=10,
        trust_env=False,
    ) as response:
        yield Reply(response, response.iter_lines())


def answer_to(server: Server, path: str = "query", **body: Any) -> list[Event]:
    """Ask, and read everything; the first event's data has the session, for a chat."""
    with asking(server, path, **body) as reply:
        assert reply.response.status_code == 200, reply.response.read()
        return list(reply)


def text_of(events: list[Event]) -> str:
    """Join what the token events say."""
    return "".join(event["data"]["text"] for event in events if event["event"] == "token")


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Give the status and the sentence of a request that was turned away."""
    response.read()
    return response.status_code, response.json()["detail"]
