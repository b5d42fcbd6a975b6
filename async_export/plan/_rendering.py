"""What PostgreSQL renders: for each field the SQL of its text, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Enum, Interval, String, Text, Uuid, cast
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from async_export.fields import Field
from async_export.paths import PathTarget
from async_export.plan._columns import Key, label_key, many_key, path_key, type_name
from async_export.plan._draft import Draft, DraftField
from async_export.postgres.decoding import TEMPORAL
from async_export.postgres.describing import ServerType
from async_export.postgres.json_texts import json_text
from async_export.postgres.texts import quoted
from async_export.statements import RowSelect
from async_export.widgets import JSONWidget, ManyToManyWidget, Widget

__all__ = ("NotRendered", "Source", "json_of", "source_of", "text_of")


class NotRendered(Exception):  # noqa: N818 - no error: Python renders then
    """PostgreSQL cannot render a field exactly; the text says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """The one column that a field's value comes from.

    Attributes:
        key: What it is.
        sqltype: Its type in the model.
        target: Where it leads, if it is no labelled column.
    """

    key: Key
    sqltype: TypeEngine[Any] | None
    target: PathTarget | None = None

    def column(self, select: RowSelect) -> ColumnElement[Any]:
        """Find the column."""
        if self.target is None:
            return select.label(self.key[1])
        return select.column(self.target)


def source_of(item: DraftField, *, is_beside: bool = False) -> Source:
    """Find the column that a field's value is.

    Args:
        item: The field.
        is_beside: Whether labelled columns stand beside a mapped class.

    Raises:
        NotRendered: it is made of several columns, or of none.
    """
    value = item.value
    assert value is not None
    if value.label:
        if is_beside:
            raise NotRendered("a labelled column is selected as it stands, once")
        if value.steps:
            raise NotRendered(f"{item.field.attribute} is inside of a column")
        return Source(label_key(value.label), value.sqltype)
    if len(value.targets) != 1:
        raise NotRendered("a composite key has several columns")
    target = value.targets[0]
    if target.leaf != "column" or target.tail:
        raise NotRendered(f"{'.'.join((*target.relations, target.name))} is no plain column")
    if not target.is_stored:
        raise NotRendered(f"{target.name} is computed in SQL, and would be for each of its parts")
    return Source(path_key(target), target.sqltype, target)


def text_of(draft: Draft, item: DraftField, select: RowSelect) -> ColumnElement[Any]:
    """Give the SQL of a field's text cells.

    It is NULL for what has no value, and may be of any type whose text is that of the cell.

    Raises:
        NotRendered: there is none that is exact.
    """
    widget = item.field.widget
    assert widget is not None
    _check_field(item.field)
    if isinstance(widget, JSONWidget) and draft.kwargs.get("sort_json_keys") is not None:
        raise NotRendered("sort_json_keys is for Python")
    if item.value is not None and item.value.element is not None:
        return _joined(draft, item, select, widget)
    source = source_of(item, is_beside=draft.mapper is not None)
    column = source.column(select)
    return _rendered(draft, widget, column, source.sqltype, draft.types[source.key])


def json_of(draft: Draft, item: DraftField, select: RowSelect) -> ColumnElement[Any]:
    """Give the SQL of a field's cells as JSON text; NULL for what has no value.

    Raises:
        NotRendered: there is none that is exact.
    """
    if item.field.form == "text":
        text = text_of(draft, item, select)
        return _json(text if isinstance(text.type, String) else cast(text, Text), "text")
    widget = item.field.widget
    assert widget is not None
    _check_field(item.field)
    source = source_of(item, is_beside=draft.mapper is not None)
    server = draft.types[source.key]
    _check_type(draft, source.sqltype, server)
    name = type_name(server, source.sqltype)
    native = widget.native_sql(source.column(select), name)
    if native is None:
        raise NotRendered(f"no SQL gives the typed cells of {type(widget).__name__} for {name}")
    return _json(native, name)


def _json(column: ColumnElement[Any], type: str) -> ColumnElement[Any]:  # noqa: A002 - PostgreSQL's word
    found = json_text(column, type)
    if found is None:
        raise NotRendered(f"{type} has no exact JSON in SQL")
    return found


def _check_field(field: Field) -> None:
    kind = type(field)
    own = (kind.export, kind.get_value, kind.cell)
    if own != (Field.export, Field.get_value, Field.cell):
        raise NotRendered(f"{kind.__name__} overrides Field")


def _check_type(draft: Draft, sqltype: TypeEngine[Any] | None, server: ServerType) -> None:
    """Refuse types whose values are made in Python."""
    assert draft.database is not None
    if sqltype is not None and _has_own_values(sqltype, draft.database.dialect):
        raise NotRendered(f"{type(sqltype).__name__} makes its values in Python")
    held = server.name.removesuffix("[]") not in TEMPORAL | _TEMPORAL_RANGES
    if draft.hooks.options.on_unrepresentable != "text" and not held:
        raise NotRendered("on_unrepresentable is for Python")


def _has_own_values(sqltype: TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether a type makes other values than those that the driver gives."""
    impl = sqltype.dialect_impl(dialect)
    if any(isinstance(each, TypeDecorator) for each in (sqltype, impl)):
        return not isinstance(sqltype, Interval)
    if isinstance(sqltype, ARRAY) and _has_own_values(sqltype.item_type, dialect):
        return True
    if isinstance(sqltype, Uuid) and not sqltype.native_uuid:
        return True
    kind = type(sqltype)
    methods = (kind.result_processor, kind.column_expression, kind.dialect_impl)
    if any(not method.__module__.startswith("sqlalchemy.") for method in methods):
        return True
    return not (kind.__module__.startswith("sqlalchemy.") or isinstance(sqltype, String | Enum))


_TEMPORAL_RANGES = frozenset({"daterange", "tsrange", "datemultirange", "tsmultirange"})


def _rendered(
    draft: Draft,
    widget: Widget,
    column: ColumnElement[Any],
    sqltype: TypeEngine[Any] | None,
    server: ServerType,
) -> ColumnElement[Any]:
    _check_type(draft, sqltype, server)
    name = type_name(server, sqltype)
    rendered = widget.render_sql(column, name)
    if rendered is None:
        raise NotRendered(f"no SQL gives the text of {widget!r} for {name}")
    return rendered


def _joined(
    draft: Draft, item: DraftField, select: RowSelect, widget: Widget
) -> ColumnElement[Any]:
    """Give the texts of a to-many relation, joined."""
    value = item.value
    assert value is not None
    assert value.element is not None
    target, element = value.targets[0], value.element
    if type(widget) is not ManyToManyWidget:
        raise NotRendered(f"{type(widget).__name__} takes the values of {target.name} in Python")
    each = widget.item
    separator = quoted(widget.separator)
    if each is None or each.sql_is_definition or not element.is_stored or separator is None:
        raise NotRendered(f"the values of {target.name} have no exact text in SQL")
    many = draft.types[many_key(target, element)]
    one = ServerType(many.name.removesuffix("[]"), many.oid, many.is_builtin)
    return select.joined(
        target,
        element,
        lambda column: _rendered(draft, each, column, element.sqltype, one),
        separator,
    )
