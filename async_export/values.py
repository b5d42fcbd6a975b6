"""What a field's value is made of: the attributes it reads, its widget and its type."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BooleanClauseList
from sqlalchemy.sql.util import find_tables
from sqlalchemy.types import TypeEngine

from async_export.declare import mapper_of
from async_export.errors import ConfigurationError, UnknownNameError
from async_export.fields import Field, read_path, split_path
from async_export.hooks import Hooks
from async_export.paths import PathTarget, key_names, known_names, resolve_path
from async_export.sqltypes import in_dialect, logical_type
from async_export.statements import Queried
from async_export.types import Kind, LogicalType
from async_export.widgets import AutoWidget, ForeignKeyWidget, ManyToManyWidget, Widget

__all__ = ("FieldValue", "combined", "primary_key", "value_of")


@dataclass(frozen=True, slots=True)
class FieldValue:
    """Where a field's value comes from, before any hook.

    Attributes:
        widget: The widget that makes the cell.
        type: Logical type of the native cell.
        targets: Where its paths lead on the mapper; several for a composite key. Empty if the
            value is a labelled column, or read from objects that are not mapped.
        element: For to-many relations, the column to take of each related object; None if the
            whole objects are wanted, or what is wanted of them is no column.
        label: Name of the labelled column that it is; empty if it is none.
        steps: Steps inside the labelled column, or from an object that is not mapped.
        model: The class that `targets` start from.
        sqltype: Type of the labelled column; None if unknown.
    """

    widget: Widget
    type: LogicalType
    targets: tuple[PathTarget, ...] = ()
    element: PathTarget | None = None
    label: str = ""
    steps: tuple[str, ...] = ()
    model: builtins.type[Any] | None = None
    sqltype: TypeEngine[Any] | None = None

    def reader(self) -> Callable[[Any], Any]:
        """Give the function that reads the value from an instance, or from an object at hand."""
        steps = (self.label, *self.steps) if self.label else self.steps
        model = self.model
        if model is None:
            return lambda row: read_path(row, steps)
        mapped = self.mapped_reader()
        return lambda item: mapped(item) if isinstance(item, model) else read_path(item, steps)

    def mapped_reader(self) -> Callable[[Any], Any]:
        """Give the function that reads the value from a mapped object."""
        return combined([target.reader() for target in self.targets])


def combined(readers: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Read a value, or the tuple of a composite key; None if a part of that is missing."""
    if len(readers) == 1:
        return readers[0]

    def read(row: Any) -> tuple[Any, ...] | None:
        values = tuple(reader(row) for reader in readers)
        return None if any(value is None for value in values) else values

    return read


def value_of(
    field: Field, hooks: Hooks, queried: Queried | None, dialect: str = "postgresql"
) -> FieldValue:
    """Find out where the value of *field* comes from.

    Args:
        field: The field.
        hooks: The resource that it belongs to.
        queried: What the queryset selects; None if it is an iterable.
        dialect: Name of the database's dialect.

    Raises:
        ConfigurationError: its attribute does not exist, or leads nowhere.
    """
    value = _value_of(field, hooks, queried)
    # A type that the field declares is meant as it is.
    return value if field.type else replace(value, type=in_dialect(value.type, dialect))


def _value_of(field: Field, hooks: Hooks, queried: Queried | None) -> FieldValue:
    attribute = field.attribute or field.name
    steps = (attribute,) if queried and attribute in queried.columns else split_path(attribute)
    if queried is None:
        return _of_object(field, hooks, steps)
    if steps[0] in queried.columns:
        return _labelled(field, hooks, queried, steps)
    if queried.mapper is None:
        raise UnknownNameError("column", steps[0], queried.columns, "the queryset")
    return replace(_mapped(field, hooks, queried, steps), model=queried.mapper.class_)


def _of_object(field: Field, hooks: Hooks, steps: tuple[str, ...]) -> FieldValue:
    """Find the value in objects at hand, which may be instances of ``Meta.model`` or not."""
    mapper = mapper_of(hooks.options.model)
    if mapper is None or not hasattr(mapper.class_, steps[0]):
        return _plain(field, hooks, None, FieldValue(AutoWidget(), LogicalType(), steps=steps))
    queried = Queried(None, mapper.class_, mapper)
    value = _mapped(field, hooks, queried, steps)
    return replace(value, steps=steps, model=mapper.class_)


def _labelled(field: Field, hooks: Hooks, queried: Queried, steps: tuple[str, ...]) -> FieldValue:
    label, *inside = steps
    sqltype = None if inside else getattr(queried.columns[label], "type", None)
    value = FieldValue(
        AutoWidget(), LogicalType(), label=label, steps=tuple(inside), sqltype=sqltype
    )
    return _plain(field, hooks, sqltype, value)


def _mapped(field: Field, hooks: Hooks, queried: Queried, steps: tuple[str, ...]) -> FieldValue:
    assert queried.mapper is not None
    try:
        target = resolve_path(queried.mapper, steps)
    except UnknownNameError as error:
        known = [*queried.columns, *known_names(queried.mapper)]
        if error.where == queried.mapper.class_.__name__ and queried.columns:
            raise UnknownNameError(error.what, error.name, known, error.where) from None
        raise
    if target.leaf == "to_one":
        return _to_one(field, hooks, target)
    if target.leaf == "to_many":
        return _to_many(field, hooks, target)
    value = FieldValue(AutoWidget(), LogicalType(), (target,))
    return _plain(field, hooks, target.sqltype, value)


def _to_one(field: Field, hooks: Hooks, target: PathTarget) -> FieldValue:
    given = _given_widget(field, hooks, ForeignKeyWidget())
    if isinstance(given, ForeignKeyWidget) and given.use_natural_foreign_keys:
        return FieldValue(given, LogicalType(Kind.JSON), (target,))
    if isinstance(given, ManyToManyWidget):
        raise ConfigurationError(
            f"{target.name} has one object; use ForeignKeyWidget(field={given.field or 'pk'!r})"
        )
    if given is not None and not isinstance(given, ForeignKeyWidget):
        return FieldValue(given, LogicalType(), (target,))
    if given is None or given.field == "pk":
        targets = _key_targets(target)
    else:
        found = _below(target, resolve_path(target.relationship.mapper, split_path(given.field)))
        targets = _key_targets(found) if found.leaf == "to_one" else (found,)
    sqltype = targets[0].sqltype
    if len(targets) > 1 or sqltype is None:
        return FieldValue(given or ForeignKeyWidget(), LogicalType(), targets)
    # The key of a related object reads as any other column of its type.
    own = hooks.widget_for_column(field.name, sqltype)
    plain = type(given) is ForeignKeyWidget and given.item is None
    widget = own if given is None or plain else given
    return FieldValue(widget, logical_type(sqltype), targets)


def _key_targets(target: PathTarget) -> tuple[PathTarget, ...]:
    """Where the key of the related object is: in the row itself, if it has the foreign key."""
    relationship = target.relationship
    remote = {}
    if relationship.direction is RelationshipDirection.MANYTOONE and _only_equates(relationship):
        remote = {far: near for near, far in relationship.local_remote_pairs or ()}
    names = key_names(relationship.mapper)
    if all(column in remote for column in relationship.mapper.primary_key):
        mapper = target.mapper
        local = [
            mapper.get_property_by_column(remote[column]).key
            for column in relationship.mapper.primary_key
        ]
        return tuple(
            replace(resolve_path(mapper, (name,)), relations=target.relations) for name in local
        )
    return tuple(_below(target, resolve_path(relationship.mapper, (name,))) for name in names)


def _only_equates(relationship: RelationshipProperty[Any]) -> bool:
    """Tell whether a relation has no condition beside its foreign key."""
    clause = relationship.primaryjoin
    clauses = clause.clauses if isinstance(clause, BooleanClauseList) else [clause]
    equal = all(getattr(each, "operator", None) is operators.eq for each in clauses)
    return equal and len(clauses) == len(relationship.local_remote_pairs or ())


def _below(target: PathTarget, found: PathTarget) -> PathTarget:
    """Give *found*, seen from where the path of *target* began."""
    return replace(found, relations=(*target.relations, target.name, *found.relations))


def _to_many(field: Field, hooks: Hooks, target: PathTarget) -> FieldValue:
    given = _given_widget(field, hooks, ManyToManyWidget())
    widget = ManyToManyWidget() if given is None else given
    if isinstance(widget, ForeignKeyWidget):
        raise ConfigurationError(
            f"{target.name} has many objects; use ManyToManyWidget(field={widget.field!r})"
        )
    related = target.relationship.mapper
    steps = target.tail
    if isinstance(widget, ManyToManyWidget) and not steps:
        steps = tuple(key_names(related)) if widget.field is None else split_path(widget.field)
        if widget.field is None and len(steps) > 1:
            raise ConfigurationError(
                f"{related.class_.__name__} has a composite key; say which attribute to export: "
                f"Field({target.name!r}, widget=ManyToManyWidget(field=...))"
            )
    if not steps:
        return FieldValue(widget, LogicalType(Kind.LIST), (target,))
    found = resolve_path(related, steps)
    if found.leaf == "to_one" and isinstance(widget, ManyToManyWidget):
        found, *others = _key_targets(found)
        if others:
            raise ConfigurationError(f"{target.name}: {widget.field} has a composite key")
        steps = (*found.relations, found.name)
    if found.leaf == "to_many":
        raise ConfigurationError(f"{target.name}: {'.'.join(steps)} has many objects itself")
    item = LogicalType() if found.sqltype is None else logical_type(found.sqltype)
    is_list = item.kind is Kind.LIST
    if found.sqltype is not None and not is_list and isinstance(widget, ManyToManyWidget):
        # Each key reads as any other column of its type.
        widget = widget.with_item(hooks.widget_for_column(field.name, found.sqltype))
    plain = found.leaf == "column" and not found.relations and not found.tail and not is_list
    plain = plain and _orders_by_target(target.relationship)
    return FieldValue(
        widget,
        LogicalType(Kind.LIST, item=item),
        (replace(target, tail=steps),),
        found if plain else None,
    )


def _orders_by_target(relationship: RelationshipProperty[Any]) -> bool:
    """Tell whether a relation is ordered by nothing else than columns of its target."""
    tables = set(relationship.mapper.tables)
    return all(
        tables.issuperset(find_tables(each, check_columns=True))
        for each in relationship.order_by or ()
    )


def _plain(
    field: Field, hooks: Hooks, sqltype: TypeEngine[Any] | None, value: FieldValue
) -> FieldValue:
    """Choose widget and type of a value that is no relation."""
    sqltype = field.type if field.type is not None else sqltype
    own = AutoWidget() if sqltype is None else hooks.widget_for_column(field.name, sqltype)
    given = _given_widget(field, hooks, own)
    widget = own if given is None else given
    logical = widget.logical_type if sqltype is None else logical_type(sqltype)
    return replace(value, widget=widget, type=logical)


def _given_widget(field: Field, hooks: Hooks, own: Widget) -> Widget | None:
    """Give the widget that somebody asked for: in the field, or in ``Meta.widgets``.

    Args:
        field: The field.
        hooks: Its resource.
        own: The widget whose arguments ``Meta.widgets`` changes.
    """
    if field.widget is not None:
        return field.widget
    asked = hooks.options.widgets.get(field.name)
    if asked is None or isinstance(asked, Widget):
        return asked
    if not isinstance(asked, Mapping):
        raise ConfigurationError(
            f"Meta.widgets[{field.name!r}] takes a widget or a dict of its arguments, "
            f"not {type(asked).__name__}"
        )
    names = inspect.signature(type(own)).parameters
    for name in asked:
        if name not in names:
            raise UnknownNameError("argument", name, names, type(own).__name__)
    kept = {name: getattr(own, name) for name in names if hasattr(own, name)}
    return type(own)(**{**kept, **asked})


def primary_key(mapper: Mapper[Any]) -> tuple[PathTarget, ...]:
    """Where the columns of a primary key are."""
    return tuple(resolve_path(mapper, (name,)) for name in key_names(mapper))
