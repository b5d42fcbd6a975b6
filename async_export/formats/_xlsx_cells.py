"""Cells of a sheet as XML: the type of each, its style, and text that Excel reads as it is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any, Final, Literal, TypeAlias

from async_export.errors import EncodeError, FormatLimitError
from async_export.formats._by_type import ByType
from async_export.formats._cell_error import reason_of
from async_export.formats._exact import (
    FIRST_INEXACT,
    MAX_DIGITS,
    decimal_text,
    float_text,
    integer_text,
)
from async_export.formats._excel_limits import FIRST_DAY, MAX_TEXT
from async_export.formats._sheets import column_name
from async_export.formats._texts import SEPARATOR, exact_text
from async_export.formats._xlsx_styles import Styles
from async_export.formats._xml_text import legal
from async_export.types import Cell, Column

__all__ = ("CellWriter", "LongText")

LongText: TypeAlias = Literal["error", "cut"]
"""What becomes of longer ones."""

_DAY_ZERO: Final = date(1899, 12, 30).toordinal()
"""Day 0 of Excel's calendar, where it is right."""

_FIRST_ORDINAL: Final = FIRST_DAY.toordinal()

_DAY_SECONDS: Final = 86_400

_LAST_MOMENT: Final = 2_958_465 + 86_399 / _DAY_SECONDS
"""The last second of 9999. What rounds to the day after is an error to Excel and to readers."""

_LAST_TIME: Final = 86_399.999
"""The last second of a day that readers, which round to milliseconds, do not take for the next."""

DATE_FORMAT: Final = "yyyy-mm-dd"
DATETIME_FORMAT: Final = "yyyy-mm-dd hh:mm:ss"
TIME_FORMAT: Final = "hh:mm:ss"
DURATION_FORMAT: Final = "[h]:mm:ss"

_SPECIAL = re.compile("[&<>\x00-\x08\x0b-\x1d\x1f\ud800-\udfff\ufffe\uffff\n]")
"""What cannot stand in XML as it is, or breaks the line."""

_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{1,4}[_\r])")
"""An underscore that Excel, or LibreOffice, would take for the start of an escaped character."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How values of a type are written.

    Attributes:
        write: Gives what stands in the cell: its attributes and content.
        number_format: Their own number format; None if they have none.
    """

    write: Callable[[CellWriter, Any], str | None]
    number_format: str | None = None


class CellWriter:
    """Writes the cells of one column.

    Args:
        place: Of the column, from 0.
        column: The column.
        styles: Those of the workbook.
        long_text: What becomes of texts that are too long.
        bold: Whether the cells are bold.
    """

    def __init__(
        self, place: int, column: Column, styles: Styles, *, long_text: LongText, bold: bool = False
    ) -> None:
        self._cut = 0
        self._column = column
        self._long_text = long_text
        self._start = f'<c r="{column_name(place)}'
        # All of them now: numbers of styles must not depend on which is used first.
        self._styles = {
            number_format: _attribute(
                styles.add(column.number_format or number_format, bold=bold, wrap=False)
            )
            for number_format in (None, DATE_FORMAT, DATETIME_FORMAT, TIME_FORMAT, DURATION_FORMAT)
        }
        self._wrapped = _attribute(styles.add(column.number_format, bold=bold, wrap=True))

    def cells(self, rows: Sequence[str], values: Sequence[Cell]) -> list[str]:
        """Give the cells of *values* in the *rows* of those numbers; nothing for None.

        Raises:
            EncodeError: a value has no text.
            FormatLimitError: a text is too long.
        """
        types = {*map(type, values)}
        some = values
        if NoneType in types:
            types.remove(NoneType)
            some = [value for value in values if value is not None]
        if len(types) == 1:
            fast = _FAST.get(types.pop())
            written = None if fast is None else fast(self, rows, values, some)
            if written is not None:
                return written
        return [self._cell(row, value) for row, value in zip(rows, values, strict=True)]

    def _cell(self, row: str, value: Cell) -> str:
        if value is None:
            return ""
        kind = _KINDS[type(value)]
        try:
            written = kind.write(self, value)
        except (OverflowError, TypeError, ValueError) as error:
            reason = reason_of(error)
            raise EncodeError(f"column {self._column.header!r}: {reason}") from error
        if written is None:
            return self._text_cell(row, self._text_of(value))
        return f'{self._start}{row}"{self._styles[kind.number_format]}{written}</c>'

    def take_cut(self) -> int:
        """Give how many cells were cut since the last time."""
        cut, self._cut = self._cut, 0
        return cut

    # --- text -------------------------------------------------------------------------------

    def _texts(
        self, rows: Sequence[str], texts: Sequence[str], some: Sequence[Any]
    ) -> list[str] | None:
        """Give cells of text, if none of them needs a closer look."""
        joined = SEPARATOR.join(some)
        if (
            _SPECIAL.search(joined) is not None
            or _ESCAPED.search(joined) is not None
            # White space at the edges, which readers drop unless they are told to keep it.
            or SEPARATOR.join(map(str.strip, some)) != joined
            or joined.count(SEPARATOR) >= len(some)
            or (len(joined) > MAX_TEXT // 2 and max(map(len, some)) > MAX_TEXT // 2)
        ):
            return None
        start, tail = self._start, f'"{self._styles[None]} t="inlineStr"><is><t>'
        return [
            "" if text is None else f"{start}{row}{tail}{text}</t></is></c>"
            for row, text in zip(rows, texts, strict=True)
        ]

    def _text_cell(self, row: str, text: str) -> str:
        if len(text) > MAX_TEXT // 2:
            text = self._fitting(text)
        style = self._wrapped if "\n" in text or "\r" in text else self._styles[None]
        space = ' xml:space="preserve"' if text != text.strip() else ""
        start = f'{self._start}{row}"{style} t="inlineStr"><is><t{space}>'
        return f"{start}{_escaped(text)}</t></is></c>"

    def _fitting(self, text: str) -> str:
        """Give a *text* that fits, or refuse it."""
        units = legal(text).encode("utf-16-le")
        if len(units) <= 2 * MAX_TEXT:
            return text
        if self._long_text == "error":
            raise FormatLimitError(
                f"column {self._column.header!r}: a text of more than {MAX_TEXT:,} characters; "
                "XLSXEncoder(long_text='cut') cuts such texts and counts them"
            )
        self._cut += 1
        return units[: 2 * MAX_TEXT].decode("utf-16-le", "ignore")

    def _text_of(self, value: Cell) -> str:
        try:
            return exact_text(value)
        except Exception as error:
            raise EncodeError(f"column {self._column.header!r}: {reason_of(error)}") from error

    # --- numbers and dates --------------------------------------------------------------------

    def _integers(
        self, rows: Sequence[str], values: Sequence[Any], some: Sequence[Any]
    ) -> list[str] | None:
        if max(some) >= FIRST_INEXACT or min(some) <= -FIRST_INEXACT:
            return None
        return self._numbers(rows, values)

    def _floats(
        self, rows: Sequence[str], values: Sequence[Any], some: Sequence[Any]
    ) -> list[str] | None:
        if not math.isfinite(sum(some)):
            return None
        return self._numbers(rows, values)

    def _numbers(self, rows: Sequence[str], values: Sequence[Any]) -> list[str]:
        """Give cells of numbers whose ``repr`` is what Excel reads."""
        start, tail = self._start, f'"{self._styles[None]}><v>'
        return [
            "" if value is None else f"{start}{row}{tail}{value!r}</v></c>"
            for row, value in zip(rows, values, strict=True)
        ]

    def _booleans(
        self, rows: Sequence[str], values: Sequence[Any], _some: Sequence[Any]
    ) -> list[str]:
        start, tail = self._start, f'"{self._styles[None]} t="b"><v>'
        return [
            "" if value is None else f"{start}{row}{tail}{'1' if value else '0'}</v></c>"
            for row, value in zip(rows, values, strict=True)
        ]

    def _dates(
        self, rows: Sequence[str], values: Sequence[Any], some: Sequence[Any]
    ) -> list[str] | None:
        return self._days(rows, values, some, DATE_FORMAT)

    def _datetimes(
        self, rows: Sequence[str], values: Sequence[Any], some: Sequence[Any]
    ) -> list[str] | None:
        return self._days(rows, values, some, DATETIME_FORMAT)

    def _days(
        self, rows: Sequence[str], values: Sequence[Any], some: Sequence[Any], number_format: str
    ) -> list[str] | None:
        if min(value.toordinal() for value in some) < _FIRST_ORDINAL:
            return None
        start, tail = self._start, f'"{self._styles[number_format]}><v>'
        serial = _date_serial if number_format == DATE_FORMAT else _datetime_serial
        return [
            "" if value is None else f"{start}{row}{tail}{serial(value)}</v></c>"
            for row, value in zip(rows, values, strict=True)
        ]

    def _decimals(
        self, rows: Sequence[str], values: Sequence[Any], _some: Sequence[Any]
    ) -> list[str] | None:
        texts = ["" if value is None else str(value) for value in values]
        # Neither long ones, nor exponents, nor what is no number.
        if max(map(len, texts)) > MAX_DIGITS or not set("".join(texts)) <= _PLAIN_DIGITS:
            return None
        start, tail = self._start, f'"{self._styles[None]}><v>'
        return [
            f"{start}{row}{tail}{text}</v></c>" if text else ""
            for row, text in zip(rows, texts, strict=True)
        ]


def _attribute(style: int) -> str:
    """Give the attribute of a style, empty for the default one."""
    return f' s="{style}"' if style else ""


_PLAIN_DIGITS: Final = frozenset("0123456789.-")


def _escaped(text: str) -> str:
    """Give *text* for the content of an element, so that Excel reads it as it is."""
    if "_x" in text:
        text = _ESCAPED.sub("_x005F_", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return legal(text).replace("\r", "_x000D_")


def _number(value: str) -> str:
    return f"><v>{value}</v>"


def _number_of(text: str | None) -> str | None:
    return None if text is None else _number(text)


def _boolean(_: CellWriter, value: bool) -> str:
    return f' t="b"><v>{int(value)}</v>'


def _date_serial(value: date) -> int:
    return value.toordinal() - _DAY_ZERO


def _datetime_serial(value: datetime) -> float:
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    part = (seconds + value.microsecond / 1e6) / _DAY_SECONDS
    serial = value.toordinal() - _DAY_ZERO + part
    return min(serial, _LAST_MOMENT)


def _date(_: CellWriter, value: date) -> str | None:
    return _number(str(_date_serial(value))) if value.toordinal() >= _FIRST_ORDINAL else None


def _datetime(_: CellWriter, value: datetime) -> str | None:
    return _number(repr(_datetime_serial(value))) if value.toordinal() >= _FIRST_ORDINAL else None


def _time(_: CellWriter, value: time) -> str | None:
    if value.tzinfo is not None:
        return None
    seconds = value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    return _number(repr(min(seconds, _LAST_TIME) / _DAY_SECONDS))


def _duration(_: CellWriter, value: timedelta) -> str | None:
    serial = value.total_seconds() / _DAY_SECONDS
    # Excel shows neither negative ones, nor what its calendar does not reach.
    return _number(repr(serial)) if 0 <= serial <= _LAST_MOMENT else None


def _other(_writer: CellWriter, _value: Any) -> None:
    """Write what Excel has no type for as text."""


_KINDS: Final = ByType(
    {
        Enum: _Kind(_other),
        bool: _Kind(_boolean),
        int: _Kind(lambda _, value: _number_of(integer_text(value))),
        float: _Kind(lambda _, value: _number_of(float_text(value))),
        Decimal: _Kind(lambda _, value: _number_of(decimal_text(value))),
        datetime: _Kind(_datetime, DATETIME_FORMAT),
        date: _Kind(_date, DATE_FORMAT),
        time: _Kind(_time, TIME_FORMAT),
        timedelta: _Kind(_duration, DURATION_FORMAT),
        object: _Kind(_other),
    }
)
"""By type, how values are written; the members of enums are text, whatever else they are."""


_Fast: TypeAlias = Callable[
    [CellWriter, Sequence[str], Sequence[Any], Sequence[Any]], list[str] | None
]

_FAST: Final[dict[type, _Fast]] = {
    str: CellWriter._texts,  # noqa: SLF001 - of this module
    int: CellWriter._integers,  # noqa: SLF001 - of this module
    float: CellWriter._floats,  # noqa: SLF001 - of this module
    bool: CellWriter._booleans,  # noqa: SLF001 - of this module
    Decimal: CellWriter._decimals,  # noqa: SLF001 - of this module
    date: CellWriter._dates,  # noqa: SLF001 - of this module
    datetime: CellWriter._datetimes,  # noqa: SLF001 - of this module
}
"""By the one type that a column has, what writes all its cells at once, unless one is unusual.

It takes the numbers of the rows, the values, and those of them that are not None.
"""
