"""What passes between plan and encoder: columns, records, cells. No SQLAlchemy here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

__all__ = ("Cell", "CellForm", "Column", "Kind", "LogicalType", "Record", "UnrepresentableText")

Cell: TypeAlias = Any
"""One value ready for a format: text for text formats, typed for typed ones."""

Record: TypeAlias = Sequence[Cell]
"""The cells of one line, one for each column, in the columns' order."""

CellForm: TypeAlias = Literal["text", "native"]
"""Which cells a format takes: what ``Widget.render`` gives, or what ``Widget.native`` gives."""


class Kind(StrEnum):
    """The kinds of values that typed formats tell apart."""

    ANY = "any"
    BINARY = "binary"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    DECIMAL = "decimal"
    DURATION = "duration"
    FLOAT = "float"
    INTEGER = "integer"
    JSON = "json"
    LIST = "list"
    TEXT = "text"
    TIME = "time"
    UUID = "uuid"


@dataclass(frozen=True, slots=True)
class LogicalType:
    """The type of a column, as far as a typed format needs it.

    Attributes:
        kind: What its values are; ``Kind.ANY`` when nothing is known.
        bits: Width of an integer (16, 32, 64) or float (32, 64); None if unknown.
        precision: Digits of a decimal; None if unbounded.
        scale: Digits after the point of a decimal; None if unbounded.
        timezone: Whether a datetime or time carries an offset.
        item: Type of a list's items.
    """

    kind: Kind = Kind.ANY
    bits: int | None = None
    precision: int | None = None
    scale: int | None = None
    timezone: bool = False
    item: LogicalType | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the output.

    Attributes:
        name: Name of the field.
        header: What the header line shows.
        type: Logical type of its native cells.
        number_format: Spreadsheet number format, such as ``"0.00"``; None for the default.
    """

    name: str
    header: str
    type: LogicalType = LogicalType()
    number_format: str | None = None


class UnrepresentableText(str):
    """The database's own text of a value that Python's type cannot hold, such as ``infinity``.

    Widgets pass it on unchanged, in text and native cells alike.
    """

    __slots__ = ()
