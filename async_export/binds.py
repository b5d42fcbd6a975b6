"""Binds: where a queryset runs, and the session that an export has there."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, TypeVar

import anyio
import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import DBAPIError, UnboundExecutionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Mapper

from async_export.errors import ConfigurationError, ExportError, SourceError
from async_export.postgres.codecs import exact_values, types_with_own_codecs
from async_export.postgres.settings import (
    FOREIGN_SETTINGS,
    PREPARE_TRANSACTION,
    Foreign,
    text_settings,
)

__all__ = (
    "DATABASE_ERRORS",
    "Bind",
    "Database",
    "cancelled_once",
    "check_bind",
    "open_database",
    "source_error",
)

logger = logging.getLogger(__name__)

Bind: TypeAlias = AsyncEngine | AsyncConnection | AsyncSession | async_sessionmaker[Any]

DATABASE_ERRORS: Final = (
    DBAPIError,
    OSError,
    PoolTimeoutError,
    # SQLAlchemy leaves what a server-side cursor raises as it is.
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sqlite3.Error,
)
"""What a database, its driver or the network raises."""

_T = TypeVar("_T")

_BINDS = (AsyncEngine, AsyncConnection, AsyncSession, async_sessionmaker)

_CLOSE_TIMEOUT = 5.0
"""Seconds that giving a connection back may take, even when the export was cancelled."""

_TELLING_SQLITE = (
    "no such ",
    "unable to open",
    "database is locked",
    "attempt to write",
    "near ",
    "not authorized",
)

_KNOBS = {
    "57014": "it was cancelled, or took longer than statement_timeout",
    "25P03": "the reader was slower than idle_in_transaction_session_timeout",
    "25P04": "the export took longer than transaction_timeout",
    "57P01": "the server was stopped, or an administrator ended the session",
    "57P05": "the session idled longer than idle_session_timeout",
    "53300": "the server has no connection left; see max_connections",
}
"""By SQLSTATE, the setting that ends an export."""

# These classes of SQLSTATE speak of names, permissions and states, never of values.
_TELLING_CLASSES = ("08", "25", "28", "3D", "40", "42", "53", "55", "57")


@dataclass(frozen=True, slots=True)
class Database:
    """One export's hold on a database.

    Attributes:
        session: Session in the export's transaction; hooks know it as ``self.session``.
        connection: The connection of that session.
        loader: Session that loads mapped objects; not the caller's, where they would stay with
            the loader options of the export.
        is_own: Whether the transaction is the export's own.
        foreign: Settings of the caller's transaction that give values another text.
        own_codecs: Numbers of the types for which the caller has set codecs of his own.
    """

    session: AsyncSession
    connection: AsyncConnection
    loader: AsyncSession
    is_own: bool = False
    foreign: Foreign = ()
    own_codecs: frozenset[int] = frozenset()

    @property
    def dialect(self) -> Dialect:
        """Dialect of the connection."""
        return self.connection.dialect

    async def driver(self) -> asyncpg.Connection:
        """The driver's own connection; its dialect's driver is asyncpg."""
        fairy = await self.connection.get_raw_connection()
        return fairy.driver_connection

    @asynccontextmanager
    async def reading(self, *, savepoint: bool) -> AsyncGenerator[asyncpg.Connection]:
        """Give the driver's connection in a transaction where values have an export's text.

        Args:
            savepoint: Whether a failure must leave a transaction of the caller's usable.
        """
        driver = await self.driver()
        if self.is_own:
            yield driver
            return
        async with AsyncExitStack() as stack:
            if savepoint or not driver.is_in_transaction():
                await stack.enter_async_context(driver.transaction())
            await stack.enter_async_context(text_settings(driver, self.foreign))
            yield driver

    @asynccontextmanager
    async def decoding(
        self, on_unrepresentable: Literal["text", "error", "null"]
    ) -> AsyncGenerator[None]:
        """Let the driver give values as they are, if it would change some.

        Args:
            on_unrepresentable: What becomes of values that Python cannot hold.

        Raises:
            SourceError: the connection is lost.
        """
        async with AsyncExitStack() as stack:
            if self.dialect.driver == "asyncpg":
                try:
                    values = exact_values(self.connection, on_unrepresentable)
                    await stack.enter_async_context(values)
                except DATABASE_ERRORS as error:
                    raise source_error(error) from error
            yield

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
async def open_database(bind: Bind, mapper: Mapper[Any] | None = None) -> AsyncIterator[Database]:
    """Open *bind* for one export, or for several in one snapshot.

    An engine or sessionmaker gives the export a transaction of its own: on PostgreSQL
    ``REPEATABLE READ, READ ONLY``, with the timeouts off that would end a slow reader. A session
    or connection of the caller's is used as it is, inside the caller's transaction.

    Args:
        bind: Where to run.
        mapper: Mapper of the model, for sessions that have an engine for each.

    Raises:
        SourceError: the database cannot be reached, or refuses.
        ConfigurationError: the session has no engine.
    """
    async with AsyncExitStack() as stack:
        try:
            database = await _enter(bind, stack, {"mapper": mapper} if mapper else {})
            if database.dialect.driver == "asyncpg":
                own = types_with_own_codecs(await database.driver())
                database = replace(database, own_codecs=own)
        except DATABASE_ERRORS as error:
            raise source_error(error) from error
        except UnboundExecutionError as error:
            raise ConfigurationError("the session has no engine to run on") from error
        yield database


async def _enter(bind: Bind, stack: AsyncExitStack, arguments: dict[str, Any]) -> Database:
    if isinstance(bind, AsyncSession):
        return await _join_session(bind, stack, arguments)
    if isinstance(bind, AsyncConnection):
        return await _join_connection(bind, stack)
    if isinstance(bind, AsyncEngine):
        connection = await bind.connect()
        stack.push_async_callback(_close, connection)
        connection = await connection.execution_options(**_isolation(connection))
        session = AsyncSession(bind=connection, expire_on_commit=False, autoflush=False)
    else:
        session = bind()
        session.sync_session.autoflush = False  # an export reads
        stack.push_async_callback(_close, session)
        options = _isolation(session.get_bind(**arguments))
        connection = await session.connection(arguments, execution_options=options)
    await _begin(connection)
    return Database(session, connection, session, is_own=True)


async def _join_session(
    session: AsyncSession, stack: AsyncExitStack, arguments: dict[str, Any]
) -> Database:
    # What the caller added is to be seen, as it is by a select of the session itself.
    if session.sync_session.autoflush:
        await session.flush()
    connection = await session.connection(arguments)
    foreign = await _foreign_settings(connection)
    if session.sync_session.dispatch.do_orm_execute:
        return Database(session, connection, session, foreign=foreign)
    own = AsyncSession(
        connection,
        sync_session_class=type(session.sync_session),
        expire_on_commit=False,
        autoflush=False,
    )
    stack.push_async_callback(_close, own)
    return Database(session, connection, own, foreign=foreign)


async def _join_connection(connection: AsyncConnection, stack: AsyncExitStack) -> Database:
    session = AsyncSession(bind=connection, expire_on_commit=False, autoflush=False)
    stack.push_async_callback(_close, session)
    return Database(session, connection, session, foreign=await _foreign_settings(connection))


async def _foreign_settings(connection: AsyncConnection) -> Foreign:
    """Look at the settings of the caller's transaction, which begins with that if it has not."""
    if connection.dialect.driver != "asyncpg":
        return ()
    return [tuple(row) for row in await connection.execute(FOREIGN_SETTINGS)]


def _isolation(bound: AsyncConnection | Engine | Connection) -> dict[str, Any]:
    if bound.dialect.name != "postgresql":
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


async def cancelled_once(work: Coroutine[Any, Any, _T]) -> _T:
    """Await *work* of a database in a task of its own, so that it is cancelled once.

    A cancel scope cancels again at every await, so that a driver would give up telling the server
    that its query is not wanted any more.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        with anyio.CancelScope(shield=True):
            while not task.done():
                with suppress(asyncio.CancelledError):  # a second one; the first is raised below
                    await asyncio.wait([task])
        raise


async def _close(held: AsyncConnection | AsyncSession) -> None:
    """Give a connection back even while a cancellation is under way."""
    with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
        try:
            await held.close()
        except DATABASE_ERRORS as error:
            # The connection is lost, and the error that tells of it is on its way already.
            logger.debug("could not close a connection: %s", type(error).__name__)


def source_error(error: BaseException, rows: int = 0) -> ExportError:
    """Say what became of the database, without values or passwords."""
    original: Any = getattr(error, "orig", None) or error
    cause = getattr(original, "__cause__", None) or original
    sqlstate = getattr(cause, "sqlstate", None) or getattr(original, "sqlstate", None)
    name = type(cause).__name__
    detail = str(cause).partition("\n")[0]
    message = f"{name}: {detail}" if detail and _is_telling(cause, sqlstate, detail) else name
    if sqlstate in _KNOBS:
        message = f"{message}; {_KNOBS[sqlstate]}"
    return SourceError(message, rows, sqlstate)


def _is_telling(error: Any, sqlstate: str | None, detail: str) -> bool:
    """Tell whether the text of an error speaks of names and states only, never of values."""
    if sqlstate is not None:
        return sqlstate[:2] in _TELLING_CLASSES
    if isinstance(error, sqlite3.Error):
        return detail.startswith(_TELLING_SQLITE)
    return isinstance(error, OSError | PoolTimeoutError | asyncpg.InterfaceError)
