"""Binds: where a queryset runs, and the session that an export has there."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import anyio
import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker

from async_export.errors import ConfigurationError, ExportError, SourceError
from async_export.postgres.codecs import exact_values
from async_export.postgres.settings import PREPARE_TRANSACTION

__all__ = ("DATABASE_ERRORS", "Bind", "Database", "check_bind", "open_database", "source_error")

Bind: TypeAlias = AsyncEngine | AsyncConnection | AsyncSession | async_sessionmaker[AsyncSession]

DATABASE_ERRORS: Final = (
    DBAPIError,
    OSError,
    # SQLAlchemy leaves what a server-side cursor raises as it is.
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    sqlite3.Error,
)
"""What a database, its driver or the network raises."""

_BINDS = (AsyncEngine, AsyncConnection, AsyncSession, async_sessionmaker)

_CLOSE_TIMEOUT = 5.0
"""Seconds that giving a connection back may take, even when the export was cancelled."""

# These classes of SQLSTATE speak of names, permissions and states, never of values.
_TELLING_CLASSES = ("08", "25", "28", "3D", "40", "42", "53", "55", "57")


@dataclass(frozen=True, slots=True)
class Database:
    """One export's hold on a database.

    Attributes:
        session: Session in the export's transaction; hooks know it as ``self.session``.
        connection: The connection of that session.
        owned: Whether the transaction was begun for this export alone.
    """

    session: AsyncSession
    connection: AsyncConnection
    owned: bool

    @property
    def dialect(self) -> Dialect:
        """Dialect of the connection."""
        return self.connection.dialect

    @property
    def is_postgresql(self) -> bool:
        """Whether PostgreSQL is at the other end."""
        return self.dialect.name == "postgresql"


def check_bind(bind: Any) -> None:
    """Refuse what is no bind.

    Raises:
        ConfigurationError: *bind* is synchronous, or something else altogether.
    """
    if bind is None or isinstance(bind, _BINDS):
        return
    raise ConfigurationError(
        f"a bind is an AsyncEngine, async_sessionmaker, AsyncSession or AsyncConnection, "
        f"not {type(bind).__module__}.{type(bind).__name__}"
    )


@asynccontextmanager
async def open_database(
    bind: Bind, on_unrepresentable: Literal["text", "error", "null"]
) -> AsyncIterator[Database]:
    """Open *bind* for one export.

    An engine or sessionmaker gives the export a transaction of its own: on PostgreSQL
    ``REPEATABLE READ, READ ONLY``, with the timeouts off that would end a slow reader. A session
    or connection of the caller's is used as it is, inside the caller's transaction.

    Raises:
        SourceError: the database cannot be reached, or refuses.
    """
    async with AsyncExitStack() as stack:
        try:
            database = await _enter(bind, stack)
            if database.dialect.driver == "asyncpg":
                values = exact_values(database.connection, on_unrepresentable)
                await stack.enter_async_context(values)
        except DATABASE_ERRORS as error:
            raise source_error(error) from error
        yield database


async def _enter(bind: Bind, stack: AsyncExitStack) -> Database:
    if isinstance(bind, AsyncSession):
        return await _join_session(bind)
    if isinstance(bind, AsyncConnection):
        return await _join_connection(bind, stack)
    if isinstance(bind, AsyncEngine):
        connection = await bind.connect()
        stack.push_async_callback(_close, connection)
        connection = await connection.execution_options(**_isolation(connection))
        session = AsyncSession(bind=connection, expire_on_commit=False, autoflush=False)
    else:
        session = bind()
        stack.push_async_callback(_close, session)
        options = _isolation(session)
        connection = await session.connection(execution_options=options)
    await _begin(connection)
    return Database(session, connection, owned=True)


async def _join_session(session: AsyncSession) -> Database:
    # What the caller added is to be seen, as it is by a select of the session itself.
    if session.sync_session.autoflush:
        await session.flush()
    return Database(session, await session.connection(), owned=False)


async def _join_connection(connection: AsyncConnection, stack: AsyncExitStack) -> Database:
    session = AsyncSession(bind=connection, expire_on_commit=False, autoflush=False)
    stack.push_async_callback(_close, session)
    return Database(session, connection, owned=False)


def _isolation(bound: AsyncConnection | AsyncSession) -> dict[str, Any]:
    sync_bind = bound.get_bind() if isinstance(bound, AsyncSession) else bound
    if sync_bind.dialect.name != "postgresql":
        return {}
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


async def _begin(connection: AsyncConnection) -> None:
    """Begin the transaction really: drivers put it off to the first statement."""
    if connection.dialect.name == "postgresql":
        await connection.execute(PREPARE_TRANSACTION)
    elif connection.dialect.name == "sqlite":
        # The driver begins none for reading, so that two reads could see two states; an engine
        # may have listeners that did it already.
        fairy = await connection.get_raw_connection()
        if not getattr(fairy.driver_connection, "in_transaction", False):
            await connection.execute(text("BEGIN"))


async def _close(held: AsyncConnection | AsyncSession) -> None:
    """Give a connection back even while a cancellation is under way."""
    with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
        await held.close()


def source_error(error: BaseException, rows: int = 0) -> ExportError:
    """Say what became of the database, without values or passwords."""
    original: Any = getattr(error, "orig", None) or error
    cause = getattr(original, "__cause__", None) or original
    sqlstate = getattr(cause, "sqlstate", None) or getattr(original, "sqlstate", None)
    name = type(cause).__name__
    if isinstance(error, OSError) or sqlstate is None or sqlstate[:2] in _TELLING_CLASSES:
        detail = str(cause).splitlines()[0] if str(cause) else ""
        message = f"{name}: {detail}" if detail else name
    else:
        message = name
    return SourceError(message, rows, sqlstate)
