"""The async queryset iterator: a statement or an iterable, in batches of bounded size."""

from __future__ import annotations

import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Generator,
    Iterable,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any, Final, Protocol

import asyncpg
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncResult

from async_export.binds import Database, cancelled_once
from async_export.errors import (
    ConfigurationError,
    ExportError,
    SourceError,
    UnrepresentableValueError,
)
from async_export.faults import DATABASE_ERRORS
from async_export.postgres.codecs import UnrepresentableError

__all__ = ("BatchSize", "CursorSource", "IterableSource", "ResultSource", "Source")

FIRST_BATCH: Final = 100
"""Rows of the first batch, before anything is known about what they cost."""

LARGEST_BATCH: Final = 10_000
"""Rows: more of them bring no more speed."""

OBJECTS_BATCH: Final = 50
"""Mapped objects that live at once: with more of them the garbage collector sees so many survive
that it looks through all of the process's objects, tens of milliseconds long, again and again."""

GROW_BELOW: Final = 0.0025
"""Seconds of work: a cheaper batch is doubled."""

SHRINK_ABOVE: Final = 0.005
"""Seconds of work that a batch may hold the event loop for."""

BATCH_BYTES: Final = 1_048_576
"""Bytes of output that a batch may make."""


class BatchSize:
    """How many rows the next batch has: fixed, or by what the last one cost.

    The cost is the processor time of this thread between two fetches, so that a batch holds the
    event loop for about 5 ms at most, and wide rows come in small batches.

    Args:
        fixed: Rows of every batch; None to adapt.
        most: How many rows at most, when it adapts.
    """

    def __init__(self, fixed: int | None = None, most: int = LARGEST_BATCH) -> None:
        self._fixed = fixed
        self._most = most
        self.rows = fixed or min(FIRST_BATCH, most)
        self._began = time.thread_time()

    def begin(self) -> None:
        """Note that a fetch begins."""
        self._began = time.thread_time()

    def learn(self, rows: int, size: int) -> None:
        """Learn that the batch had *rows* rows and made *size* bytes."""
        if self._fixed is not None or not rows:
            return
        cost = time.thread_time() - self._began
        if cost < GROW_BELOW and size < BATCH_BYTES:
            # A short batch, such as the last one, says nothing about bigger ones.
            if rows >= self.rows:
                self.rows = min(self.rows * 2, self._most)
        elif cost > SHRINK_ABOVE or size > BATCH_BYTES:
            # Every batch has a cost of its own, which smaller ones would only multiply; but
            # memory has to stay bounded, however wide the rows.
            in_time = max(FIRST_BATCH, int(rows * SHRINK_ABOVE / max(cost, 1e-9)))
            in_size = max(1, int(rows * BATCH_BYTES / max(size, 1)))
            self.rows = min(in_time, in_size, self._most)


class Source(Protocol):
    """Where batches come from."""

    def batches(self, size: BatchSize) -> AsyncGenerator[Sequence[Any], None]:
        """Give lists of at most ``size.rows`` rows, as it is at each fetch; never an empty one."""
        ...

    async def aclose(self) -> None:
        """Close what is open; more than once does no harm."""
        ...


class ResultSource:
    """Rows of a statement, from a server-side cursor.

    Args:
        result: The open result.
        database: Where it comes from.
    """

    def __init__(self, result: AsyncResult[Any], database: Database) -> None:
        self._result = result
        self._database = database
        self.names = tuple(result.keys())
        self.fetched = 0

    @classmethod
    async def open(
        cls, database: Database, statement: Any, *, orm: bool, rows: int
    ) -> ResultSource:
        """Run *statement*; its rows stay with the server until they are fetched.

        Args:
            database: Where to run it.
            statement: What to run.
            orm: Whether mapped objects are wanted.
            rows: How many rows the first fetch will take.

        Raises:
            SourceError: the database refuses the statement, or is gone.
            ConfigurationError: the statement's loader options cannot be streamed.
        """
        options = {"yield_per": rows}

        async def run() -> AsyncResult[Any]:
            runner = database.loader if orm else database.connection
            result: AsyncResult[Any] = await runner.stream(statement, execution_options=options)
            return result

        try:
            return cls(await cancelled_once(run(), database.watchdog), database)
        except DATABASE_ERRORS as error:
            raise _failed(error, 0, _Idle(database)) from error
        except InvalidRequestError as error:
            cure = "; use selectinload" if "yield_per" in str(error) else ""
            raise ConfigurationError(f"the queryset cannot be streamed{cure} ({error})") from error
        except SQLAlchemyError as error:
            reason = _reason(error)
            raise ConfigurationError(f"the queryset is no valid statement: {reason}") from error
        except Exception as error:
            raise _failed(error, 0, _Idle(database)) from error

    async def batches(self, size: BatchSize) -> AsyncGenerator[Sequence[Any], None]:
        """Give lists of rows."""
        idle = _Idle(self._database)
        while True:
            size.begin()
            idle.end()
            try:
                fetched = self._result.fetchmany(size.rows)
                rows = await cancelled_once(fetched, self._database.watchdog)
            except Exception as error:
                # Drivers, and the types of a model, raise anything.
                raise _failed(error, self.fetched, idle) from error
            idle.begin()
            if not rows:
                return
            self.fetched += len(rows)
            yield rows

    async def aclose(self) -> None:
        """Close the cursor."""
        # A lost connection has told of itself already.
        with suppress(*DATABASE_ERRORS):
            await self._result.close()


class CursorSource:
    """Rows of a statement from asyncpg's own cursor, whose connection is free between fetches.

    Args:
        database: Where to run.
        sql: The statement, without parameters.
    """

    def __init__(self, database: Database, sql: str) -> None:
        self._database = database
        self._sql = sql
        self._stack = AsyncExitStack()
        self.fetched = 0

    async def batches(self, size: BatchSize) -> AsyncGenerator[Sequence[Any], None]:
        """Give lists of rows."""
        watchdog, idle = self._database.watchdog, _Idle(self._database)
        try:
            reading = self._database.reading(savepoint=False)
            driver = await self._stack.enter_async_context(reading)
            cursor = await cancelled_once(_opened(driver, self._sql), watchdog)
            while True:
                size.begin()
                idle.end()
                rows = await cancelled_once(cursor.fetch(size.rows), watchdog)
                idle.begin()
                if not rows:
                    return
                self.fetched += len(rows)
                yield rows
        except ExportError:
            raise
        except Exception as error:
            raise _failed(error, self.fetched, idle) from error

    async def aclose(self) -> None:
        """Leave the transaction as it was; its cursor goes with it."""
        with suppress(*DATABASE_ERRORS):
            await self._stack.aclose()


async def _opened(driver: asyncpg.Connection, sql: str) -> Any:
    # Without a name: behind a pooler, a named one would stay in somebody else's session.
    return await (await driver.prepare(sql, name="")).cursor()


def _reason(error: SQLAlchemyError) -> str:
    """Say what SQLAlchemy says of a statement, without its text and values."""
    told = getattr(error, "orig", None) or error
    is_about_names = isinstance(told, SQLAlchemyError) and not isinstance(told, StatementError)
    return str(told) if is_about_names else type(told).__name__


class _Idle:
    """How long nothing has been asked of a server, between two fetches.

    Args:
        database: Where the rows come from.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.seconds = 0.0
        self._began = time.monotonic()

    def begin(self) -> None:
        """Note that a fetch has ended."""
        self._began = time.monotonic()

    def end(self) -> None:
        """Note that a fetch begins."""
        self.seconds = time.monotonic() - self._began


def _failed(error: BaseException, rows: int, idle: _Idle) -> Exception:
    if isinstance(error, DATABASE_ERRORS):
        return idle.database.fault(error, rows, idle=idle.seconds)
    if isinstance(error, UnrepresentableError):
        cure = "on_unrepresentable='text' exports the database's own text"
        return UnrepresentableValueError(f"{error}; {cure}", rows)
    # What a driver or result processor cannot turn into a Python value; its text may hold data.
    name = type(error).__name__
    return SourceError(f"a value of the database could not be read: {name}", rows)


class IterableSource:
    """Objects of a sync or async iterable; the iterator is closed with the source.

    Args:
        items: What to iterate over.
    """

    def __init__(self, items: AsyncIterable[Any] | Iterable[Any]) -> None:
        self._items = items

    async def batches(self, size: BatchSize) -> AsyncGenerator[Sequence[Any], None]:
        """Give lists of objects."""
        async with aclosing(_each(self._items)) as items:
            batch: list[Any] = []
            size.begin()
            async for item in items:
                batch.append(item)
                if len(batch) >= size.rows:
                    yield batch
                    batch = []
                    size.begin()
            if batch:
                yield batch

    async def aclose(self) -> None:
        """Nothing is open between batches."""


async def _each(items: AsyncIterable[Any] | Iterable[Any]) -> AsyncGenerator[Any, None]:
    """Iterate over either kind, and close the iterator that this made."""
    if isinstance(items, AsyncIterable):
        iterator = aiter(items)
        try:
            async for item in iterator:
                yield item
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()
        return
    plain = iter(items)
    try:
        for item in plain:
            yield item
    finally:
        if isinstance(plain, Generator):
            plain.close()
