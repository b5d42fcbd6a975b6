"""What encoders of spreadsheets share: sheets that fill up, their header, and widths of columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from async_export.errors import FormatLimitError
from async_export.formats._deflate import DeflateLibrary, deflate
from async_export.formats._encoder import SheetEncoder
from async_export.formats._sheet_names import SheetNames
from async_export.formats._texts import cell_text
from async_export.formats._titles import padded
from async_export.formats._zip import ZipWriter
from async_export.types import CellForm, Column, Kind, Record

__all__ = ("MAX_COLUMNS", "Sheet", "SpreadsheetEncoder", "column_name", "quoted_name")

MAX_COLUMNS: Final = 16_384
"""Columns of a sheet in Excel and LibreOffice."""

MAX_SHEET_ROWS: Final = 1_048_576
"""Rows of a sheet in Excel and LibreOffice, the header among them."""

SAMPLE_RECORDS: Final = 100
"""Records that the widths of columns are taken from; they wait for each other."""

SAMPLE_LENGTH: Final = 262_144
"""Characters of XML after which no more of them wait."""

_LEAST_WIDTH, _MOST_WIDTH, _FILTER_WIDTH = 8, 60, 3
_MORE_OF_A_NAME: Final = 6
"""Characters that the name of a month or weekday has more than ``mmmm``."""

_MOST_LOOKED_AT: Final = 1_000


class Sheet:
    """A sheet that is being written.

    Attributes:
        name: Its name.
        rows: Its rows so far.
        records: Its records so far.
        header_row: Number of the row with the headers; 0 without.
        last_record_row: Number of the row with the last record; set when no more come.
        is_sampled: Whether the widths of its columns are known.
        waiting: XML that has not left.
        has_begun: Whether its head has left.
        bytes: Bytes of XML so far, but for head and foot.
    """

    def __init__(self, name: str, columns: int) -> None:
        self.name = name
        self.rows = 0
        self.records = 0
        self.header_row = 0
        self.last_record_row = 0
        self.is_sampled = False
        self.waiting: list[str] = []
        self.has_begun = False
        self.bytes = 0
        self._widths = [0] * columns
        self._length = 0

    @property
    def widths(self) -> list[int]:
        """Widths of the columns, in characters."""
        return [min(max(width + 1, _LEAST_WIDTH), _MOST_WIDTH) for width in self._widths]

    def add(self, rows: Sequence[str]) -> None:
        """Add *rows* of XML."""
        text = "".join(rows)
        self.waiting.append(text)
        self.bytes += len(text) if text.isascii() else len(text.encode())
        self.rows += len(rows)

    def add_headers(self, rows: Sequence[str], headers: Sequence[str], *, filtered: bool) -> None:
        """Add the row of the *headers*, which may have room for filters beside them."""
        self.add(rows)
        self.header_row = self.rows
        spare = _FILTER_WIDTH if filtered else 0
        self._widths = [_width(header) + spare for header in headers]

    def widen(self, widths: Sequence[int]) -> None:
        """Make the columns at least as wide as *widths*."""
        self._widths = [max(both) for both in zip(self._widths, widths, strict=True)]

    def add_records(self, rows: Sequence[str], records: Sequence[Record]) -> None:
        """Add the *rows* of *records*, the first of which decide how wide the columns are."""
        if not self.is_sampled:
            self._sample(rows, records)
        self.add(rows)
        self.records += len(rows)

    def _sample(self, rows: Sequence[str], records: Sequence[Record]) -> None:
        sampled = 0
        # Record by record: what is looked at must not depend on how they come.
        for row in rows:
            if self.records + sampled >= SAMPLE_RECORDS or self._length >= SAMPLE_LENGTH:
                self.is_sampled = True
                break
            self._length += len(row)
            sampled += 1
        for place, values in enumerate(zip(*records[:sampled], strict=True)):
            self._widths[place] = max(self._widths[place], *map(_width, values))


class SpreadsheetEncoder(SheetEncoder):
    """An encoder of workbooks whose sheets have a header, and are followed by others when full.

    Args:
        sheet: Name of the sheet.
        header: Whether to write the headers.
        freeze: Whether they stay in view.
        autofilter: Whether they have filters.
        rollover: Whether another sheet begins where one is full.
        level: How hard to compress, with zlib from 0 to 9, with isal to 3; by default 6 or 1.
        compressor: What compresses.
    """

    cells: CellForm = "native"
    natives = frozenset(
        {
            Kind.ANY,
            Kind.BOOLEAN,
            Kind.DATE,
            Kind.DATETIME,
            Kind.DECIMAL,
            Kind.DURATION,
            Kind.FLOAT,
            Kind.INTEGER,
            Kind.TEXT,
            Kind.TIME,
        }
    )
    offload = True

    def __init__(
        self,
        *,
        sheet: str = "Sheet1",
        header: bool = True,
        freeze: bool = True,
        autofilter: bool = True,
        rollover: bool = True,
        level: int | None = None,
        compressor: DeflateLibrary = "zlib",
    ) -> None:
        self.sheet = sheet
        self.header = header
        self.freeze = freeze
        self.autofilter = autofilter
        self.rollover = rollover
        self.max_rows = None if rollover else MAX_SHEET_ROWS - header
        self.level = level
        self.compressor = compressor
        self._make_compressor = deflate(level, compressor, self.name)

    def begin(self, columns: Sequence[Column], titles: Sequence[Record] = ()) -> bytes:
        _check_columns(columns)
        return self.begin_file() + self.begin_sheet(self.sheet, columns, titles)

    def begin_file(self) -> bytes:
        self._zip = ZipWriter(self._make_compressor)
        self._names = SheetNames()
        self._sheets: list[Sheet] = []
        self.taken = 0
        return self._start_file()

    def begin_sheet(
        self, name: str, columns: Sequence[Column], titles: Sequence[Record] = ()
    ) -> bytes:
        _check_columns(columns)
        self._wanted, self._columns = name, columns
        self._start_columns()
        return self._open_sheet(titles)

    def encode(self, records: Sequence[Record]) -> bytes:
        made = []
        while records:
            sheet = self._sheets[-1]
            room = records[: MAX_SHEET_ROWS - sheet.rows]
            added = self._add(sheet, room) if room else 0
            made.append(self._ready(sheet))
            records = records[added:]
            if records:
                made.append(self._roll_over(sheet))
        return b"".join(made)

    def end_sheet(self, footers: Sequence[Record] = ()) -> bytes:
        sheet = self._sheets[-1]
        made = b""
        if sheet.rows + len(footers) > MAX_SHEET_ROWS:
            made = self._roll_over(sheet)
            sheet = self._sheets[-1]
        if sheet.rows + len(footers) > MAX_SHEET_ROWS:
            raise _too_many_rows("footers")
        sheet.last_record_row = sheet.rows
        sheet.add(self._footer_rows(sheet, padded(footers, len(self._columns))))
        return made + self._close_sheet(sheet)

    def end(self, footers: Sequence[Record] = ()) -> bytes:
        return self.end_sheet(footers) + self.end_file()

    def _open_sheet(self, titles: Sequence[Record]) -> bytes:
        sheet = Sheet(self._names.add(self._wanted), len(self._columns))
        self._sheets.append(sheet)
        started = self._start_sheet(sheet)
        sheet.add(self._title_rows(sheet, padded(titles, len(self._columns))))
        if self.header:
            headers = [column.header for column in self._columns]
            rows = self._title_rows(sheet, [headers])
            sheet.add_headers(rows, headers, filtered=self.autofilter)
        sheet.widen([_shown_width(column.number_format or "") for column in self._columns])
        if sheet.rows > MAX_SHEET_ROWS:
            raise _too_many_rows("titles")
        return started

    def _add(self, sheet: Sheet, records: Sequence[Record]) -> int:
        """Add as many *records* as there is room for; give their number."""
        rows = self._rows(sheet, records)
        before = sheet.bytes
        sheet.add_records(rows, records[: len(rows)])
        self.taken += sheet.bytes - before
        return len(rows)

    def _roll_over(self, sheet: Sheet) -> bytes:
        if not self.rollover:
            raise FormatLimitError(
                f"a sheet holds {MAX_SHEET_ROWS:,} rows and less than 4 GiB, and there are more; "
                "rollover=True begins another one"
            )
        sheet.last_record_row = sheet.rows
        return self._close_sheet(sheet) + self._open_sheet(())

    def _close_sheet(self, sheet: Sheet) -> bytes:
        rest = self._ready(sheet, is_last=True)
        return rest + self._zip.data(self._foot(sheet).encode()) + self._finish_sheet()

    def _ready(self, sheet: Sheet, *, is_last: bool = False) -> bytes:
        """Give what can leave of the rows that wait."""
        if not sheet.has_begun:
            if not sheet.is_sampled and not is_last:
                return b""
            sheet.waiting.insert(0, self._head(sheet))
            sheet.has_begun = True
        data = "".join(sheet.waiting).encode()
        sheet.waiting.clear()
        return self._zip.data(data)

    @abstractmethod
    def _start_file(self) -> bytes:
        """Start the archive, and what is kept of it."""
        ...

    @abstractmethod
    def _start_columns(self) -> None:
        """Get ready to write cells of the columns of the next table."""
        ...

    @abstractmethod
    def _start_sheet(self, sheet: Sheet) -> bytes:
        """Start the file of a sheet in the archive, if it has one of its own."""
        ...

    @abstractmethod
    def _finish_sheet(self) -> bytes:
        """Finish that file."""
        ...

    @abstractmethod
    def _head(self, sheet: Sheet) -> str:
        """Give the XML before the rows of a sheet."""
        ...

    @abstractmethod
    def _foot(self, sheet: Sheet) -> str:
        """Give the XML behind the rows of a sheet."""
        ...

    @abstractmethod
    def _rows(self, sheet: Sheet, records: Sequence[Record]) -> list[str]:
        """Give the rows of *records*, at least one, as XML; fewer if there is no room for all."""
        ...

    @abstractmethod
    def _title_rows(self, sheet: Sheet, records: Sequence[Record]) -> list[str]:
        """Give the rows of titles or headers, perhaps none, as XML."""
        ...

    @abstractmethod
    def _footer_rows(self, sheet: Sheet, records: Sequence[Record]) -> list[str]:
        """Give the rows of footers, perhaps none, in the columns' number formats, as XML."""
        ...


def column_name(place: int) -> str:
    """Give what a spreadsheet calls the column at *place*, from 0: ``A``, ``Z``, ``AA``."""
    name = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def quoted_name(name: str) -> str:
    """Give the name of a sheet as formulas and addresses have it."""
    doubled = name.replace("'", "''")
    return f"'{doubled}'"


def _width(value: object) -> int:
    """Give the characters of the longest line of a cell."""
    if value is None:
        return 0
    text = value if isinstance(value, str) else cell_text(value)
    return max(map(len, text[:_MOST_LOOKED_AT].split("\n")))


def _shown_width(number_format: str) -> int:
    """Give the characters of what a number format shows, more or less."""
    written_out = number_format.lower().count("mmmm") + number_format.lower().count("dddd")
    return len(number_format) + written_out * _MORE_OF_A_NAME


def _too_many_rows(what: str) -> FormatLimitError:
    return FormatLimitError(f"a sheet holds {MAX_SHEET_ROWS:,} rows, and there are more {what}")


def _check_columns(columns: Sequence[Column]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise FormatLimitError(
            f"a sheet holds {MAX_COLUMNS:,} columns, and there are {len(columns):,}; select fewer "
            "with fields="
        )
