"""Exact values, against PostgreSQL's own texts and asyncpg's own decoding."""

# ruff: noqa: DTZ001, DTZ901 - timestamps without time zone are what is tested

from __future__ import annotations

import asyncio
import math
import re
import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    REAL,
    Column,
    Date,
    Interval,
    MetaData,
    Table,
    Time,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DATERANGE, INTERVAL, TIMESTAMP, Range
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from async_export.postgres.codecs import UnrepresentableError, exact_values
from async_export.types import UnrepresentableText

HOSTILE = {
    "date": [
        "infinity",
        "-infinity",
        "4713-11-24 BC",
        "0044-03-15 BC",
        "0001-12-31 BC",
        "0001-01-01",
        "2024-02-29",
        "9999-12-31",
        "10000-01-01",
        "5874897-12-31",
    ],
    "timestamp": [
        "infinity",
        "-infinity",
        "4713-11-24 00:00:00 BC",
        "0044-03-15 23:59:59.000001 BC",
        "0001-01-01 00:00:00",
        "1999-12-31 23:59:59.999999",
        "9999-12-31 23:59:59.999999",
        "10000-01-01 00:00:00",
        "294276-12-31 23:59:59.999999",
    ],
    "timestamptz": [
        "infinity",
        "-infinity",
        "4713-11-24 00:00:00+00 BC",
        "0044-03-15 23:59:59.12+00 BC",
        "0001-01-01 00:00:00+00",
        "2024-07-01 12:00:00.5+02",
        "9999-12-31 23:59:59.999999+00",
        "10000-01-01 00:00:00+00",
        "294276-12-31 23:59:59.999999+00",
    ],
    "time": ["00:00:00", "23:59:59.999999", "12:30:00.5", "23:59:60", "24:00:00"],
    "timetz": [
        "00:00:00+00",
        "23:59:59.999999-15:59:59",
        "12:30:00.5+05:30",
        "04:05:06+00:00:30",
        "24:00:00+00",
        "24:00:00-03:30:15",
        "24:00:00+15:59",
    ],
    "interval": [
        "infinity",
        "-infinity",
        "0",
        "1 day",
        "-1 day +02:03:04.5",
        "-00:00:00.000001",
        "1 mon",
        "1 mon 2 days 03:04:05",
        "-1 mon +2 days -03:04:05.25",
        "1 year -1 mon",
        "-1 year 1 day",
        "-13 mons -1 day +00:00:01",
        "178000000 years",
        "-178000000 years",
        "999999999 days",
        "1000000000 days",
        "-1000000000 days",
        "2147483647 days",
        "2562047788:00:54.775806",
        "-1 mon 2562047788:00:54.775807",
    ],
    "float4": [
        "0.1",
        "3.4028235e38",
        "1e-45",
        "-0",
        "16777216",
        "NaN",
        "-Infinity",
        "1.2379401e27",
    ],
}

UNREPRESENTABLE = re.compile(r"infinity|BC$|^\d{5,}-|^24:00:00|year|mon")


@pytest.fixture(autouse=True)
async def _plain_texts(pg_connection: asyncpg.Connection) -> None:
    """Let the server write its texts the way the codecs do."""
    await pg_connection.execute(
        "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'"
    )


async def fetch_with_texts(
    connection: asyncpg.Connection, type_: str, texts: Sequence[str]
) -> list[asyncpg.Record]:
    """Fetch each of *texts* as a value of *type_*, and the server's own text of it."""
    rows: list[asyncpg.Record] = await connection.fetch(
        f"SELECT value, value::text FROM unnest($1::text[]::{type_}[]) AS value", list(texts)
    )
    return rows


def is_representable(text: str) -> bool:
    """Whether Python can hold the value that PostgreSQL writes as *text*."""
    return not UNREPRESENTABLE.search(text) and abs(whole_days(text)) <= timedelta.max.days


def whole_days(interval: str) -> int:
    """The days of an interval without months, those in its hours included; 0 for other types."""
    found = re.fullmatch(r"(?:(-?\d+) days? ?)?(?:([+-]?)(\d+):(\d\d:\d\d(?:\.\d+)?))?", interval)
    if not found:
        return 0
    days, sign, hours, rest = found.groups(default="")
    clock = timedelta(hours=int(hours or 0))
    if rest.strip("0:."):
        clock += timedelta(microseconds=1)
    return int(days or 0) + (-clock if sign == "-" else clock).days


def text_of(value: Any) -> str:
    """How PostgreSQL writes a value that Python can hold."""
    if isinstance(value, UnrepresentableText):
        return str(value)
    if isinstance(value, datetime):
        return shorten(value.isoformat(" "))
    if isinstance(value, date):
        return value.isoformat()
    assert isinstance(value, time)
    return shorten(value.isoformat())


def shorten(text: str) -> str:
    """Drop the zeros that Python writes after fractions and offsets, and PostgreSQL does not."""
    text = re.sub(r"(\.\d*?)0+(?=$|[+-])", r"\1", text)
    return re.sub(r"([+-]\d\d):00$", r"\1", text)


async def assert_exact(connection: asyncpg.Connection, type_: str, texts: Sequence[str]) -> None:
    """Compare what exact_values gives with the server's texts and with asyncpg's own decoding."""
    async with exact_values(connection):
        rows = await fetch_with_texts(connection, type_, texts)
    for value, text_ in rows:
        assert isinstance(value, UnrepresentableText) != is_representable(text_), text_
        if not isinstance(value, timedelta):
            assert text_of(value) == text_
    held = [(value, text_) for value, text_ in rows if not isinstance(value, UnrepresentableText)]
    own = await fetch_with_texts(connection, type_, [text_ for _, text_ in held])
    for (value, _), (expected, _) in zip(held, own, strict=True):
        assert (type(value), value) == (type(expected), expected)
        assert getattr(value, "tzinfo", None) == getattr(expected, "tzinfo", None)


@pytest.mark.parametrize("type_", ["date", "timestamp", "timestamptz", "time", "interval"])
async def test_hostile_values(pg_connection: asyncpg.Connection, type_: str) -> None:
    """The edges of every type are asyncpg's own values or PostgreSQL's own texts."""
    await assert_exact(pg_connection, type_, HOSTILE[type_])


async def test_hostile_times_with_offset(pg_connection: asyncpg.Connection) -> None:
    """Offsets keep their seconds, which asyncpg drops."""
    async with exact_values(pg_connection):
        rows = await fetch_with_texts(pg_connection, "timetz", HOSTILE["timetz"])
    assert [text_of(value) for value, _ in rows] == [text_ for _, text_ in rows]
    assert rows[3][0] == time(4, 5, 6, tzinfo=timezone(timedelta(seconds=30)))


# Hypothesis calls a test many times with the same connection, which the test leaves as it was.
over_a_connection = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

_days = st.integers(-2_451_545, 2_145_031_948)
_near_days = st.integers(-740_000, 2_930_000)
_timestamp_days = st.integers(-2_451_545, 106_751_000)
_clock = st.integers(0, 86_399_999_999)
_int32 = st.integers(-(2**31) + 1, 2**31 - 1)
_int64 = st.integers(-(2**63) + 1, 2**63 - 2)


@over_a_connection
@given(days=st.lists(_days | _near_days, min_size=50))
async def test_any_date(pg_connection: asyncpg.Connection, days: list[int]) -> None:
    """Dates of the whole range are exact."""
    texts = await pg_connection.fetchval(
        "SELECT array_agg((date '2000-01-01' + days)::text) FROM unnest($1::int[]) AS days", days
    )
    await assert_exact(pg_connection, "date", texts)


@over_a_connection
@given(moments=st.lists(st.tuples(_timestamp_days | _near_days, _clock), min_size=50))
@pytest.mark.parametrize("type_", ["timestamp", "timestamptz"])
async def test_any_timestamp(
    pg_connection: asyncpg.Connection, type_: str, moments: list[tuple[int, int]]
) -> None:
    """Timestamps of the whole range are exact, to the microsecond."""
    texts = await pg_connection.fetchval(
        "SELECT array_agg((timestamp '2000-01-01' + make_interval(days => days)"
        "  + microseconds * interval '1 microsecond')::text)"
        "FROM unnest($1::int[], $2::bigint[]) AS moment (days, microseconds)",
        *map(list, zip(*moments, strict=True)),
    )
    await assert_exact(pg_connection, type_, texts)


@over_a_connection
@given(
    intervals=st.lists(
        st.tuples(st.just(0) | _int32, st.just(0) | _int32, st.just(0) | _int64), min_size=50
    )
)
async def test_any_interval(
    pg_connection: asyncpg.Connection, intervals: list[tuple[int, int, int]]
) -> None:
    """Intervals of mixed signs over the whole range are exact."""
    texts = [f"{months} mons {days} days {us} microseconds" for months, days, us in intervals]
    await assert_exact(pg_connection, "interval", texts)


@over_a_connection
@given(clocks=st.lists(st.tuples(_clock, st.integers(-57_599, 57_599)), min_size=50))
async def test_any_time(pg_connection: asyncpg.Connection, clocks: list[tuple[int, int]]) -> None:
    """Times of every microsecond and offset are exact."""
    moments = [
        (datetime(2000, 1, 1, tzinfo=timezone(timedelta(seconds=east))) + timedelta(0, 0, us))
        for us, east in clocks
    ]
    await assert_exact(pg_connection, "time", [str(moment.time()) for moment in moments])
    async with exact_values(pg_connection):
        values = await pg_connection.fetch(
            "SELECT value FROM unnest($1::text[]::timetz[]) AS value",
            [str(moment.timetz()) for moment in moments],
        )
    assert [value for (value,) in values] == [moment.timetz() for moment in moments]


@over_a_connection
@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=200))
async def test_any_float4(pg_connection: asyncpg.Connection, bits: list[int]) -> None:
    """A float4 becomes the float with the digits that PostgreSQL writes."""
    floats = [struct.unpack("!f", struct.pack("!I", pattern))[0] for pattern in bits]
    async with exact_values(pg_connection):
        rows = await pg_connection.fetch(
            "SELECT value, value::text FROM unnest($1::float8[]::float4[]) AS value", floats
        )
    for value, text_ in rows:
        assert math.isnan(value) if text_ == "NaN" else Decimal(repr(value)) == Decimal(text_)


async def test_the_float4_of_every_exponent(pg_connection: asyncpg.Connection) -> None:
    """Powers of two, whose neighbours are not equally far, have PostgreSQL's digits as well."""
    floats = [sign * 2.0**exponent for exponent in range(-149, 128) for sign in (1, -1)]
    async with exact_values(pg_connection):
        rows = await pg_connection.fetch(
            "SELECT value, value::text FROM unnest($1::float8[]::float4[]) AS value", floats
        )
    assert [Decimal(repr(value)) for value, _ in rows] == [Decimal(text_) for _, text_ in rows]


async def test_the_longest_hours(pg_connection: asyncpg.Connection) -> None:
    """The longest interval of hours is itself; asyncpg takes it for zero."""
    async with exact_values(pg_connection):
        value = await pg_connection.fetchval("SELECT interval '2562047788:00:54.775807'")
    assert value == timedelta(microseconds=2**63 - 1)


async def test_the_session_does_not_matter(pg_connection: asyncpg.Connection) -> None:
    """Texts are in ISO, postgres style and UTC, however the session writes its own."""
    await pg_connection.execute(
        "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601';"
        "SET extra_float_digits = -3"
    )
    async with exact_values(pg_connection):
        row = await pg_connection.fetchrow(
            "SELECT timestamptz '10000-01-01 00:00+00', date '0044-03-15 BC',"
            "       interval '1 mon', float4 '1.1234567'"
        )
    assert tuple(row) == ("10000-01-01 00:00:00+00", "0044-03-15 BC", "1 mon", 1.1234567)


@pytest.mark.parametrize("type_", sorted(HOSTILE))
async def test_null_policy(pg_connection: asyncpg.Connection, type_: str) -> None:
    """With "null" the unrepresentable values are None, and no others."""
    async with exact_values(pg_connection, "text"):
        as_text = await fetch_with_texts(pg_connection, type_, HOSTILE[type_])
    async with exact_values(pg_connection, "null"):
        as_null = await fetch_with_texts(pg_connection, type_, HOSTILE[type_])
    for (kept, _), (value, _) in zip(as_text, as_null, strict=True):
        assert (value is None) == isinstance(kept, UnrepresentableText)


@pytest.mark.parametrize("type_", sorted(set(HOSTILE) - {"float4"}))
async def test_error_policy(pg_connection: asyncpg.Connection, type_: str) -> None:
    """With "error" the fetch fails, naming the type but not the value, and work goes on."""
    hostile = next(value for value in HOSTILE[type_] if UNREPRESENTABLE.search(value))
    async with exact_values(pg_connection, "error"), pg_connection.transaction():
        with pytest.raises(UnrepresentableError, match=rf"type {type_}$"):
            await fetch_with_texts(pg_connection, type_, [hostile])
        assert await pg_connection.fetchval("SELECT 1") == 1


NESTED = """
SELECT ARRAY[date '10000-01-01', NULL, '2024-01-01'],
       ARRAY[ARRAY[float4 '0.1'], ARRAY[float4 '0.2']],
       daterange('-infinity', '2024-01-01'),
       datemultirange(daterange('0044-03-15 BC', '2024-01-01')),
       ROW(interval '1 mon', 1),
       ROW(interval '1 mon', ARRAY['infinity'::timestamp])::pair,
       ARRAY[ROW('1 mon', NULL)::pair],
       '24:00:00'::closing
"""


async def test_nested_values(pg_connection: asyncpg.Connection) -> None:
    """Elements of arrays, ranges, composites and domains are exact, and only inside."""
    await pg_connection.execute(
        "CREATE TYPE pair AS (length interval, moments timestamp[]);CREATE DOMAIN closing AS time"
    )
    async with exact_values(pg_connection):
        row = await pg_connection.fetchrow(NESTED)
    assert row is not None
    dates, floats, dates_range, multirange, record, pair, pairs, closing = row
    assert dates == ["10000-01-01", None, date(2024, 1, 1)]
    assert floats == [[0.1], [0.2]]
    assert dates_range == asyncpg.Range("-infinity", date(2024, 1, 1))
    assert multirange == [asyncpg.Range("0044-03-15 BC", date(2024, 1, 1))]
    assert tuple(record) == ("1 mon", 1)
    assert tuple(pair) == ("1 mon", ["infinity"])
    assert tuple(pairs[0]) == ("1 mon", None)
    assert closing == "24:00:00"


BOTH_FORMS = [
    ("SELECT 'infinity'::date", UnrepresentableText("infinity"), date.max),
    ("SELECT ARRAY['1 mon'::interval]", [UnrepresentableText("1 mon")], [timedelta(days=30)]),
    ("SELECT ROW('0.1'::float4)", (0.1,), (0.10000000149011612,)),
    ("SELECT '0.1'::float4", 0.1, 0.10000000149011612),
    ("SELECT daterange('infinity', NULL)", asyncpg.Range("infinity"), asyncpg.Range(date.max)),
]


@pytest.mark.parametrize(("sql", "exact", "own"), BOTH_FORMS)
async def test_prepared_statements_of_asyncpg(
    pg_connection: asyncpg.Connection, sql: str, exact: Any, own: Any
) -> None:
    """The same SQL is decoded exactly inside and by asyncpg outside, time after time."""
    for _ in range(3):
        for _ in range(2):
            assert await pg_connection.fetchval(sql) == own
        async with exact_values(pg_connection):
            for _ in range(2):
                assert await pg_connection.fetchval(sql) == exact


@pytest.mark.parametrize("cache_size", [0, 1, 100])
@pytest.mark.parametrize(("sql", "exact", "own"), BOTH_FORMS)
async def test_prepared_statements_of_sqlalchemy(
    postgres_url: str, cache_size: int, sql: str, exact: Any, own: Any
) -> None:
    """SQLAlchemy's own cache of statements, of any size, does not mix them up either."""
    engine = create_async_engine(
        make_url(postgres_url).set(drivername="postgresql+asyncpg"),
        connect_args={"prepared_statement_cache_size": cache_size},
    )
    async with engine.connect() as connection:
        for _ in range(3):
            assert await connection.scalar(text(sql)) == own
            async with exact_values(connection):
                for _ in range(2):
                    assert await connection.scalar(text(sql)) == exact
        assert await connection.scalar(text(sql)) == own
    await engine.dispose()


async def test_an_aborted_transaction(pg_connection: asyncpg.Connection) -> None:
    """The codecs go away in a transaction that a failed statement has aborted."""
    transaction = pg_connection.transaction()
    await transaction.start()
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with exact_values(pg_connection):
            await pg_connection.fetchval("SELECT 1 / 0")
    await transaction.rollback()
    assert await pg_connection.fetchval("SELECT 'infinity'::date") == date.max


async def test_a_cancelled_query(pg_connection: asyncpg.Connection) -> None:
    """The codecs go away when the task is cancelled within a query."""

    async def export() -> None:
        async with exact_values(pg_connection):
            await pg_connection.fetchval("SELECT 'infinity'::date, pg_sleep(60)")

    task = asyncio.create_task(export())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pg_connection.fetchval("SELECT 'infinity'::date") == date.max


async def test_a_lost_connection(pg_engine: AsyncEngine) -> None:
    """A connection that dies inside raises its own error, and the pool opens another one."""
    async with pg_engine.connect() as connection:
        with pytest.raises(DBAPIError):
            async with exact_values(connection):
                await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    async with pg_engine.connect() as connection:
        assert await connection.scalar(text("SELECT 'infinity'::date")) == date.max


async def test_an_invalidated_connection(pg_engine: AsyncEngine) -> None:
    """A connection that is invalidated inside is left without an error."""
    async with pg_engine.connect() as connection, exact_values(connection):
        await connection.invalidate()
    async with pg_engine.connect() as connection:
        assert await connection.scalar(text("SELECT 'infinity'::date")) == date.max


async def test_a_pooled_connection_of_asyncpg(pg_dsn: str) -> None:
    """What asyncpg's own pool hands out is decoded exactly too, and goes back as it was."""
    async with asyncpg.create_pool(pg_dsn, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection, exact_values(connection):
            assert await connection.fetchval("SELECT 'infinity'::date") == "infinity"
        assert await pool.fetchval("SELECT 'infinity'::date") == date.max


async def test_codecs_of_the_caller_stay(pg_connection: asyncpg.Connection) -> None:
    """A type for which the caller has a codec is decoded by that, inside and after."""
    await pg_connection.set_type_codec(
        "interval",
        schema="pg_catalog",
        format="text",
        encoder=str,
        decoder=lambda value: f"caller's {value}",
    )
    sql = "SELECT '1 mon'::interval, 'infinity'::date"
    async with exact_values(pg_connection):
        assert tuple(await pg_connection.fetchrow(sql)) == ("caller's 1 mon", "infinity")
    assert tuple(await pg_connection.fetchrow(sql)) == ("caller's 1 mon", date.max)


async def test_nested_use(pg_connection: asyncpg.Connection) -> None:
    """An inner use leaves the codecs of the outer one in place."""
    async with exact_values(pg_connection):
        async with exact_values(pg_connection, "null"):
            assert await pg_connection.fetchval("SELECT 'infinity'::date") == "infinity"
        assert await pg_connection.fetchval("SELECT 'infinity'::date") == "infinity"


PARAMETERS = [
    ("date", date(2024, 2, 29)),
    ("date", date.min),
    ("date", date.max),
    ("date", datetime(2024, 2, 29, 12, tzinfo=UTC)),
    ("timestamp", datetime(2024, 2, 29, 1, 2, 3, 4)),
    ("timestamp", datetime.min),
    ("timestamp", datetime.max),
    ("timestamp", date(2024, 2, 29)),
    ("timestamptz", datetime(2024, 2, 29, 1, tzinfo=timezone(timedelta(hours=5)))),
    ("timestamptz", datetime(2024, 2, 29, 1)),
    ("timestamptz", date(2024, 2, 29)),
    ("timestamptz", datetime.min),
    ("timestamptz", datetime.max),
    ("timestamptz", datetime.max.replace(tzinfo=UTC)),
    ("time", time(23, 59, 59, 999999)),
    ("timetz", time(1, 2, 3, 4, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))),
    ("interval", timedelta(days=-1, seconds=5, microseconds=6)),
    ("interval", timedelta.max),
    ("float4", 0.1),
    ("float4", 7),
    ("daterange", asyncpg.Range(date(2024, 1, 1), date.max)),
    ("float4[]", [0.1, None]),
]


@pytest.mark.parametrize(("type_", "value"), PARAMETERS)
async def test_parameters_mean_the_same(
    pg_connection: asyncpg.Connection, type_: str, value: Any
) -> None:
    """What the server gets for a parameter is what asyncpg sends without the codecs."""
    sql = f"SELECT ($1::{type_})::text"
    own = await pg_connection.fetchval(sql, value)
    async with exact_values(pg_connection):
        assert await pg_connection.fetchval(sql, value) == own


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("date", "x"),
        ("timestamp", 5),
        ("timestamptz", "x"),
        ("time", "x"),
        ("timetz", time(1)),
        ("interval", 3),
        ("float4", 1e300),
    ],
)
async def test_parameters_of_another_type(
    pg_connection: asyncpg.Connection, type_: str, value: Any
) -> None:
    """A value that does not fit its parameter is asyncpg's own error, and work goes on."""
    async with exact_values(pg_connection):
        with pytest.raises(asyncpg.DataError):
            await pg_connection.fetchval(f"SELECT $1::{type_}", value)
        assert await pg_connection.fetchval("SELECT 1") == 1


TYPES = Table(
    "types",
    MetaData(),
    Column("timestamp", TIMESTAMP),
    Column("timestamptz", TIMESTAMP(timezone=True)),
    Column("interval", INTERVAL),
    Column("generic_interval", Interval),
    Column("real", REAL),
    Column("real_decimal", REAL(asdecimal=True)),
    Column("reals", ARRAY(REAL)),
    Column("range", DATERANGE),
    Column("date", Date),
    Column("time", Time(timezone=True)),
)


async def test_types_of_sqlalchemy(pg_engine: AsyncEngine) -> None:
    """What SQLAlchemy's types make of the driver's values, they make of exact ones too."""
    async with pg_engine.begin() as connection:
        await connection.run_sync(TYPES.metadata.create_all)
        await connection.execute(
            text(
                "INSERT INTO types VALUES ('10000-01-01', '-infinity', '1 mon', '1 mon 1 day',"
                "  0.1, 0.1, ARRAY[0.1], '[-infinity,2024-01-01)', 'infinity', '24:00:00+02')"
            )
        )
        async with exact_values(connection):
            row = (await connection.execute(select(TYPES))).one()
    assert tuple(row) == (
        "10000-01-01 00:00:00",
        "-infinity",
        "1 mon",
        "1 mon 1 day",
        0.1,
        Decimal("0.1"),
        [0.1],
        Range("-infinity", date(2024, 1, 1)),
        "infinity",
        "24:00:00+02",
    )


async def test_values_of_sqlalchemy_go_in_and_out(pg_engine: AsyncEngine) -> None:
    """Ordinary values survive the way through SQLAlchemy's types in both directions."""
    values = {
        "timestamp": datetime(2024, 2, 29, 1, 2, 3, 4),
        "timestamptz": datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC),
        "interval": timedelta(days=1, microseconds=1),
        "generic_interval": timedelta(days=-1, microseconds=1),
        "real": 0.1,
        "real_decimal": Decimal("0.1"),
        "reals": [0.1, 3.5],
        "range": Range(date(2024, 1, 1), date(2024, 2, 1)),
        "date": date(2024, 2, 29),
        "time": time(1, 2, 3, tzinfo=timezone(timedelta(hours=1))),
    }
    async with pg_engine.begin() as connection:
        await connection.run_sync(TYPES.metadata.create_all)
        async with exact_values(connection):
            await connection.execute(TYPES.insert().values(values))
            row = (await connection.execute(select(TYPES))).one()
            found = await connection.scalar(
                select(TYPES.c.date).where(TYPES.c.timestamptz == values["timestamptz"])
            )
    assert dict(row._mapping) == values
    assert found == values["date"]


async def test_a_stream_of_sqlalchemy(pg_engine: AsyncEngine) -> None:
    """Rows that arrive through a server-side cursor are exact."""
    sql = "SELECT date '9999-12-30' + day FROM generate_series(0, 2) AS day"
    async with pg_engine.connect() as connection, exact_values(connection):
        rows = [row[0] async for row in await connection.stream(text(sql))]
    assert rows == [date(9999, 12, 30), date.max, "10000-01-01"]
