"""Literals, against what parameters of the same statements give."""

from __future__ import annotations

import enum
import math
import pickle
import secrets
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import sqlalchemy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from naming import named
from sqlalchemy import (
    JSON,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    PickleType,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    Unicode,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    lambda_stmt,
    literal,
    literal_column,
    select,
    text,
    tuple_,
    type_coerce,
    union_all,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import (
    ARRAY,
    CITEXT,
    INET,
    INT4RANGE,
    JSONB,
    Range,
    aggregate_order_by,
    array,
)
from sqlalchemy.dialects.sqlite import aiosqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column
from sqlalchemy.types import TypeDecorator, UserDefinedType

from async_export.postgres.literals import LiteralError, literal_sql

PROBABLE = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class Colour(enum.Enum):
    """An enum whose labels are hostile."""

    RED = "red"
    ODD = "it's \\ odd"


class Level(enum.IntEnum):
    """Integers with names."""

    HIGH = 3


class Status(enum.StrEnum):
    """Strings with names."""

    OPEN = "it's open"


class Shouted(str):
    """A string whose methods escape nothing, as those of some libraries of templates do."""

    __slots__ = ()

    def replace(self, *_: Any) -> Any:
        """Replace nothing."""
        return self

    def __str__(self) -> str:
        return "'; DROP TABLE item; --"


class Upper(TypeDecorator[str]):
    """Binds in upper case; its literals would be something else."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        """Bind what None is, too."""
        return "NOTHING" if value is None else value.upper()

    def process_literal_param(self, value: Any, dialect: Any) -> str:
        """Never used."""
        return "' || pg_sleep(60) || '"


class Cents(TypeDecorator[Decimal]):
    """Decimals that are integers in the database."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        """Count cents."""
        return None if value is None else int(value * 100)


class Hidden(TypeDecorator[str]):
    """A type whose errors hold the value."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        """Fail."""
        raise RuntimeError(value)


class Lowered(TypeDecorator[str]):
    """A type that wraps its parameters in SQL."""

    impl = String
    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        """Let the server write it in lower case."""
        return func.lower(bindvalue, type_=self)


class Point(UserDefinedType[str]):
    """A type of the user's own."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Name it."""
        return "point"


COLOUR = Enum(Colour, name="colour")
LABEL = Enum("a", "it's \\", name="label", native_enum=False)

metadata = MetaData()
item = Table(
    "item",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text),
    Column("code", String(10)),
    Column("price", Numeric(10, 2)),
    Column("weight", Double),
    Column("ratio", REAL),
    Column("made", Date),
    Column("sold", DateTime(timezone=True)),
    Column("colour", COLOUR),
    Column("key", Uuid),
    Column("data", JSONB),
    Column("tags", ARRAY(Text)),
)


class Base(DeclarativeBase):
    """Base of the mapped class."""


class Item(Base):
    """The same table, mapped."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


KEY = UUID("12345678-1234-5678-1234-567812345678")
ROWS: list[dict[str, Any]] = [
    {
        "id": number,
        "name": name,
        "code": f"c{number}",
        "price": Decimal(number) / 4,
        "weight": number / 3,
        "ratio": 1.1,
        "made": date(2024, 1, number),
        "sold": datetime(2024, 6, number, 12, tzinfo=UTC),
        "colour": Colour.ODD if number % 2 else Colour.RED,
        "key": KEY if number == 1 else None,
        "data": {"it's": [number, {"x": None}]},
        "tags": ["a", "it's"],
    }
    for number, name in enumerate(["plain", "it's", "50% \\ off", "--", None, ""], start=1)
]


@pytest.fixture
async def connection(pg_engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection to a table with some rows."""
    async with pg_engine.connect() as connected:
        await connected.run_sync(metadata.create_all)
        await connected.execute(insert(item), ROWS)
        await connected.commit()
        yield connected


async def raw(connection: AsyncConnection) -> asyncpg.Connection:
    """The driver's own connection, in the transaction of SQLAlchemy's."""
    await connection.execute(text("SELECT 1"))
    return (await connection.get_raw_connection()).driver_connection


async def copied(connection: AsyncConnection, sql: str) -> str:
    """What COPY gives for *sql*."""
    chunks: list[bytes] = []

    async def write(chunk: bytes) -> None:
        chunks.append(chunk)

    await (await raw(connection)).copy_from_query(sql, output=write)
    return b"".join(chunks).decode()


async def both(connection: AsyncConnection, statement: Any) -> list[str]:
    """The rows that *statement* gives with literals, equal to those that it gives with parameters.

    Not only the values are the same, but the types of the columns too.
    """
    sql = literal_sql(statement, connection.dialect)
    driver = await raw(connection)
    by_literals = [row for (row,) in await driver.fetch(f"SELECT q::text FROM ({sql}) AS q")]
    wrapped: Any = select(literal_column("q::text")).select_from(statement.subquery("q"))
    by_parameters = list((await connection.scalars(wrapped)).all())
    assert by_literals == by_parameters
    bound = statement.compile(
        dialect=connection.dialect, compile_kwargs={"render_postcompile": True}
    )
    assert await types(driver, sql) == await types(driver, str(bound))
    assert (await copied(connection, sql)).count("\n") == len(by_literals)
    return by_literals


async def types(driver: asyncpg.Connection, sql: str) -> list[str]:
    """The types of the columns of *sql*."""
    return [attribute.type.name for attribute in (await driver.prepare(sql)).get_attributes()]


def bound(value: Any, type_: Any = None) -> Any:
    """A select of a value and of what PostgreSQL takes it for."""
    return select(
        bindparam("p", value, type_).label("v"), func.pg_typeof(bindparam("q", value, type_))
    )


VALUES: list[tuple[Any, Any]] = [
    (1, None),
    (-1, None),
    (2**40, None),
    (-(2**31), Integer()),
    (-(2**63), BigInteger()),
    (-3, SmallInteger()),
    (Level.HIGH, Integer()),
    (True, None),
    (False, Boolean()),
    (1, Boolean()),
    (1.1, None),
    (-0.0, None),
    (1e-320, None),
    (1e308, Double()),
    (3, Float()),
    (Decimal("0.1"), Float()),
    (1.1, REAL()),
    (1.1, Float(53)),
    (1.1, Numeric()),
    (1.005, Numeric(10, 2)),
    (7, Numeric(10, 2)),
    (-7, Numeric()),
    (Decimal("-1.50"), None),
    (Decimal("1E+3"), None),
    (Decimal("0E-7"), None),
    (Decimal("-0"), None),
    (Decimal("1E-400"), None),
    ("it's", None),
    ("ünïcode 🐘", None),
    ("abc", Unicode(2)),
    ("a\\b", Text()),
    (Status.OPEN, String()),
    (Shouted("it's"), String()),
    (None, String()),
    (None, Integer()),
    (date(2024, 2, 29), None),
    (date(33, 4, 3), None),
    (datetime(2024, 2, 29, 1, 2, 3, 4), None),  # noqa: DTZ001
    (datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC), None),
    (datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")), None),
    (datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=23, microseconds=1))), None),
    (time(1, 2, 3, 4), None),
    (KEY, None),
    (asyncpg.pgproto.pgproto.UUID(str(KEY)), Uuid()),
    (str(KEY), Uuid()),
    (KEY.hex, Uuid(as_uuid=False)),
    (Colour.ODD, COLOUR),
    ("RED", COLOUR),
    ([1, -2], ARRAY(Integer)),
    (["it's", "a\\b", "NULL", ""], ARRAY(Text)),
    ([[1, 2], [3, 4]], ARRAY(Integer)),
    ([1.1, Decimal("2.2"), 3], ARRAY(Numeric)),
    ([True], ARRAY(Boolean)),
    ([Colour.ODD, Colour.RED], ARRAY(COLOUR)),
    ([KEY], ARRAY(Uuid)),
    (["a"], ARRAY(Upper)),
    ("it's", Upper()),
    (None, Upper()),
    (Decimal("1.25"), Cents()),
    (None, Cents()),
    ("ABC", Lowered()),
]


@pytest.mark.parametrize(("value", "type_"), VALUES, ids=named)
async def test_a_value_is_what_its_parameter_is(
    connection: AsyncConnection, value: Any, type_: Any
) -> None:
    """Value and type are those of the parameter."""
    await both(connection, bound(value, type_))


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("a", CITEXT()),
        ("it's \\", LABEL),
        (KEY, Uuid(native_uuid=False)),
        (KEY.hex, Uuid(native_uuid=False, as_uuid=False)),
    ],
)
async def test_what_has_no_cast_has_none(
    connection: AsyncConnection, value: Any, type_: Any
) -> None:
    """A type whose parameters SQLAlchemy leaves untyped is left so."""
    await both(connection, select(bindparam("p", value, type_)))
    sql = literal_sql(select(bindparam("p", value, type_)), connection.dialect)
    assert "::" not in sql


QUOTED = "it's"

STATEMENTS: dict[str, Any] = {
    "price * 1.1": select(item.c.price * 1.1),
    "weight * 1.1": select(item.c.weight * 1.1, item.c.weight * Decimal("1.1")),
    "real": select(item.c.id).where(item.c.ratio == 1.1),
    "integer division": select(item.c.id / 4, item.c.id // 4, item.c.id % 4),
    "two minuses": select(-literal(-5), 5 - literal(-5), item.c.id - (-5)),
    "typed functions": select(func.pg_typeof("a"), func.pg_typeof(1.5), func.pg_typeof(2**40)),
    "functions": select(func.concat(item.c.name, "it's", 1), func.round(item.c.price, 1)),
    "like": select(item.c.id).where(item.c.name.like("%\\% \\\\%", escape="\\")),
    "contains": select(item.c.id).where(item.c.name.contains("% \\", autoescape=True)),
    "regular expression": select(item.c.id).where(item.c.name.regexp_match("^IT'S$", flags="i")),
    "percent": select(literal("100%"), item.c.id % 3, literal_column("'50%'")),
    "in": select(item.c.id).where(item.c.name.in_(["it's", "--", "50% \\ off"])),
    "in, with None": select(item.c.id).where(item.c.id.in_([1, None])),
    "in nothing": select(item.c.id).where(item.c.id.in_([])),
    "not in nothing": select(item.c.id).where(item.c.name.not_in([])),
    "in enums": select(item.c.id).where(item.c.colour.in_([Colour.ODD])),
    "in tuples": select(item.c.id).where(
        tuple_(item.c.id, item.c.name, item.c.key, item.c.made).in_(
            [(1, "plain", KEY, date(2024, 1, 1)), (-2, "it's", KEY, date(2024, 1, 2))]
        )
    ),
    "in no tuples": select(item.c.id).where(tuple_(item.c.id, item.c.name).in_([])),
    "compared tuples": select(item.c.id).where(tuple_(item.c.price, item.c.id) > (0.5, 2)),
    "any": select(item.c.id).where(literal("it's") == any_(item.c.tags)),
    "any of a list": select(item.c.id).where(item.c.id == any_(literal([1, 2], ARRAY(Integer)))),
    "array": select(array([1, 2, item.c.id])),
    "element": select(item.c.tags[2], item.c.tags[1:2]),
    "overlap": select(item.c.id).where(item.c.tags.overlap(["it's"])),
    "json": select(item.c.data["it's"][1]["x"], item.c.data["it's"][0].astext),
    "json text": select(item.c.id).where(item.c.data["it's"][0].astext == "2"),
    "case": select(case((item.c.price > Decimal("0.5"), "dear"), else_="it's cheap")),
    "cast": select(cast("5", Text), cast(literal(7), Numeric(10, 2)), type_coerce("x", Text)),
    "null": select(item.c.id).where(item.c.name.is_(None) | (item.c.name == None)),  # noqa: E711
    "dates": select(item.c.id).where(item.c.made.between(date(2024, 1, 2), date(2024, 1, 4))),
    "instants": select(item.c.id).where(item.c.sold > datetime(2024, 6, 3, tzinfo=UTC)),
    "limit": select(item.c.id).order_by(item.c.id.desc()).limit(2).offset(1),
    "fetch": select(item.c.id).order_by(item.c.id).fetch(2, with_ties=True).offset(1),
    "order": select(item.c.id).order_by(case((item.c.id == 3, 0), else_=1), literal(1)),
    "group": select(func.count(), item.c.colour)
    .group_by(item.c.colour)
    .having(func.sum(item.c.price) > 2.25),
    "aggregate": select(
        func.string_agg(item.c.name, aggregate_order_by(literal("; "), item.c.id.desc())),
        func.count().filter(item.c.id > 2),
    ),
    "window": select(
        func.lag(item.c.id, 2, -1).over(order_by=item.c.id, rows=(-1, 0)),
    ),
    "cte": select(select(item.c.id, literal("it's").label("x")).where(item.c.id > 2).cte("c")),
    "recursive": select(
        (seed := select(literal(1).label("n")).cte("r", recursive=True)).union_all(
            select(seed.c.n + 1).where(seed.c.n < 4)
        )
    ),
    "exists": select(item.c.id).where(exists().where(item.c.name == "it's")),
    "scalar subquery": select(select(func.max(item.c.id)).where(item.c.id < 4).scalar_subquery()),
    "union": union_all(
        select(item.c.id, literal("a'").label("x")).where(item.c.id == 1),
        select(item.c.id, literal("b").label("x")).where(item.c.id > 4),
    ).order_by("id"),
    "values": select(
        values(Column("a", Integer), Column("b", Text), name="v").data([(1, "it's"), (-2, "%")])
    ),
    "text": text("SELECT id, :x AS x FROM item WHERE name = :name")
    .bindparams(x=1.5, name="it's")
    .columns(id=Integer, x=Float),
    "text in a list": text("SELECT id FROM item WHERE id IN :ids")
    .bindparams(bindparam("ids", [1, 2], expanding=True))
    .columns(id=Integer),
    "where text": select(item.c.id).where(text("name = :name").bindparams(name="50% \\ off")),
    "params": select(item.c.id).where(item.c.name == bindparam("n")).params(n="it's"),
    "params of text": text("SELECT :n AS n")
    .bindparams(bindparam("n", type_=Text))
    .columns(n=Text)
    .params(n="it's"),
    "callable": select(item.c.id).where(
        item.c.name == bindparam("n", type_=Text, callable_=lambda: "it's")
    ),
    "bind expression": select(item.c.id).where(type_coerce(item.c.name, Lowered) == "IT'S"),
    "mapped": select(Item.id, Item.name).where(Item.name == "it's"),
    "entity": select(Item).where(Item.id.in_([1, 2])),
    "alias": select(aliased(Item, select(Item).where(Item.id > 4).subquery())),
    "lateral": select(
        item.c.id,
        select(literal(2).label("x")).where(item.c.id > 3).lateral("l").c.x,
    ),
    "lambda": lambda_stmt(lambda: select(item.c.id)) + (lambda s: s.where(item.c.name == QUOTED)),
    "tablesample": select(func.count()).select_from(item.tablesample(100)),
    "hostile names": select(literal(1).label('a "b" %(c)s :d $1'), literal("%(c)s").label("x")),
}


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_gives_the_same_rows(connection: AsyncConnection, name: str) -> None:
    """Whatever the shape of a statement, it gives the rows and types that it gives bound."""
    await both(connection, STATEMENTS[name])


async def test_what_sqlalchemy_forgets_to_render(connection: AsyncConnection) -> None:
    """A function that keeps its parameters from becoming literals is refused."""
    statement = select(func.aggregate_strings(item.c.name, "'"))
    if sqlalchemy.__version__ >= "2.1":
        await both(connection, statement)
    else:
        with pytest.raises(LiteralError, match="a parameter stands where a literal cannot"):
            literal_sql(statement, connection.dialect)


async def test_from_statement(connection: AsyncConnection) -> None:
    """Mapped objects from a text or union are as readable."""
    source = text("SELECT id, name FROM item WHERE name = :name").bindparams(name="it's")
    for each in (source, source.columns(Item.id, Item.name)):
        sql = literal_sql(select(Item).from_statement(each), connection.dialect)
        assert await copied(connection, sql) == "2\tit's\n"


async def test_plain_text(connection: AsyncConnection) -> None:
    """A text that ends as texts do can stand in brackets."""
    statement = text("SELECT ':' || :x || '\\:y' || ';' ; \n").bindparams(x=";")
    sql = literal_sql(statement, connection.dialect)
    assert await copied(connection, sql) == ":;:y;\n"


async def test_literals_are_in_brackets(connection: AsyncConnection) -> None:
    """A letter before a parameter does not become a part of its literal."""
    statement = text("SELECT u&:x FROM (VALUES (6)) AS v (u)").bindparams(x=3)
    assert await copied(connection, literal_sql(statement, connection.dialect)) == "2\n"


# Injection


_HOSTILE = (
    "'",
    "''",
    "\\'",
    "\\",
    "\\\\",
    "a\\:b",
    ":x",
    "::text",
    "--",
    "/*",
    "*/",
    "$$",
    "$1",
    "$tag$",
    "%",
    "%%",
    "%s",
    "%(x)s",
    "%(p)s",
    "%(p_1)s",
    "__[POSTCOMPILE_p]",
    "__[SCHEMA_none]",
    "literal_",
    "\n",
    "\r\n",
    "\t",
    "\x01",
    "\x7f",
    "\ufeff",
    "\u2028",
    "\U0010ffff",
    "' OR 1=1 --",
    "'); DROP TABLE item; --",
    "E'",
    "U&'",
    "{}",
    "{0}",
    "NULL",
    "",
)
_characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
_hostile = st.lists(st.sampled_from(_HOSTILE) | st.text(_characters, max_size=3)).map("".join)


@pytest.mark.parametrize("conforming", ["on", "off"])
@PROBABLE
@given(value=_hostile, other=_hostile)
@example(value="\\", other="\\'; SELECT 1")
@example(value="a\\:b", other="%(p)s")
async def test_any_string(
    connection: AsyncConnection, conforming: str, value: str, other: str
) -> None:
    """A string is itself, wherever it stands and whatever backslashes mean to the server."""
    driver = await raw(connection)
    await driver.execute(f"SET LOCAL standard_conforming_strings = {conforming}")
    named = item.alias("t")
    statement = (
        select(
            literal(value).label("plain"),
            bindparam("p", value, Upper()).label("upper"),
            literal([value, other], ARRAY(Text)).label("list"),
            text(":x AS textual").bindparams(x=value),
            literal(value).in_([value]).label("inside"),
            tuple_(literal(value), literal(other)).in_([(value, other)]).label("tuples"),
            func.concat(literal(value), literal(other)).label("both"),
            text(":x || :y AS joined").bindparams(x=value, y=other),
        )
        .select_from(named)
        .where(named.c.id == 1, literal(other) == other)
    )
    sql = literal_sql(statement, connection.dialect)
    (row,) = await driver.fetch(sql)
    assert row["plain"] == value
    assert row["upper"] == value.upper()
    assert row["list"] == [value, other]
    assert row["textual"] == value
    assert row["inside"]
    assert row["tuples"]
    assert row["both"] == row["joined"] == value + other


@PROBABLE
@given(value=_hostile)
async def test_any_string_reaches_copy(connection: AsyncConnection, value: str) -> None:
    """The same through COPY, whose protocol would run further commands."""
    sql = literal_sql(
        select(func.encode(func.convert_to(value, "UTF8"), "hex")), connection.dialect
    )
    assert await copied(connection, sql) == value.encode().hex() + "\n"


async def test_every_plane(connection: AsyncConnection) -> None:
    """Every character that PostgreSQL can hold is itself."""
    driver = await raw(connection)
    for start in range(0, 0x110000, 0x8000):
        points = [
            each for each in range(max(start, 1), start + 0x8000) if not 0xD800 <= each < 0xE000
        ]
        value = "".join(map(chr, points))
        sql = literal_sql(select(literal(value)), connection.dialect)
        assert await driver.fetchval(sql) == value


# Numbers and times


_decimals = st.decimals(allow_nan=False, allow_infinity=False) | st.builds(
    lambda digits, exponent: Decimal(f"{digits}E{exponent}"),
    st.integers(-(10**30), 10**30),
    st.integers(-100, 100),
)
_floats = st.floats(allow_nan=False, allow_infinity=False)


@PROBABLE
@given(decimal=_decimals, number=_floats, integer=st.integers(-(2**63), 2**63 - 1))
async def test_any_number(
    connection: AsyncConnection, decimal: Decimal, number: float, integer: int
) -> None:
    """Numbers are exact to the last bit, and combine as those of parameters do."""
    statement = select(
        literal(decimal, Numeric).label("a"),
        literal(number, Double).label("b"),
        literal(integer, BigInteger).label("c"),
        literal(number, Numeric).label("d"),
        literal(integer, Double).label("e"),
        literal(decimal, Double).label("f"),
        (literal(number, Double) * literal(1.1)).label("g")
        if abs(number) < 1e300
        else literal(0).label("g"),
        (literal(decimal, Numeric) * literal(integer, BigInteger)).label("h"),
        (-literal(integer % 1000 - 500)).label("i"),
    )
    try:
        await both(connection, statement)
    except LiteralError:
        assert not math.isfinite(decimal)  # as a float


_moments = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31))  # noqa: DTZ001
_zones = st.timezones() | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))


@PROBABLE
@given(naive=_moments, aware=st.tuples(_moments, _zones, st.integers(0, 1)))
async def test_any_moment(
    connection: AsyncConnection, naive: datetime, aware: tuple[datetime, Any, int]
) -> None:
    """Dates and times of all years are exact, whatever the session's styles and zone."""
    moment, zone, fold = aware
    instant = moment.replace(tzinfo=zone, fold=fold)
    driver = await raw(connection)
    await driver.execute("SET LOCAL DateStyle = 'SQL, DMY'; SET LOCAL TimeZone = 'Asia/Tokyo'")
    statement = select(
        literal(naive).label("a"),
        literal(naive.date()).label("b"),
        literal(naive.time()).label("c"),
        literal(instant).label("d"),
    )
    try:
        await both(connection, statement)
    except LiteralError:
        assert instant.astimezone(UTC).year in (1, 9999)


# Refused


NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001
REFUSED: dict[str, Any] = {
    "NaN": literal(math.nan),
    "infinity": literal(math.inf),
    "decimal NaN": literal(Decimal("NaN")),
    "signaling NaN": literal(Decimal("sNaN")),
    "decimal infinity": literal(Decimal("-Infinity")),
    "float4": literal(1.1, Float(24)),
    "decimal beyond floats": literal(Decimal("1E400"), Float()),
    "integer beyond floats": literal(10**400, Float()),
    "integer beyond text": literal(10**5000, Numeric()),
    "number in text": literal("1", Integer()),
    "float as integer": literal(1.5, Integer()),
    "bool as integer": literal(True, Integer()),
    "text as number": literal("1_000", Numeric()),
    "text as date": literal("2024-01-01", Date()),
    "empty array": literal([], ARRAY(Integer)),
    "array with None": literal([1, None], ARRAY(Integer)),
    "nested array with None": literal([[1, None]], ARRAY(Integer)),
    "array of NaN": literal([math.nan], ARRAY(Float)),
    "array of bytes": literal([b"x"], ARRAY(LargeBinary)),
    "bytes": literal(b"x"),
    "NUL": literal("a\0b"),
    "NUL in an enum": literal("a\0", LABEL),
    "surrogate": literal("\ud800"),
    "timedelta": literal(timedelta(days=2)),
    "interval": literal(timedelta(days=2), Interval()),
    "json": literal({"a": 1}, JSON()),
    "jsonb": item.c.data.contains({"a": 1}),
    "json path": item.c.data[("a", "b")],
    "inet": literal("::1", INET()),
    "range": literal(Range(1, 2), INT4RANGE()),
    "pickle": literal(object(), PickleType()),
    "type of the user's": literal("(1,2)", Point()),
    "failing type": literal("x", Hidden()),
    "unknown enum": literal(3, COLOUR),
    "untyped None": bindparam("p", None),
    "first day": literal(date.min),
    "last day": literal(date.max),
    "last moment": literal(datetime.max),  # noqa: DTZ901
    "first instant": literal(datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo"))),
    "naive as instant": literal(NAIVE, DateTime(timezone=True)),
    "instant as naive": literal(NAIVE.replace(tzinfo=UTC), DateTime(timezone=False)),
    "datetime as date": literal(NAIVE, Date()),
    "date as datetime": literal(date(2024, 1, 1), DateTime()),
    "time with zone": literal(time(1, tzinfo=UTC)),
    "naive time with zone": literal(time(1), Time(timezone=True)),
    "no uuid": literal("x", Uuid()),
    "unset": bindparam("p", type_=Text),
    "unset in text": text(":x"),
    "unset list": item.c.id.in_(bindparam("p", expanding=True)),
    "list that is None": item.c.id.in_(bindparam("p", None, expanding=True)),
    "literal_execute": bindparam("p", 1, literal_execute=True),
    "float in a tuple": tuple_(item.c.ratio, item.c.id).in_([(1.1, 1)]),
    "instant in a tuple": tuple_(item.c.sold, item.c.id).in_([(NAIVE.replace(tzinfo=UTC), 1)]),
    "wrapped list": type_coerce(item.c.name, Lowered).in_(["a"]),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("part", ["column", "where"])
def test_refused(pg_engine: AsyncEngine, name: str, part: str) -> None:
    """What has no literal is an error, before anything runs."""
    if part == "column":
        statement = select(REFUSED[name])
    else:
        statement = select(item.c.id).where(func.f(REFUSED[name]))
    with pytest.raises(LiteralError) as caught:
        literal_sql(statement, pg_engine.dialect)
    assert caught.value.reason == str(caught.value)
    assert "\n" not in caught.value.reason
    assert len(caught.value.reason) < 100


WRITES: list[Any] = [
    insert(item).values(id=1),
    insert(item).values([{"id": 1}, {"id": 2}]).returning(item.c.id),
    update(item).values(name="x"),
    delete(item),
    select(insert(item).values(id=1).returning(item.c.id).cte("c")),
    select(delete(item).returning(item.c.id).cte("c")),
    select(Item).from_statement(update(Item).values(name="x").returning(Item)),
]


@pytest.mark.parametrize("statement", WRITES, ids=range(len(WRITES)))
def test_writing_is_refused(pg_engine: AsyncEngine, statement: Any) -> None:
    """Nothing that writes is rendered."""
    with pytest.raises(LiteralError, match="the statement writes"):
        literal_sql(statement, pg_engine.dialect)


def test_other_refusals(pg_engine: AsyncEngine) -> None:
    """Statements that mean something else elsewhere, or nothing at all."""
    query = select(item.c.id)
    with pytest.raises(LiteralError, match="not asyncpg"):
        literal_sql(query, aiosqlite.dialect())
    with pytest.raises(LiteralError, match="schema_translate_map"):
        literal_sql(query.execution_options(schema_translate_map={None: "x"}), pg_engine.dialect)
    with pytest.raises(LiteralError, match="does not compile: CompileError"):
        literal_sql(query.order_by("nothing of that name"), pg_engine.dialect)


SECRET = f"secret{secrets.token_hex(8)}"
"""Not to be found in the source, which a traceback shows."""

SECRETS: list[Any] = [
    literal(SECRET, Hidden()),
    literal(SECRET, Integer()),
    literal(SECRET, Numeric()),
    literal(SECRET, Date()),
    literal(SECRET, Uuid()),
    literal(SECRET, Boolean()),
    literal(SECRET, Enum(Colour, name="colour", validate_strings=True)),
    literal([SECRET], PickleType()),
    literal({SECRET: SECRET}, JSONB()),
    literal([SECRET, None], ARRAY(Text)),
    literal(SECRET.encode()),
    literal(SECRET + "\0"),
    literal(SECRET + "\ud800"),
    bindparam(SECRET, None),
    item.c.data.contains({"a": SECRET}),
    item.c.id.in_(bindparam("p", [SECRET], Integer, expanding=True)),
    tuple_(item.c.id, item.c.name).in_([(1.5, SECRET)]),
    text(":x").bindparams(x=SECRET + "\0"),
]


@pytest.mark.parametrize("expression", SECRETS, ids=range(len(SECRETS)))
def test_errors_hold_no_value(pg_engine: AsyncEngine, expression: Any) -> None:
    """Neither the text of an error nor its traceback shows a value."""
    with pytest.raises(LiteralError) as caught:
        literal_sql(select(expression), pg_engine.dialect)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(pickle.loads(pickle.dumps(caught.value)))


async def test_an_unconnected_dialect_serves(pg_engine: AsyncEngine) -> None:
    """Backslashes are not doubled before the dialect has asked what they mean."""
    sql = literal_sql(select(literal("a\\b")), pg_engine.dialect)
    async with pg_engine.connect() as connected:
        assert await (await raw(connected)).fetchval(sql) == "a\\b"
