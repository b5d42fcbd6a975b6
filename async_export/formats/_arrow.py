"""Arrow IPC, as a file and as a stream, written by pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

from async_export.formats._arrow_cells import UUIDForm
from async_export.formats._arrow_encoder import PyArrowEncoder
from async_export.formats._arrow_tables import (
    MAX_TABLE_BYTES,
    RecordBatch,
    Tables,
    check_choice,
    check_number,
)
from async_export.formats._optional import require
from async_export.types import Column

__all__ = ("ArrowEncoder", "ArrowStreamEncoder")

Compression: TypeAlias = Literal["zstd", "lz4"]


class ArrowEncoder(PyArrowEncoder):
    """An Arrow IPC file, also known as Feather: columns as they are in memory.

    Types, and what is refused, are those of `ParquetEncoder`; durations have a type here.

    Args:
        compression: How columns are compressed; None for not at all, so that readers can map
            the file into memory.
        batch_rows: Rows of a record batch; the last one may have fewer.
        batch_bytes: Bytes of data, before compression, after which a batch ends earlier. A
            batch is in memory until it is written.
        uuid: ``"string"`` to write UUIDs as text, for readers that do not know their type.

    Raises:
        ConfigurationError: an option has no meaning.
        MissingDependencyError: pyarrow is not installed.
    """

    name = "arrow"
    extension = "arrow"
    content_type = "application/vnd.apache.arrow.file"

    def __init__(
        self,
        *,
        compression: Compression | None = None,
        batch_rows: int = 4_096,
        batch_bytes: int = 8_388_608,
        uuid: UUIDForm = "uuid",
    ) -> None:
        require("pyarrow", f"the format {self.name}", self.extra)
        check_choice("compression", compression, (*get_args(Compression), None))
        check_number("batch_rows", batch_rows, MAX_TABLE_BYTES)
        check_number("batch_bytes", batch_bytes, MAX_TABLE_BYTES)
        check_choice("uuid", uuid, get_args(UUIDForm))
        self.compression = compression
        self.batch_rows = batch_rows
        self.batch_bytes = batch_bytes
        self.uuid = uuid

    def _gather(self, columns: Sequence[Column]) -> Tables:
        return Tables(columns, rows=self.batch_rows, size=self.batch_bytes, uuid=self.uuid)

    def _open(self) -> Any:
        from pyarrow import ipc

        options = ipc.IpcWriteOptions(compression=self.compression, use_threads=False)
        return ipc.new_file(self._output, self._tables.schema, options=options)

    def _write(self, table: RecordBatch) -> None:
        self._writer.write_batch(table)


class ArrowStreamEncoder(ArrowEncoder):
    """An Arrow IPC stream: for readers that take the batches as they come.

    Options are those of `ArrowEncoder`. A stream that was cut off between two batches looks like a
    shorter one, because readers do not insist on the mark at its end; a file that was cut off
    cannot be opened.
    """

    name = "arrows"
    extension = "arrows"
    content_type = "application/vnd.apache.arrow.stream"

    def _open(self) -> Any:
        from pyarrow import ipc

        options = ipc.IpcWriteOptions(compression=self.compression, use_threads=False)
        return ipc.new_stream(self._output, self._tables.schema, options=options)
