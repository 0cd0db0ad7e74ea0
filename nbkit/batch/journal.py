"""Finished items of a batch on disk: append-only JSON lines that survive a crash."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from filelock import FileLock, Timeout

from nbkit.batch.file_path import file_path
from nbkit.batch.outcome import BatchError, Outcome, brief
from nbkit.batch.records import answer_of, record_of
from nbkit.language import say
from nbkit.wording import whole_characters

_MARK = "nbkit_journal"


class JournalError(BatchError):
    """A journal cannot be used; what is on disk stays as it is. Taught in notebook 06."""


class Journal:
    """A file of finished items: an item that has a value in it is not asked again.

    One JSON object per line: first the parameters, then a record of each item, written as soon as
    it ends, so that a killed process loses no finished item; synced to disk at the end.
    `parameters` are what your answers depend on and nbkit cannot read (the corpus, for example);
    function, model, `similarity_top_k` and prompts are added if they can be read. Items are
    identified by their content; equal items by their order.

    A restored value is what JSON can hold, or an `Answer` with text and timing, without sources
    (only their ids and scores are kept) and without LlamaIndex's response. Failed items are
    recorded, and are asked again.

    Raises `JournalError` for a path that is not a file and, when used, for other parameters than
    those in the file, a file that is not a journal or that another batch is writing, or a disk
    that is full or fails. Taught in notebook 06.
    """

    def __init__(self, path: str | Path, **parameters: Any) -> None:
        self.path = file_path(path, JournalError)
        self.parameters = parameters

    def rows(self) -> list[dict[str, Any]]:
        """The last record of each item as a dict: `pandas.DataFrame(journal.rows())`."""
        if not self.path.is_file():
            raise JournalError(
                say("There is no journal {path}", path=self.path),
                say("check the name, or run a batch."),
            )
        lines = self.path.read_bytes().split(b"\n")
        _header(self.path, lines[0])
        # The last line is empty or incomplete: it is being written, or its writer was killed.
        records = [_record(self.path, *row) for row in enumerate(lines[1:-1], 2)]
        return list({record["key"]: record for record in records}.values())

    def __repr__(self) -> str:
        return f"<Journal {self.path}>"


class OpenJournal:
    """A journal that this batch writes, locked until the end of its `with` block.

    Its keys are held in memory, about 150 bytes per item; the values stay on disk.
    """

    def __init__(self, journal: Journal, parameters: dict[str, Any]) -> None:
        self._path = journal.path
        parameters = {**parameters, **journal.parameters}
        self._parameters = json.loads(_json(parameters, say("A parameter")))
        self._lock = FileLock(self._path.with_name(f".{self._path.name}.lock"), timeout=0)
        self._done: dict[str, tuple[int, int]] = {}
        self._seen: Counter[bytes] = Counter()
        self._file: IO[bytes] | None = None
        self._end = 0
        """Where the last complete record ends."""

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._open()
        except Timeout:
            raise JournalError(
                say("Another batch is writing {path}", path=self._path),
                say("wait for it, or give this one another journal."),
            ) from None
        except OSError as error:
            self._close()
            raise self._cannot_write(error) from error
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, _: object, ending: BaseException | None, __: object) -> None:
        try:
            if self._file is not None and self._path.is_file():
                os.fsync(self._file.fileno())
        except OSError as error:
            failed = JournalError(
                say(
                    "{path} may not be completely on disk ({error})",
                    path=self._path,
                    error=error.strerror or error,
                ),
                say("keep the outcomes, check the disk, and give the next run another journal."),
            )
            # While a generator closes there is no error that could carry the note.
            if ending is None or isinstance(ending, GeneratorExit):
                raise failed from error
            ending.add_note(str(failed))
        finally:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._lock.release()

    def key(self, item: Any) -> str:
        """The key of an item; the second of two equal items has another key than the first."""
        content = hashlib.sha256(_content(item)).digest()
        nth = self._seen[content]
        self._seen[content] += 1
        return hashlib.sha256(content + str(nth).encode()).hexdigest()[:32]

    def missing(self, items: Iterable[Any]) -> int:
        """How many of all items have no recorded value; to be asked before the first `key`."""
        missing = sum(self.key(item) not in self._done for item in items)
        self._seen.clear()
        return missing

    def __contains__(self, key: object) -> bool:
        """Whether there is a recorded value for this key."""
        return key in self._done

    def restore(self, outcome: Outcome) -> bool:
        """Fill in the recorded value for an outcome's key; returns False if there is none."""
        if outcome.key not in self._done:
            return False
        place, length = self._done[outcome.key]
        with self._path.open("rb") as file:
            file.seek(place)
            record = json.loads(file.read(length))
        outcome.value = answer_of(record) if "text" in record else record["value"]
        outcome.attempts, outcome.refused = record["attempts"], record["refused"]
        outcome.resumed = True
        return True

    def add(self, outcome: Outcome) -> None:
        """Record how an item ended; a value that JSON cannot hold becomes an error."""
        try:
            line = _json(
                record_of(outcome), say("The value of item {item}", item=brief(outcome.item))
            )
        except JournalError as error:
            outcome.error = error
            line = _json(record_of(outcome), "")
        place = self._end
        try:
            self._append(line)
        except OSError as error:
            raise self._cannot_write(error) from error
        if outcome.error is None and outcome.key is not None:
            self._done[outcome.key] = (place, len(line))

    def _open(self) -> None:
        self._file = self._path.open("ab", buffering=0)
        # A device or a pipe can be written, but has no records to read.
        if self._path.is_file():
            self._read_back()
            self._file.truncate(self._end)  # removes a record whose writer was killed
        if self._end == 0:
            self._append(_json({_MARK: 1, "parameters": self._parameters}, say("A parameter")))

    def _read_back(self) -> None:
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    written = _header(self._path, line)
                if not line.endswith(b"\n"):
                    return
                if number == 1:
                    self._compare(written)
                elif not (record := _record(self._path, number, line))["error"]:
                    self._done[record["key"]] = (self._end, len(line))
                self._end += len(line)

    def _compare(self, written: dict[str, Any]) -> None:
        ours = self._parameters
        changed = [
            say(
                "{name} was {before}, is {now}",
                name=name,
                before=brief(written.get(name)),
                now=brief(ours.get(name)),
            )
            for name in sorted(written.keys() | ours.keys())
            if written.get(name) != ours.get(name)
        ]
        if changed:
            raise JournalError(
                say(
                    "{path} is from a run with other parameters ({changed})",
                    path=self._path,
                    changed=say("; ").join(changed),
                ),
                say("give this run another journal, or undo the change."),
            )

    def _append(self, line: bytes) -> None:
        assert self._file is not None
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:
            with suppress(OSError):  # an incomplete record would damage the next one
                self._file.truncate(self._end)
            raise
        self._end += len(line)

    def _cannot_write(self, error: OSError) -> JournalError:
        return JournalError(
            say(
                "{path} cannot be written ({error})", path=self._path, error=error.strerror or error
            ),
            say("free space or give another path; finished items are kept."),
        )


def check_item(item: Any) -> None:
    """Raise `JournalError` for an item that cannot be identified by its content."""
    _content(item)


def _content(item: Any) -> bytes:
    return _json(item, f"Item {brief(item)}", sort_keys=True)


def _json(thing: Any, what: str, *, sort_keys: bool = False) -> bytes:
    try:
        text = json.dumps(thing, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
    except (TypeError, ValueError) as error:
        raise JournalError(
            say("{what} cannot be written as JSON ({error})", what=what, error=error),
            say("use text, numbers, lists and dicts, or run without a journal."),
        ) from None
    return whole_characters(text).encode() + b"\n"


def _header(path: Path, line: bytes) -> dict[str, Any]:
    # A process that was killed during its first line also leaves a valid journal.
    if not line.endswith(b"\n") and f'{{"{_MARK}"'.encode().startswith(line[: len(_MARK) + 3]):
        return {}
    try:
        return dict(json.loads(line)["parameters"])
    except (ValueError, KeyError, TypeError):
        raise JournalError(
            say("{path} is not a journal of a batch", path=path), say("give another name.")
        ) from None


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if not {"key", "error"} <= record.keys():
            raise ValueError
    except (ValueError, AttributeError):
        raise JournalError(
            say("Line {number} of {path} is not a record of a batch", number=number, path=path),
            say("correct or remove it; the other lines are correct."),
        ) from None
    return dict(record)
