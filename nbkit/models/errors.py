"""What can go wrong when connecting to a model."""

from nbkit.errors import ConnectError


class MissingKeyError(ConnectError):
    """The provider needs an API key, and there is none."""


class UnknownProviderError(ConnectError):
    """`connect` was given a name it does not know."""


class ModelChoiceError(ConnectError):
    """The server offers no model, or several to choose from."""


class NoServerError(ConnectError):
    """Nobody answers at the address of the model."""


class LocalModelError(ConnectError):
    """A model cannot run on this machine: a file, a package or memory is missing."""
