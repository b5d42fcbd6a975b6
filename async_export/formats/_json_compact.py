"""Records as JSON objects without spaces, by msgspec."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import NoneType
from typing import Any, Final
from uuid import UUID

from async_export.errors import ConfigurationError, EncodeError
from async_export.formats._json_objects import JSON_ERRORS, JSONObjects, reason
from async_export.formats._optional import require
from async_export.types import Cell, Column, Record

__all__ = ("CompactObjects", "check_compact")

_SAME: Final = frozenset({NoneType, bool, int, str, Decimal, UUID, date})
"""Types whose values msgspec writes as :mod:`json` does."""


def check_compact(*, ensure_ascii: bool) -> None:
    """Make sure that compact JSON can be written.

    Raises:
        ConfigurationError: it shall be ASCII.
        MissingDependencyError: msgspec is not installed.
    """
    if ensure_ascii:
        raise ConfigurationError("compact=True is never ASCII alone; leave out ensure_ascii=True")
    require("msgspec", "compact JSON", "fast")


class CompactObjects:
    """The records of one export as JSON objects keyed by header, without any spaces.

    They hold the values that `JSONObjects` gives them. Only floats with an exponent may look
    different: those that are cells are ``1e16``, not ``1e+16``.

    Args:
        columns: The columns, whose headers must differ from one another.

    Raises:
        ConfigurationError: two columns have the same header, and one would be lost.
        EncodeError: a header has no representation in UTF-8.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        import msgspec

        self._objects = JSONObjects(columns, ensure_ascii=False, separators=(",", ":"))
        self._encoder = msgspec.json.Encoder(decimal_format="string")
        self._raw: Callable[[bytes], object] = msgspec.Raw
        self._make_object = _object_maker(self._objects.headers)

    def to_list(self, records: Sequence[Record]) -> bytes:
        """Give the *records* as a JSON list of objects.

        Raises:
            EncodeError: a cell has no JSON form; names its column and type.
        """
        return self._encoded(self._encoder.encode, records)

    def to_lines(self, records: Sequence[Record]) -> bytes:
        """Give the *records* as objects on lines of their own; errors are those of `to_list`."""
        return self._encoded(self._encoder.encode_lines, records)

    def _encoded(self, encode: Callable[[Any], bytes], records: Sequence[Record]) -> bytes:
        try:
            columns = [self._values(cells) for cells in zip(*records, strict=True)]
            rows = zip(*columns, strict=True) if columns else records
            return encode([*map(self._make_object, rows)])
        except JSON_ERRORS as error:
            self._objects.raise_culprit(records)
            raise EncodeError(reason(error)) from error

    def _values(self, cells: Sequence[Cell]) -> Sequence[object]:
        """Give the cells of a column, with JSON for what msgspec would write in another way."""
        types = {*map(type, cells)}
        if types <= _SAME:
            return cells
        if types <= {float, NoneType} and math.isfinite(sum(filter(None, cells))):
            return cells
        if types <= {datetime, NoneType} and {cell.tzinfo for cell in cells if cell} == {UTC}:
            return self._instants(cells)
        return [self._value(cell) for cell in cells]

    def _instants(self, cells: Sequence[datetime | None]) -> list[object]:
        """Do with datetimes in UTC what `_value` does, several times faster."""
        texts = self._encoder.encode(cells)[1:-1].replace(b'Z"', b'+00:00"')
        return [*map(self._raw, texts.split(b","))]

    def _value(self, cell: Cell) -> object:
        cls = type(cell)
        if cls in _SAME:
            return cell
        if cls is float and math.isfinite(cell):
            return cell
        if cls in {datetime, time} and cell.tzinfo is None:
            return cell
        return self._raw(self._objects.dump_cell(cell).encode())


def _object_maker(headers: Sequence[str]) -> Callable[[Record], object]:
    """Give what makes of a record an object that msgspec can write.

    A struct takes a third of the time of a dict, but not every name.
    """
    import msgspec

    names = [f"field_{place}" for place in range(len(headers))]
    try:
        struct = msgspec.defstruct(
            "Record", names, rename=dict(zip(names, headers, strict=True)), gc=False
        )
    except ValueError:
        return lambda record: dict(zip(headers, record, strict=True))
    return lambda record: struct(*record)
