"""What the tests of formats share: datasets in any batches, and their encoding."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from async_export.formats import Encoder, TitledEncoder
from async_export.types import Column, Record

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
"""Any text that UTF-8 can hold."""


@dataclass(frozen=True)
class Dataset:
    """Records, and the places where they are cut into batches."""

    headers: list[str]
    records: list[list[Any]]
    cuts: list[int]

    @property
    def columns(self) -> list[Column]:
        """A column for each header, of a type that nobody knows."""
        return columns_of(*self.headers)


@st.composite
def datasets(
    draw: st.DrawFn, cells: st.SearchStrategy[Any], headers: st.SearchStrategy[str] = TEXT
) -> Dataset:
    """Draw a dataset of such cells under such headers, all different."""
    drawn = draw(st.lists(headers, min_size=1, max_size=4, unique=True))
    record = st.lists(cells, min_size=len(drawn), max_size=len(drawn))
    records = draw(st.lists(record, max_size=8))
    cuts = draw(st.lists(st.integers(0, len(records)), max_size=4))
    return Dataset(drawn, records, sorted(cuts))


def exported(
    encoder: TitledEncoder,
    records: Sequence[Record],
    cuts: Sequence[int] = (),
    columns: Sequence[Column] | None = None,
    *,
    titles: Sequence[Record] = (),
    footers: Sequence[Record] = (),
) -> bytes:
    """Encode the records with a copy, under headers from ``c0`` if there are no *columns*."""
    width = len(records[0]) if records else 1
    columns = columns or columns_of(*(f"c{place}" for place in range(width)))
    encoder = copy.copy(encoder)
    begin = encoder.begin(columns, titles)
    return begin + _batches(encoder, records, cuts) + encoder.end(footers)


def columns_of(*headers: str) -> list[Column]:
    """Give a column for each header."""
    return [Column(f"field_{place}", header) for place, header in enumerate(headers)]


def encoded(
    encoder: Encoder,
    columns: Sequence[Column],
    records: Sequence[Record],
    cuts: Sequence[int] = (),
) -> bytes:
    """Encode the records in batches that end at the *cuts*."""
    begin = encoder.begin(columns)
    return begin + _batches(encoder, records, cuts) + encoder.end()


def _batches(encoder: Encoder, records: Sequence[Record], cuts: Sequence[int]) -> bytes:
    edges = [0, *cuts, len(records)]
    return b"".join(encoder.encode(records[a:b]) for a, b in itertools.pairwise(edges))
