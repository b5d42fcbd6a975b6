"""The tables: items, of any number of rows and columns, and the cities of the demo."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import asyncpg

__all__ = (
    "CITIES",
    "COLUMNS",
    "Source",
    "Tables",
    "column_names",
    "plain_name",
    "select_sql",
)

Source: TypeAlias = Literal["items", "cities", "sqlite", "made"]
"""Where rows come from: the items, the cities, the items in a file of SQLite, or no table."""

CITIES: Final = 234_908
"""Cities of the demo, all of them."""

COLUMNS: Final = 11
"""Columns of the items, unless more are asked for."""

ROOT: Final = Path(__file__).parent.parent


class _Column(NamedTuple):
    """A column: its type, and its value in row ``g``."""

    type: str
    value: str


_COLUMNS: Final = {
    "id": _Column("bigint", "g"),
    "name": _Column(
        "text",
        """case g % 10
            when 0 then 'Bolt "M' || g || '", zinc'
            when 1 then 'Nut,' || chr(10) || 'pack of ' || g
            when 2 then 'Łańcuch n° ' || g
            when 3 then '歯車 ' || g
            else 'Part ' || g
        end""",
    ),
    "category": _Column(
        "varchar(20)",
        "(array['garden', 'paint', 'plumbing', 'tools', 'wiring', 'wood', ''])[1 + g % 7]",
    ),
    "price": _Column("numeric(12,2)", "g * 7919 % 1000000 / 100.0"),
    "ratio": _Column("double precision", "sqrt(g)"),
    "active": _Column("boolean", "g % 3 > 0"),
    "born": _Column("date", "date '1950-01-01' + (g * 37 % 25000)::integer"),
    "created": _Column("timestamptz", "timestamptz '2020-01-01 00:00Z' + g * interval '61.0035 s'"),
    "code": _Column("uuid", "md5(g::text)"),
    "quantity": _Column("integer", "g * 31 % 1000"),
    "note": _Column(
        "text", "case g % 4 when 0 then null when 1 then '' else 'On shelf ' || g % 97 end"
    ),
}
"""The columns of the items; wider items have all but the key once more, as ``name_2``."""

_CITIES_SQL: Final = """
    select city.id, city.name, country.name as country, alternate_names, latitude, longitude,
        city.population, timezone
    from async_export_demo.city left join async_export_demo.country on code = country_code
    order by city.id
"""


def column_names(count: int = COLUMNS) -> list[str]:
    """Name the first *count* columns of the items."""
    others = [name for name in _COLUMNS if name != "id"]
    repeated = (
        name if turn == 1 else f"{name}_{turn}" for turn in range(1, count + 1) for name in others
    )
    return ["id", *(name for name, _ in zip(repeated, range(count - 1), strict=False))]


def plain_name(name: str) -> str:
    """Give the name that a repeated column was first: ``price`` for ``price_2``."""
    return name.partition("_")[0]


def select_sql(
    source: Source, columns: int = COLUMNS, limit: int | None = None, *, as_text: str = ""
) -> str:
    """Write the select of what is exported, as one would by hand.

    Args:
        source: Items or cities.
        columns: How many columns of the items.
        limit: How many rows; None for all.
        as_text: Names of columns, with spaces between, for libraries that cannot write their type.
    """
    names = [
        f"{name}::text as {name}" if name in as_text.split() else name
        for name in column_names(columns)
    ]
    sql = f"select {', '.join(names)} from items order by id"
    if source == "cities":
        sql = " ".join(_CITIES_SQL.split())
    return sql if limit is None else f"{sql} limit {limit}"


class Tables:
    """Makes the tables on a server when they are asked for, each in a database of its own.

    Args:
        server: URL of a server, for its superuser.
        folder: Where the files of SQLite go.

    Attributes:
        urls: Where the tables are, by source, rows and columns.
    """

    def __init__(self, server: str, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.urls: dict[tuple[Source, int, int], str] = {}

    def url(self, source: Source, rows: int, columns: int) -> str:
        """Give where a table of so many rows and columns is."""
        # The cities and SQLite have one width; fewer columns of the items are in the same table.
        width = columns if source == "items" and columns > COLUMNS else COLUMNS
        key = (source, rows, width)
        if key not in self.urls:
            print(f"{rows:,} rows of {source} are made …", file=sys.stderr)
            self.urls[key] = self._make(source, rows, width)
        return self.urls[key]

    def _make(self, source: Source, rows: int, columns: int) -> str:
        if source == "sqlite":
            from benchmarks.sqlite import copy_items

            path = self.folder / f"items_{rows}.sqlite"
            asyncio.run(copy_items(self.url("items", rows, columns), path))
            return f"sqlite:///{path}"
        url = asyncio.run(self._make_database(f"{source}_{rows}_{columns}"))
        asyncio.run(_load_cities(url, rows) if source == "cities" else _fill(url, rows, columns))
        return url

    async def _make_database(self, name: str) -> str:
        connection = await asyncpg.connect(self.server)
        try:
            await connection.execute(f"create database {name}")
        finally:
            await connection.close()
        return urlsplit(self.server)._replace(path=f"/{name}").geturl()


async def _fill(url: str, rows: int, columns: int) -> None:
    made = ", ".join(
        f"({column.value})::{column.type} as {name}"
        for name in column_names(columns)
        for column in [_COLUMNS[plain_name(name)]]
    )
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            f"create unlogged table items as select {made} "
            f"from generate_series(1::bigint, {rows}) as g"
        )
        await connection.execute("alter table items add primary key (id)")
        await connection.execute("vacuum (freeze, analyze) items")
    finally:
        await connection.close()


async def _load_cities(url: str, rows: int) -> None:
    loader = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "async_export.demo.load"),
        *(() if rows >= CITIES else (str(rows),)),
        env={**os.environ, "DATABASE_URL": url},
        cwd=ROOT,
    )
    if await loader.wait():
        raise RuntimeError(f"the cities could not be loaded: exit code {loader.returncode}")
