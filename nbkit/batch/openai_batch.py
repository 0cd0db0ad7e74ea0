"""A provider's Batch file: written for questions that can wait a day, and its results read back.

The format is OpenAI's, which other providers and vLLM read, too.
"""

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from llama_index.core.chat_engine.types import BaseChatEngine

from nbkit.batch.asking import parameters_of
from nbkit.batch.file_path import file_path, write_text
from nbkit.batch.journal import Journal, OpenJournal
from nbkit.batch.openai_results import BatchFileError, not_found, results_in
from nbkit.batch.outcome import BatchMisused, Outcome, brief
from nbkit.batch.run import Ask, iter_batch, run_batch
from nbkit.displays.progress import Progress
from nbkit.language import say, to_say
from nbkit.models.recorded import CHAT, PLACEHOLDER, RecordedRequest, record
from nbkit.streaming.agents import end_run, is_run, run_of
from nbkit.wording import count, some, whole_characters

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
"""The limits of one file, at OpenAI."""
_ONE = to_say("a batch file has one request for each item: use `run_batch` for this.")
_DEPENDS = (to_say("The next request of an agent or a chat depends on answers"), _ONE)
_File = str | PathLike[str]


async def to_openai_jsonl(
    path: _File, questions: Iterable[Any], ask: Ask, *, progress: Progress = True
) -> list[Path]:
    """Write the requests that `ask` makes as a Batch file, and send none; returns the paths.

    `ask` is what `run_batch` takes: `engine.aquery`, `llm.acomplete`, or your own async function
    that asks one model once, through OpenAI's chat protocol. It runs here, so it retrieves from
    your index now; in place of the model's answer it gets a placeholder. Upload the file to the
    provider that the LLM is connected to. Of more than 50,000 questions or 200 MB there are
    several: run-1.jsonl, run-2.jsonl. No key is in them; an existing file is replaced.

    Raises `BatchMisused` for what `run_batch` refuses, too, and `BatchFileError` for an item that
    needs another number of requests than one, or whose request depends on answers (agents, chats,
    tools), and if the file cannot be written. Then there is no file. Taught in notebook 13.
    """
    file, items = file_path(path, BatchFileError), _listed(questions)
    ids = _ids(items)
    if not items:
        raise BatchMisused(say("There are no questions"), say("pass at least one."))
    if run_of(ask) or isinstance(getattr(ask, "__self__", None), BaseChatEngine):
        raise BatchFileError(*map(say, _DEPENDS))
    run_batch(items, ask, attempts=1)  # raises what it would raise; nothing is asked
    requests = await _requests(items, ask, progress)
    models = sorted({str(request.body.get("model")) for request in requests.values()})
    if len(models) > 1:
        raise BatchFileError(
            say(
                "These questions ask {models} ({names})",
                models=count(len(models), "model"),
                names=some(models, 3),
            ),
            say("write a file for each: a batch file is for one."),
        )
    parts = list(_parts(_line(key, requests[index]) for index, key in enumerate(ids)))
    names = [f"{file.stem}-{number}" for number in range(1, len(parts) + 1)]
    paths = [file] if len(parts) == 1 else [file.with_stem(name) for name in names]
    return [write_text(*written, BatchFileError) for written in zip(paths, parts, strict=True)]


def from_openai_jsonl(
    results: _File | Iterable[_File],
    questions: Iterable[Any],
    ask: Ask | None = None,
    *,
    journal: Journal | str | Path | None = None,
) -> list[Outcome]:
    """The outcomes of a Batch file, in the order of the questions it was written for.

    `results` are the files that the provider gives for it: of results, and of errors if there is
    one. An `Outcome.value` is an `Answer` with the model's text and usage, as the provider named
    the model (so does your file of prices); nobody saw when it came, so it has no timing, and no
    sources. `Outcome.error` says why there is none. Of several results for an item, such as those
    of a second batch, an answer is preferred.

    With a `journal`, the outcomes are also added to it, and `run_batch(questions, ask,
    journal=journal)` asks only those that failed; it needs the same `ask`.

    Raises `BatchFileError` for a line that is no result, naming it, and for results of other
    questions; `JournalError` for the journal. Taught in notebook 13.
    """
    items = _listed(questions)
    ids = _ids(items)
    if journal is not None and ask is None:
        raise BatchMisused(
            say("A journal also records which function was asked"),
            say("pass it, as the third argument."),
        )
    found: dict[str, Outcome] = {}
    if isinstance(results, str | PathLike) or not isinstance(results, Iterable):
        results = [results]
    for path in results:
        for key, outcome in results_in(file_path(path, BatchFileError)):
            if key not in found or found[key].error is not None:
                found[key] = outcome
    if found and found.keys().isdisjoint(ids):
        raise BatchFileError(
            say("These results are of other questions"),
            say("pass those that the file was written for."),
        )
    outcomes = [
        replace(found[key] if key in found else not_found(), item=item, index=index)
        for index, (key, item) in enumerate(zip(ids, items, strict=True))
    ]
    if journal is not None and ask is not None:
        _keep(outcomes, journal if isinstance(journal, Journal) else Journal(journal), ask)
    return outcomes


def _keep(outcomes: list[Outcome], journal: Journal, ask: Ask) -> None:
    with OpenJournal(journal, parameters_of(ask)) as opened:
        for outcome in outcomes:
            outcome.key = opened.key(outcome.item)
            if outcome.key not in opened:
                opened.add(outcome)


def _listed(questions: Iterable[Any]) -> list[Any]:
    if not isinstance(questions, Iterable) or isinstance(questions, str | bytes):
        raise BatchMisused(
            say("Got {kind} where questions were expected", kind=type(questions).__name__),
            say("pass a list."),
        )
    return list(questions)


def _ids(items: list[Any]) -> list[str]:
    """A `custom_id` for each item: by its content, and the number of equal items up to it."""
    seen: Counter[str] = Counter()
    ids = []
    for item in items:
        try:
            content = json.dumps(item, ensure_ascii=False, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise BatchMisused(
                say(
                    "Item {item} cannot be written as JSON ({error})", item=brief(item), error=error
                ),
                say("use text, numbers, lists and dicts."),
            ) from None
        name = hashlib.sha256(whole_characters(content).encode()).hexdigest()[:32]
        seen[name] += 1
        ids.append(f"{name}-{seen[name]}")
    return ids


async def _requests(items: list[Any], ask: Ask, progress: Progress) -> dict[int, RecordedRequest]:
    """The request of each item, by its index."""
    made: dict[int, list[RecordedRequest]] = {}

    def asked(index: int) -> Any:
        made[index] = record()
        value = ask(items[index])
        if is_run(value):
            end_run(value)
            raise BatchFileError(*map(say, _DEPENDS))
        return value

    def tell(done: int, total: int | None, index: Any) -> None:
        if callable(progress):
            progress(done, total, items[index])

    functools.update_wrapper(asked, ask, updated=())
    requests: dict[int, RecordedRequest] = {}
    shown = tell if callable(progress) else progress
    run = iter_batch(range(len(items)), asked, attempts=1, progress=shown)
    async with aclosing(run) as outcomes:
        async for outcome in outcomes:
            index = outcome.index
            requests[index] = _only(items[index], made.pop(index), outcome.error)
    return requests


def _only(item: Any, requests: list[RecordedRequest], error: Exception | None) -> RecordedRequest:
    """The one request of an item; raises `BatchFileError` if it is not one, or no complete one."""
    if isinstance(error, BatchFileError):
        raise error
    name = say("Item {item}", item=brief(item))
    if len(requests) > 1:
        raise BatchFileError(
            say(
                "{name} needs {requests} requests to a model or more",
                name=name,
                requests=len(requests),
            ),
            say(_ONE),
        )
    if requests and not requests[0].url.endswith(CHAT):
        raise BatchFileError(
            say(
                "{name} asks a model in another protocol than OpenAI's chat ({url})",
                name=name,
                url=requests[0].url,
            ),
            say("connect its LLM with `nbkit.connect`, or LlamaIndex's `OpenAI`."),
        )
    if error is not None:
        happened = say("{name} failed before the request ({error})", name=name, error=error)
        if not requests:
            raise BatchFileError(happened, say("correct the cause.")) from error
        happened = say("{name} needs the model's answer to go on ({error})", name=name, error=error)
        raise BatchFileError(happened, say(_ONE)) from error
    if not requests:
        raise BatchFileError(
            say("{name} made no request to a model in OpenAI's chat protocol", name=name),
            say(
                "leave it out if no document matched; else pass an engine or a function that asks "
                "one."
            ),
        )
    if requests[0].body.get("tools"):
        raise BatchFileError(
            say("{name} offers the model tools, so it may need more requests", name=name), say(_ONE)
        )
    if PLACEHOLDER in json.dumps(requests[0].body, ensure_ascii=False):
        raise BatchFileError(
            say("The request of {item} contains an earlier answer", item=brief(item)), say(_ONE)
        )
    return requests[0]


def _line(key: str, request: RecordedRequest) -> str:
    line = {"custom_id": key, "method": "POST", "url": request.url, "body": request.body}
    return json.dumps(line, ensure_ascii=False) + "\n"


def _parts(lines: Iterable[str]) -> Iterator[list[str]]:
    """The lines of each file."""
    part: list[str] = []
    size = 0
    for line in lines:
        length = len(whole_characters(line).encode())
        if part and (len(part) == MOST_REQUESTS or size + length > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += length
    yield part
