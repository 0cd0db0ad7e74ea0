"""What is asked of the server, and what it sends: the data of each event.

    sources  sources: name, score and excerpt of each      before the first token; of an agent's
                                                           tools again, all of them
    thinking text                                          what the model thinks, as it comes
    step     number, tool, arguments, agent, state,        an agent's call of a tool begins, or has
             seconds, result                               ended
    token    text; with `html` also finished and open      what has been added to the answer
    done     the timing, finish_reason, stopped            the answer is whole, or stopped
    error    the timing, message, truncated                the answer ends here; what was sent stays

The timing is in seconds since the question: ttft, ttfo (first token that is not a thought),
end_to_end (last token), retrieval (sources known); beside them chunks, tokens (`null` if the
model's server did not count them) and model. `finished` are the HTML blocks finished since the last
event, `open` replaces the block being written.
"""

import json
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from nbkit.language import say
from nbkit.streaming.answer import Answer, named_sources
from nbkit.streaming.errors import AnswerTruncated, StreamError
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.trace import Trace
from nbkit.wording import advised, whole_characters

MAX_CHARACTERS = 4_000
"""The longest question, in characters."""
MAX_RESULT = 2_000
"""Characters of a tool's result that are sent."""
_TIMING = ("ttft", "ttfo", "end_to_end", "retrieval", "chunks", "tokens", "model")
# Python's readers of lines, httpx's among them, take these for line ends.
_ESCAPED = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}

Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_CHARACTERS)
]
AsHtml = Annotated[bool, Field(description="Send each token event as safe HTML as well.")]
Data = dict[str, Any]


class Query(BaseModel):
    """A question to the query engine."""

    question: Text
    html: AsHtml = False


class Message(BaseModel):
    """One message of a conversation."""

    message: Text
    session: str | None = Field(
        default=None,
        max_length=100,
        description="X-Session of an earlier answer; without it a new conversation begins.",
    )
    html: AsHtml = False


def sources(nodes: list[Any]) -> Data:
    """The data of `sources`: what LlamaIndex retrieved, best first."""
    return {"sources": [source._asdict() for source in named_sources(nodes)]}


def step(number: int, one: ToolStep) -> Data:
    """The data of `step`; arguments and result are text, shortened."""
    arguments = {name: whole_characters(str(value)) for name, value in dict(one.arguments).items()}
    result = whole_characters((one.error or one.result or "")[:MAX_RESULT])
    facts = {"number": number, "tool": one.tool, "arguments": arguments, "agent": one.agent}
    return facts | {"state": one.state, "seconds": one.seconds, "result": result}


def done(answer: Answer) -> Data:
    """The data of `done`."""
    ending = {"finish_reason": answer.trace.finish_reason, "stopped": answer.stopped}
    return _timing(answer.trace) | ending


def failed(error: StreamError, trace: Trace) -> Data:
    """The data of `error`; advice for programmers is left out."""
    message = str(error)
    if error.advice is not None:
        kept = say("what had arrived is kept; ask again.") if trace.chunks else say("ask again.")
        message = advised(error.happened, kept)
    return _timing(trace) | {"message": message, "truncated": isinstance(error, AnswerTruncated)}


def _timing(trace: Trace) -> Data:
    return {name: getattr(trace, name) for name in _TIMING}


def as_json(data: Data) -> str:
    """An event's data as JSON that stands on one line for every reader."""
    return whole_characters(json.dumps(data, ensure_ascii=False)).translate(_ESCAPED)
