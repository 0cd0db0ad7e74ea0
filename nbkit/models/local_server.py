"""The process of the local model: llama.cpp's own HTTP server, through xllamacpp.

The only module that imports xllamacpp. It serves until its kernel ends, on this machine only.
"""

import threading
from typing import Any

import xllamacpp

from nbkit.child_process import read_settings, report

WARNINGS = 2
"""llama.cpp's level of logging; 3, its default, writes several lines for each request."""


def parameters(settings: dict[str, Any]) -> xllamacpp.CommonParams:
    """The settings of the handle, `LocalServer`, in llama.cpp's names."""
    params = xllamacpp.CommonParams()
    params.model.path = settings["file"]
    params.model_alias = {settings["name"]}
    params.chat_template = settings["template"]
    params.sampling.penalty_repeat = settings["repeat_penalty"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["key"]]
    params.n_parallel = settings["slots"]
    params.cont_batching = True
    # llama.cpp divides the window that it is given by the number of slots.
    params.n_ctx = settings["window"] * settings["slots"]
    params.cpuparams.n_threads = settings["threads"]
    params.cpuparams_batch.n_threads = settings["threads"]
    params.n_gpu_layers = 0
    # It would choose another window, and keep up to 8 GB of old prompts in memory.
    params.fit_params = False
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.verbosity = WARNINGS
    params.ui = False
    return params


def main() -> None:
    """Load the model and serve until the kernel ends."""
    server = xllamacpp.Server(parameters(read_settings()))
    report(address=server.listening_address)
    threading.Event().wait()


if __name__ == "__main__":
    main()
