"""The web application: a question goes in by POST, the answer comes out as server-sent events."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.chat_engine.types import BaseChatEngine

from nbkit.language import say
from nbkit.streaming.agents import run_of
from nbkit.streaming.stream import stream
from nbkit.web.answering import Answers, ServerSentEvents
from nbkit.web.messages import Message, Query
from nbkit.web.page import page
from nbkit.web.sessions import Sessions
from nbkit.wording import whole_characters

MAX_SESSIONS = 100
IDLE_SECONDS = 1800.0
"""Seconds after which an unused conversation is forgotten."""
ANSWER_SECONDS = 300.0
"""Seconds after which an answer is stopped that is still being written."""

ChatFactory = Callable[[], BaseChatEngine]


def create_app(
    engine: BaseQueryEngine | None, chat: ChatFactory | None, *, max_concurrency: int
) -> FastAPI:
    """The application, to be run behind a `Guard`; `app.state.answers` holds what streams."""
    # FastAPI's pages of documentation load their scripts from another site.
    app = FastAPI(title="nbkit", description=__doc__, docs_url=None, redoc_url=None)
    answers = app.state.answers = Answers(max_concurrency, ANSWER_SECONDS)
    html, policy = page([mode for mode, it in (("query", engine), ("chat", chat)) if it])

    @app.get("/", include_in_schema=False)
    async def show_page() -> Response:
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
        return Response(html, media_type="text/html", headers=headers)

    @app.delete("/answers/{answer}", status_code=204)
    async def stop(answer: str) -> None:
        """Stop an answer, by its X-Answer: for readers whose leaving a proxy hides."""
        answers.stop(answer)

    if engine is not None:
        _add_query(app, answers, engine)
    if chat is not None:
        app.state.sessions = Sessions(chat, MAX_SESSIONS, IDLE_SECONDS)
        _add_chat(app, answers, app.state.sessions)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(Exception, _server_failed)
    return app


def _add_query(app: FastAPI, answers: Answers, engine: BaseQueryEngine) -> None:
    # FastAPI closes what a dependency has opened when the client leaves.
    async def answer(query: Query, response: Response) -> AsyncIterator[ServerSentEvents]:
        async def ask() -> Any:  # a coroutine made here and never awaited would warn
            run = run_of(engine)
            return run(query.question) if run else await engine.aquery(query.question)

        with answers.place():
            async with answers.events(stream(ask), response, html=query.html) as events:
                yield events

    @app.post("/query", response_class=EventSourceResponse)
    async def ask(
        events: Annotated[ServerSentEvents, Depends(answer)],
    ) -> AsyncIterable[ServerSentEvent]:
        """Ask one question; it is not remembered."""
        async for event in events:
            yield event


def _add_chat(app: FastAPI, answers: Answers, sessions: Sessions) -> None:
    async def answer(message: Message, response: Response) -> AsyncIterator[ServerSentEvents]:
        with answers.place():
            session = await sessions.find(message.session)
            response.headers["X-Session"] = session.id
            tokens = await session.turn(message.message)
            async with answers.events(tokens, response, html=message.html) as events:
                yield events

    @app.post("/chat", response_class=EventSourceResponse)
    async def say(
        events: Annotated[ServerSentEvents, Depends(answer)],
    ) -> AsyncIterable[ServerSentEvent]:
        """Say something in a conversation that the server remembers."""
        async for event in events:
            yield event

    @app.delete("/chat/{session}", status_code=204)
    async def forget(session: str) -> None:
        """End a conversation."""
        sessions.end(session)


def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{row['loc'][-1]}: {row['msg']}" for row in error.errors())
    return JSONResponse({"detail": said}, 422)


def _server_failed(_request: Request, error: Exception) -> JSONResponse:
    said = whole_characters(
        say("The server failed ({kind}: {error}).", kind=type(error).__name__, error=error)
    )
    return JSONResponse({"detail": said}, 500)
