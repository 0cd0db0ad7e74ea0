"""The state of the server: its models, the current requests, and the record of all requests."""

import asyncio
import hashlib
import json
import math
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from nbkit.simulator.ledger import Ledger, Record
from nbkit.simulator.limits import Bucket, Slots
from nbkit.simulator.pacing import Profile, fingerprint
from nbkit.simulator.planned_reply import Piece, Reply, pieces
from nbkit.simulator.prompts import PromptMessage
from nbkit.simulator.tokens import tokenize
from nbkit.simulator.tools import Offer

REMEMBERED = 10_000
"""How many different requests a model keeps to count their attempts."""


class ErrorReply(Exception):
    """An HTTP error in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, kind, code)
        self.headers = dict(headers or {})


def error_body(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """The body of an error as in OpenAI's API."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Model:
    """One simulated model: its places, its limits, and a profile that can change at any time."""

    def __init__(self, name: str, profile: Profile) -> None:
        self.name = name
        self.profile = profile
        self.slots = Slots()
        self._requests = Bucket()
        self._tokens = Bucket()
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self._prefixes: OrderedDict[str, None] = OrderedDict()

    def change(self, profile: Profile) -> None:
        """Use another profile from now on, also for the answers being written."""
        self.profile = profile
        self.slots.admit(profile.slots)

    def count_attempt(self, request: str) -> int:
        """How many times this request was made before; counts this one."""
        attempt = self._attempts.get(request, 0)
        self._attempts[request] = attempt + 1
        if len(self._attempts) > REMEMBERED:
            self._attempts.popitem(last=False)
        return attempt

    def cached(self, prefixes: Mapping[str, int]) -> int:
        """How many tokens of a prompt are in the prefix cache; keeps all of it from now on.

        `prefixes` has the number of tokens up to each message, by hash, shortest first.
        """
        if not self.profile.prefix_cache:
            return 0
        known = max((size for key, size in prefixes.items() if key in self._prefixes), default=0)
        for key in prefixes:
            self._prefixes[key] = None
            self._prefixes.move_to_end(key)
        while len(self._prefixes) > REMEMBERED:
            self._prefixes.popitem(last=False)
        return known

    def check_limits(self, ask: "Ask") -> None:
        """Count the request in both per-minute limits, or refuse it with 429."""
        p, now = self.profile, asyncio.get_running_loop().time()
        if p.speed == 0:
            return
        size = ask.record.prompt_tokens + ask.record.tokens_planned
        wanted = (
            ("requests", self._requests, 1, p.requests_per_minute),
            ("tokens", self._tokens, size, p.tokens_per_minute),
        )
        limits = [(what, b, n, limit) for what, b, n, limit in wanted if limit is not None]
        for what, bucket, amount, limit in limits:
            wait = bucket.wait(amount, limit, now, p.speed)
            if wait == math.inf:
                raise ErrorReply(
                    429,
                    f"Request too large for {self.name}: limit {limit:g} {what} per minute.",
                    kind=what,
                    code="rate_limit_exceeded",
                )
            if wait > 0:
                raise ErrorReply(
                    429,
                    f"Rate limit reached for {self.name}: limit {limit:g} {what} per minute. "
                    f"Please try again in {wait:.3g}s.",
                    kind=what,
                    code="rate_limit_exceeded",
                    headers={"Retry-After": str(math.ceil(wait))},
                )
        for _, bucket, amount, _ in limits:
            bucket.take(amount)


class State:
    """The models by name, the ledger, and the server's clock."""

    def __init__(self, models: Mapping[str, Profile]) -> None:
        self.models = {name: Model(name, profile) for name, profile in models.items()}
        self.ledger = Ledger()
        # One thread finds the answers, in the order of the requests: the loop keeps streaming, and
        # which request reaches a rate limit does not depend on how long finding takes.
        self.finder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()

    def now(self) -> float:
        """The seconds since the server started."""
        return self._loop.time() - self._started_at

    def moment(self, ask: "Ask") -> float:
        """The loop's time at which the model started a request."""
        return self._started_at + (ask.record.started or 0.0)

    def open_record(self) -> Record:
        """The new record of a request that has just arrived."""
        record = Record(id=f"sim-{uuid.uuid4().hex[:24]}", model=None, received=self.now())
        self.ledger.open(record)
        return record

    @asynccontextmanager
    async def place(self, ask: "Ask") -> AsyncIterator[None]:
        """Wait for one of the model's places, and hold it inside the block."""
        model = ask.model
        waited = await model.slots.enter(model.profile.slots)
        # Our own work (reading the request, finding the answer) is part of the stated delay.
        ask.record.started = self.now() if waited else ask.record.received
        ask.record.status = "streaming"
        try:
            yield
        finally:
            model.slots.leave(model.profile.slots)


@dataclass
class Ask:
    """One request, parsed and checked."""

    model: Model
    record: Record
    messages: list[PromptMessage]
    fingerprint: str
    chat: bool
    stream: bool
    include_usage: bool
    max_tokens: int | None
    offer: Offer
    pieces: list[Piece] = field(default_factory=list)
    finish_reason: str = "stop"

    @classmethod
    def read(cls, state: State, record: Record, body: Any, *, chat: bool) -> "Ask":
        """Parse a body; raises ErrorReply (400, 404) for what OpenAI's API refuses."""
        if not isinstance(body, dict):
            raise ErrorReply(400, "The body of the request must be a JSON object.")
        name = body.get("model")
        record.model = name if isinstance(name, str) else None
        model = state.models.get(record.model or "")
        if model is None:
            raise ErrorReply(404, f"The model {name!r} does not exist.", code="model_not_found")
        if body.get("n") not in (None, 1):
            raise ErrorReply(400, "The simulated model gives one answer a request: n must be 1.")
        max_tokens = body.get("max_completion_tokens", body.get("max_tokens"))
        if max_tokens is not None and not (isinstance(max_tokens, int) and max_tokens > 0):
            raise ErrorReply(400, "max_tokens must be a whole number above 0.")
        options = body.get("stream_options")
        ask = cls(
            model=model,
            record=record,
            messages=_messages(body, chat=chat),
            fingerprint=fingerprint(body),
            chat=chat,
            stream=bool(body.get("stream")),
            include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
            max_tokens=max_tokens,
            offer=_offer(body),
        )
        record.stream = ask.stream
        prefixes = _prefixes(body, ask.messages)
        record.prompt_tokens = max(prefixes.values())
        record.cached_tokens = model.cached(prefixes)
        window = model.profile.context_window
        if record.prompt_tokens >= window:
            raise ErrorReply(
                400,
                f"This model's maximum context length is {window} tokens. However, your messages "
                f"resulted in {record.prompt_tokens} tokens.",
                code="context_length_exceeded",
            )
        return ask

    def plan(self, reply: Reply) -> None:
        """Set the tokens to send, cut to the allowed length."""
        room = self.model.profile.context_window - self.record.prompt_tokens
        limit = min(room, self.max_tokens or room)
        self.pieces = pieces(reply)
        self.finish_reason = "tool_calls" if reply.calls else "stop"
        if len(self.pieces) > limit:
            self.pieces, self.finish_reason = self.pieces[:limit], "length"
        self.record.tokens_planned = len(self.pieces)

    def head(self, *, chunk: bool) -> dict[str, Any]:
        """The first fields of a reply, or of each chunk."""
        kind = "chat.completion" + ".chunk" * chunk if self.chat else "text_completion"
        name, created = self.model.name, int(time.time())
        return {"id": self.record.id, "object": kind, "created": created, "model": name}

    @property
    def usage(self) -> dict[str, Any]:
        """The token counts of the complete answer."""
        prompt, written = self.record.prompt_tokens, len(self.pieces)
        thought = sum(piece.field == "reasoning_content" for piece in self.pieces)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": self.record.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": thought},
        }


def _offer(body: Mapping[str, Any]) -> Offer:
    try:
        return Offer.read(body)
    except (ValueError, TypeError, AttributeError) as error:
        raise ErrorReply(400, f"The tools of the request cannot be read: {error}") from None


def _prefixes(body: Mapping[str, Any], messages: list[PromptMessage]) -> dict[str, int]:
    """The number of tokens up to the end of each message, by a hash of all until there."""
    tools = json.dumps(body.get("tools") or "", sort_keys=True)
    read, size = hashlib.sha256(tools.encode()), len(tokenize(tools)) if body.get("tools") else 0
    prefixes = {}
    rows = body.get("messages") or [{}]
    for row, message in zip(rows, messages, strict=True):
        calls = json.dumps(row["tool_calls"]) if row.get("tool_calls") else ""
        read.update(json.dumps([message.role, message.text, calls]).encode())
        size += len(tokenize(message.text)) + len(tokenize(calls))
        prefixes[read.hexdigest()] = size
    return prefixes


def _messages(body: Mapping[str, Any], *, chat: bool) -> list[PromptMessage]:
    if not chat:
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise ErrorReply(400, "Missing required parameter: 'prompt' (a string).")
        return [PromptMessage("user", prompt)]
    rows = body.get("messages")
    if not isinstance(rows, list) or not rows:
        raise ErrorReply(400, "Missing required parameter: 'messages' (a list, not empty).")
    if not all(isinstance(row, dict) and isinstance(row.get("role"), str) for row in rows):
        raise ErrorReply(400, "Each of 'messages' must be an object with a 'role'.")
    return [PromptMessage(row["role"], _text(row.get("content"))) for row in rows]


def _text(content: Any) -> str:
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


STATE = web.AppKey("state", State)
KEY = web.AppKey("key", str)
