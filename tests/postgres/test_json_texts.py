"""JSON texts of PostgreSQL, against what the JSON formats write for the same values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from naming import named
from test_texts import (
    ALL_TYPES,
    CLOCKS,
    DATES,
    FLOATS,
    INSTANTS,
    INTEGERS,
    LABELS,
    NUMERICS,
    SESSION_ZONES,
    TEXTS,
    TIMESTAMPS,
    UUIDS,
    VALUE,
    assert_type,
    load,
    planes,
    prepare_session,
    texts_in_sql,
    values_given,
)

from async_export.formats._json_objects import JSONObjects
from async_export.postgres.json_texts import json_text
from async_export.postgres.texts import Expression
from async_export.types import Column
from async_export.widgets import (
    BooleanWidget,
    CharWidget,
    DateTimeWidget,
    DecimalWidget,
    InetWidget,
    IntegerWidget,
    IntervalWidget,
    TimeWidget,
    Widget,
)


@pytest.fixture(autouse=True)
async def _session(pg_connection: asyncpg.Connection) -> None:
    """Give the session the settings that the texts are made for, and an enum."""
    await prepare_session(pg_connection)


def json_of(cells: Iterable[Any]) -> list[str | None]:
    """The JSON of cells, as the formats write it; None for those that are empty."""
    objects = JSONObjects([Column("", "")], ensure_ascii=False)
    texts = [None if cell is None else objects.dump([[cell]]) for cell in cells]
    return [text and text.removeprefix('[{"": ').removesuffix("}]") for text in texts]


async def assert_json(
    connection: asyncpg.Connection,
    expression: Expression | None,
    cells: Iterable[Any],
) -> None:
    """Compare the JSON of SQL with that of Python's cells."""
    found = await texts_in_sql(connection, expression)
    assert found == json_of(cells)
    assert not any(re.search(r"[\x00-\x1f]", text) for text in found if text)
    await assert_type(connection, expression, found)


CASES: list[tuple[str, Sequence[str]]] = [
    *((type_, INTEGERS) for type_ in ("int2", "int4", "int8")),
    ("int8", ["-9223372036854775808", "9223372036854775807"]),
    ("oid", ["0", "4294967295"]),
    ("bool", ["true", "false"]),
    *((type_, TEXTS) for type_ in ("text", "varchar", "char(12)", "bpchar", "name")),
    ("text", planes()),
    ("color", LABELS),
    ("uuid", UUIDS),
    ("date", DATES),
    ("time", CLOCKS),
    ("timestamp", TIMESTAMPS),
    ("timestamptz", INSTANTS),
    *((type_, [*map(repr, floats)]) for type_, floats in FLOATS),
]


@pytest.mark.parametrize(("type_", "texts"), CASES, ids=[type_ for type_, _ in CASES])
async def test_json_equals_python(
    pg_connection: asyncpg.Connection, type_: str, texts: Sequence[str]
) -> None:
    """SQL gives the JSON of hostile values, whatever the session's zone."""
    for zone in SESSION_ZONES:
        await pg_connection.execute(f"SET TimeZone = '{zone}'")
        name = await load(pg_connection, type_, texts)
        values = await values_given(pg_connection)
        await assert_json(pg_connection, json_text(VALUE, name), values)


async def test_citext(pg_connection: asyncpg.Connection) -> None:
    """Case-insensitive text keeps its case."""
    try:
        await pg_connection.execute("CREATE EXTENSION IF NOT EXISTS citext")
    except (asyncpg.FeatureNotSupportedError, asyncpg.InsufficientPrivilegeError):
        pytest.skip("this server has no citext")
    await load(pg_connection, "citext", [*TEXTS, "Ab"])
    await assert_json(pg_connection, json_text(VALUE, "citext"), [*TEXTS, "Ab", None])


RENDERED: list[tuple[Widget, str, Sequence[str]]] = [
    (CharWidget(), "text", TEXTS),
    (CharWidget(), "char(5)", ["", "a"]),
    (DecimalWidget(), "numeric", NUMERICS),
    (IntegerWidget(), "int4", INTEGERS),
    (BooleanWidget(), "bool", ["true", "false"]),
    (DateTimeWidget(), "timestamp", TIMESTAMPS),
    (TimeWidget(), "time", CLOCKS),
    (IntervalWidget(), "interval", ["1 day", "1 mon"]),
    (InetWidget(), "inet", ["10.0.0.1", "::1/64"]),
]


@pytest.mark.parametrize(("widget", "type_", "texts"), RENDERED, ids=named)
async def test_texts_of_widgets_are_strings(
    pg_connection: asyncpg.Connection, widget: Widget, type_: str, texts: Sequence[str]
) -> None:
    """What a widget renders becomes a string, even if its SQL is a number."""
    name = await load(pg_connection, type_, texts)
    text = widget.render_sql(VALUE, name)
    assert text is not None
    values = await values_given(pg_connection)
    cells = [None if value is None else widget.render(value) for value in values]
    await assert_json(pg_connection, json_text(text, "text"), cells)


KNOWN = (
    "int2 int4 int8 oid bool text varchar bpchar citext name enum uuid date time timestamp"
    " timestamptz float4 float8"
)


def test_which_types_have_json() -> None:
    """These types have JSON in SQL, and no others: JSON itself and decimals have none."""
    found = {type_ for type_ in ALL_TYPES if json_text(VALUE, type_) is not None}
    assert found == set(KNOWN.split())


def test_numbers_stay_what_they_are() -> None:
    """A number is its column, whatever type the model has."""
    column: Expression = sa.column("value", sa.Integer())
    assert json_text(column, "int4") is column
    text: Expression = sa.column("value", sa.Text())
    found = json_text(text, "int4")
    assert found is not None
    assert not isinstance(found.type, sa.String)
