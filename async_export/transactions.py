"""The transaction of an export's own: isolation, settings, locks and snapshot."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from sqlalchemy import Table, text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from async_export.errors import ConfigurationError
from async_export.postgres.describing import describe
from async_export.postgres.locks import READ_RELATIONS, STILL_UNLOCKED, lock_command
from async_export.postgres.settings import OWN_SETTINGS, set_command
from async_export.relations import Relations
from async_export.results import Snapshot

__all__ = (
    "LookUp",
    "begin",
    "driver_of",
    "isolation",
    "look_up",
    "schemas_of",
    "unnamed_statements",
)

logger = logging.getLogger(__name__)

_IS_STANDBY: Final = text("select pg_catalog.pg_is_in_recovery()")

_LSN: Final = """
    case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
      else pg_catalog.pg_current_wal_insert_lsn() end::text
"""

_ASK_LSN: Final = text(f"select {_LSN}")

_SNAPSHOT: Final = """
    select pg_catalog.clock_timestamp(), pg_catalog.current_setting('transaction_isolation'), {}
"""


@dataclass(frozen=True, slots=True)
class LookUp:
    """What a transaction of the export's own needs to know before it begins.

    Attributes:
        commands: What sets its settings, and locks what is read.
        unlocked: What is read and cannot be locked by itself.
        has_lsn: Whether the server tells how far its log is, which some services do not.
    """

    commands: Sequence[str] = ()
    unlocked: tuple[str, ...] = ()
    has_lsn: bool = False


async def driver_of(connection: AsyncConnection) -> Any:
    """Give the driver's own connection."""
    fairy = await connection.get_raw_connection()
    return fairy.driver_connection


@asynccontextmanager
async def unnamed_statements(connection: AsyncConnection) -> AsyncGenerator[None]:
    """Let SQLAlchemy prepare statements without names for a while, in a transaction.

    Behind a pooler a name may mean nothing in the next session, or somebody else's statement, and
    a statement that has one stays in the last session.
    """
    if connection.dialect.driver != "asyncpg":
        yield
        return
    adapter: Any = (await connection.get_raw_connection()).dbapi_connection
    names = ("_prepared_statement_cache", "_prepared_statement_name_func")
    before = [getattr(adapter, name) for name in names]
    try:
        for name, value in zip(names, (None, str), strict=True):
            setattr(adapter, name, value)
        yield
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(adapter, name, value)


def isolation(dialect: Dialect, *, deferrable: bool = False) -> dict[str, Any]:
    """Give the execution options of the transaction."""
    if dialect.name != "postgresql":
        return {}
    level = "SERIALIZABLE" if deferrable else "REPEATABLE READ"
    options = {"isolation_level": level, "postgresql_readonly": True}
    return {**options, "postgresql_deferrable": True} if deferrable else options


async def look_up(connection: AsyncConnection, relations: Relations, *, deferrable: bool) -> LookUp:
    """Ask, in a transaction before, what would take the snapshot too early.

    Raises:
        ConfigurationError: *deferrable* is not to be had.
    """
    if connection.dialect.name != "postgresql":
        if deferrable:
            raise ConfigurationError("deferrable=True is for PostgreSQL")
        return LookUp()
    async with unnamed_statements(connection):
        return await _look_up(connection, relations, deferrable=deferrable)


async def _look_up(
    connection: AsyncConnection, relations: Relations, *, deferrable: bool
) -> LookUp:
    settings = await connection.execute(OWN_SETTINGS)
    if deferrable and await connection.scalar(_IS_STANDBY):
        raise ConfigurationError(
            "deferrable=True needs the primary: a hot standby has no serializable transactions"
        )
    if connection.dialect.driver == "asyncpg":
        for statement in relations.statements:
            # Where schemas are translated, its text would name other tables.
            if not schemas_of(connection) and not schemas_of(statement):
                await _parse(connection, statement)
    found = await connection.execute(READ_RELATIONS, _names(connection, relations.tables))
    rows = [tuple(row) for row in found]
    commands = [set_command(name, value) for name, value in settings]
    if lockable := [name for name, is_lockable in rows if is_lockable]:
        commands.append(lock_command(lockable))
    unlocked = tuple(name for name, is_lockable in rows if not is_lockable)
    return LookUp(commands, unlocked, await _has_lsn(connection))


async def _has_lsn(connection: AsyncConnection) -> bool:
    try:
        await connection.execute(_ASK_LSN)
    except DBAPIError:  # the transaction ends here anyway; a lost connection will show at the next
        return False
    return True


async def _parse(connection: AsyncConnection, statement: Any) -> None:
    """Let the server read *statement*, so that this transaction holds the locks that it takes."""
    options = {"render_postcompile": True}
    # What is wrong with it will be told when it is planned.
    with suppress(SQLAlchemyError, asyncpg.PostgresError, ConfigurationError):
        sql = str(statement.compile(dialect=connection.dialect, compile_kwargs=options))
        driver = await driver_of(connection)
        async with driver.transaction():
            await describe(driver, sql)


def schemas_of(where: Any) -> Mapping[str | None, str]:
    """Give the schemas in which tables are instead of their own."""
    if isinstance(where, AsyncConnection):
        assert where.sync_connection is not None
        where = where.sync_connection
    found: Mapping[str | None, str] | None
    found = where.get_execution_options().get("schema_translate_map")
    return found or {}


def _names(connection: AsyncConnection, tables: Sequence[Table]) -> dict[str, list[Any]]:
    """Give the schemas and names of *tables*, where the engine puts them."""
    schemas = schemas_of(connection)
    return {
        "schemas": [schemas.get(table.schema, table.schema) for table in tables],
        "names": [table.name for table in tables],
    }


async def begin(connection: AsyncConnection, found: LookUp) -> Snapshot:
    """Begin the transaction really: drivers put it off to the first statement."""
    if connection.dialect.name == "sqlite":
        await _begin_sqlite(connection)
    if connection.dialect.name != "postgresql":
        return Snapshot()
    first, *others = found.commands
    # None of them takes the snapshot: they are no queries.
    await connection.exec_driver_sql(first)
    if connection.dialect.driver == "asyncpg":
        driver = await driver_of(connection)
        await driver.execute("; ".join(others))
    else:
        for command in others:
            await connection.execute(text(command.replace(":", "\\:")))
    return await _snapshot(connection, found)


async def _begin_sqlite(connection: AsyncConnection) -> None:
    # The driver begins none for reading, so that two reads could see two states; an engine may
    # have listeners that did it already.
    if not getattr(await driver_of(connection), "in_transaction", False):
        await connection.execute(text("BEGIN"))


async def _snapshot(connection: AsyncConnection, found: LookUp) -> Snapshot:
    """Take the snapshot, and tell when and where that is."""
    asked = text(_SNAPSHOT.format(_LSN if found.has_lsn else "null"))
    time, level, lsn = (await connection.execute(asked)).one()
    unlocked: tuple[str, ...] = ()
    if found.unlocked:
        # A table below a view is locked with that, whoever may not select from it otherwise.
        names = {"names": list(found.unlocked)}
        unlocked = tuple(await connection.scalars(STILL_UNLOCKED, names))
    if unlocked:
        logger.info("cannot be locked, and may change before it is read: %s", ", ".join(unlocked))
    return Snapshot(time, lsn, level, unlocked)
