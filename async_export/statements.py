"""A user's Select, and the SELECT that an export makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    TextClause,
    case,
    cast,
    func,
    inspect,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, array
from sqlalchemy.orm import (
    FromStatement,
    LoaderCriteriaOption,
    Mapper,
    MapperProperty,
    RelationshipProperty,
    aliased,
    defer,
    raiseload,
    strategy_options,
)
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import String, TypeEngine

from async_export.errors import ConfigurationError
from async_export.paths import PathTarget, key_names, resolve_path

__all__ = ("Queried", "RowSelect", "is_statement", "look_at", "one_after", "with_loading")


@dataclass(frozen=True, slots=True)
class Queried:
    """What a statement gives for each row.

    Attributes:
        statement: The statement.
        entity: The mapped class or alias that it selects first; None if it selects columns.
        mapper: Mapper of *entity*.
        columns: By name, what else it selects: labelled columns and further entities.
        names: The names of what else it selects, in order; None for what has no name.
        fixed: Why its columns cannot be replaced by those that an export needs; empty if they
            can.
    """

    statement: Any
    entity: Any = None
    mapper: Mapper[Any] | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    names: tuple[str | None, ...] = ()
    fixed: str = ""


def is_statement(queryset: object) -> bool:
    """Tell a statement from an iterable."""
    return isinstance(queryset, Executable)


def one_after(statement: Any, rows: int) -> Select[Any]:
    """Select 1 if *statement* gives more than so many *rows*, else nothing."""
    if isinstance(statement, TextClause):
        statement = statement.columns()
    elif hasattr(statement, "order_by"):
        statement = statement.order_by(None)
    return select(literal_column("1")).select_from(statement.subquery()).offset(rows).limit(1)


def look_at(statement: Any) -> Queried:
    """Find out what *statement* selects, and whether its columns may be replaced.

    Raises:
        ConfigurationError: it selects nothing, or locks rows.
    """
    if getattr(statement, "_for_update_arg", None) is not None:
        raise ConfigurationError(
            "the queryset has with_for_update(), but an export only reads; leave it out"
        )
    selects = getattr(statement, "is_select", False) or isinstance(
        statement, TextClause | FromStatement
    )
    if not selects:
        raise ConfigurationError(
            f"an export needs a select, not {type(statement).__name__.lower()}"
        )
    described: Sequence[dict[str, Any]] = getattr(statement, "column_descriptions", ())
    selected = {each["name"]: each["expr"] for each in described if each["name"]}
    first = described[0] if described else None
    # Selects of plain tables are described without an entity.
    if first is None or first.get("entity") is None or first["expr"] is not first["entity"]:
        return Queried(statement, columns=selected or _selected(statement), fixed=_fixed(statement))
    entity = first["entity"]
    mapper = inspect(entity).mapper
    names = tuple(_label(each, entity, mapper) for each in described[1:])
    selected = {name: e["expr"] for name, e in zip(names, described[1:], strict=True) if name}
    others = [e for e in described[1:] if e["expr"] is e.get("entity") is not None]
    fixed = "it selects more than one entity" if others else _fixed(statement)
    return Queried(statement, entity, mapper, selected, names, fixed)


def _label(described: dict[str, Any], entity: Any, mapper: Mapper[Any]) -> str | None:
    """Give the name of what a statement selects beside *entity*; None if it needs none.

    On the mapped object that name becomes an attribute, so it must not be one of its own.
    """
    name: str | None = described["name"]
    if name is None or name not in mapper.all_orm_descriptors:
        return name
    if described["expr"] is getattr(entity, name):
        return None
    raise ConfigurationError(
        f"the queryset labels a column {name!r}, which is also an attribute of "
        f"{mapper.class_.__name__}; choose another label"
    )


def _selected(statement: Any) -> dict[str, Any]:
    columns = getattr(statement, "selected_columns", None)
    return {} if columns is None else dict(columns.items())


def _fixed(statement: Any) -> str:
    """Say why the columns of *statement* must stay, or nothing.

    SQLAlchemy shows these properties only under private names; where one is missing, the
    columns stay.
    """
    if not isinstance(statement, Select):
        return "it is not a plain select()"
    absent: Any = object()
    reasons = {
        "_distinct": "it is distinct",
        "_distinct_on": "it is distinct",
        "_group_by_clauses": "it is grouped",
        "_having_criteria": "it is grouped",
    }
    for name, reason in reasons.items():
        value = getattr(statement, name, absent)
        if value is absent or value:
            return reason
    order: Any = getattr(statement, "_order_by_clauses", absent)
    if order is absent or any(_is_position(each) for each in order):
        return "it orders by the position of a column"
    options = getattr(statement, "_with_options", absent)
    if options is absent or any(isinstance(each, LoaderCriteriaOption) for each in options):
        return "it has with_loader_criteria()"
    return ""


def _is_position(clause: Any) -> bool:
    """Tell whether a clause of ORDER BY, written as text, may mean a column by its number."""
    text = getattr(clause, "text", "")
    return isinstance(text, str) and text.lstrip()[:1].isdecimal()


class RowSelect:
    """Finds the columns that an export reads, and builds the SELECT of those.

    To-one relations become LEFT JOINs of an alias for each relation path, so that no row is
    lost or doubled; to-many relations become arrays or texts, aggregated in a scalar subquery.
    A statement that selects columns instead of a mapped class is wrapped as a subquery.

    Args:
        queried: What is selected from.

    Attributes:
        kept: By name, the labelled columns that stand beside a mapped class.
    """

    def __init__(self, queried: Queried) -> None:
        self._entities: dict[tuple[str, ...], Any] = {(): queried.entity}
        self._joins: list[Any] = []
        self._is_named = False
        self._statement = queried.statement
        self._labels: Mapping[str, Any] = queried.columns
        self.kept: Mapping[str, Any] = {} if queried.mapper is None else queried.columns
        if queried.mapper is None:
            # As a subquery it keeps its order, and set-returning functions among its columns.
            wrapped = queried.statement.subquery()
            self._labels = dict(zip(queried.columns, wrapped.columns, strict=True))
            self._statement = select(*wrapped.columns)

    def label(self, name: str) -> ColumnElement[Any]:
        """Give a labelled column of the queryset."""
        column: ColumnElement[Any] = self._labels[name]
        return column

    def column(self, target: PathTarget) -> ColumnElement[Any]:
        """Give the column where *target* leads."""
        entity = self._entity(target.relations)
        self._is_named |= not target.relations
        column: Any = getattr(entity, target.name)
        if target.relations and not target.is_stored:
            # What is computed may have a value even where the LEFT JOIN found no row.
            column = _null_if_absent(entity, column)
        return column  # type: ignore[no-any-return]

    def array(self, target: PathTarget, element: PathTarget) -> ColumnElement[Any]:
        """Give *element* of every related object, as an array."""
        values, order = _element(target, element)
        aggregated = self._aggregated(
            target, values, func.pg_catalog.array_agg(aggregate_order_by(values.it, *order))
        )
        sqltype: TypeEngine[Any] = values.it.type
        found = func.coalesce(aggregated, cast(array([]), ARRAY(sqltype)), type_=ARRAY(sqltype))
        return _null_if_absent(self._entity(target.relations), found) if target.relations else found

    def joined(
        self,
        target: PathTarget,
        element: PathTarget,
        render: Callable[[ColumnElement[Any]], ColumnElement[Any]],
        separator: ColumnElement[Any],
    ) -> ColumnElement[Any]:
        """Give the texts of *element* of every related object, joined; null if there is none.

        Args:
            target: The relation.
            element: The column of the related objects.
            render: Gives its text.
            separator: What stands between two of them.
        """
        values, order = _element(target, element)
        text = func.coalesce(cast(render(values.it), Text), literal_column("'None'"))
        joined = func.pg_catalog.string_agg(
            text, aggregate_order_by(separator, *order), type_=Text()
        )
        aggregated: ColumnElement[Any] = self._aggregated(target, values, joined)
        return (
            _null_if_absent(self._entity(target.relations), aggregated)
            if target.relations
            else aggregated
        )

    def statement(self, columns: Sequence[ColumnElement[Any]], *, beside: bool = False) -> Any:
        """Give the SELECT of *columns*.

        Args:
            columns: What to select; each needs a label.
            beside: Whether they stand behind what the queryset selects, not in its place.
        """
        statement = self._statement
        for join in self._joins:
            statement = statement.outerjoin(join)
        if beside:
            return statement.add_columns(*columns)
        # Without a column of the class nothing else would say what to select from.
        return statement.with_only_columns(*columns, maintain_column_froms=not self._is_named)

    def _entity(self, relations: tuple[str, ...]) -> Any:
        if relations not in self._entities:
            parent = self._entity(relations[:-1])
            relation = getattr(parent, relations[-1])
            alias = aliased(relation.property.mapper.class_)
            self._joins.append(relation.of_type(alias))
            self._entities[relations] = alias
        return self._entities[relations]

    def _aggregated(self, target: PathTarget, values: _Element, aggregate: Any) -> Any:
        parent = self._entity(target.relations)
        return (
            select(aggregate)
            .where(getattr(parent, target.name).of_type(values.of))
            # Not correlate(parent): a joined subclass is more than one table.
            .correlate_except(values.of, *_secondary(target.relationship))
            .scalar_subquery()
        )


class _Element(NamedTuple):
    """A column of the related objects, and the alias that it is of."""

    it: Any
    of: Any


def _element(target: PathTarget, element: PathTarget) -> tuple[_Element, list[Any]]:
    """Give *element* of the objects of a relation, and the relation's order."""
    relationship = target.relationship
    related = aliased(relationship.mapper.class_)
    order = [*_adapted(relationship.order_by or (), related), *_key_order(related)]
    return _Element(getattr(related, element.name), related), order


def _secondary(relationship: RelationshipProperty[Any]) -> list[Any]:
    return [] if relationship.secondary is None else [relationship.secondary]


def _null_if_absent(entity: Any, column: Any) -> Any:
    """Give *column*, or null where there is no row of *entity*."""
    key = getattr(entity, key_names(inspect(entity).mapper)[0])
    return type_coerce(case((key.is_(None), None), else_=column), column.type)


def _adapted(order_by: Sequence[Any], related: Any) -> list[Any]:
    """Give a relationship's ``order_by`` for an alias of its target."""
    adapter = inspect(related)._adapt_element  # noqa: SLF001 - has no public name
    return [adapter(clause) for clause in order_by]


def _key_order(related: Any) -> list[Any]:
    """Order by primary key as Python does: text by code points, whatever the collation."""
    mapper = inspect(related).mapper
    names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    keys = [getattr(related, name) for name in names]
    return [cast(k, Text).collate("C") if isinstance(k.type, String) else k for k in keys]


def with_loading(queried: Queried, targets: Sequence[PathTarget], load: Sequence[Any]) -> Any:
    """Give the statement of mapped objects that have *targets* loaded, and nothing else.

    The queryset's own options come last, so that they win.
    """
    statement = queried.statement
    entity = queried.entity
    join = isinstance(statement, Select) and not queried.fixed
    own = (*getattr(statement, "_with_options", ()), *load)
    loads = _Loads(covered=_covered(own), join=join)
    options: list[Any] = [raiseload("*"), *loads.undeferrable(entity, targets)]
    options += [each for each in (loads.of(entity, t) for t in targets) if each is not None]
    bare = statement._generate()  # noqa: SLF001 - options can only be appended in public
    bare._with_options = ()  # noqa: SLF001 - likewise
    return bare.options(*options, *own)


def _covered(options: Sequence[Any]) -> frozenset[tuple[str, ...]]:
    """Attribute paths for which *options* say how to load; ours would be in conflict."""
    elements = [e for option in options for e in getattr(option, "context", ())]
    paths = [getattr(getattr(element, "path", None), "path", ()) for element in elements]
    return frozenset(
        tuple(each.key for each in path if isinstance(each, MapperProperty)) for path in paths
    )


@dataclass(frozen=True, slots=True)
class _Loads:
    """Makes loader options of paths.

    Attributes:
        covered: Paths that the queryset's own options load already.
        join: Whether to-one relations are joined, or selected once per batch.
    """

    covered: frozenset[tuple[str, ...]]
    join: bool

    def of(self, entity: Any, target: PathTarget) -> Any:
        """Make the loader option of one path; None if the entity itself has all of it."""
        load: Any = None
        names: tuple[str, ...] = ()
        step: Any = entity
        relations = [*target.relations, *([target.name] if target.leaf == "to_one" else [])]
        for name in relations:
            names = (*names, name)
            load, step = self._then(load, getattr(step, name), names, join=self.join)
        if target.leaf == "to_many":
            names = (*names, target.name)
            load, step = self._then(load, getattr(step, target.name), names, join=False)
            if target.tail:
                target = resolve_path(inspect(step), target.tail)
                for name in target.relations:
                    names = (*names, name)
                    load, step = self._then(load, getattr(step, name), names, join=False)
        if target.leaf == "column" and target.name in _deferred(target.mapper):
            names = (*names, target.name)
            if names not in self.covered:
                load = (strategy_options if load is None else load).undefer(
                    getattr(step, target.name)
                )
        return load

    def undeferrable(self, entity: Any, targets: Sequence[PathTarget]) -> list[Any]:
        """Make deferred columns that nobody declared fail with their name when they are read."""
        wanted = {target.name for target in targets if not target.relations}
        names = [name for name in _deferred(inspect(entity).mapper) if name not in wanted]
        names = [name for name in names if (name,) not in self.covered]
        return [defer(getattr(entity, name), raiseload=True) for name in names]

    def _then(
        self, load: Any, attribute: Any, names: tuple[str, ...], *, join: bool
    ) -> tuple[Any, Any]:
        """Extend a loader option by a relation; give it and the class that it leads to."""
        before: Any = strategy_options if load is None else load
        how = "joinedload" if join else "selectinload"
        option = getattr(before, "defaultload" if names in self.covered else how)(attribute)
        return option, attribute.property.mapper.class_


def _deferred(mapper: Mapper[Any]) -> list[str]:
    return [each.key for each in mapper.column_attrs if each.deferred]
