"""`Widget`, the base of all, the widgets of text, and what the others share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import copy
from datetime import tzinfo
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

from async_export.errors import ConfigurationError
from async_export.postgres import texts
from async_export.postgres.texts import Expression
from async_export.types import Cell, Kind, LogicalType, UnrepresentableText

__all__ = (
    "BYTES",
    "LISTS",
    "CharWidget",
    "DatabaseTextWidget",
    "Widget",
    "copy_with",
    "has_members",
    "has_text",
    "one_of",
)

W = TypeVar("W", bound="Widget")

BYTES = (bytes, bytearray, memoryview)
LISTS = (list, tuple)


def _depth(cls: type, name: str) -> int:
    """How far above *cls* the class is that it has *name* from."""
    return next(i for i, base in enumerate(cls.__mro__) if name in vars(base))


def _no_sql(_widget: Widget, column: Expression, type: str) -> None:  # noqa: A002, ARG001 - as what it replaces
    return None


class Widget:
    """Any value as its ``str()``, bytes as UTF-8; the base of all widgets.

    A subclass overrides `render`, with ``def`` or ``async def``, and `native` where typed formats
    should get something else than the value itself. Where PostgreSQL can do the same, it overrides
    `render_sql` and `native_sql` too; else what it inherits of these is of no more use, and gives
    None.

    Attributes:
        kind: What the native cells are.
        accepts: The types of values for which `AutoWidget` prefers this widget.
        expects: The values it takes, for error messages.
    """

    kind: ClassVar[Kind] = Kind.ANY
    accepts: ClassVar[tuple[type, ...]] = ()
    expects: ClassVar[str] = "a value"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the text cell of *value*: ``""`` for None.

        Args:
            value: What the field's attribute, or the database, gave.
            _kwargs: The keywords that the caller passed to the export.

        Raises:
            TypeError: *value* is none of what the widget takes; the message names types only.
        """
        return value if type(value) is str else self._text(value)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the typed cell of *value*: None for None.

        Args and errors are those of `render`.
        """
        return value

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return an expression of PostgreSQL that has the text of `render`, or None.

        It is NULL where the value is None. `async_export.postgres.texts` says under which settings
        it holds, and what the ``.type`` of the expression tells.

        Args:
            column: What the values are read from, as asyncpg decodes them within `exact_values`
                whose *on_unrepresentable* is ``"text"``; no ``TypeDecorator`` changes them
                afterwards. They are rendered without the keywords of an export.
            type: The name of its type in PostgreSQL, of domains that of the base type; ``"enum"``
                for any enum, ``"enum[]"`` for an array of them.
        """
        form = _STR_FORMS.get(type)
        return None if form is None or has_members(column) else form(column)

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002, ARG002 - likewise; for overriding
        """Return an expression of PostgreSQL that has the value of `native`, or None.

        Args are those of `render_sql`. The expression has the type of the column.
        """
        return None

    @property
    def sql_is_definition(self) -> bool:
        """Whether some values have another text in `render_sql` than in `render`.

        Then the text of SQL is the right one wherever PostgreSQL is read.
        """
        return False

    def with_timezone(self, zone: tzinfo) -> Widget:  # noqa: ARG002 - for overriding
        """Return the widget to use in an export of which *zone* is the timezone.

        Called once per export. A widget without a zone of its own whose values may hold datetimes
        answers with a copy, all others with themselves.
        """
        return self

    @property
    def logical_type(self) -> LogicalType:
        """The type of the native cells, as far as the widget alone knows it."""
        return LogicalType(self.kind)

    def _text(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, UnrepresentableText):
            return value
        if isinstance(value, str):
            # A subclass may show something else in __str__: an enum its own name.
            return str.__str__(value)
        if isinstance(value, BYTES):
            return self._decoded(bytes(value))
        if not has_text(type(value)):
            raise TypeError(
                f"{type(self).__name__} got a {type(value).__name__}, which has no text"
            )
        return str(value)

    def _decoded(self, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            # Not chained: that error holds the value.
            name = type(self).__name__
            raise ValueError(f"{name} got bytes that are not UTF-8; use BinaryWidget") from None

    def _unusual(self, value: Any, empty: Cell) -> Cell:
        """Return *empty* for None, the database's own text as it is, and refuse all else."""
        if value is None:
            return empty
        if isinstance(value, UnrepresentableText):
            return value
        found = type(value).__name__
        raise TypeError(f"{type(self).__name__} expected {self.expects}, not {found}")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for python, sql in (("render", "render_sql"), ("native", "native_sql")):
            # What SQL gives equals only the method that it was written with.
            if _depth(cls, python) < _depth(cls, sql):
                setattr(cls, sql, _no_sql)

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters.values()
        options = [(p.name, getattr(self, p.name, p.default), p.default) for p in parameters]
        shown = (f"{name}={value!r}" for name, value, default in options if value != default)
        return f"{type(self).__name__}({', '.join(shown)})"


class CharWidget(Widget):
    """Text: ``str(value)``, bytes as UTF-8."""

    kind = Kind.TEXT
    accepts = (str,)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the same text; None for None."""
        return None if value is None else self._text(value)

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the column where it is text in the database."""
        return column if type in _TEXT_TYPES and not has_members(column) else None


class DatabaseTextWidget(Widget):
    """What widgets share that show the database's own text, in both cells."""

    kind = Kind.TEXT

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the text of *value*."""
        return "" if value is None else self._shown(value)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the same text; None for None."""
        return None if value is None else self._shown(value)

    def _shown(self, value: Any) -> Cell:
        return self._unusual(value, None)


def has_text(kind: type) -> bool:
    """Tell whether values of this type show more than the address where they are."""
    plain: tuple[Any, Any] = (object.__str__, object.__repr__)
    return (kind.__str__, kind.__repr__) != plain


def has_members(column: Expression) -> bool:
    """Tell whether SQLAlchemy makes members of an enum of the values, or of those in arrays."""
    kind = getattr(column.type, "item_type", column.type)
    return getattr(kind, "enum_class", None) is not None


def one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ConfigurationError(f"unknown {option} {value!r}; known: {', '.join(known)}")
    return value


_TEXT_TYPES: Final = frozenset({"bpchar", "citext", "enum", "name", "text", "varchar"})

_STR_FORMS: Final[Mapping[str, Callable[[Expression], Expression]]] = {
    **dict.fromkeys(("name", "text", "varchar"), partial(texts.unchanged, is_text=True)),
    **dict.fromkeys(
        ("citext", "enum", "tsquery", "tsvector"), partial(texts.own_text, may_be_empty=True)
    ),
    "bpchar": texts.padded_text,
    **dict.fromkeys(("date", "int2", "int4", "int8", "oid", "uuid"), texts.unchanged),
    **dict.fromkeys(
        ("jsonpath", "macaddr", "macaddr8", "money", "regclass", "regconfig"), texts.unchanged
    ),
}
"""The forms of types of which ``str()`` shows what PostgreSQL does."""


def copy_with(widget: W, **changes: Any) -> W:
    other = copy(widget)
    vars(other).update(changes)
    return other
