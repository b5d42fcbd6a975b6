"""SQL texts of PostgreSQL, against what the widgets make of the same values in Python."""

# ruff: noqa: DTZ001, DTZ901 - timestamps without time zone are what is tested

from __future__ import annotations

import io
import json
import math
import random
import re
import string
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any, Literal
from unittest.mock import ANY
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naming import named
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncEngine

from async_export.postgres.codecs import exact_values
from async_export.postgres.texts import (
    Expression,
    NeverEmpty,
    is_named,
    is_utc,
    quoted,
    to_char_pattern,
    unchanged,
)
from async_export.widgets import (
    AutoWidget,
    BinaryWidget,
    BitWidget,
    BooleanWidget,
    CharWidget,
    DateTimeWidget,
    DateWidget,
    DecimalWidget,
    DurationWidget,
    EnumWidget,
    FloatWidget,
    ForeignKeyWidget,
    InetWidget,
    IntegerWidget,
    IntervalWidget,
    JSONWidget,
    ManyToManyWidget,
    NumberWidget,
    RangeWidget,
    SimpleArrayWidget,
    TimeWidget,
    UUIDWidget,
    Widget,
)

SESSION_ZONES = ("UTC", "America/Sao_Paulo", "Asia/Kathmandu")
"""In the second one summer time began at midnight, as on 2017-10-15."""

DIALECT = pg.asyncpg.dialect()  # type: ignore[no-untyped-call]
VALUE: Expression = sa.column("value")

WEST = timezone(timedelta(hours=-3, minutes=-30))
EAST = timezone(timedelta(hours=5, minutes=41, seconds=16))
PARIS = ZoneInfo("Europe/Paris")
NEW_YORK = ZoneInfo("America/New_York")

SCALES = ((5, -2), (10, 0), (10, 4))
ENCODINGS: tuple[Literal["hex", "base64"], ...] = ("hex", "base64")
BIT_TYPES = ("bit(11)", "varbit")


@pytest.fixture(autouse=True)
async def _session(pg_connection: asyncpg.Connection) -> None:
    """Give the session the settings that the texts are made for, and an enum."""
    await prepare_session(pg_connection)


async def prepare_session(connection: asyncpg.Connection) -> None:
    """Set what the texts are made for, and make an enum."""
    labels = ", ".join(sql_of(quoted(label)) for label in LABELS)
    await connection.execute(
        "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = postgres; SET extra_float_digits = 1;"
        "SET bytea_output = hex; SET standard_conforming_strings = on;"
        f"CREATE TYPE color AS ENUM ({labels})"
    )


LABELS = ("", "red", 'dark "blue"', "it's", "a,b", "é\n\\")


# How texts are compared


def sql_of(expression: Expression | None) -> str:
    """The SQL of an expression, which has no parameters."""
    assert expression is not None
    compiled = expression.compile(dialect=DIALECT)
    assert not compiled.params
    return str(compiled)


async def load(connection: asyncpg.Connection, type_: str, texts: Iterable[str]) -> str:
    """Make the table ``given`` of *texts* as values of *type_* and of NULL.

    Returns:
        The name of the type, as asyncpg has it; of the enum the one that stands for all of them.
    """
    await connection.execute(
        f"DROP TABLE IF EXISTS given; CREATE TEMP TABLE given (place serial, value {type_})"
    )
    await connection.execute(
        f"INSERT INTO given (value) SELECT value::{type_}"
        " FROM unnest($1::text[]) WITH ORDINALITY AS each(value, place) ORDER BY place",
        [*texts, None],
    )
    statement = await connection.prepare("SELECT value FROM given")
    name: str = statement.get_attributes()[0].type.name
    return name.replace("color", "enum")


async def values_given(connection: asyncpg.Connection) -> list[Any]:
    """The values of the table, as an export reads them."""
    async with exact_values(connection):
        return [row[0] for row in await connection.fetch("SELECT value FROM given ORDER BY place")]


CSV_CELL = re.compile(r'"((?:[^"]|"")*)"\n|\\N\n')


async def texts_in_sql(
    connection: asyncpg.Connection, expression: Expression | None
) -> list[str | None]:
    """The texts of an expression over the table, by COPY, which a cast must equal."""
    sql, file = sql_of(expression), io.BytesIO()
    await connection.copy_from_query(
        f"SELECT {sql} FROM given ORDER BY place",
        output=file,
        format="csv",
        null="\\N",
        force_quote=True,
    )
    cells = [cell[1] for cell in CSV_CELL.finditer(file.getvalue().decode())]
    copied = [None if cell is None else cell.replace('""', '"') for cell in cells]
    rows = await connection.fetch(f"SELECT CAST({sql} AS TEXT) FROM given ORDER BY place")
    assert [row[0] for row in rows] == copied
    return copied


async def assert_type(
    connection: asyncpg.Connection, expression: Expression | None, texts: Sequence[str | None]
) -> None:
    """The type that SQLAlchemy knows tells text from all else, and what is never empty."""
    assert expression is not None
    is_text = isinstance(expression.type, sa.String)
    real = await connection.fetchval(f"SELECT pg_typeof({sql_of(expression)})::text FROM given")
    assert is_text == (real in {"text", "character varying", "name"})
    if isinstance(expression.type, NeverEmpty) or not is_text:
        assert "" not in texts


def rendered(widget: Widget, value: Any) -> Any:
    """What Python shows of a value; anything where it refuses."""
    if value is None:
        return None
    try:
        return widget.render(value)
    except OverflowError:
        return ANY


async def assert_equal(
    connection: asyncpg.Connection, widget: Widget, type_: str, texts: Iterable[str]
) -> None:
    """Compare SQL and Python over values of a type."""
    name = await load(connection, type_, texts)
    expression = widget.render_sql(VALUE, name)
    found = await texts_in_sql(connection, expression)
    assert found == [rendered(widget, value) for value in await values_given(connection)]
    await assert_type(connection, expression, found)


# Hostile values

DICE = random.Random(1)
TEXTS = [
    *("", " ", "  a  ", '"', "'", '""', "\\", "\\N", "\\.", "NULL", "null", "None", ","),
    *("\n", "\r", "\r\n", "\t", "\x01", "\x1f", "\x7f", "\x85", "\u2028", "\ufeff", "é", "𝄞"),
    'a "b"\nc\\d',
]
INTEGERS = ["0", "1", "-32768", "32767"]
NUMERICS = [
    *("0", "-0.00", "1.10", "20000", "1000000", "0.0000001", "NaN", "Infinity", "-Infinity"),
    *("1e500", "-1e-500", "123456789012345678901234567890.0123456789", "0.1e-20", "1E3", "-5e-7"),
    *(f"{DICE.randrange(10**9)}e{DICE.randint(-60, 60)}" for _ in range(500)),
]
DATES = [
    *("infinity", "-infinity", "4713-11-24 BC", "0044-03-15 BC", "0001-12-31 BC", "0001-01-01"),
    *("0868-01-02", "0999-12-31", "1000-01-01", "2024-02-29", "9999-12-31", "10000-01-01"),
    *("5874897-12-31", "2017-10-15", "2021-01-03", "2020-12-31", "1900-01-01"),
    *(date.fromordinal(DICE.randint(1, date.max.toordinal())).isoformat() for _ in range(300)),
]
CLOCKS = [
    *("00:00:00", "23:59:59.999999", "12:30:00.5", "01:02:03.000001", "09:05:00", "24:00:00"),
    *("12:00:00.123450", "00:59:59.999999", "13:00:00"),
]
OFFSETS = ["+00", "-15:59:59", "+05:30", "+00:00:30", "-03:30:15", "+15:59"]


def moments(count: int, first: datetime, last: datetime) -> list[str]:
    """Timestamps between two of them, of which half have a fraction."""
    seconds = (last - first) // timedelta(seconds=1)
    return [
        str(first + timedelta(0, DICE.randint(0, seconds), DICE.choice((0, DICE.randrange(10**6)))))
        for _ in range(count)
    ]


TIMESTAMPS = [
    *("infinity", "-infinity", "4713-11-24 00:00:00 BC", "0044-03-15 23:59:59.000001 BC"),
    *("0001-12-31 23:59:59.5 BC", "0001-01-01 00:00:00", "0868-01-02 03:04:05.06"),
    *("1999-12-31 23:59:59.999999", "1970-01-01 00:00:00", "9999-12-31 23:59:59.999999"),
    *("10000-01-01 00:00:00.1", "294276-12-31 23:59:59.999999", "2024-03-31 02:30:00"),
    *moments(300, datetime.min, datetime.max),
]
BEYOND = [
    *("infinity", "-infinity", "4713-11-24 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00"),
    *("0044-03-15 23:59:59.12+00 BC", "0001-12-31 23:59:59.999999+00 BC"),
    *("0044-03-15 23:59:59+00 BC", "10000-01-01 00:00:00+00", "10000-01-01 00:00:00.5+00"),
]
"""Instants that Python cannot hold."""

INSTANTS = [
    *BEYOND,
    *("0001-01-01 00:00:00+00", "0001-01-01 03:29:59.5+00", "0001-01-01 03:30:00+00"),
    *("0001-01-01 23:59:59+00", "9999-12-31 00:00:00.25+00", "9999-12-31 18:00:00+00"),
    *("9999-12-31 23:59:59.999999+00", "2024-03-31 00:59:59.999999+00"),
    *(f"{moment}+00" for moment in moments(300, datetime.min, datetime.max)),
]
RECENT_INSTANTS = [
    *BEYOND,
    *("2024-03-31 00:59:59+00", "2024-03-31 01:00:00.5+00", "2024-10-27 00:30:00+00"),
    *(f"{moment}+00" for moment in moments(500, datetime(1990, 1, 1), datetime(2020, 1, 1))),
]
"""Of years in which the tables of server and Python agree."""

INTERVALS = [
    *("0", "1 day", "-1 day", "2 days", "-1 day +02:03:04.5", "24:00:00", "-00:00:00.000001"),
    *("09:59:59", "09:59:59.5", "10:00:00", "23:59:59", "23:59:59.000001", "23:59:59.999999"),
    *("100:00:00", "1 mon", "1 mon -30 days", "1 mon -30 days 05:00:00", "1 year -1 mon", "1 year"),
    *("1 mon 2 days 03:04:05", "-1 mon +2 days -03:04:05.25", "1 year -12 mons", "10 years"),
    *("-1 year 1 day", "178000000 years", "-178000000 years", "2147483647 days"),
    *("999999999 days", "999999999 days 23:59:59.999999", "999999999 days 24:00:00"),
    *("1000000000 days", "1000000000 days -00:00:00.000001", "-999999999 days"),
    *("-999999999 days -00:00:00.000001", "-1000000000 days 24:00:00", "-2147483648 days"),
    *("2562047788:00:54.775807", "-2562047788:00:54.775807", "1 day -24:00:00"),
    *("-1 mon 2562047788:00:54.775807", "1 day -24:00:01", "-1 day 24:00:00"),
    *(
        f"{DICE.randint(-(10**days), 10**days)} days {DICE.randint(-(10**part), 10**part)} us"
        for days in (0, 1, 3, 9)
        for part in (3, 6, 9, 11, 14, 18)
        for _ in range(60)
    ),
]
ADDRESSES = [
    *("10.0.0.1", "10.0.0.1/32", "10.0.0.1/24", "10.0.0.0/8", "0.0.0.0/0", "255.255.255.255/31"),
    *("::", "::/0", "::1", "2001:db8::1/64", "2001:db8::/32", "::ffff:1.2.3.4", "::1.2.3.4"),
    *("::ffff:1.2.3.4/100", "::ffff:0:0", "::0.1.0.0", "::5:1:2", "1::2:0:0:3", "fe80::1/128"),
    *("2001:0:0:1::1", "0:0:1::", "::ffff:0:1.2.3.4", "64:ff9b::1.2.3.4"),
]
NETWORKS = [
    *("10.0.0.0/8", "10.1.0.0/16", "10.0.0.1/32", "0.0.0.0/0", "::/0", "2001:db8::/32"),
    *("::ffff:1.2.3.4", "::ffff:1.2.3.0/120", "::1/128"),
]
UUIDS = ["00000000-0000-0000-0000-000000000000", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"]
BYTES = ["", "\\x00", "\\xff00", "\\x" + "0a" * 57, "\\x" + "5c27" * 57, "\\x" + "00ff" * 400]
BITS = ["0", "1", "01011001010"]
RANGES = {
    "int4range": ["empty", "(,)", "[1,10)", "[1,10]", "(,5]", "[-5,)", "[2147483646,)"],
    "int8range": ["empty", "[-9223372036854775808,9223372036854775807)"],
    "numrange": ["[1.10,2.50]", "(1e-7,1e30)", "[NaN,NaN]", "[-Infinity,Infinity)", "(,0.00)"],
    "daterange": [
        *("[2024-01-01,2024-02-01)", "[-infinity,infinity)", "[-infinity,infinity]", "empty"),
        *("(,0868-01-02)", "[0044-03-15 BC,10000-01-01)"),
    ],
    "tsrange": [
        *("[2024-01-01,2024-02-01 12:30:00.5]", "(,infinity)", "[-infinity,)", "empty"),
        '["0044-03-15 23:59:59.12 BC","10000-01-01 00:00:00.5")',
    ],
}
MULTIRANGES = {
    name.replace("range", "multirange"): ["{}", *(f"{{{text}}}" for text in texts)]
    for name, texts in RANGES.items()
}


def array_of(*texts: str) -> list[str]:
    """Arrays without and with NULL, of one dimension, and one of all *texts*."""
    quoted_texts = ['"{}"'.format(re.sub(r'(["\\])', r"\\\1", text)) for text in texts]
    return ["{}", "{NULL}", "{NULL,NULL}", f"{{{','.join([*quoted_texts, 'NULL'])}}}"]


FORMATS = (None, "iso", "%Y/%m/%d %H:%M:%S.%f")
CASES: list[tuple[Widget, str, Sequence[str]]] = [
    *((widget, type_, TEXTS) for widget in (Widget(), CharWidget()) for type_ in ("text", "name")),
    *((CharWidget(), type_, TEXTS) for type_ in ("varchar", "varchar(12)", "char(12)", "bpchar")),
    (CharWidget(), "color", LABELS),
    (CharWidget(), "tsvector", ["", "a b", "'it''s' \\\\"]),
    (CharWidget(), "tsquery", ["", "a & !b", "'it''s'"]),
    (CharWidget(), "jsonpath", ["$.a", '$."é"[*] ? (@ > 1)']),
    (CharWidget(), "macaddr", ["08:00:2b:01:02:03"]),
    (CharWidget(), "macaddr8", ["08:00:2b:01:02:03:04:05"]),
    (CharWidget(), "money", ["0", "-1234567.89", "92233720368547758.07"]),
    (CharWidget(), "regclass", ["pg_class", '"given"']),
    (CharWidget(), "regconfig", ["english"]),
    (CharWidget(), "date", DATES),
    (CharWidget(), "uuid", UUIDS),
    *((CharWidget(), type_, INTEGERS) for type_ in ("int2", "int4", "int8")),
    (CharWidget(), "oid", ["0", "4294967295"]),
    *((IntegerWidget(), type_, INTEGERS) for type_ in ("int2", "int4", "int8", "numeric")),
    *((DecimalWidget(), type_, INTEGERS) for type_ in ("int2", "int4", "int8")),
    (IntegerWidget(), "int8", ["-9223372036854775808", "9223372036854775807"]),
    *((widget, "oid", ["0", "4294967295"]) for widget in (IntegerWidget(), DecimalWidget())),
    *((widget, "numeric", NUMERICS) for widget in (NumberWidget(), DecimalWidget())),
    *((DecimalWidget(), f"numeric({p},{s})", ["0", "123.456", "-150"]) for p, s in SCALES),
    *((IntegerWidget(), type_, ["1e23", "-0", "5", "0.1"]) for type_ in ("float4", "float8")),
    (BooleanWidget(), "bool", ["true", "false"]),
    *((DateWidget(form), "date", DATES) for form in (None, "iso", "%d/%m/%Y %H%f")),
    *((DateWidget(form), "timestamp", TIMESTAMPS) for form in (None, "iso", "%d.%m.%y %T")),
    *((DateWidget(form), "timestamptz", INSTANTS) for form in (None, "iso", "%d.%m.%y %T")),
    *((DateTimeWidget(form), "timestamp", TIMESTAMPS) for form in FORMATS),
    *(
        (DateTimeWidget(form, zone), "timestamptz", INSTANTS)
        for form in FORMATS
        for zone in (None, UTC, timezone(timedelta(), "Z"), ZoneInfo("Etc/UTC"), WEST, EAST)
    ),
    *(
        (DateTimeWidget(form, zone), "timestamptz", RECENT_INSTANTS)
        for form in FORMATS
        for zone in (PARIS, NEW_YORK, ZoneInfo("Etc/GMT+5"), ZoneInfo("Asia/Kathmandu"))
    ),
    *((TimeWidget(form), "time", CLOCKS) for form in (None, "iso", "%H.%M %f %F %j")),
    (TimeWidget(), "timetz", [clock + offset for clock in CLOCKS for offset in OFFSETS]),
    *((widget, "interval", INTERVALS) for widget in (DurationWidget(), IntervalWidget())),
    (UUIDWidget(), "uuid", UUIDS),
    *((BinaryWidget(encoding), "bytea", BYTES) for encoding in ENCODINGS),
    *((EnumWidget(lookup=str), type_, LABELS) for type_ in ("color", "text", "varchar")),
    (InetWidget(), "inet", ADDRESSES),
    (InetWidget(), "cidr", NETWORKS),
    (BitWidget(), "varbit", ["", *BITS]),
    (BitWidget(), "bit(11)", BITS),
    *((RangeWidget(), type_, texts) for type_, texts in (RANGES | MULTIRANGES).items()),
    (RangeWidget(), "int4multirange", ["{[1,2),[5,7)}"]),
    *(
        (SimpleArrayWidget(separator), f"{type_}[]", array_of("", "a,b", "None", "é\n\"'\\"))
        for type_ in ("text", "varchar", "name", "char(7)")
        for separator in (",", "'|\\", '\n"é:b%s{}')
    ),
    (SimpleArrayWidget(), "text[]", ["[0:1]={a,b}", '{""}']),
    *((SimpleArrayWidget(), f"int{size}[]", array_of("1", "-2")) for size in (2, 4, 8)),
    (SimpleArrayWidget(), "oid[]", array_of("4294967295")),
    (SimpleArrayWidget(), "uuid[]", array_of(*UUIDS)),
    (SimpleArrayWidget(), "date[]", array_of(*DATES)),
    (SimpleArrayWidget(), "color[]", array_of(*LABELS)),
    (SimpleArrayWidget(item=EnumWidget(lookup=str)), "color[]", array_of(*LABELS)),
    (SimpleArrayWidget(item=InetWidget()), "inet[]", array_of(*ADDRESSES)),
    (SimpleArrayWidget(item=InetWidget()), "cidr[]", array_of(*NETWORKS)),
    *((SimpleArrayWidget(item=BitWidget()), f"{bits}[]", array_of(*BITS)) for bits in BIT_TYPES),
    (ForeignKeyWidget(item=BooleanWidget()), "bool", ["true", "false"]),
    (ForeignKeyWidget(item=DateTimeWidget(None, WEST)), "timestamptz", INSTANTS),
]


@pytest.mark.parametrize(
    ("widget", "type_", "texts"), CASES, ids=[f"{widget} {type_}" for widget, type_, _ in CASES]
)
async def test_sql_equals_python(
    pg_connection: asyncpg.Connection, widget: Widget, type_: str, texts: Sequence[str]
) -> None:
    """SQL gives the texts of the widget for hostile values, whatever the session's zone."""
    for zone in SESSION_ZONES:
        await pg_connection.execute(f"SET TimeZone = '{zone}'")
        await assert_equal(pg_connection, widget, type_, texts)


# Floats


def doubles() -> list[float]:
    """Floats that PostgreSQL and Python are likely to write differently, and random ones."""
    found = [sign * 2.0**power for power in range(-1074, 1024) for sign in (1, -1)]
    found += [float(f"{digits}e{power}") for power in range(-324, 309) for digits in (1, 5, 9.5)]
    found += [float(f"{DICE.randrange(10**17)}e{DICE.randint(0, 24)}") for _ in range(5_000)]
    found += [float(f"{DICE.randrange(10**9)}e{DICE.randint(0, 32)}") for _ in range(5_000)]
    found += [float(f"{digits}e{power}") for power in range(24) for digits in midway(power)]
    found += [DICE.uniform(1, 10) * 10.0 ** DICE.randint(15, 40) for _ in range(5_000)]
    found += [round(DICE.uniform(-1e6, 1e6), DICE.randint(0, 9)) for _ in range(2_000)]
    found += [DICE.randrange(10**15, 10**16) / 2 for _ in range(1_000)]
    found += struct.unpack("5000d", DICE.randbytes(40_000))
    borders = [0.0, 1e-4, 1.0, 1e15, 1e16, 2.0**53, 2.0**54, 1e40]
    found += [math.nextafter(value, end) for value in borders for end in (-math.inf, math.inf)]
    return [*found, 0.0, -0.0, math.nan, math.inf, -math.inf, 1.7976931348623157e308, 1e23]


def midway(power: int) -> list[int]:
    """What lies midway between two floats when it is multiplied by a power of ten."""
    # An odd number of 54 bits, multiplied by powers of two, and with up to 17 digits in all.
    odd = 2**54 // 5**power - 1 | 1
    return [odd << bits for bits in range(60) if odd << bits < 10**17]


def reals() -> list[float]:
    """Random floats of 32 bits, all of their powers of two, and what lies at their borders."""
    borders = [1e-4, 1.0, 1e6, 1e15, 1e16, 2.0**24, 1e23]
    bits = [struct.unpack("I", struct.pack("f", border))[0] for border in borders]
    bits = [pattern + step for pattern in bits for step in range(-3, 4)]
    bits += [exponent << 23 for exponent in range(256)]
    bits += [DICE.getrandbits(32) for _ in range(10_000)]
    found = [struct.unpack("f", struct.pack("I", pattern))[0] for pattern in bits]
    found += [float(f"{digits}e{power}") for power in range(-44, 38) for digits in (1, 1.5, 3.25)]
    found += [DICE.randrange(10**7) / 8 for _ in range(1_000)]
    return [*found, 0.0, -0.0, math.nan, math.inf, -math.inf]


FLOATS = [("float8", doubles()), ("float4", reals())]


@pytest.mark.parametrize(("type_", "floats"), FLOATS, ids=["float8", "float4"])
async def test_floats(
    pg_connection: asyncpg.Connection, type_: str, floats: Sequence[float]
) -> None:
    """Floats have the digits of Python's shortest text, in PostgreSQL's own type and size."""
    await assert_equal(pg_connection, FloatWidget(), type_, map(repr, floats))


async def test_doubles_midway_between_others(pg_connection: asyncpg.Connection) -> None:
    """Where PostgreSQL's own digits are not Python's, the form has Python's."""
    await load(pg_connection, "float8", map(repr, doubles()))
    own = await pg_connection.fetch("SELECT value::text FROM given ORDER BY place")
    values = await values_given(pg_connection)
    other = [value for value, (text,) in zip(values, own, strict=True) if differs(value, text)]
    assert len(other) > 100
    assert 2.0**54 <= min(other) < 2.0**55
    assert 1e38 < max(other) <= 1e40


def differs(value: float | None, text: str | None) -> bool:
    """Whether PostgreSQL's text of a float has other digits than Python's."""
    if value is None or text is None or not math.isfinite(value):
        return False
    return Decimal(repr(value)) != Decimal(text)


# Text of every plane, citext, JSON, arrays within arrays


def planes() -> list[str]:
    """Every character that PostgreSQL can hold, in pieces."""
    points = [point for point in range(1, 0x110000) if not 0xD800 <= point < 0xE000]
    return ["".join(map(chr, points[i : i + 8192])) for i in range(0, len(points), 8192)]


async def test_every_character(pg_connection: asyncpg.Connection) -> None:
    """Text of all planes comes out as it is."""
    await assert_equal(pg_connection, CharWidget(), "text", planes())


async def test_citext(pg_connection: asyncpg.Connection) -> None:
    """Case-insensitive text keeps its case."""
    try:
        await pg_connection.execute("CREATE EXTENSION IF NOT EXISTS citext")
    except (asyncpg.FeatureNotSupportedError, asyncpg.InsufficientPrivilegeError):
        pytest.skip("this server has no citext")
    await assert_equal(pg_connection, CharWidget(), "citext", [*TEXTS, "Ab"])


JSONS = [
    *("null", "[]", "{}", "0", "false", '""', '"null"', '{"b":1,"a":[1.5,null,true]}', "[[1]]"),
    *('{"a b": "\\u00e9\\n\\"\\\\/"}', '"\\u0001\\u007f\\u2028"', '{"bb":1,"a":{"c":[]}}'),
]


async def test_jsonb(pg_connection: asyncpg.Connection) -> None:
    """JSON is spaced, sorted and escaped as Python would, and null is NULL."""
    await pg_connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )
    characters = [json.dumps(text, ensure_ascii=False) for text in planes()]
    await assert_equal(pg_connection, JSONWidget(), "jsonb", [*JSONS, *characters])


async def test_numbers_in_jsonb_keep_their_digits(pg_connection: asyncpg.Connection) -> None:
    """The text of numbers is that of the database, where Python would have made floats of them."""
    await load(pg_connection, "jsonb", ["1.10", "[1e3, 1E-7]"])
    expression = JSONWidget().render_sql(VALUE, "jsonb")
    assert await texts_in_sql(pg_connection, expression) == ["1.10", "[1000, 0.0000001]", None]


async def test_nested_arrays(pg_connection: asyncpg.Connection) -> None:
    """Arrays of several dimensions look as the database writes them."""
    await load(pg_connection, "int4[]", ["{{1,2},{3,NULL}}", "[0:1][1:1]={{1},{2}}", "{{{1}}}"])
    expression = SimpleArrayWidget("|").render_sql(VALUE, "int4[]")
    assert await texts_in_sql(pg_connection, expression) == [
        "{{1,2},{3,NULL}}",
        "[0:1][1:1]={{1},{2}}",
        "{{{1}}}",
        None,
    ]


# Zones


async def test_instants_without_equal_in_the_zone(pg_connection: asyncpg.Connection) -> None:
    """What Python refuses to show in a zone is in UTC, or in a year that tells."""
    edges = ["0001-01-01 03:29:59.5+00", "9999-12-31 18:18:44+00"]
    await load(pg_connection, "timestamptz", edges)
    for zone, place in ((WEST, 0), (EAST, 1)):
        value = (await values_given(pg_connection))[place]
        for format_, shown in (
            (None, ("0001-12-31 23:59:59 BC", "10000-01-01 00:00:00")),
            ("iso", ("0001-01-01 03:29:59.5+00", "9999-12-31 18:18:44+00")),
            ("%d/%m/%Y", ("0001-01-01 03:29:59.5+00", "9999-12-31 18:18:44+00")),
        ):
            widget = DateTimeWidget(format_, zone)
            with pytest.raises(OverflowError):
                widget.render(value)
            found = await texts_in_sql(pg_connection, widget.render_sql(VALUE, "timestamptz"))
            assert found[place] == shown[place]


async def test_the_extremes_of_a_named_zone(pg_connection: asyncpg.Connection) -> None:
    """No instant ends the export by an overflow on the way to its zone."""
    await load(pg_connection, "timestamptz", INSTANTS)
    for zone in ("Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati"):
        for format_ in FORMATS:
            widget = DateTimeWidget(format_, zone)
            found = await texts_in_sql(pg_connection, widget.render_sql(VALUE, "timestamptz"))
            assert None not in found[:-1]


class Custom(tzinfo):
    """A zone that only Python knows."""

    def utcoffset(self, _when: datetime | None) -> timedelta:
        """Return an offset that others have, too."""
        return timedelta(hours=1)

    def dst(self, _when: datetime | None) -> None:
        """Return nothing."""

    def tzname(self, _when: datetime | None) -> None:
        """Return nothing."""


UNKNOWN_ZONES = [
    Custom(),
    timezone(timedelta(microseconds=1)),
    # For PostgreSQL these are abbreviations, of one offset for all the year.
    ZoneInfo("CET"),
    ZoneInfo("EST"),
]


@pytest.mark.parametrize("zone", UNKNOWN_ZONES, ids=named)
@pytest.mark.parametrize("format_", FORMATS)
def test_zones_that_postgresql_lacks(zone: tzinfo, format_: str | None) -> None:
    """In a zone that PostgreSQL would take for another one there is no SQL."""
    widget = DateTimeWidget(format_, zone)
    assert widget.render_sql(VALUE, "timestamptz") is None
    assert widget.render_sql(VALUE, "timestamp") is not None
    assert not widget.sql_is_definition


# Version 1 of the format: no transitions, one offset, named UTC.
ZONE_FILE = b"TZif" + bytes(32) + b"\0\0\0\1\0\0\0\4" + bytes(6) + b"UTC\0"


def test_a_zone_without_name() -> None:
    """A zone that was read from a file has no name to tell PostgreSQL."""
    zone = ZoneInfo.from_file(io.BytesIO(ZONE_FILE))
    assert DateTimeWidget(timezone=zone).render_sql(VALUE, "timestamptz") is None


async def test_names_of_zones_are_quoted(pg_connection: asyncpg.Connection) -> None:
    """A name that is none is an error of the server's, and no SQL."""
    zone = ZoneInfo.from_file(io.BytesIO(ZONE_FILE), key="a/b'||version()||'\\")
    expression = DateTimeWidget(timezone=zone).render_sql(VALUE, "timestamptz")
    await load(pg_connection, "timestamptz", ["2024-01-01"])
    with pytest.raises(asyncpg.InvalidParameterValueError, match=r"a/b'\|\|version"):
        await texts_in_sql(pg_connection, expression)


def test_kinds_of_zones() -> None:
    """Only a zone of several offsets, known by its name, is one that the database looks up."""
    for zone in (UTC, timezone(timedelta()), ZoneInfo("UTC"), ZoneInfo("Etc/UTC")):
        assert is_utc(zone)
        assert not is_named(zone)
    assert not is_utc(PARIS)
    assert is_named(PARIS)
    assert not is_utc(WEST)
    assert not is_named(WEST)


# Patterns

KNOWN_DIRECTIVES = "%DFGHIMRSTVYdfjmuy"
_directives = st.sampled_from([f"%{directive}" for directive in KNOWN_DIRECTIVES])
_keywords = st.sampled_from(["YYYY", "TH", "FM", "TM", "HH24", "SP", "Day", '"', "\\", "'", "\n"])
_verbatim = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%\0"), max_size=5)
_patterns = st.lists(_directives | _keywords | _verbatim, min_size=1, max_size=8).map("".join)

# Hypothesis calls a test many times with the same connection, which the test leaves as it was.
over_a_connection = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FORMATTED = [
    ("date", DATES[:60], DateWidget),
    ("timestamp", TIMESTAMPS[:60], DateTimeWidget),
    ("timestamptz", INSTANTS[:60], partial(DateTimeWidget, timezone=EAST)),
    ("time", CLOCKS, TimeWidget),
]


@pytest.mark.parametrize(
    ("type_", "texts", "make"), FORMATTED, ids=["date", "timestamp", "timestamptz", "time"]
)
@over_a_connection
@given(patterns=st.lists(_patterns.filter(bool), min_size=1, max_size=20))
async def test_any_pattern(
    pg_connection: asyncpg.Connection,
    type_: str,
    texts: Sequence[str],
    make: Callable[[str], Widget],
    patterns: list[str],
) -> None:
    """Whatever directives and texts a format has, SQL shows what strftime does."""
    await load(pg_connection, type_, texts)
    values = await values_given(pg_connection)
    widgets = [make(pattern) for pattern in patterns]
    cells = [f"CAST({sql_of(widget.render_sql(VALUE, type_))} AS TEXT)" for widget in widgets]
    rows = await pg_connection.fetch(f"SELECT {', '.join(cells)} FROM given ORDER BY place")
    for value, row in zip(values, rows, strict=True):
        assert list(row) == [rendered(widget, value) for widget in widgets]


OTHER_DIRECTIVES = sorted(set(string.ascii_letters + "-_0^#:+ \n") - set(KNOWN_DIRECTIVES))


@pytest.mark.parametrize("pattern", ["", "%", "%Y%", "%-d", *(f"%{d}" for d in OTHER_DIRECTIVES)])
def test_patterns_without_translation(pattern: str) -> None:
    """Directives that depend on the locale or the platform have no SQL, nor has an empty format."""
    assert to_char_pattern(pattern) is None
    assert DateWidget(pattern).render_sql(VALUE, "date") is None


# Literals


@over_a_connection
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
async def test_literals(pg_connection: asyncpg.Connection, text: str) -> None:
    """A literal is the same text, with standard_conforming_strings on and off."""
    sql = sql_of(quoted(text))
    for setting in ("on", "off"):
        await pg_connection.execute(
            f"SET standard_conforming_strings = {setting}; SET escape_string_warning = off"
        )
        assert await pg_connection.fetchval(f"SELECT {sql}") == text
    assert "%" not in sql or sql.count("%") == text.count("%")


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_texts_that_postgresql_cannot_hold(text: str) -> None:
    """A text that no literal can be is refused, and with it what would need it."""
    assert quoted(text) is None
    assert SimpleArrayWidget(text).render_sql(VALUE, "text[]") is None


# Types


@pytest.mark.parametrize(
    ("model", "is_text", "known"),
    [
        (sa.Text(), True, sa.Text),
        (sa.String(5), True, sa.String),
        (sa.Integer(), True, sa.Text),
        (sa.Enum("a"), True, sa.Text),
        (sa.Integer(), False, sa.Integer),
        (sa.Text(), False, sa.types.NullType),
        (sa.Enum("a"), False, sa.types.NullType),
    ],
    ids=named,
)
def test_types_of_columns(model: Any, is_text: bool, known: type) -> None:
    """A column is known as text if it is text in the database, whatever the model says."""
    column: Expression = sa.column("value", model)
    expression = unchanged(column, is_text=is_text)
    assert type(expression.type) is known
    assert sql_of(expression) == "value"
    assert (expression is column) == isinstance(model, known)


ALL_TYPES = [
    *("int2", "int4", "int8", "oid", "numeric", "float4", "float8", "money", "bool", "bytea"),
    *(
        "text",
        "varchar",
        "bpchar",
        "name",
        "citext",
        "char",
        "enum",
        "uuid",
        "xml",
        "json",
        "jsonb",
    ),
    *("date", "time", "timetz", "timestamp", "timestamptz", "interval", "bit", "varbit"),
    *("inet", "cidr", "macaddr", "macaddr8", "tsvector", "tsquery", "jsonpath", "regclass"),
    *("regconfig", "point", "pg_lsn", "hstore", "record", "tstzrange", "tstzmultirange"),
    *RANGES,
    *MULTIRANGES,
]
ALL_TYPES += [f"{type_}[]" for type_ in ALL_TYPES]

OF_STR = (
    "text varchar bpchar name citext enum uuid date int2 int4 int8 oid macaddr macaddr8 money"
    " tsvector tsquery jsonpath regclass regconfig"
)
TEXT_TYPES = "text varchar bpchar name citext enum"
INTEGER_TYPES = "int2 int4 int8 oid"
STORED = "enum text varchar"
OF_ARRAYS = "text varchar bpchar name int2 int4 int8 oid uuid date enum".replace(" ", "[] ") + "[]"


class Shade(Enum):
    """An enum whose members are stored under another name."""

    DARK = "d"


STORED_TEXTS = EnumWidget(lookup={Shade.DARK: "dark"})

OF_UNKNOWN = (
    "int2 int4 int8 oid float4 float8 text varchar bpchar name timestamp timestamptz numeric bool "
    "date time interval uuid bytea"
)
"""Types of which the value's own type says the widget."""

KNOWN_FORMS: list[tuple[Widget, str, str]] = [
    (Widget(), OF_STR, ""),
    (CharWidget(), OF_STR, TEXT_TYPES),
    (NumberWidget(), f"{INTEGER_TYPES} numeric float4 float8", "=="),
    (IntegerWidget(), f"{INTEGER_TYPES} numeric float4 float8", "=="),
    (FloatWidget(), f"{INTEGER_TYPES} numeric float4 float8", "=="),
    (DecimalWidget(), f"{INTEGER_TYPES} numeric float4 float8", "=="),
    (BooleanWidget(), "bool", "=="),
    (DateWidget(), "date timestamp timestamptz", "date"),
    (DateWidget("%d.%m.%Y"), "date timestamp timestamptz", "date"),
    (DateWidget("%A"), "", "date"),
    (DateTimeWidget(), "timestamp timestamptz", "=="),
    (DateTimeWidget("iso", UTC), "timestamp timestamptz", "=="),
    (DateTimeWidget(timezone=WEST), "timestamp timestamptz", "timestamp"),
    (DateTimeWidget(timezone=PARIS), "timestamp timestamptz", "timestamp"),
    (DateTimeWidget(timezone=ZoneInfo("CET")), "timestamp", "timestamp"),
    (DateTimeWidget("%c"), "", "timestamp timestamptz"),
    (TimeWidget(), "time timetz", "time"),
    (TimeWidget("iso"), "time", "time"),
    (TimeWidget("%p"), "", "time"),
    (DurationWidget(), "interval", ""),
    (IntervalWidget(), "interval", ""),
    (SimpleArrayWidget(), OF_ARRAYS, ""),
    (SimpleArrayWidget(item=STORED_TEXTS), "enum[]", ""),
    (SimpleArrayWidget(item=EnumWidget("name")), "", ""),
    (SimpleArrayWidget(item=InetWidget()), "inet[] cidr[]", ""),
    (SimpleArrayWidget(item=BitWidget()), "bit[] varbit[]", ""),
    (SimpleArrayWidget(item=CharWidget()), "", ""),
    (SimpleArrayWidget(item=BinaryWidget()), "", ""),
    (JSONWidget(), "jsonb", ""),
    (JSONWidget(ensure_ascii=True), "", ""),
    (JSONWidget(sort_keys=True), "", ""),
    (UUIDWidget(), "uuid", "=="),
    (EnumWidget(), "", ""),
    (EnumWidget("name"), "", ""),
    (EnumWidget("value", lookup=str), "", ""),
    (STORED_TEXTS, STORED, "=="),
    (BinaryWidget(), "bytea", ""),
    (BitWidget(), "bit varbit", ""),
    (InetWidget(), "inet cidr", ""),
    (RangeWidget(), " ".join([*RANGES, *MULTIRANGES]), ""),
    (AutoWidget(), OF_UNKNOWN, ""),
    (AutoWidget(IntegerWidget()), "", ""),
    (ForeignKeyWidget(), "", ""),
    (ForeignKeyWidget(item=UUIDWidget()), "uuid", "=="),
    (ForeignKeyWidget(use_natural_foreign_keys=True, item=UUIDWidget()), "", ""),
    (ManyToManyWidget(), "", ""),
]


def test_columns_that_sqlalchemy_knows_are_not_guessed() -> None:
    """The widget by value has SQL only for columns of no type that SQLAlchemy knows."""
    for sqltype in (sa.Integer(), sa.Text()):
        assert AutoWidget().render_sql(sa.column("c", sqltype), "int4") is None


@pytest.mark.parametrize(("widget", "text", "native"), KNOWN_FORMS, ids=named)
def test_which_types_have_a_form(widget: Widget, text: str, native: str) -> None:
    """These types have a text or a typed cell in SQL, and no others; ``==``: the same in both."""
    forms = {type_: widget.render_sql(VALUE, type_) for type_ in ALL_TYPES}
    assert {type_ for type_, form in forms.items() if form is not None} == set(text.split())
    cells = {type_: widget.native_sql(VALUE, type_) for type_ in ALL_TYPES}
    expected = text if native == "==" else native
    assert {type_ for type_, cell in cells.items() if cell is not None} == set(expected.split())
    assert all(cell is None or cell is VALUE for cell in cells.values())


CONVERTED: list[tuple[Widget, Any, str, bool]] = [
    (CharWidget(), sa.Enum(Shade), "enum", True),
    (CharWidget(), sa.Enum(Shade), "varchar", True),
    (CharWidget(), sa.Enum("dark"), "enum", False),
    (STORED_TEXTS, sa.Enum(Shade), "enum", False),
    (SimpleArrayWidget(), pg.ARRAY(sa.Enum(Shade)), "enum[]", True),
    (SimpleArrayWidget(), pg.ARRAY(sa.Enum("dark")), "enum[]", False),
    (SimpleArrayWidget(item=STORED_TEXTS), pg.ARRAY(sa.Enum(Shade)), "enum[]", False),
    (SimpleArrayWidget(), pg.ARRAY(sa.Integer, dimensions=2), "int4[]", True),
    (SimpleArrayWidget(), pg.ARRAY(sa.Integer, dimensions=1), "int4[]", False),
    (NumberWidget(), sa.Numeric(asdecimal=False), "numeric", True),
    (FloatWidget(), sa.Float(), "int4", True),
    (FloatWidget(), sa.Float(), "float4", False),
    (FloatWidget(), sa.Double(), "float8", False),
    (DecimalWidget(), sa.Float(asdecimal=True), "float8", True),
    (DecimalWidget(), sa.Numeric(), "float4", True),
    (DecimalWidget(), sa.Numeric(), "numeric", False),
    (DecimalWidget(), sa.Numeric(), "int8", False),
    (IntegerWidget(), sa.Integer(), "numeric", False),
]


@pytest.mark.parametrize(("widget", "model", "type_", "converted"), CONVERTED, ids=named)
def test_what_sqlalchemy_converts(widget: Widget, model: Any, type_: str, converted: bool) -> None:
    """There is no SQL where the model's type makes another value, or has other dimensions."""
    column: Expression = sa.column("value", model)
    assert (widget.render_sql(column, type_) is None) == converted
    if not isinstance(widget, SimpleArrayWidget):
        assert (widget.native_sql(column, type_) is None) == converted


@pytest.mark.parametrize(
    ("widget", "expected"),
    [
        (CharWidget(), False),
        (FloatWidget(), False),
        (JSONWidget(), True),
        (JSONWidget(sort_keys=True), False),
        (SimpleArrayWidget(), True),
        (DateTimeWidget(), False),
        (DateTimeWidget(timezone=WEST), False),
        (DateTimeWidget(timezone="Europe/Paris"), True),
        (ForeignKeyWidget(), False),
        (ForeignKeyWidget(item=JSONWidget()), True),
    ],
    ids=named,
)
def test_where_sql_is_the_definition(widget: Widget, expected: bool) -> None:
    """A widget tells where the text of SQL is right although Python's may be another."""
    assert widget.sql_is_definition is expected


# Widgets of users


class Loud(CharWidget):
    """Overrides the text alone."""

    def render(self, value: Any, **_kwargs: Any) -> str:
        """Return it in capitals."""
        return str(value).upper()


class Patient(IntegerWidget):
    """Overrides the text with ``async def``."""

    async def render(self, value: Any, **_kwargs: Any) -> str:
        """Return what somebody else knows."""
        return str(value)


class LoudInSQL(CharWidget):
    """Overrides the text in both ways."""

    def render(self, value: Any, **_kwargs: Any) -> str:
        """Return it in capitals."""
        return str(value).upper()

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002
        """Return it in capitals."""
        return sa.func.upper(column) if type == "text" else None


class LouderInSQL(LoudInSQL):
    """Overrides nothing."""


class LoudestInSQL(LoudInSQL):
    """Overrides the text anew."""

    def render(self, value: Any, **_kwargs: Any) -> str:
        """Return it with a mark."""
        return f"{value}!".upper()


class Mixin:
    """Overrides the text of whatever widget it is put before."""

    def render(self, value: Any, **_kwargs: Any) -> str:
        """Return the same for everything."""
        return "x"


class Mixed(Mixin, CharWidget):
    """Has the mixin's text."""


class Typed(IntegerWidget):
    """Overrides the typed cell alone."""

    def native(self, value: Any, **_kwargs: Any) -> Any:
        """Return something else."""
        return float(value)


@pytest.mark.parametrize(
    ("widget", "text", "native"),
    [
        (Loud(), False, True),
        (Patient(), False, True),
        (LoudInSQL(), True, True),
        (LouderInSQL(), True, True),
        (LoudestInSQL(), False, True),
        (Mixed(), False, True),
        (Typed(), True, False),
    ],
)
def test_what_users_override(widget: Widget, text: bool, native: bool) -> None:
    """Who overrides what Python makes, and not what SQL does, has nothing in SQL."""
    type_ = "int4" if isinstance(widget, IntegerWidget) else "text"
    assert (widget.render_sql(VALUE, type_) is not None) == text
    assert (widget.native_sql(VALUE, type_) is not None) == native


# Through SQLAlchemy


async def test_columns_of_a_table(pg_engine: AsyncEngine) -> None:
    """The forms work on columns with SQLAlchemy's own types, whose operators do not matter."""
    table = sa.Table(
        "typed",
        sa.MetaData(),
        sa.Column("day", sa.Date),
        sa.Column("moment", sa.DateTime(timezone=True)),
        sa.Column("clock", sa.Time),
        sa.Column("span", sa.Interval),
        sa.Column("size", sa.Double),
        sa.Column("extra", pg.JSONB),
        sa.Column("tags", pg.ARRAY(sa.Text)),
        sa.Column("color", sa.Enum("red", "blue", name="paint")),
    )
    row = (
        *(date(2024, 2, 29), datetime(2024, 2, 29, 12, tzinfo=UTC), time(9, 5), timedelta(1)),
        *(0.1, {"a": 1}, ["a%b", "é"], "red"),
    )
    widgets = (
        *(DateWidget("%d.%m.%Y"), DateTimeWidget("iso", PARIS), TimeWidget("%H:%M %%")),
        *(IntervalWidget(), FloatWidget(), JSONWidget(), SimpleArrayWidget("%"), CharWidget()),
    )
    types = ("date", "timestamptz", "time", "interval", "float8", "jsonb", "text[]", "enum")
    async with pg_engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        await connection.execute(table.insert().values(row))
        texts = [
            sa.cast(widget.render_sql(column, type_), sa.Text)
            for widget, column, type_ in zip(widgets, table.c, types, strict=True)
        ]
        found = (await connection.execute(sa.select(*texts))).one()
    assert list(found) == [widget.render(value) for widget, value in zip(widgets, row, strict=True)]
