"""How well the handbook is searched: `python -m tests.benchmarks.retrieval`.

Chunk size and chunk share were chosen on the even-numbered questions; the odd ones were looked at
once, afterwards. hit@k: the wanted file is among the k best chunks. fact@2: the wanted words stand
in the two best chunks, which is what a query engine gives its model. Figures are counts.
"""

import statistics
import time
from collections.abc import Iterator

from nbkit.corpus import Question, load_index, load_questions


def hits(language: str) -> Iterator[tuple[Question, bool, bool, bool]]:
    """Give for each question whether it is a hit@1, a hit@3 and a fact@2."""
    retriever = load_index(language).as_retriever(similarity_top_k=3)
    for question in load_questions(language):
        found = retriever.retrieve(question.question)
        right = [hit.node.metadata["file_name"] == question.file for hit in found]
        fact = any(question.fact in hit.node.get_content() for hit in found[:2])
        yield question, right[0], any(right), fact


def latency(language: str) -> tuple[float, float, float]:
    """Time a new query, the same query again, and only its search; medians in milliseconds."""
    index = load_index(language)
    retriever = index.as_retriever()
    model = index._embed_model
    new, again, search = [], [], []
    for question in load_questions(language):
        text = question.question + " "  # not yet remembered
        start = time.perf_counter()
        retriever.retrieve(text)
        new.append(time.perf_counter() - start)
        start = time.perf_counter()
        retriever.retrieve(text)
        again.append(time.perf_counter() - start)
        vector = model.get_query_embedding(text)
        start = time.perf_counter()
        index.vector_store.query(_query(vector))
        search.append(time.perf_counter() - start)
    return tuple(1000 * statistics.median(times) for times in (new, again, search))  # type: ignore[return-value]


def _query(vector: list[float]) -> "object":
    from llama_index.core.vector_stores.types import VectorStoreQuery

    return VectorStoreQuery(query_embedding=vector, similarity_top_k=2)


def main() -> None:
    """Print both tables."""
    print(f"{'':4}{'questions':28}{'n':>3}{'hit@1':>12}{'hit@3':>12}{'fact@2':>12}")
    for language in ("en", "zh"):
        rows = list(hits(language))
        halves = {
            "even (chosen on)": rows[1::2],
            "odd (held out)": rows[0::2],
            "all": rows,
        }
        for name, part in halves.items():
            n = len(part)
            counts = [sum(row[column] for row in part) for column in (1, 2, 3)]
            cells = "".join(f"{count:>6} {count / n:>4.0%}" for count in counts)
            print(f"{language:4}{name:28}{n:>3} {cells}")
    print("\nms, median: a new query · the same again · the vector search in it")
    for language in ("en", "zh"):
        print(f"{language:4}" + " · ".join(f"{value:.2f}" for value in latency(language)))


if __name__ == "__main__":
    main()
