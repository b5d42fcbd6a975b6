"""The guard against blocking calls, and the engines."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import asyncpg
import pytest
from blockbuster import BlockingError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import async_export

_CALLER = "async def call(hook): return await hook()"


@pytest.fixture
def call_from_async_export() -> Callable[..., Any]:
    """A function that awaits what its argument returns, and passes for a part of async_export."""
    namespace: dict[str, Any] = {}
    file = Path(async_export.__path__[0], "caller.py")
    exec(compile(_CALLER, file, "exec"), namespace)
    call: Callable[..., Any] = namespace["call"]
    return call


async def blocking_hook() -> None:
    """Hold the event loop, as a careless user's hook would."""
    time.sleep(0.001)  # noqa: ASYNC251


async def test_a_blocking_hook_fails_the_test(call_from_async_export: Callable[..., Any]) -> None:
    """A hook that sleeps is found, although it is defined outside of async_export."""
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        await call_from_async_export(blocking_hook)


async def test_a_blocking_read_fails_the_test(
    call_from_async_export: Callable[..., Any], tmp_path: Path
) -> None:
    """A read of a file is found too."""
    path = tmp_path / "file"
    path.write_bytes(b"1")

    async def read() -> bytes:
        return path.read_bytes()

    with pytest.raises(BlockingError):
        await call_from_async_export(read)


async def test_a_thread_may_block(call_from_async_export: Callable[..., Any]) -> None:
    """Work that async_export does in a worker thread is not held against it."""
    await call_from_async_export(lambda: anyio.to_thread.run_sync(time.sleep, 0.001))


async def test_connecting_is_no_blocking_call(
    call_from_async_export: Callable[..., Any], engine: AsyncEngine
) -> None:
    """A connection that is opened within async_export does not count, whatever the driver reads."""

    async def ask() -> Any:
        async with engine.connect() as connection:
            return await connection.scalar(text("SELECT 1"))

    assert await call_from_async_export(ask) == 1


async def test_schemas_are_separate(pg_engine: AsyncEngine, pg_dsn: str) -> None:
    """What a test creates through the engine is found by its own DSN, in its own schema."""
    async with pg_engine.begin() as connection:
        await connection.execute(text("CREATE TABLE book (id int)"))
        schema = await connection.scalar(text("SELECT current_schema()"))
    raw = await asyncpg.connect(pg_dsn)
    assert await raw.fetchval("SELECT 'book'::regclass::oid = $1::regclass", f"{schema}.book")
    await raw.close()
