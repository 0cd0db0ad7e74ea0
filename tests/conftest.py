"""Fixtures that several test files share."""

from tests.simulated import client, model, simulator

__all__ = ["client", "model", "simulator"]
