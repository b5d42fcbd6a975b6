"""Asking the server for the types of the columns that an export may read."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from async_export.binds import DATABASE_ERRORS, Database, source_error
from async_export.fields import DEPENDS
from async_export.hooks import is_overridden
from async_export.plan._columns import Columns
from async_export.plan._draft import Draft, DraftField
from async_export.plan._light import light_rows
from async_export.postgres.describing import ServerColumn, describe
from async_export.statements import RowSelect
from async_export.values import primary_key

__all__ = ("UnwrappableError", "describe_columns")


class UnwrappableError(SQLAlchemyError):
    """A statement that cannot stand in another one."""


async def describe_columns(draft: Draft, items: Sequence[DraftField]) -> None:
    """Find the types of all columns that fields and hooks read; one round trip.

    Raises:
        SourceError: the database refuses the statement.
        SQLAlchemyError: the queryset cannot select other columns than its own.
    """
    assert draft.queried is not None
    assert draft.database is not None
    columns = Columns(RowSelect(draft.queried))
    columns.add_labels()
    for item in items:
        if item.value is not None:
            _add_value(item, columns)
        elif item.reads is not None:
            light_rows(draft, item.hook_name, item.reads, columns)
    prepare = draft.hooks.prepare_batch
    reads = getattr(prepare, DEPENDS, None)
    if is_overridden(prepare) and reads is not None:
        light_rows(draft, "prepare_batch", reads, columns)
    for target in () if draft.mapper is None else primary_key(draft.mapper):
        columns.add_path(target)
    options = {"render_postcompile": True}
    dialect = draft.database.dialect
    sql = str(columns.statement().compile(dialect=dialect, compile_kwargs=options))
    try:
        described = await _described(draft.database, sql, attempt=draft.mapper is None)
    except DATABASE_ERRORS as error:
        raise source_error(error) from error
    own = draft.database.own_codecs
    for key, place in columns.keys.items():
        server = described[place].type
        if server.oid in own:
            # What these make of a value, no SQL and no decoder knows.
            server = server._replace(name=f"{server.name} with a codec of the caller's")
        draft.types[key] = server


def _add_value(item: DraftField, columns: Columns) -> None:
    value = item.value
    assert value is not None
    if value.label:
        columns.add_label(value.label)
    elif value.element is not None:
        columns.add_many(value.targets[0], value.element)
    for target in value.targets:
        if target.leaf == "column":
            columns.add_path(target)


async def _described(database: Database, sql: str, *, attempt: bool) -> list[ServerColumn]:
    """Describe *sql*; an attempt that the server refuses leaves the transaction usable."""
    driver = await database.driver()
    if not attempt:
        return await describe(driver, sql)
    try:
        async with driver.transaction():
            return await describe(driver, sql)
    except asyncpg.PostgresSyntaxError as error:
        # A text that is no select, such as a SHOW, cannot be a subquery.
        raise UnwrappableError from error
