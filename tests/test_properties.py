"""The law: neither strategy nor batch size changes a byte, whatever the values are."""

# ruff: noqa: DTZ001, DTZ901, RUF001 - naive datetimes and strange letters are what is tested

from __future__ import annotations

import csv
import enum
import io
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from library import bytes_of, records_of
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Time,
    Uuid,
    delete,
    func,
    insert,
    literal,
    null,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import registry

from async_export import ModelResource, Resource, depends


class Colour(enum.Enum):
    """Members whose names and values differ."""

    RED = "r"
    GREEN = "g"


# What is nasty for somebody: quoting, line ends, COPY, spreadsheets, browsers, codecs.
NASTY_TEXTS = (
    "",
    " ",
    '"',
    "'",
    ",",
    "a,b",
    '"quoted"',
    "\r\n",
    "\n",
    "\r",
    "\t",
    "\\",
    "\\.",
    "\\N",
    "NULL",
    "null",
    "None",
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\x01\x02\x1f\x7f",
    "\x85\u2028\u2029",
    "\ufeff",
    "\ufffe\uffff",
    "é",
    "e\u0301",
    "日本",
    "𝒳😀",
    "\U0010ffff",
    "</script>",
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
FLOATS = (0.0, -0.0, 1.0, 0.1, 1e16, 1e22, 123456789.125, 5e-324, 1.7976931348623157e308, -1e-7)
NOT_FINITE = (float("nan"), float("inf"), float("-inf"))
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DATES = (date.min, date(99, 2, 28), date(1582, 10, 10), date(1900, 1, 1), date(9999, 12, 30))
MOMENTS = (
    datetime.min,
    datetime(999, 12, 31, 23, 59, 59, 999999),
    datetime(1970, 1, 1),
    datetime(2024, 2, 29, 12, 0, 0, 1),
    datetime(9999, 12, 31, 23, 59, 59),
)
TIMES = (time.min, time(23, 59, 59, 999999), time(12, 0, 0, 500000))
INTERVALS = (
    timedelta(0),
    timedelta(microseconds=-1),
    timedelta(days=-1),
    timedelta(days=40_000, seconds=1),
    timedelta(hours=25, microseconds=10),
)
DECIMALS = tuple(map(Decimal, ("0", "-0.00", "1E-10", "1E+10", "123456789012345678.90", "0.10")))

Pools = Mapping[str, Sequence[Any]]


def pool(strategy: st.SearchStrategy[Any], always: Sequence[Any] = ()) -> st.SearchStrategy[Any]:
    """Give what is *always* tried and some more, and None."""
    return st.lists(strategy, max_size=4).map(lambda more: [*always, *more, None])


BOTH: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (Text(), pool(TEXTS, NASTY_TEXTS)),
    "string": (String(50), pool(TEXTS)),
    "integer": (Integer(), pool(st.integers(-(2**31), 2**31 - 1), (0, -(2**31)))),
    "big": (BigInteger(), pool(st.integers(-(2**63), 2**63 - 1), (2**63 - 1, -(2**63)))),
    "double": (Double(), pool(st.floats(allow_nan=False, allow_infinity=False), FLOATS)),
    "flag": (Boolean(), st.just([True, False, None])),
    "day": (Date(), pool(st.dates(), DATES)),
    "moment": (DateTime(), pool(st.datetimes(), MOMENTS)),
    "clock": (Time(), pool(st.times(), TIMES)),
    "document": (JSON(), pool(JSONS, ({}, [], "", 0, False, {"ä": "\u2028"}, [None]))),
    "blob": (LargeBinary(), pool(st.binary(max_size=20), (b"", b"\0\xff", b"\r\n"))),
    "key": (Uuid(), pool(st.uuids(), (uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)))),
    "colour": (Enum(Colour), pool(st.sampled_from(Colour))),
}
"""Columns that all databases have: the type, and what to put into it."""

POSTGRESQL: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    **BOTH,
    "amount": (
        Numeric(),
        pool(st.decimals(allow_nan=False, allow_infinity=False), DECIMALS),
    ),
    "price": (Numeric(12, 3), pool(st.decimals(-(10**8), 10**8, places=3))),
    "aware": (
        DateTime(timezone=True),
        pool(
            st.datetimes(
                datetime(2, 1, 1),
                datetime(9998, 1, 1),
                timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
            )
        ),
    ),
    "span": (Interval(), pool(st.timedeltas(timedelta(-(10**6)), timedelta(10**6)), INTERVALS)),
    "texts": (
        ARRAY(Text()),
        pool(st.lists(st.none() | TEXTS, max_size=3), ([], [None], ["a,b", '"', "{}"])),
    ),
    "numbers": (ARRAY(Integer()), pool(st.lists(st.integers(-9, 9), max_size=3))),
    "binary_document": (JSONB(), pool(JSONS.filter(lambda v: "\0" not in str(v)), ({}, [1.0]))),
}
"""Columns of PostgreSQL, with types that SQLite does not have or does not keep exactly."""


def model_of(columns: Mapping[str, tuple[Any, Any]]) -> type[Any]:
    """Map a class with these columns."""
    table = Table(
        "hostile",
        MetaData(),
        Column("id", Integer, primary_key=True),
        *(Column(name, sqltype) for name, (sqltype, _) in columns.items()),
    )
    made = type("Hostile", (), {})
    registry().map_imperatively(made, table)
    return made


def resources_of(model: type[Any]) -> list[type[ModelResource]]:
    """Make resources that export the same, each by another strategy or transport."""

    class Plain(ModelResource):
        class Meta:
            fields = "__all__"

        Meta.model = model  # type: ignore[attr-defined]

    class Declared(Plain):
        @depends("id")
        async def dehydrate_id(self, row: Any) -> Any:
            return row.id

    class Inferred(Plain):
        def dehydrate_id(self, row: Any) -> Any:
            return row.id

    class Looking(Declared):
        class Meta:
            hooks_use_database = True

    class Bound(Looking):
        """Has a parameter without a literal, so that the statement cannot be text alone."""

        def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            return queryset.where(func.coalesce(literal(b"1", LargeBinary), null()).is_not(None))

    class Mapped(Inferred):
        class Meta:
            infer_reads = False

    class Iterated(Plain):
        def iter_queryset(self, queryset: Any) -> Any:
            return super().iter_queryset(queryset)

    class Concurrent(Declared):
        class Meta:
            hook_concurrency = 3

    return [Plain, Declared, Inferred, Looking, Bound, Mapped, Iterated, Concurrent]


ROWS = 120
BATCH_SIZES = (1, 2, 7, 100)
FORMATS = ("csv", "tsv", "json", "jsonl")

POSTGRESQL_PLANS = {
    "Plain": ("server", "copy"),
    "Declared": ("rows", "copy"),
    "Inferred": ("rows", "copy"),
    "Looking": ("rows", "cursor"),
    "Bound": ("rows", "stream"),
    "Mapped": ("instances", "stream"),
    "Iterated": ("instances", "stream"),
    "Concurrent": ("rows", "copy"),
}
"""Strategy and transport of each of the resources, if the columns have a form in SQL."""


async def put_in(engine: AsyncEngine, model: Any, pools: Pools) -> None:
    """Fill the table anew: rows that go through the pools at different speeds."""
    table = model.__mapper__.local_table
    rows = [
        dict[str, Any](id=n)
        | {name: values[(n + n // 7) % len(values)] for name, values in pools.items()}
        for n in range(ROWS)
    ]
    async with engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        await connection.execute(delete(table))
        await connection.execute(insert(table), rows)


async def check(engine: AsyncEngine, model: type[Any], plans: Mapping[str, Any]) -> None:
    """Compare the bytes of all strategies and batch sizes, and read them with foreign readers."""
    plain, *others = resources_of(model)
    for name in FORMATS:
        reference = await bytes_of(plain(engine), name=name)
        for batch_size in BATCH_SIZES:
            assert await bytes_of(plain(engine, batch_size=batch_size), name=name) == reference
        for resource_class in others:
            for size in (None, 7) if name == "csv" else (7,):
                out = await bytes_of(resource_class(engine, batch_size=size), name=name)
                assert out == reference, (resource_class.__name__, name)
        await check_readable(plain(engine), name, reference)
    for resource_class in (plain, *others):
        explained = await resource_class(engine).explain()
        found = (explained.strategy, explained.transport)
        assert found == plans[resource_class.__name__], resource_class.__name__


async def check_readable(resource: Resource, name: str, out: bytes) -> None:
    """Compare what a reader of Python's own finds with the records."""
    if name == "csv":
        read = list(csv.reader(io.StringIO(out.decode(), newline="")))
        assert read[1:] == await records_of(resource)
    elif name == "json":
        assert [row["id"] for row in json.loads(out)] == list(range(ROWS))
    elif name == "jsonl":
        assert [json.loads(line)["id"] for line in out.split(b"\n")[:-1]] == list(range(ROWS))


hostile = settings(
    max_examples=3,
    deadline=None,
    # Each example fills the table anew, so that it may share the test's engine.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def pools_of(columns: Mapping[str, tuple[Any, st.SearchStrategy[Any]]]) -> st.SearchStrategy[Pools]:
    """Give values for each column."""
    return st.fixed_dictionaries({name: values for name, (_, values) in columns.items()})


OnPostgreSQL, OnSQLite = model_of(POSTGRESQL), model_of(BOTH)

WITHOUT_JSON = {name: each for name, each in POSTGRESQL.items() if name != "document"}
"""Columns that PostgreSQL renders, all of them."""

OnServer = model_of(WITHOUT_JSON)

IN_PYTHON = {
    name: ("rows", "cursor") for name, plan in POSTGRESQL_PLANS.items() if plan[1] == "copy"
}
"""A column of type json is rendered in Python, of a value that COPY's text does not hold."""

SQLITE_PLANS = {
    name: (("instances" if plan[0] == "instances" else "rows"), "stream")
    for name, plan in POSTGRESQL_PLANS.items()
}


@hostile
@given(pools=pools_of(WITHOUT_JSON))
async def test_same_bytes_by_copy(pg_engine: AsyncEngine, pools: Pools) -> None:
    """What PostgreSQL renders and COPY carries is what Python makes of the values."""
    await put_in(pg_engine, OnServer, pools)
    await check(pg_engine, OnServer, POSTGRESQL_PLANS)


@hostile
@given(pools=pools_of(POSTGRESQL))
async def test_same_bytes_on_postgresql(pg_engine: AsyncEngine, pools: Pools) -> None:
    """Hostile values of every type give the same bytes, whatever strategy and batch size."""
    await put_in(pg_engine, OnPostgreSQL, pools)
    await check(pg_engine, OnPostgreSQL, {**POSTGRESQL_PLANS, **IN_PYTHON})


@hostile
@given(pools=pools_of(BOTH))
async def test_same_bytes_on_sqlite(sqlite_engine: AsyncEngine, pools: Pools) -> None:
    """The same on SQLite, for the types that it keeps."""
    await put_in(sqlite_engine, OnSQLite, pools)
    await check(sqlite_engine, OnSQLite, SQLITE_PLANS)


def is_lost(value: Any) -> bool:
    """Tell what a driver alters: asyncpg takes it for infinity, or SQLite keeps no sign."""
    if isinstance(value, float):
        return value == 0
    return (
        value in {date.min, date.max, datetime.min, datetime.max}
        if isinstance(value, date)
        else False
    )


@hostile
@given(pools=pools_of(BOTH))
async def test_same_bytes_from_both_databases(
    pg_engine: AsyncEngine, sqlite_engine: AsyncEngine, pools: Pools
) -> None:
    """Text and JSON of the same values are the same from PostgreSQL and SQLite."""
    pools = {name: [v for v in values if not is_lost(v)] for name, values in pools.items()}
    outputs = []
    for engine in (pg_engine, sqlite_engine):
        await put_in(engine, OnSQLite, pools)
        plain = resources_of(OnSQLite)[0]
        outputs.append(b"".join([await bytes_of(plain(engine), name=name) for name in FORMATS]))
    for left, right in zip(*(out.split(b"\n") for out in outputs), strict=True):
        assert left == right


@pytest.mark.parametrize("name", ["csv", "tsv"])
async def test_numbers_that_are_none(pg_engine: AsyncEngine, name: str) -> None:
    """NaN and the infinities have a text, the same in all strategies."""
    columns = {key: POSTGRESQL[key] for key in ("double", "amount")}
    model = model_of(columns)
    pools = {
        "double": NOT_FINITE,
        "amount": (Decimal("NaN"), Decimal(1), None, Decimal("Infinity")),
    }
    await put_in(pg_engine, model, pools)
    outputs = {await bytes_of(each(pg_engine), name=name) for each in resources_of(model)}
    assert len(outputs) == 1
    assert b"nan" in outputs.pop().lower()


UNREPRESENTABLE = {
    "day": ("infinity", "-infinity", "0044-03-15 BC", "20000-01-01"),
    "moment": ("infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59"),
    "span": ("1 mon 2 days", "-1 year", "178000000 years"),
    "clock": ("24:00:00",),
}


async def test_values_that_python_cannot_hold(pg_engine: AsyncEngine) -> None:
    """Infinite dates and the like are the database's own text in all strategies."""
    model = model_of({key: POSTGRESQL[key] for key in UNREPRESENTABLE})
    await put_in(pg_engine, model, dict.fromkeys(UNREPRESENTABLE, (None,)))
    async with pg_engine.begin() as connection:
        for key, values in UNREPRESENTABLE.items():
            for row, value in enumerate(values):
                await connection.exec_driver_sql(
                    f"UPDATE hostile SET {key} = '{value}' WHERE id = {row}"
                )
    for name in FORMATS:
        outputs = [await bytes_of(each(pg_engine), name=name) for each in resources_of(model)]
        assert len(set(outputs)) == 1
        for values in UNREPRESENTABLE.values():
            for value in values:
                assert value.encode() in outputs[0]
