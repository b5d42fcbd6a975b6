"""Cells and records as lines of CSV hold them."""

from __future__ import annotations

from collections.abc import Sequence

from async_export.formats._texts import joined_texts
from async_export.types import Cell

__all__ = ("quoted", "quoted_column", "wholly_quoted")


def quoted(texts: Sequence[str], joined: str, delimiter: str) -> Sequence[str]:
    r"""Give the *texts* of one column as ``QUOTE_MINIMAL`` writes them.

    Args:
        texts: The texts.
        joined: They, with anything between them.
        delimiter: What stands between cells.
    """
    if '"' not in joined and delimiter not in joined and "\n" not in joined and "\r" not in joined:
        return texts
    return [
        '"' + text.replace('"', '""') + '"'
        if delimiter in text or '"' in text or "\n" in text or "\r" in text
        else text
        for text in texts
    ]


def wholly_quoted(texts: Sequence[str], joined: str) -> Sequence[str]:
    """Give the *texts* of one column as ``QUOTE_ALL`` writes them, but for the quotes around."""
    return texts if '"' not in joined else [text.replace('"', '""') for text in texts]


def quoted_column(cells: Sequence[Cell], delimiter: str) -> Sequence[str]:
    """Give the cells of one column as ``QUOTE_MINIMAL`` writes them."""
    return quoted(*joined_texts(cells), delimiter)
