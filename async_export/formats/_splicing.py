"""Cells that Python makes, put into what COPY writes; no I/O."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import ClassVar, Protocol, TypeVar

from async_export.formats._csv_cells import quoted_column
from async_export.formats._framing import VALUE_END
from async_export.formats._json_objects import JSONObjects, line_template
from async_export.types import Column, Record

__all__ = ("CSVSplice", "JSONLinesSplice", "Splice")

_T = TypeVar("_T")


class Splice(Protocol):
    """Takes what hooks read out of COPY's rows, and puts the cells that they make in its place.

    One serves for one export.

    Attributes:
        first: Position of the first value that hooks read in what `reads` gives for a row.
        null: What stands there for NULL.
    """

    first: ClassVar[int]
    null: ClassVar[str]

    def arrange(self, cells: Sequence[_T | None], reads: Sequence[_T]) -> list[_T | str]:
        """Say what to select.

        Args:
            cells: A column that COPY writes for each cell; None where a hook makes it.
            reads: The columns that hooks read.

        Returns:
            Columns, and texts that stand for themselves.
        """
        ...

    def split(self, data: bytes) -> int:
        """Take *data*, which holds whole rows; give their number."""
        ...

    def reads(self, start: int, stop: int) -> list[Sequence[str]]:
        """Give the values that hooks read of some of the rows."""
        ...

    def text(self, token: str) -> str:
        """Give the text that a value of a text type stands for; it is not NULL."""
        ...

    def join(self, start: int, stop: int, records: Sequence[Record | None]) -> tuple[bytes, int]:
        """Give the bytes of some of the rows, and how many records these are.

        Args:
            start: Position of the first row; all before it were joined.
            stop: Position after the last row.
            records: The cells that hooks made for each; None to leave the row out.
        """
        ...


class CSVSplice:
    """Splices lines of CSV, by a marker before and after what hooks read, and at each line's end.

    The marker is random, so that no cell can hold it, and has nothing that COPY would quote.

    Args:
        hooks: How many cells of a record hooks make.
        delimiter: What stands between cells.
        line_end: What ends a line.
    """

    first: ClassVar[int] = 1
    null: ClassVar[str] = ""

    def __init__(self, hooks: int, delimiter: str, line_end: str) -> None:
        self._marker = _marker(delimiter)
        self._hooks = hooks
        self._stride = hooks + 1
        self._delimiter = delimiter
        self._line_end = line_end
        self._parts: list[str] = []

    def arrange(self, cells: Sequence[_T | None], reads: Sequence[_T]) -> list[_T | str]:
        """Give the columns of the line, with the marker where a cell is missing.

        What hooks read stands behind the first one, followed by another.
        """
        arranged: list[_T | str] = []
        between: list[_T | str] = [*reads, self._marker]
        for cell in cells:
            if cell is not None:
                arranged.append(cell)
            else:
                arranged += [self._marker, *between]
                between = []
        return [*arranged, self._marker]

    def split(self, data: bytes) -> int:
        """Split at the markers; those at the end of lines give way to the line end."""
        marker = self._marker
        lines = data.decode().replace(f"{self._delimiter}{marker}\n", self._line_end)
        self._parts = lines.split(marker)
        rows, rest = divmod(len(self._parts) - 1, self._stride)
        if rest:
            raise ValueError("a marker is missing in what COPY wrote")
        return rows

    def reads(self, start: int, stop: int) -> list[Sequence[str]]:
        """Give what stands between the first two markers, split at the delimiters."""
        delimiter, stride = self._delimiter, self._stride
        return [
            read.split(delimiter) if '"' not in read else self._unquoted(read)
            for read in self._parts[start * stride + 1 : stop * stride : stride]
        ]

    def _unquoted(self, read: str) -> Sequence[str]:
        """Split at the delimiters that are not inside of quotes."""
        parts = read.split('"')
        parts[::2] = [part.replace(self._delimiter, "\0") for part in parts[::2]]
        return '"'.join(parts).split("\0")

    def text(self, token: str) -> str:
        """Take the quotes off."""
        return token[1:-1].replace('""', '"') if token[0] == '"' else token

    def join(self, start: int, stop: int, records: Sequence[Record | None]) -> tuple[bytes, int]:
        """Put the cells in the place of the markers and of what is between the first two."""
        parts, stride = self._parts, self._stride
        count = len(records) - records.count(None)
        if count < len(records):
            records = self._without_skipped(start, records)
        columns = [quoted_column(column, self._delimiter) for column in zip(*records, strict=True)]
        width = 2 * self._hooks
        joined = [""] * (width * len(records))
        joined[::width] = parts[start * stride : stop * stride : stride]
        for place, column in enumerate(columns):
            joined[2 * place + 1 :: width] = column
            if place:
                behind = parts[start * stride + place + 1 : stop * stride : stride]
                joined[2 * place :: width] = behind
        if stop * stride == len(parts) - 1:
            joined.append(parts[-1])
        return "".join(joined).encode(), count

    def _without_skipped(self, start: int, records: Sequence[Record | None]) -> list[Record]:
        """Take the lines of rows that are left out of the parts."""
        parts, stride = self._parts, self._stride
        empty = [""] * self._hooks
        for place, record in enumerate(records, start):
            if record is None:
                # A part holds the end of one line and the beginning of the next.
                first, after = place * stride, (place + 1) * stride
                parts[first] = parts[first][: self._first_line(parts[first])]
                parts[first + 1 : after] = empty
                parts[after] = parts[after][self._first_line(parts[after]) :]
        return [empty if record is None else record for record in records]

    def _first_line(self, part: str) -> int:
        """Length of the first line of *part*, which may have breaks in quotes; 0 if none ends."""
        start, quotes = 0, 0
        end = part.find(self._line_end)
        while end >= 0:
            quotes += part.count('"', start, end)
            if quotes % 2 == 0:
                break
            start, end = end, part.find(self._line_end, end + 1)
        return end + len(self._line_end) if end >= 0 else 0


def _marker(delimiter: str) -> str:
    """Give a random text that COPY does not quote."""
    # The control character is for people who look at the SQL; what counts is what is random.
    first = "" if delimiter == "\x1f" else "\x1f"
    marker = delimiter
    while delimiter in marker:
        marker = first + secrets.token_urlsafe(6)
    return marker


class JSONLinesSplice:
    """Splices values in JSON text; what hooks read stands behind the others.

    Args:
        columns: The columns of a record.
    """

    first: ClassVar[int] = 0
    null: ClassVar[str] = "null"

    def __init__(self, columns: Sequence[Column]) -> None:
        self._dump = JSONObjects(columns, ensure_ascii=False).dump_cell
        self._template = line_template(columns)
        self._places: list[int | None] = []
        self._read = self._stride = 0
        self._values: list[str] = []

    def arrange(self, cells: Sequence[_T | None], reads: Sequence[_T]) -> list[_T | str]:
        """Give the columns of the values, then what hooks read."""
        made = [cell for cell in cells if cell is not None]
        places = iter(range(len(made)))
        self._places = [None if cell is None else next(places) for cell in cells]
        self._stride = len(made) + len(reads)
        self._read = len(made)
        return [*made, *reads]

    def split(self, data: bytes) -> int:
        """Split at the ends of values."""
        end = VALUE_END.decode()
        self._values = values = data.decode().replace("\n", end).split(end)
        values.pop()
        return len(values) // self._stride

    def reads(self, start: int, stop: int) -> list[Sequence[str]]:
        """Give the values behind those of the cells."""
        stride, read = self._stride, self._read
        return [
            self._values[row * stride + read : (row + 1) * stride] for row in range(start, stop)
        ]

    def text(self, token: str) -> str:
        """Read the JSON string."""
        text: str = json.loads(token)
        return text

    def join(self, start: int, stop: int, records: Sequence[Record | None]) -> tuple[bytes, int]:
        """Put values and cells between the keys."""
        kept = [place for place, record in enumerate(records) if record is not None]
        made = zip(*(record for record in records if record is not None), strict=True)
        columns: list[Sequence[str]] = []
        for place in self._places:
            if place is None:
                columns.append([self._dump(cell) for cell in next(made, ())])
            else:
                first, last = start * self._stride + place, stop * self._stride
                values = self._values[first : last : self._stride]
                columns.append(values if len(kept) == len(records) else [values[k] for k in kept])
        rows = zip(*columns, strict=True)
        return "".join([self._template % row for row in rows]).encode(), len(kept)
