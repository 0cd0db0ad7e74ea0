"""What happened to each request, seen by the simulator, to compare with the client's view."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 2_000


@dataclass
class Record:
    """One request; times are seconds since the server started, `None` until it happens."""

    id: str
    model: str | None
    received: float
    started: float | None = None
    first_token: float | None = None
    last_token: float | None = None
    ended: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens_planned: int = 0
    tokens_sent: int = 0
    stream: bool = False
    status: str = "queued"
    http_status: int | None = None
    fault: str | None = None


class Ledger:
    """The last 2,000 requests, and how many ended in each way."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=KEPT)
        self._ended: Counter[str] = Counter()
        self._open: dict[str, Record] = {}

    def open(self, record: Record) -> None:
        """Add a request that has just arrived."""
        self._records.append(record)
        self._open[record.id] = record

    def close(self, record: Record, now: float) -> None:
        """Close a request; its status says how it ended."""
        record.ended = now
        if self._open.pop(record.id, None) is not None:
            self._ended[record.status] += 1

    def rows(self) -> list[dict[str, Any]]:
        """The records, oldest first."""
        return [asdict(record) for record in self._records]

    def stats(self) -> dict[str, Any]:
        """How many requests are generating, are queued, and have ended in each way."""
        now = Counter(record.status for record in self._open.values())
        ended = {name: self._ended[name] for name in ("done", "cut", "cancelled", "failed")}
        counts = {"in_flight": now["streaming"], "queued": now["queued"]}
        return {**counts, "total": sum(ended.values()), "ended": ended}

    def clear(self) -> None:
        """Delete all but the open requests."""
        self._records = deque(self._open.values(), maxlen=KEPT)
        self._ended.clear()
