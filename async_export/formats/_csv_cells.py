"""Cells as lines of CSV hold them."""

from __future__ import annotations

from collections.abc import Sequence

from async_export.types import Cell

__all__ = ("quoted_column",)


def quoted_column(cells: Sequence[Cell], delimiter: str) -> Sequence[str]:
    r"""Give the cells of one column as ``QUOTE_MINIMAL`` writes them.

    Args:
        cells: None is nothing, a string as it is, all else its ``str``.
        delimiter: What stands between cells.
    """
    try:
        whole = "".join(cells)
    except TypeError:
        cells = [
            cell if isinstance(cell, str) else "" if cell is None else str(cell) for cell in cells
        ]
        whole = "".join(cells)
    if '"' not in whole and delimiter not in whole and "\n" not in whole and "\r" not in whole:
        return cells
    return [
        '"' + cell.replace('"', '""') + '"'
        if delimiter in cell or '"' in cell or "\n" in cell or "\r" in cell
        else cell
        for cell in cells
    ]
