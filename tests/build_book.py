"""Build the course as a web site that needs no server and no kernel (`make book`).

Every notebook with its stored outputs, the map as the start page, and the teacher's guide, in
`build/book`. The pages follow the reader's light or dark theme, fetch nothing and run nothing:
their policy forbids all scripts, those of an answer included.
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

from tests.execute_notebooks import FOLDER, all_notebooks, read
from tests.exercises import tags

BOOK = FOLDER.parent / "build" / "book"
GUIDE = FOLDER / "README.md"
_START = """\
# What streaming and async really do to an LLM application

A course in Jupyter notebooks on LlamaIndex, with all their outputs. To run them yourself, get the
repository and type `make lab`: no key and, once it's installed, no network is needed.
"""
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
<nav class="nbkit-book"><a href="index.html">The course</a></nav>
{%- endblock -%}
{%- block codecell -%}
{%- if "solution" in cell.metadata.get("tags", []) -%}
<details class="nbkit-solution"><summary>Solution</summary>{{ super() }}</details>
{%- else -%}
{{ super() }}
{%- endif -%}
{%- endblock -%}
"""


def _pages() -> dict[str, NotebookNode]:
    """Give what becomes a page, by the name of its file."""
    notebooks = {path.stem: read(path) for path in all_notebooks()}
    start = next(iter(notebooks.values()))
    ways = [
        cell.source
        for cell in start.cells
        if cell.source.startswith(("## The map", "## Which way through?"))
    ]
    prose = {"index": [_START, *ways], GUIDE.stem: [GUIDE.read_text("utf-8")]}
    texts = {
        name: nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_markdown_cell(text) for text in cells]
        )
        for name, cells in prose.items()
    }
    return {**texts, **notebooks}


def _page_links(notebook: NotebookNode) -> None:
    """Point links between notebooks at their pages, and unfold what JupyterLab folds."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(
                r"(\]\((?!https?:)[^)#\s]+)\.(?:ipynb|md)\b", r"\1.html", cell.source
            )
            cell.source = cell.source.replace(
                "**00 Start here**", "[00 Start here](00_start_here.html)"
            )
        if "solution" in tags(cell):
            del cell.metadata["jupyter"]


def build(out: Path) -> list[Path]:
    """Write all pages into `out`, a new folder; returns them."""
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"book.html.j2": _TEMPLATE})], template_file="book.html.j2"
    )
    shutil.copytree(FOLDER / "images", out / "images")
    written = []
    for name, notebook in _pages().items():
        _page_links(notebook)
        title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
        notebook.metadata["title"] = title
        html, _ = exporter.from_notebook_node(notebook)
        page = out / f"{name}.html"
        page.write_text(html, encoding="utf-8")
        print(f"{page.name}: {page.stat().st_size / 1000:.0f} kB", flush=True)
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
    pages = {page: _Links(page) for page in sorted(book.glob("*.html"))}
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
                dead.append(f"{page.name}: {link}")
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
