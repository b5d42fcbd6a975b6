"""Readers that are slow, that stand still, and that leave: flat memory, and no query for nobody."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from conditions import Conditions
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from subjects import STRATEGIES, Book, sampled, slowly
from web.serving import Client, serving

from async_export import ModelResource
from async_export.web import ExportResponse

WIDE_ROWS = 4_000

MEBIBYTE = 1_048_576

WIDE = f"""
create table author (id integer primary key, name text not null);
create table book (
    id integer primary key, title text not null, price numeric(8, 2), author_id integer
);
insert into book
    select i, repeat(md5(i::text), 160), 1, null from generate_series(1, {WIDE_ROWS}) i;
analyze book
"""
"""Some 20 MiB of books."""

MOST_BYTES = 4 * MEBIBYTE
"""What an export may have in memory at once, whoever reads it."""

TIMEOUTS = {
    "statement_timeout": "100ms",
    "idle_in_transaction_session_timeout": "100ms",
    "transaction_timeout": "100ms",
}


@pytest.mark.parametrize(("strategy", "reader"), sampled(STRATEGIES, ("stalled", "slow"), every=9))
async def test_reader_that_is_slow(
    new_engine: Callable[..., AsyncEngine],
    watched: Callable[..., Conditions],
    name: str,
    pg_schema: str,
    *,
    strategy: type[ModelResource],
    reader: str,
) -> None:
    """However slow the reader, memory is flat, no timeout ends the export, and all bytes come."""
    engine = new_engine(name=name, settings={"search_path": pg_schema, **TIMEOUTS})
    conditions = watched(engine, name)
    await conditions.watcher.execute(f"set search_path = {pg_schema}; {WIDE}")
    async with conditions.fault(strategy(engine)) as outcome:
        size = 0
        tracemalloc.start()
        try:
            async with strategy(engine).stream("csv") as stream:
                async for chunk in stream:
                    if reader == "stalled" and not size:
                        await asyncio.sleep(0.3)
                    elif reader == "slow":
                        await asyncio.sleep(0.002)
                    size += len(chunk)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert outcome.error is None
    assert size > 4 * MOST_BYTES
    assert peak < MOST_BYTES


_LEAVES = {"before the first row": 0.0, "after a byte": 1e-9, "middle": 0.5, "last byte": 1.0}
"""By name, after which part of the response the client leaves."""


@pytest.mark.parametrize(
    ("strategy", "part", "reset"),
    sampled(STRATEGIES, _LEAVES, {"close": False, "reset": True}, every=13),
)
async def test_client_that_leaves(
    conditions: Conditions,
    *,
    strategy: type[ModelResource],
    part: float,
    reset: bool,
) -> None:
    """A client that leaves takes its query with it, and the connection is back within a second."""
    resource = strategy(conditions.engine)

    async def endpoint(_: object) -> Response:
        return ExportResponse(resource, queryset=None if part else slowly(1, 30))

    app = Starlette(routes=[Route("/", endpoint)])
    async with serving(app) as port, conditions.fault(resource):
        client = await Client.get(port)
        if part:
            size = len(await conditions.reference(resource))
            received = await client.read(max(1, int(part * size)))
            assert received
            if part == 1:
                received += await client.read(size)
        else:
            await conditions.waiting("PgSleep")
        client.leave(reset=reset)


@pytest.mark.faults
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_reader_that_gives_up(
    conditions: Conditions, tmp_path: Path, strategy: type[ModelResource]
) -> None:
    """A reader that breaks off after any number of chunks leaves nothing behind."""
    resource = strategy(conditions.engine)
    for chunks in (0, 1, 2, 10):
        async with conditions.fault(resource, tmp_path / "books.csv") as outcome:
            taken = 0
            async with resource.stream("csv", select(Book).order_by(Book.id)) as stream:
                async for _ in stream:
                    taken += 1
                    if taken > chunks:
                        break
            outcome.error = asyncio.CancelledError()
