"""CPU per `aquery`: LlamaIndex's defaults, and what each part of nbkit's set-up takes away.

Questions and answers are the same throughout; the model is a server that answers at once (one
question at a time) or word by word for two seconds (several). All questions are embedded before:
the embedding is the same for all, and no overhead.
"""

import asyncio
import gc
import itertools
import os
import time
from collections.abc import Iterator
from statistics import median
from typing import Any
from unittest.mock import patch

from llama_index.core import VectorStoreIndex
from llama_index.llms.openai import OpenAI

from nbkit import connect, load_index
from nbkit.corpus import load_questions
from nbkit.models import lean
from tests import wire

GOAL = 0.6
DEFAULTS, FALL_BACK, OURS = (
    "LlamaIndex's defaults",
    "+ nbkit's client, fall-back",
    "+ its lean engine: nbkit",
)
GAP = 0.05
# Questions at once, questions in a round, rounds.
CASES = ((1, 40, 5), (100, 100, 5), (1000, 1000, 1))
QUESTIONS = [row.question for row in load_questions("en")]


def _engines(base_url: str, theirs: OpenAI, *, streaming: bool) -> dict[str, Any]:
    os.environ |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "none"}
    index = load_index("en")
    model = index._embed_model
    # Said here, it is not asked from a server that knows no such question.
    ours = connect("openai", model="gpt-4o-mini", context_window=128_000)
    with patch.object(lean, "client_fits", lambda _client: False):
        stock = connect("openai", model="gpt-4o-mini", context_window=127_999)
    in_memory = VectorStoreIndex(nodes=list(index.docstore.docs.values()), embed_model=model)
    own_store = VectorStoreIndex(
        index_struct=index.index_struct, storage_context=index.storage_context, embed_model=model
    )
    for question in QUESTIONS:
        model.get_query_embedding(question)
    return {
        DEFAULTS: in_memory.as_query_engine(llm=theirs, streaming=streaming),
        "+ nbkit's vector store": own_store.as_query_engine(llm=theirs, streaming=streaming),
        FALL_BACK: own_store.as_query_engine(llm=stock, streaming=streaming),
        "+ its lean client": own_store.as_query_engine(llm=ours, streaming=streaming),
        OURS: index.as_query_engine(llm=ours, streaming=streaming),  # its fall-back: the row above
    }


async def _ask(engine: Any, questions: Iterator[str]) -> None:
    """Put questions one after the other and read each answer to its end."""
    for question in questions:
        response = await engine.aquery(question)
        if hasattr(response, "async_response_gen"):
            async for _ in response.async_response_gen():
                pass


async def _cpu(engine: Any, at_once: int, count: int) -> float:
    """Give the milliseconds of CPU a question takes."""
    questions = itertools.islice(itertools.cycle(QUESTIONS), count)
    gc.collect()
    before = time.process_time()
    await asyncio.gather(*(_ask(engine, questions) for _ in range(at_once)))
    return 1000 * (time.process_time() - before) / count


async def _compare(
    engines: dict[str, Any], at_once: int, count: int, rounds: int
) -> dict[str, float]:
    """Take the engines in turns; give the median of each."""
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        await _cpu(engine, 1, 3)  # warm up
    for _ in range(rounds):
        for name, engine in engines.items():
            taken[name].append(await _cpu(engine, at_once, count))
    return {name: median(times) for name, times in taken.items()}


async def _table(*, streaming: bool) -> list[dict[str, float]]:
    """Give a column for each case."""
    columns = []
    for at_once, count, rounds in CASES:
        with wire.beside(GAP if at_once > 1 else 0) as base_url:
            theirs = OpenAI(model="gpt-4o-mini", api_base=base_url, api_key="none")
            engines = _engines(base_url, theirs, streaming=streaming)
            columns.append(await _compare(engines, at_once, count, rounds))
            await theirs._get_aclient().close()
    return columns


def main() -> None:
    """Print milliseconds of CPU a question for each set-up, and the share that remains."""
    for streaming in (False, True):
        columns = asyncio.run(_table(streaming=streaming))
        print(f"{'streaming' if streaming else 'not streaming'}, ms of CPU a question:")
        print(f"{'questions at once':29}" + "".join(f"{case[0]:9,}" for case in CASES))
        for name in columns[0]:
            print(f"{name:29}" + "".join(f"{column[name]:9.2f}" for column in columns))
        shares = [column[OURS] / column[DEFAULTS] for column in columns]
        print(f"{'share that remains':29}" + "".join(f"{100 * share:7.0f} %" for share in shares))
        ceilings = [1000 / column[OURS] for column in columns]
        print(f"{'questions/s a core':29}" + "".join(f"{rate:9.0f}" for rate in ceilings))
    print(f"(goal: at most {100 * GOAL:.0f} % at 1,000 at once)")


if __name__ == "__main__":
    main()
