"""Tables of dBase III."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from async_export.errors import ConfigurationError, FormatLimitError
from async_export.formats._cell_error import CellError
from async_export.formats._headers import check_distinct
from async_export.formats._tablib import TablibEncoder, utf8_text
from async_export.types import Cell, Column

__all__ = ("DBFEncoder",)

_WIDTH: Final = 80
_MAX_HEADER: Final = 10
_END: Final = b"\x1a"

_DATE: Final = bytes((80, 1, 1))
"""The first day that dBase knows, so that equal records make equal bytes."""

_NO_TEXT = re.compile(r"[\0\x1a]")


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
            if not is_name or len(header) > _MAX_HEADER:
                message = (
                    f"dbf cannot hold the header {header!r}; give the column a column_name of 1 "
                    f"to {_MAX_HEADER} printable characters of ASCII"
                )
                raise ConfigurationError(message)
        check_distinct([header.upper() for header in headers], "a dBase table")
        return super().begin(columns)

    def _cell(self, cell: Cell) -> str:
        text = utf8_text(cell)
        if not text.isascii():
            raise CellError("a character that is not ASCII, which dbf cannot hold")
        if _NO_TEXT.search(text):
            raise CellError("a NUL or SUB character, which dbf cannot hold")
        if len(text) > _WIDTH:
            message = f"a text of {len(text):,} characters; dbf holds {_WIDTH} in a cell"
            raise FormatLimitError(message)
        return text

    def _export(self, dataset: Any) -> bytes:
        if self._rows:
            made: bytes = dataset.export(self.name)
            return made[:1] + _DATE + made[4:]
        # tablib needs a record; the number of them is in bytes 4 to 7, their start in 8 and 9.
        dataset.append([""] * len(self._columns))
        made = dataset.export(self.name)
        start = int.from_bytes(made[8:10], "little")
        return made[:1] + _DATE + bytes(4) + made[8:start] + _END
