"""Binds: where a queryset runs, and the session that an export has there."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, TypeVar

import anyio
import asyncpg
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError, UnboundExecutionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker

from async_export.errors import ConfigurationError, ConflictError, SourceError
from async_export.faults import DATABASE_ERRORS, Loss, source_error
from async_export.postgres.codecs import exact_values, types_with_own_codecs
from async_export.postgres.locks import REWRITTEN
from async_export.postgres.network import Watchdog, keep_alive
from async_export.postgres.settings import FOREIGN_SETTINGS, TIMEOUTS, Foreign, text_settings
from async_export.relations import Relations
from async_export.results import Snapshot
from async_export.transactions import (
    begin,
    driver_of,
    isolation,
    look_up,
    schemas_of,
    unnamed_statements,
)

__all__ = (
    "Bind",
    "Database",
    "cancelled_once",
    "check_bind",
    "open_database",
)

logger = logging.getLogger(__name__)

Bind: TypeAlias = AsyncEngine | AsyncConnection | AsyncSession | async_sessionmaker[Any]

_T = TypeVar("_T")

_BINDS = (AsyncEngine, AsyncConnection, AsyncSession, async_sessionmaker)

_CLOSE_TIMEOUT = 5.0
"""Seconds that giving a connection back may take, even when the export was cancelled."""

_OWN_PATIENCE = 1.0
_CALLERS_PATIENCE = 2.0
"""Seconds that the server may take to end the query of an export that is given up, before its
connection is closed; a caller's may hold work that is worth waiting for."""


_CALLERS_SNAPSHOT: Final = Snapshot(isolation="the caller's")


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
        opened: When the export began, by `time.monotonic`.
        timeouts: By name, seconds until a setting closes the session of the caller's transaction.
        own_codecs: Numbers of the types for which the caller has set codecs of his own.
        snapshot: What is known of the state that the export shows.
        handled: What the caller was handling when the export began: no cause of ours.
        watchdog: Ends the connection if it does not answer when the export is given up.
    """

    session: AsyncSession
    connection: AsyncConnection
    loader: AsyncSession
    is_own: bool = False
    foreign: Foreign = ()
    opened: float = field(default_factory=time.monotonic)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    own_codecs: frozenset[int] = frozenset()
    snapshot: Snapshot = _CALLERS_SNAPSHOT
    handled: BaseException | None = None
    watchdog: Watchdog = field(default_factory=lambda: Watchdog(_CALLERS_PATIENCE))

    @property
    def dialect(self) -> Dialect:
        """Dialect of the connection."""
        return self.connection.dialect

    async def driver(self) -> asyncpg.Connection:
        """The driver's own connection; its dialect's driver is asyncpg."""
        return await driver_of(self.connection)

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
        failure: BaseException | None = None
        try:
            async with AsyncExitStack() as stack:
                if savepoint or not driver.is_in_transaction():
                    await stack.enter_async_context(driver.transaction())
                await stack.enter_async_context(text_settings(driver, self.foreign))
                try:
                    yield driver
                except BaseException as error:
                    failure = error
                    raise
        except DATABASE_ERRORS:
            if failure is None:
                raise
            # The connection was lost meanwhile, and cannot be left in order; that tells nothing.
            raise failure from failure.__cause__

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
                    raise self.fault(error) from error
            yield

    def fault(self, error: BaseException, rows: int = 0, *, idle: float = 0) -> SourceError:
        """Say what became of the database.

        Args:
            error: What the driver, the pool or the network raised.
            rows: How many rows had been fetched before.
            idle: For how many seconds nothing had been asked of the server.
        """
        lost = Loss(idle, time.monotonic() - self.opened, self.timeouts)
        return source_error(error, rows, lost, handled=self.handled)

    async def refuse_rewritten(self, rows: int) -> None:
        """Refuse what was read, if somebody emptied or rewrote it since the snapshot.

        Args:
            rows: How many rows have been fetched.

        Raises:
            ConflictError: a table was rewritten.
            SourceError: the connection is lost.
        """
        if not self.is_postgresql:
            return
        try:
            rewritten = await cancelled_once(self.connection.scalar(REWRITTEN), self.watchdog)
        except DATABASE_ERRORS as error:
            raise self.fault(error, rows) from error
        if rewritten is not None:
            raise ConflictError(
                f"{rewritten} was rewritten (TRUNCATE, ALTER TABLE, REFRESH or the like) after the "
                "export's snapshot and before its lock, so that rows may be missing; run it again",
                rows,
            )

    def translates_schemas(self, statement: Any) -> bool:
        """Tell whether the tables of *statement* are in other schemas than their own."""
        return bool(schemas_of(self.connection) or schemas_of(statement))

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
    bind: Bind, relations: Relations, *, deferrable: bool = False
) -> AsyncIterator[Database]:
    """Open *bind* for one export, or for several in one snapshot.

    An engine or sessionmaker gives the export a transaction of its own: on PostgreSQL
    ``REPEATABLE READ, READ ONLY``, with what it reads locked ``ACCESS SHARE`` before its snapshot,
    and the timeouts off that would end a slow reader. A session or connection of the caller's is
    used as it is, inside the caller's transaction.

    Args:
        bind: Where to run.
        relations: What is going to be read.
        deferrable: Whether the transaction is ``SERIALIZABLE, READ ONLY, DEFERRABLE`` instead,
            which waits for a state that no transaction under way can prove wrong.

    Raises:
        SourceError: the database cannot be reached, or refuses.
        ConfigurationError: the session has no engine; *deferrable* is not to be had.
    """
    handled = sys.exception()
    async with AsyncExitStack() as stack:
        try:
            database = await _enter(bind, stack, relations, deferrable=deferrable)
            database = replace(database, handled=handled)
            if database.dialect.driver == "asyncpg":
                driver = await database.driver()
                database.watchdog.watch(driver)
                keep_alive(driver)
                database = replace(database, own_codecs=types_with_own_codecs(driver))
        except DATABASE_ERRORS as error:
            raise source_error(error, handled=handled) from error
        except UnboundExecutionError as error:
            raise ConfigurationError("the session has no engine to run on") from error
        except SQLAlchemyError as error:
            # Its text may hold the values of a statement that failed before.
            raise ConfigurationError(
                f"the bind cannot be used as it is ({type(error).__name__}): its connection is "
                "closed, or its transaction has failed or has begun in another way"
            ) from error
        if not database.is_own:
            stack.push_async_callback(_leave, database)
        yield database


async def _enter(
    bind: Bind, stack: AsyncExitStack, relations: Relations, *, deferrable: bool
) -> Database:
    arguments = {"mapper": relations.mapper} if relations.mapper else {}
    if isinstance(bind, AsyncSession | AsyncConnection):
        if deferrable:
            raise ConfigurationError(
                "deferrable=True begins a transaction; pass an engine or sessionmaker instead of a "
                "session or connection, which has its own"
            )
        if isinstance(bind, AsyncSession):
            return await _join_session(bind, stack, arguments)
        return await _join_connection(bind, stack)
    watchdog = Watchdog(_OWN_PATIENCE)
    if isinstance(bind, AsyncEngine):
        connection = await bind.connect()
        stack.push_async_callback(_close, connection, watchdog)
        connection = await connection.execution_options(**isolation(connection.dialect))
        await _watch(watchdog, connection)
        asked = look_up(connection, relations, deferrable=deferrable)
        found = await cancelled_once(asked, watchdog)
        await cancelled_once(connection.rollback(), watchdog)
        options = isolation(connection.dialect, deferrable=deferrable)
        connection = await connection.execution_options(**options)
        session = AsyncSession(bind=connection, expire_on_commit=False, autoflush=False)
    else:
        session = bind()
        session.sync_session.autoflush = False  # an export reads
        stack.push_async_callback(_close, session, watchdog)
        dialect = session.get_bind(**arguments).dialect
        options = isolation(dialect)
        connection = await session.connection(arguments, execution_options=options)
        await _watch(watchdog, connection)
        asked = look_up(connection, relations, deferrable=deferrable)
        found = await cancelled_once(asked, watchdog)
        await cancelled_once(session.rollback(), watchdog)
        options = isolation(dialect, deferrable=deferrable)
        connection = await session.connection(arguments, execution_options=options)
    await _watch(watchdog, connection)
    await stack.enter_async_context(unnamed_statements(connection))
    snapshot = await cancelled_once(begin(connection, found), watchdog)
    return Database(session, connection, session, is_own=True, snapshot=snapshot, watchdog=watchdog)


async def _watch(watchdog: Watchdog, connection: AsyncConnection) -> None:
    if connection.dialect.driver == "asyncpg":
        watchdog.watch(await driver_of(connection))


async def _join_session(
    session: AsyncSession, stack: AsyncExitStack, arguments: dict[str, Any]
) -> Database:
    # What the caller added is to be seen, as it is by a select of the session itself.
    if session.sync_session.autoflush:
        await session.flush()
    connection = await session.connection(arguments)
    foreign, timeouts = await _foreign_settings(connection)
    if session.sync_session.dispatch.do_orm_execute:
        return Database(session, connection, session, foreign=foreign, timeouts=timeouts)
    own = AsyncSession(
        connection,
        sync_session_class=type(session.sync_session),
        expire_on_commit=False,
        autoflush=False,
    )
    stack.push_async_callback(_close, own, Watchdog(_CALLERS_PATIENCE))
    return Database(session, connection, own, foreign=foreign, timeouts=timeouts)


async def _join_connection(connection: AsyncConnection, stack: AsyncExitStack) -> Database:
    session = AsyncSession(bind=connection, expire_on_commit=False, autoflush=False)
    stack.push_async_callback(_close, session, Watchdog(_CALLERS_PATIENCE))
    foreign, timeouts = await _foreign_settings(connection)
    return Database(session, connection, session, foreign=foreign, timeouts=timeouts)


async def _foreign_settings(connection: AsyncConnection) -> tuple[Foreign, dict[str, float]]:
    """Look at the settings of the caller's transaction, which begins with that if it has not."""
    if connection.dialect.driver != "asyncpg":
        return (), {}
    foreign = [tuple(row) for row in await connection.execute(FOREIGN_SETTINGS)]
    timeouts = await connection.execute(TIMEOUTS)
    return foreign, {row.name: row.seconds for row in timeouts}


async def _leave(database: Database) -> None:
    """Give the caller's connection back: free of the export's query, or closed."""
    if database.dialect.driver != "asyncpg" or database.connection.invalidated:
        database.watchdog.disarm()
        return
    with suppress(*DATABASE_ERRORS):
        driver = await database.driver()
        try:
            if database.watchdog.is_armed:
                # Whatever comes next would wait for the end of the query, without a watchdog.
                with anyio.CancelScope(shield=True):
                    await driver.execute("select")
        finally:
            database.watchdog.disarm()
            if driver.is_closed():
                # Or the caller's own rollback would fail, and hide the error that tells why.
                await database.connection.invalidate()


async def cancelled_once(work: Coroutine[Any, Any, _T], watchdog: Watchdog) -> _T:
    """Await *work* of a database in a task of its own, so that it is cancelled once.

    A cancel scope cancels again at every await, so that a driver would give up telling the server
    that its query is not wanted any more.

    Args:
        work: What to await.
        watchdog: What ends the connection if the server does not listen.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        watchdog.arm()
        with anyio.CancelScope(shield=True):
            while not task.done():
                with suppress(asyncio.CancelledError):  # a second one; the first is raised below
                    await asyncio.wait([task])
        raise


async def _close(held: AsyncConnection | AsyncSession, watchdog: Watchdog) -> None:
    """Give a connection back even while a cancellation is under way."""
    watchdog.arm()
    try:
        with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            await held.close()
    except DATABASE_ERRORS as error:
        # The connection is lost, and the error that tells of it is on its way already.
        logger.debug("could not close a connection: %s", type(error).__name__)
    finally:
        watchdog.disarm()
