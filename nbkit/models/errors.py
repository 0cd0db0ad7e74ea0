"""What can go wrong when connecting to a model."""

from nbkit.errors import ConnectError


class MissingKeyError(ConnectError):
    """The provider needs an API key, and there is none."""


class RefusedKeyError(ConnectError):
    """The server does not accept the API key, or wants one."""


class UnknownProviderError(ConnectError):
    """`connect` was given a name it does not know."""


class ModelChoiceError(ConnectError):
    """The server offers no model, several to choose from, or none of the name given."""


class NoServerError(ConnectError):
    """Nobody answers at the address of the model."""


class LocalModelError(ConnectError):
    """A model cannot run on this machine: a file, a package or memory is missing."""
