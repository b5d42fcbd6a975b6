"""Where an attribute path leads, through the mappers of SQLAlchemy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, TypeAlias

from sqlalchemy import JSON, Column
from sqlalchemy.dialects.postgresql import HSTORE
from sqlalchemy.ext.associationproxy import AssociationProxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    ColumnProperty,
    CompositeProperty,
    Mapper,
    RelationshipProperty,
    SynonymProperty,
)
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine

from async_export.errors import ConfigurationError, UnknownNameError
from async_export.fields import read_path

__all__ = (
    "Leaf",
    "PathTarget",
    "column_at",
    "has_attribute",
    "key_names",
    "known_names",
    "resolve_path",
)

Leaf: TypeAlias = Literal["column", "python", "to_one", "to_many"]


@dataclass(frozen=True, slots=True)
class PathTarget:
    """Where a path leads.

    Attributes:
        relations: Names of the to-one relationships on the way, in order.
        leaf: ``column``: an attribute that SQL can select; ``to_one``, ``to_many``: a
            relationship; ``python``: something that only the mapped object has.
        name: Name of the leaf on the class where the relations end.
        mapper: Mapper of that class.
        tail: Steps inside the leaf's value, such as the keys of a JSON column; for ``to_many``
            the path from each related object.
        sqltype: Type of a column without tail; None if unknown.
    """

    relations: tuple[str, ...]
    leaf: Leaf
    name: str
    mapper: Mapper[Any]
    tail: tuple[str, ...] = ()
    sqltype: TypeEngine[Any] | None = None

    @property
    def is_stored(self) -> bool:
        """Whether the leaf is a column of a table, and not computed."""
        found = self.mapper.attrs.get(self.name)
        return isinstance(found, ColumnProperty) and isinstance(found.columns[0], Column)

    @property
    def relationship(self) -> RelationshipProperty[Any]:
        """The relationship that the leaf is."""
        return self.mapper.relationships[self.name]

    def reader(self) -> Callable[[Any], Any]:
        """Give a function that reads the value from a mapped object."""
        if self.leaf == "to_many":
            return self._many_reader()
        if self.leaf == "column" and self.is_stored and not self.relations and not self.tail:
            return _loaded_reader(self.name)
        steps = (*self.relations, self.name, *self.tail)
        return lambda instance: read_path(instance, steps)

    def _many_reader(self) -> Callable[[Any], Any]:
        way = (*self.relations, self.name)
        tail = self.tail
        in_order = _sorter(self.relationship)

        def read(instance: Any) -> Any:
            related = read_path(instance, way)
            return (
                None if related is None else [read_path(each, tail) for each in in_order(related)]
            )

        return read


def _loaded_reader(name: str) -> Callable[[Any], Any]:
    """Read a column that is loaded where SQLAlchemy keeps it, past its descriptor."""

    def read(instance: Any) -> Any:
        try:
            return instance.__dict__[name]
        except KeyError:
            return getattr(instance, name)

    return read


def _sorter(relationship: RelationshipProperty[Any]) -> Callable[[Any], list[Any]]:
    """Give the function that sorts what the database left in any order by primary key.

    Nothing is sorted that the relationship's own ``order_by`` has put in order.
    """
    mapper = relationship.mapper
    key = mapper.primary_key_from_instance
    names = [mapper.get_property_by_column(c).key for c in _plain_columns(relationship)]
    has_order = bool(relationship.order_by)

    def in_order(related: Any) -> list[Any]:
        found = list(related.values() if isinstance(related, dict) else related)
        if not has_order:
            return sorted(found, key=key)
        if not names:
            return found
        ties = groupby(found, lambda each: [getattr(each, name) for name in names])
        return [each for _, tied in ties for each in sorted(tied, key=key)]

    return in_order


def _plain_columns(relationship: RelationshipProperty[Any]) -> list[Column[Any]]:
    """Columns of ``order_by``, when it has nothing else."""
    columns = []
    for clause in relationship.order_by or ():
        column = getattr(clause, "element", clause)
        if not isinstance(column, Column) or column not in relationship.mapper.c.values():
            return []
        columns.append(column)
    return columns


def has_attribute(mapper: Mapper[Any], name: str) -> bool:
    """Tell whether the class has *name*, without configuring mappers or running its code."""
    absent = object()
    own = inspect.getattr_static(mapper.class_, name, absent)
    return name in mapper.all_orm_descriptors or own is not absent


def column_at(mapper: Mapper[Any], steps: Sequence[str]) -> Column[Any] | None:
    """Give the column of a table where *steps* lead; None if they lead to something else."""
    try:
        target = resolve_path(mapper, steps)
    except ConfigurationError:
        return None
    if target.leaf != "column" or target.tail or not target.is_stored:
        return None
    column: Column[Any] = target.mapper.attrs[target.name].columns[0]
    return column


def known_names(mapper: Mapper[Any]) -> list[str]:
    """Names that a path may start with: mapped attributes, proxies, hybrids and properties."""
    public = [name for name in dir(mapper.class_) if not name.startswith("_")]
    mapped = [key for key in mapper.all_orm_descriptors.keys() if not key.startswith("_")]  # noqa: SIM118 - no dict
    return sorted({*mapped, *public} - {"metadata", "registry"})


def key_names(mapper: Mapper[Any]) -> list[str]:
    """Names of the attributes that make up the primary key."""
    return [mapper.get_property_by_column(column).key for column in mapper.primary_key]


def resolve_path(mapper: Mapper[Any], steps: Sequence[str]) -> PathTarget:
    """Follow *steps* from *mapper* to the attribute that they name.

    Raises:
        UnknownNameError: a step names nothing on its class.
        ConfigurationError: a path through a to-many relation, or into a plain column.
    """
    whole = "__".join(steps)
    if len(steps) > 1 and whole in mapper.all_orm_descriptors:
        steps = (whole,)
    relations: list[str] = []
    for position, step in enumerate(steps):
        rest = tuple(steps[position + 1 :])
        found = _attribute(mapper, step)
        if isinstance(found, AssociationProxy):
            proxied = (*steps[:position], found.target_collection, found.value_attr, *rest)
            return _through_proxy(mapper, proxied[position:], relations)
        if not isinstance(found, RelationshipProperty):
            return _leaf(mapper, found, step, rest, tuple(relations))
        if found.uselist:
            return _to_many(mapper, found, rest, tuple(relations))
        if not rest:
            return PathTarget(tuple(relations), "to_one", found.key, mapper)
        relations.append(found.key)
        mapper = found.mapper
    raise ConfigurationError("an attribute path has no steps")


def _attribute(mapper: Mapper[Any], step: str) -> Any:
    """Find what *step* names on the class: a property, proxy, hybrid, or None for Python's own."""
    found: Any = mapper.attrs.get(step)
    if isinstance(found, SynonymProperty):
        return _attribute(mapper, found.name)
    if found is not None:
        return found
    found = mapper.all_orm_descriptors.get(step)
    if found is not None:
        return found
    if step.startswith("_") or not has_attribute(mapper, step):
        raise UnknownNameError("attribute", step, known_names(mapper), mapper.class_.__name__)
    return None


def _through_proxy(mapper: Mapper[Any], steps: tuple[str, ...], relations: list[str]) -> PathTarget:
    collection = mapper.relationships[steps[0]]
    if collection.uselist:
        return PathTarget(tuple(relations), "to_many", steps[0], mapper, steps[1:])
    target = resolve_path(mapper, steps)
    return PathTarget(
        (*relations, *target.relations),
        target.leaf,
        target.name,
        target.mapper,
        target.tail,
        target.sqltype,
    )


def _to_many(
    mapper: Mapper[Any],
    found: RelationshipProperty[Any],
    rest: tuple[str, ...],
    relations: tuple[str, ...],
) -> PathTarget:
    if rest:
        raise ConfigurationError(
            f"{mapper.class_.__name__}.{found.key} has many objects; to export an attribute of "
            f"each write Field({'.'.join((*relations, found.key))!r}, "
            f"widget=ManyToManyWidget(field={'.'.join(rest)!r}))"
        )
    return PathTarget(relations, "to_many", found.key, mapper)


def _leaf(
    mapper: Mapper[Any], found: Any, step: str, rest: tuple[str, ...], relations: tuple[str, ...]
) -> PathTarget:
    if isinstance(found, ColumnProperty):
        sqltype = found.columns[0].type
        if rest and not _has_inside(sqltype):
            raise ConfigurationError(
                f"{mapper.class_.__name__}.{step} is a {type(sqltype).__name__} column; "
                f"it has no {'.'.join(rest)!r} inside"
            )
        return PathTarget(relations, "column", found.key, mapper, rest, None if rest else sqltype)
    if isinstance(found, hybrid_property) and found.expr is not None:
        expression: Any = getattr(mapper.class_, step)
        sqltype = expression.type
        return PathTarget(relations, "column", step, mapper, rest, None if rest else sqltype)
    if isinstance(found, CompositeProperty):
        return PathTarget(relations, "python", found.key, mapper, rest)
    return PathTarget(relations, "python", step, mapper, rest)


def _has_inside(sqltype: TypeEngine[Any]) -> bool:
    return isinstance(sqltype, JSON | HSTORE | TypeDecorator | NullType)
