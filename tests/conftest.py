"""Fixtures that several test files share."""

import pytest

pytest.register_assert_rewrite("tests.simulated")

from tests.simulated import client, model, simulator  # noqa: E402 - after its asserts are set up

__all__ = ["client", "model", "simulator"]
