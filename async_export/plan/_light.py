"""Light rows: from what a hook declares to read, to the columns or attributes they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Protocol

from sqlalchemy.orm import Mapper

from async_export.declare import mapper_of
from async_export.errors import UnknownNameError
from async_export.fields import read_path, split_path
from async_export.paths import PathTarget, key_names
from async_export.plan._draft import Draft, read_target
from async_export.plan._plan import Reader
from async_export.rows import LightRow, Related, Value, Values, light_row_class
from async_export.values import primary_key

__all__ = ("Reads", "light_instances", "light_rows")


class Reads(Protocol):
    """Where the values of light rows are noted: in the SELECT, or as readers of mapped objects.

    Attributes:
        null: What a cell is that has no value.
    """

    null: Any

    def add_path(self, target: PathTarget) -> Value:
        """Note the column where a path leads."""
        ...

    def add_label(self, name: str) -> Value:
        """Note a labelled column of the queryset."""
        ...


def light_rows(
    draft: Draft, hook: str, reads: Sequence[str], cells: Reads
) -> Callable[[Any], LightRow]:
    """Make the rows that one hook receives: its reads, and the primary key."""
    mapper = draft.mapper
    if mapper is None:
        names = _known_columns(draft, hook, reads)
        return light_row_class({name: cells.add_label(name) for name in names}, hook)
    tree: dict[str, Any] = {}
    for target in primary_key(mapper):
        tree[target.name] = cells.add_path(target)
    for path in reads:
        found = read_target(draft, path, mapper)
        if found is None:
            tree[path] = cells.add_label(path)
            continue
        inside = 0 if found.leaf == "to_many" else len(found.tail)
        *parents, name = _steps(mapper, path)[: len(split_path(path)) - inside]
        related = (*found.relations, found.name) if found.leaf == "to_one" else found.relations
        node = tree
        # A proxy stands where it is declared, not where it leads.
        named = [*parents, name] if found.leaf == "to_one" else parents
        for depth, step in enumerate(named):
            node = _related_node(mapper, step, related[: depth + 1], node, cells)
        if found.leaf != "to_one":
            bare = found if found.leaf == "to_many" else replace(found, tail=())
            node[name] = cells.add_path(bare)
    return light_row_class(_frozen(tree), hook)


def _steps(mapper: Mapper[Any], path: str) -> tuple[str, ...]:
    return (path,) if path in mapper.all_orm_descriptors else split_path(path)


def _related_node(
    mapper: Mapper[Any],
    name: str,
    relations: tuple[str, ...],
    parent: dict[str, Any],
    cells: Reads,
) -> dict[str, Any]:
    """Give the node of a related row, made with its primary key at first sight."""
    if name not in parent:
        related = mapper
        for relation in relations:
            related = related.relationships[relation].mapper
        node: dict[str, Any] = {}
        for target in primary_key(related):
            value = cells.add_path(replace(target, relations=relations))
            node[target.name] = value
            node.setdefault("", Related(value.position, {}, cells.null))
        parent[name] = node
    found: dict[str, Any] = parent[name]
    return found


def _frozen(tree: Mapping[str, Any]) -> dict[str, Values]:
    return {
        name: replace(value[""], values=_frozen(value)) if isinstance(value, dict) else value
        for name, value in tree.items()
        if name
    }


class _Readers:
    """Readers of the columns of light rows from mapped objects."""

    null = None

    def __init__(self) -> None:
        self.readers: list[Reader] = []

    def add_path(self, target: PathTarget) -> Value:
        return self._added(target.reader())

    def add_label(self, name: str) -> Value:
        return self._added(attrgetter(name))

    def _added(self, reader: Reader) -> Value:
        self.readers.append(reader)
        return Value(len(self.readers) - 1)


def light_instances(draft: Draft, hook: str, reads: tuple[str, ...] | None) -> Reader | None:
    """Make light rows of mapped objects, so that a hook sees the same in every strategy."""
    if reads is None:
        return None
    if draft.mapper is None:
        return _light_objects(draft, hook, reads)
    cells = _Readers()
    light = light_rows(draft, hook, reads, cells)
    return lambda instance: light([read(instance) for read in cells.readers])


def _light_objects(draft: Draft, hook: str, reads: Sequence[str]) -> Reader:
    """Make light rows of rows without a mapped class, or of objects at hand."""
    columns = None if draft.queried is None else draft.queried.columns
    names = _known_columns(draft, hook, reads)
    model = mapper_of(draft.hooks.options.model)
    keys = [] if model is None or columns is not None else key_names(model)
    extra = [name for name in keys if name not in names]
    values = {name: Value(place) for place, name in enumerate([*names, *extra])}
    row_class = light_row_class(values, hook)

    def light(item: Any) -> LightRow:
        key = [getattr(item, name, None) for name in extra]
        return row_class([*[read_path(item, (name,)) for name in names], *key])

    return light


def _known_columns(draft: Draft, hook: str, reads: Sequence[str]) -> list[str]:
    """Give the names of the columns, or attributes of objects, that *reads* begin with."""
    columns = None if draft.queried is None else draft.queried.columns
    names = list(dict.fromkeys(_first_step(path, columns) for path in reads))
    for name in names:
        if columns is not None and name not in columns:
            raise UnknownNameError("column", name, columns, f"@depends of {hook}")
    return names


def _first_step(path: str, columns: Mapping[str, Any] | None) -> str:
    return path if columns is not None and path in columns else split_path(path)[0]
