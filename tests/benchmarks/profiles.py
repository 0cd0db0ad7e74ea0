"""How near the simulated copy of a model (`profile_of`) is to the model: ratios of medians.

The models are three simulated ones, and the local one where it is installed. Each is measured at
one and at four requests at once, then its copy, with the same questions.
"""

import asyncio
from statistics import median
from typing import Any

import nbkit
from nbkit.errors import ConnectError
from nbkit.simulator import PROFILES, profile_of

LOADS, REQUESTS = [1, 4], 24
THINGS = ("light", "a lamp", "a desk", "a battery", "a book", "paper", "water", "a chair")
FORMS = (
    "In one short sentence: what is {}?",
    "Briefly, what is {} for?",
    "Say what {} is, shortly.",
)
# All differ: a simulated model answers the same question with the same timing.
QUESTIONS = [form.format(thing) for form in FORMS for thing in THINGS]
SHARED = {"ttft": 0.05, "tokens_per_second": 100, "total_tokens_per_second": 150}


def _models() -> dict[str, Any]:
    default = PROFILES["default"]
    profiles = {
        "hosted_fast": PROFILES["hosted_fast"],
        "two slots": default.change({"ttft": 0.2, "tokens_per_second": 100, "slots": 2}),
        "shared processor": default.change(SHARED),
    }
    models: dict[str, Any] = {
        name: nbkit.connect("simulated", profile=profile, speed=1)
        for name, profile in profiles.items()
    }
    try:
        models["local"] = nbkit.connect("local", temperature=0)
    except ConnectError as error:
        print(error)
    return models


async def _measure(llm: Any) -> nbkit.Experiment:
    return await nbkit.measure(
        QUESTIONS, {"it": llm}, max_concurrency=LOADS, requests=REQUESTS, warmup=4, progress=False
    )


def _median(experiment: nbkit.Experiment, load: int, metric: str) -> float:
    rows = [one for one in experiment.requests_of("it", load) if one.state == "done"]
    return median(getattr(one.trace, metric) for one in rows if not one.ramp)


async def _compare() -> None:
    print(f"copy / model, n = {REQUESTS} each{'':14}TTFT    TPOT   (model's seconds)")
    for name, llm in _models().items():
        real = await _measure(llm)
        copy = await _measure(nbkit.connect("simulated", profile=profile_of(real)))
        for load in LOADS:
            pairs = [[_median(x, load, m) for x in (real, copy)] for m in ("ttft", "tpot")]
            ratios = "".join(f"{copied / model:8.2f}" for model, copied in pairs)
            print(f"{name:18} {load} at once {'':8}{ratios}   {pairs[0][0]:.3f}, {pairs[1][0]:.4f}")


def main() -> None:
    """Measure each model, and its copy."""
    asyncio.run(_compare())


if __name__ == "__main__":
    main()
