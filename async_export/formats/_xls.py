"""XLS: workbooks of Excel 97 to 2003."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from async_export.errors import FormatLimitError
from async_export.formats._by_type import ByType
from async_export.formats._exact import FIRST_INEXACT, MAX_DIGITS
from async_export.formats._excel_limits import FIRST_DAY, MAX_TEXT
from async_export.formats._tablib import TablibEncoder
from async_export.formats._texts import cell_text
from async_export.types import Cell, CellForm, Kind

__all__ = ("XLSEncoder",)


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
    limits = f"{max_columns} columns, {MAX_TEXT:,} characters a cell"
    extra = "xls"
    libraries = ("xlwt", "xlrd")

    def _cell(self, cell: Cell) -> Cell:
        if cell is None:
            return None
        made = _NATIVES[type(cell)](cell)
        return _fitting(cell_text(cell)) if made is None else made


def _fitting(text: str) -> str:
    """Make sure that a *text* is not too long for a cell."""
    # Excel counts units of UTF-16, of which some characters have two.
    units = len(text.encode("utf-16-le")) // 2
    if units > MAX_TEXT:
        message = f"a text of {units:,} characters; xls holds {MAX_TEXT:,} in a cell"
        raise FormatLimitError(message)
    return str(text)


def _integer(number: int) -> int | None:
    return int(number) if -FIRST_INEXACT < number < FIRST_INEXACT else None


def _float(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _decimal(number: Decimal) -> Decimal | None:
    is_held = number.is_finite() and Decimal(f"{float(number):.{MAX_DIGITS}g}") == number
    return number if is_held else None


def _datetime(moment: dt.datetime) -> dt.datetime | None:
    return moment.replace(tzinfo=None) if moment.date() >= FIRST_DAY else None


def _date(day: dt.date) -> dt.date | None:
    return day if day >= FIRST_DAY else None


def _time(time: dt.time) -> dt.time:
    return time.replace(tzinfo=None)


def _other(_value: Any) -> None:
    """Write what Excel has no type for as text."""


_NATIVES: Final[ByType[Callable[[Any], Cell]]] = ByType(
    {
        Enum: _other,
        str: _fitting,
        bool: bool,
        int: _integer,
        float: _float,
        Decimal: _decimal,
        dt.datetime: _datetime,
        dt.date: _date,
        dt.time: _time,
        object: _other,
    }
)
"""By type, what makes native cells, or None if they are text."""
