"""Cells as JSON, so that they can be compared across processes without losing their types."""

from __future__ import annotations

from typing import Any

__all__ = ("as_json",)


def as_json(cell: Any) -> Any:
    """Give a cell that JSON holds with its type as it is, any other as its type and text."""
    if cell is None or type(cell) in {bool, int, float}:
        return cell
    if isinstance(cell, str):
        # Django marks the text of numbers as safe for HTML.
        return str(cell)
    if isinstance(cell, list | tuple):
        return [as_json(each) for each in cell]
    return {"type": type(cell).__name__, "text": str(cell)}
