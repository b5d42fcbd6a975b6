"""A library: the mapped classes that several test modules export, and some rows of them."""

from __future__ import annotations

import asyncio
import enum
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    String,
    Table,
    TypeDecorator,
    Uuid,
    and_,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    backref,
    column_property,
    composite,
    mapped_column,
    relationship,
    synonym,
)


class Base(DeclarativeBase):
    """The base of all of them."""


class Money(TypeDecorator[Decimal]):
    """An amount, stored as a number of cents."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        """Store cents."""
        return None if value is None else int(value * 100)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        """Give an amount with two digits."""
        return None if value is None else Decimal(value).scaleb(-2)


class Status(enum.Enum):
    """Whether a book can be bought; stored by name."""

    IN_PRINT = 1
    OUT_OF_PRINT = 2


@dataclass
class Size:
    """A value of two columns."""

    width: int | None
    height: int | None

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Country(Base):
    """A country; its key is a text."""

    __tablename__ = "country"

    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str]


class Author(Base):
    """A person, who may have a mentor and pupils."""

    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    country_code: Mapped[str | None] = mapped_column(ForeignKey("country.code"))
    mentor_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    profile: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    biography: Mapped[str | None] = mapped_column(deferred=True)

    country: Mapped[Country | None] = relationship()
    mentor: Mapped[Author | None] = relationship(remote_side="Author.id", back_populates="pupils")
    pupils: Mapped[list[Author]] = relationship(back_populates="mentor")
    books: Mapped[list[Book]] = relationship(back_populates="author", foreign_keys="Book.author_id")
    books_by_name: Mapped[list[Book]] = relationship(
        foreign_keys="Book.author_id", viewonly=True, order_by="func.lower(Book.name)"
    )

    pen_name = synonym("name")
    land = synonym("country")

    @hybrid_property
    def shout(self) -> str:
        """A hybrid that has an expression."""
        return self.name.upper()

    @shout.inplace.expression
    @classmethod
    def _shout(cls) -> Any:
        return func.upper(cls.name)

    @property
    def initial(self) -> str:
        """A property."""
        return self.name[0]

    def greeting(self) -> str:
        """A method."""
        return f"Dear {self.name}"

    def natural_key(self) -> tuple[str, str | None]:
        """What identifies an author to people."""
        return (self.name, self.country_code)


book_tag = Table(
    "book_tag",
    Base.metadata,
    Column("book_id", ForeignKey("book.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
    Column("place", Integer, default=lambda row: -row.get_current_parameters()["tag_id"]),
)


class Tag(Base):
    """A word that many books may have."""

    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    status: Mapped[Status | None] = mapped_column(Enum(Status))
    fee: Mapped[Decimal | None] = mapped_column(Money)
    guid: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    notes: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    labels: Mapped[Any] = mapped_column(ARRAY(String).with_variant(JSON(), "sqlite"), nullable=True)


class Book(Base):
    """A book with an author, an editor, a shelf, a cover, tags and reviews."""

    __tablename__ = "book"
    __table_args__ = (
        ForeignKeyConstraint(["shelf_room", "shelf_number"], ["shelf.room", "shelf.number"]),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[Decimal | None] = mapped_column(Money)
    status: Mapped[Status | None] = mapped_column(Enum(Status))
    isbn: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    published: Mapped[date | None]
    details: Mapped[Any] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"), nullable=True
    )
    summary: Mapped[str | None] = mapped_column(deferred=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    editor_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    shelf_room: Mapped[str | None]
    shelf_number: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]

    author: Mapped[Author | None] = relationship(back_populates="books", foreign_keys=[author_id])
    editor: Mapped[Author | None] = relationship(foreign_keys=[editor_id])
    active_editor: Mapped[Author | None] = relationship(
        primaryjoin=lambda: and_(Book.editor_id == Author.id, Author.active), viewonly=True
    )
    shelf: Mapped[Shelf | None] = relationship(back_populates="books")
    cover: Mapped[Cover | None] = relationship(back_populates="book")
    tags: Mapped[list[Tag]] = relationship(secondary=book_tag, backref="books")
    ranked_tags: Mapped[list[Tag]] = relationship(
        secondary=book_tag, order_by=book_tag.c.place, viewonly=True
    )
    reviews: Mapped[list[Review]] = relationship(
        order_by="Review.stars.desc()", backref=backref("book")
    )
    size: Mapped[Size] = composite("width", "height")

    author_name: AssociationProxy[str | None] = association_proxy("author", "name")
    tag_names: AssociationProxy[list[str | None]] = association_proxy("tags", "name")
    title = synonym("name")
    writer = synonym("author")

    @hybrid_property
    def name_length(self) -> int:
        """A hybrid that has an expression."""
        return len(self.name)

    @name_length.inplace.expression
    @classmethod
    def _name_length(cls) -> Any:
        return func.length(cls.name)

    @hybrid_property
    def label(self) -> str:
        """A hybrid that only Python can evaluate."""
        return f"{self.name} ({self.id})"

    @property
    def reversed_name(self) -> str:
        """A property."""
        return self.name[::-1]

    def spine(self, sides: int = 2) -> str:
        """A method, without arguments that must be given."""
        return f"{self.name} " * sides


class Review(Base):
    """What somebody says of a book; the best ones first, and many are equally good."""

    __tablename__ = "review"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"))
    stars: Mapped[int | None]
    text: Mapped[str]


class Cover(Base):
    """The one cover of a book."""

    __tablename__ = "cover"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"), unique=True)
    colour: Mapped[str]

    book: Mapped[Book] = relationship(back_populates="cover")


class Shelf(Base):
    """Where books stand; its key has two columns."""

    __tablename__ = "shelf"

    room: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    colour: Mapped[str]

    books: Mapped[list[Book]] = relationship(back_populates="shelf")


Author.book_count = column_property(
    select(func.count(Book.id))
    .where(Book.author_id == Author.id)
    .correlate_except(Book)
    .scalar_subquery()
)


class Animal(Base):
    """The base of joined table inheritance."""

    __tablename__ = "animal"
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_on": "kind",
        "polymorphic_identity": "animal",
    }

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    friend_id: Mapped[int | None] = mapped_column(ForeignKey("animal.id"))

    friend: Mapped[Animal | None] = relationship(remote_side="Animal.id")
    toys: Mapped[list[Toy]] = relationship()

    @property
    def sound(self) -> str:
        """A property that subclasses override."""
        return "?"


class Dog(Animal):
    """A subclass with a table of its own, and a relation of its own."""

    __tablename__ = "dog"
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    breed: Mapped[str]
    walker_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))

    walker: Mapped[Author | None] = relationship()

    @property
    def sound(self) -> str:
        """What the subclass says."""
        return "woof"


class Cat(Animal):
    """Another subclass with a table of its own."""

    __tablename__ = "cat"
    __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    lives: Mapped[int]


class Toy(Base):
    """What an animal plays with."""

    __tablename__ = "toy"

    id: Mapped[int] = mapped_column(primary_key=True)
    animal_id: Mapped[int] = mapped_column(ForeignKey("animal.id"))
    name: Mapped[str]


class Vehicle(Base):
    """The base of single table inheritance."""

    __tablename__ = "vehicle"
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_on": "kind",
        "polymorphic_identity": "vehicle",
    }

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    tows_id: Mapped[int | None] = mapped_column(ForeignKey("vehicle.id"))

    tows: Mapped[Vehicle | None] = relationship(remote_side="Vehicle.id")


class Car(Vehicle):
    """A subclass in the same table."""

    __mapper_args__ = {"polymorphic_identity": "car"}  # noqa: RUF012

    seats: Mapped[int | None]


def library() -> list[Base]:
    """Give some rows; nulls, ties and empty collections among them."""
    france, peru = Country(code="FR", name="France"), Country(code="PE", name="Perú")
    anna = Author(
        id=1, name="Anna", country=france, profile={"age": 40, "pets": ["cat"]}, biography="long"
    )
    bert = Author(id=2, name="Bert", country=peru, mentor=anna, active=False)
    cleo = Author(id=3, name="cleo", mentor=bert, profile={"age": None})
    shelves = [Shelf(room="a", number=n, colour=c) for n, c in ((1, "red"), (2, "blue"))]
    novel, _, _, nameless = tags = [
        Tag(
            id=1,
            name="novel",
            status=Status.IN_PRINT,
            fee=Decimal("1.50"),
            guid=uuid.UUID(int=7),
            notes={"a": [1, None]},
            labels=["x", "y"],
        ),
        Tag(
            id=2,
            name="long",
            status=Status.OUT_OF_PRINT,
            fee=Decimal("0.05"),
            notes=[1],
            labels=["z"],
        ),
        Tag(id=3, name="été"),
        Tag(id=4),
    ]
    first = Book(
        id=1,
        name="Zulu",
        price=Decimal("12.50"),
        status=Status.IN_PRINT,
        isbn=uuid.UUID(int=2**100 + 1),
        published=date(2001, 2, 3),
        details={"dims": {"w": 2.5}, "list": ["x", "y"], "none": None, "pages": 300},
        summary="a river of words",
        author=anna,
        editor=bert,
        shelf=shelves[0],
        width=10,
        height=20,
        cover=Cover(id=11, colour="green"),
        tags=tags[::-1],
        reviews=[
            Review(id=9, stars=3, text="good"),
            Review(id=8, stars=5, text="great"),
            Review(id=7, stars=3, text="fine"),
            Review(id=6, stars=5, text="superb"),
        ],
    )
    second = Book(
        id=2,
        name="alpha",
        price=Decimal("0.00"),
        status=Status.OUT_OF_PRINT,
        author=bert,
        editor=anna,
        shelf=shelves[1],
        details={},
        cover=Cover(id=10, colour="pink"),
        tags=[novel],
    )
    third = Book(id=3, name="Mike", author=anna, details={"pages": "many"}, tags=[nameless, novel])
    fourth = Book(id=4, name="mike", price=Decimal("3.00"), author=cleo, editor=cleo)
    fifth = Book(id=5, name="", author=None)
    return [first, second, third, fourth, fifth, *tags, *shelves]


def zoo() -> list[Base]:
    """Give animals and vehicles."""
    rex = Dog(id=1, name="Rex", breed="collie", walker=Author(id=1, name="Anna"))
    tom = Cat(id=2, name="Tom", lives=9, friend=rex)
    eel = Animal(id=3, name="eel", friend=tom)
    bob = Dog(id=4, name="Bob", breed="pug", friend=rex)
    rex.toys = [Toy(id=2, name="ball"), Toy(id=1, name="bone")]
    tom.toys = [Toy(id=3, name="mouse")]
    van, car = Vehicle(id=1, name="van"), Car(id=2, name="car", seats=5)
    return [rex, tom, eel, bob, van, car, Car(id=3, name="mini", seats=4, tows=car)]


def many_books(count: int) -> list[Base]:
    """Give this many books, by ten authors, with tags and reviews."""
    authors = [Author(id=n, name=f"author {n}") for n in range(1, 11)]
    tags = [Tag(id=n, name=f"tag {n}") for n in range(1, 6)]
    books = [
        Book(
            id=n,
            name=f"book {n}",
            author=authors[n % 10],
            editor=authors[n % 7],
            tags=tags[: n % 4],
            reviews=[Review(id=n, stars=n % 5, text=f"review {n}")],
        )
        for n in range(1, count + 1)
    ]
    return [*authors, *tags, *books]


async def create(engine: AsyncEngine, rows: Sequence[Base] = ()) -> None:
    """Create the tables and insert the rows."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all(rows)
        await session.commit()


@contextmanager
def filled_databases(
    postgres_url: str, folder: Path, rows: Callable[[], Sequence[Base]]
) -> Iterator[dict[str, Callable[[], AsyncEngine]]]:
    """Fill a database of each kind once, for many tests that only read.

    Gives functions that make an engine, for an engine serves one event loop only.
    """
    schema = f"test_{uuid.uuid4().hex}"
    url = make_url(postgres_url).set(drivername="postgresql+asyncpg")
    settings = {"server_settings": {"search_path": schema}}
    makers: dict[str, Callable[[], AsyncEngine]] = {
        "postgres": lambda: create_async_engine(url, connect_args=settings),
        "sqlite": lambda: create_async_engine(f"sqlite+aiosqlite:///{folder / 'filled.sqlite'}"),
    }

    async def run(*statements: str) -> None:
        engine = makers["postgres"]()
        async with engine.begin() as connection:
            for each in statements:
                await connection.execute(text(each))
        await engine.dispose()

    async def fill() -> None:
        await run(f"CREATE SCHEMA {schema}")
        for make in makers.values():
            engine = make()
            await create(engine, rows())
            await engine.dispose()

    asyncio.run(fill())
    yield makers
    asyncio.run(run("SET LOCAL lock_timeout = '5s'", f"DROP SCHEMA {schema} CASCADE"))
