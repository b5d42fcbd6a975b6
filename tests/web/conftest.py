"""A table of books, an engine with a pool of two, and somebody who watches them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from web.serving import ROWS, Watcher


@pytest.fixture
async def books(
    postgres_url: str, pg_schema: str, pg_connection: asyncpg.Connection
) -> AsyncIterator[AsyncEngine]:
    """An engine with two connections at most, to a database with books."""
    await pg_connection.execute(
        "create table book (id integer primary key, title text not null);"
        f"insert into book select i, repeat('t', 240) from generate_series(1, {ROWS}) i;"
        "analyze book"
    )
    engine = create_async_engine(
        make_url(postgres_url).set(drivername="postgresql+asyncpg"),
        connect_args={"server_settings": {"search_path": pg_schema, "application_name": pg_schema}},
        pool_size=2,
        max_overflow=0,
        pool_timeout=5,
    )
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
def watcher(pg_connection: asyncpg.Connection, books: AsyncEngine, pg_schema: str) -> Watcher:
    """Somebody who sees what the exports hold."""
    return Watcher(pg_connection, books, pg_schema)
