"""Whether others measure the same: nbkit, guidellm and the vLLM benchmark's definitions.

All three ask the same simulated model the same prompts, one after the other, in one run. guidellm
is installed into `.venv-guidellm`, which takes 6 GB (it brings PyTorch): this benchmark runs only
when it is named.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from nbkit import measure
from nbkit.models.providers import compatible_llm
from nbkit.simulator import Simulator

ROOT = Path(__file__).parent.parent.parent
VENV = ROOT / ".venv-guidellm"
GUIDELLM = "guidellm>=0.8.1,<0.9"
N, AT_ONCE = 160, 8
PROFILE = {"ttft": 0.3, "ttft_per_1k_prompt_tokens": 0, "tokens_per_second": 50, "jitter": 0.05}
PROMPTS = [f"Question {number}: What can you do?" for number in range(N)]
GOAL = 0.03


def _install() -> None:
    if (VENV / "bin/guidellm").exists():
        return
    print(f"Installing {GUIDELLM} into {VENV.name} (once) ...", flush=True)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", VENV], check=True)
    python = VENV / "bin/python"
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, GUIDELLM], check=True)


def _nbkit(simulator: Simulator) -> dict[str, float]:
    llm = compatible_llm(simulator.base_url, "ruler", simulator.api_key)
    experiment = asyncio.run(
        measure(PROMPTS, llm, max_concurrency=AT_ONCE, requests=N, progress=False)
    )
    (point,) = experiment.points
    figures = {
        "first text": point.spread("ttft").p50,
        "gaps": point.spread("gaps").p50,
        "tpot": point.spread("tpot").p50,
        "end to end": point.spread("end_to_end").p50,
        "throughput": point.throughput,
        "tokens a second": point.token_throughput,
    }
    return {"n": point.n, **{name: figure or 0.0 for name, figure in figures.items()}}


def _wire(simulator: Simulator) -> dict[str, float]:
    address = [simulator.base_url, simulator.api_key, "ruler", str(AT_ONCE)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.wire_ruler", *address],
        input=json.dumps(PROMPTS),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _guidellm(simulator: Simulator, folder: Path) -> dict[str, float]:
    data, report = folder / "prompts.jsonl", folder / "report.json"
    data.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS), "utf-8")
    backend = {
        "kind": "openai_http",
        "target": simulator.base_url.removesuffix("/v1"),
        "model": "ruler",
        "api_key": simulator.api_key,
        "request_format": "/v1/chat/completions",
        "validate_backend": "false",
    }
    options = {
        "--backend": ",".join(f"{name}={value}" for name, value in backend.items()),
        "--profile": f"kind=concurrent,streams={AT_ONCE}",
        "--constraint": f"kind=max_requests,count={N}",
        "--data": f"kind=json_file,path={data}",
        "--output": f"kind=json,path={report}",
    }
    command = [VENV / "bin/guidellm", "run", "--disable-console"]
    for name, value in options.items():
        command += [name, value]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not report.exists():
        raise SystemExit(f"guidellm failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return _of_report(json.loads(report.read_text("utf-8"))["benchmarks"][0])


def _of_report(benchmark: dict[str, Any]) -> dict[str, float]:
    requests = benchmark["requests"]["successful"]
    begin = min(one["request_start_time"] for one in requests)
    end = max(one["request_end_time"] for one in requests)

    def typical(name: str, scale: float = 1.0) -> float:
        return median(one[name] for one in requests) / scale

    return {
        "n": len(requests),
        "first text": typical("time_to_first_token_ms", 1000),
        "tpot": typical("inter_token_latency_ms", 1000),
        "whole per token": typical("time_per_output_token_ms", 1000),
        "end to end": typical("request_latency"),
        "throughput": len(requests) / (end - begin),
        "tokens a second": sum(one["output_tokens"] for one in requests) / (end - begin),
    }


def _print(ours: dict[str, float], theirs: dict[str, float], wire: dict[str, float]) -> None:
    rows = (
        ("TTFT, s", "first text", "first text", "first text"),
        ("gap, s (vLLM: ITL)", "gaps", "", "gaps"),
        ("TPOT, s (guidellm: ITL)", "tpot", "tpot", "tpot"),
        ("end to end, s", "end to end", "end to end", "end to end"),
        ("answers a second", "throughput", "throughput", "throughput"),
        ("tokens a second", "tokens a second", "tokens a second", "tokens a second"),
        ("TTFT as vLLM has it, s", "first text", "", "first chunk"),
        ("TPOT as guidellm has it, s", "tpot", "whole per token", ""),
    )
    print(f"{'':30}{'nbkit':>10}{'guidellm':>20}{'from the wire':>20}")
    for label, *names in rows:
        told = [source.get(name) for source, name in zip((ours, theirs, wire), names, strict=True)]
        cells = [f"{told[0]:10.4f}"]
        for other in told[1:]:
            off = "" if other is None else f"{100 * (other / told[0] - 1):+.1f} %"
            cells.append(f"{'' if other is None else f'{other:.4f}':>11}{off:>9}")
        print(f"{label:30}{''.join(cells)}")
    print(
        f"n = {ours['n']:.0f}, {theirs['n']:.0f}, {wire['n']:.0f}; medians; (goal: within "
        f"{100 * GOAL:.0f} % in the first six rows, where all mean the same)\n"
        "Where they differ:\n"
        "  vLLM's TTFT ends with the first chunk that has choices, be its text empty: here the\n"
        "  announcement of the role, which comes at once.\n"
        "  guidellm's TPOT is the whole latency / tokens, so that TTFT is in it; what it calls\n"
        "  ITL is what vLLM and nbkit call TPOT. It pools no gaps.\n"
        "  guidellm's latency ends with the response, nbkit's and vLLM's with the last text."
    )


def main() -> None:
    """Print what three rulers say of the same model, and why where they differ."""
    _install()
    simulator = Simulator()
    try:
        simulator.set("ruler", **PROFILE)
        with tempfile.TemporaryDirectory() as folder:
            theirs = _guidellm(simulator, Path(folder))
        _print(_nbkit(simulator), theirs, _wire(simulator))
    finally:
        simulator.stop()


if __name__ == "__main__":
    main()
