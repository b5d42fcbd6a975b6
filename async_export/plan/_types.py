"""Asking the server for the types of the columns that an export may read."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from sqlalchemy import literal_column, select

from async_export.faults import DATABASE_ERRORS
from async_export.fields import DEPENDS
from async_export.hooks import is_overridden
from async_export.plan._columns import Columns
from async_export.plan._draft import Draft, DraftField
from async_export.plan._light import light_rows
from async_export.postgres.describing import describe
from async_export.statements import Queried, RowSelect
from async_export.values import primary_key

__all__ = ("RefusedError", "describe_columns")


class RefusedError(Exception):
    """The server refuses the statement with the columns that are read.

    Args:
        name: Name of the server's error.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"PostgreSQL refuses the queryset with the columns that are read ({name})")


async def describe_columns(draft: Draft, items: Sequence[DraftField]) -> None:
    """Find the types of all columns that fields and hooks read; one round trip.

    Raises:
        RefusedError: the server refuses the statement.
        SourceError: the database is lost.
        SQLAlchemyError: the queryset cannot select other columns than its own.
    """
    assert draft.queried is not None
    assert draft.database is not None
    columns = _read_columns(draft, items, draft.queried)
    options = {"render_postcompile": True}
    dialect = draft.database.dialect
    sql = str(columns.statement().compile(dialect=dialect, compile_kwargs=options))
    driver = await draft.database.driver()
    try:
        # A refusal must not end the transaction.
        async with driver.transaction():
            described = await describe(driver, sql)
    except asyncpg.PostgresError as error:
        # What is wrong with the queryset itself will be told by itself.
        raise RefusedError(type(error).__name__) from error
    except DATABASE_ERRORS as error:
        raise draft.database.fault(error) from error
    own = draft.database.own_codecs
    for key, place in columns.keys.items():
        server = described[place].type
        if server.oid in own:
            # What these make of a value, no SQL and no decoder knows.
            server = server._replace(name=f"{server.name} with a codec of the caller's")
        draft.types[key] = server


def _read_columns(draft: Draft, items: Sequence[DraftField], queried: Queried) -> Columns:
    """Collect the columns that fields and hooks read."""
    is_fixed = queried.mapper is not None and bool(queried.fixed)
    if is_fixed:
        # Its own columns have the types that they have anywhere.
        queried = Queried(select(queried.entity), queried.entity, queried.mapper)
    columns = Columns(RowSelect(queried))
    columns.add_labels()
    for item in items:
        if item.value is not None:
            _add_value(item, columns, queried)
        elif item.reads is not None and not is_fixed:
            light_rows(draft, item.hook_name, item.reads, columns)
    prepare = draft.hooks.prepare_batch
    reads = getattr(prepare, DEPENDS, None)
    if is_overridden(prepare) and reads is not None and not is_fixed:
        light_rows(draft, "prepare_batch", reads, columns)
    for target in () if draft.mapper is None else primary_key(draft.mapper):
        columns.add_path(target)
    columns.add(("nothing",), lambda: literal_column("1"))
    return columns


def _add_value(item: DraftField, columns: Columns, queried: Queried) -> None:
    value = item.value
    assert value is not None
    if value.label:
        if value.label in queried.columns:
            columns.add_label(value.label)
    elif value.element is not None:
        columns.add_many(value.targets[0], value.element)
    for target in value.targets:
        if target.leaf == "column":
            columns.add_path(target)
