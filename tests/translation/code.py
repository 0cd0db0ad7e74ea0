"""What a reader reads in a code cell: its comments and strings, found and replaced in place."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from IPython.core.inputtransformer2 import TransformerManager

# Python 3.12 takes an f-string apart; before, it is one token like any other string.
_F_BEGINS = getattr(tokenize, "FSTRING_START", None)
_F_ENDS = getattr(tokenize, "FSTRING_END", None)
_QUOTED = re.compile(r"""([A-Za-z]*)(\"""|'''|"|')(.*)\2""", re.S)
_LETTER = re.compile(r"[A-Za-z\u4e00-\u9fff]")
_NAME = re.compile(r"[A-Za-z][A-Za-z-]*")
_SENTENCE = re.compile(r"\S\s+\S|[\u4e00-\u9fff]")

STRING, COMMENT, NAME, KEY = "string", "comment", "name", "key"


class UnreadableCode(Exception):
    """A code cell that cannot be taken apart."""


@dataclass(frozen=True)
class Piece:
    """A part of a cell's source that may be said in another language.

    `kind` is STRING (what is between the quotes, as written), COMMENT (its lines, without `#`),
    NAME (a string of one word, the same in the whole notebook) or KEY (a NAME in brackets).
    `start` and `end` are places in the source.
    """

    kind: str
    text: str
    start: int
    end: int


def parse(source: str) -> ast.Module:
    """Parse a cell as IPython does, `await` at its top included; raises `UnreadableCode`."""
    source = _python(source)
    if TransformerManager().transform_cell(source).strip() != source.strip():
        raise UnreadableCode(f"it has a magic, whose text can't be translated: {source[:60]!r}")
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        tree = compile(source, "<cell>", "exec", flags)
    except SyntaxError as error:
        raise UnreadableCode(f"{error}: {source[:60]!r}") from error
    assert isinstance(tree, ast.Module)
    return tree


def _python(source: str) -> str:
    """Blank a first line such as `%%writefile batch.py`: what follows is Python all the same."""
    head, newline, rest = source.partition("\n")
    return " " * len(head) + newline + rest if head.startswith("%%") else source


@cache
def pieces(source: str) -> list[Piece]:
    """List what may be translated in a cell, in its order."""
    source = _python(source)
    lines = source.splitlines(keepends=True)
    before = [0]
    for line in lines:
        before.append(before[-1] + len(line))

    def place(position: tuple[int, int]) -> int:
        return before[position[0] - 1] + position[1]

    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    spots = [(place(start), place(end)) for start, end in _literals(tokens)]
    roles = {place(position): role for position, role in _roles(parse(source), lines)}
    found, role = [], ""
    for start, end in spots:
        # Only the first of several literals in a row stands in the tree.
        role = roles.get(start, role)
        quoted = _QUOTED.fullmatch(source[start:end])
        assert quoted, source[start:end]
        if kind := _kind(source[start:end], role):
            found.append(Piece(kind, quoted[3], start + quoted.start(3), start + quoted.end(3)))
    found += [
        Piece(COMMENT, text, place(start), place(end))
        for start, end, text in _comments(tokens)
        if _LETTER.search(text)
    ]
    return sorted(found, key=lambda piece: piece.start)


def _literals(tokens: list[tokenize.TokenInfo]) -> Iterator[tuple[tuple[int, int], ...]]:
    depth, began = 0, (0, 0)
    for token in tokens:
        if token.type == _F_BEGINS:
            began = began if depth else token.start
            depth += 1
        elif token.type == _F_ENDS:
            depth -= 1
            if not depth:
                yield began, token.end
        elif token.type == tokenize.STRING and not depth:
            yield token.start, token.end


def _comments(
    tokens: list[tokenize.TokenInfo],
) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """Yield comments; those that fill neighbouring lines, one below the other, are one."""
    block: list[tokenize.TokenInfo] = []
    for token in [token for token in tokens if token.type == tokenize.COMMENT]:
        alone = token.line.lstrip().startswith("#")
        below = block and token.start == (block[-1].start[0] + 1, block[-1].start[1])
        if block and not (alone and below and block[-1].line.lstrip().startswith("#")):
            yield _joined(block)
            block = []
        block.append(token)
    if block:
        yield _joined(block)


def _joined(block: list[tokenize.TokenInfo]) -> tuple[tuple[int, int], tuple[int, int], str]:
    text = "\n".join(token.string.removeprefix("#").removeprefix(" ") for token in block)
    return block[0].start, block[-1].end, text


def _roles(tree: ast.Module, lines: list[str]) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield where each string stands, and whether it is printed or a key in brackets."""
    for parent in ast.walk(tree):
        prints = isinstance(parent, ast.Call) and getattr(parent.func, "id", "") == "print"
        for child in ast.iter_child_nodes(parent):
            text = isinstance(child, ast.JoinedStr) or (
                isinstance(child, ast.Constant) and isinstance(child.value, str)
            )
            if text and not isinstance(parent, ast.JoinedStr):
                line = lines[child.lineno - 1].encode()
                column = len(line[: child.col_offset].decode())
                printed = prints and child in parent.args
                key = isinstance(parent, ast.Subscript) and child is parent.slice
                yield (child.lineno, column), "printed" if printed else KEY if key else ""


def _kind(literal: str, role: str) -> str:
    node = ast.parse(literal, mode="eval").body
    if isinstance(node, ast.JoinedStr):
        shown = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
        return STRING if _LETTER.search(shown) else ""
    text = node.value if isinstance(node, ast.Constant) else ""
    if not isinstance(text, str) or not _LETTER.search(text):
        return ""
    if _SENTENCE.search(text.strip()) or role == "printed":
        return STRING
    if _NAME.fullmatch(text):
        return KEY if role == KEY else NAME
    return STRING if text.endswith((":", ",")) else ""


def replaced(source: str, say: Callable[[Piece], str]) -> str:
    """Put what `say` gives in the place of each piece of a cell's source."""
    for piece in reversed(pieces(source)):
        text = say(piece)
        if text == piece.text:
            continue
        if piece.kind == COMMENT:
            column = piece.start - source.rfind("\n", 0, piece.start) - 1
            text = ("\n" + " " * column).join(f"# {line}".rstrip() for line in text.split("\n"))
        source = source[: piece.start] + text + source[piece.end :]
    return source


def same(source: str, translation: str, names: dict[str, str]) -> bool:
    """Tell whether two cells are equal as syntax trees, but for strings and `names`.

    In an f-string the text may change and its fields may change places; what they hold may not.
    """
    free = {piece.start for piece in pieces(source) if piece.kind == STRING}
    ours = _Masked(names, source, free)
    theirs = _Masked({}, translation, set(), ours.free)
    return ast.dump(ours.tree) == ast.dump(theirs.tree)


class _Masked(ast.NodeTransformer):
    """A tree without the text of its strings; `free` tells, string by string, which ones."""

    def __init__(
        self, names: dict[str, str], source: str, places: set[int], free: list[bool] | None = None
    ) -> None:
        self.names, self.places = names, places
        self.lines = source.splitlines(keepends=True)
        self.given = None if free is None else list(free)
        self.free: list[bool] = []
        self.tree = self.visit(parse(source))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        named = _Named(self.names)
        fields = [named.visit(part) for part in node.values if isinstance(part, ast.FormattedValue)]
        return ast.JoinedStr(values=sorted(fields, key=ast.dump))

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if not isinstance(node.value, str):
            return node
        self.free.append(self._is_free(node))
        if self.free[-1]:
            return ast.Constant(value="")
        return ast.Constant(value=self.names.get(node.value, node.value))

    def _is_free(self, node: ast.Constant) -> bool:
        if self.given is not None:
            place = len(self.free)
            return place < len(self.given) and self.given[place]
        line = self.lines[node.lineno - 1]
        column = len(line.encode()[: node.col_offset].decode())
        start = sum(map(len, self.lines[: node.lineno - 1])) + column
        literal = re.compile(r"""[A-Za-z]*(\"""|'''|"|')""").match("".join(self.lines), start)
        return literal is not None and literal.end() in self.places


class _Named(ast.NodeTransformer):
    """Puts a notebook's names in another language."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, str):
            return ast.Constant(value=self.names.get(node.value, node.value))
        return node
