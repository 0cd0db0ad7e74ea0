"""The settings and keys of `connect` for a real server, checked before anything is sent."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from nbkit.errors import ConnectError
from nbkit.language import say, to_say
from nbkit.models.errors import MissingKeyError
from nbkit.models.proxies import is_http_address
from nbkit.simulator import SETTINGS as SIMULATED
from nbkit.simulator.errors import ProfileError
from nbkit.wording import listed


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_headers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(text, str) and text.isascii() and text.isprintable()
        for pair in value.items()
        for text in pair
    )


# The names are LlamaIndex's.
SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "timeout": (
        lambda value: _is_number(value) and value > 0,
        to_say("a number of seconds above 0"),
    ),
    "context_window": (_is_count, to_say("a whole number of tokens above 0")),
    "max_tokens": (_is_count, to_say("a whole number of tokens above 0")),
    "temperature": (
        lambda value: _is_number(value) and 0 <= value <= 2,
        to_say("a number from 0 to 2"),
    ),
    "is_function_calling_model": (lambda value: isinstance(value, bool), to_say("True or False")),
    "default_headers": (_are_headers, to_say("a dict of header names and texts in plain ASCII")),
}


def check_settings(settings: Mapping[str, Any], server: str) -> dict[str, Any]:
    """The settings that are not `None`. Raises ProfileError for the first that is wrong."""
    given = {name: value for name, value in settings.items() if value is not None}
    unfit = [name for name in given if name not in SETTINGS]
    if unfit:
        only = {"profile", *SIMULATED}.issuperset(unfit)
        names = listed(unfit)
        happened = say("{names} cannot be set for {server}", names=names, server=server)
        if only:
            happened = say(
                "{names} can only be set for the simulated model, not for {server}",
                names=names,
                server=server,
            )
        raise ProfileError(
            happened,
            say("a real server takes {settings}.", settings=listed(SETTINGS)),
        )
    for name, value in given.items():
        fits, wanted = SETTINGS[name]
        if not fits(value):
            # Headers may hold a key.
            told = "" if name == "default_headers" else say(", not {value!r}", value=value)
            raise ProfileError(
                say("{name} must be {wanted}{told}", name=name, wanted=say(wanted), told=told),
                say("change it and connect again."),
            )
    return given


def check_key(key: str, variable: str) -> str:
    """The key without white space around it; raises ConnectError for one that is not valid."""
    key = key.strip()
    if not key:
        raise MissingKeyError(
            say("{variable} is empty", variable=variable),
            say("set it to the key of the server, or remove it to use none."),
        )
    for place, character in enumerate(key, 1):
        if not "!" <= character <= "~" or character in "\"'`":
            raise ConnectError(
                say(
                    "{variable} contains {character!r} (character {place} of {length}), which is "
                    "not allowed in an API key",
                    variable=variable,
                    character=character,
                    place=place,
                    length=len(key),
                ),
                say("copy the key again, in one line, without quotes or spaces."),
            )
    return key


def check_address(address: str, name: str) -> str:
    """The address without a slash at its end; raises ConnectError if it is not a URL."""
    address = address.strip().rstrip("/")
    if not is_http_address(address):
        raise ConnectError(
            say("{name} is not the address of a server", name=name),
            say('write it as http://host:port/v1, for example "http://localhost:8000/v1".'),
        )
    return address
