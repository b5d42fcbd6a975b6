"""Records as Arrow tables that end where rows or bytes are enough."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from async_export.errors import ConfigurationError, EncodeError
from async_export.formats._arrow_cells import (
    Arrays,
    ArrowArray,
    UUIDForm,
    arrays_of,
)
from async_export.formats._cell_error import CellError, reason_of
from async_export.formats._headers import check_distinct
from async_export.types import Cell, Column, Record

__all__ = (
    "MAX_TABLE_BYTES",
    "Output",
    "RecordBatch",
    "Tables",
    "check_choice",
    "check_number",
)

RecordBatch: TypeAlias = Any
"""A ``pyarrow.RecordBatch``."""

MAX_TABLE_BYTES: Final = 2**30
"""Arrow counts the bytes of a text column in 31 bits, and the last record may be long."""

_JOINED_ROWS: Final = 1_024
"""Arrays of a few rows take far more memory than their data; so many are joined."""


class Tables:
    """Gathers records into tables.

    A table ends with the record by which it has *rows* rows or *size* bytes. That depends on
    nothing but the records: not on how they are cut into batches.

    Args:
        columns: The columns.
        rows: Rows of a full table.
        size: Bytes of data of a full table.
        uuid: How to hold UUIDs.

    Attributes:
        schema: The schema of all tables; it follows from the columns alone.
        taken: Bytes of data of all records so far.

    Raises:
        ConfigurationError: there are no columns, or two have the same header.
        EncodeError: a header has no representation in UTF-8.
    """

    def __init__(self, columns: Sequence[Column], *, rows: int, size: int, uuid: UUIDForm) -> None:
        if not columns:
            raise ConfigurationError("a table without columns cannot tell how many rows it has")
        check_distinct([column.header for column in columns], "an Arrow table")
        self._arrays = [(column.header, arrays_of(column.type, uuid)) for column in columns]
        self.schema = _schema(self._arrays)
        self._max_rows = rows
        self._max_size = size
        self.taken = 0
        self._joined: list[RecordBatch] = []
        self._loose: list[RecordBatch] = []
        self._rows = self._size = self._loose_rows = 0

    def add(self, records: Sequence[Record]) -> Iterator[RecordBatch]:
        """Take *records*, and give the tables that are full by them.

        Raises:
            EncodeError: a cell has no representation; names its column.
        """
        if not records:
            return
        batch = self._batch(records)
        while batch.num_rows:
            part = batch.slice(0, self._max_rows - self._rows)
            size = _data_size(part)
            room = self._max_size - self._size
            if size > room:
                part = part.slice(0, _fewest_rows(part, room))
            batch = batch.slice(part.num_rows)
            self._keep(part, size)
            if self._rows == self._max_rows or self._size >= self._max_size:
                yield self._take()

    def rest(self) -> Iterator[RecordBatch]:
        """Give the last table, if it has any rows."""
        if self._rows:
            yield self._take()

    def _batch(self, records: Sequence[Record]) -> RecordBatch:
        import pyarrow as pa

        columns = zip(self._arrays, zip(*records, strict=True), strict=True)
        arrays = [_array(header, arrays, cells) for (header, arrays), cells in columns]
        return pa.record_batch(arrays, schema=self.schema)

    def _keep(self, part: RecordBatch, size: int) -> None:
        import pyarrow as pa

        self._rows += part.num_rows
        self._size += size
        self.taken += size
        self._loose.append(part)
        self._loose_rows += part.num_rows
        if self._loose_rows >= _JOINED_ROWS:
            self._joined.append(pa.concat_batches(self._loose))
            self._loose, self._loose_rows = [], 0

    def _take(self) -> RecordBatch:
        import pyarrow as pa

        # In one piece, for pages end where the pieces do.
        parts = [*self._joined, *self._loose]
        self._joined, self._loose = [], []
        self._rows = self._size = self._loose_rows = 0
        return pa.concat_batches(parts)


class Output:
    """The file that pyarrow writes to; what it has written is taken from it."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        """Keep *data*, a buffer that may change afterwards."""
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing."""

    def take(self) -> bytes:
        """Give what was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def check_choice(option: str, value: Any, known: Sequence[Any]) -> None:
    """Refuse a *value* that an option does not have.

    Raises:
        ConfigurationError: it is none of the *known* ones.
    """
    if value not in known:
        listed = ", ".join(map(repr, known))
        raise ConfigurationError(f"{option} must be one of {listed}, not {value!r}")


def check_number(option: str, value: Any, most: int) -> None:
    """Refuse a *value* that is no number from 1 to *most*.

    Raises:
        ConfigurationError: it is none.
    """
    if type(value) is not int or not 1 <= value <= most:
        message = f"{option} must be a whole number from 1 to {most:,}, not {value!r}"
        raise ConfigurationError(message)


def _schema(arrays: Sequence[tuple[str, Arrays]]) -> Any:
    import pyarrow as pa

    for header, _ in arrays:
        try:
            header.encode()
        except UnicodeEncodeError as error:
            raise EncodeError(f"column {header!r}: {reason_of(error)}") from error
    return pa.schema([pa.field(header, each.arrow_type) for header, each in arrays])


def _array(header: str, arrays: Arrays, cells: Sequence[Cell]) -> ArrowArray:
    try:
        return arrays.array(cells)
    except CellError as error:
        raise EncodeError(f"column {header!r}: {error}") from error


def _fewest_rows(batch: RecordBatch, size: int) -> int:
    """Count the first rows of *batch* that have so many bytes together."""
    rows = range(batch.num_rows)
    return bisect_left(rows, size, key=lambda count: _data_size(batch.slice(0, count)))


def _data_size(batch: RecordBatch) -> int:
    """Count bytes in a way that adds up: ``nbytes`` has those of masks, which need not be there."""
    return sum(map(_array_size, batch.columns))


def _array_size(array: ArrowArray) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_list(kind):
        return 4 * len(array) + _array_size(array.flatten())
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        length: int = pc.sum(pc.binary_length(array)).as_py() or 0
        return 4 * len(array) + length
    width: int = kind.bit_width
    return len(array) * max(width // 8, 1)
