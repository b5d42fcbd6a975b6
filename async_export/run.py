"""Running a plan: from hooks and batches to records, chunks and results."""

from __future__ import annotations

import copy
import inspect
import logging
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
    Sized,
)
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from functools import partial
from operator import attrgetter
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from sqlalchemy import TextClause, column, event
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from async_export.binds import Bind, Database, cancelled_once, open_database
from async_export.errors import (
    ConfigurationError,
    ExportError,
    RowError,
    SourceError,
    UnknownNameError,
)
from async_export.faults import DATABASE_ERRORS
from async_export.fields import Field
from async_export.hooks import Hooks, is_overridden, maybe_await
from async_export.limits import Limits, StopExport
from async_export.origins import fingerprint_of, versions_of
from async_export.plan import CellSpec, Plan, compile_plan
from async_export.postgres.copying import CopyOut
from async_export.postgres.describing import describe
from async_export.postgres.literals import LiteralError, literal_sql
from async_export.progress import Reporter
from async_export.queryset import (
    OBJECTS_BATCH,
    BatchSize,
    CursorSource,
    IterableSource,
    ResultSource,
    Source,
)
from async_export.records import RecordMaker, hint_of
from async_export.relations import relations_of
from async_export.results import ExportResult, Origin
from async_export.statements import Queried, is_statement, look_at, one_after
from async_export.types import Record

__all__ = ("Rejected", "Run", "RunnableHooks", "running")

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

Rejected: TypeAlias = Callable[[Sequence[RowError]], Awaitable[None]]
"""Takes the errors of rows that are skipped."""

SLICE_ROWS: Final = 256
"""Rows that become records at once: so few lists live that the garbage collector has no work."""


GRACE: Final = 1.0
"""Seconds after its deadline in which an export whose reader stands still gives up the database."""

COPYING: Final = (
    "rows come by COPY, which takes the connection; set Meta.hooks_use_database = True for hooks "
    "that use it, as self.session does"
)


class RunnableHooks(Hooks, Protocol):
    """A copy of a resource that belongs to one export."""

    bind: Bind | None

    def begin_run(self, run: Run, session: AsyncSession | None) -> None:
        """Receive the run that this copy serves, and the session for its hooks."""

    def plan_fields(self, fields: Sequence[Field]) -> None:
        """Remember the fields of the plan."""

    def get_display_name(self) -> str:
        """Give the name for people."""

    def adopt_columns(self, names: Sequence[str]) -> None:
        """Take the queryset's columns for fields, if the resource declares to do so."""


class Run:
    """One export under way.

    Attributes:
        hooks: The export's own copy of the resource.
        plan: The compiled plan.
        queryset: What is exported, as ``filter_export`` gave it.
        rows: Records made so far.
        skipped: Rows that failed and were left out.
        batch_size: How many rows are worked on at once.
        bytes: Bytes of the output so far, as far as they are counted.
        is_copying: Whether COPY has the connection.
        batch_bytes: Bytes that the last batch made, for the size of the next one; set by whoever
            encodes.
        limits: The limits of the export.
        rejected: What takes the errors of rows that are skipped, in order; None for nobody.
    """

    plan: Plan

    def __init__(
        self,
        hooks: RunnableHooks,
        database: Database | None,
        kwargs: Mapping[str, Any],
        limits: Limits,
    ) -> None:
        self.hooks = hooks
        self.queryset: Any = None
        self.rows = 0
        self.skipped = 0
        self.bytes = 0
        self.batch_bytes = 0
        self.is_copying = False
        self.limits = limits
        self.rejected: Rejected | None = None
        self._reporter = Reporter(hooks.options.progress, limits.started)
        self._database = database
        self._kwargs = kwargs
        self._source: Source | None = None
        self._maker: RecordMaker | None = None
        self.batch_size = BatchSize(hooks.options.batch_size)
        self._stack = AsyncExitStack()

    @property
    def dialect(self) -> Dialect | None:
        """Dialect of the database; None without one."""
        return None if self._database is None else self._database.dialect

    @property
    def session(self) -> AsyncSession | None:
        """Session for hooks; None without a database."""
        return None if self._database is None else self._database.session

    @property
    def origin(self) -> Origin:
        """Where the rows come from."""
        if self._database is None:
            return Origin(versions=versions_of(None))
        dialect = self._database.dialect
        fingerprint = fingerprint_of(self.queryset, dialect)
        return Origin(fingerprint, self._database.snapshot, versions_of(dialect))

    @property
    def slice_rows(self) -> int:
        """How many rows become records before these are passed on."""
        if self.limits.stops_in_time:
            return self.plan.concurrency  # what is under way at the deadline is lost
        return max(SLICE_ROWS, 8 * self.plan.concurrency)

    async def prepare(self, queryset: Any, selected: Sequence[str] | None, spec: CellSpec) -> None:
        """Go through the workflow up to the first row: hooks, fields, headers, plan."""
        hooks, kwargs = self.hooks, self._kwargs
        _refuse_coroutine(queryset)
        await maybe_await(hooks.before_export(queryset, **kwargs))
        if queryset is None:
            queryset = await maybe_await(hooks.get_queryset())
        self.queryset = await maybe_await(hooks.filter_export(queryset, **kwargs))
        queried = await self._look_at(self.queryset)
        fields = await maybe_await(hooks.get_export_fields(selected))
        hooks.plan_fields(fields)
        headers = await maybe_await(hooks.get_export_headers(selected))
        planning = partial(
            compile_plan,
            hooks,
            fields,
            headers,
            queried=queried,
            database=self._database,
            spec=spec,
            kwargs=kwargs,
        )
        # The database is asked for types, and no hook runs.
        self.plan = await self.limits.in_time_to_begin(planning, is_database=True)
        plan = self.plan
        if plan.strategy == "instances" and not plan.is_looked_up:
            self.batch_size = BatchSize(hooks.options.batch_size, OBJECTS_BATCH)
        self._maker = RecordMaker(
            plan.cells,
            width=len(plan.fields),
            whole=plan.whole,
            texts=plan.texts,
            subject=None if self._iterates() else plan.subject,
            key=plan.key,
            on_error=hooks.options.on_error,
            max_errors=hooks.options.max_errors,
            concurrency=plan.concurrency,
        )
        logger.info(
            "%s: %s, rows arrive by %s", hooks.get_display_name(), plan.strategy, plan.transport
        )

    async def batches(self) -> AsyncGenerator[list[Record], None]:
        """Give the records, in slices of batches.

        Raises:
            RowError: a hook or widget failed.
            LimitError: there are more than ``max_rows``, or it takes too long.
            SourceError: the rows could not be fetched.
        """
        with suppress(StopExport):
            async with aclosing(self._fetched()) as batches:
                while (rows := await self._next(batches)) is not None:
                    await self.limits.in_time(partial(self._prepare_batch, rows), self.rows)
                    self.batch_bytes = start = 0
                    while start < len(rows):
                        stop = start + self._slice_rows()
                        made = await self.make(rows[start:stop])
                        records: list[Record] = [each for each in made if each is not None]
                        self.count(len(records))
                        yield records
                        await self.tell()
                        start = stop
                    self.batch_size.learn(len(rows), self.batch_bytes)

    async def copied(self) -> AsyncGenerator[bytes, None]:
        """Give what COPY writes, as it comes, in whole rows.

        Raises:
            SourceError: the database refuses, or is lost, or tells another number of rows.
            StopExport: the deadline has passed, and the output ends in good order.
        """
        assert self._database is not None
        assert self.plan.copy is not None
        connection = self._database.connection.sync_connection
        event.listen(connection, "before_cursor_execute", _refuse)
        self.is_copying = True
        try:
            async with self._database.reading(savepoint=True) as driver:
                output = CopyOut(driver, self.plan.copy.sql, **self.plan.copy.form.options)
                try:
                    async with aclosing(output.chunks()) as chunks:
                        while (chunk := await self._next(chunks)) is not None:
                            yield chunk
                except BaseException:
                    self._database.watchdog.arm()
                    raise
        except ExportError:  # some of which are OSErrors, too
            raise
        except DATABASE_ERRORS as error:
            raise self._database.fault(error, self.rows) from error
        finally:
            self.is_copying = False
            # Of a stream that is garbage, SQLAlchemy may have dropped the connection already.
            with suppress(InvalidRequestError):
                event.remove(connection, "before_cursor_execute", _refuse)
        if output.rows != self.rows + self.skipped:
            raise SourceError(
                f"COPY tells of {output.rows} rows, and {self.rows + self.skipped} came", self.rows
            )

    async def make(self, rows: Sequence[Any]) -> list[Any]:
        """Make the records of *rows*, or the cells of hooks for rows of `copied`.

        A row that is skipped has None.

        Raises:
            RowError: a hook or widget failed.
            LimitError: it takes too long, or too many failed.
            StopExport: the deadline has passed, and the output ends in good order.
        """
        maker = self._maker
        assert maker is not None
        made = await self.limits.in_time(partial(maker.records, rows), self.rows)
        self.skipped += made.count(None)
        if maker.failures and self.rejected is not None:
            await self.rejected(sorted(maker.failures, key=attrgetter("row_number")))
        return made

    def count(self, records: int) -> None:
        """Count records that were made.

        Raises:
            LimitError: there are more than ``max_rows``.
        """
        self.rows += records
        self.limits.check_rows(self.rows)

    def wrote(self, size: int) -> None:
        """Count bytes of the output.

        Raises:
            LimitError: there are more than ``max_bytes``.
        """
        self.bytes += size
        self.limits.check_bytes(self.bytes)

    def rest(self) -> None:
        """Note that the reader has the turn: one that takes too long loses the connection."""
        if self._database is not None and self._database.is_own and self.limits.left is not None:
            self._database.watchdog.arm(max(self.limits.left, 0) + GRACE)

    def resume(self) -> None:
        """Note that the reader has come back."""
        if self._database is not None and self.limits.left is not None:
            self._database.watchdog.relax()

    async def tell(self, *, is_last: bool = False) -> None:
        """Tell whoever wants to know how far the export is."""
        if not self._reporter.is_due(is_last=is_last):
            return
        is_counted = isinstance(self.queryset, Sized) and not is_statement(self.queryset)
        total = len(self.queryset) if is_counted else None
        told = partial(self._reporter.tell, self.rows, self.bytes, total)
        await self.limits.in_time_to_end(told, self.rows)

    def _slice_rows(self) -> int:
        """Tell how many rows become records next, of which none must be too many.

        Raises:
            StopExport: there must be no more records.
        """
        rows, size = self.limits.rows_to_stop_after, self.limits.bytes_to_stop_after
        if rows is not None and self.rows >= rows:
            raise self.limits.stop("max_rows")
        if size is not None and self.bytes >= size:
            raise self.limits.stop("max_bytes")
        if size is not None:
            return 1
        return self.slice_rows if rows is None else min(self.slice_rows, rows - self.rows)

    async def _next(self, items: AsyncGenerator[_T, None]) -> _T | None:
        """Await what comes next from the database; None at the end."""
        is_database = is_statement(self.queryset)
        return await self.limits.in_time(
            lambda: anext(items, None), self.rows, is_database=is_database
        )

    async def _check_source(self) -> None:
        """Compare what was read with what there was, at the end.

        Raises:
            ConflictError: a table was emptied or rewritten before it could be locked.
            SourceError: there are not as many records as rows were fetched.
        """
        assert self._maker is not None
        fetched = getattr(self._source, "fetched", self._maker.rows)
        if fetched != self._maker.rows and not self.limits.stopped:
            raise SourceError(f"{fetched} rows came, and {self._maker.rows} were used", self.rows)
        if self._database is not None:
            check = partial(self._database.refuse_rewritten, self.rows)
            await self.limits.in_time_to_end(check, self.rows, is_database=True)

    async def fetch(self, queryset: Any) -> AsyncGenerator[Sequence[Any], None]:
        """Give batches of what stands for each row of *queryset*: its mapped objects, or rows."""
        source = await self._open(queryset)
        subject = self.plan.subject
        try:
            async with aclosing(source.batches(self.batch_size)) as batches:
                async for rows in batches:
                    if subject is None:
                        yield rows
                    elif self.plan.annotates:
                        for row in rows:
                            yield [subject(row)]
                    else:
                        yield [subject(row) for row in rows]
        finally:
            await source.aclose()

    async def titles(self) -> Sequence[Record]:
        """Give the records that stand above the header."""
        hook = partial(self.hooks.title_records, **self._kwargs)
        records = await self.limits.in_time_to_begin(lambda: maybe_await(hook()))
        return self._arranged("title_records", records)

    async def footers(self, result: ExportResult) -> Sequence[Record]:
        """Give the records that stand below the last one.

        Args:
            result: What was made so far.
        """
        hook = partial(self.hooks.footer_records, result, **self._kwargs)
        records = await self.limits.in_time_to_end(lambda: maybe_await(hook()), self.rows)
        return self._arranged("footer_records", records)

    def _arranged(self, hook: str, records: Any) -> list[Record]:
        """Give the records of a hook, with cells that come by name in their places."""
        columns = [column.name for column in self.plan.columns]
        given = records if isinstance(records, Sequence) else [None]
        arranged: list[Record] = []
        for record in given:
            if isinstance(record, Mapping):
                for name in record:
                    if name not in self.hooks.fields:
                        raise UnknownNameError("field", name, self.hooks.fields, hook)
                arranged.append([record.get(name) for name in columns])
            elif isinstance(record, Sequence) and not isinstance(record, str | bytes):
                arranged.append(record)
            else:
                raise ConfigurationError(
                    f"{hook} gives a list of records, which are lists of cells, or dicts by field"
                )
        return arranged

    async def has_more_than(self, rows: int) -> bool:
        """Tell whether there are more rows, as far as that is known without fetching them all."""
        if not is_statement(self.queryset):
            return isinstance(self.queryset, Sized) and len(self.queryset) > rows
        database = self._database
        if database is None or self._source is not None or self._iterates():
            return False
        connection, statement = database.connection, one_after(self.queryset, rows)

        async def ask() -> Any:
            async with connection.begin_nested():
                return await connection.scalar(statement)

        try:
            found = await self.limits.in_time_to_begin(
                lambda: cancelled_once(ask(), database.watchdog), is_database=True
            )
        except ExportError:
            raise
        except (*DATABASE_ERRORS, SQLAlchemyError):
            return False  # what is wrong with the queryset will be told by itself
        return found is not None

    def result(
        self,
        name: str = "",
        size: int = 0,
        sha256: str = "",
        *,
        escaped: int = 0,
        cut: int = 0,
    ) -> ExportResult:
        """Tell what was made.

        Args:
            name: Name of the format; empty for records.
            size: Bytes of the output.
            sha256: Digest of the output.
            escaped: Cells changed because of formulas.
            cut: Cells cut because of their length.
        """
        return ExportResult(
            rows=self.rows,
            skipped=self.skipped,
            bytes=size,
            sha256=sha256,
            elapsed=self.limits.elapsed,
            format=name,
            strategy=self.plan.strategy,
            transport=self.plan.transport,
            columns=tuple(column.header for column in self.plan.columns),
            escaped=escaped,
            cut=cut,
            stopped=self.limits.stopped,
        )

    async def analyze(self) -> str:
        """Let PostgreSQL run the plan's statement, and give the plan and timings of its own.

        Raises:
            ConfigurationError: there is no statement for PostgreSQL through asyncpg.
            SourceError: the database refuses.
        """
        database, plan = self._database, self.plan
        if database is None or database.dialect.driver != "asyncpg" or plan.statement is None:
            raise ConfigurationError("analyze is for statements of PostgreSQL through asyncpg")
        try:
            sql = plan.copy.sql if plan.copy else literal_sql(plan.statement, database.dialect)
            async with database.reading(savepoint=True) as driver:
                lines = await driver.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {sql}\n")
        except LiteralError as error:
            raise ConfigurationError(f"this statement cannot be analyzed: {error}") from None
        except DATABASE_ERRORS as error:
            raise database.fault(error) from error
        return "\n".join(line[0] for line in lines)

    async def finish(self, result: Any) -> None:
        """Make sure that the export is right, and tell the resource that it is done.

        Raises:
            ConflictError: a table was emptied or rewritten before it could be locked.
            SourceError: there are not as many records as rows were fetched.
        """
        await self._check_source()
        await self.tell(is_last=True)
        name, stopped = self.hooks.get_display_name(), self.limits.stopped
        logger.info(
            "%s: %d rows, %d skipped, %d bytes in %.3f seconds%s",
            name,
            self.rows,
            self.skipped,
            self.bytes,
            self.limits.elapsed,
            f", stopped by {stopped}" if stopped else "",
        )
        await maybe_await(self.hooks.after_export(self.queryset, result, **self._kwargs))

    async def aclose(self) -> None:
        """Close what is open in the database."""
        try:
            if self._source is not None:
                await self._source.aclose()
        finally:
            with suppress(*DATABASE_ERRORS):  # a lost connection has told of itself already
                await self._stack.aclose()

    async def _look_at(self, queryset: Any) -> Queried | None:
        """Find out what the queryset selects, by running it if its columns have to stay."""
        if queryset is None:
            raise ConfigurationError("filter_export returned None; it returns the queryset to use")
        if not is_statement(queryset):
            _check_iterable(queryset)
            return None
        queried = look_at(queryset)
        if queried.mapper is not None:
            return queried
        database = self._database
        if database is not None and database.dialect.driver == "asyncpg":
            is_elsewhere = database.translates_schemas(queried.statement)
            names = None if is_elsewhere else await self._described(queried)
            if names is not None:
                return self._with_columns(queried, names)
        source = await self._open_result(queryset, orm=False)
        self._source = source
        return self._with_columns(queried, source.names)

    async def _described(self, queried: Queried) -> Sequence[str] | None:
        """Ask the server for the names of the columns, without running anything."""
        assert self._database is not None
        dialect = self._database.dialect
        options = {"render_postcompile": True}
        try:
            sql = str(queried.statement.compile(dialect=dialect, compile_kwargs=options))
        except SQLAlchemyError:
            return None
        asked = partial(describe, await self._database.driver(), sql)
        try:
            described = await self.limits.in_time_to_begin(asked, is_database=True)
        except DATABASE_ERRORS as error:
            raise self._database.fault(error) from error
        return [each.name for each in described]

    def _with_columns(self, queried: Queried, names: Sequence[str]) -> Queried:
        typed = list(queried.columns.values())
        if isinstance(queried.statement, TextClause) or len(typed) != len(names):
            typed = [None] * len(names)
        _check_columns(names)
        self.hooks.adopt_columns(names)
        columns = dict(zip(names, typed, strict=True))
        statement = queried.statement
        if isinstance(statement, TextClause):
            statement = copy.copy(statement)
            # It may have to stand in another statement, and may end in a comment.
            statement.text = statement.text.rstrip("; \t\r\n") + "\n"
            statement = statement.columns(*map(column, names))
        return Queried(statement, columns=columns, fixed=queried.fixed)

    def _iterates(self) -> bool:
        """Tell whether hooks of the resource's own fetch the rows."""
        hooks = self.hooks
        return is_overridden(hooks.iter_queryset) or is_overridden(hooks.iter_batches)

    async def _fetched(self) -> AsyncGenerator[Sequence[Any], None]:
        if is_overridden(self.hooks.iter_queryset):
            items = await maybe_await(self.hooks.iter_queryset(self.queryset))
            source: Source = IterableSource(items)
            if self.plan.annotates:
                self.batch_size = BatchSize(1)
        elif is_overridden(self.hooks.iter_batches):
            own = await maybe_await(self.hooks.iter_batches(self.queryset))
            source = IterableSource(own)
            async with aclosing(source.batches(BatchSize(1))) as batches:
                async for one in batches:
                    yield one[0]
            return
        else:
            self._source = source = self._source or await self._open(self.queryset)
        async with aclosing(source.batches(self.batch_size)) as batches:
            async for rows in batches:
                yield rows

    async def _open(self, queryset: Any) -> Source:
        if not is_statement(queryset):
            return IterableSource(queryset)
        plan = self.plan
        if queryset is self.queryset and plan.transport == "cursor":
            assert self._database is not None
            return CursorSource(self._database, plan.sql)
        database = self._database
        if database is not None and not database.is_own and database.dialect.driver == "asyncpg":
            await self._stack.enter_async_context(database.reading(savepoint=False))
        statement = plan.statement if queryset is self.queryset else queryset
        return await self._open_result(statement, orm=plan.strategy == "instances")

    async def _open_result(self, statement: Any, *, orm: bool) -> ResultSource:
        if self._database is None:
            raise ConfigurationError(
                "the queryset is a statement, and the resource has no bind to run it on: "
                f"{type(self.hooks).__name__}(engine)"
            )
        return await ResultSource.open(
            self._database, statement, orm=orm, rows=self.batch_size.rows
        )

    async def _prepare_batch(self, rows: Sequence[Any]) -> None:
        assert self._maker is not None
        prepared = self.plan.prepared
        if prepared is None:
            return
        subjects = list(rows) if self._iterates() else [prepared(row) for row in rows]
        try:
            await maybe_await(self.hooks.prepare_batch(subjects, **self._kwargs))
        except ExportError:
            raise
        except Exception as error:
            number = self._maker.rows + 1
            name, hint = type(error).__name__, hint_of(error)
            raise RowError(number, "prepare_batch", name, hint=hint) from error


@asynccontextmanager
async def running(
    hooks: RunnableHooks,
    queryset: Any,
    spec: CellSpec,
    selected: Sequence[str] | None,
    kwargs: Mapping[str, Any],
    *,
    database: Database | None = None,
) -> AsyncIterator[Run]:
    """Open the database, go through the workflow up to the first row, and close it all again.

    Args:
        hooks: The export's own copy of the resource.
        queryset: What the caller passed.
        spec: Which cells are wanted.
        selected: The fields that the caller selected.
        kwargs: The caller's keywords.
        database: The bind, where it is open already and decodes as the options say; it stays so.
    """
    limits = Limits(hooks.options)
    async with AsyncExitStack() as stack:
        opening = partial(_opened, hooks, queryset, database, stack)
        database = await limits.in_time_to_begin(opening, is_database=True)
        run = Run(hooks, database, kwargs, limits)
        hooks.begin_run(run, run.session)
        stack.push_async_callback(run.aclose)
        await limits.in_time_to_begin(partial(run.prepare, queryset, selected, spec))
        try:
            yield run
        except BaseException as error:
            name, rows = hooks.get_display_name(), run.rows
            logger.info("%s: %s after %d rows", name, type(error).__name__, rows)
            raise


async def _opened(
    hooks: RunnableHooks, queryset: Any, database: Database | None, stack: AsyncExitStack
) -> Database | None:
    """Give the database, which *stack* closes if it was not open before."""
    if hooks.bind is None or not _needs_database(hooks, queryset):
        return None
    if database is None:
        relations, deferrable = relations_of(hooks, queryset), hooks.options.deferrable
        opened = open_database(hooks.bind, relations, deferrable=deferrable)
        database = await stack.enter_async_context(opened)
        await stack.enter_async_context(database.decoding(hooks.options.on_unrepresentable))
    return database


def _refuse(*_: Any) -> None:
    """Refuse a statement on the connection that COPY has: it would wait for ever."""
    raise ConfigurationError(COPYING)


def _check_columns(names: Sequence[str]) -> None:
    """Refuse two columns of one name: it would be a guess which of them a field means."""
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise ConfigurationError(f"the queryset has two columns {twice!r}; label one of them")


def _refuse_coroutine(queryset: Any) -> None:
    if inspect.iscoroutine(queryset):
        queryset.close()
        raise ConfigurationError("the queryset is a coroutine; await it first")


def _check_iterable(queryset: Any) -> None:
    """Refuse what iterates over something else than objects, or not at all."""
    iterates = hasattr(queryset, "__aiter__") or hasattr(queryset, "__iter__")
    if iterates and not isinstance(queryset, str | bytes | bytearray | Mapping | type):
        return
    name = type(queryset).__name__
    if isinstance(queryset, type):
        name = f"the class {queryset.__name__}; write select({queryset.__name__})"
    raise ConfigurationError(
        f"a queryset is a select() or an iterable of objects, dicts or rows, not {name}"
    )


def _needs_database(hooks: Hooks, queryset: Any) -> bool:
    """Tell whether a connection is wanted; objects at hand are exported without one."""
    if queryset is None or is_statement(queryset) or hooks.options.hooks_use_database:
        return True
    return any(is_overridden(hook) for hook in (hooks.prepare_batch, hooks.filter_export))
