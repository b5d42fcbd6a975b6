"""Values as literals of standard SQL, as tablib writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from types import NoneType
from typing import Any, Final, TypeAlias
from uuid import UUID

from async_export.formats._cell_error import CellError
from async_export.formats._texts import cell_text
from async_export.types import Cell

__all__ = ("STANDARD_LITERALS", "MakeText", "shown_text")

MakeText: TypeAlias = Callable[[Any], str]
"""Makes a text of a value."""


def shown_text(cell: Cell) -> str:
    """Give the text of a value that SQL has no type for, as text formats show it.

    Raises:
        CellError: it has none.
    """
    try:
        return cell_text(cell)
    except TypeError as error:
        raise CellError(f"a value of type {type(cell).__name__!r} has no text") from error


def _string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _float(value: float) -> str:
    return float.__repr__(value) if isfinite(value) else "NULL"


def _decimal(value: Decimal) -> str:
    return Decimal.__str__(value) if value.is_finite() else "NULL"


STANDARD_LITERALS: Final[Mapping[type, MakeText]] = {
    NoneType: lambda _: "NULL",
    bool: lambda value: "TRUE" if value else "FALSE",
    int: int.__repr__,
    float: _float,
    Decimal: _decimal,
    str: _string,
    datetime: lambda value: f"TIMESTAMP '{datetime.isoformat(value, ' ')}'",
    date: lambda value: f"DATE '{date.isoformat(value)}'",
    time: lambda value: f"'{time.isoformat(value)}'",
    timedelta: lambda value: f"'{timedelta.__str__(value)}'",
    UUID: lambda value: f"'{value}'",
    object: lambda value: _string(shown_text(value)),
}
"""By type, what makes the literals of its values."""
