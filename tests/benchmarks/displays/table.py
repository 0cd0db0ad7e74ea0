"""Tables as GitHub reads them, and figures with their spread."""

from collections.abc import Sequence
from statistics import median


def ratio(value: float) -> str:
    """Two significant digits, without an exponent."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def spread(values: Sequence[float]) -> str:
    """Median (min–max); a single value stands alone."""
    middle = ratio(median(values))
    return f"{middle} ({ratio(min(values))}–{ratio(max(values))})" if len(values) > 1 else middle


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table, columns aligned; short rows are filled up."""
    full = [[*row, *[""] * (len(head) - len(row))] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in full) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in full
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print("\n".join(lines), flush=True)
