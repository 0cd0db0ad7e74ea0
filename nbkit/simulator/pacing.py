"""When the simulated model sends its tokens: profiles, and their seeded delays."""

import hashlib
import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from nbkit.language import say, to_say
from nbkit.simulator.errors import ProfileError

FAULTS = (
    *("error", "refuse", "cut", "close", "stall", "no_stream", "error_event"),
    *("bad_json", "unknown_tool", "same_call"),
)
"""What can go wrong on request: status 500; connection closed without an answer; connection cut
after `fault_after` tokens; normal end there without finish reason or `[DONE]`; no more data from
there on; plain JSON for a streaming request; an error event there; a tool called with broken
arguments; a tool that was not offered; the same tools called again for ever."""


@dataclass(frozen=True)
class Profile:
    """The speed and the faults of one simulated model. Taught in notebook 00.

    Delays are medians, in seconds, and are divided by `speed` (0: no waiting, no rate limits).
    `jitter` is the sigma of a lognormal factor on each delay. `slots` is how many answers are
    generated at once; other requests wait in a queue. `total_tokens_per_second` is what two or more
    answers share, as where the processor is the limit; their first tokens are as much later. The
    two per-minute limits are token buckets that hold one minute and start full. `None` means no
    limit. `failure_rate` is the share of requests answered with 500 or 503. `fault` is one of
    FAULTS; `fault_after` counts tokens. `thinking_tokens` come before each answer. With
    `prefix_cache`, the tokens of messages that were sent before do not delay the first token.
    Raises ProfileError for an invalid value.
    """

    name: str
    resembles: str
    ttft: float = 0.7
    ttft_per_1k_prompt_tokens: float = 0.1
    tokens_per_second: float = 32.0
    total_tokens_per_second: float | None = None
    jitter: float = 0.15
    slots: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    failure_rate: float = 0.0
    fault: str | None = None
    fault_after: int = 5
    speed: float = 1.0
    seed: int = 0
    context_window: int = 32_768
    thinking_tokens: int = 0
    prefix_cache: bool = False

    def __post_init__(self) -> None:
        for name, (fits, wanted) in _RULES.items():
            value = getattr(self, name)
            if not fits(value):
                raise ProfileError(
                    say("{name}={value!r} is not possible", name=name, value=value),
                    say("give {wanted}.", wanted=say(wanted, faults=", ".join(FAULTS))),
                )

    def change(self, settings: Mapping[str, Any]) -> "Profile":
        """The profile with some settings replaced; raises ProfileError for an unknown one."""
        unknown = sorted(set(settings) - set(SETTINGS))
        if unknown:
            raise ProfileError(
                say("There is no latency setting {unknown!r}", unknown=unknown[0]),
                say("choose from: {settings}.", settings=", ".join(SETTINGS)),
            )
        return replace(self, **settings)

    def save(self, path: str | Path) -> Path:
        """Write it to a file for `connect(profile="mine.json")` and `nbkit simulate --profile`.

        An existing file is replaced. Raises ProfileError if it cannot be written.
        """
        path = Path(path)
        try:
            path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")
        except OSError as error:
            raise ProfileError(
                say(
                    "{path} could not be written ({error})",
                    path=path,
                    error=error.strerror or error,
                ),
                say("give another name."),
            ) from None
        return path

    def first_token(self, prompt_tokens: int, draw: float, answers: int = 1) -> float:
        """Seconds before the first token, while `answers` are being written, this one included.

        `draw` is a standard normal number.
        """
        median = self.ttft + self.ttft_per_1k_prompt_tokens * prompt_tokens / 1000
        return self._scaled(median * self.slowed(answers), draw)

    def gap(self, draw: float, answers: int = 1) -> float:
        """Seconds between two tokens, likewise."""
        return self._scaled(self.slowed(answers) / self.tokens_per_second, draw)

    def slowed(self, answers: int) -> float:
        """How many times as long everything takes because answers share a processor."""
        if self.total_tokens_per_second is None or answers < 2:
            return 1.0
        return max(1.0, answers * self.tokens_per_second / self.total_tokens_per_second)

    def _scaled(self, median: float, draw: float) -> float:
        if self.speed == 0:
            return 0.0
        return median * math.exp(self.jitter * draw) / self.speed


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Rule = tuple[Callable[[Any], bool], str]
_AT_LEAST_0: _Rule = (lambda v: _number(v) and v >= 0, to_say("a number, 0 or more"))
_ABOVE_0_OR_NONE: _Rule = (
    lambda v: v is None or (_number(v) and v > 0),
    to_say("a number above 0, or None"),
)
_FAULT = to_say("None or one of: {faults}")
_RULES: dict[str, _Rule] = {
    "ttft": _AT_LEAST_0,
    "ttft_per_1k_prompt_tokens": _AT_LEAST_0,
    "tokens_per_second": (lambda v: _number(v) and v > 0, to_say("a number above 0")),
    "total_tokens_per_second": _ABOVE_0_OR_NONE,
    "jitter": (lambda v: _number(v) and 0 <= v <= 2, to_say("a number from 0 to 2")),
    "slots": (
        lambda v: v is None or (_whole(v) and v > 0),
        to_say("a whole number above 0, or None"),
    ),
    "requests_per_minute": _ABOVE_0_OR_NONE,
    "tokens_per_minute": _ABOVE_0_OR_NONE,
    "failure_rate": (lambda v: _number(v) and 0 <= v <= 1, to_say("a share from 0 to 1")),
    "fault": (lambda v: v is None or v in FAULTS, _FAULT),
    "fault_after": (lambda v: _whole(v) and v >= 0, to_say("a whole number, 0 or more")),
    "speed": (_AT_LEAST_0[0], to_say("a number, 0 or more (1: as stated, 0: no waiting)")),
    "seed": (_whole, to_say("a whole number")),
    "context_window": (lambda v: _whole(v) and v >= 256, to_say("a whole number, 256 or more")),
    "thinking_tokens": (lambda v: _whole(v) and v >= 0, to_say("a whole number, 0 or more")),
    "prefix_cache": (lambda v: isinstance(v, bool), to_say("True or False")),
}
SETTINGS = tuple(f.name for f in fields(Profile) if f.name not in ("name", "resembles"))
"""The names that `connect` and `Simulator.set` accept."""

_TABLE = (
    # `default` is tuned so that one short question about the handbook takes about 2.4 s.
    Profile("default", to_say("a hosted model of medium size on an ordinary day")),
    Profile(
        "hosted_fast",
        to_say("a small hosted model, quick to start and quick to write"),
        ttft=0.3,
        ttft_per_1k_prompt_tokens=0.03,
        tokens_per_second=90.0,
    ),
    Profile(
        "hosted_large",
        to_say("a large hosted model that takes its time"),
        ttft=1.2,
        ttft_per_1k_prompt_tokens=0.2,
        tokens_per_second=22.0,
        jitter=0.25,
    ),
    Profile(
        "laptop_cpu",
        to_say("a small model on a laptop without a GPU: one answer at a time, long prompts hurt"),
        ttft=0.6,
        ttft_per_1k_prompt_tokens=3.0,
        tokens_per_second=9.0,
        jitter=0.05,
        slots=1,
    ),
    Profile(
        "busy", to_say("a shared server with four places, where the fifth request waits"), slots=4
    ),
    Profile(
        "rate_limited",
        to_say("an account with a low limit: a burst is answered with 429 and Retry-After"),
        requests_per_minute=20.0,
        tokens_per_minute=40_000.0,
    ),
    Profile("flaky", to_say("a service on a bad day: one request in five fails"), failure_rate=0.2),
    Profile(
        "instant",
        to_say("nothing real: every wait taken away, for tests and for measuring everything else"),
        speed=0.0,
    ),
)
PROFILES = {profile.name: profile for profile in _TABLE}
"""The named profiles: typical kinds of service, not the numbers of any vendor."""


def named(name: str | Profile) -> Profile:
    """The profile with this name, or in this file of `Profile.save` (*.json).

    Raises ProfileError, which lists all names, and for a file that is no profile.
    """
    if isinstance(name, Profile):
        return name
    if name.endswith(".json"):
        return _loaded(Path(name))
    if name not in PROFILES:
        raise ProfileError(
            say("There is no simulated profile {name!r}", name=name),
            say("choose from: {profiles}.", profiles=", ".join(PROFILES)),
        )
    return PROFILES[name]


def _loaded(path: Path) -> Profile:
    try:
        return Profile(**json.loads(path.read_text("utf-8")))
    except OSError as error:
        happened = say(
            "{path} could not be read ({error})", path=path, error=error.strerror or error
        )
    except (ValueError, TypeError):
        happened = say("{path} is not a profile", path=path)
    raise ProfileError(happened, say("give a file that `profile.save(path)` wrote."))


def fingerprint(body: Mapping[str, Any]) -> str:
    """A hash of a request's body without the model's name and the stream settings."""
    told = {k: v for k, v in body.items() if k not in ("model", "stream", "stream_options")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def draws(request: str, seed: int) -> random.Random:
    """The random numbers of a request; equal request and seed give equal numbers."""
    return random.Random(f"{seed}/{request}")


def failure(profile: Profile, request: str, attempt: int) -> int | None:
    """The HTTP status with which this attempt fails, or `None`; each attempt has its own draw."""
    drawn = random.Random(f"{profile.seed}/{request}/{attempt}")
    if drawn.random() >= profile.failure_rate:
        return None
    return drawn.choice((500, 503))
