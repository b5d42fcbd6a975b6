"""Values as literals of PostgreSQL that mean the same under all of its settings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from math import copysign, isfinite
from types import NoneType
from typing import Any, Final
from uuid import UUID

from async_export.formats._by_type import ByType
from async_export.formats._cell_error import CellError
from async_export.formats._json_objects import JSON_ERRORS, JSONObjects
from async_export.formats._sql_literals import MakeText, shown_text
from async_export.formats._text_columns import TextMaker
from async_export.types import Cell, Kind, LogicalType, UnrepresentableText

__all__ = ("literals_of",)

_CONTAINERS: Final = (dict, list, tuple)


def literals_of(logical: LogicalType) -> TextMaker:
    """Give what makes the literals of a column.

    Args:
        logical: Type of its native cells.
    """
    known = ByType(_LITERALS)
    if logical.kind is Kind.JSON:
        known = ByType({NoneType: _null, UnrepresentableText: string_literal, object: _json})
    elif logical.kind is Kind.LIST:
        array = partial(_array, item=logical.item or LogicalType())
        known |= {list: array, tuple: array}
    return lambda cells: [known[type(cell)](cell) for cell in cells]


def string_literal(text: str) -> str:
    """Give *text* as a literal, which takes the type of the column that it is for.

    It has no backslash whose meaning ``standard_conforming_strings`` decides.

    Raises:
        CellError: it has a NUL.
    """
    if "\0" in text:
        raise CellError("a text with NUL, which PostgreSQL cannot hold")
    quoted = text.replace("'", "''")
    return "E'{}'".format(quoted.replace("\\", "\\\\")) if "\\" in text else f"'{quoted}'"


def _null(_: Cell) -> str:
    return "NULL"


def _float(value: float) -> str:
    # A bare number is a numeric at first, which knows no negative zero.
    is_plain = isfinite(value) and (value or copysign(1, value) > 0)
    return _float_text(value) if is_plain else f"'{_float_text(value)}'::float8"


def _float_text(value: float) -> str:
    return float.__repr__(value) if isfinite(value) else str(Decimal(value))


def _decimal(value: Decimal) -> str:
    return _decimal_text(value) if value.is_finite() else f"'{_decimal_text(value)}'::numeric"


def _decimal_text(value: Decimal) -> str:
    return "NaN" if value.is_nan() else Decimal.__str__(value)


def _datetime(value: datetime) -> str:
    name = "TIMESTAMP" if value.utcoffset() is None else "TIMESTAMPTZ"
    return f"{name} '{_datetime_text(value)}'"


def _datetime_text(value: datetime) -> str:
    return datetime.isoformat(value, " ")


def _time(value: time) -> str:
    name = "TIME" if value.utcoffset() is None else "TIMETZ"
    return f"{name} '{time.isoformat(value)}'"


def _interval_text(value: timedelta) -> str:
    # Each number has its sign: IntervalStyle may apply a single one to all that follow.
    return f"{value.days:+d} days {value.seconds:+d}.{value.microseconds:06d} seconds"


def _bytes_text(value: bytes | bytearray | memoryview) -> str:
    return f"\\x{value.hex()}"


def _json(value: Cell) -> str:
    return string_literal(_json_text(value))


def _json_text(value: Cell) -> str:
    try:
        return _JSON.dump_cell(value)
    except JSON_ERRORS as error:
        raise CellError("a value that has no JSON form") from error


_JSON: Final = JSONObjects((), ensure_ascii=False)


def _list(value: Sequence[Any]) -> str:
    """Give a list of which nothing is known; the same ones are JSON for `AutoWidget`."""
    if any(isinstance(each, _CONTAINERS) for each in value):
        return _json(value)
    return _array(value, LogicalType())


def _array(value: Sequence[Any], item: LogicalType) -> str:
    return string_literal(_array_text(value, item))


def _array_text(value: Sequence[Any], item: LogicalType) -> str:
    """Give an array as its text, whose elements have the type of the column that it is for.

    The type of ``ARRAY[...]`` would have to be named, which for enums and domains nobody can.
    """
    elements = ",".join([_element(each, item) for each in value])
    return f"{{{elements}}}"


def _element(value: Any, item: LogicalType) -> str:
    if value is None:
        return "NULL"
    if item.kind is Kind.JSON and not isinstance(value, UnrepresentableText):
        return _quoted(_json_text(value))
    if isinstance(value, list | tuple):
        # Of an array whose dimensions were not declared, the item is that of the innermost.
        return _array_text(value, item.item or item)
    return _quoted(_TEXTS[type(value)](value))


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


_TEXTS: Final[ByType[MakeText]] = ByType(
    {
        bool: lambda value: "true" if value else "false",
        int: int.__repr__,
        float: _float_text,
        Decimal: _decimal_text,
        str: str.__str__,
        bytes: _bytes_text,
        bytearray: _bytes_text,
        memoryview: _bytes_text,
        datetime: _datetime_text,
        date: date.isoformat,
        time: time.isoformat,
        timedelta: _interval_text,
        UUID: str,
        dict: _json_text,
        Enum: lambda value: _TEXTS[type(value.value)](value.value),
        object: shown_text,
    }
)
"""By type, what makes the texts that PostgreSQL reads its values from."""

_LITERALS: Final[ByType[MakeText]] = ByType(
    {
        NoneType: _null,
        bool: lambda value: "TRUE" if value else "FALSE",
        int: int.__repr__,
        float: _float,
        Decimal: _decimal,
        str: string_literal,
        bytes: lambda value: f"{string_literal(_bytes_text(value))}::bytea",
        bytearray: lambda value: f"{string_literal(_bytes_text(value))}::bytea",
        memoryview: lambda value: f"{string_literal(_bytes_text(value))}::bytea",
        datetime: _datetime,
        date: lambda value: f"DATE '{date.isoformat(value)}'",
        time: _time,
        timedelta: lambda value: f"INTERVAL '{_interval_text(value)}'",
        UUID: lambda value: f"'{value}'::uuid",
        dict: _json,
        list: _list,
        tuple: _list,
        Enum: lambda value: _LITERALS[type(value.value)](value.value),
        object: lambda value: string_literal(shown_text(value)),
    }
)
"""By type, what makes the literals of its values."""
