"""Tables with hostile data, for django-import-export and async_export alike."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    insert,
)
from sqlalchemy.dialects.postgresql import (
    ARRAY,
    CHAR,
    DATE,
    ENUM,
    INET,
    INT4RANGE,
    INTERVAL,
    JSONB,
    TIME,
    TIMESTAMP,
    Range,
)
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = (
    "Author",
    "Base",
    "Binding",
    "Book",
    "Category",
    "Country",
    "Extreme",
    "Keyword",
    "Note",
    "Profile",
    "Scalar",
    "Unordered",
    "UnorderedPart",
    "create_tables",
)


class Base(DeclarativeBase):
    """The registry of these tables."""


class Binding(enum.Enum):
    """Stored by name, as SQLAlchemy does."""

    HARD = "hard cover"
    SOFT = "soft cover"


class Scalar(Base):
    """One column of each type that both sides know."""

    __tablename__ = "scalar"

    id: Mapped[int] = mapped_column(primary_key=True)
    small: Mapped[int | None] = mapped_column(SmallInteger)
    whole: Mapped[int | None] = mapped_column(Integer)
    big: Mapped[int | None] = mapped_column(BigInteger)
    ratio: Mapped[float | None] = mapped_column(Double)
    single: Mapped[float | None] = mapped_column(REAL)
    price: Mapped[Decimal | None] = mapped_column(Numeric(14, 4))
    amount: Mapped[Decimal | None] = mapped_column(Numeric)
    flag: Mapped[bool | None]
    short: Mapped[str | None] = mapped_column(String(60))
    body: Mapped[str | None] = mapped_column(Text)
    code: Mapped[str | None] = mapped_column(CHAR(5))
    binding: Mapped[Binding | None] = mapped_column(ENUM(Binding, name="binding"))
    day: Mapped[date | None] = mapped_column(DATE)
    moment: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    clock: Mapped[time | None] = mapped_column(TIME)
    span: Mapped[timedelta | None] = mapped_column(INTERVAL)
    uid: Mapped[UUID | None] = mapped_column(PG_UUID)
    payload: Mapped[Any | None] = mapped_column(JSONB)
    words: Mapped[list[str | None] | None] = mapped_column(ARRAY(Text))
    numbers: Mapped[list[int | None] | None] = mapped_column(ARRAY(Integer))
    grid: Mapped[list[Any] | None] = mapped_column(ARRAY(Integer, dimensions=2))
    ratios: Mapped[list[float] | None] = mapped_column(ARRAY(Double))
    prices: Mapped[list[Decimal] | None] = mapped_column(ARRAY(Numeric))
    flags: Mapped[list[bool] | None] = mapped_column(ARRAY(Boolean))
    days: Mapped[list[date] | None] = mapped_column(ARRAY(DATE))
    moments: Mapped[list[datetime] | None] = mapped_column(ARRAY(TIMESTAMP(timezone=True)))
    spans: Mapped[list[timedelta] | None] = mapped_column(ARRAY(INTERVAL))
    uids: Mapped[list[UUID] | None] = mapped_column(ARRAY(PG_UUID))
    address: Mapped[Any | None] = mapped_column(INET)
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)


class Extreme(Base):
    """What django-import-export cannot export, or exports as something else."""

    __tablename__ = "extreme"

    id: Mapped[int] = mapped_column(primary_key=True)
    ratio: Mapped[float | None] = mapped_column(Double)
    amount: Mapped[Decimal | None] = mapped_column(Numeric)
    day: Mapped[date | None] = mapped_column(DATE)
    moment: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    local: Mapped[datetime | None] = mapped_column(TIMESTAMP)
    span: Mapped[Any | None] = mapped_column(INT4RANGE)
    payload: Mapped[Any | None] = mapped_column(JSONB)
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    api_token: Mapped[str | None] = mapped_column(Text)


class Note(Base):
    """Hostile text, in the key too."""

    __tablename__ = "note"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str | None] = mapped_column(String(200))
    body: Mapped[str | None] = mapped_column(Text)
    position: Mapped[int]


class Country(Base):
    """A table with a text as its key."""

    __tablename__ = "country"

    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(Text)

    def natural_key(self) -> tuple[str, str]:
        """Give what Django calls a natural key."""
        return (self.code, self.name)


class Author(Base):
    """Has a nullable foreign key to a text, one to itself, and a one-to-one seen from behind."""

    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    born: Mapped[date | None] = mapped_column(DATE)
    settings: Mapped[Any | None] = mapped_column(JSONB)
    country_code: Mapped[str | None] = mapped_column(ForeignKey(Country.code))
    mentor_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))

    country: Mapped[Country | None] = relationship()
    mentor: Mapped[Author | None] = relationship(remote_side="Author.id")
    profile: Mapped[Profile | None] = relationship(back_populates="author")
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by="Book.id")

    @property
    def initials(self) -> str | None:
        """Give the first letters of the name's words."""
        return "".join(word[0] for word in self.name.split()) or None

    def age_in_2000(self) -> int | None:
        """Give a number from a method."""
        return 2000 - self.born.year if self.born else None


class Profile(Base):
    """The other side of a one-to-one."""

    __tablename__ = "profile"

    id: Mapped[int] = mapped_column(primary_key=True)
    bio: Mapped[str | None] = mapped_column(Text)
    verified: Mapped[bool]
    author_id: Mapped[int] = mapped_column(ForeignKey(Author.id), unique=True)

    author: Mapped[Author] = relationship(back_populates="profile")


class Category(Base):
    """The far side of a many-to-many that is ordered by key."""

    __tablename__ = "category"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    since: Mapped[date | None] = mapped_column(DATE)


class Keyword(Base):
    """The far side of a many-to-many that is ordered by name."""

    __tablename__ = "keyword"

    slug: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(Text)


_book_category = Table(
    "book_category",
    Base.metadata,
    Column("book_id", ForeignKey("book.id"), primary_key=True),
    Column("category_id", ForeignKey("category.id"), primary_key=True),
)
_book_keyword = Table(
    "book_keyword",
    Base.metadata,
    Column("book_id", ForeignKey("book.id"), primary_key=True),
    Column("keyword_id", ForeignKey("keyword.slug"), primary_key=True),
)


class Book(Base):
    """Has a foreign key, one to itself, and both kinds of many-to-many."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    author_id: Mapped[int | None] = mapped_column(ForeignKey(Author.id))
    sequel_of_id: Mapped[int | None] = mapped_column(ForeignKey("book.id"))
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    published: Mapped[date | None] = mapped_column(DATE)
    added: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    available: Mapped[bool | None]
    pages: Mapped[int | None]

    author: Mapped[Author | None] = relationship(back_populates="books")
    sequel_of: Mapped[Book | None] = relationship(remote_side="Book.id")
    categories: Mapped[list[Category]] = relationship(secondary=_book_category)
    keywords: Mapped[list[Keyword]] = relationship(
        secondary=_book_keyword, order_by=[Keyword.name, Keyword.slug]
    )


_unordered_parts = Table(
    "unordered_parts",
    Base.metadata,
    Column("unordered_id", ForeignKey("unordered.id"), primary_key=True),
    Column("unorderedpart_id", ForeignKey("unordered_part.id"), primary_key=True),
)


class Unordered(Base):
    """Lies in the table in another order than that of its key."""

    __tablename__ = "unordered"

    id: Mapped[int] = mapped_column(primary_key=True)

    parts: Mapped[list[UnorderedPart]] = relationship(secondary=_unordered_parts)


class UnorderedPart(Base):
    """As `Unordered`, on the far side of a many-to-many."""

    __tablename__ = "unordered_part"

    id: Mapped[int] = mapped_column(primary_key=True)


def create_tables(connection: Connection) -> None:
    """Create the tables and fill them.

    Args:
        connection: In a transaction, its ``search_path`` an empty schema; not committed.
    """
    Base.metadata.create_all(connection)
    for model, rows in _ROWS:
        for row in rows:
            connection.execute(insert(model), row)
    # An infinite date is more than Python's type can hold.
    connection.exec_driver_sql(
        "INSERT INTO extreme (id, day, moment) VALUES (100, 'infinity', '-infinity')"
    )


_TEXTS: list[str | None] = [
    None,
    "",
    " ",
    "  leading and trailing  ",
    'a "quoted" word',
    '"',
    '""',
    "comma, separated",
    "line\nfeed",
    "carriage\rreturn",
    "both\r\nof them",
    "\n",
    "\r",
    "tab\tbed",
    "\t",
    "semi;colon",
    "back\\slash",
    "\\N",
    "\\.",
    "NULL",
    "None",
    "=1+1",
    "==1",
    "+1",
    "-1",
    "@SUM(A1)",
    "'apostrophe'",
    "\ufeffBOM",
    "Ünïcödé",
    "e\u0301 decomposed",
    "\U0001f4da books \U0001d49c",
    "\u05e2\u05d1\u05e8\u05d9\u05ea RTL \u202ehidden\u202c",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "zero\u200bwidth\u00a0space",
    "line\u2028separator\u2029paragraph\x85next\x0bvertical\x0cform",
    "control\x01\x1f\x7f",
    "<b>&amp;</b>",
    "%s {0} $1",
    "a" * 5000,
]

_NOTES: list[dict[str, Any]] = [
    {
        "key": f"{position:02} {(text or '')[:20]}",
        "title": None if text is None else text[:200],
        "body": text,
        "position": position,
    }
    for position, text in enumerate(_TEXTS)
]

_EAST = timezone(timedelta(hours=5, minutes=45))

_SCALARS: list[dict[str, Any]] = [
    {"id": 1},
    {
        "id": 2,
        "small": -32768,
        "whole": 2147483647,
        "big": -9223372036854775808,
        "ratio": 1e16,
        "single": 0.1,
        "price": Decimal("1234567890.1000"),
        "amount": Decimal("1.10"),
        "flag": True,
        "short": "",
        "body": 'a,b\r\n"c"\td',
        "code": "ab",
        "binding": Binding.HARD,
        "day": date(868, 5, 11),
        "moment": datetime(2024, 1, 31, 9, 5, 0, 123456, tzinfo=UTC),
        "clock": time(23, 59, 59, 999999),
        "span": timedelta(days=2, hours=3, microseconds=5),
        "uid": UUID("6F1C8B1E-2B1F-4C7B-9D55-0123456789AB"),
        "payload": {"b": [1, 2.5, None, True], "aa": 'Ünï\U0001f4da "q"\n', "c": {}},
        "words": ["a", "b,c", "", None, 'd"e', "Ü"],
        "numbers": [1, -2, None],
        "grid": [[1, 2], [3, None]],
        "ratios": [1.0, 0.1, 1e16],
        "prices": [Decimal("1.10"), Decimal("-0.001"), Decimal("1E-7")],
        "flags": [True, False],
        "days": [date(868, 5, 11), date(2024, 2, 29)],
        "moments": [datetime(2024, 1, 31, 9, 5, 0, 123456, tzinfo=UTC)],
        "spans": [timedelta(days=-1, hours=3)],
        "uids": [UUID(int=1)],
        "address": "192.168.0.1",
        "raw": b"plain",
    },
    {
        "id": 3,
        "small": 32767,
        "whole": -2147483648,
        "big": 9223372036854775807,
        "ratio": 1e23,
        "single": 16777216.0,
        "price": Decimal("-0.0001"),
        "amount": Decimal("123456789012345678901234567890.123456789"),
        "flag": False,
        "short": "  x ",
        "body": "\U0001f600",
        "code": "abcde",
        "binding": Binding.SOFT,
        "day": date(9999, 12, 31),
        "moment": datetime(868, 5, 11, tzinfo=UTC),
        "clock": time(0, 0),
        "span": timedelta(days=-1),
        "uid": UUID(int=0),
        "payload": [[], {}],
        "words": [],
        "numbers": [],
        "ratios": [],
        "prices": [Decimal(20000), Decimal("100000000.00")],
        "address": "2001:db8::1",
        "raw": b"",
    },
    {
        "id": 4,
        "small": 0,
        "whole": 0,
        "big": 0,
        "ratio": -0.0,
        "single": 1e-7,
        "price": Decimal("0.0000"),
        "amount": Decimal("1E+20"),
        "day": date(1, 1, 1),
        "moment": datetime(2024, 7, 1, 0, 0, 59, 999999, tzinfo=_EAST),
        "clock": time(12, 0, 0, 1),
        "span": timedelta(0),
        "payload": "text",
        "words": ["None"],
        "address": "10.0.0.0/8",
    },
    {
        "id": 5,
        "ratio": 1e-7,
        "single": 3.4028235e38,
        "amount": Decimal("0E-10"),
        "span": timedelta(days=-1, microseconds=1),
        "payload": 1.0,
        "day": date(1899, 12, 31),
        "moment": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        "address": "::/0",
    },
    {
        "id": 6,
        "amount": Decimal(20000),
        "ratio": float("nan"),
        "span": timedelta(days=365000),
        "payload": True,
    },
    {"id": 7, "ratio": float("inf"), "payload": -1, "amount": Decimal("-0.00")},
    {"id": 8, "ratio": float("-inf"), "payload": " ", "span": timedelta(hours=100)},
    {"id": 9, "ratio": 0.1 + 0.2, "payload": {"z": 1, "a": {"y": 1, "b": 2}}},
    {"id": 10, "ratio": 123456789.125, "payload": {"\u2028": "</script>"}},
    {"id": 11, "ratio": 9.999999999999999e22},
    {"id": 12, "ratio": 1e40},
    {"id": 13, "ratio": 123456789012345.6},
    {"id": 14, "ratio": 1e15, "payload": None},
    {"id": 15, "ratio": 1e-190},
]

_EXTREMES: list[dict[str, Any]] = [
    {
        "id": 1,
        "ratio": 5e-324,
        "amount": Decimal("NaN"),
        "local": datetime(2024, 1, 31, 9, 5),  # noqa: DTZ001 - timestamp without time zone
        "span": Range(1, 10),
        "payload": [],
        "raw": b"\x00\xff",
    },
    {"id": 2, "ratio": 1e300, "raw": "é".encode(), "payload": False},
    {"id": 3, "payload": 0},
    {"id": 4, "payload": ""},
    {"id": 5, "payload": {}},
    {"id": 6, "payload": None},
    {"id": 7},
]

_COUNTRIES: list[dict[str, Any]] = [
    {"code": "NO", "name": "Norge"},
    {"code": "FR", "name": 'La "France", libre'},
    {"code": "CI", "name": "Côte d'Ivoire"},
]

_AUTHORS: list[dict[str, Any]] = [
    {
        "id": 1,
        "name": "Sigrid Undset",
        "born": date(1882, 5, 20),
        "country_code": "NO",
        "settings": {
            "theme": {"color": "blåbær", "size": 3},
            "tags": ["x", "y"],
            "active": True,
            "ratio": 1.5,
            "empty": None,
            "items": "not the method",
        },
    },
    {
        "id": 2,
        "name": "Jules\tVerne",
        "born": date(1828, 2, 8),
        "country_code": "FR",
        "mentor_id": 1,
        "settings": {"theme": {}, "active": False, "tags": []},
    },
    {"id": 3, "name": 'Anna, called "Ünna"', "mentor_id": 2, "settings": {"theme": None}},
    {"id": 4, "name": "Nobody\r\nin particular", "mentor_id": 4},
    {"id": 0, "name": "Zero", "country_code": "CI", "settings": {}},
]

_BOOKS: list[dict[str, Any]] = [
    {
        "id": 1,
        "name": "Kristin Lavransdatter",
        "author_id": 1,
        "price": Decimal("19.90"),
        "published": date(1920, 1, 2),
        "added": datetime(2024, 3, 31, 1, 30, 15, 250000, tzinfo=UTC),
        "available": True,
        "pages": 1200,
    },
    {
        "id": 2,
        "name": 'Husfrue, "the wife"',
        "author_id": 1,
        "sequel_of_id": 1,
        "price": Decimal("0.00"),
        "published": date(868, 5, 11),
        "added": datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
        "available": False,
        "pages": 0,
    },
    {
        "id": 3,
        "name": "Vingt mille lieues\nsous les mers",
        "author_id": 2,
        "sequel_of_id": 2,
        "price": Decimal("-5.50"),
        "published": date(1870, 12, 31),
    },
    {"id": 4, "name": "\U0001f4d6", "author_id": 4, "available": True, "pages": -1},
    {"id": 5, "name": "", "price": Decimal("99999999.99")},
]

_CATEGORIES: list[dict[str, Any]] = [
    {"id": 3, "name": "Sea, and ships", "since": date(1900, 1, 1)},
    {"id": 1, "name": "Épopée", "since": date(868, 5, 11)},
    {"id": 12, "name": None, "since": None},
    {"id": 2, "name": 'The "best"', "since": date(2000, 2, 29)},
]

_KEYWORDS: list[dict[str, Any]] = [
    {"slug": "c", "name": "alpha"},
    {"slug": "a", "name": "beta"},
    {"slug": "b", "name": "alpha"},
]

_ROWS: list[tuple[Any, list[dict[str, Any]]]] = [
    (Scalar, _SCALARS),
    (Extreme, _EXTREMES),
    (Note, _NOTES),
    (Country, _COUNTRIES),
    (Author, _AUTHORS),
    (
        Profile,
        [
            {"id": 1, "bio": "Wrote,\nthen won", "verified": True, "author_id": 1},
            {"id": 2, "bio": None, "verified": False, "author_id": 3},
        ],
    ),
    (Category, _CATEGORIES),
    (Keyword, _KEYWORDS),
    (Book, _BOOKS),
    (
        _book_category,
        [
            {"book_id": book, "category_id": category}
            for book, category in [(1, 12), (1, 3), (1, 2), (2, 2), (2, 1), (3, 3)]
        ],
    ),
    (
        _book_keyword,
        [
            {"book_id": book, "keyword_id": keyword}
            for book, keyword in [(1, "a"), (1, "b"), (1, "c"), (3, "a")]
        ],
    ),
    (Unordered, [{"id": 3}, {"id": 1}, {"id": 2}]),
    (UnorderedPart, [{"id": 3}, {"id": 1}, {"id": 2}]),
    (
        _unordered_parts,
        [{"unordered_id": 1, "unorderedpart_id": part} for part in (2, 3, 1)],
    ),
]
