"""The table of the formats."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from async_export.formats import PACKINGS, Encoder, available_formats

__all__ = ("print_formats",)

_HEADINGS = ("name", "extension", "content type", "streaming", "typed", "limits", "extra")

_WIDTH = 200
"""Columns of the table where there is no terminal."""


def print_formats(console: Console | None = None) -> None:
    """Print what each format is: its file, its limits, and what it needs.

    Args:
        console: Where to; by default stdout.
    """
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    shown = Table()
    for heading in _HEADINGS:
        shown.add_column(heading, overflow="fold")
    for encoder in available_formats():
        shown.add_row(*_row(encoder))
    console.print(shown)
    endings = ", ".join(f".{ending}" for ending in dict.fromkeys(PACKINGS))
    console.print(f"Each of them can be packed, as in csv.gz or books.csv.zip: {endings}.")


def _row(encoder: type[Encoder]) -> tuple[str, ...]:
    # An encoder of somebody else's need not tell the last two.
    limits = [getattr(encoder, "limits", "")]
    if encoder.max_rows is not None:
        limits.insert(0, f"{encoder.max_rows:,} rows")
    return (
        encoder.name,
        f".{encoder.extension}",
        encoder.content_type.partition(";")[0],
        "yes" if encoder.streaming else "no",
        "yes" if encoder.cells == "native" else "no",
        ", ".join(filter(None, limits)),
        getattr(encoder, "extra", ""),
    )
