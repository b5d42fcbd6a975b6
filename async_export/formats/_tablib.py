r"""The formats that tablib writes and that cannot be written row by row.

All records are gathered, and tablib writes them at the end. What tablib would lose, cut or write
into the wrong place is refused or written in another way, as each class tells; else the bytes are
tablib's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import tablib

from async_export.errors import ConfigurationError, EncodeError, FormatLimitError
from async_export.formats._cell_error import reason_of
from async_export.formats._encoder import Encoder
from async_export.formats._optional import require
from async_export.types import Cell, Column, Record

__all__ = ("TablibEncoder", "utf8_text")


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


def utf8_text(cell: Cell) -> str:
    """Give the text of a *cell*, which is made sure to have one in UTF-8."""
    text = "" if cell is None else str(cell)
    if not text.isascii():
        text.encode()
    return text
