"""What can go wrong with the simulated model itself."""

from nbkit.errors import ConnectError


class ProfileError(ConnectError):
    """A setting has an unknown name or an invalid value."""


class SimulatorError(ConnectError):
    """The process of the simulated model did not start, or refused a command."""
