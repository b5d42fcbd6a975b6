"""Rows that are made in Python, for those who write files and know no database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import sqrt
from typing import Any, Final, TypeAlias

__all__ = ("DECIMAL", "HEADERS", "Row", "made_rows", "with_text")

Row: TypeAlias = tuple[Any, ...]

HEADERS: Final = (
    *("id", "name", "email", "active", "price", "ratio", "born", "created", "note", "text"),
)
"""What the columns are called; their values are of as many types as tables usually have."""

DECIMAL: Final = HEADERS.index("price")
"""The column that not every library can write."""

_FIRST_DAY: Final = date(1950, 1, 1).toordinal()
_START: Final = datetime(2020, 1, 1)  # noqa: DTZ001 - most writers refuse a zone
_PROSE: Final = "Turned from one bar of brass, deburred, and packed by the hundred. " * 2
_PROSE_WIDTH: Final = 57

_NAMES: Final = ('Bolt "M{}", zinc', "Nut, pack of {}", "Łańcuch n° {}", "歯車 {}", "Part {}")


def made_rows(count: int) -> Iterator[Row]:
    """Make so many rows one by one, the same ones every time."""
    for number in range(1, count + 1):
        cents = number * 7919 % 1_000_000
        yield (
            number,
            _NAMES[min(number % 10, 4)].format(number),
            f"someone.{number}@example.org",
            number % 3 > 0,
            Decimal(f"{cents // 100}.{cents % 100:02}"),
            sqrt(number),
            date.fromordinal(_FIRST_DAY + number * 37 % 25_000),
            _START + timedelta(seconds=number * 61),
            f"On shelf {number % 97}" if number % 4 else None,
            f"{number:07} {_PROSE[number % 60 :][:_PROSE_WIDTH]}",
        )


def with_text(rows: Iterable[Row], *places: int) -> Iterator[Row]:
    """Put the text of the cells in some places, for writers that do not know their type."""
    for row in rows:
        cells = list(row)
        for place in places:
            cells[place] = None if cells[place] is None else str(cells[place])
        yield tuple(cells)
