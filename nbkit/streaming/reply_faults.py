"""What is wrong with a reply that came without an error, which LlamaIndex would not say."""

from nbkit.streaming.errors import AnswerTruncated, NoAnswer
from nbkit.streaming.events import Hearing

_LLAMAINDEX_EMPTY = ("Empty Response", "None")
"""What LlamaIndex gives for an answer where the model wrote nothing."""


def fault_of(heard: Hearing, text: str, chunks: int, *, streamed: bool) -> AnswerTruncated | None:
    """Give what makes this reply no whole answer; `None` for a good one.

    `streamed`: the text was read off a model's stream, whether or not its call was heard of.
    """
    reason = heard.finish_reason
    if reason is not None and (cut := AnswerTruncated.by_model(reason)) is not None:
        return cut
    if heard.speaks_openai and reason is None and not heard.counted:
        return AnswerTruncated.by_connection(chunks)
    if heard.speaks_openai and not heard.wrote:
        empty = text in ("", *_LLAMAINDEX_EMPTY)
    else:
        empty = not text.strip()
    if empty and (streamed or heard.requested is not None):
        return NoAnswer.of(
            refusal=heard.refusal, tools=heard.tools, thought=heard.thought, reason=reason
        )
    return None
