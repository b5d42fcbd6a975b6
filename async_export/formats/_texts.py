"""Texts of cells, one by one and of whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from typing import Final

from async_export.types import Cell
from async_export.widgets import AutoWidget

__all__ = ("SEPARATOR", "cell_text", "exact_text", "joined_texts")

SEPARATOR: Final = "\x1e"
"""Put between the texts of a column, so that they are searched at once; hardly a cell holds it."""

_WIDGET = AutoWidget()


def cell_text(value: Cell) -> str:
    """Give the text of a value that a format has no type for, as text formats show it.

    Raises:
        TypeError: it has none; the message names types only.
    """
    return str(_WIDGET.render(value))


def exact_text(value: Cell) -> str:
    """Give the text of a value as `cell_text` does, but of times with fraction and offset.

    Raises:
        TypeError: it has none; the message names types only.
    """
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, time) else cell_text(value)


def joined_texts(cells: Sequence[Cell], separator: str = "") -> tuple[Sequence[str], str]:
    """Give the texts of the cells of one column, and them with the *separator* between them.

    Args:
        cells: None is nothing, a string as it is, all else its ``str``.
        separator: Anything.
    """
    try:
        return cells, separator.join(cells)
    except TypeError:
        texts = [
            cell if isinstance(cell, str) else "" if cell is None else str(cell) for cell in cells
        ]
        return texts, separator.join(texts)
