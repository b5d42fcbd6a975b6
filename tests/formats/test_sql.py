"""SQL: tablib's bytes where these are SQL, and scripts that PostgreSQL reads back exactly."""

from __future__ import annotations

import collections
import copy
import datetime as dt
import enum
import ipaddress
import json
import re
import sqlite3
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import tablib
from encoded import TEXT, Dataset, columns_of, datasets, encoded
from hypothesis import given, settings
from hypothesis import strategies as st

from async_export.errors import ConfigurationError, EncodeError
from async_export.formats._sql import PostgreSQLEncoder, SQLEncoder
from async_export.types import Column, Kind, LogicalType, UnrepresentableText

WORDS = st.from_regex("[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
ZONES = st.none() | st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-9, minutes=-30))])
CELLS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(["'", "''", "\\'", "); DROP TABLE a; --", ");\nINSERT INTO"])
    | st.dates()
    | st.datetimes(timezones=ZONES)
    | st.times()
    | st.timedeltas()
    | st.uuids()
)


class Color(enum.Enum):
    """Members of two kinds."""

    RED = 1
    BLUE = "bl'ue"


class Level(int, enum.Enum):
    """Numbers that show something else in ``str()``."""

    HIGH = 3


class Unspeakable:
    """A value without a text of its own."""


HOSTILE_NAMES = (
    *("order", "Mixed Case", "x; DROP TABLE victim; --", 'x"; DROP TABLE victim; --', '"', '""'),
    *(
        "'",
        "\\",
        "\\'",
        "a,b",
        "a)",
        "(",
        "--",
        "/*",
        "é",
        "\U0001d54f",
        " ",
        "\n",
        "$1",
        ":x",
        "%s",
        "E'",
    ),
)

HOSTILE_TEXTS = (
    *(
        "",
        " ",
        "'",
        "''",
        "'''",
        "\\",
        "\\\\",
        "\\'",
        "\\''",
        "'\\",
        "x\\",
        "\\n",
        "\\x41",
        "\\000",
    ),
    *("'; DROP TABLE victim; --", "\\'; DROP TABLE victim; --", "E'", "$$", "$1", ":x", ":'x'"),
    *("--", "/*", "*/", ";", "\n", "\r\n", "\t", "\x01\x08\x1b\x7f", "\\.", "%s", "{}", "{a,b}"),
    *(
        '"',
        '\\"',
        "NULL",
        "null",
        "é",
        "\U0001d54f\U0010ffff",
        "\ufeff\ufffe",
        "\u2028\x85",
        "a" * 10_000,
    ),
    *("\u2019", "\u02bc", "\uff07", "\uff3c", "¥", "COMMIT;", "\\copy t from '/etc/passwd'"),
)


# --- standard SQL ---------------------------------------------------------------------------


@given(datasets(CELLS, WORDS), st.booleans())
def test_bytes_are_those_of_tablib(dataset: Dataset, commit: bool) -> None:
    """Any cells in any batches give the bytes of tablib's export."""
    tabular = tablib.Dataset(*dataset.records, headers=dataset.headers)
    encoder = SQLEncoder(commit=commit)
    made = encoded(encoder, dataset.columns, dataset.records, dataset.cuts)
    assert made == tabular.export("sql", commit=commit).encode()


@pytest.mark.parametrize(("headers", "records"), [(["a"], []), ([], []), ([], [[], []])])
def test_nothing(headers: list[str], records: list[list[Any]]) -> None:
    """Without records, or without columns, it is what tablib writes."""
    expected = tablib.Dataset(*records, headers=headers).export("sql")
    assert encoded(SQLEncoder(), columns_of(*headers), records).decode() == expected


def test_options() -> None:
    """A table, names of columns and COMMIT, as tablib writes them."""
    tabular = tablib.Dataset([1, "x"], headers=["a", "b"])
    options: dict[str, Any]
    for options in (
        {"table": "shop.ware", "columns": ["c", "d"], "commit": True},
        {"columns": []},
        {"table": "_T1"},
    ):
        made = encoded(SQLEncoder(**options), columns_of("a", "b"), [[1, "x"]])
        assert made == tabular.export("sql", **options).encode()


@pytest.mark.parametrize("name", HOSTILE_NAMES[1:])
def test_hostile_names_and_texts(name: str) -> None:
    """SQLite finds the very names and texts, whatever they are, and runs nothing else."""
    parts = [quoted(part) for part in ("main", name)]
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE {'.'.join(parts)} ({quoted(name)} TEXT)")
    database.execute("CREATE TABLE victim (a TEXT)")
    encoder = SQLEncoder(table=f"main.{name}")
    made = encoded(encoder, columns_of(name), [[text] for text in HOSTILE_TEXTS])
    database.executescript(made.decode())
    found = database.execute(f"SELECT * FROM {'.'.join(parts)}")
    assert tuple(text for (text,) in found) == HOSTILE_TEXTS
    assert found.description[0][0] == name
    assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (2,)
    database.close()


def quoted(name: str) -> str:
    """Give a delimited identifier."""
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (Decimal("NaN"), "NULL"),
        (Decimal("-Infinity"), "NULL"),
        (Level.HIGH, "3"),
        (Color.BLUE, "'bl''ue'"),
        (b"\x01'", "'0127'"),
        ({"a": "it's"}, "'{\"a\": \"it''s\"}'"),
        ([1, "b"], "'1,b'"),
        (UnrepresentableText("infinity"), "'infinity'"),
        (ipaddress.ip_address("::1"), "'::1'"),
    ],
)
def test_cells_that_tablib_gets_wrong(cell: Any, expected: str) -> None:
    """What is Python's source there, or no literal at all, is NULL or text."""
    made = encoded(SQLEncoder(), columns_of("a"), [[cell]]).decode()
    assert made == f"INSERT INTO export_table (a) VALUES ({expected});\n"


# --- both -----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder_class", [SQLEncoder, PostgreSQLEncoder])
@pytest.mark.parametrize("name", ["", "a\0b", "\ud800"])
def test_impossible_names(encoder_class: type[SQLEncoder | PostgreSQLEncoder], name: str) -> None:
    """A name that no table or column can have is refused."""
    with pytest.raises(ConfigurationError, match="no name in SQL"):
        encoder_class(table=f"shop.{name}")
    with pytest.raises(ConfigurationError, match="no name in SQL"):
        encoder_class().begin(columns_of("a", name))


@pytest.mark.parametrize("encoder_class", [SQLEncoder, PostgreSQLEncoder])
def test_duplicate_headers(encoder_class: type[SQLEncoder | PostgreSQLEncoder]) -> None:
    """No INSERT takes a column twice."""
    with pytest.raises(ConfigurationError, match="'a', and a table"):
        encoder_class().begin(columns_of("a", "b", "a"))


@pytest.mark.parametrize("encoder_class", [SQLEncoder, PostgreSQLEncoder])
@pytest.mark.parametrize("cell", ["secret \ud800", Unspeakable(), 10**5000], ids=type)
def test_cells_without_a_text(
    encoder_class: type[SQLEncoder | PostgreSQLEncoder], cell: object
) -> None:
    """The error names the column and no value."""
    with pytest.raises(EncodeError, match=r"column 'b': a (value|character)") as caught:
        encoded(encoder_class(), columns_of("a", "b"), [["x", "y"], ["z", cell]])
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("encoder_class", [SQLEncoder, PostgreSQLEncoder])
def test_copies_of_one_encoder_do_not_mix(
    encoder_class: type[SQLEncoder | PostgreSQLEncoder],
) -> None:
    """Two exports at once by copies of one encoder keep apart."""
    encoder = encoder_class()
    first, second = copy.copy(encoder), copy.copy(encoder)
    first.begin(columns_of("a"))
    second.begin(columns_of("b"))
    assert first.encode([[1]]).startswith(b"INSERT")
    assert re.search(rb'\("?b"?\)', second.encode([[1]]))
    assert b"INSERT" not in first.end()


def test_wrong_options() -> None:
    """Options without a meaning are refused."""
    with pytest.raises(ConfigurationError, match="a list of names"):
        SQLEncoder(columns="ab")
    with pytest.raises(ConfigurationError, match="2 names for 1 columns"):
        SQLEncoder(columns=["a", "b"]).begin(columns_of("a"))
    with pytest.raises(ConfigurationError, match="at least 1"):
        PostgreSQLEncoder(rows_per_statement=0)
    with pytest.raises(ConfigurationError, match="at least one column"):
        PostgreSQLEncoder().begin([])


# --- PostgreSQL: bytes ----------------------------------------------------------------------


def test_exact_script() -> None:
    """Records are gathered in statements of the same number, in one transaction."""
    columns = columns_of("id", "Näme")
    records: list[list[Any]] = [[1, "it's"], [2, None], [3, "a\\b"]]
    assert encoded(PostgreSQLEncoder(rows_per_statement=2), columns, records).decode() == (
        "BEGIN;\n"
        'INSERT INTO "export_table" ("id", "Näme") VALUES\n'
        "(1, 'it''s'),\n"
        "(2, NULL);\n"
        'INSERT INTO "export_table" ("id", "Näme") VALUES\n'
        "(3, E'a\\\\b');\n"
        "COMMIT;\n"
    )
    encoder = PostgreSQLEncoder(table="shop.ware", transaction=False)
    assert encoded(encoder, columns_of("a"), [[1]]) == (
        b'INSERT INTO "shop"."ware" ("a") VALUES\n(1);\n'
    )
    assert encoded(PostgreSQLEncoder(), columns, []) == b"BEGIN;\nCOMMIT;\n"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (True, "TRUE"),
        (Decimal("1.10"), "1.10"),
        (Decimal("-Infinity"), "'-Infinity'::numeric"),
        (float("nan"), "'NaN'::float8"),
        (-0.0, "'-0.0'::float8"),
        (b"ab", r"E'\\x6162'::bytea"),
        (dt.date(2024, 1, 31), "DATE '2024-01-31'"),
        (dt.datetime(2024, 1, 31, tzinfo=dt.UTC), "TIMESTAMPTZ '2024-01-31 00:00:00+00:00'"),
        (dt.time(9, 5), "TIME '09:05:00'"),
        (dt.time(9, 5, tzinfo=dt.UTC), "TIMETZ '09:05:00+00:00'"),
        (dt.timedelta(hours=-1), "INTERVAL '-1 days +82800.000000 seconds'"),
        (uuid.UUID(int=1), "'00000000-0000-0000-0000-000000000001'::uuid"),
        (["a", None, 1], """'{"a",NULL,"1"}'"""),
        ({"a": 1}, """'{"a": 1}'"""),
    ],
)
def test_literals(cell: Any, expected: str) -> None:
    """Each type of value has the literal that is promised."""
    made = encoded(PostgreSQLEncoder(transaction=False), columns_of("a"), [[cell]]).decode()
    assert made.splitlines()[-1] == f"({expected});"


@settings(max_examples=50)
@given(datasets(CELLS.filter(lambda cell: "\0" not in str(cell)), WORDS), st.integers(1, 4))
def test_batches_change_nothing(dataset: Dataset, rows: int) -> None:
    """Records in any batches give the same statements."""
    encoder = PostgreSQLEncoder(rows_per_statement=rows)
    made = encoded(encoder, dataset.columns, dataset.records, dataset.cuts)
    assert made == encoded(encoder, dataset.columns, dataset.records)


@pytest.mark.parametrize("cell", ["a\0", ["a\0"], Unspeakable(), [[1, Unspeakable()]]])
def test_cells_that_postgresql_cannot_hold(cell: object) -> None:
    """NUL in a text or an array, or what has no text, is an error that names the column."""
    with pytest.raises(EncodeError, match=r"column 'b': a (text|value)"):
        encoded(PostgreSQLEncoder(), columns_of("a", "b"), [[1, cell]])


def test_json_without_a_form() -> None:
    """A value in a column of JSON that JSON cannot hold is an error."""
    for logical in (LogicalType(Kind.JSON), LogicalType(Kind.LIST, item=LogicalType(Kind.JSON))):
        with pytest.raises(EncodeError, match="column 'a': a value that has no JSON form"):
            encoded(PostgreSQLEncoder(), [Column("a", "a", logical)], [[[b"x"]]])


# --- PostgreSQL: read back ------------------------------------------------------------------

naive = dt.datetime
"""A datetime without an offset."""

INDIA = dt.timezone(dt.timedelta(hours=5, minutes=30))
MEAN = dt.timezone(dt.timedelta(seconds=1172))

SCALARS: dict[str, tuple[Kind, Sequence[Any]]] = {
    "boolean": (Kind.BOOLEAN, (True, False, None)),
    "smallint": (Kind.INTEGER, (0, 1, -1, 2**15 - 1, -(2**15), None, Level.HIGH)),
    "integer": (Kind.INTEGER, (0, 1, -1, 2**31 - 1, -(2**31), None)),
    "bigint": (Kind.INTEGER, (0, -1, 2**31, 2**63 - 1, -(2**63), None)),
    "float8": (
        Kind.FLOAT,
        (
            *(0.0, -0.0, 1.0, -1.5, 0.1, 1 / 3, 1e16, 1e22, 1e-7, 123456789.123456789, None),
            *(5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1e300, 9007199254740993.0),
            *(float("nan"), float("inf"), float("-inf")),
        ),
    ),
    "numeric": (
        Kind.DECIMAL,
        (
            *map(Decimal, ("0", "1.10", "-0.0000000001", "1E+3", "1E-30", "-12345678901234567890")),
            *map(Decimal, (f"{'9' * 100}.{'1' * 100}", "1E+500", "NaN", "sNaN", "-Infinity")),
            *(Decimal("Infinity"), None),
        ),
    ),
    "text": (Kind.TEXT, (*HOSTILE_TEXTS, None)),
    "varchar": (Kind.ANY, HOSTILE_TEXTS),
    "bytea": (
        Kind.BINARY,
        (b"", b"\0", b"'", b"\\", b"\\x41", b"\\'", bytes(range(256)), bytearray(b"a"), None),
    ),
    "date": (Kind.DATE, (dt.date.min, dt.date.max, dt.date(2024, 2, 29), dt.date(99, 1, 2), None)),
    "timestamp": (
        Kind.DATETIME,
        (naive(1, 1, 1), naive(9999, 12, 31, 23, 59, 59, 999_999), naive(2024, 3, 10, 2, 30), None),
    ),
    "timestamptz": (
        Kind.DATETIME,
        (
            dt.datetime(1, 1, 1, tzinfo=dt.UTC),
            dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
            dt.datetime(2024, 3, 4, 5, 6, 7, 8, tzinfo=INDIA),
            dt.datetime(1900, 1, 2, 3, 4, 5, tzinfo=MEAN),
            dt.datetime(2024, 12, 31, 20, tzinfo=dt.timezone(dt.timedelta(hours=-9))),
            None,
        ),
    ),
    "time": (Kind.TIME, (dt.time.min, dt.time.max, dt.time(1, 2, 3, 4), None)),
    "timetz": (Kind.TIME, (dt.time(1, 2, 3, 4, tzinfo=INDIA), dt.time(23, tzinfo=dt.UTC), None)),
    "interval": (
        Kind.DURATION,
        (
            *(dt.timedelta(0), dt.timedelta(hours=-1), dt.timedelta(days=1), dt.timedelta(-1, 1)),
            *(dt.timedelta(microseconds=1), dt.timedelta(microseconds=-1), dt.timedelta(3, 4, 5)),
            *(dt.timedelta(days=999_999), dt.timedelta(days=-999_999, seconds=86399), None),
        ),
    ),
    "uuid": (Kind.UUID, (uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), None)),
    "color": (Kind.TEXT, ("red", "bl'ue", "gr\\een", Color.BLUE, None)),
    "bit(3)": (Kind.TEXT, ("010", "111", None)),
    "inet": (Kind.ANY, (ipaddress.ip_address("1.2.3.4"), ipaddress.ip_interface("::/64"), None)),
}
"""By type, the kind of its column and hostile values."""

ARRAYS: dict[str, tuple[LogicalType, Sequence[Any]]] = {
    "text[]": (
        LogicalType(Kind.TEXT),
        ([], ["a", None, "NULL"], [*HOSTILE_TEXTS], [["a", "b,"], ["{", "}"]], ("x",), None),
    ),
    "integer[]": (LogicalType(Kind.INTEGER), ([1, -2, None], [[1, 2], [3, 4]], [2**31 - 1])),
    "float8[]": (LogicalType(Kind.FLOAT), ([0.1, -0.0, float("inf"), 5e-324, 1e300, None],)),
    "numeric[]": (LogicalType(Kind.DECIMAL), ([Decimal("1.10"), Decimal(10) ** 40],)),
    "boolean[]": (LogicalType(Kind.BOOLEAN), ([True, False, None],)),
    "bytea[]": (LogicalType(Kind.BINARY), ([b"", b"\0\\'\"", b"\\x41", bytes(range(256))],)),
    "date[]": (LogicalType(Kind.DATE), ([dt.date.min, dt.date.max],)),
    "timestamp[]": (LogicalType(Kind.DATETIME), ([naive(9999, 12, 31)],)),
    "timestamptz[]": (
        LogicalType(Kind.DATETIME),
        ([dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=INDIA), None],),
    ),
    "time[]": (LogicalType(Kind.TIME), ([dt.time.max],)),
    "interval[]": (LogicalType(Kind.DURATION), ([dt.timedelta(hours=-1), dt.timedelta(3, 4, 5)],)),
    "uuid[]": (LogicalType(Kind.UUID), ([uuid.UUID(int=5)],)),
    "color[]": (LogicalType(Kind.TEXT), (["red", "bl'ue", "gr\\een", None], [Color.BLUE])),
}
"""By type, the type of the items and hostile values."""

JSON_VALUES: Sequence[Any] = (
    {"b": 1, "a": [1.5, None, True, "it's"]},
    {text: text for text in HOSTILE_TEXTS},
    [],
    [{"a": []}],
    "it's \\ text",
    True,
    10**30,
    None,
)
"""Values of columns of JSON."""

SESSIONS = (
    ("standard_conforming_strings = on",),
    (
        *("standard_conforming_strings = off", "backslash_quote = off", "bytea_output = escape"),
        *("IntervalStyle = sql_standard", "DateStyle = 'German, DMY'"),
        "TimeZone = 'America/St_Johns'",
    ),
)
"""Settings by which the same text may mean something else."""


@pytest.fixture(params=SESSIONS, ids=["usual", "unusual"])
async def connection(
    request: pytest.FixtureRequest, pg_connection: asyncpg.Connection
) -> asyncpg.Connection:
    """A connection with each of the settings in turn, and a table that must stay."""
    await pg_connection.execute(
        "CREATE TABLE victim (); CREATE TYPE color AS ENUM ('red', 'bl''ue', E'gr\\\\een');"
    )
    for setting in request.param:
        await pg_connection.execute(f"SET {setting}")
    return pg_connection


async def load(
    connection: asyncpg.Connection, types: Sequence[str], columns: Sequence[Column], records: Any
) -> None:
    """Run the script of the *records*."""
    listed = ", ".join(
        f"{quoted(column.header)} {each}" for column, each in zip(columns, types, strict=True)
    )
    await connection.execute(f"CREATE TABLE export_table (place serial, {listed})")
    told: list[Any] = []
    connection.add_log_listener(lambda _, message: told.append(message))
    script = encoded(PostgreSQLEncoder(rows_per_statement=7), columns, records).decode()
    await connection.execute(script)
    assert await connection.fetchval("SELECT to_regclass('victim') IS NOT NULL")
    assert not told  # no warning of an escape, for instance


async def read_back(
    connection: asyncpg.Connection, types: Sequence[str], columns: Sequence[Column], records: Any
) -> list[tuple[Any, ...]]:
    """Run the script of the *records*, and give them as PostgreSQL has them."""
    await load(connection, types, columns, records)
    rows = await connection.fetch("SELECT * FROM export_table ORDER BY place")
    return [tuple(row)[1:] for row in rows]


def alike(value: Any) -> Any:
    """Give what is equal for the same values only, nan and signs of zero included."""
    if isinstance(value, enum.Enum):
        return alike(value.value)
    if isinstance(value, list | tuple):
        return [alike(each) for each in value]
    if isinstance(value, Decimal):
        return "NaN" if value.is_nan() else value
    if isinstance(value, asyncpg.BitString):
        return value.as_string()
    return repr(value) if isinstance(value, float) else value


@pytest.mark.parametrize("name", SCALARS)
async def test_scalars(connection: asyncpg.Connection, name: str) -> None:
    """Each value is the same after the way through a script."""
    kind, values = SCALARS[name]
    columns = [Column("a", "a", LogicalType(kind)), Column("any", "any")]
    records = [[value, value] for value in values]
    found = await read_back(connection, [name, name], columns, records)
    assert [alike(first) for first, _ in found] == [alike(value) for value in values]
    assert [alike(second) for _, second in found] == [alike(value) for value in values]


@pytest.mark.parametrize("name", ARRAYS)
async def test_arrays(connection: asyncpg.Connection, name: str) -> None:
    """So is each array, of one dimension or two, and each of its elements."""
    item, values = ARRAYS[name]
    column = Column("a", "a", LogicalType(Kind.LIST, item=item))
    found = await read_back(connection, [name], [column], [[value] for value in values])
    assert [alike(value) for (value,) in found] == [alike(value) for value in values]


async def test_declared_dimensions(connection: asyncpg.Connection) -> None:
    """An array whose two dimensions are known to its type, one of them of JSON."""
    items = [LogicalType(kind) for kind in (Kind.INTEGER, Kind.JSON)]
    columns = [
        Column(
            f"c{place}", f"c{place}", LogicalType(Kind.LIST, item=LogicalType(Kind.LIST, item=i))
        )
        for place, i in enumerate(items)
    ]
    records = [[[[1, 2], [3, 4]], [[[1], {"a": "it's"}], ["\\", None]]]]
    found = await read_back(connection, ["integer[][]", "jsonb[][]"], columns, records)
    numbers, texts = found[0]
    assert numbers == [[1, 2], [3, 4]]
    assert texts == [["[1]", '{"a": "it\'s"}'], ['"\\\\"', None]]


async def test_json(connection: asyncpg.Connection) -> None:
    """JSON is the same in columns of each type, and keeps the order of its keys in ``json``."""
    columns = [Column(name, name, LogicalType(Kind.JSON)) for name in ("json", "jsonb", "text")]
    columns.append(Column("j", "j", LogicalType(Kind.LIST, item=LogicalType(Kind.JSON))))
    records = [[value, value, value, [value]] for value in JSON_VALUES]
    types = ["json", "jsonb", "text", "jsonb[]"]
    found = await read_back(connection, types, columns, records)
    for value, row in zip(JSON_VALUES, found, strict=True):
        *texts, (item,) = row
        if value is None:
            assert (*texts, item) == (None,) * 4
        else:
            assert [json.loads(text) for text in (*texts, item)] == [value] * 4
    assert found[0][0] == '{"b": 1, "a": [1.5, null, true, "it\'s"]}'


async def test_what_python_cannot_hold(connection: asyncpg.Connection) -> None:
    """The database's own texts are read by its own types, beside values of these."""
    types = ["date", "timestamptz", "time", "jsonb", "date[]"]
    kinds = [Kind.DATE, Kind.DATETIME, Kind.TIME, Kind.JSON, Kind.LIST]
    columns = [Column(kind, kind, LogicalType(kind)) for kind in kinds]
    texts = ["4714-11-24 BC", "infinity", "24:00:00", '{"a": 1e400}', "{infinity,2024-01-31}"]
    day = dt.date(2024, 1, 31)
    moment = dt.datetime(2024, 1, 31, tzinfo=dt.UTC)
    records = [
        [UnrepresentableText(text) for text in texts],
        [day, moment, dt.time(1), {"a": 1}, [day, UnrepresentableText("infinity")]],
    ]
    await load(connection, types, columns, records)
    await connection.execute("SET DateStyle = ISO")
    found = await connection.fetch(
        "SELECT date::text, isfinite(datetime)::text, time::text, (json->'a')::text, list::text"
        " FROM export_table ORDER BY place"
    )
    big = "1" + "0" * 400
    assert tuple(found[0]) == ("4714-11-24 BC", "false", "24:00:00", big, texts[4])
    assert tuple(found[1]) == ("2024-01-31", "true", "01:00:00", "1", "{2024-01-31,infinity}")


async def test_values_of_hooks(connection: asyncpg.Connection) -> None:
    """In columns of which nothing is known, plain lists are arrays, and others JSON."""
    values = [[1, 2], [{"a": [1]}], {"a": "it's"}, [[1], [2]], collections.OrderedDict(a=1)]
    types = ["integer[]", "jsonb", "jsonb", "jsonb", "jsonb"]
    columns = columns_of("a", "b", "c", "d", "e")
    found = await read_back(connection, types, columns, [values])
    array, *texts = found[0]
    assert array == values[0]
    assert [json.loads(text) for text in texts] == values[1:]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_hostile_names(connection: asyncpg.Connection, name: str) -> None:
    """A table and a column of any name is found, and nothing else is run."""
    await connection.execute(f"CREATE TABLE {quoted(name)} ({quoted(name)} text)")
    schema = await connection.fetchval("SELECT current_schema")
    for table in (name, f"{schema}.{name}"):
        script = encoded(PostgreSQLEncoder(table=table), columns_of(name), [["x"]])
        await connection.execute(script.decode())
    rows = await connection.fetch(f"SELECT * FROM {quoted(name)}")
    assert [dict(row) for row in rows] == [{name: "x"}] * 2
    assert await connection.fetchval("SELECT to_regclass('victim') IS NOT NULL")


async def test_a_broken_script_leaves_nothing(connection: asyncpg.Connection) -> None:
    """A file that ends early, or has a row that is refused, puts no row into the table."""
    await connection.execute("CREATE TABLE export_table (a integer CHECK (a > 0))")
    encoder = PostgreSQLEncoder(rows_per_statement=1)
    refused = encoded(encoder, columns_of("a"), [[1], [0]]).decode()
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(refused)
    await connection.execute("ROLLBACK")
    cut = encoder.begin(columns_of("a")) + encoder.encode([[1], [2]])
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await connection.execute(f"{cut.decode()}, (")
    await connection.execute("ROLLBACK")
    assert await connection.fetchval("SELECT count(*) FROM export_table") == 0


async def test_a_truncated_script_leaves_nothing(pg_dsn: str) -> None:
    """What ends before its COMMIT is rolled back when the connection ends."""
    encoder = PostgreSQLEncoder(table="t", rows_per_statement=1)
    script = encoded(encoder, columns_of("a"), [[1], [2]]).decode()
    whole, _, _ = script.partition("COMMIT")
    for text, rows in ((whole, 0), (script, 2)):
        connection = await asyncpg.connect(pg_dsn)
        await connection.execute("CREATE TABLE IF NOT EXISTS t (a int)")
        await connection.execute(text)
        await connection.close()
        connection = await asyncpg.connect(pg_dsn)
        assert await connection.fetchval("SELECT count(*) FROM t") == rows
        await connection.close()
