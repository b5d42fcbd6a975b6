"""From a SQLAlchemy type to its widget and its logical type.

The table at the end is searched along the bases of the type's class, so that a dialect's types and
one's own subclasses are found by their nearest known base. Beyond it:

* a ``TypeDecorator`` counts as the type that it decorates, but its values may be anything: the
  widget goes by the Python type of each and prefers that of the decorated type;
* a ``DOMAIN`` counts as its ``data_type``;
* of a type with variants the generic one counts;
* for all else, ``NullType`` included, there is `AutoWidget` and ``Kind.ANY``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql.ranges import AbstractRange
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.types import TypeDecorator, TypeEngine

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

__all__ = ("in_dialect", "logical_type", "widget_for_type")

_Described: TypeAlias = tuple[Widget, LogicalType]
_Describe: TypeAlias = Callable[[Any], _Described]

_WIDEST = 64

_ZONELESS = frozenset({"mariadb", "mysql", "sqlite"})
"""Dialects whose databases give datetimes without a zone, whatever is declared."""

_MAX_REAL_PRECISION = 24
"""Binary digits up to which PostgreSQL makes a ``FLOAT(n)`` a ``real``."""

_SPEAKING_ITEMS = (BinaryWidget, BitWidget, EnumWidget, InetWidget, JSONWidget, RangeWidget)
"""Widgets whose values show Python source, or another text, through ``str()``."""


def widget_for_type(sqltype: TypeEngine[Any]) -> Widget:
    """Return the widget for columns of this type."""
    return _describe(sqltype)[0]


def logical_type(sqltype: TypeEngine[Any]) -> LogicalType:
    """Return what typed formats need to know of columns of this type on PostgreSQL."""
    return _describe(sqltype)[1]


def in_dialect(logical: LogicalType, dialect: str) -> LogicalType:
    """Return what a logical type is in the databases of a dialect.

    The widths of numbers are PostgreSQL's; elsewhere a declared type may hold more, so that they
    are 64 bits, and on SQLite, which enforces neither, decimals have no precision and scale.
    SQLite, MySQL and MariaDB keep no timezones.

    Args:
        logical: The type on PostgreSQL.
        dialect: Name of the dialect.
    """
    if dialect == "postgresql":
        return logical
    bits = _WIDEST if logical.bits else None
    item = logical.item and in_dialect(logical.item, dialect)
    timezone = logical.timezone and dialect not in _ZONELESS
    wide = replace(logical, bits=bits, item=item, timezone=timezone)
    return replace(wide, precision=None, scale=None) if dialect == "sqlite" else wide


def _describe(sqltype: TypeEngine[Any]) -> _Described:
    # Before decorators are unwrapped: Interval is one, and has a widget of its own.
    for base in type(sqltype).__mro__:
        if base in _TABLE:
            return _TABLE[base](sqltype)
    if isinstance(sqltype, TypeDecorator):
        widget, logical = _describe(sqltype.impl_instance)
        return _preferring(widget), logical
    return AutoWidget(), LogicalType()


def _preferring(widget: Widget) -> Widget:
    return widget if isinstance(widget, AutoWidget) else AutoWidget(preferred=widget)


def _always(widget: type[Widget], kind: Kind, bits: int | None = None) -> _Describe:
    logical = LogicalType(kind, bits=bits)
    return lambda _sqltype: (widget(), logical)


def _numeric(sqltype: sa.Numeric[Any]) -> _Described:
    if not sqltype.asdecimal:
        return FloatWidget(), LogicalType(Kind.FLOAT, bits=_WIDEST)
    precision = sqltype.precision
    # NUMERIC without precision has no limit, NUMERIC(10) no digits after the point.
    scale = None if precision is None else sqltype.scale or 0
    return DecimalWidget(), LogicalType(Kind.DECIMAL, precision=precision, scale=scale)


def _float(sqltype: sa.Float[Any]) -> _Described:
    if sqltype.asdecimal:
        return DecimalWidget(), LogicalType(Kind.DECIMAL)
    precision = sqltype.precision
    real = isinstance(sqltype, sa.REAL) or (precision is not None and _is_real(sqltype, precision))
    return FloatWidget(), LogicalType(Kind.FLOAT, bits=32 if real else _WIDEST)


def _is_real(sqltype: sa.Float[Any], precision: int) -> bool:
    return precision <= _MAX_REAL_PRECISION and not isinstance(sqltype, sa.Double)


def _datetime(sqltype: sa.DateTime) -> _Described:
    return DateTimeWidget(), LogicalType(Kind.DATETIME, timezone=sqltype.timezone)


def _time(sqltype: sa.Time) -> _Described:
    return TimeWidget(), LogicalType(Kind.TIME, timezone=sqltype.timezone)


def _uuid(sqltype: sa.Uuid[Any]) -> _Described:
    if sqltype.as_uuid:
        return UUIDWidget(), LogicalType(Kind.UUID)
    return CharWidget(), LogicalType(Kind.TEXT)


def _enum(sqltype: sa.Enum) -> _Described:
    if sqltype.enum_class is None:
        return CharWidget(), LogicalType(Kind.TEXT)
    return EnumWidget(lookup=_stored_texts(sqltype, sqltype.enum_class)), LogicalType(Kind.TEXT)


def _stored_texts(sqltype: TypeEngine[Any], enum: Any) -> Mapping[Enum, str]:
    """What the type stores for each member: its name, or as ``values_callable`` says."""
    process = sqltype.bind_processor(DefaultDialect())
    assert process is not None
    # Iteration would leave out the members of a Flag that are zero or several bits.
    return {member: process(member) for member in enum.__members__.values()}


def _array(sqltype: sa.ARRAY[Any]) -> _Described:
    widget, logical = _describe(sqltype.item_type)
    for _ in range(sqltype.dimensions or 1):
        logical = LogicalType(Kind.LIST, item=logical)
    return SimpleArrayWidget(item=widget if _is_speaking(widget) else None), logical


def _is_speaking(widget: Widget) -> bool:
    chosen = widget.preferred if isinstance(widget, AutoWidget) else widget
    return isinstance(chosen, _SPEAKING_ITEMS)


def _domain(sqltype: pg.DOMAIN) -> _Described:
    return _describe(sqltype.data_type)


_TEXT = _always(CharWidget, Kind.TEXT)
_BINARY = _always(BinaryWidget, Kind.BINARY)
_INET = _always(InetWidget, Kind.TEXT)
_INTERVAL = _always(IntervalWidget, Kind.DURATION)
_JSON = _always(JSONWidget, Kind.JSON)

_TABLE: dict[type, _Describe] = {
    sa.String: _TEXT,
    sa.Enum: _enum,
    sa.SmallInteger: _always(IntegerWidget, Kind.INTEGER, 16),
    sa.Integer: _always(IntegerWidget, Kind.INTEGER, 32),
    sa.BigInteger: _always(IntegerWidget, Kind.INTEGER, 64),
    sa.Numeric: _numeric,
    sa.Float: _float,
    sa.Boolean: _always(BooleanWidget, Kind.BOOLEAN),
    sa.Date: _always(DateWidget, Kind.DATE),
    sa.DateTime: _datetime,
    sa.Time: _time,
    sa.Interval: _INTERVAL,
    sa.LargeBinary: _BINARY,
    sa.BINARY: _BINARY,
    sa.VARBINARY: _BINARY,
    sa.JSON: _JSON,
    sa.ARRAY: _array,
    sa.Uuid: _uuid,
    pg.INTERVAL: _INTERVAL,
    pg.HSTORE: _JSON,
    pg.DOMAIN: _domain,
    pg.INET: _INET,
    pg.CIDR: _INET,
    pg.MACADDR: _TEXT,
    pg.MACADDR8: _TEXT,
    pg.BIT: _always(BitWidget, Kind.TEXT),
    # Unsigned, so that its upper half needs more than 32 bits.
    pg.OID: _always(IntegerWidget, Kind.INTEGER, 64),
    pg.REGCLASS: _TEXT,
    pg.REGCONFIG: _TEXT,
    pg.MONEY: _TEXT,
    pg.JSONPATH: _TEXT,
    pg.TSVECTOR: _TEXT,
    pg.TSQUERY: _TEXT,
    AbstractRange: _always(RangeWidget, Kind.TEXT),
}
