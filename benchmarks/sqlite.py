"""The items in a file of SQLite."""

from __future__ import annotations

import warnings
from pathlib import Path

from sqlalchemy import exc, insert, select
from sqlalchemy.ext.asyncio import create_async_engine

from async_export.urls import engine_from_url
from benchmarks.models import item_model

__all__ = ("copy_items",)

_BATCH = 10_000


async def copy_items(url: str, path: Path) -> None:
    """Copy the items from PostgreSQL to a new file."""
    table = item_model().__table__
    source = engine_from_url(url)
    target = create_async_engine(f"sqlite+aiosqlite:///{path}")
    try:
        async with source.connect() as reader, target.begin() as writer:
            await writer.run_sync(table.metadata.create_all)
            rows = await reader.stream(select(table).order_by(table.c.id))
            with warnings.catch_warnings():
                # SQLite has no decimals; two digits survive as floats.
                warnings.simplefilter("ignore", exc.SAWarning)
                async for batch in rows.mappings().partitions(_BATCH):
                    await writer.execute(insert(table), [dict(row) for row in batch])
    finally:
        await source.dispose()
        await target.dispose()
