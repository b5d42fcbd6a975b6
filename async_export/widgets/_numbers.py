"""Numbers and booleans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from numbers import Number
from typing import Any, Final

from async_export.postgres import texts
from async_export.postgres.texts import Expression
from async_export.types import Cell, Kind
from async_export.widgets._base import Widget

__all__ = ("BooleanWidget", "DecimalWidget", "FloatWidget", "IntegerWidget", "NumberWidget")

_EXACT_NUMBERS = frozenset({int, float, Decimal})

_SQL_FORMS: Final[Mapping[str, Callable[[Expression], Expression]]] = {
    "int2": texts.unchanged,
    "int4": texts.unchanged,
    "int8": texts.unchanged,
    "oid": texts.unchanged,
    "numeric": texts.unchanged,
    "float4": texts.float4_text,
    "float8": texts.float8_text,
}
_FLOATS: Final = ("float4", "float8")


class NumberWidget(Widget):
    """Numbers with all their digits: never an exponent, never localized.

    Integers, floats and decimals, and any other ``numbers.Number`` as its ``str()``.
    """

    accepts = (int, float, Decimal, Number)
    expects = "a number"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the digits of *value*."""
        cls = type(value)
        if cls is int:
            return str(value)
        if cls is float:
            return _float_text(value)
        if cls is Decimal:
            return format(value, "f")
        return self._other(value)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return *value* itself."""
        if type(value) in _EXACT_NUMBERS or isinstance(value, Number):
            return value
        return self._unusual(value, None)

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the digits of the number."""
        form = _SQL_FORMS.get(type)
        return None if form is None or _is_converted(column, type) else form(column)

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - likewise
        """Return the column."""
        return column if type in _SQL_FORMS and not _is_converted(column, type) else None

    def _other(self, value: Any) -> Cell:
        if value is None or isinstance(value, str):
            return self._unusual(value, "")
        if isinstance(value, bool):
            return str(value)
        # Subclasses may show something else than digits: an enum its name, numpy its type.
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, float):
            return _float_text(value)
        if isinstance(value, Decimal):
            return Decimal.__format__(value, "f")
        return str(value) if isinstance(value, Number) else self._unusual(value, "")


class IntegerWidget(NumberWidget):
    """Integers."""

    kind = Kind.INTEGER


class FloatWidget(NumberWidget):
    """Floats: the shortest digits that read back as the same float."""

    kind = Kind.FLOAT


class DecimalWidget(NumberWidget):
    """Decimals: with the scale they have."""

    kind = Kind.DECIMAL


class BooleanWidget(Widget):
    """Booleans as ``1`` and ``0``; the integers 1 and 0 count as booleans, as SQLite has them."""

    kind = Kind.BOOLEAN
    accepts = (bool,)
    expects = "a bool, 0 or 1"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return ``1`` or ``0``."""
        if value is True:
            return "1"
        if value is False:
            return "0"
        return str(int(value)) if _is_bit(value) else self._unusual(value, "")

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return a bool."""
        if value is True or value is False:
            return value
        return bool(value) if _is_bit(value) else self._unusual(value, None)

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the boolean as an integer."""
        return texts.boolean_text(column) if type == "bool" else None

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - likewise
        """Return the column."""
        return column if type == "bool" else None


def _is_converted(column: Expression, type: str) -> bool:  # noqa: A002 - PostgreSQL's word
    """Whether SQLAlchemy makes decimals of floats, or floats of other numbers."""
    as_decimal = getattr(column.type, "asdecimal", None)
    return as_decimal is not None and as_decimal == (type in _FLOATS)


def _float_text(value: float) -> str:
    text = float.__repr__(value)
    return format(Decimal(text), "f") if "e" in text else text


def _is_bit(value: Any) -> bool:
    return isinstance(value, int) and value in (0, 1)
