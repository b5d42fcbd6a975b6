r"""The formats that tablib writes and that cannot be written row by row.

All records are gathered, and tablib writes them at the end. What tablib would lose, cut or write
into the wrong place is refused or written in another way, as each class tells; else the bytes are
tablib's.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Final
from unicodedata import combining, east_asian_width

import tablib

from async_export.errors import ConfigurationError, EncodeError, FormatLimitError
from async_export.formats._encoder import Encoder
from async_export.formats._headers import check_distinct
from async_export.formats._optional import require
from async_export.formats._spreadsheets import cell_text
from async_export.formats._text_columns import CellError, reason_of
from async_export.types import Cell, CellForm, Column, Kind, Record

__all__ = (
    "CLIEncoder",
    "DBFEncoder",
    "JiraEncoder",
    "LaTeXEncoder",
    "ReSTEncoder",
    "TablibEncoder",
    "XLSEncoder",
)


class TablibEncoder(Encoder):
    """Gathers the records, and lets tablib write them.

    Files hold 100,000 rows at most, since all of them are in memory. By default cells are text:
    None is empty, all else its ``str``.

    Raises:
        MissingDependencyError: a library that tablib needs is not installed.

    Attributes:
        libraries: What tablib needs for the format.
        max_columns: The most columns that a file can hold; None if there is no limit.
    """

    streaming = False
    offload = True
    max_rows: int | None = 100_000
    libraries: ClassVar[tuple[str, ...]] = ()
    max_columns: ClassVar[int | None] = None

    def __init__(self) -> None:
        for library in self.libraries:
            require(library, f"the format {self.name}", self.extra)

    def begin(self, columns: Sequence[Column]) -> bytes:
        """Look at the headers; nothing is written yet.

        Raises:
            ConfigurationError: there are no columns, or the format has no place for a header.
            FormatLimitError: there are too many columns.
            EncodeError: a header has no representation.
        """
        if not columns:
            raise ConfigurationError(f"{self.name} needs a column at least")
        if self.max_columns is not None and len(columns) > self.max_columns:
            message = f"{self.name} holds {self.max_columns} columns; there are {len(columns)}"
            raise FormatLimitError(message)
        names = [column.header for column in columns]
        self._columns = columns
        self._headers = [self._held(name, name) for name in names]
        self._rows: list[list[Cell]] = []
        return b""

    def encode(self, records: Sequence[Record]) -> bytes:
        """Gather the records; nothing is written yet.

        Raises:
            EncodeError: a cell has no representation; names its column.
            FormatLimitError: a cell is too long, or there are too many records.
        """
        if self.max_rows is not None and len(self._rows) + len(records) > self.max_rows:
            message = f"{self.name} holds {self.max_rows:,} rows at most, and there are more"
            raise FormatLimitError(message)
        names = [column.header for column in self._columns]
        self._rows += [
            [self._held(name, cell) for name, cell in zip(names, record, strict=True)]
            for record in records
        ]
        return b""

    def end(self) -> bytes:
        made = self._export(tablib.Dataset(*self._rows, headers=self._headers))
        return made.encode() if isinstance(made, str) else made

    def _export(self, dataset: Any) -> bytes | str:
        """Let tablib write the *dataset*."""
        made: bytes | str = dataset.export(self.name)
        return made

    @abstractmethod
    def _cell(self, cell: Cell) -> Cell:
        """Give what tablib is given for a *cell* or header.

        Raises:
            CellError: it has no representation; the message tells why.
            FormatLimitError: it is too long.
        """
        ...

    def _held(self, header: str, cell: Cell) -> Cell:
        try:
            return self._cell(cell)
        except FormatLimitError as error:
            raise FormatLimitError(f"column {header!r}: {error}") from error
        except Exception as error:
            raise EncodeError(f"column {header!r}: {reason_of(error)}") from error


def _text(cell: Cell) -> str:
    """Give the text of a *cell*, which is made sure to have one in UTF-8."""
    text = "" if cell is None else str(cell)
    if not text.isascii():
        text.encode()
    return text


_FIRST_DAY: Final = dt.date(1900, 3, 1)
"""Excel counts a day before it that never was."""

_MAX_INTEGER: Final = 10**15
"""Excel shows 15 digits of a number."""

_MAX_CHARACTERS: Final = 32_767


class XLSEncoder(TablibEncoder):
    """Workbooks of Excel 97 to 2003, as tablib writes them: one sheet, the header bold and frozen.

    ===============================  ===================================================
    cell                             in the sheet
    ===============================  ===================================================
    bool, float                      boolean, number
    int, Decimal                     number; text if it has more than 15 digits
    date, datetime, time             date or time as a clock on the wall shows it: without
                                     offset, and without parts of a second; text before
                                     1 March 1900
    nan and the infinities           text
    str                              text, never a formula
    None                             empty
    others                           text, as text formats show it
    ===============================  ===================================================

    Files keep text in records of 8 KiB. Where one of them ends within a character beyond U+FFFF,
    such as an emoji, xlrd and calamine do not put the two halves together again.

    Raises:
        MissingDependencyError: xlwt or xlrd, which tablib imports as well, is not installed.
    """

    name = "xls"
    extension = "xls"
    content_type = "application/vnd.ms-excel"
    cells: CellForm = "native"
    natives: frozenset[Kind] = frozenset(
        {
            Kind.ANY,
            Kind.BOOLEAN,
            Kind.DATE,
            Kind.DATETIME,
            Kind.DECIMAL,
            Kind.FLOAT,
            Kind.INTEGER,
            Kind.TEXT,
            Kind.TIME,
        }
    )
    max_rows: int | None = 65_535
    max_columns = 256
    limits = "256 columns, 32,767 characters a cell"
    extra = "xls"
    libraries = ("xlwt", "xlrd")

    def _cell(self, cell: Cell) -> Cell:
        if cell is None or cell is True or cell is False:
            return cell
        if not isinstance(cell, Enum):
            for types, native in _XLS_NATIVES:
                if isinstance(cell, types):
                    made = native(cell)
                    return _xls_text(cell_text(cell)) if made is None else made
        return _xls_text(cell_text(cell))


def _xls_text(text: str) -> str:
    # Excel counts units of UTF-16, of which some characters have two.
    units = len(text.encode("utf-16-le")) // 2
    if units > _MAX_CHARACTERS:
        message = f"a text of {units:,} characters; xls holds {_MAX_CHARACTERS:,} in a cell"
        raise FormatLimitError(message)
    return str(text)


def _xls_integer(number: int) -> int | None:
    return int(number) if -_MAX_INTEGER < number < _MAX_INTEGER else None


def _xls_float(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _xls_decimal(number: Decimal) -> Decimal | None:
    is_held = number.is_finite() and Decimal(f"{float(number):.15g}") == number
    return number if is_held else None


def _xls_datetime(moment: dt.datetime) -> dt.datetime | None:
    return moment.replace(tzinfo=None) if moment.date() >= _FIRST_DAY else None


def _xls_date(day: dt.date) -> dt.date | None:
    return day if day >= _FIRST_DAY else None


def _xls_time(time: dt.time) -> dt.time:
    return time.replace(tzinfo=None)


_XLS_NATIVES: Final[tuple[tuple[type, Callable[[Any], Cell]], ...]] = (
    (str, _xls_text),
    (int, _xls_integer),
    (float, _xls_float),
    (Decimal, _xls_decimal),
    (dt.datetime, _xls_datetime),
    (dt.date, _xls_date),
    (dt.time, _xls_time),
)
"""What makes the native cells of each type, or None if it is text; a datetime is a date, too."""


_SPACE = re.compile(r"\s")
"""White space: tablib counts words at all of it, but breaks lines only at some."""

_NO_FIRST_CELL = re.compile(r"[-=\s]*")
"""What in the first column of a simple table goes on with the row above, or ends the table."""

_NO_BREAK_SPACE: Final = "\u00a0"

_PADDING: Final = "\0"
"""Stands behind each character that is as wide as two, until the table is made."""

_FIRST_STAND_IN: Final = "\U000f0000"
"""Of the private characters that stand for one with combining marks, until the table is made."""


class ReSTEncoder(TablibEncoder):
    """A table of reStructuredText, as tablib writes it: about as wide as a terminal.

    Like tablib it breaks lines within cells, and writes any white space as a space. Cells are
    reStructuredText: what looks like markup is markup. Without records the file is empty.

    Unlike tablib it counts characters as readers do: wide ones, as of Chinese, as two, and
    combining marks not at all. And it writes a grid where a table without lines would be none: if
    it has one column, or if the first cell of a row is blank or looks like a line.

    Raises:
        ConfigurationError: from ``begin`` if two headers are equal, or one is blank.
    """

    name = "rst"
    extension = "rst"
    content_type = "text/x-rst; charset=utf-8"

    def begin(self, columns: Sequence[Column]) -> bytes:
        headers = [_SPACE.sub(" ", column.header) for column in columns]
        check_distinct(headers, "tablib's table of reStructuredText")
        if not all(map(str.strip, headers)):
            raise ConfigurationError("a column has a blank header, which rst cannot hold")
        self._stand_ins: dict[str, str] = {}
        return super().begin(columns)

    def _cell(self, cell: Cell) -> str:
        text = _SPACE.sub(" ", _text(cell))
        if _PADDING in text:
            raise CellError("a NUL character, which reStructuredText cannot hold")
        return text if text.isascii() else "".join(map(self._measured, _clusters(text)))

    def _measured(self, cluster: str) -> str:
        """Give as many characters as the table needs columns for a *cluster*."""
        padding = _PADDING if east_asian_width(cluster[0]) in "WF" else ""
        if len(cluster) > 1 or cluster >= _FIRST_STAND_IN:
            free = chr(ord(_FIRST_STAND_IN) + len(self._stand_ins))
            cluster = self._stand_ins.setdefault(cluster, free)
        return cluster + padding

    def _export(self, dataset: Any) -> str:
        firsts = [self._headers[0], *(row[0] for row in self._rows)]
        as_grid = len(self._headers) == 1 or any(map(_NO_FIRST_CELL.fullmatch, firsts))
        made: str = dataset.export(self.name, force_grid=as_grid)
        clusters = {ord(stand_in): cluster for cluster, stand_in in self._stand_ins.items()}
        return made.translate({ord(_PADDING): "", **clusters})


def _clusters(text: str) -> list[str]:
    """Give the characters of *text*, each with the combining marks behind it."""
    clusters: list[str] = []
    for char in text:
        if combining(char):
            # A mark alone stands on a space that is none to break lines at.
            has_base = clusters and not clusters[-1].isspace()
            clusters.append(f"{clusters.pop() if has_base else _NO_BREAK_SPACE}{char}")
        else:
            clusters.append(char)
    return clusters


_OPTION_OF_BREAK = re.compile(r"^      (?=[\[*])", re.MULTILINE)
"""Before what TeX takes for an option of the line break or rule above."""


class LaTeXEncoder(TablibEncoder):
    """A table of LaTeX with rules of booktabs, as tablib writes it.

    Whatever TeX takes for a command is escaped. Unlike in tablib, a row may begin with ``[`` or
    ``*``, before which stands ``{}`` then.
    """

    name = "latex"
    extension = "tex"
    content_type = "application/x-tex"

    def _cell(self, cell: Cell) -> str:
        return _text(cell)

    def _export(self, dataset: Any) -> str:
        return _OPTION_OF_BREAK.sub("      {}", dataset.export(self.name))


_JIRA_BACKSLASHES = re.compile(r"\\+(?=\||\Z)")
"""Backslashes that would escape what follows, which is a bar or the end of the cell."""

_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class JiraEncoder(TablibEncoder):
    r"""A table in the markup of Jira, as tablib writes it.

    Empty cells hold a space. Cells are markup of Jira: what looks like it is. Unlike in tablib,
    no cell breaks the table: ``|`` is written as ``\|``, a line break as ``\\``, and a backslash
    before a bar or at the end as ``&#92;``.
    """

    name = "jira"
    extension = "jira"
    content_type = "text/plain; charset=utf-8"

    def _cell(self, cell: Cell) -> str:
        text = _LINE_BREAK.sub(r" \\\\ ", _text(cell))
        text = _JIRA_BACKSLASHES.sub(lambda found: "&#92;" * len(found[0]), text)
        return text.replace("|", r"\|")


_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What moves the cursor or commands a terminal, except the line feed."""

_TABLE_FORMATS: Final = (
    "plain",
    "simple",
    "grid",
    "simple_grid",
    "rounded_grid",
    "heavy_grid",
    "fancy_grid",
    "psql",
    "pretty",
)

_NUMBERS: Final = frozenset({Kind.DECIMAL, Kind.FLOAT, Kind.INTEGER})


class CLIEncoder(TablibEncoder):
    r"""A table for terminals, as tablib writes it with tabulate.

    Columns of numbers are aligned at the point. Unlike in tablib, text stays as it is: what looks
    like a number is none, and spaces around it are kept. Control characters other than line feeds
    are written as ``\x1b`` and the like, so that no cell commands the terminal.

    Args:
        tablefmt: What tabulate draws between cells: ``"plain"``, ``"simple"``, ``"grid"``,
            ``"simple_grid"``, ``"rounded_grid"``, ``"heavy_grid"``, ``"fancy_grid"``, ``"psql"``
            or ``"pretty"``.

    Raises:
        ConfigurationError: *tablefmt* is none of these.
        MissingDependencyError: tabulate is not installed, or wcwidth, without which it aligns
            wide characters in another way.
    """

    name = "cli"
    extension = "txt"
    content_type = "text/plain; charset=utf-8"
    extra = "tabulate"
    libraries = ("tabulate", "wcwidth")

    def __init__(self, *, tablefmt: str = "plain") -> None:
        super().__init__()
        if tablefmt not in _TABLE_FORMATS:
            known = ", ".join(_TABLE_FORMATS)
            raise ConfigurationError(f"tablefmt must be one of {known}; not {tablefmt!r}")
        self.tablefmt = tablefmt

    def _cell(self, cell: Cell) -> str:
        return _CONTROL.sub(_visible, _text(cell))

    def _export(self, dataset: Any) -> str:
        are_numbers = [column.type.kind in _NUMBERS for column in self._columns]
        made: str = dataset.export(
            self.name,
            tablefmt=self.tablefmt,
            disable_numparse=True,
            preserve_whitespace=True,
            colalign=["decimal" if is_number else "left" for is_number in are_numbers],
        )
        return made


def _visible(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


_DBF_WIDTH: Final = 80
_DBF_HEADER: Final = 10
_DBF_END: Final = b"\x1a"

_DBF_DATE: Final = bytes((80, 1, 1))
"""The first day that dBase knows, so that equal records make equal bytes."""

_NO_DBF_TEXT = re.compile(r"[\0\x1a]")


class DBFEncoder(TablibEncoder):
    """A table of dBase III, as tablib writes it: every column text of 80 characters.

    Headers become upper case. A text is as long as its last character that is no space; the rest
    of its place are spaces. Unlike in tablib the date of the file is always 1 January 1980, and it
    may have no records; all that tablib would cut or corrupt is refused.

    Raises:
        ConfigurationError: from ``begin`` if a header is empty, longer than 10 characters or not
            of printable ASCII, or if two differ at most in case.
    """

    name = "dbf"
    extension = "dbf"
    content_type = "application/vnd.dbf"
    max_columns = 255
    limits = "255 columns, headers of 10 and cells of 80 characters, ASCII only"

    def begin(self, columns: Sequence[Column]) -> bytes:
        headers = [column.header for column in columns]
        for header in headers:
            is_name = header.isascii() and header.isprintable() and header.strip()
            if not is_name or len(header) > _DBF_HEADER:
                message = (
                    f"dbf cannot hold the header {header!r}; give the column a column_name of 1 "
                    f"to {_DBF_HEADER} printable characters of ASCII"
                )
                raise ConfigurationError(message)
        check_distinct([header.upper() for header in headers], "a dBase table")
        return super().begin(columns)

    def _cell(self, cell: Cell) -> str:
        text = _text(cell)
        if not text.isascii():
            raise CellError("a character that is not ASCII, which dbf cannot hold")
        if _NO_DBF_TEXT.search(text):
            raise CellError("a NUL or SUB character, which dbf cannot hold")
        if len(text) > _DBF_WIDTH:
            message = f"a text of {len(text):,} characters; dbf holds {_DBF_WIDTH} in a cell"
            raise FormatLimitError(message)
        return text

    def _export(self, dataset: Any) -> bytes:
        if self._rows:
            made: bytes = dataset.export(self.name)
            return made[:1] + _DBF_DATE + made[4:]
        # tablib needs a record; the number of them is in bytes 4 to 7, their start in 8 and 9.
        dataset.append([""] * len(self._columns))
        made = dataset.export(self.name)
        start = int.from_bytes(made[8:10], "little")
        return made[:1] + _DBF_DATE + bytes(4) + made[8:start] + _DBF_END
