"""What answers cost: tokens × the prices in a small file that you write."""

import math
import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from nbkit.errors import NbkitError
from nbkit.language import say
from nbkit.streaming.trace import Usage
from nbkit.wording import count, is_simulated

FILE = "nbkit_prices.toml"
_NEEDED = {"input", "output"}
_KINDS = _NEEDED | {"cached_input"}


class PriceError(NbkitError, ValueError):
    """The file of prices cannot be used, or lacks what is asked for. Taught in notebook 12."""


@dataclass(frozen=True)
class Prices:
    """The prices in `nbkit_prices.toml` in the current folder, or the file NBKIT_PRICES names.

    nbkit has no prices of its own. The file has `currency`, `ask_above` (a batch or an experiment
    that will cost more asks you first) and a table for each model, by the name you connect with:
    `input`, `output` and, if cached prompt tokens have their own, `cached_input`, all per million
    tokens. What is charged beside tokens of models (embeddings, tools, storage) is not counted. The
    simulated model is free unless it is in the file; any other model without a price has an unknown
    cost. Without a file there are no prices. `read` raises `PriceError`.
    """

    path: Path
    currency: str = ""
    ask_above: float = math.inf
    models: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Self:
        """The prices as they are in the file now."""
        named = os.environ.get("NBKIT_PRICES", "").strip()
        path = Path(named or FILE).expanduser()
        if not named and not path.exists():
            return cls(path)
        try:
            written = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise PriceError(
                say("{path} cannot be read ({error})", path=path, error=error.strerror or error),
                say("correct NBKIT_PRICES."),
            ) from None
        except ValueError as error:
            raise PriceError(
                say("{path} is not TOML ({error})", path=path, error=error),
                say("correct that line."),
            ) from None
        currency, above = written.pop("currency", None), written.pop("ask_above", None)
        if not isinstance(currency, str) or not currency.strip() or not is_amount(above):
            raise PriceError(
                say("{path} needs a currency and an amount above which to ask", path=path),
                say('begin it with two lines such as: currency = "USD" and: ask_above = 1.0'),
            )
        return cls(path, currency, above, dict(_tables(path, "", written)))

    def why_unknown(self, usage: Sequence[Usage]) -> str | None:
        """Why the cost of these calls is unknown; `None` if it is known."""
        if not usage:
            return say("no call of a model was seen")
        for call in usage:
            if call.model in self.models:
                if call.prompt_tokens is None or call.tokens is None:
                    return say("the server did not count the tokens")
            elif not is_simulated(call.model):
                return say("no price for {model!r} in {path}", model=call.model, path=self.path)
        return None

    def cost(self, usage: Sequence[Usage]) -> float | None:
        """What these calls cost together; `None` if it is unknown, also of one of them.

        Cached tokens that the server does not tell apart cost as much as the others.
        """
        if self.why_unknown(usage) is not None:
            return None
        return sum((self._of(call) for call in usage), 0.0)

    def _of(self, call: Usage) -> float:
        price = self.models.get(call.model or "")
        if price is None:  # the simulated model
            return 0.0
        cached, fresh = call.cached_tokens or 0, price["input"]
        read = ((call.prompt_tokens or 0) - cached) * fresh
        read += cached * price.get("cached_input", fresh)
        return (read + (call.tokens or 0) * price["output"]) / 1e6

    def shown(self, amount: float) -> str:
        """An amount with its currency, as people read it."""
        number = f"{amount:,.2f}" if round(amount, 6) >= 1 else f"{Decimal(f'{amount:.3g}'):f}"
        return f"{number} {self.currency}".strip()


def _tables(path: Path, name: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    prices = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    for key, value in table.items():
        if isinstance(value, Mapping):
            # TOML reads [gpt-4.1] without quotes as table "1" in table "gpt-4".
            yield from _tables(path, f"{name}.{key}" if name else key, value)
    for key, value in prices.items():
        if not name or key not in _KINDS or not is_amount(value):
            where = f"{key} = {value!r} of {name or say('no model')}"
            raise PriceError(
                say("{where} in {path} is not a price", where=where, path=path),
                say("give input, output and cached_input as numbers from 0, per million tokens."),
            )
    if prices and not prices.keys() >= _NEEDED:
        raise PriceError(
            say("{name} in {path} has not all its prices", name=name, path=path),
            say("give input and output."),
        )
    if prices:
        yield name, prices


def is_amount(value: Any) -> bool:
    """Whether this can be an amount of money."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


@dataclass(frozen=True)
class Cost:
    """What requests cost together, and for how many that is unknown. Taught in notebook 12."""

    amount: float
    """Of those whose cost is known; the whole costs more if `unknown` is not empty."""
    currency: str
    """As in the file of prices; empty if there is none."""
    counted: int
    """How many requests `amount` is for."""
    unknown: Mapping[str, int]
    """How many more there were whose cost is unknown, by the reason."""
    _sentence: str = field(repr=False)

    def __repr__(self) -> str:
        return f"<Cost {self._sentence}>"


def total_cost(
    requests: Iterable[Sequence[Usage]], unknown: Mapping[str, int] | None = None
) -> Cost:
    """The cost of requests, each some calls, at the prices now; `unknown` are others by reason."""
    prices = Prices.read()
    why: Counter[str] = Counter(unknown)
    amount, counted = 0.0, 0
    for usage in requests:
        if (reason := prices.why_unknown(usage)) is not None:
            why[reason] += 1
        else:
            amount, counted = amount + (prices.cost(usage) or 0.0), counted + 1
    why = +why
    paid, requests_told = prices.shown(amount), count(counted, "request")
    sentence = say("{amount} for {requests}", amount=paid, requests=requests_told)
    if why:
        reasons = say("; ").join(
            say("{number}: {reason}", number=number, reason=reason)
            for reason, number in why.items()
        )
        more = why.total()
        sentence += say(", and unknown for {more} more ({reasons})", more=more, reasons=reasons)
    return Cost(amount, prices.currency, counted, why, sentence)
