"""Cells that a format cannot hold, and why."""

from __future__ import annotations

__all__ = ("CellError", "reason_of")


class CellError(ValueError):
    """A cell that the format or its column cannot hold; the message has no values."""


def reason_of(error: Exception) -> str:
    """Say why a cell has no text, without any part of it."""
    if isinstance(error, CellError):
        return str(error)
    if isinstance(error, UnicodeEncodeError):
        return f"a character that utf-8 cannot hold ({error.reason})"
    if isinstance(error, RecursionError):
        return "a value that is nested too deep or contains itself"
    return f"a value without a text ({type(error).__name__})"
