"""The file of the rows that an export skipped, beside the file of the export."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from async_export.errors import RowError
from async_export.formats import CSVEncoder
from async_export.manifests import Rejects
from async_export.sinks import FileSink
from async_export.types import Column

__all__ = ("RejectsFile", "is_rejects")

_COLUMNS: Final = ("sheet", "row_number", "key", "field", "error")


class RejectsFile:
    """A csv file with a line for each skipped row, which is made when there is the first one.

    It has the number of the row, its primary key, the field or hook that failed, the class of
    the error, and in a workbook the sheet at first. It has no cells, and no texts of errors.

    Args:
        sink: Where to write; not opened yet.
        with_sheets: Whether rows of several sheets are skipped.
    """

    def __init__(self, sink: FileSink, *, with_sheets: bool) -> None:
        self._sink = sink
        self._with_sheets = with_sheets
        self._encoder = CSVEncoder(formula_policy="escape")
        self._digest = hashlib.sha256()
        self._rows = 0

    async def add(self, sheet: str, failures: Sequence[RowError]) -> None:
        """Write the lines of some rows.

        Args:
            sheet: Where they are missing.
            failures: What became of them.

        Raises:
            SinkError: the file cannot be written.
        """
        names = _COLUMNS if self._with_sheets else _COLUMNS[1:]
        if not self._rows:
            await self._sink.open()
            await self._write(self._encoder.begin([Column(name, name) for name in names]))
        self._rows += len(failures)
        lines = [[sheet, *_cells(each)][-len(names) :] for each in failures]
        await self._write(self._encoder.encode(lines))

    async def seal(self) -> Rejects | None:
        """Complete the file, all but its name; None if there is none.

        Raises:
            SinkError: the file is not complete.
        """
        if not self._rows:
            return None
        await self._sink.seal()
        return Rejects(self._sink.target.name, self._rows, self._digest.hexdigest())

    async def _write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        await self._sink.write(chunk)


def is_rejects(line: bytes) -> bool:
    """Tell whether *line* is the first one of such a file."""
    return line in {",".join(names).encode() + b"\r\n" for names in (_COLUMNS, _COLUMNS[1:])}


def _cells(failure: RowError) -> list[Any]:
    key = failure.key
    if isinstance(key, tuple):
        key = ", ".join(map(str, key))
    return [failure.row_number, key, failure.field, failure.error]
