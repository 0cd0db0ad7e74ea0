"""How a model's name is shown to people."""

import re

_FILE = re.compile(r"\.(?:gguf|ggml|bin|safetensors|mlx|onnx)$", re.IGNORECASE)
_PATH = re.compile(r"^(?:[/~.\\]|[A-Za-z]:[/\\])|\\")


def shown_name(model: str) -> str:
    """Give a model's name as people know it: of a path to a file or folder, only the stem.

    `owner/name`, as in "Qwen/Qwen3-8B", is a name and stays.
    """
    if not (_PATH.search(model) or _FILE.search(model)):
        return model
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    return _FILE.sub("", last) or model
