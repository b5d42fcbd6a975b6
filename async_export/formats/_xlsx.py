"""XLSX: workbooks of Excel (ECMA-376), written from front to back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from async_export.errors import ConfigurationError
from async_export.formats._deflate import DeflateLibrary
from async_export.formats._excel_limits import MAX_TEXT
from async_export.formats._sheets import (
    MAX_COLUMNS,
    Sheet,
    SpreadsheetEncoder,
    column_name,
    quoted_name,
)
from async_export.formats._xlsx_cells import CellWriter, LongText
from async_export.formats._xlsx_styles import Styles
from async_export.types import Column, Record

__all__ = ("XLSXEncoder",)

MAX_SHEET_BYTES: Final = 0xF000_0000
"""Bytes of a sheet's XML, of which ZIP without extensions holds fewer than 4 GiB."""

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_CONTENT: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"


class XLSXEncoder(SpreadsheetEncoder):
    """A workbook of Excel, whose bytes leave as records come.

    ======================  ==============================================================
    cell                    in the sheet
    ======================  ==============================================================
    None                    nothing
    int, Decimal            a number; text if it has more than 15 digits, which Excel
                            would round
    float                   a number; ``nan``, ``inf`` and ``-inf`` as text
    bool                    a logical value
    date, datetime          a date; ISO text before March 1900, where Excel's calendar is
                            wrong. Of an aware datetime the wall time that it shows
    time, timedelta         a time or duration; text if with an offset, negative, or of more
                            than 2,958,465 days
    str                     text, never a formula or link
    others                  their text, as in text formats
    ======================  ==============================================================

    Characters that XML cannot hold become U+FFFD. The header is bold, stays in view and has
    filters; columns are as wide as the header and the first 100 records need, or fewer if they
    are long. Equal records make equal files: nothing in them tells the time.

    Args:
        sheet: Name of the sheet; what Excel does not take in one is replaced.
        header: Whether to write the headers.
        freeze: Whether they stay in view.
        autofilter: Whether they have filters.
        long_text: What becomes of text of more than 32,767 characters: an error, or it is cut
            and counted.
        rollover: Whether another sheet begins where one is full, after 1,048,576 rows or before
            4 GiB; else that is an error.
        level: How hard to compress, with zlib from 0 to 9, with isal to 3; by default 6 or 1.
        compressor: ``"isal"`` to compress with that library, several times as fast. The files
            are somewhat longer.

    Raises:
        ConfigurationError: an option has no meaning.
        MissingDependencyError: isal is not installed.
    """

    name = "xlsx"
    extension = "xlsx"
    content_type = f"{_CONTENT}.sheet"
    limits = f"{MAX_COLUMNS:,} columns, {MAX_TEXT:,} characters a cell, 4 GiB"

    def __init__(
        self,
        *,
        sheet: str = "Sheet1",
        header: bool = True,
        freeze: bool = True,
        autofilter: bool = True,
        long_text: LongText = "error",
        rollover: bool = True,
        level: int | None = None,
        compressor: DeflateLibrary = "zlib",
    ) -> None:
        if long_text not in {"error", "cut"}:
            raise ConfigurationError(f"long_text must be 'error' or 'cut', not {long_text!r}")
        super().__init__(
            sheet=sheet,
            header=header,
            freeze=freeze,
            autofilter=autofilter,
            rollover=rollover,
            level=level,
            compressor=compressor,
        )
        self.long_text: LongText = long_text

    def end_file(self) -> bytes:
        archive, sheets = self._zip, self._sheets
        return b"".join(
            (
                archive.file("xl/styles.xml", self._styles.xml().encode()),
                archive.file("xl/workbook.xml", _workbook(sheets, self._areas)),
                archive.file("xl/_rels/workbook.xml.rels", _workbook_relations(len(sheets))),
                archive.file("[Content_Types].xml", _content_types(len(sheets))),
                archive.close(),
            )
        )

    def _start_file(self) -> bytes:
        self._styles = Styles()
        self._areas: dict[int, str] = {}
        self.cut = 0
        return self._zip.file("_rels/.rels", _root_relations())

    def _start_columns(self) -> None:
        plain = [replace(column, number_format=None) for column in self._columns]
        self._writers = self._new_writers(self._columns, bold=False)
        self._title_writers = self._new_writers(plain, bold=True)
        self._footer_writers = self._new_writers(self._columns, bold=True)

    def _start_sheet(self, sheet: Sheet) -> bytes:  # noqa: ARG002 - the last one
        return self._zip.begin(f"xl/worksheets/sheet{len(self._sheets)}.xml")

    def _finish_sheet(self) -> bytes:
        return self._zip.end()

    def _head(self, sheet: Sheet) -> str:
        frozen = sheet.header_row if self.freeze else 0
        return _sheet_head(sheet, frozen, is_first=len(self._sheets) == 1)

    def _foot(self, sheet: Sheet) -> str:
        area = ""
        if self.autofilter and sheet.header_row and self._columns:
            first, last = "A", column_name(len(self._columns) - 1)
            rows = (sheet.header_row, sheet.last_record_row)
            area = f'<autoFilter ref="{first}{rows[0]}:{last}{rows[1]}"/>'
            self._areas[len(self._sheets) - 1] = f"${first}${rows[0]}:${last}${rows[1]}"
        return f"</sheetData>{area}</worksheet>"

    def _rows(self, sheet: Sheet, records: Sequence[Record]) -> list[str]:
        rows = self._written(sheet, records, self._writers)
        count = _fitting(rows, MAX_SHEET_BYTES - sheet.bytes, least=0 if sheet.records else 1)
        if count < len(rows):
            self._take_cuts(self._writers)
            rows = self._written(sheet, records[:count], self._writers) if count else []
        self.cut += self._take_cuts(self._writers)
        return rows

    def _title_rows(self, sheet: Sheet, records: Sequence[Record]) -> list[str]:
        return self._bold_rows(sheet, records, self._title_writers)

    def _footer_rows(self, sheet: Sheet, records: Sequence[Record]) -> list[str]:
        return self._bold_rows(sheet, records, self._footer_writers)

    def _bold_rows(
        self, sheet: Sheet, records: Sequence[Record], writers: Sequence[CellWriter]
    ) -> list[str]:
        rows = self._written(sheet, records, writers) if records else []
        self.cut += self._take_cuts(writers)
        return rows

    def _new_writers(self, columns: Sequence[Column], *, bold: bool) -> list[CellWriter]:
        return [
            CellWriter(place, column, self._styles, long_text=self.long_text, bold=bold)
            for place, column in enumerate(columns)
        ]

    @staticmethod
    def _take_cuts(writers: Sequence[CellWriter]) -> int:
        return sum(writer.take_cut() for writer in writers)

    @staticmethod
    def _written(
        sheet: Sheet, records: Sequence[Record], writers: Sequence[CellWriter]
    ) -> list[str]:
        first = sheet.rows + 1
        numbers = [str(number) for number in range(first, first + len(records))]
        columns = zip(writers, zip(*records, strict=True), strict=True)
        cells = [writer.cells(numbers, values) for writer, values in columns]
        joined = map("".join, zip(*cells, strict=True)) if cells else [""] * len(records)
        return [
            f'<row r="{number}">{row}</row>' for number, row in zip(numbers, joined, strict=True)
        ]


def _fitting(rows: Sequence[str], room: int, *, least: int) -> int:
    """Count how many of the *rows* have room in so many bytes, at least *least*."""
    # No character has more than four bytes.
    if 4 * sum(map(len, rows)) <= room:
        return len(rows)
    for count, row in enumerate(rows):
        room -= len(row.encode())
        if room < 0 and count >= least:
            return count
    return len(rows)


# --- parts ------------------------------------------------------------------------------------


def _sheet_head(sheet: Sheet, frozen: int, *, is_first: bool) -> str:
    selected = ' tabSelected="1"' if is_first else ""
    pane = ""
    if frozen:
        pane = (
            f'<pane ySplit="{frozen}" topLeftCell="A{frozen + 1}" activePane="bottomLeft" '
            'state="frozen"/><selection pane="bottomLeft"/>'
        )
    columns = "".join(
        f'<col min="{number}" max="{number}" customWidth="1" width="{width}"/>'
        for number, width in enumerate(sheet.widths, 1)
    )
    return (
        f'{_DECLARATION}<worksheet xmlns="{_MAIN}"><sheetViews>'
        f'<sheetView{selected} workbookViewId="0">{pane}</sheetView></sheetViews>'
        f'<sheetFormatPr defaultRowHeight="15"/>{f"<cols>{columns}</cols>" if columns else ""}'
        "<sheetData>"
    )


def _root_relations() -> bytes:
    return (
        f'{_DECLARATION}<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>"
    ).encode()


def _workbook(sheets: Sequence[Sheet], areas: Mapping[int, str]) -> bytes:
    listed = "".join(
        f'<sheet name={quoteattr(sheet.name)} sheetId="{number}" r:id="rId{number}"/>'
        for number, sheet in enumerate(sheets, 1)
    )
    # Excel keeps what is filtered under this name, and other programs look for it.
    names = "".join(
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{place}" hidden="1">'
        f"{escape(quoted_name(sheets[place].name))}!{area}</definedName>"
        for place, area in areas.items()
    )
    defined = f"<definedNames>{names}</definedNames>" if names else ""
    return (
        f'{_DECLARATION}<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}">'
        f"<bookViews><workbookView/></bookViews><sheets>{listed}</sheets>{defined}</workbook>"
    ).encode()


def _workbook_relations(sheets: int) -> bytes:
    listed = "".join(
        f'<Relationship Id="rId{number}" Type="{_DOCUMENT}/worksheet" '
        f'Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, sheets + 1)
    )
    styles = f'<Relationship Id="rId{sheets + 1}" Type="{_DOCUMENT}/styles" Target="styles.xml"/>'
    return (
        f'{_DECLARATION}<Relationships xmlns="{_PACKAGE}/relationships">{listed}{styles}'
        "</Relationships>"
    ).encode()


def _content_types(sheets: int) -> bytes:
    listed = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" '
        f'ContentType="{_CONTENT}.worksheet+xml"/>'
        for number in range(1, sheets + 1)
    )
    return (
        f'{_DECLARATION}<Types xmlns="{_PACKAGE}/content-types">'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_CONTENT}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_CONTENT}.styles+xml"/>{listed}'
        "</Types>"
    ).encode()
