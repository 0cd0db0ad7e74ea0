"""Programs that the browser tests start: a JupyterLab, a Jupyter server, a Firefox."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def started(name: str, command: list[str], address: str, **settings: Any) -> Iterator[str]:
    """Start a program; gives the address (a pattern) that it writes to its log, and ends it.

    Raises RuntimeError with the log if it ends before. `settings` are those of `Popen`.
    """
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **settings) as process:
        assert process.stderr is not None
        log: list[str] = []
        for line in process.stderr:
            log.append(line)
            if found := re.search(address, line):
                break
        else:
            raise RuntimeError(f"{name} did not start:\n" + "".join(log))
        # Nobody else reads the log; a full pipe would stop the program.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield found[0]
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:  # JupyterLab waits for a kernel that does not end
                process.kill()
