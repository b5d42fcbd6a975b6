"""Cells of OpenDocument as XML: the type of each, its style, and text that reads back as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeAlias

from async_export.errors import ConfigurationError, EncodeError
from async_export.formats._by_type import ByType
from async_export.formats._cell_error import reason_of
from async_export.formats._exact import decimal_text, float_text, integer_text
from async_export.formats._ods_formats import UnknownFormatError, data_style
from async_export.formats._texts import SEPARATOR, exact_text
from async_export.formats._xml_text import legal
from async_export.types import Cell, Column

__all__ = ("CellWriter", "Styles")

_LAST_SECOND: Final = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001 - a wall time

_FIRST_YEAR: Final = 1583
"""From here on, the calendar of LibreOffice is that of Python."""

_SPECIAL = re.compile(
    f"[&<>\x00-\x08\x0a-\x1d\x1f\ud800-\udfff\ufffe\uffff]|  |{SEPARATOR} | {SEPARATOR}|^ | $"
)
"""What cannot stand in XML as it is, or is lost there."""

_SPACES = re.compile(r"^ +| +$|  +")
"""Spaces that readers would drop."""

_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class Styles:
    """Gives every style of cells a name, and makes the XML that defines them."""

    def __init__(self) -> None:
        self._formats: dict[str, str] = {}
        self._styles: dict[tuple[str, bool, bool], str] = {("", False, False): ""}

    def add(self, number_format: str | None, *, bold: bool = False, wrap: bool = False) -> str:
        """Give the attribute of a style; it is empty for the default one.

        Args:
            number_format: Number format as Excel writes it; None for the general one.
            bold: Whether the font is bold.
            wrap: Whether lines break.

        Raises:
            UnknownFormatError: the number format has no translation.
        """
        is_general = number_format is None or number_format.lower() == "general"
        data = "" if is_general else self._data_style(number_format or "")
        key = (data, bold, wrap)
        if key not in self._styles:
            self._styles[key] = f' table:style-name="ce{len(self._styles)}"'
        return self._styles[key]

    def xml(self) -> str:
        """Give the definitions."""
        defined = [data_style(name, code) for code, name in self._formats.items()]
        for (data, bold, wrap), attribute in self._styles.items():
            if attribute:
                defined.append(_style(attribute, data, bold=bold, wrap=wrap))
        return "".join(defined)

    def _data_style(self, code: str) -> str:
        if code not in self._formats:
            name = f"N{len(self._formats) + 100}"
            data_style(name, code)
            self._formats[code] = name
        return self._formats[code]


def _style(attribute: str, data: str, *, bold: bool, wrap: bool) -> str:
    name = attribute.replace(" table:style-name=", " style:name=")
    formatted = f' style:data-style-name="{data}"' if data else ""
    inside = ""
    if wrap:
        inside += '<style:table-cell-properties fo:wrap-option="wrap" style:vertical-align="top"/>'
    if bold:
        inside += '<style:text-properties fo:font-weight="bold"/>'
    return (
        f'<style:style{name} style:family="table-cell" style:parent-style-name="Default"'
        f"{formatted}>{inside}</style:style>"
    )


class CellWriter:
    """Writes the cells of one column.

    Args:
        column: The column.
        styles: Those of the workbook.
        bold: Whether the cells are bold.

    Raises:
        ConfigurationError: its number format has no translation.
    """

    def __init__(self, column: Column, styles: Styles, *, bold: bool = False) -> None:
        self._column = column
        own = column.number_format
        try:
            # All of them now: names of styles must not depend on which is used first.
            self._plain = styles.add(own, bold=bold)
            self._wrapped = styles.add(own, bold=bold, wrap=True)
            self._styles = {
                write: styles.add(own or usual, bold=bold)
                for write, usual in _USUAL_FORMATS.items()
            }
        except UnknownFormatError:
            raise ConfigurationError(
                f"column {column.header!r}: the number format {own!r} has no translation for ods; "
                "one section of digits, dates or text with literals has"
            ) from None

    def cells(self, values: Sequence[Cell]) -> list[str]:
        """Give the cells of *values*.

        Raises:
            EncodeError: a value has no text.
        """
        types = {*map(type, values)}
        if types == {str}:
            joined = SEPARATOR.join(values)
            if _SPECIAL.search(joined) is None and joined.count(SEPARATOR) == len(values) - 1:
                start = f'<table:table-cell{self._plain} office:value-type="string"><text:p>'
                return [f"{start}{text}</text:p></table:table-cell>" for text in values]
        return [self._cell(value) for value in values]

    def _cell(self, value: Cell) -> str:
        if value is None:
            return "<table:table-cell/>"
        write = _WRITERS[type(value)]
        try:
            written = write(value)
        except (OverflowError, TypeError, ValueError) as error:
            reason = reason_of(error)
            raise EncodeError(f"column {self._column.header!r}: {reason}") from error
        if written is None:
            return self._text_cell(self._text_of(value))
        style = self._styles.get(write, self._plain)
        return f"<table:table-cell{style}{written}</text:p></table:table-cell>"

    def _text_cell(self, text: str) -> str:
        lines = [_line(line) for line in _LINE_BREAK.split(text)]
        style = self._wrapped if len(lines) > 1 else self._plain
        return (
            f'<table:table-cell{style} office:value-type="string"><text:p>'
            f"{'</text:p><text:p>'.join(lines)}</text:p></table:table-cell>"
        )

    def _text_of(self, value: Cell) -> str:
        try:
            return exact_text(value)
        except Exception as error:
            raise EncodeError(f"column {self._column.header!r}: {reason_of(error)}") from error


def _line(text: str) -> str:
    """Give one line of text for a paragraph, with elements for what readers would drop."""
    text = legal(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A tab stays as it is: most readers, LibreOffice among them, drop the element for it.
    return _SPACES.sub(lambda found: f'<text:s text:c="{len(found[0])}"/>', text)


def _number(text: str) -> str:
    return f' office:value-type="float" office:value="{text}"><text:p>{text}'


def _number_of(text: str | None) -> str | None:
    return None if text is None else _number(text)


def _boolean(value: bool) -> str:
    text = "true" if value else "false"
    return f' office:value-type="boolean" office:boolean-value="{text}"><text:p>{text.upper()}'


def _date(value: date) -> str | None:
    return _dated(value.isoformat()) if value.year >= _FIRST_YEAR else None


def _datetime(value: datetime) -> str | None:
    # What is later would be rounded to a year that spreadsheets do not have.
    wall = min(value.replace(tzinfo=None), _LAST_SECOND)
    return _dated(wall.isoformat(), str(wall)) if value.year >= _FIRST_YEAR else None


def _dated(text: str, shown: str = "") -> str:
    return f' office:value-type="date" office:date-value="{text}"><text:p>{shown or text}'


def _time(value: time) -> str | None:
    if value.tzinfo is not None:
        return None
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    return _lasting(seconds, value.microsecond, str(value))


def _duration(value: timedelta) -> str | None:
    # As in Excel, which has no negative ones.
    if value.days < 0:
        return None
    return _lasting(value.days * 86_400 + value.seconds, value.microseconds, str(value))


def _lasting(seconds: int, microseconds: int, shown: str) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    part = f".{microseconds:06}".rstrip("0") if microseconds else ""
    value = f"PT{hours:02}H{minutes:02}M{seconds:02}{part}S"
    return f' office:value-type="time" office:time-value="{value}"><text:p>{shown}'


def _other(_value: Any) -> None:
    """Write what spreadsheets have no type for as text."""


_Write: TypeAlias = Callable[[Any], str | None]

_WRITERS: Final[ByType[_Write]] = ByType(
    {
        Enum: _other,
        bool: _boolean,
        int: lambda value: _number_of(integer_text(value)),
        float: lambda value: _number_of(float_text(value)),
        Decimal: lambda value: _number_of(decimal_text(value)),
        datetime: _datetime,
        date: _date,
        time: _time,
        timedelta: _duration,
        object: _other,
    }
)
"""By type, what writes values; the members of enums are text, whatever else they are."""

_USUAL_FORMATS: Final[dict[_Write, str]] = {
    _date: "yyyy-mm-dd",
    _datetime: "yyyy-mm-dd hh:mm:ss",
    _time: "hh:mm:ss",
    _duration: "[h]:mm:ss",
}
"""Number formats of what has one by itself."""
