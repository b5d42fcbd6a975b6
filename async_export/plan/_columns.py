"""The columns that a plan selects, each once, and the types that they have on the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Enum, String, Text, cast, func, literal_column
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.types import TypeEngine

from async_export.errors import ConfigurationError
from async_export.paths import PathTarget
from async_export.plan._draft import Draft
from async_export.postgres.decoding import decoder_of
from async_export.postgres.describing import ServerType
from async_export.rows import Value
from async_export.statements import RowSelect

__all__ = (
    "Columns",
    "DriverColumns",
    "Key",
    "carried",
    "has_expression",
    "label_key",
    "many_key",
    "path_key",
    "processed",
    "processor_of",
    "type_name",
)

Key: TypeAlias = tuple[Any, ...]
"""What a column is: where it leads."""


def path_key(target: PathTarget) -> Key:
    return ("path", target.relations, target.name)


def label_key(name: str) -> Key:
    return ("label", name)


def many_key(target: PathTarget, element: PathTarget) -> Key:
    return ("many", target.relations, target.name, element.relations, element.name)


class Columns:
    """The columns of one SELECT, whose values SQLAlchemy gives.

    Args:
        select: Finds the columns, and builds the SELECT.
    """

    null: Any = None

    def __init__(self, select: RowSelect) -> None:
        self.select = select
        self.keys: dict[Key, int] = {}
        self.columns: list[ColumnElement[Any]] = []

    def add(self, key: Key, find: Callable[[], ColumnElement[Any]]) -> int:
        """Select a column, unless it is already; give its position in the rows."""
        if key not in self.keys:
            self.keys[key] = len(self.columns)
            # Labels of ours cannot collide, and headers never come from SQL.
            self.columns.append(find().label(f"c{len(self.columns)}_"))
        return self.keys[key]

    def add_labels(self) -> None:
        """Select what the queryset labels beside a mapped class, under the names that it gives.

        It may order by such a name, and there are as many rows as these columns say.
        """
        for name, column in self.select.kept.items():
            self.keys[label_key(name)] = len(self.columns)
            self.columns.append(column)

    def add_path(self, target: PathTarget) -> Value:
        """Select the column where *target* leads."""
        find = lambda: self.select.column(target)  # noqa: E731 - called at first sight only
        return self._value(self.add(path_key(target), find), path_key(target), target.sqltype)

    def add_label(self, name: str) -> Value:
        """Select a labelled column of the queryset."""
        column = self.select.label(name)
        return self._value(self.add(label_key(name), lambda: column), label_key(name), column.type)

    def add_many(self, target: PathTarget, element: PathTarget) -> Value:
        """Select *element* of every related object, as an array."""
        key = many_key(target, element)
        position = self.add(key, lambda: self.select.array(target, element))
        return self._value(position, key, self.columns[position].type)

    def statement(self) -> Any:
        """Give the SELECT of all that was added."""
        return self.select.statement(self.columns)

    def _value(self, position: int, key: Key, sqltype: TypeEngine[Any] | None) -> Value:  # noqa: ARG002 - for overriding
        return Value(position)


class DriverColumns(Columns):
    """The columns of one SELECT whose values asyncpg gives: SQLAlchemy's types process them.

    Values that our codecs would have to decode, read or not, come as text and are decoded when a
    hook reads them.

    Args:
        draft: What the steps of compiling share.
        select: Finds the columns, and builds the SELECT.
    """

    def __init__(self, draft: Draft, select: RowSelect) -> None:
        super().__init__(select)
        assert draft.database is not None
        self._dialect = draft.database.dialect
        self._types = draft.types
        self._as_text = draft.hooks.options.on_unrepresentable == "text"
        self._values: dict[Key, Value] = {}

    def _value(self, position: int, key: Key, sqltype: TypeEngine[Any] | None) -> Value:
        if key not in self._values:
            self._values[key] = self._driven(position, self._types[key], sqltype)
        return self._values[key]

    def _driven(self, position: int, server: ServerType, sqltype: TypeEngine[Any] | None) -> Value:
        """Give the value of a column; the column may become another one that carries it."""
        label: Any = self.columns[position]
        process = processor_of(label.type, self._dialect, server)
        name = type_name(server, sqltype)
        is_kept = label in self.select.kept.values()
        if (
            not self._as_text
            or name not in _CODED
            or is_kept
            or has_expression(label, self._dialect)
        ):
            return Value(position, process)
        self.columns[position] = cast(carried(label.element, name), Text).label(label.name)
        return processed(Value(position, decoder_of(name), None), process)


_CODED = frozenset({"date", "numeric", "time", "timestamp", "timestamptz"})
"""Types that have a codec of ours, and a text that is decoded faster."""


def carried(column: ColumnElement[Any], type: str) -> ColumnElement[Any]:  # noqa: A002 - PostgreSQL's word
    """Give what has the text that the decoder of *type* takes, whatever the session's zone is."""
    return (
        func.pg_catalog.timezone(literal_column("'UTC'"), column)
        if type == "timestamptz"
        else column
    )


def processed(value: Value, process: Callable[[Any], Any] | None) -> Value:
    """Let SQLAlchemy's type process a value, NULL too."""
    if process is None:
        return value
    decode = value.of_cell()
    return Value(value.position, lambda cell: process(decode(cell)))


def processor_of(
    sqltype: TypeEngine[Any],
    dialect: Dialect,
    type: ServerType,  # noqa: A002 - the server's word
) -> Callable[[Any], Any] | None:
    """Give what SQLAlchemy makes of a driver's values of this type; None if nothing.

    Raises:
        ConfigurationError: the type of the model cannot hold them.
    """
    try:
        return sqltype.dialect_impl(dialect).result_processor(dialect, type.oid)
    except InvalidRequestError:
        kind = sqltype.__class__.__name__
        raise ConfigurationError(f"a column of type {type.name} cannot be a {kind}") from None


def has_expression(column: ColumnElement[Any], dialect: Dialect) -> bool:
    """Tell whether the column's type selects another expression in its place."""
    impl = column.type.dialect_impl(dialect)
    # The name is private; where it is missing, it may.
    return bool(getattr(impl, "_has_column_expression", True))


def type_name(type: ServerType, sqltype: TypeEngine[Any] | None) -> str:  # noqa: A002 - the server's word
    """Give the name by which SQL forms know a type; ``enum`` for one that has labels."""
    if type.is_builtin or type.name == "citext":
        return type.name
    if isinstance(sqltype, String | Enum) and type.is_scalar:
        return "enum"
    return f"{type.name}, made by CREATE TYPE"
