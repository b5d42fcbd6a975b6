"""The columns that a plan selects, each once, and the types that they have on the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from async_export.paths import PathTarget
from async_export.postgres.describing import ServerType
from async_export.rows import Value
from async_export.statements import RowSelect

__all__ = ("Columns", "DriverColumns", "Key", "label_key", "many_key", "path_key", "processor_of")

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

    Args:
        select: Finds the columns, and builds the SELECT.
        dialect: The connection's dialect.
        types: The types on the server.
    """

    def __init__(
        self, select: RowSelect, dialect: Dialect, types: Mapping[Key, ServerType]
    ) -> None:
        super().__init__(select)
        self._dialect = dialect
        self._types = types

    def _value(self, position: int, key: Key, sqltype: TypeEngine[Any] | None) -> Value:  # noqa: ARG002 - the column knows it
        return Value(
            position, processor_of(self.columns[position].type, self._dialect, self._types[key])
        )


def processor_of(
    sqltype: TypeEngine[Any],
    dialect: Dialect,
    type: ServerType,  # noqa: A002 - the server's word
) -> Callable[[Any], Any] | None:
    """Give what SQLAlchemy makes of a driver's values of this type; None if nothing."""
    return sqltype.dialect_impl(dialect).result_processor(dialect, type.oid)
