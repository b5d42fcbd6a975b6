"""What COPY writes becomes the bytes of a format, wherever it is cut."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naming import named

from async_export.formats import CSVEncoder, Encoder, JSONLinesEncoder, TSVEncoder, pieces_of
from async_export.formats._framing import Framing, JSONLinesFraming, LineFraming
from async_export.types import Column

CELLS = st.text('a",\n\r\\é😀\x85\u2028;\t', max_size=5)
RECORDS = st.lists(st.lists(CELLS, min_size=2, max_size=2))


def cut(data: bytes, size: int) -> Iterator[bytes]:
    """Cut *data* into pieces of *size* bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def framed(framing: Framing, data: bytes, size: int) -> tuple[bytes, int]:
    """Frame *data* in pieces; give the bytes and how many records there are."""
    done = [framing.frame(piece) for piece in cut(data, size)]
    return b"".join(piece for piece, _ in done), sum(records for _, records in done)


def as_copy_writes(records: list[list[str]], end: str) -> bytes:
    """Write CSV as COPY does: with quotes where the csv module would put them, too."""
    target = io.StringIO(newline="")
    writer = csv.writer(target, lineterminator="\r\n")
    lines = []
    for record in records:
        writer.writerow(record)
        lines.append(target.getvalue().removesuffix("\r\n") + end)
        target.seek(0)
        target.truncate()
    return "".join(lines).encode()


@given(records=RECORDS, size=st.integers(1, 12))
def test_line_ends_outside_of_quotes(records: list[list[str]], size: int) -> None:
    r"""Each ``\n`` that ends a line becomes the line end, none inside of a cell does."""
    output = framed(LineFraming(b"\r\n"), as_copy_writes(records, "\n"), size)
    assert output == (as_copy_writes(records, "\r\n"), len(records))


@given(
    records=st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.integers(), st.none())),
    size=st.integers(1, 80),
)
def test_keys_between_values(records: list[tuple[str, int, None]], size: int) -> None:
    """Values become objects, even if a value is longer than a piece; % is no directive."""
    headers = ["a%s%", 'b"\n', ""]
    values = [[json.dumps(cell, ensure_ascii=False) for cell in each] for each in records]
    data = "".join("\x02".join(each) + "\n" for each in values).encode()
    lines = [dict(zip(headers, each, strict=True)) for each in records]
    expected = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines).encode()
    columns = [Column(header, header) for header in headers]
    assert framed(JSONLinesFraming(columns), data, size) == (expected, len(records))


def test_pieces() -> None:
    """Long chunks are cut into pieces of 64 KiB; short ones stay whole."""
    assert list(pieces_of(b"abc")) == [b"abc"]
    long = bytes(range(256)) * 700
    pieces = list(pieces_of(bytearray(long)))
    assert b"".join(pieces) == long
    assert [len(piece) for piece in pieces] == [65_536, 65_536, 48_128]


class Shouting(CSVEncoder):
    """Somebody's own format over CSV."""

    def encode(self, records: object) -> bytes:
        """Shout."""
        return super().encode(records).upper()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("encoder", "carried"),
    [
        (CSVEncoder(), True),
        (TSVEncoder(), True),
        (CSVEncoder(delimiter=";", lineterminator="\n", bom=True, header=False), True),
        (JSONLinesEncoder(), True),
        (CSVEncoder(quoting=csv.QUOTE_ALL), False),
        (CSVEncoder(quotechar="'"), False),
        (CSVEncoder(encoding="utf-16"), False),
        (CSVEncoder(encoding="utf-8-sig"), False),
        (CSVEncoder(delimiter="→"), False),
        (CSVEncoder(delimiter=" "), False),
        (CSVEncoder(lineterminator="|\r\n"), False),
        (Shouting(), False),
        (JSONLinesEncoder(ensure_ascii=True), False),
    ],
    ids=named,
)
def test_what_copy_can_carry(encoder: Encoder, carried: bool) -> None:
    """COPY carries what it writes itself, and nobody's overridden methods."""
    assert (encoder.copy_form() is not None) is carried
