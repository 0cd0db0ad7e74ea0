"""Documents: makes a folder of text into an index, without network or key."""

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from nbkit.corpus.folder import find_folder
from nbkit.corpus.reading import (
    BUNDLED,
    CorpusError,
    bundled_data,
    find_files,
    tell_missing,
)
from nbkit.language import say

if TYPE_CHECKING:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.base.embeddings.base import BaseEmbedding

__all__ = ["CorpusError", "Question", "load_index", "load_questions"]


class Question(NamedTuple):
    """A question about the bundled handbook, its file, and the words that answer it there."""

    id: str
    question: str
    file: str
    fact: str


def load_index(
    name_or_folder: "str | os.PathLike[str]" = "en",
    *,
    embed_model: "BaseEmbedding | None" = None,
) -> "VectorStoreIndex":
    """An index of the bundled handbook ("en", "zh") or of your own folder.

    Reads .md, .markdown, .txt, .rst, .html, .pdf and .docx in the folder and its subfolders, except
    hidden ones; .pptx and .epub too if `llama-index-readers-file` is installed. Text is in UTF-8 or
    a guessed encoding (with a warning). What is encrypted, scanned, damaged, empty or huge (over
    100 MB, or 10 million characters of text) is skipped, with a warning that has a line for each.

    Chunks follow the headings and have about 700 tokens at most. They have `file_name` (relative to
    the folder), `title`, `section`, for a PDF `page_label`, and the same id in every run. A score
    is a mean of cosines, see `nbkit.corpus.search`.

    `embed_model` is `OfflineEmbedding` by default, and is loaded on return. The index is kept in
    the user's cache folder (or `NBKIT_CACHE`). If a file changes, only that file is read and
    embedded again. Work of more than a second shows a bar and can be interrupted; the next call
    goes on from there. Raises `CorpusError`. Taught in notebook 00.
    """
    folder = find_folder(name_or_folder)
    files, missing = find_files(folder)

    from llama_index.core.base.embeddings.base import BaseEmbedding

    from nbkit.corpus import cache, search
    from nbkit.models.embedding import OfflineEmbedding

    model = OfflineEmbedding() if embed_model is None else embed_model
    if not isinstance(model, BaseEmbedding):
        raise CorpusError(
            say("embed_model is a {kind}", kind=type(embed_model).__name__),
            say("give a LlamaIndex embedding, or leave it out to stay offline."),
        )
    entry = cache.entry_for(folder, files, model)
    built = cache.load(entry, model) if entry else None
    if built is None:
        built = search.build(folder, files, missing, model)
        if entry:
            cache.save(built, entry)
    tell_missing(missing | built.missing)
    search.warm(model)
    return built.index


def load_questions(language: str = "en") -> list[Question]:
    """The 60 questions about the bundled handbook, in a fixed order.

    `language` is "en" or "zh"; equal ids ask for the same fact in both. Each `fact` is an exact
    quote from its `file`. Raises `CorpusError`. Taught in notebook 06.
    """
    if language not in BUNDLED:
        raise CorpusError(
            say("There are no questions for {language!r}", language=language),
            say('ask for "en" or "zh".'),
        )
    path = bundled_data() / "questions" / f"{language}.jsonl"
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Question(*(row[field] for field in Question._fields)) for row in rows]
