"""What the formats that pyarrow writes have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from async_export.formats._arrow_cells import ARROW_NATIVES
from async_export.formats._arrow_tables import Output, RecordBatch, Tables
from async_export.formats._encoder import Encoder
from async_export.types import CellForm, Column, Record

__all__ = ("PyArrowEncoder",)


class PyArrowEncoder(Encoder):
    """An encoder whose files pyarrow writes, table by table."""

    cells: CellForm = "native"
    natives = ARROW_NATIVES
    extra = "parquet"
    offload = True

    def begin(self, columns: Sequence[Column]) -> bytes:
        self._tables = self._gather(columns)
        self.taken = 0
        self._output = Output()
        self._writer = self._open()
        return self._output.take()

    def encode(self, records: Sequence[Record]) -> bytes:
        for table in self._tables.add(records):
            self._write(table)
        self.taken = self._tables.taken
        return self._output.take()

    def end(self) -> bytes:
        for table in self._tables.rest():
            self._write(table)
        self._writer.close()
        return self._output.take()

    @abstractmethod
    def _gather(self, columns: Sequence[Column]) -> Tables:
        """Give what gathers the records into tables."""
        ...

    @abstractmethod
    def _open(self) -> Any:
        """Give pyarrow's writer, which writes to the output."""
        ...

    @abstractmethod
    def _write(self, table: RecordBatch) -> None:
        """Let it write a *table*."""
        ...
