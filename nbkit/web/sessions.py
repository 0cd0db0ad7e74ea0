"""Conversations kept by the server: each its own chat engine, bounded in number and in time."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import HTTPException
from llama_index.core.chat_engine.types import BaseChatEngine

from nbkit.language import say
from nbkit.streaming.conversation import Conversation, TurnRunning
from nbkit.streaming.stream import TokenStream

WAIT_SECONDS = 3.0
"""Seconds a message waits for the turn before it, which may still be ending after a stop."""


@dataclass
class Session:
    """One conversation."""

    conversation: Conversation
    id: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    last_used: float = 0.0

    async def turn(self, message: str) -> TokenStream:
        """Take a turn; HTTP 409 if the one before it does not end soon."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.conversation.running and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        try:
            return self.conversation.turn(message)
        except TurnRunning:
            raise HTTPException(
                409,
                say("The answer before is still being written — wait for it, or stop it."),
                {"Retry-After": "2"},
            ) from None


class Sessions:
    """The conversations of one server, in the order of their last use.

    `make` gives a new chat engine. A session that is not in a turn is forgotten when it has not
    been used for `idle` seconds, or when there are more than `most`.
    """

    def __init__(self, make: Callable[[], BaseChatEngine], most: int, idle: float) -> None:
        self._make = make
        self._most = most
        self._idle = idle
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    async def find(self, session_id: str | None) -> Session:
        """A session by its id, or a new one; HTTP 404 if it has ended."""
        if session_id is None:
            session = Session(Conversation(await asyncio.to_thread(self._make)))
            self._forget(self._most - 1)
        else:
            self._forget(self._most)
            if session_id not in self._sessions:
                raise HTTPException(404, say("This conversation has ended — begin a new one."))
            session = self._sessions.pop(session_id)
        session.last_used = time.monotonic()
        self._sessions[session.id] = session
        return session

    def end(self, session_id: str) -> None:
        """Forget a session, if there is such a one."""
        self._sessions.pop(session_id, None)

    def _forget(self, most: int) -> None:
        long_ago = time.monotonic() - self._idle
        for session in list(self._sessions.values()):
            too_many = len(self._sessions) > most
            if (too_many or session.last_used < long_ago) and not session.conversation.running:
                self.end(session.id)
