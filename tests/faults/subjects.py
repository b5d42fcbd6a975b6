"""What is exported while faults are injected: one table, by every strategy and transport."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pytest
from sqlalchemy import ForeignKey, Numeric, Select, case, func, select, true
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from async_export import ExportResult, ModelResource, depends

ROWS: Final = 1_000
BATCH: Final = 50

CANARY: Final = "canary-cell"
"""Begins every title; no message or log may hold it."""

PASSWORD: Final = "canary-word"
"""The password of every engine; no message or log may hold it."""

TABLES: Final = f"""
create table author (id integer primary key, name text not null);
create table book (
    id integer primary key, title text not null, price numeric(8, 2),
    author_id integer references author
);
insert into author select i, 'author ' || i from generate_series(1, 10) i;
insert into book
    select i, '{CANARY} ' || i || repeat('x', 480), i / 100.0, nullif(i % 11, 0)
    from generate_series(1, {ROWS}) i;
analyze author; analyze book
"""

ORDERLY: Final = {
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
"""Settings with which the server makes the rows one by one, in order, while it sends them."""


class Base(DeclarativeBase):
    """The registry of these models."""


class Author(Base):
    """Somebody who wrote books."""

    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Book(Base):
    """What is exported."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    price: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship()


class ServerResource(ModelResource):
    """Rendered by the server, sent by COPY."""

    class Meta:
        """Its options."""

        model = Book
        fields = ("id", "title", "price", "author.name")
        batch_size = BATCH
        chunk_size = 16_384


class CopiedResource(ServerResource):
    """A hook of known reads, whose columns come by COPY."""

    @depends("title")
    def dehydrate_title(self, row: Any) -> str:
        """Change the title."""
        return str(row.title).upper()


class CursorResource(CopiedResource):
    """The same through a cursor, which leaves the connection to hooks."""

    class Meta:
        """Its options."""

        hooks_use_database = True


class InstancesResource(ServerResource):
    """A hook that takes the mapped object."""

    class Meta:
        """Its options."""

        infer_reads = False

    def dehydrate_title(self, book: Book) -> str:
        """Change the title."""
        return book.title.upper()


STRATEGIES: Final[Mapping[str, type[ModelResource]]] = {
    "server-copy": ServerResource,
    "rows-copy": CopiedResource,
    "rows-cursor": CursorResource,
    "instances-stream": InstancesResource,
}
"""By strategy and transport, a resource that is exported so."""

Target: TypeAlias = Literal["file", "stream"]

TARGETS: Final[tuple[Target, ...]] = ("file", "stream")


def sampled(*axes: Iterable[Any], every: int) -> list[Any]:
    """Give the cases of a table, of which each *every*-th is in the fast set.

    Args:
        axes: The values of each parameter; a mapping gives names to them.
        every: Shares no divisor with the lengths of the axes, so that the fast set has it all.
    """
    named = [
        list(axis.items() if isinstance(axis, Mapping) else ((str(each), each) for each in axis))
        for axis in axes
    ]
    return [
        pytest.param(
            *(value for _, value in case),
            id="-".join(name for name, _ in case),
            marks=[pytest.mark.faults] if number % every else [],
        )
        for number, case in enumerate(product(*named))
    ]


def slowly(row: int, seconds: float) -> Select[Any]:
    """Select all books; the server sleeps before this row."""
    slept = func.pg_sleep(seconds).is_not(None)
    return select(Book).where(case((Book.id == row, slept), else_=true())).order_by(Book.id)


def gated(row: int, key: int) -> Select[Any]:
    """Select all books, but wait before this row until the advisory lock *key* is free."""
    passed = func.pg_advisory_xact_lock_shared(key).is_not(None)
    return select(Book).where(case((Book.id == row, passed), else_=true())).order_by(Book.id)


async def export(
    resource: ModelResource, target: Target, path: Path, queryset: Any = None
) -> ExportResult:
    """Export to the file at *path*; a stream is written there by its reader, after its end."""
    if target == "file":
        return await resource.export_to(path, "csv", queryset)
    received = bytearray()
    async with resource.stream("csv", queryset) as stream:
        async for chunk in stream:
            received += chunk
    publish(path, received)
    return stream.result


def publish(path: Path, received: bytes | bytearray) -> None:
    """Write what a stream gave to its end, as its reader would."""
    path.write_bytes(received)
