"""Whether the simulated model's answers hold the fact that was asked for, retrieval included.

Nothing in the simulated model was made for these questions or their handbook: its weights were
chosen on other folders, and only totals of this benchmark were looked at.
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
    """Print the share of right answers per language and number of chunks shown."""
    print(f"{'':4}{'top_k':>6}{'right':>14}")
    for language in ("en", "zh"):
        for top_k in (2, 3):
            rows = asyncio.run(_right(language, top_k))
            text = f"{sum(rows)}/{len(rows)} {sum(rows) / len(rows):.0%}"
            print(f"{language:4}{top_k:>6}{text:>14}")


if __name__ == "__main__":
    main()
