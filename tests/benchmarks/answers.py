"""Whether the simulated model's answers hold the fact that was asked for, retrieval included.

What was looked at: the even-numbered questions, while an earlier version of the word list
(`nbkit/models/simulator/ideas.txt`) was built; the odd-numbered ones never. The word list and the
weights of today were made on a development set of their own, written from the handbook alone.
Totals of this benchmark, never single questions, had shown before that meaning should count beside
words, and that an unsure answer should be longer.
`similarity_top_k` is how many chunks the engine shows the model; LlamaIndex's default is 2.
"""

import asyncio

import nbkit
from nbkit.corpus import Question, load_index, load_questions


async def _right(language: str, top_k: int) -> list[bool]:
    llm = nbkit.connect(speed=0)
    engine = load_index(language).as_query_engine(llm=llm, similarity_top_k=top_k)

    async def check(question: Question) -> bool:
        return question.fact in (await nbkit.stream(engine.aquery(question.question))).text

    return [await check(question) for question in load_questions(language)]


def main() -> None:
    """Print the share of right answers per language, half and number of chunks shown."""
    print(f"{'':4}{'top_k':>6}{'even (seen once)':>20}{'odd (never seen)':>20}{'all':>14}")
    for language in ("en", "zh"):
        for top_k in (2, 3):
            rows = asyncio.run(_right(language, top_k))
            cells = [(rows[1::2], 20), (rows[0::2], 20), (rows, 14)]
            text = "".join(
                f"{f'{sum(part)}/{len(part)} {sum(part) / len(part):.0%}':>{width}}"
                for part, width in cells
            )
            print(f"{language:4}{top_k:>6}{text}")


if __name__ == "__main__":
    main()
