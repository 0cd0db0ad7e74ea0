"""From whatever somebody passes as a source to the answer that can be read."""

import asyncio
import inspect
from typing import Any

from nbkit.streaming.agents import is_run
from nbkit.streaming.readers import NeedsLoop, call


async def answer_of(source: Any) -> Any:
    """What a source answers with: a coroutine is awaited, a function called.

    A function without `async` is called in a thread; one that needs the event loop, such as
    `lambda: agent.run(user_msg=question)`, is then called on it.
    """
    answer = source
    if inspect.iscoroutinefunction(answer):
        answer = answer()
    elif callable(answer):
        try:
            answer = await asyncio.to_thread(call, answer)
        except NeedsLoop:
            answer = answer()
    while inspect.isawaitable(answer) and not is_run(answer):
        answer = await answer
    return answer
