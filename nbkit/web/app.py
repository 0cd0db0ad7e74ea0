"""The web application: a question goes in by POST, the answer comes out as server-sent events."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.chat_engine.types import BaseChatEngine

from nbkit.streaming.stream import stream
from nbkit.web.answering import Answers, Events
from nbkit.web.messages import Message, Query
from nbkit.web.openapi import REFUSALS, Refusal, describe
from nbkit.web.page import page
from nbkit.web.sessions import Sessions
from nbkit.wording import whole_characters

MOST_SESSIONS = 100
IDLE_SECONDS = 1800.0
"""Seconds after which a conversation is forgotten in which nothing is said."""
ANSWER_SECONDS = 300.0
"""Seconds after which an answer is stopped that is still being written."""

_IN_A_TURN: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "The conversation has ended."},
    409: {"model": Refusal, "description": "The answer before is still being written."},
}

ChatFactory = Callable[[], BaseChatEngine]


def create_app(
    engine: BaseQueryEngine | None, chat: ChatFactory | None, *, max_concurrent: int
) -> FastAPI:
    """Give the application, to be run behind a `Guard`; `app.state.answers` holds what streams."""
    app = FastAPI(
        title="nbkit",
        description=__doc__,
        responses=REFUSALS,
        # Its pages load their scripts from another site.
        docs_url=None,
        redoc_url=None,
    )
    answers = app.state.answers = Answers(max_concurrent, ANSWER_SECONDS)
    modes = [mode for mode, there in (("query", engine), ("chat", chat)) if there]
    html, policy = page(modes)

    @app.get("/", include_in_schema=False)
    async def show_page() -> Response:
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
        return Response(html, media_type="text/html", headers=headers)

    @app.delete("/answers/{answer}", status_code=204)
    async def stop(answer: str) -> None:
        """Stop an answer, by its X-Answer, where a proxy hides that its reader has gone."""
        answers.stop(answer)

    if engine is not None:
        _add_query(app, answers, engine)
    if chat is not None:
        app.state.sessions = Sessions(chat, MOST_SESSIONS, IDLE_SECONDS)
        _add_chat(app, answers, app.state.sessions)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    app.add_exception_handler(Exception, _say_failed)
    describe(app)
    return app


def _add_query(app: FastAPI, answers: Answers, engine: BaseQueryEngine) -> None:
    # What a dependency opens is closed when the client has gone, whatever the endpoint waits for.
    async def answer(query: Query, response: Response) -> AsyncIterator[Events]:
        # Not the coroutine itself, which would complain if nobody came to await it.
        async def ask() -> Any:
            return await engine.aquery(query.question)

        with answers.place():
            async with answers.events(stream(ask), response, html=query.html) as events:
                yield events

    @app.post("/query", response_class=EventSourceResponse)
    async def ask(events: Annotated[Events, Depends(answer)]) -> AsyncIterable[ServerSentEvent]:
        """Ask one question, of which nothing is remembered."""
        async for event in events:
            yield event


def _add_chat(app: FastAPI, answers: Answers, sessions: Sessions) -> None:
    async def answer(message: Message, response: Response) -> AsyncIterator[Events]:
        with answers.place():
            session = await sessions.find(message.session)
            response.headers["X-Session"] = session.id
            async with (
                sessions.turn(session, message.message) as tokens,
                answers.events(tokens, response, html=message.html) as events,
            ):
                yield events

    @app.post("/chat", response_class=EventSourceResponse, responses=_IN_A_TURN)
    async def say(events: Annotated[Events, Depends(answer)]) -> AsyncIterable[ServerSentEvent]:
        """Say something in a conversation that the server remembers."""
        async for event in events:
            yield event

    @app.delete("/chat/{session}", status_code=204)
    async def forget(session: str) -> None:
        """End a conversation."""
        sessions.end(session)


def _say_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{row['loc'][-1]}: {row['msg']}" for row in error.errors())
    return JSONResponse({"detail": said}, 422)


def _say_failed(_request: Request, error: Exception) -> JSONResponse:
    said = whole_characters(f"The server failed ({type(error).__name__}: {error}).")
    return JSONResponse({"detail": said}, 500)
