"""What can go wrong between a notebook and a model."""

from nbkit.errors import NbkitError


class ConnectError(NbkitError):
    """A model could not be reached or set up."""


class MissingKeyError(ConnectError):
    """The provider wants an API key and there is none."""


class UnknownProviderError(ConnectError):
    """`connect` was given a name it does not know."""


class ProfileError(ConnectError):
    """A setting has an unknown name or an impossible value."""


class ModelChoiceError(ConnectError):
    """The server offers no model, or several to choose from."""


class NoServerError(ConnectError):
    """Nobody answers at the address of the model."""


class SimulatorError(ConnectError):
    """The process of the simulated model did not start, or refused an order."""
