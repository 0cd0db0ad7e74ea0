"""A provider's batch endpoint that takes no day: it sends each request of a file to the model."""

import json
from pathlib import Path
from typing import Any

import httpx

from nbkit.batch import to_openai_jsonl
from nbkit.streaming.answer import Answer

QUESTIONS = ["How long is the warranty?", "How do I return it?"]


async def write(path: Path, questions: Any, ask: Any, **options: Any) -> list[Path]:
    return await to_openai_jsonl(path, questions, ask, **{"progress": False, **options})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def save(path: Path, results: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in results), "utf-8")
    return path


def provider(llm: Any, files: list[Path], spoilt: str = "") -> list[Path]:
    """Do what a provider does in a day: send each body; give the results in two files, unsorted.

    The request with the text `spoilt` is sent without its messages, which the server refuses.
    """
    done: tuple[list[Any], list[Any]] = ([], [])
    for line in [line for file in files for line in lines(file)]:
        body = line["body"]
        if spoilt and spoilt in body["messages"][-1]["content"]:
            body.pop("messages")
        reply = httpx.post(
            llm.api_base.removesuffix("/v1") + line["url"],
            headers={"Authorization": f"Bearer {llm.simulator.api_key}"},
            json=body,
            trust_env=False,
        )
        done[reply.is_error].append(result(line["custom_id"], reply.json(), reply.status_code))
    folder = files[0].parent
    return [save(folder / "output.jsonl", done[0][::-1]), save(folder / "errors.jsonl", done[1])]


def result(key: str, body: Any, status: int = 200) -> dict[str, Any]:
    """A line of results in OpenAI's form."""
    response = {"status_code": status, "request_id": "req_1", "body": body}
    return {"id": "batch_req_1", "custom_id": key, "response": response, "error": None}


def unanswered(key: str, code: str, message: str) -> dict[str, Any]:
    """A line of the file of errors, for a request that was not made."""
    failed = {"code": code, "message": message}
    return {"id": "batch_req_1", "custom_id": key, "response": None, "error": failed}


def reply(message: dict[str, Any], finish_reason: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{**choice, "finish_reason": finish_reason}],
        "usage": usage,
    }


def known(answer: Answer) -> Any:
    """All that a batch and `run_batch` must agree on."""
    trace = answer.trace
    return (answer.text, answer.thought, trace.usage, trace.tokens, trace.finish_reason)
