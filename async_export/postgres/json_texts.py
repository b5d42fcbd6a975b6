"""Expressions whose text on PostgreSQL is the JSON that Python writes for a typed value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import func, literal_column, type_coerce

from async_export.postgres import texts
from async_export.postgres.texts import Expression, NeverEmpty

__all__ = ("json_text",)


def json_text(column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
    """Return the JSON of a typed value, as `async_export.formats` writes it; NULL for NULL.

    Floats and times are as Python shows them, NaN and the infinities strings, and so is what Python
    cannot hold, such as ``infinity``. Nothing in it is a control character. Its ``.type`` and the
    settings of the session are as for `async_export.postgres.texts`.

    Args:
        column: The value. As ``"text"`` counts whatever should be shown as a string.
        type: The name of its type in PostgreSQL, of domains that of the base type; ``"enum"`` for
            any enum.

    Returns:
        None where no form is known to be equal.
    """
    form = _FORMS.get(type)
    return None if form is None else form(column)


def _number(column: Expression) -> Expression:
    return texts.unchanged(column)


def _boolean(column: Expression) -> Expression:
    return texts.own_text(column)


def _string(column: Expression) -> Expression:
    # The cast is for to_json, which would write a number as a number.
    return _escaped(texts.own_text(column))


def _padded(column: Expression) -> Expression:
    return _escaped(texts.padded_text(column))


def _date(column: Expression) -> Expression:
    return _escaped(column)


def _escaped(value: Expression) -> Expression:
    return func.pg_catalog.to_json(value)


def _uuid(column: Expression) -> Expression:
    return _in_quotes(texts.own_text(column))


def _time(column: Expression) -> Expression:
    return _in_quotes(texts.time_isoformat(column))


def _timestamp(column: Expression) -> Expression:
    return texts.timestamp_isoformat(column, '"')


def _timestamptz(column: Expression) -> Expression:
    return texts.utc_isoformat(column, '"')


def _in_quotes(text: Expression) -> Expression:
    """The string of a text in which nothing needs to be escaped."""
    mark: Expression = literal_column("'\"'")
    return type_coerce(mark.concat(text).concat(mark), NeverEmpty())


_FLOATS: Final = {
    "'0'": "'0.0'",
    "'-0'": "'-0.0'",
    "'NaN'": "'\"nan\"'",
    "'Infinity'": "'\"inf\"'",
    "'-Infinity'": "'\"-inf\"'",
}
"""JSON by PostgreSQL's texts."""


def _float8(column: Expression) -> Expression:
    return texts.float8_form(column, _FLOATS, lambda text: text)


def _float4(column: Expression) -> Expression:
    return texts.float4_form(column, _FLOATS, lambda text: text)


_FORMS: Final[Mapping[str, Callable[[Expression], Expression]]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), _number),
    **dict.fromkeys(("text", "varchar", "citext", "name", "enum"), _string),
    "bool": _boolean,
    "bpchar": _padded,
    "date": _date,
    "float4": _float4,
    "float8": _float8,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "uuid": _uuid,
}
