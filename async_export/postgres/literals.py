"""Statements with their values written into the SQL, for ``COPY (…) TO STDOUT``.

COPY takes no parameters. [`literal_sql`][] renders a statement as SQLAlchemy and asyncpg would run
it, but with a literal in the place of every parameter: the value that asyncpg would be given, by
SQLAlchemy's own literal processor, and the cast that the parameter would have. What could mean
anything else as a literal than as a parameter is refused.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final, NoReturn
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Numeric,
    String,
    Time,
    TupleType,
    Uuid,
)
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import NullType, TypeEngine

__all__ = ("LiteralError", "literal_sql")


class LiteralError(ValueError):
    """A statement that cannot be run as text; with parameters it may.

    Args:
        reason: Why, in one line and without any value.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def literal_sql(statement: ClauseElement, dialect: Dialect) -> str:
    """Render *statement* as SQL text without parameters.

    The text means the same whatever ``standard_conforming_strings``, ``DateStyle`` and
    ``TimeZone`` are. A ``schema_translate_map`` of the connection is the caller's concern.

    Args:
        statement: A select, compound select or text, of the ORM or not.
        dialect: Dialect of the connection that the text is for.

    Raises:
        LiteralError: the statement writes, does not compile, lacks a value, or has one whose
            literal could mean something else than the parameter.
    """
    if not isinstance(dialect, PGDialect_asyncpg):
        raise LiteralError("the driver is not asyncpg")
    options = statement.get_execution_options() if isinstance(statement, Executable) else {}
    if "schema_translate_map" in options:
        raise LiteralError("the statement has a schema_translate_map")
    try:
        compiler = _Compiler(dialect, statement)
    except (SQLAlchemyError, NotImplementedError) as error:
        # Neither its text nor its traceback, which may hold a value.
        raise LiteralError(f"the statement does not compile: {type(error).__name__}") from None
    if compiler.binds:
        raise LiteralError("a parameter stands where a literal cannot")
    return compiler.literal_text()


_CLASSES: Final[Mapping[type[TypeEngine[Any]], tuple[type, ...]]] = {
    String: (str,),
    JSON.JSONStrIndexType: (str,),
    JSON.JSONIntIndexType: (int,),
    Boolean: (bool,),
    Integer: (int,),
    Float: (float,),  # before Numeric, of which it is a subclass in SQLAlchemy 2.0
    Numeric: (Decimal,),
    Date: (date,),
    DateTime: (datetime,),
    Time: (time,),
    Uuid: (UUID, str),
}
"""By type of SQLAlchemy, the exact classes of the values that have a literal."""

_UNTYPED_CLASSES: Final = (str, int, bool, date, UUID, type(None))
"""What PostgreSQL understands alike, whichever type it infers for a literal or parameter."""

_PROCESSED_BY: Final[Mapping[type, TypeEngine[Any]]] = {
    str: String(),
    bool: Boolean(),
    int: Integer(),
    float: Float(),
    Decimal: Numeric(),
    date: Date(),
    datetime: DateTime(),
    time: Time(),
    UUID: Uuid(),
}
"""By class of the value, the type whose literal processor renders it."""

_FLOAT8_BITS = 25
"""``FLOAT(25)`` and more are float8. For a float4 PostgreSQL rounds digits, asyncpg bits."""

_INFINITE_YEARS = (date.min.year, date.max.year)
"""asyncpg takes the first and the last day for infinity."""


class _Compiler(PGCompiler_asyncpg):
    """Renders literals with the casts that parameters would have.

    What it renders in their place is a mark, so that nothing that SQLAlchemy does to the text of
    a statement, such as removing backslashes, is done to the values.
    """

    _casts: bool | None = None
    """In a parameter, whether its literals have casts; None in what is a literal anyway."""

    def __init__(self, dialect: Dialect, statement: ClauseElement) -> None:
        self._literals: list[str] = []
        self._mark = f"literal_{secrets.token_hex(16)}_"
        super().__init__(dialect, statement, compile_kwargs={"literal_binds": True})

    def literal_text(self) -> str:
        """The text of the statement, without a semicolon at its end."""
        text, *others = self.string.split(self._mark)
        for other in others:
            number, _, after = other.partition("_")
            text += self._literals[int(number)] + after
        return text.rstrip("; \t\r\n")

    def visit_insert(self, *_: Any, **_kw: Any) -> NoReturn:
        """Refuse to write, in a CTE too."""
        raise LiteralError("the statement writes")

    visit_update = visit_insert
    visit_delete = visit_insert

    def render_literal_bindparam(self, bindparam: Any, *args: Any, **kw: Any) -> str:
        """Render a parameter."""
        # Values of params() are there since SQLAlchemy 2.1; until then they are in the parameter.
        params: Mapping[str, Any] = getattr(self, "_collected_params", {})
        if bindparam.key in params:
            value = params[bindparam.key]
        elif bindparam.required:
            raise LiteralError("a parameter has no value")
        else:
            value = bindparam.effective_value
        if bindparam.literal_execute:
            raise LiteralError("a parameter with literal_execute has no cast")
        if isinstance(bindparam.type, NullType):
            raise LiteralError("the type of a parameter is not known")
        if bindparam.expanding and value is None:
            raise LiteralError("a list of values is None")
        # SQLAlchemy gives no casts to the parameters of tuples.
        self._casts = not isinstance(bindparam.type, TupleType)
        parent: Any = super()
        try:
            text: str = parent.render_literal_bindparam(bindparam, value, *args, **kw)
        finally:
            self._casts = None
        return text

    def render_literal_value(self, value: Any, type_: TypeEngine[Any]) -> str:
        """Render a value of a parameter, or what is a literal even in a bound statement."""
        if self._casts is None:
            parent: Any = super()
            text: str = parent.render_literal_value(value, type_)
            return text
        name = type(type_).__name__
        try:
            literal = self._literal(value, type_)
        except LiteralError:
            raise
        except Exception:  # noqa: BLE001 - types are anybody's code, and their errors hold values
            raise LiteralError(f"a value of type {name} cannot be rendered") from None
        self._literals.append(literal)
        return f"{self._mark}{len(self._literals) - 1}_"

    def _literal(self, value: Any, type_: TypeEngine[Any]) -> str:
        process = type_.dialect_impl(self.dialect).bind_processor(self.dialect)
        bound = process(value) if process else value
        impl = _impl(type_, self.dialect)
        # In brackets, so that nothing before it becomes part of it, such as U&.
        text = f"({self._text(bound, impl, type_)})"
        if self._casts and impl.render_bind_cast:
            cast: str = self.render_bind_cast(type_, impl, text)  # type: ignore[no-untyped-call]
            return cast
        if type(bound) not in _UNTYPED_CLASSES:
            raise _no_exact_literal(bound, type_)
        return text

    def _text(self, bound: Any, impl: TypeEngine[Any], type_: TypeEngine[Any]) -> str:
        if bound is None:
            return "NULL"
        if isinstance(impl, ARRAY):
            return self._array_text(bound, _impl(impl.item_type, self.dialect), type_)
        classes = next((each for kind, each in _CLASSES.items() if isinstance(impl, kind)), None)
        if classes is None:
            raise LiteralError(f"a value of type {type(type_).__name__} has no literal")
        plain = _plain(bound, impl)
        if type(plain) not in classes or not _is_exact(plain, impl):
            raise _no_exact_literal(bound, type_)
        process = (
            _PROCESSED_BY[type(plain)].dialect_impl(self.dialect).literal_processor(self.dialect)
        )
        assert process is not None
        text = process(plain)
        # Quotes keep the sign of a zero, and what is negative from making a comment of a minus.
        text = text if text.startswith("'") else f"'{text}'"
        # Only so do backslashes mean the same with any standard_conforming_strings.
        return "E" + text.replace("\\", "\\\\") if "\\" in text else text

    def _array_text(self, items: Any, item: TypeEngine[Any], type_: TypeEngine[Any]) -> str:
        if not items or None in items:
            raise LiteralError("an array that is empty, or holds None, has no literal")
        texts = [
            self._array_text(each, item, type_)
            if isinstance(each, list | tuple)
            else self._text(each, item, type_)
            for each in items
        ]
        return f"ARRAY[{', '.join(texts)}]"


def _impl(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type that the dialect has for *type_*, without a TypeDecorator around it."""
    return type_._unwrapped_dialect_impl(dialect)  # noqa: SLF001 - has no public name


def _plain(value: Any, impl: TypeEngine[Any]) -> Any:
    """What asyncpg reads from *value*, which may be of a subclass with a text of its own."""
    if isinstance(value, str):
        value = str.__str__(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        value = int.__int__(value)
    elif isinstance(value, float):
        value = float.__float__(value)
    if isinstance(impl, Float):
        return float(value) if type(value) in (int, Decimal) else value
    if isinstance(impl, Numeric):
        return Decimal(value) if type(value) in (int, float) else value
    if isinstance(impl, Uuid) and impl.native_uuid:
        return UUID(str(value))
    if isinstance(impl, DateTime) and impl.timezone and value.utcoffset() is not None:
        return value.astimezone(UTC)
    return value


def _is_exact(value: Any, impl: TypeEngine[Any]) -> bool:
    """Whether the literal of *value* is what asyncpg would send."""
    if isinstance(value, str):
        value.encode()
        return "\0" not in value
    if isinstance(value, float | Decimal):
        bits = isinstance(impl, Float) and impl.precision
        return math.isfinite(value) and not (bits and bits < _FLOAT8_BITS)
    if isinstance(value, datetime):
        # asyncpg would take a naive one for the client's local time.
        aware = value.tzinfo is not None
        return value.year not in _INFINITE_YEARS and aware == getattr(impl, "timezone", False)
    if isinstance(value, date):
        return value.year not in _INFINITE_YEARS
    if isinstance(value, time):
        return value.tzinfo is None and not getattr(impl, "timezone", False)
    return True


def _no_exact_literal(value: Any, type_: TypeEngine[Any]) -> LiteralError:
    names = type(type_).__name__, type(value).__name__
    return LiteralError("type {} has no exact literal for this {}".format(*names))
