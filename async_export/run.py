"""Running a plan: from hooks and batches to records, chunks and results."""

from __future__ import annotations

import copy
import hashlib
import inspect
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from types import TracebackType
from typing import Any, Final, Protocol, Self

import anyio
from sqlalchemy import TextClause
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncSession

from async_export.binds import Bind, Database, open_database
from async_export.declare import mapper_of
from async_export.errors import (
    ConfigurationError,
    EncodeError,
    ExportError,
    ExportStateError,
    FormatLimitError,
    LimitError,
    RowError,
)
from async_export.fields import Field
from async_export.formats import Encoder
from async_export.hooks import Hooks, is_overridden, maybe_await
from async_export.plan import CellSpec, Plan, compile_plan
from async_export.queryset import BatchSize, IterableSource, ResultSource, Source
from async_export.records import RecordMaker, hint_of
from async_export.results import ExportResult
from async_export.statements import Queried, is_statement, look_at
from async_export.types import Record

__all__ = ("ExportStream", "Run", "RunnableHooks", "running")


class RunnableHooks(Hooks, Protocol):
    """A copy of a resource that belongs to one export."""

    bind: Bind | None

    def begin_run(self, run: Run, session: AsyncSession | None) -> None:
        """Receive the run that this copy serves, and the session for its hooks."""

    def plan_fields(self, fields: Sequence[Field]) -> None:
        """Remember the fields of the plan."""

    def adopt_columns(self, names: Sequence[str]) -> None:
        """Take the queryset's columns for fields, if the resource declares to do so."""


class Run:
    """One export under way.

    Attributes:
        hooks: The export's own copy of the resource.
        plan: The compiled plan.
        queryset: What is exported, as ``filter_export`` gave it.
        rows: Records made so far.
        batch_bytes: Bytes that the last batch made, for the size of the next one; set by whoever
            encodes.
    """

    plan: Plan

    def __init__(
        self, hooks: RunnableHooks, database: Database | None, kwargs: Mapping[str, Any]
    ) -> None:
        self.hooks = hooks
        self.queryset: Any = None
        self.rows = 0
        self.batch_bytes = 0
        self.started = time.perf_counter()
        self._database = database
        self._kwargs = kwargs
        self._source: Source | None = None
        self._maker: RecordMaker | None = None
        self._size = BatchSize(hooks.options.batch_size)

    @property
    def dialect(self) -> Dialect | None:
        """Dialect of the database; None without one."""
        return None if self._database is None else self._database.dialect

    @property
    def skipped(self) -> int:
        """Rows that failed and were left out."""
        return 0 if self._maker is None else self._maker.skipped

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
        self.plan = compile_plan(
            hooks,
            fields,
            headers,
            queried=queried,
            database=self._database,
            spec=spec,
            kwargs=kwargs,
        )
        plan = self.plan
        self._maker = RecordMaker(
            plan.cells,
            width=len(plan.fields),
            whole=plan.whole,
            subject=None if self._iterates() else plan.subject,
            key=plan.key,
            on_error=hooks.options.on_error,
            concurrency=plan.concurrency,
        )

    async def batches(self) -> AsyncGenerator[list[Record], None]:
        """Give the records, batch by batch.

        Raises:
            RowError: a hook or widget failed.
            LimitError: there are more than ``max_rows``.
            SourceError: the rows could not be fetched.
        """
        assert self._maker is not None
        limit = self.hooks.options.max_rows
        async with aclosing(self._fetched()) as batches:
            async for rows in batches:
                await self._prepare_batch(rows)
                records: list[Record] = list(await self._maker.records(rows))
                self.rows += len(records)
                if limit is not None and self.rows > limit:
                    raise LimitError("max_rows", limit)
                self.batch_bytes = 0
                yield records
                self._size.learn(len(rows), self.batch_bytes)

    async def fetch(self, queryset: Any) -> AsyncGenerator[Sequence[Any], None]:
        """Give batches of what stands for each row of *queryset*: its mapped objects, or rows."""
        source = await self._open(queryset)
        subject = self.plan.subject
        try:
            async with aclosing(source.batches(self._size)) as batches:
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

    def result(self, name: str = "", size: int = 0, sha256: str = "") -> ExportResult:
        """Tell what was made.

        Args:
            name: Name of the format; empty for records.
            size: Bytes of the output.
            sha256: Digest of the output.
        """
        return ExportResult(
            rows=self.rows,
            skipped=self.skipped,
            bytes=size,
            sha256=sha256,
            elapsed=time.perf_counter() - self.started,
            format=name,
            strategy=self.plan.strategy,
            transport=self.plan.transport,
            columns=tuple(column.header for column in self.plan.columns),
        )

    async def finish(self, result: Any) -> None:
        """Tell the resource that the export is done."""
        await maybe_await(self.hooks.after_export(self.queryset, result, **self._kwargs))

    async def aclose(self) -> None:
        """Close what is open in the database."""
        if self._source is not None:
            await self._source.aclose()

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
        source = await self._open_result(queryset, orm=False)
        self._source = source
        typed = list(queried.columns.values())
        if isinstance(queryset, TextClause) or len(typed) != len(source.names):
            typed = [None] * len(source.names)
        _check_columns(source.names)
        self.hooks.adopt_columns(source.names)
        return Queried(
            queryset, columns=dict(zip(source.names, typed, strict=True)), fixed=queried.fixed
        )

    def _iterates(self) -> bool:
        """Tell whether hooks of the resource's own fetch the rows."""
        hooks = self.hooks
        return is_overridden(hooks.iter_queryset) or is_overridden(hooks.iter_batches)

    async def _fetched(self) -> AsyncGenerator[Sequence[Any], None]:
        if is_overridden(self.hooks.iter_queryset):
            items = await maybe_await(self.hooks.iter_queryset(self.queryset))
            source: Source = IterableSource(items)
            if self.plan.annotates:
                self._size = BatchSize(1)
        elif is_overridden(self.hooks.iter_batches):
            own = await maybe_await(self.hooks.iter_batches(self.queryset))
            source = IterableSource(own)
            async with aclosing(source.batches(BatchSize(1))) as batches:
                async for one in batches:
                    yield one[0]
            return
        else:
            self._source = source = self._source or await self._open(self.queryset)
        async with aclosing(source.batches(self._size)) as batches:
            async for rows in batches:
                yield rows

    async def _open(self, queryset: Any) -> Source:
        if not is_statement(queryset):
            return IterableSource(queryset)
        statement = self.plan.statement if queryset is self.queryset else queryset
        orm = self.plan.strategy == "instances"
        return await self._open_result(statement, orm=orm)

    async def _open_result(self, statement: Any, *, orm: bool) -> ResultSource:
        if self._database is None:
            raise ConfigurationError(
                "the queryset is a statement, and the resource has no bind to run it on: "
                f"{type(self.hooks).__name__}(engine)"
            )
        return await ResultSource.open(self._database, statement, orm=orm, rows=self._size.rows)

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
) -> AsyncIterator[Run]:
    """Open the database, go through the workflow up to the first row, and close it all again."""
    async with AsyncExitStack() as stack:
        database = None
        if hooks.bind is not None and _needs_database(hooks, queryset):
            opened = open_database(
                hooks.bind,
                hooks.options.on_unrepresentable,
                mapper_of(hooks.options.model),
            )
            database = await stack.enter_async_context(opened)
        run = Run(hooks, database, kwargs)
        hooks.begin_run(run, None if database is None else database.session)
        stack.push_async_callback(run.aclose)
        await run.prepare(queryset, selected, spec)
        yield run


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


FIRST_PIECE: Final = 16
"""Records that are encoded together at first, before their width is known."""

PIECE_BYTES: Final = 262_144
"""Bytes that are encoded together, from then on."""


class ExportStream:
    """The bytes of one export, as they are made.

    Use it once, as ``async with resource.stream("csv") as stream``. Entering goes through the
    workflow and makes the first chunk, so that errors of configuration and SQL raise there.
    Later errors raise from the iteration. Leaving early closes cursor and connection.

    Attributes:
        content_type: Media type of the format.
        extension: Ending of its files, without the dot.
    """

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Run]],
        encoder: Encoder,
        chunk_size: int,
    ) -> None:
        self._begin = begin
        self._encoder = encoder
        self._chunk_size = chunk_size
        self._state = "new"
        self._stack = AsyncExitStack()
        self._first = b""
        self._piece_rows = FIRST_PIECE
        self._encoded = 0
        self._run: Run | None = None
        self._result: ExportResult | None = None
        self.content_type = encoder.content_type
        self.extension = encoder.extension

    @property
    def rows(self) -> int:
        """Records made so far, for whoever shows progress."""
        return 0 if self._run is None else self._run.rows

    @property
    def result(self) -> ExportResult:
        """What was made; there is one only after the last chunk.

        Raises:
            ExportStateError: the stream has not come to its end.
        """
        if self._result is None:
            raise ExportStateError("a stream has its result after its last chunk")
        return self._result

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise ExportStateError("a stream serves once; ask the resource for another one")
        self._state = "closed"  # should entering fail
        async with AsyncExitStack() as stack:
            self._run = run = await stack.enter_async_context(self._begin())
            self._chunks = await stack.enter_async_context(aclosing(self._make_chunks(run)))
            self._first = await anext(self._chunks)
            self._stack = stack.pop_all()
        self._state = "open"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._state = "closed"
        return await self._stack.__aexit__(kind, error, traceback)

    def __aiter__(self) -> Self:
        if self._state != "open":
            raise ExportStateError("iterate inside 'async with resource.stream(...) as stream:'")
        return self

    async def __anext__(self) -> bytes:
        if self._state != "open":
            raise ExportStateError("the stream is closed")
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            if self._result is None:
                raise ExportStateError("the export failed before its end") from None
            raise

    async def _make_chunks(self, run: Run) -> AsyncGenerator[bytes, None]:
        """Make chunks of at least `chunk_size` bytes, but for the first and the last one."""
        encoder, columns = self._encoder, run.plan.columns
        unused = copy.copy(encoder)
        digest = hashlib.sha256()
        total = size = 0
        waiting = [encoder.begin(columns)]
        first = True

        def take() -> bytes:
            nonlocal first, size, total, waiting
            chunk = b"".join(waiting)
            first, size, waiting = False, 0, []
            digest.update(chunk)
            total += len(chunk)
            return chunk

        async with aclosing(run.batches()) as batches:
            async for records in batches:
                if encoder.max_rows is not None and run.rows > encoder.max_rows:
                    raise FormatLimitError(f"{encoder.name} holds {encoder.max_rows} rows at most")
                for piece in self._pieces(records):
                    encoded = await self._encode(piece, run, unused)
                    run.batch_bytes += len(encoded)
                    waiting.append(encoded)
                    size += len(encoded)
                    if size >= self._chunk_size:
                        yield take()
                if first and size:
                    yield take()
        waiting.append(encoder.end())
        is_first = first
        last = take()
        result = run.result(encoder.name, total, digest.hexdigest())
        await run.finish(result)
        self._result = result
        # The first chunk is awaited on entering: an export of no bytes has an empty one.
        if last or is_first:
            yield last

    def _pieces(self, records: list[Record]) -> Iterator[list[Record]]:
        """Cut a batch where its output would become long, as it does with wide rows."""
        done = 0
        while done < len(records):
            end = done + max(1, self._piece_rows)
            yield records[done:end]
            done = end

    async def _encode(self, records: Sequence[Record], run: Run, unused: Encoder) -> bytes:
        try:
            if self._encoder.offload:
                encoded = await anyio.to_thread.run_sync(self._encoder.encode, records)
            else:
                encoded = self._encoder.encode(records)
        except EncodeError as error:
            raise _located(error, unused, run, records, self._encoded) from error
        self._piece_rows = PIECE_BYTES * len(records) // max(len(encoded), 1)
        self._encoded += len(records)
        return encoded


def _located(
    error: EncodeError, unused: Encoder, run: Run, records: Sequence[Record], before: int
) -> EncodeError:
    """Say in which row a cell could not be encoded, by encoding them one by one."""
    probe = copy.copy(unused)
    probe.begin(run.plan.columns)
    for number, record in enumerate(records, before + 1):
        try:
            probe.encode([record])
        except EncodeError:
            return type(error)(f"record {number}: {error}")
    return error
