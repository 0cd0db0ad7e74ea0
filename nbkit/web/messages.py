"""What is asked of the server and what it sends, as JSON: one schema for code and for OpenAPI."""

import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, StringConstraints

from nbkit.streaming.answer import Answer, named_sources
from nbkit.streaming.errors import AnswerTruncated, StreamError
from nbkit.streaming.trace import Trace
from nbkit.wording import whole_characters

MOST_CHARACTERS = 4_000
"""The longest question, in characters."""

# Python's readers of lines, httpx's among them, take these for line ends.
_ESCAPED = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}

Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MOST_CHARACTERS)
]


class Query(BaseModel):
    """A question to the query engine."""

    question: Text
    html: bool = Field(default=False, description="Send each token event as safe HTML as well.")


class Message(BaseModel):
    """One message of a conversation."""

    message: Text
    session: str | None = Field(
        default=None,
        max_length=100,
        description="What X-Session of an earlier answer said; without it a new one begins.",
    )
    html: bool = Field(default=False, description="Send each token event as safe HTML as well.")


class Source(BaseModel):
    """A passage the answer rests on."""

    name: str
    score: float | None
    excerpt: str


class Sources(BaseModel):
    """Event `sources`: sent once, before the first token."""

    sources: list[Source]

    @classmethod
    def of(cls, nodes: list[Any]) -> Self:
        """Give what LlamaIndex retrieved, best first."""
        return cls(sources=[Source(**source._asdict()) for source in named_sources(nodes)])


class Token(BaseModel):
    """Event `token`: what has been added to the answer since the last one."""

    text: str


class RenderedToken(Token):
    """Event `token` with `html`: blocks now finished, and the one being written, to replace.

    Of a very long answer the end comes without HTML.
    """

    finished: list[str]
    open: str


class Timing(BaseModel):
    """How the answer arrived at this server; times in seconds since the question."""

    ttft: float | None = Field(description="Time to first token.")
    end_to_end: float | None = Field(description="Time to the last token.")
    retrieval: float | None = Field(description="Time until the sources were known.")
    chunks: int
    tokens: int | None = Field(description="As the model's server counted them, if it did.")
    model: str | None

    @classmethod
    def read(cls, trace: Trace) -> dict[str, Any]:
        """Give the fields of a trace that are sent."""
        return {name: getattr(trace, name) for name in Timing.model_fields}


class Done(Timing):
    """Event `done`: the answer is whole, or `stopped`; nothing follows."""

    finish_reason: str | None
    stopped: bool

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Give the end of an answer."""
        trace = answer.trace
        return cls(**cls.read(trace), finish_reason=trace.finish_reason, stopped=answer.stopped)


class Failed(Timing):
    """Event `error`: the answer ends here; what was sent of it stands. Nothing follows."""

    message: str
    truncated: bool = Field(description="It ended before it was complete, without an error.")

    @classmethod
    def of(cls, error: StreamError, trace: Trace) -> Self:
        """Give what went wrong; advice told apart is left out, being for whoever writes code."""
        kept = "what had arrived is kept; ask again." if trace.chunks else "ask again."
        return cls(
            **cls.read(trace),
            message=str(error) if error.advice is None else f"{error.happened} — {kept}",
            truncated=isinstance(error, AnswerTruncated),
        )


def as_json(data: BaseModel) -> str:
    """Give an event's data as JSON that stands on one line for every reader."""
    text = json.dumps(data.model_dump(), ensure_ascii=False)
    return whole_characters(text).translate(_ESCAPED)
