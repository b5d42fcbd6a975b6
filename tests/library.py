"""A small library: the models and data that the tests of the workflow share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, Column, DateTime, ForeignKey, Numeric, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from async_export import Field, ModelResource, Resource


class Base(DeclarativeBase):
    """The registry of these models."""


book_tag = Table(
    "book_tag",
    Base.metadata,
    Column("book_id", ForeignKey("book.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Author(Base):
    """Somebody who wrote books."""

    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    country: Mapped[str | None]
    books: Mapped[list[Book]] = relationship(back_populates="author")


class Tag(Base):
    """A word that books are found by."""

    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Book(Base):
    """What is exported."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    price: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    published: Mapped[date | None]
    added: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    in_print: Mapped[bool] = mapped_column(default=True)
    details: Mapped[Any] = mapped_column(JSON, nullable=True)
    author: Mapped[Author | None] = relationship(back_populates="books")
    tags: Mapped[list[Tag]] = relationship(secondary=book_tag)

    @property
    def shelf(self) -> str:
        """Something that only Python knows."""
        return f"{self.title[:1].upper()}{self.id}"


AUTHORS: Sequence[dict[str, Any]] = (
    {"id": 1, "name": "Ursula K. Le Guin", "country": "us"},
    {"id": 2, "name": "Stanisław Lem", "country": "pl"},
    {"id": 3, "name": "Nobody", "country": None},
)

TAGS: Sequence[dict[str, Any]] = (
    {"id": 1, "name": "novel"},
    {"id": 2, "name": "science fiction"},
    {"id": 3, "name": "robots"},
)

BOOKS: Sequence[dict[str, Any]] = (
    {
        "id": 1,
        "title": "The Dispossessed",
        "price": Decimal("9.90"),
        "author_id": 1,
        "published": date(1974, 5, 1),
        "added": datetime(2024, 1, 31, 9, 5, tzinfo=UTC),
        "in_print": True,
        "details": {"pages": 341},
    },
    {
        "id": 2,
        "title": 'Solaris, or "the sea"',
        "price": Decimal("12.00"),
        "author_id": 2,
        "published": date(1961, 1, 1),
        "added": None,
        "in_print": False,
        "details": {"pages": 204, "film": {"year": 1972}},
    },
    {
        "id": 3,
        "title": "Cyberiada",
        "price": None,
        "author_id": 2,
        "published": None,
        "added": datetime(2024, 7, 1, 23, 30, tzinfo=UTC),
        "in_print": True,
        "details": {},
    },
    {
        "id": 4,
        "title": "Anonymous\nverses",
        "price": Decimal("0.50"),
        "author_id": None,
        "published": date(1801, 12, 31),
        "added": None,
        "in_print": False,
        "details": {"pages": None},
    },
)

BOOK_TAGS: Sequence[dict[str, int]] = (
    {"book_id": 1, "tag_id": 2},
    {"book_id": 1, "tag_id": 1},
    {"book_id": 2, "tag_id": 2},
    {"book_id": 3, "tag_id": 3},
    {"book_id": 3, "tag_id": 2},
)

IDS_AND_TITLES = (
    b"id,title\r\n"
    b"1,The Dispossessed\r\n"
    b'2,"Solaris, or ""the sea"""\r\n'
    b"3,Cyberiada\r\n"
    b'4,"Anonymous\nverses"\r\n'
)
"""The CSV of `BookResource`."""


class BookResource(ModelResource):
    """The plainest resource: two columns, no hooks."""

    class Meta:
        """Its options."""

        model = Book
        fields = ("id", "title")
        # A hook without @depends is to have mapped objects, however little it reads.
        infer_reads = False


class NumberResource(Resource):
    """A resource over dicts such as ``{"number": 1}``; needs no database."""

    number = Field()


def numbers(count: int) -> list[dict[str, int]]:
    """Give a queryset for `NumberResource`: *count* rows, from 1."""
    return [{"number": number} for number in range(1, count + 1)]


LIBRARY: Any = [Author.__table__, Tag.__table__, Book.__table__, book_tag]


async def fill(engine: AsyncEngine) -> AsyncEngine:
    """Create the tables and put the library in; give the engine back."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all, LIBRARY, checkfirst=False)
        await connection.execute(insert(Author), AUTHORS)
        await connection.execute(insert(Tag), TAGS)
        await connection.execute(insert(Book), BOOKS)
        await connection.execute(insert(book_tag), BOOK_TAGS)
    return engine


async def bytes_of(
    resource: Resource, queryset: Any = None, name: Any = "csv", **kwargs: Any
) -> bytes:
    """Give all bytes of an export in the format *name*."""
    async with resource.stream(name, queryset, **kwargs) as stream:
        return b"".join([chunk async for chunk in stream])


async def records_of(resource: Resource, queryset: Any = None, **kwargs: Any) -> list[list[Any]]:
    """Give all records of an export."""
    async with aclosing(resource.records(queryset, **kwargs)) as records:
        return [list(record) async for record in records]


async def generate(rows: Iterable[Any]) -> AsyncIterator[Any]:
    """Give *rows* as an async generator."""
    for row in rows:
        yield row
