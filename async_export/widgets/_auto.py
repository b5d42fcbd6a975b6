"""`AutoWidget`, and the registry of the widgets that it chooses from.

Some of those use `AUTO` themselves, for the values inside theirs. So this module knows none of
them: the package registers them, once all are defined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from numbers import Number
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.types import NullType

from async_export.types import Cell
from async_export.widgets._base import CharWidget, Widget, copy_with

__all__ = ("AUTO", "AutoWidget", "register", "register_shape")

_TEXT = CharWidget()

_BY_TYPE: dict[type, Widget] = {}
"""Widgets by the type of the values, or a base of it."""

_BY_SHAPE: list[tuple[Callable[[type], bool], Widget]] = []
"""Widgets for the types of libraries that need not be installed, by what these types have."""


def register(widget: Widget, *types: type) -> None:
    """Let `AutoWidget` choose *widget* for values of these types, and of their subclasses."""
    _BY_TYPE.update(dict.fromkeys(types, widget))


def register_shape(widget: Widget, has_shape: Callable[[type], bool]) -> None:
    """Let `AutoWidget` choose *widget* for the types that *has_shape* knows."""
    _BY_SHAPE.append((has_shape, widget))


_VALUES: Mapping[str, type] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), int),
    **dict.fromkeys(("float4", "float8"), float),
    **dict.fromkeys(("text", "varchar", "bpchar", "name"), str),
    **dict.fromkeys(("timestamp", "timestamptz"), datetime),
    "numeric": Decimal,
    "bool": bool,
    "date": date,
    "time": time,
    "interval": timedelta,
    "uuid": UUID,
    "bytea": bytes,
}
"""By PostgreSQL's name of a type, the type of the values that asyncpg gives."""


class AutoWidget(Widget):
    """Any value, by the widget of its Python type: decided once per type, then remembered.

    Lists and tuples of plain values are arrays; those that hold dicts or lists are JSON. What has
    no widget of its own is shown as its ``str()``.

    Args:
        preferred: A widget to use for the types that it accepts.
    """

    def __init__(self, preferred: Widget | None = None) -> None:
        self.preferred = preferred
        self.timezone: tzinfo | None = None
        self._chosen: dict[type, Widget] = {}

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the text of *value*; errors are those of the widget that was chosen."""
        return self._widget(type(value)).render(value, **kwargs)

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return the typed cell of *value*; errors are those of the widget that was chosen."""
        return self._widget(type(value)).native(value, **kwargs)

    def render_sql(self, column: ColumnElement[Any], type: str) -> ColumnElement[Any] | None:  # noqa: A002 - PostgreSQL's word
        """Return the SQL of the widget for the values of *type*, if SQLAlchemy has no part in it.

        Args and meaning are those of `Widget.render_sql`.
        """
        cls = _VALUES.get(type)
        if self.preferred is not None or cls is None or not isinstance(column.type, NullType):
            return None
        return self._widget(cls).render_sql(column, type)

    def with_timezone(self, zone: tzinfo) -> Widget:
        """Return a copy that hands the timezone to the widgets it chooses."""
        return copy_with(self, timezone=zone, _chosen={})

    def _widget(self, cls: type) -> Widget:
        widget = self._chosen.get(cls)
        if widget is None:
            widget = self._choice(cls)
            if self.timezone is not None:
                widget = widget.with_timezone(self.timezone)
            self._chosen[cls] = widget
        return widget

    def _choice(self, cls: type) -> Widget:
        base = _known_base(cls)
        accepted = self.preferred.accepts if self.preferred else ()
        # Of known types only the exact one counts: a bool is no number, a datetime no date.
        if self.preferred and (base in accepted if base else issubclass(cls, accepted)):
            return self.preferred
        return _BY_TYPE[base] if base else _widget_of_shape(cls)


AUTO = AutoWidget()
"""For values inside others."""


def _known_base(cls: type) -> type | None:
    """The class above *cls* that decides its widget."""
    if issubclass(cls, Enum):
        # First, because an enum may be a str or int as well.
        return Enum
    nearest = next((base for base in cls.__mro__ if base in _BY_TYPE), None)
    return Number if nearest is None and issubclass(cls, Number) else nearest


def _widget_of_shape(cls: type) -> Widget:
    return next((widget for has_shape, widget in _BY_SHAPE if has_shape(cls)), _TEXT)
