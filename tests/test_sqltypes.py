"""The map from SQLAlchemy types to widgets and logical types."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntFlag
from ipaddress import ip_address
from typing import Any

import pytest
import sqlalchemy as sa
from naming import named
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine, UserDefinedType

from async_export.sqltypes import in_dialect, logical_type, widget_for_type
from async_export.types import Kind, LogicalType
from async_export.widgets import (
    AutoWidget,
    BinaryWidget,
    BitWidget,
    BooleanWidget,
    CharWidget,
    DateTimeWidget,
    DateWidget,
    DecimalWidget,
    EnumWidget,
    FloatWidget,
    InetWidget,
    IntegerWidget,
    IntervalWidget,
    JSONWidget,
    RangeWidget,
    SimpleArrayWidget,
    TimeWidget,
    UUIDWidget,
    Widget,
)


class Color(Enum):
    """An enum of which name and value differ."""

    RED = "r"
    BLUE = "b"
    AZURE = "b"  # noqa: PIE796  # an alias


class Cents(TypeDecorator[Decimal]):
    """Money, stored as whole cents."""

    impl = sa.BigInteger
    cache_ok = True


class Tagged(TypeDecorator[Any]):
    """A decorator of a decorator."""

    impl = Cents
    cache_ok = True


class Vector(UserDefinedType[Any]):
    """A type that nobody knows."""

    def get_col_spec(self, **_kwargs: Any) -> str:
        """Return its name."""
        return "VECTOR"


class Slug(sa.String):
    """A user's own subclass of a known type."""


TEXT = LogicalType(Kind.TEXT)
JSON = LogicalType(Kind.JSON)
BINARY = LogicalType(Kind.BINARY)
DURATION = LogicalType(Kind.DURATION)
DECIMAL = LogicalType(Kind.DECIMAL)


def integer(bits: int) -> LogicalType:
    """An integer of this width."""
    return LogicalType(Kind.INTEGER, bits=bits)


def floating(bits: int) -> LogicalType:
    """A float of this width."""
    return LogicalType(Kind.FLOAT, bits=bits)


def decimal(precision: int, scale: int) -> LogicalType:
    """A decimal of this size."""
    return LogicalType(Kind.DECIMAL, precision=precision, scale=scale)


def listing(item: LogicalType) -> LogicalType:
    """A list of these."""
    return LogicalType(Kind.LIST, item=item)


def zoned(kind: Kind) -> LogicalType:
    """A datetime or time with an offset."""
    return LogicalType(kind, timezone=True)


CASES: tuple[tuple[TypeEngine[Any], type[Widget], LogicalType], ...] = (
    (sa.String(), CharWidget, TEXT),
    (sa.Text(), CharWidget, TEXT),
    (sa.Unicode(50), CharWidget, TEXT),
    (sa.CHAR(3), CharWidget, TEXT),
    (Slug(), CharWidget, TEXT),
    (sa.SmallInteger(), IntegerWidget, integer(16)),
    (sa.SMALLINT(), IntegerWidget, integer(16)),
    (sa.Integer(), IntegerWidget, integer(32)),
    (sa.INTEGER(), IntegerWidget, integer(32)),
    (sa.BigInteger(), IntegerWidget, integer(64)),
    (sa.Numeric(), DecimalWidget, DECIMAL),
    (sa.Numeric(10, 2), DecimalWidget, decimal(10, 2)),
    (sa.Numeric(10), DecimalWidget, decimal(10, 0)),
    (sa.Numeric(asdecimal=False), FloatWidget, floating(64)),
    (sa.DECIMAL(5, -2), DecimalWidget, decimal(5, -2)),
    (sa.Float(), FloatWidget, floating(64)),
    (sa.Float(24), FloatWidget, floating(32)),
    (sa.Float(53), FloatWidget, floating(64)),
    (sa.Float(asdecimal=True), DecimalWidget, DECIMAL),
    (sa.Double(), FloatWidget, floating(64)),
    (sa.Double(15), FloatWidget, floating(64)),
    (sa.REAL(), FloatWidget, floating(32)),
    (pg.DOUBLE_PRECISION(), FloatWidget, floating(64)),
    (sa.Boolean(), BooleanWidget, LogicalType(Kind.BOOLEAN)),
    (sa.Date(), DateWidget, LogicalType(Kind.DATE)),
    (sa.DateTime(), DateTimeWidget, LogicalType(Kind.DATETIME)),
    (sa.DateTime(timezone=True), DateTimeWidget, zoned(Kind.DATETIME)),
    (pg.TIMESTAMP(timezone=True), DateTimeWidget, zoned(Kind.DATETIME)),
    (sa.Time(), TimeWidget, LogicalType(Kind.TIME)),
    (pg.TIME(timezone=True), TimeWidget, zoned(Kind.TIME)),
    (sa.Interval(), IntervalWidget, DURATION),
    (pg.INTERVAL(), IntervalWidget, DURATION),
    (sa.LargeBinary(), BinaryWidget, BINARY),
    (pg.BYTEA(), BinaryWidget, BINARY),
    (sa.VARBINARY(5), BinaryWidget, BINARY),
    (sa.JSON(), JSONWidget, JSON),
    (pg.JSONB(), JSONWidget, JSON),
    (pg.HSTORE(), JSONWidget, JSON),
    (sqlite.JSON(), JSONWidget, JSON),
    (sa.Uuid(), UUIDWidget, LogicalType(Kind.UUID)),
    (sa.Uuid(as_uuid=False), CharWidget, TEXT),
    (pg.UUID(), UUIDWidget, LogicalType(Kind.UUID)),
    (sa.Enum("a", "b", name="letters"), CharWidget, TEXT),
    (sa.Enum(Color), EnumWidget, TEXT),
    (pg.ENUM(Color, name="color"), EnumWidget, TEXT),
    (pg.INET(), InetWidget, TEXT),
    (pg.CIDR(), InetWidget, TEXT),
    (pg.MACADDR(), CharWidget, TEXT),
    (pg.MACADDR8(), CharWidget, TEXT),
    (pg.BIT(5), BitWidget, TEXT),
    (pg.MONEY(), CharWidget, TEXT),
    (pg.OID(), IntegerWidget, integer(64)),
    (pg.REGCLASS(), CharWidget, TEXT),
    (pg.TSVECTOR(), CharWidget, TEXT),
    (pg.TSQUERY(), CharWidget, TEXT),
    (pg.CITEXT(), CharWidget, TEXT),
    (pg.INT4RANGE(), RangeWidget, TEXT),
    (pg.TSTZRANGE(), RangeWidget, TEXT),
    (pg.DATEMULTIRANGE(), RangeWidget, TEXT),
    (sa.ARRAY(sa.Integer), SimpleArrayWidget, listing(integer(32))),
    (pg.ARRAY(sa.Text, dimensions=2), SimpleArrayWidget, listing(listing(TEXT))),
    (pg.ARRAY(sa.Numeric(8, 3)), SimpleArrayWidget, listing(decimal(8, 3))),
    (pg.DOMAIN("positive", sa.Numeric(10, 2)), DecimalWidget, decimal(10, 2)),
    (mysql.LONGTEXT(), CharWidget, TEXT),
    (mysql.BIGINT(), IntegerWidget, integer(64)),
    (Cents(), AutoWidget, integer(64)),
    (Tagged(), AutoWidget, integer(64)),
    (sa.PickleType(), AutoWidget, BINARY),
    (NullType(), AutoWidget, LogicalType()),
    (Vector(), AutoWidget, LogicalType()),
)


@pytest.mark.parametrize(("sqltype", "widget", "logical"), CASES, ids=named)
def test_types(sqltype: TypeEngine[Any], widget: type[Widget], logical: LogicalType) -> None:
    """Each type has this widget and this logical type."""
    assert type(widget_for_type(sqltype)) is widget
    assert logical_type(sqltype) == logical


def test_every_type_of_sqlalchemy_has_an_answer() -> None:
    """No type of SQLAlchemy's generic and PostgreSQL ones is left to chance."""
    known = {type(sqltype) for sqltype, *_ in CASES}
    unknown = set()
    for module in (sa.types, pg):
        for name in dir(module):
            made = _made(getattr(module, name))
            if made is not None and isinstance(widget_for_type(made), AutoWidget):
                unknown.add(type(made))
    bases = {
        "_Binary",
        "TypeEngine",
        "NamedType",
        "NullType",
        "PickleType",
        "TupleType",
        "UserDefinedType",
    }
    assert {cls.__name__ for cls in unknown - known} <= bases


def _made(cls: Any) -> TypeEngine[Any] | None:
    """An instance of a type class that can be made without arguments."""
    if not (isinstance(cls, type) and issubclass(cls, TypeEngine)):
        return None
    try:
        return cls()
    except (AssertionError, NotImplementedError, TypeError):
        return None


@pytest.mark.parametrize(
    ("sqltype", "stored"),
    [
        (sa.Enum(Color), "RED"),
        (sa.Enum(Color, native_enum=False), "RED"),
        (sa.Enum(Color, values_callable=lambda enum: [each.value for each in enum]), "r"),
        (pg.ENUM(Color, name="color", values_callable=lambda _enum: ["rot", "blau"]), "rot"),
    ],
)
def test_enums_show_what_is_stored(sqltype: TypeEngine[Any], stored: str) -> None:
    """The text of a member is what the database holds, however the type says so."""
    assert widget_for_type(sqltype).render(Color.RED) == stored


def test_labels_that_the_enum_lacks_pass() -> None:
    """A label without a member is shown as it is."""
    assert widget_for_type(sa.Enum(Color)).render("GREEN") == "GREEN"


class Access(IntFlag):
    """A flag with a member that iteration leaves out."""

    NONE = 0
    READ = 1


def test_members_of_flags_have_labels() -> None:
    """Members of value zero are not forgotten."""
    assert widget_for_type(sa.Enum(Access)).render(Access.NONE) == "NONE"


ARRAYS: tuple[tuple[TypeEngine[Any], list[Any], str], ...] = (
    (sa.ARRAY(sa.Integer), [1, None], "1,None"),
    (sa.ARRAY(sa.Boolean), [True], "True"),
    (sa.ARRAY(sa.Enum(Color)), [Color.RED, None], "RED,None"),
    (sa.ARRAY(sa.LargeBinary), [b"\xff"], "ff"),
    (sa.ARRAY(pg.JSONB), [{"a": 1}], '{"a": 1}'),
    (sa.ARRAY(pg.INT4RANGE), [pg.Range(1, 2)], "[1,2)"),
    (sa.ARRAY(pg.INET), [ip_address("::ffff:1.2.3.4")], "::ffff:1.2.3.4"),
    (sa.ARRAY(sa.Integer, dimensions=2), [[1, 2], [3, None]], "[1, 2],[3, None]"),
    (sa.ARRAY(sa.Enum(Color), dimensions=2), [[Color.RED]], "[RED]"),
)


@pytest.mark.parametrize(("sqltype", "value", "text"), ARRAYS, ids=named)
def test_arrays(sqltype: TypeEngine[Any], value: list[Any], text: str) -> None:
    """Values of arrays are shown by str(), except where that would be Python source."""
    assert widget_for_type(sqltype).render(value) == text


class ColorText(TypeDecorator[Any]):
    """An enum that a decorator returns in place of its label."""

    impl = sa.Enum(Color)
    cache_ok = True


class IsoDate(TypeDecorator[Any]):
    """A date behind a decorator."""

    impl = sa.Date
    cache_ok = True


class Document(TypeDecorator[Any]):
    """Any object behind JSON."""

    impl = sa.JSON
    cache_ok = True


DECORATED: tuple[tuple[TypeEngine[Any], Any, str], ...] = (
    (Cents(), Decimal("1E+1"), "10"),
    (Cents(), "free", "free"),
    (Cents(), True, "1"),
    (ColorText(), Color.RED, "RED"),
    (ColorText(), "RED", "RED"),
    (sa.ARRAY(ColorText()), [Color.RED], "RED"),
    (IsoDate(), date(2024, 1, 2), "2024-01-02"),
    (IsoDate(), datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02 00:00:00"),
    (Document(), ["a"], '["a"]'),
    (Document(), uuid.UUID(int=0), str(uuid.UUID(int=0))),
    (Document(), None, ""),
    (sa.PickleType(), {"a": 1}, '{"a": 1}'),
    (NullType(), timedelta(1), "1 day, 0:00:00"),
)


@pytest.mark.parametrize(("sqltype", "value", "text"), DECORATED, ids=named)
def test_values_of_decorators_go_by_their_python_type(
    sqltype: TypeEngine[Any], value: Any, text: str
) -> None:
    """A decorator may return anything: what its type accepts is shown as that type shows it."""
    assert widget_for_type(sqltype).render(value) == text


@pytest.mark.parametrize(
    ("sqltype", "dialect", "logical"),
    [
        (sa.Integer(), "sqlite", integer(64)),
        (sa.REAL(), "sqlite", floating(64)),
        (sa.REAL(), "mysql", floating(64)),
        (sa.Numeric(10, 2), "sqlite", DECIMAL),
        (sa.Numeric(10, 2), "mysql", decimal(10, 2)),
        (sa.ARRAY(sa.Integer), "other", listing(integer(64))),
        (sa.String(), "sqlite", TEXT),
        (sa.DateTime(timezone=True), "sqlite", LogicalType(Kind.DATETIME)),
        (sa.DateTime(timezone=True), "mysql", LogicalType(Kind.DATETIME)),
        (sa.DateTime(timezone=True), "oracle", LogicalType(Kind.DATETIME, timezone=True)),
    ],
)
def test_other_databases_may_hold_more(
    sqltype: TypeEngine[Any], dialect: str, logical: LogicalType
) -> None:
    """Where a declared width binds nobody, the logical type does not narrow the values."""
    assert in_dialect(logical_type(sqltype), dialect) == logical


@pytest.mark.parametrize("make", [lambda: sa.Enum(Color), lambda: sa.ARRAY(sa.Enum(Color))])
def test_each_call_makes_a_widget(make: Callable[[], TypeEngine[Any]]) -> None:
    """Widgets are not shared between columns."""
    sqltype = make()
    assert widget_for_type(sqltype) is not widget_for_type(sqltype)
