"""Build the course as a web site that needs no server and no kernel (`make book`).

Every notebook with its stored outputs, the map as the start page, and the teacher's guide, in
`build/book`; the Chinese notebooks in its folder `zh`. The pages follow the reader's light or dark
theme, fetch nothing and run nothing: their policy forbids all scripts, those of an answer included.
"""

import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from jinja2 import DictLoader
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode

from tests.execute_notebooks import FOLDER, all_notebooks, folder_of, read
from tests.exercises import tags

BOOK = FOLDER.parent / "build" / "book"
_START = {
    "en": """\
# What streaming and async really do to an LLM application

A course in Jupyter notebooks on LlamaIndex, with all their outputs. To run them yourself, get the
repository and type `make lab`: no key and, once it's installed, no network is needed.
""",
    "zh": """\
# 流式输出和异步，到底给大模型应用带来了什么

一套基于 LlamaIndex 的 Jupyter 笔记本课程，带有全部运行结果。想自己运行，就取来代码仓库，输入
`make lab`：不需要密钥；装好以后，也不需要网络。
""",
}
_WORDS = {
    "en": {"course": "The course", "solution": "Solution"},
    "zh": {"course": "课程目录", "solution": "参考答案"},
}
_MAP = {"00-049", "00-n01"}
"""The cells of notebook 00 that the start page shows: the map, and the ways through it."""
_TEMPLATE = """\
{%- extends "lab/index.html.j2" -%}
{%- block html_head_js -%}
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; font-src data:">
<meta name="color-scheme" content="light dark">
{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<style>@media (prefers-color-scheme: dark) {
{{ resources.include_css("static/theme-dark.css") | replace("<style type=\\"text/css\\">", "")
   | replace("</style>", "") }}
}</style>
<style>
body { background: var(--jp-layout-color0); }
main { max-width: 62rem; margin: 0 auto; }
.nbkit-book { padding: 1rem 1rem 0 5.5rem; font-family: var(--jp-content-font-family); }
.nbkit-book a, .jp-RenderedHTMLCommon a { color: var(--jp-content-link-color, #1976d2); }
.nbkit-solution summary { cursor: pointer; padding: 0.4rem 0 0.4rem 5.5rem;
  color: var(--jp-content-font-color1); font-family: var(--jp-content-font-family); }
img { max-width: 100%; height: auto; }
@media (max-width: 48rem) { .jp-InputPrompt, .jp-OutputPrompt { display: none; }
  .nbkit-book, .nbkit-solution summary { padding-left: 1rem; } }
</style>
{%- endblock -%}
{%- block body_header -%}
{{ super() }}
<nav class="nbkit-book"><a href="{{ resources.words.start }}">{{ resources.words.course }}</a></nav>
{%- endblock -%}
{%- block codecell -%}
{%- if "solution" in cell.metadata.get("tags", []) -%}
<details class="nbkit-solution">
<summary>{{ resources.words.solution }}</summary>{{ super() }}</details>
{%- else -%}
{{ super() }}
{%- endif -%}
{%- endblock -%}
"""


def _pages(language: str) -> dict[str, NotebookNode]:
    """Give what becomes a page, by the name of its file: the notebooks and their start page."""
    notebooks = {path.stem: read(path) for path in all_notebooks(language)}
    if start := notebooks.get("00_start_here"):
        ways = [cell.source for cell in start.cells if cell.id in _MAP]
        assert len(ways) == len(_MAP)
        notebooks["index"] = _prose(_START[language], *ways)
    return notebooks


def _prose(*texts: str) -> NotebookNode:
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(text) for text in texts],
    )


def _page_links(notebook: NotebookNode, beside: set[str]) -> None:
    """Point links between notebooks at their pages, and unfold what JupyterLab folds.

    A link to a notebook that isn't `beside` this one leads to the English one, a folder up.
    """

    def led(link: re.Match[str]) -> str:
        stem = link[1].removeprefix("](")
        away = re.match(r"\d\d_\w+$", stem) and stem not in beside
        return f"](../{stem}.html" if away else f"{link[1]}.html"

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"(\]\((?!https?:)[^)#\s]+)\.(?:ipynb|md)\b", led, cell.source)
            # The map doesn't link the notebook it stands in.
            cell.source = re.sub(r"\*\*(00 [^*]+)\*\*", r"[\1](00_start_here.html)", cell.source)
        if "solution" in tags(cell):
            del cell.metadata["jupyter"]


def build(out: Path) -> list[Path]:
    """Write all pages into `out`, a new folder; returns them."""
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"book.html.j2": _TEMPLATE})], template_file="book.html.j2"
    )
    shutil.copytree(FOLDER / "images", out / "images")
    guides = {path.stem: _prose(path.read_text("utf-8")) for path in FOLDER.glob("README*.md")}
    course = {language: _pages(language) for language in _WORDS}
    start = "zh/index.html" if "index" in course["zh"] else "index.html"
    guide_words = {"README.zh": {**_WORDS["zh"], "start": start}}
    written = []
    for language, words in _WORDS.items():
        place = out / folder_of(language).relative_to(FOLDER)
        place.mkdir(exist_ok=True)
        pages = course[language] | (guides if place == out else {})
        words |= {"start": "index.html" if "index" in pages else "../index.html"}
        for name, notebook in pages.items():
            _page_links(notebook, set(pages))
            title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
            notebook.metadata["title"] = title
            html, _ = exporter.from_notebook_node(notebook, {"words": guide_words.get(name, words)})
            page = place / f"{name}.html"
            page.write_text(html, encoding="utf-8")
            print(f"{page.relative_to(out)}: {page.stat().st_size / 1000:.0f} kB", flush=True)
            written.append(page)
    return written


class _Links(HTMLParser):
    """Collects what a page points at, and what can be pointed at in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src"} and value:
                self.targets.append(value)
            if name == "id" and value:
                self.places.add(value)


def dead_links(book: Path) -> list[str]:
    """List the links that lead nowhere: a missing page, picture or heading; others' sites not."""
    pages = {page: _Links(page) for page in sorted(book.rglob("*.html"))}
    dead = []
    for page, links in pages.items():
        for link in links.targets:
            parts = urlsplit(link)
            if parts.scheme in {"http", "https", "data"}:
                continue
            target = page if not parts.path else page.parent / unquote(parts.path)
            found = target.is_file() and target.resolve().is_relative_to(book.resolve())
            places = pages[target].places if target in pages else set()
            # A browser looks for the fragment as it is written, then decoded.
            led = not parts.fragment or {parts.fragment, unquote(parts.fragment)} & places
            if not (found and led):
                dead.append(f"{page.relative_to(book)}: {link}")
    return dead


def main() -> None:
    """Build the book and check its links; exit code 1 if one is dead."""
    shutil.rmtree(BOOK, ignore_errors=True)
    build(BOOK)
    if dead := dead_links(BOOK):
        sys.exit("Dead links:\n" + "\n".join(dead))
    print(f"open {(BOOK / 'index.html').relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
