"""Parquet, written by pyarrow."""

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

__all__ = ("ParquetEncoder",)

Compression: TypeAlias = Literal["zstd", "snappy", "gzip", "brotli", "lz4"]


class ParquetEncoder(PyArrowEncoder):
    """Parquet: compressed columns with types, in row groups.

    The schema follows from the types of the columns, never from values; all columns may be null.

    =====================================  ============================================
    column                                 type
    =====================================  ============================================
    integer, float                         of the width it has, 64 bits if unknown
    decimal with at most 76 digits         decimal of that precision and scale
    decimal without precision, or more     text, every digit of it
    boolean, text, date, binary, UUID      boolean, string, date, binary, UUID
    datetime                               timestamp in microseconds, of UTC if aware
    time                                   time in microseconds; text if with an offset
    duration                               integer, microseconds; Arrow's own schema in
                                           the file tells its readers that it is one
    list                                   list of the items' type
    JSON, and all else                     text
    =====================================  ============================================

    A cell that is none of these, or does not fit, is an EncodeError: nothing is rounded, cut or
    converted silently, but for numbers in 32-bit floats, which have the nearest one.

    Args:
        compression: How columns are compressed; None for not at all.
        row_group_rows: Rows of a row group; the last one may have fewer.
        row_group_bytes: Bytes of data, before compression, after which a row group ends earlier.
            A group is in memory until it is written.
        uuid: ``"string"`` to write UUIDs as text, for readers that do not know their type.

    Raises:
        ConfigurationError: an option has no meaning.
        MissingDependencyError: pyarrow is not installed.
    """

    name = "parquet"
    extension = "parquet"
    content_type = "application/vnd.apache.parquet"

    def __init__(
        self,
        *,
        compression: Compression | None = "zstd",
        row_group_rows: int = 65_536,
        row_group_bytes: int = 16_777_216,
        uuid: UUIDForm = "uuid",
    ) -> None:
        require("pyarrow", f"the format {self.name}", self.extra)
        check_choice("compression", compression, (*get_args(Compression), None))
        check_number("row_group_rows", row_group_rows, MAX_TABLE_BYTES)
        check_number("row_group_bytes", row_group_bytes, MAX_TABLE_BYTES)
        check_choice("uuid", uuid, get_args(UUIDForm))
        self.compression = compression
        self.row_group_rows = row_group_rows
        self.row_group_bytes = row_group_bytes
        self.uuid = uuid

    def _gather(self, columns: Sequence[Column]) -> Tables:
        return Tables(columns, rows=self.row_group_rows, size=self.row_group_bytes, uuid=self.uuid)

    def _open(self) -> Any:
        from pyarrow.parquet import ParquetWriter

        return ParquetWriter(
            self._output,
            self._tables.schema,
            version="2.6",
            compression=self.compression or "none",
        )

    def _write(self, table: RecordBatch) -> None:
        self._writer.write_batch(table, table.num_rows)
