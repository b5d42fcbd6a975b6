"""Arrow IPC: record batches, compression, and files and streams that were cut off."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from arrow_cases import READERS, export

from async_export.errors import ConfigurationError
from async_export.formats._arrow import ArrowEncoder, ArrowStreamEncoder
from async_export.types import Column, Kind, LogicalType

TEXT = Column("a", "a", LogicalType(Kind.TEXT))

BOTH = pytest.mark.parametrize("encoder_class", [ArrowEncoder, ArrowStreamEncoder])


def batches(encoder_class: type[ArrowEncoder], data: bytes) -> list[int]:
    """Return the rows of each record batch."""
    return [batch.num_rows for batch in READERS[encoder_class](data).to_batches()]


@BOTH
def test_batches_end_by_rows(encoder_class: type[ArrowEncoder]) -> None:
    """A record batch has so many rows, whatever the batches of the export."""
    for cuts in ([], [1, 3, 9], range(10)):
        data = export(encoder_class(batch_rows=4), [TEXT], [["x"]] * 10, cuts)
        assert batches(encoder_class, data) == [4, 4, 2]


@BOTH
def test_batches_end_by_bytes(encoder_class: type[ArrowEncoder]) -> None:
    """The record by which a batch has that many bytes is its last."""
    records = [["x" * size] for size in (96, 95, 1, 500, 1, 1, 1)]
    for cuts in ([], [1, 2], range(7)):
        data = export(encoder_class(batch_bytes=100), [TEXT], records, cuts)
        assert batches(encoder_class, data) == [1, 2, 1, 3]


@BOTH
def test_batches_leave_when_they_are_full(encoder_class: type[ArrowEncoder]) -> None:
    """A full batch does not wait for the next record."""
    encoder = encoder_class(batch_rows=2)
    encoder.begin([TEXT])
    assert encoder.encode([]) == b""
    assert encoder.encode([["x"]]) == b""
    assert encoder.encode([["y"]]) != b""
    assert encoder.encode([["z"]]) == b""
    assert encoder.end() != b""


@BOTH
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_compression(encoder_class: type[ArrowEncoder], compression: Any) -> None:
    """Compressed batches are smaller, and read back the same."""
    records = [["x" * 1_000]] * 100
    plain = export(encoder_class(), [TEXT], records)
    packed = export(encoder_class(compression=compression), [TEXT], records)
    assert len(packed) < len(plain) / 10
    assert READERS[encoder_class](packed) == READERS[encoder_class](plain)


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": "gzip"}, "compression must be one of 'zstd', 'lz4', None, not 'gzip'$"),
        ({"batch_rows": 0}, "batch_rows must be a whole number from 1 to .*, not 0$"),
        ({"batch_bytes": "1"}, "batch_bytes must be a whole number"),
    ],
)
def test_options_without_a_meaning(
    encoder_class: type[ArrowEncoder], options: dict[str, Any], message: str
) -> None:
    """The constructor refuses them and says what there is."""
    with pytest.raises(ConfigurationError, match=message):
        encoder_class(**options)


def test_files_that_were_cut_off_cannot_be_opened() -> None:
    """No beginning of a file is a file."""
    data = export(ArrowEncoder(batch_rows=2), [TEXT], [["x"], ["y"], ["z"]])
    for size in range(len(data)):
        with pytest.raises(pa.ArrowInvalid):
            pa.ipc.open_file(data[:size])


def test_streams_that_were_cut_off() -> None:
    """Only between two batches does a stream look whole: pyarrow does not ask for its end."""
    encoder = ArrowStreamEncoder(batch_rows=1)
    begin = encoder.begin([TEXT]) + encoder.encode([["x"]])
    seconds = encoder.encode([["y"]])
    data = begin + seconds + encoder.end()
    read = {}
    for size in range(len(data)):
        try:
            read[size] = READERS[ArrowStreamEncoder](data[:size]).num_rows
        except (OSError, ValueError):
            continue
    whole = {len(begin): 1, len(begin + seconds): 2}
    assert whole.items() <= read.items()
    # Before the first batch, and where only a part of the mark at the end is missing.
    assert set(read.values()) == {0, 1, 2}
    assert len(read) <= len(whole) + 1 + len(data) - len(begin + seconds)
