"""Parquet: row groups, what the file says of its types, and files that were cut off."""

from __future__ import annotations

import io
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from arrow_cases import UUID, column, export

from async_export.errors import ConfigurationError
from async_export.formats._parquet import ParquetEncoder
from async_export.types import Column, Kind, LogicalType

TEXT = Column("a", "a", LogicalType(Kind.TEXT))


def groups(data: bytes) -> list[int]:
    """Return the rows of each row group."""
    metadata = pq.read_metadata(io.BytesIO(data))
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def test_row_groups_end_by_rows() -> None:
    """A row group has so many rows, whatever the batches."""
    records = [["x"]] * 10
    for cuts in ([], [1, 3, 9], [4], range(10)):
        assert groups(export(ParquetEncoder(row_group_rows=4), [TEXT], records, cuts)) == [4, 4, 2]
    assert groups(export(ParquetEncoder(row_group_rows=5), [TEXT], records)) == [5, 5]


def test_row_groups_end_by_bytes() -> None:
    """The record by which a group has that many bytes is its last, however long it is."""
    records = [["x" * size] for size in (96, 95, 1, 500, 1, 1, 1)]
    for cuts in ([], [1, 2], [3], range(7)):
        data = export(ParquetEncoder(row_group_bytes=100), [TEXT], records, cuts)
        # Each text has four bytes more, for where it ends.
        assert groups(data) == [1, 2, 1, 3]
        assert pq.read_table(io.BytesIO(data)).column("a").to_pylist() == [a for (a,) in records]


@pytest.mark.parametrize(
    ("sqltype", "cell", "size"),
    [
        (sa.Integer(), 1, 4),
        (sa.Boolean(), True, 1),
        (sa.Numeric(10, 2), 1, 16),
        (sa.Uuid(), UUID, 16),
        (sa.LargeBinary(), b"abc", 7),
        (sa.ARRAY(sa.Text), ["ab", None, "c"], 4 + 3 * 4 + 3),
        (sa.ARRAY(sa.Integer), None, 4),
    ],
)
def test_bytes_of_a_cell(sqltype: Any, cell: Any, size: int) -> None:
    """Bytes are those of the data in memory, null or not."""
    records = [[cell]] * 3
    assert (
        groups(export(ParquetEncoder(row_group_bytes=size), [column(sqltype)], records)) == [1] * 3
    )
    encoder = ParquetEncoder(row_group_bytes=size + 1)
    assert groups(export(encoder, [column(sqltype)], records)) == [2, 1]


def test_row_groups_leave_when_they_are_full() -> None:
    """The file begins at once, and a full group does not wait for the next record."""
    encoder = ParquetEncoder(row_group_rows=2)
    assert encoder.begin([TEXT]) == b"PAR1"
    assert encoder.encode([]) == b""
    assert encoder.encode([["x"]]) == b""
    assert encoder.encode([["y"]]) != b""
    assert encoder.encode([["z"]]) == b""
    assert encoder.end().endswith(b"PAR1")


def test_types_in_the_file() -> None:
    """Readers of all sorts are told the types, of durations only those that read Arrow's schema."""
    columns = [
        column(sa.Uuid(), "uuid"),
        column(sa.DateTime(timezone=True), "instant"),
        column(sa.DateTime(), "local"),
        column(sa.Text(), "text"),
        column(sa.Numeric(9, 2), "decimal"),
        column(sa.Interval(), "duration"),
        column(sa.SmallInteger(), "small"),
    ]
    metadata = pq.read_metadata(io.BytesIO(export(ParquetEncoder(), columns, [])))
    found = [str(metadata.schema.column(i).logical_type) for i in range(len(columns))]
    assert found[0] == "UUID"
    assert "isAdjustedToUTC=true, timeUnit=microseconds" in found[1]
    assert "isAdjustedToUTC=false, timeUnit=microseconds" in found[2]
    assert found[3:] == [
        "String",
        "Decimal(precision=9, scale=2)",
        "None",
        "Int(bitWidth=16, isSigned=true)",
    ]
    assert metadata.format_version == "2.6"


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "brotli", "lz4", None])
def test_compression(compression: Any) -> None:
    """Columns are compressed as asked, by default with zstd."""
    data = export(ParquetEncoder(compression=compression), [TEXT], [["x" * 1_000]])
    found = pq.read_metadata(io.BytesIO(data)).row_group(0).column(0).compression
    assert found == (compression or "uncompressed").upper()
    assert (export(ParquetEncoder(), [TEXT], [["x" * 1_000]]) == data) == (compression == "zstd")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": "zip"}, "compression must be one of 'zstd', .*, None, not 'zip'$"),
        ({"row_group_rows": 0}, "row_group_rows must be a whole number from 1 to"),
        ({"row_group_rows": True}, "row_group_rows must be a whole number .*, not True$"),
        ({"row_group_bytes": 2**31}, "row_group_bytes must be a whole number"),
        ({"row_group_bytes": 1e6}, "row_group_bytes must be a whole number"),
    ],
)
def test_options_without_a_meaning(options: dict[str, Any], message: str) -> None:
    """The constructor refuses them and says what there is."""
    with pytest.raises(ConfigurationError, match=message):
        ParquetEncoder(**options)


def test_files_that_were_cut_off_cannot_be_read() -> None:
    """No beginning of a file is a file."""
    data = export(ParquetEncoder(row_group_rows=2), [TEXT], [["x"], ["y"], ["z"]])
    for size in range(len(data)):
        with pytest.raises((ValueError, OSError)):
            pq.read_table(io.BytesIO(data[:size]))
