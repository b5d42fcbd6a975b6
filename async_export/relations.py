"""Which tables an export reads, as far as that is known before its hooks run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table
from sqlalchemy.orm import Mapper

from async_export.declare import dehydrate_name, mapper_of
from async_export.errors import ConfigurationError
from async_export.fields import DEPENDS, Field, split_path
from async_export.hooks import Hooks
from async_export.paths import resolve_path
from async_export.statements import is_statement

__all__ = ("Relations", "relations_of")


@dataclass(frozen=True, slots=True)
class Relations:
    """What an export reads.

    Attributes:
        mapper: Mapper of the model; None if it is none.
        tables: Tables of the model and of the relations that its fields and hooks declare.
        statements: The querysets that the caller passed, where these are statements.
    """

    mapper: Mapper[Any] | None = None
    tables: tuple[Table, ...] = ()
    statements: tuple[Any, ...] = ()

    def __or__(self, other: Relations) -> Relations:
        """Give what both read; of two mappers the first one."""
        tables = dict.fromkeys((*self.tables, *other.tables))
        statements = (*self.statements, *other.statements)
        return Relations(self.mapper or other.mapper, tuple(tables), statements)


def relations_of(hooks: Hooks, queryset: Any) -> Relations:
    """Find what an export of *queryset* reads."""
    model = hooks.options.model
    statements = (queryset,) if is_statement(queryset) else ()
    if isinstance(model, Table):
        return Relations(tables=(model,), statements=statements)
    mapper = mapper_of(model)
    if mapper is None:
        return Relations(statements=statements)
    tables = dict.fromkeys(_tables_of(mapper))
    for path in _declared_paths(hooks):
        tables |= dict.fromkeys(_tables_on(mapper, path))
    return Relations(mapper, tuple(tables), statements)


def _tables_of(mapper: Mapper[Any]) -> Iterator[Table]:
    """Give the tables of a class, those of its parents and those of its children."""
    for each in mapper.self_and_descendants:
        for table in each.tables:
            if isinstance(table, Table):
                yield table


def _declared_paths(hooks: Hooks) -> Iterator[str]:
    for name, field in hooks.fields.items():
        yield field.attribute or name
        yield from getattr(_hook_of(hooks, name, field), DEPENDS, ())
    yield from getattr(hooks.prepare_batch, DEPENDS, ())


def _hook_of(hooks: Hooks, name: str, field: Field) -> Any:
    hook = field.dehydrate_method or dehydrate_name(name)
    return getattr(hooks, hook, None) if isinstance(hook, str) else hook


def _tables_on(mapper: Mapper[Any], path: str) -> Iterator[Table]:
    """Give the tables of the relations on *path*; none if it leads nowhere, which others tell."""
    try:
        target = resolve_path(mapper, split_path(path))
    except ConfigurationError:
        return
    names = target.relations
    if target.leaf in {"to_one", "to_many"}:
        names = (*names, target.name)
    for name in names:
        relationship = mapper.relationships[name]
        if isinstance(relationship.secondary, Table):
            yield relationship.secondary
        mapper = relationship.mapper
        yield from _tables_of(mapper)
    if target.leaf == "to_many" and target.tail:
        yield from _tables_on(mapper, ".".join(target.tail))
