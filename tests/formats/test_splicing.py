"""Cells of hooks in what COPY writes: the same bytes as the encoder's own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_export.formats import CSVEncoder, JSONLinesEncoder, Splice
from async_export.formats._csv_cells import quoted_column
from async_export.types import Column

TEXTS = st.text('a",\n\r\\é😀\x85\u2028', max_size=4)
CELLS = st.one_of(TEXTS, st.none(), st.integers(), st.floats(allow_nan=False))
RECORDS = st.lists(st.tuples(TEXTS, CELLS, TEXTS, CELLS), max_size=8)
PLACES = st.permutations([0, 1, 2, 3])

COLUMNS = [Column(name, name) for name in "abcd"]


def quoted(text: str | None) -> str:
    """Write one value as COPY's CSV does: NULL is nothing, the empty text is quoted."""
    if text is None:
        return ""
    special = not text or any(each in text for each in '",\n\r')
    return '"' + text.replace('"', '""') + '"' if special else text


def copied_csv(splice: Splice, rows: Sequence[Sequence[str]], reads: Sequence[Any]) -> bytes:
    """Write rows as COPY does; the cells of a row, by *splice*, then what a hook reads."""
    lines = []
    for row, read in zip(rows, reads, strict=True):
        cells: list[Any] = [None if cell is None else (cell or None, "cell") for cell in row]
        arranged = splice.arrange(cells, [(each, "read") for each in read])
        lines.append(
            ",".join(each if isinstance(each, str) else quoted(each[0]) for each in arranged)
        )
    return "".join(f"{line}\n" for line in lines).encode()


@given(
    records=RECORDS,
    places=PLACES,
    reads=st.lists(st.tuples(st.none() | TEXTS, st.none() | TEXTS), min_size=8, max_size=8),
    size=st.integers(1, 4),
    skipped=st.sets(st.integers(0, 7)),
)
def test_csv(
    records: list[tuple[Any, ...]],
    places: list[int],
    reads: list[tuple[Any, Any]],
    size: int,
    skipped: set[int],
) -> None:
    """Whatever texts surround them, cells come where they belong; skipped rows are left out."""
    records = [tuple(record[place] for place in places) for record in records]
    hooked = [at for at, place in enumerate(places) if place in (1, 3)]
    encoder = CSVEncoder()
    form = encoder.copy_form()
    assert form is not None
    splice = form.splice(COLUMNS, len(hooked))
    rows = [[None if at in hooked else cell for at, cell in enumerate(r)] for r in records]
    data = copied_csv(splice, rows, reads[: len(rows)])  # type: ignore[arg-type]
    found = splice.reads(0, splice.split(data))
    values = [each[splice.first :][:2] for each in found]
    read = [tuple(None if t == splice.null else splice.text(t) for t in v) for v in values]
    assert read == reads[: len(rows)]
    made = [
        None if number in skipped else [record[at] for at in hooked]
        for number, record in enumerate(records)
    ]
    joined = [
        splice.join(start, min(start + size, len(made)), made[start : start + size])
        for start in range(0, len(made), size)
    ]
    encoder.begin(COLUMNS)
    kept = [record for number, record in enumerate(records) if number not in skipped]
    assert b"".join(piece for piece, _ in joined) == (encoder.encode(kept) if kept else b"")
    assert sum(count for _, count in joined) == len(kept)


@given(records=RECORDS, places=PLACES, size=st.integers(1, 4), skipped=st.sets(st.integers(0, 7)))
def test_json(
    records: list[tuple[Any, ...]], places: list[int], size: int, skipped: set[int]
) -> None:
    """The same for JSON lines."""
    records = [tuple(record[place] for place in places) for record in records]
    hooked = [at for at, place in enumerate(places) if place in (1, 3)]
    encoder = JSONLinesEncoder()
    form = encoder.copy_form()
    assert form is not None
    splice = form.splice(COLUMNS, len(hooked))
    splice.arrange([None if at in hooked else "" for at in range(4)], ["", ""])
    lines = []
    for number, record in enumerate(records):
        cells = [None if at in hooked else json.dumps(c) for at, c in enumerate(record)]
        lines.append("\x02".join(splice.arrange(cells, [json.dumps(f"é{number}"), "null"])))
    found = splice.reads(0, splice.split("".join(f"{line}\n" for line in lines).encode()))
    assert [splice.text(each[0]) for each in found] == [
        f"é{number}" for number in range(len(records))
    ]
    assert all(each[1] == splice.null for each in found)
    made = [
        None if number in skipped else [record[at] for at in hooked]
        for number, record in enumerate(records)
    ]
    joined = [
        splice.join(start, min(start + size, len(made)), made[start : start + size])
        for start in range(0, len(made), size)
    ]
    encoder.begin(COLUMNS)
    kept = [record for number, record in enumerate(records) if number not in skipped]
    assert [json.loads(line) for piece, _ in joined for line in piece.split(b"\n")[:-1]] == [
        json.loads(line) for line in encoder.encode(kept).split(b"\n")[:-1]
    ]
    assert sum(count for _, count in joined) == len(kept)


def test_markers_differ() -> None:
    """No text can be made that holds another export's marker."""
    form = CSVEncoder().copy_form()
    assert form is not None
    markers = {form.splice(COLUMNS, 1).arrange([None], [])[0] for _ in range(20)}
    assert len(markers) == 20


def test_a_missing_marker_is_noticed() -> None:
    """Bytes that COPY did not write for this splice are refused."""
    form = CSVEncoder().copy_form()
    assert form is not None
    splice = form.splice(COLUMNS, 2)
    marker = splice.arrange([None], [])[0]
    with pytest.raises(ValueError, match="marker"):
        splice.split(f"{marker},1,{marker}\n".encode())


@given(column=st.lists(CELLS), delimiter=st.sampled_from(",;\t"))
def test_quoted_column(column: list[Any], delimiter: str) -> None:
    """Cells are quoted as the csv module quotes them."""
    expected = io.StringIO(newline="")
    csv.writer(expected, delimiter=delimiter).writerows([cell, "x"] for cell in column)
    cells = quoted_column(column, delimiter)
    assert "".join(f"{cell}{delimiter}x\r\n" for cell in cells) == expected.getvalue()
