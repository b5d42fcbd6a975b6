"""ODS: spreadsheets of LibreOffice (OpenDocument 1.3), written from front to back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from async_export.formats._ods_cells import CellWriter, Styles
from async_export.formats._sheets import (
    MAX_COLUMNS,
    Sheet,
    SpreadsheetEncoder,
    column_name,
    quoted_name,
)
from async_export.types import Record

__all__ = ("ODSEncoder",)

_TYPE: Final = "application/vnd.oasis.opendocument.spreadsheet"

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

_NAMES: Final = "urn:oasis:names:tc:opendocument:xmlns"

_NAMESPACES: Final = " ".join(
    f'xmlns:{prefix}="{_NAMES}:{name}:1.0"'
    for prefix, name in (
        ("office", "office"),
        ("style", "style"),
        ("text", "text"),
        ("table", "table"),
        ("fo", "xsl-fo-compatible"),
        ("number", "datastyle"),
        ("config", "config"),
    )
)

_SETTINGS_NAMESPACE: Final = 'xmlns:ooo="http://openoffice.org/2004/office"'
"""LibreOffice looks for its settings under this name, and passes over them without it."""

_CHARACTER_WIDTH: Final = 0.2
"""Centimetres that a character needs, more or less."""

_WIDTHS: Final = range(8, 61)
"""Widths that columns can have: their styles come before anything is known of them."""


class ODSEncoder(SpreadsheetEncoder):
    r"""A spreadsheet of LibreOffice, whose bytes leave as records come.

    ======================  ==============================================================
    cell                    in the sheet
    ======================  ==============================================================
    None                    nothing
    int, Decimal            a number; text if it has more than 15 digits, which would be
                            rounded
    float                   a number; ``nan``, ``inf`` and ``-inf`` as text
    bool                    a logical value
    date, datetime          a date; ISO text before 1583, where calendars differ. Of an
                            aware datetime the wall time that it shows
    time, timedelta         a time; text if with an offset, or negative
    str                     text, never a formula; ``\r\n`` and ``\r`` are line breaks too
    others                  their text, as in text formats
    ======================  ==============================================================

    Characters that XML cannot hold become U+FFFD. The header is bold, stays in view and has
    filters; columns are as wide as the header and the first 100 records need, or fewer if they
    are long. Equal records make equal files.

    Args:
        sheet: Name of the sheet; what cannot stand in one is replaced.
        header: Whether to write the headers.
        freeze: Whether they stay in view.
        autofilter: Whether they have filters.
        rollover: Whether another sheet begins after 1,048,576 rows; else more are an error.
        level: How hard to compress, with zlib from 0 to 9, with isal to 3; by default 6 or 1.
        compressor: ``"isal"`` to compress with that library, several times as fast. The files
            are somewhat longer.

    Raises:
        ConfigurationError: an option has no meaning.
        MissingDependencyError: isal is not installed.
    """

    name = "ods"
    extension = "ods"
    content_type = _TYPE
    limits = f"{MAX_COLUMNS:,} columns, 4 GiB before compression"

    def end_file(self) -> bytes:
        archive = self._zip
        foot = f"{_filters(self._areas)}</office:spreadsheet></office:body>"
        frozen = self._sheets if self.freeze else ()
        return b"".join(
            (
                archive.data(f"{foot}</office:document-content>".encode()),
                archive.end(),
                # Behind the content, for number formats of later sheets are not known before.
                archive.file("styles.xml", _styles(self._styles)),
                archive.file("settings.xml", _settings(frozen)),
                archive.file("META-INF/manifest.xml", _manifest()),
                archive.close(),
            )
        )

    def _start_file(self) -> bytes:
        self._styles = Styles()
        self._areas: list[str] = []
        archive = self._zip
        return b"".join(
            (
                archive.stored("mimetype", _TYPE.encode()),
                archive.begin("content.xml"),
                archive.data(_content_head().encode()),
            )
        )

    def _start_columns(self) -> None:
        plain = [replace(column, number_format=None) for column in self._columns]
        self._writers = [CellWriter(column, self._styles) for column in self._columns]
        self._title_writers = [CellWriter(column, self._styles, bold=True) for column in plain]
        self._footer_writers = [
            CellWriter(column, self._styles, bold=True) for column in self._columns
        ]

    def _start_sheet(self, sheet: Sheet) -> bytes:  # noqa: ARG002 - all are in one file
        return b""

    def _finish_sheet(self) -> bytes:
        return b""

    def _head(self, sheet: Sheet) -> str:
        columns = "".join(f'<table:table-column table:style-name="co{w}"/>' for w in sheet.widths)
        return f"<table:table table:name={quoteattr(sheet.name)}>{columns}"

    def _foot(self, sheet: Sheet) -> str:
        if self.autofilter and sheet.header_row and self._columns:
            name = quoted_name(sheet.name)
            last = column_name(len(self._columns) - 1)
            first_row, last_row = sheet.header_row, sheet.last_record_row
            self._areas.append(f"{name}.A{first_row}:{name}.{last}{last_row}")
        return "</table:table>" if sheet.rows else "<table:table-row/></table:table>"

    def _rows(self, sheet: Sheet, records: Sequence[Record]) -> list[str]:  # noqa: ARG002 - all have room
        return _written(records, self._writers)

    def _title_rows(self, sheet: Sheet, records: Sequence[Record]) -> list[str]:  # noqa: ARG002 - likewise
        return _written(records, self._title_writers) if records else []

    def _footer_rows(self, sheet: Sheet, records: Sequence[Record]) -> list[str]:  # noqa: ARG002 - likewise
        return _written(records, self._footer_writers) if records else []


def _written(records: Sequence[Record], writers: Sequence[CellWriter]) -> list[str]:
    columns = zip(writers, zip(*records, strict=True), strict=True)
    cells = [writer.cells(values) for writer, values in columns]
    joined = map("".join, zip(*cells, strict=True)) if cells else [""] * len(records)
    return [f"<table:table-row>{row}</table:table-row>" for row in joined]


def _content_head() -> str:
    widths = "".join(
        f'<style:style style:name="co{width}" style:family="table-column">'
        f'<style:table-column-properties style:column-width="{width * _CHARACTER_WIDTH:.1f}cm"/>'
        "</style:style>"
        for width in _WIDTHS
    )
    return (
        f'{_DECLARATION}<office:document-content {_NAMESPACES} office:version="1.3">'
        f"<office:automatic-styles>{widths}</office:automatic-styles>"
        "<office:body><office:spreadsheet>"
    )


def _filters(areas: Sequence[str]) -> str:
    if not areas:
        return ""
    ranges = "".join(
        f'<table:database-range table:name="__Anonymous_Sheet_DB__{number}" '
        f"table:target-range-address={quoteattr(area)} "
        'table:display-filter-buttons="true"/>'
        for number, area in enumerate(areas)
    )
    return f"<table:database-ranges>{ranges}</table:database-ranges>"


def _styles(styles: Styles) -> bytes:
    return (
        f'{_DECLARATION}<office:document-styles {_NAMESPACES} office:version="1.3">'
        '<office:styles><style:style style:name="Default" style:family="table-cell"/>'
        f"{styles.xml()}</office:styles></office:document-styles>"
    ).encode()


_FROZEN, _BELOW = 2, 2
"""How LibreOffice counts: a split that is frozen, and the pane below it."""


def _settings(sheets: Sequence[Sheet]) -> bytes:
    """Say how many rows of each sheet stay in view."""
    frozen = [sheet for sheet in sheets if sheet.header_row]
    views = "".join(
        f"<config:config-item-map-entry config:name={quoteattr(sheet.name)}>"
        f"{_item('ActiveSplitRange', 'short', _BELOW)}"
        f"{_item('HorizontalSplitMode', 'short', 0)}"
        f"{_item('VerticalSplitMode', 'short', _FROZEN)}"
        f"{_item('HorizontalSplitPosition', 'int', 0)}"
        f"{_item('VerticalSplitPosition', 'int', sheet.header_row)}"
        f"{_item('PositionTop', 'int', 0)}"
        f"{_item('PositionBottom', 'int', sheet.header_row)}"
        "</config:config-item-map-entry>"
        for sheet in frozen
    )
    active = _item("ActiveTable", "string", frozen[0].name) if frozen else ""
    return (
        f"{_DECLARATION}<office:document-settings {_NAMESPACES} {_SETTINGS_NAMESPACE} "
        'office:version="1.3">'
        '<office:settings><config:config-item-set config:name="ooo:view-settings">'
        '<config:config-item-map-indexed config:name="Views"><config:config-item-map-entry>'
        f"{_item('ViewId', 'string', 'view1')}"
        f'<config:config-item-map-named config:name="Tables">{views}'
        f"</config:config-item-map-named>{active}</config:config-item-map-entry>"
        "</config:config-item-map-indexed></config:config-item-set></office:settings>"
        "</office:document-settings>"
    ).encode()


def _item(name: str, kind: str, value: object) -> str:
    return (
        f'<config:config-item config:name="{name}" config:type="{kind}">{escape(str(value))}'
        "</config:config-item>"
    )


def _manifest() -> bytes:
    files = "".join(
        f'<manifest:file-entry manifest:full-path="{path}" manifest:media-type="{kind}"/>'
        for path, kind in (
            ("/", _TYPE),
            ("content.xml", "text/xml"),
            ("styles.xml", "text/xml"),
            ("settings.xml", "text/xml"),
        )
    )
    return (
        f'{_DECLARATION}<manifest:manifest xmlns:manifest="{_NAMES}:manifest:1.0" '
        f'manifest:version="1.3">{files}</manifest:manifest>'
    ).encode()
