"""Memory: flat however many rows there are, and the same after every export.

Peaks are measured in processes of their own: ``python tests/test_memory.py URL SCHEMA CASE ROWS``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import resource as process
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from library import Author, Book, BookResource, NumberResource, bytes_of, fill, numbers
from sqlalchemy import func, literal, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from async_export import Field, ModelResource, Resource, depends

MEBIBYTE = 2**20
FEW = 10_000


class ManyResource(ModelResource):
    """Many books, one of the fields made in Python."""

    class Meta:
        """Its options."""

        model = Book
        fields = ("id", "title", "price", "published", "added", "in_print", "author.name")

    @depends("title")
    def dehydrate_title(self, row: Any) -> str:
        """Change the title."""
        return str(row.title).upper()


class ManyInstancesResource(ManyResource):
    """The same with mapped objects."""

    def dehydrate_title(self, book: Book) -> str:
        """Change the title."""
        return book.title.upper()


class WideResource(Resource):
    """Rows of one wide column."""

    wide = Field()


async def dicts(count: int) -> AsyncIterator[dict[str, int]]:
    """Give rows one by one."""
    for number in range(count):
        yield {"number": number}


async def drain(resource: Resource, queryset: Any, name: str) -> None:
    """Export, and keep nothing."""
    async with resource.stream(name, queryset) as stream:
        async for _ in stream:
            pass


def peak() -> int:
    """Give the most bytes that this process ever had."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which a child inherits from its parent.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert found is not None
        return int(found[1]) * 1024
    return process.getrusage(process.RUSAGE_SELF).ru_maxrss


async def measure(case: str, many: int, engine: AsyncEngine) -> list[int]:
    """Export few rows, then *many*; give the peak after each."""
    kind, name = case.split()
    peaks = []
    for count in (20 if kind == "wide" else FEW, many):
        if kind == "iterable":
            await drain(NumberResource(), dicts(count), name)
        elif kind == "wide":
            sql = f"SELECT repeat('x', 1048576) AS wide FROM generate_series(1, {count})"
            await drain(WideResource(engine, batch_size=10), text(sql), name)
        else:
            resource_class = ManyResource if kind == "rows" else ManyInstancesResource
            queryset = select(Book).where(Book.id <= count).order_by(Book.id)
            await drain(resource_class(engine), queryset, name)
        peaks.append(peak())
    return peaks


async def main(url: str, schema: str, case: str, many: str) -> None:
    """Measure in a process of its own."""
    engine = create_async_engine(url, connect_args={"server_settings": {"search_path": schema}})
    print(json.dumps(await measure(case, int(many), engine)))  # noqa: T201
    await engine.dispose()


def growth(url: str, schema: str, case: str, many: int) -> int:
    """Give how many bytes the peak of *many* rows is above that of few."""
    url = make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    command = [sys.executable, __file__, url, schema, case, str(many)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    before, after = json.loads(done.stdout)
    return int(after) - int(before)


def live_objects() -> int:
    """Count what the garbage collector knows.

    Without weak references: sqlite3 sweeps up its own after some hundred cursors only.
    """
    for _ in range(3):
        gc.collect()
    return sum(type(each) is not weakref.ref for each in gc.get_objects())


async def fill_many(engine: AsyncEngine, many: int) -> None:
    """Put *many* books in."""
    await fill(engine)
    number = func.generate_series(5, many).column_valued("number")
    names = ("id", "title", "price", "author_id", "published", "added", "in_print", "details")
    columns: list[Any] = [
        number,
        literal("Volume ").concat(number),
        number / 100,
        1,
        func.current_date(),
        func.now(),
        True,
        None,
    ]
    rows = select(*columns)
    async with engine.begin() as connection:
        await connection.execute(Book.__table__.insert().from_select(names, rows))  # type: ignore[attr-defined]
        assert await connection.scalar(select(func.count()).select_from(Book)) == many


MANY = pytest.mark.parametrize("many", [40_000, pytest.param(300_000, marks=pytest.mark.slow)])


@MANY
@pytest.mark.parametrize("name", ["csv", "json", "xlsx", "ods", "html", "csv.gz", "csv.zip"])
def test_iterables_are_flat(postgres_url: str, name: str, many: int) -> None:
    """Exporting many times as many rows of an iterable takes no more memory."""
    assert growth(postgres_url, "public", f"iterable {name}", many) < 8 * MEBIBYTE


@MANY
@pytest.mark.parametrize("case", ["rows csv", "instances jsonl"])
async def test_tables_are_flat(
    pg_engine: AsyncEngine, postgres_url: str, pg_schema: str, case: str, many: int
) -> None:
    """Exporting many times as many rows of a table takes no more memory."""
    await fill_many(pg_engine, many)
    assert growth(postgres_url, pg_schema, case, many) < 8 * MEBIBYTE


@pytest.mark.parametrize("many", [120, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["csv", "csv.gz", "ods"])
def test_wide_rows_are_bounded_by_the_batch(postgres_url: str, name: str, many: int) -> None:
    """Rows of 1 MiB take the memory of some batches of ten, however many there are."""
    assert growth(postgres_url, "public", f"wide {name}", many) < 64 * MEBIBYTE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parquet", "arrows"])
def test_wide_rows_are_bounded_by_the_table(postgres_url: str, name: str) -> None:
    """Rows of 1 MiB take the memory of a table or two of 16 MiB as well."""
    assert growth(postgres_url, "public", f"wide {name}", 400) < 192 * MEBIBYTE


@pytest.mark.parametrize("name", ["csv", "ods", "parquet", "csv.zst"])
async def test_wide_rows_make_small_batches(pg_engine: AsyncEngine, name: str) -> None:
    """After the first one, batches of wide rows make 1 MiB or so each."""
    sizes: list[int] = []

    class Noting(WideResource):
        def prepare_batch(self, batch: Any, **kwargs: Any) -> None:
            sizes.append(len(batch))

    wide = text("SELECT repeat('x', 262144) AS wide FROM generate_series(1, 130)")
    await drain(Noting(pg_engine), wide, name)
    assert sizes[0] <= 100
    assert max(sizes[1:]) <= 8


async def test_no_object_is_left(engine: AsyncEngine) -> None:
    """Exports one after the other leave the same number of objects."""
    await fill(engine)

    class Instances(BookResource):
        def dehydrate_title(self, book: Book) -> str:
            return book.title

    class WithHook(BookResource):
        class Meta:
            fields = ("id", "title", "author.name", "tags")

        @depends("author.name")
        async def dehydrate_title(self, row: Any) -> str:
            return "" if row.author is None else str(row.author.name)

    resources = [BookResource(engine), Instances(engine), WithHook(engine)]

    async def run() -> int:
        for resource in resources:
            for name in ("csv", "json"):
                await bytes_of(resource, name=name)
            async with resource.stream("csv") as stream:
                await anext(stream)
        await bytes_of(NumberResource(), numbers(500))
        return live_objects()

    for _ in range(2):
        await run()
    counts = [await run() for _ in range(4)]
    # What leaks does so every time; a cache may grow by chance.
    assert min(counts[2:]) <= max(counts[:2]), counts


async def test_failed_exports_leave_no_object(engine: AsyncEngine) -> None:
    """Exports that fail leave nothing either."""
    await fill(engine)

    class Failing(BookResource):
        def dehydrate_title(self, book: Book) -> str:
            raise LookupError(Author)

    async def run() -> int:
        for batch_size in (1, None):
            with pytest.raises(Exception, match="LookupError"):
                await bytes_of(Failing(engine, batch_size=batch_size))
        return live_objects()

    for _ in range(2):
        await run()
    counts = [await run() for _ in range(4)]
    # What leaks does so every time; a cache may grow by chance.
    assert min(counts[2:]) <= max(counts[:2]), counts


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
