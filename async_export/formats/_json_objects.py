"""Records as JSON objects: what JSON and JSON Lines have in common."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias
from uuid import UUID

from async_export.errors import EncodeError
from async_export.formats._headers import check_distinct
from async_export.formats._texts import cell_text
from async_export.types import Cell, Column, Kind, Record

__all__ = ("JSON_ERRORS", "JSON_NATIVES", "JSONObjects", "key_texts", "line_template", "reason")

JSON_NATIVES = frozenset(
    {
        Kind.ANY,
        Kind.BOOLEAN,
        Kind.DATE,
        Kind.DATETIME,
        Kind.FLOAT,
        Kind.INTEGER,
        Kind.JSON,
        Kind.LIST,
        Kind.TEXT,
        Kind.TIME,
        Kind.UUID,
    }
)
"""Kinds whose native cells become JSON values; a decimal or duration is text in JSON too."""

JSON_ERRORS = (RecursionError, TypeError, ValueError)
"""What :mod:`json` raises: nested too deep, no JSON form, or not a number."""

Dump: TypeAlias = Callable[[Any], str]


class JSONObjects:
    """The records of one export as JSON objects keyed by header.

    Args:
        columns: The columns, whose headers must differ from one another.
        ensure_ascii: Whether to escape whatever is not ASCII.
        prefix: Put before the first key of each object.
        separators: What stands between items, and between key and value.

    Raises:
        ConfigurationError: two columns have the same header, and one would be lost.
        EncodeError: a header has no representation in UTF-8.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        ensure_ascii: bool,
        prefix: str = "",
        separators: tuple[str, str] = (", ", ": "),
    ) -> None:
        self.headers = tuple(column.header for column in columns)
        check_distinct(self.headers, "a JSON object")
        self._keys = (prefix + self.headers[0], *self.headers[1:]) if columns else ()
        # The C encoder exists only without indentation; it takes a whole batch per call.
        self._dump: Dump = json.JSONEncoder(
            ensure_ascii=ensure_ascii, allow_nan=False, default=_default, separators=separators
        ).encode
        for header in self.headers:
            self._attempt(header, header)

    def to_list(self, records: Sequence[Record]) -> bytes:
        """Return the *records* as one JSON list of objects, in UTF-8.

        Raises:
            EncodeError: a cell has no JSON form; names its column and type.
        """
        return self.to_bytes(self.dump(records), records)

    def dump(self, records: Sequence[Record]) -> str:
        """Return the *records* as one JSON list of objects.

        Raises:
            EncodeError: a cell has no JSON form; names its column and type.
        """
        objects = [dict(zip(self._keys, record, strict=True)) for record in records]
        try:
            return self._dump(objects)
        except JSON_ERRORS:
            # Most likely not a number; looking for it beforehand would cost every export.
            return self._dump_finite(objects, records)

    def dump_cell(self, cell: Cell) -> str:
        """Return one *cell* as JSON; raises what :mod:`json` does."""
        try:
            return self._dump(cell)
        except JSON_ERRORS:
            return self._dump(_finite(cell))

    def to_bytes(self, text: str, records: Sequence[Record]) -> bytes:
        """Return *text*, which was made of the *records*, in UTF-8.

        Raises:
            EncodeError: a cell holds a lone surrogate; names its column.
        """
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            self.raise_culprit(records)
            raise EncodeError(reason(error)) from error

    def raise_culprit(self, records: Sequence[Record]) -> None:
        """Raise an EncodeError about the first cell of the *records* that has no JSON form."""
        for record in records:
            for header, cell in zip(self.headers, record, strict=True):
                self._attempt(header, cell)

    def _dump_finite(self, objects: list[dict[str, Cell]], records: Sequence[Record]) -> str:
        try:
            return self._dump(_finite(objects))
        except JSON_ERRORS as error:
            self.raise_culprit(records)
            raise EncodeError(reason(error)) from error

    def _attempt(self, header: str, cell: Cell) -> None:
        try:
            self._dump(_finite(cell)).encode()
        except JSON_ERRORS as error:
            raise EncodeError(f"column {header!r}: {reason(error)}") from error


def key_texts(columns: Sequence[Column]) -> list[str]:
    """Return what stands before each value of an object; it ends with ``}``."""
    keys = [json.dumps(each.header, ensure_ascii=False) for each in columns]
    return [f"{', ' if place else '{'}{key}: " for place, key in enumerate(keys)]


def line_template(columns: Sequence[Column]) -> str:
    """Return an object on a line of its own, with ``%s`` in the place of each value."""
    return "".join([f"{key.replace('%', '%%')}%s" for key in key_texts(columns)]) + "}\n"


def _default(value: Any) -> Any:
    """Return what stands for *value* in JSON; called for what :mod:`json` does not know."""
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Enum):
        return _finite(value.value)
    if isinstance(value, timedelta):
        return cell_text(value)
    raise TypeError(f"a value of type {type(value).__name__!r} has no JSON form")


def _finite(value: Any) -> Any:
    """Return *value* with text in place of nan and the infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else float.__repr__(value)
    if isinstance(value, dict):
        return {
            _finite(key) if isinstance(key, float) else key: _finite(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def reason(error: Exception) -> str:
    """Say what is wrong, without any part of the value."""
    if isinstance(error, UnicodeEncodeError):
        return f"a character that utf-8 cannot hold ({error.reason})"
    if isinstance(error, RecursionError) or "Circular" in str(error):
        return "a value that is nested too deep or contains itself"
    return str(error)
