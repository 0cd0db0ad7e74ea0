"""Conversations kept by the server: each its own chat engine, bounded in number and in time."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import HTTPException
from llama_index.core.chat_engine.types import BaseChatEngine

from nbkit.streaming.conversation import Conversation, TurnRunning
from nbkit.streaming.stream import TokenStream

PATIENCE = 3.0
"""Seconds a message waits for the one before it, which may still be settling after a stop."""


class Session:
    """One conversation."""

    def __init__(self, conversation: Conversation) -> None:
        self.id = secrets.token_urlsafe(18)
        self.conversation = conversation
        self.lock = asyncio.Lock()
        self.expiry: asyncio.TimerHandle | None = None


class Sessions:
    """The conversations of one server.

    `make` gives a new chat engine. A session ends after `idle` seconds in which nothing was said,
    or when there are `most` others of which something was said later.
    """

    def __init__(self, make: Callable[[], BaseChatEngine], most: int, idle: float) -> None:
        self._make = make
        self._most = most
        self._idle = idle
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    async def find(self, session_id: str | None) -> Session:
        """Give a session by its id, or a new one; HTTP 404 if it has ended."""
        if session_id is None:
            return await self._open()
        session = self._sessions.get(session_id)
        if session is None:
            raise HTTPException(404, "This conversation has ended — begin a new one.")
        self._touch(session)
        return session

    @asynccontextmanager
    async def turn(self, session: Session, message: str) -> AsyncIterator[TokenStream]:
        """Take a turn; HTTP 409 if the one before it does not end soon."""
        try:
            async with asyncio.timeout(PATIENCE):
                await session.lock.acquire()
        except TimeoutError:
            raise _not_yet() from None
        try:
            try:
                tokens = session.conversation.turn(message)
            except TurnRunning:
                raise _not_yet() from None
            yield tokens
        finally:
            session.lock.release()
            self._touch(session)

    def end(self, session_id: str) -> None:
        """Forget a session, if there is such a one."""
        session = self._sessions.pop(session_id, None)
        if session is not None and session.expiry is not None:
            session.expiry.cancel()

    async def _open(self) -> Session:
        session = Session(Conversation(await asyncio.to_thread(self._make)))
        idle = [known for known in self._sessions.values() if not known.lock.locked()]
        if len(self._sessions) >= self._most:
            if not idle:
                raise HTTPException(
                    503, "Too many conversations — ask again later.", {"Retry-After": "2"}
                )
            self.end(idle[0].id)
        self._sessions[session.id] = session
        self._touch(session)
        return session

    def _touch(self, session: Session) -> None:
        """Let it live on, as the last to be given up."""
        if self._sessions.pop(session.id, None) is None:
            return
        self._sessions[session.id] = session
        if session.expiry is not None:
            session.expiry.cancel()
        loop = asyncio.get_running_loop()
        session.expiry = loop.call_later(self._idle, self._expire, session)

    def _expire(self, session: Session) -> None:
        if session.lock.locked():
            self._touch(session)
        else:
            self.end(session.id)


def _not_yet() -> HTTPException:
    return HTTPException(
        409,
        "The answer before is still being written — wait for it, or stop it.",
        {"Retry-After": "2"},
    )
