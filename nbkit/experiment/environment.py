"""The time, machine and versions of a measurement; no names or keys."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("nbkit-streaming", "llama-index-core", "llama-index-llms-openai", "openai")


def environment() -> dict[str, Any]:
    """The start time, the versions and the machine."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "architecture": platform.machine(),
            "cpus": os.cpu_count(),
        },
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
