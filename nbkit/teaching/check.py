"""A check of this environment: a table of results, with a fix for each problem."""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from nbkit.errors import NbkitError
from nbkit.language import say, to_say
from nbkit.wording import listed, width

DISTRIBUTION = "nbkit-streaming"
PYTHONS = ("3.11", "3.12", "3.13")
"""The versions the course is tested on."""
NOT_STREAMING = ("0.14.22", "0.14.23", "0.14.24")
"""Releases of llama-index-core that collect a stream before passing it on: see notebook 10."""

SETTINGS = (
    "NBKIT_API_KEY",
    "NBKIT_CACHE",
    "NBKIT_LANG",
    "NBKIT_LLM",
    "NBKIT_PRICES",
    "NBKIT_SPEED",
)
"""All environment variables that nbkit reads for its settings."""


@dataclass(frozen=True)
class Finding:
    """One line of the table; `fix` says what to do, and is empty if there is no problem."""

    subject: str
    words: str
    fix: str = ""

    @property
    def mark(self) -> str:
        """✓ or ✗."""
        return "✗" if self.fix else "✓"


@dataclass(frozen=True, repr=False)
class EnvironmentCheck:
    """The results of `check`, shown as a table with a fix for each problem."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether there is no problem."""
        return not any(finding.fix for finding in self.findings)

    def __repr__(self) -> str:
        longest = max(width(finding.subject) for finding in self.findings)
        lines = []
        for each in self.findings:
            gap = " " * (longest - width(each.subject))
            lines.append(f"{each.mark} {each.subject}{gap}  {each.words}")
            if each.fix:
                lines.append(f"  {'':{longest}}  → {each.fix}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = ""
        for each in self.findings:
            fix = f"<br><b>→ {escape(each.fix)}</b>" if each.fix else ""
            rows += f"<tr><td>{each.mark}</td><td>{each.subject}</td>"
            style = "text-align: left; overflow-wrap: anywhere"
            rows += f'<td style="{style}">{escape(each.words)}{fix}</td></tr>'
        return f"<table>{rows}</table>"


def check() -> EnvironmentCheck:
    """Check everything that the course needs, and name a fix for each problem.

    It starts the simulated model and loads the offline embedding, which takes some seconds in a new
    kernel. It changes nothing, asks no model and downloads nothing. Taught in notebook 00.
    """
    findings = []
    for name, look in _LOOKS.items():
        subject = say(name)
        try:
            findings.append(Finding(subject, look()))
        except NbkitError as error:
            findings.append(
                Finding(subject, error.happened, error.advice or say("see the message"))
            )
        except Exception as error:  # noqa: BLE001 - the other lines must be shown in any case
            words = f"{type(error).__name__}: {error}"
            findings.append(
                Finding(subject, words, say("restart the kernel; if it stays, reinstall"))
            )
    return EnvironmentCheck(tuple(findings))


def _python() -> str:
    running = ".".join(map(str, sys.version_info[:3]))
    if ".".join(map(str, sys.version_info[:2])) not in PYTHONS:
        raise NbkitError(
            say("{running} is not among the versions the course is tested on", running=running),
            say(
                "install with one of {pythons}: make lab PYTHON=python{newest}",
                pythons=listed(PYTHONS),
                newest=PYTHONS[-1],
            ),
        )
    return running


def _packages() -> str:
    lines = [Requirement(line) for line in requires(DISTRIBUTION) or []]
    needed = [each for each in lines if not each.marker or each.marker.evaluate({"extra": ""})]
    wrong = {}
    for each in needed:
        try:
            found = version(each.name)
        except PackageNotFoundError:
            found = None
        if found is None or not each.specifier.contains(found, prereleases=True):
            words = f"{each.name} {found or say('missing')}"
            if each.name == "llama-index-core" and found in NOT_STREAMING:
                words = say("{package}, which gives an answer in one chunk", package=words)
            wrong[words] = f'"{str(each).partition(";")[0]}"'
    if wrong:
        raise NbkitError(
            say("; ").join(wrong),
            say(
                "pip install {packages}, then restart the kernel", packages=" ".join(wrong.values())
            ),
        )
    return say(
        "{needed} as needed, among them LlamaIndex {version}",
        needed=len(needed),
        version=version("llama-index-core"),
    )


def _kernel() -> str:
    found = version("ipykernel")
    if int(found.partition(".")[0]) < 7:
        raise NbkitError(
            say(
                "ipykernel {found} handles no button while a cell runs: Stop would come too late",
                found=found,
            ),
            say('pip install "ipykernel>=7", then restart JupyterLab'),
        )
    return say("ipykernel {found}: Stop works while a cell runs", found=found)


def _model() -> str:
    from nbkit import simulator
    from nbkit.models import connect
    from nbkit.models.keys import without_asking
    from nbkit.models.providers import SimulatedOpenAI

    simulator.current().stats()
    with without_asking():
        llm = connect()
    if not isinstance(llm, SimulatedOpenAI):
        # Not an error, but the user must know that requests may cost money.
        return say(
            "connect() asks {spec}, because NBKIT_LLM says so",
            spec=os.environ["NBKIT_LLM"],
        )
    speed = llm.profile.speed
    if speed == 0:
        return say(
            "simulated; NBKIT_SPEED is 0, so nothing waits: for tests, no streaming can be seen"
        )
    if speed == 1:
        return say("simulated")
    return say("simulated, {speed:g} times as fast (NBKIT_SPEED)", speed=speed)


def _embedding() -> str:
    from nbkit.models.embedding import OfflineEmbedding

    OfflineEmbedding().get_query_embedding("lamp")
    return say("works without network")


def _cache() -> str:
    from nbkit.corpus.kept import root

    folder = root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise NbkitError(
            say(
                "indexes cannot be kept ({error}), each kernel embeds again",
                error=error.strerror or error,
            ),
            say("set NBKIT_CACHE to a folder you may write to, then restart Jupyter"),
        ) from error
    return say("indexes are kept for the next start")


def _font() -> str:
    from nbkit.plots.fonts import chinese

    found = chinese()
    if found is None:
        raise NbkitError(
            say("none: figures show boxes where Chinese should be"),
            say("on Debian or Ubuntu: sudo apt install fonts-noto-cjk, then restart the kernel"),
        )
    return found


def _settings() -> str:
    ours = sorted(name for name in os.environ if name.startswith("NBKIT_"))
    if unknown := [name for name in ours if name not in SETTINGS]:
        raise NbkitError(
            say("{names} means nothing to nbkit", names=listed(unknown)),
            say("use {settings}", settings=listed(SETTINGS)),
        )
    hidden = {name: say("(hidden)") if name.endswith("KEY") else os.environ[name] for name in ours}
    told = ", ".join(f"{name}={value}" for name, value in hidden.items())
    return told or say("none: everything at its default")


_LOOKS: dict[str, Callable[[], str]] = {
    to_say("Python"): _python,
    to_say("packages"): _packages,
    to_say("kernel"): _kernel,
    to_say("model"): _model,
    to_say("embedding"): _embedding,
    to_say("cache"): _cache,
    to_say("Chinese font"): _font,
    to_say("settings"): _settings,
}
