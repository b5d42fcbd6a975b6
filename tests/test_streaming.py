"""Streams: when chunks leave, when errors come, and that nothing stays open."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Self

import anyio
import pytest
from blockbuster import BlockingError
from library import Book, BookResource, NumberResource, bytes_of, fill, generate, numbers
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from async_export import (
    ConfigurationError,
    ExportStateError,
    Field,
    ModelResource,
    Resource,
    RowError,
    SourceError,
    depends,
)
from async_export.formats import available_formats

FORMATS = [each.name for each in available_formats() if each.streaming]

SLOW = {"yaml"}
"""Formats whose records may leave one by one, so that the event loop gets its turns."""

GATHERING = {"arrow", "arrows", "ods", "parquet", "xlsx"}
"""Formats whose bytes leave when there are enough of them to be compressed, or to be a table."""


@pytest.fixture
async def library(engine: AsyncEngine) -> AsyncEngine:
    """The library, in each of the databases."""
    return await fill(engine)


def held(engine: AsyncEngine) -> int:
    """Count the connections that the pool has lent."""
    count: int = engine.pool.checkedout()  # type: ignore[attr-defined]
    return count


async def open_transactions(engine: AsyncEngine) -> int:
    """Count the sessions of the server that are at work or inside a transaction, but our own."""
    statement = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()"
    )
    async with engine.connect() as connection:
        count: int = await connection.scalar(statement)
    return count


async def assert_nothing_open(engine: AsyncEngine) -> None:
    """Fail if a connection is lent, or the server still works for us a second later."""
    gc.collect()
    await asyncio.sleep(0)
    assert held(engine) == 0
    if engine.dialect.name == "postgresql":
        # The server takes notice of a connection that was cut off a little later.
        for _ in range(50):
            if not await open_transactions(engine):
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the server still works for us")


class SeriesResource(Resource):
    """Over `series`."""

    n = Field()


def series(count: int, expression: str = "i") -> Any:
    """Give a statement of *count* rows."""
    return text(f"SELECT {expression} AS n FROM generate_series(1, {count}) AS i")


class BookInstances(BookResource):
    """Has mapped objects built."""

    def dehydrate_title(self, book: Book) -> str:
        """Give the title."""
        return book.title


class BookIterator(BookResource):
    """Iterates in an async generator of its own, which closes nothing."""

    async def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
        """Give what the parent gives."""
        async for book in super().iter_queryset(queryset):
            yield book


class BookBatches(BookResource):
    """Iterates over batches in an async generator of its own, which closes nothing."""

    async def iter_batches(self, queryset: Any) -> AsyncIterator[Sequence[Any]]:
        """Give what the parent gives."""
        async for batch in super().iter_batches(queryset):
            yield batch


RESOURCES = (BookResource, BookInstances, BookIterator, BookBatches)


# --- when chunks leave ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in {*GATHERING, *SLOW}])
async def test_a_chunk_leaves_before_the_next_batch_is_fetched(name: str) -> None:
    """Entering fetches one batch; each further chunk one more, when it is asked for."""
    fetched: list[int] = []

    async def source() -> AsyncIterator[Any]:
        for row in numbers(6):
            fetched.append(row["number"])
            yield row

    resource = NumberResource(batch_size=2, chunk_size=1)
    async with resource.stream(name, source()) as stream:
        assert fetched == [1, 2]
        first = await anext(stream)
        assert fetched == [1, 2]
        assert b"2" in first
        assert b"3" not in first
        second = await anext(stream)
        assert fetched == [1, 2, 3, 4]
        assert b"4" in second
        rest = [chunk async for chunk in stream]
    out = b"".join([first, second, *rest])
    assert out == await bytes_of(NumberResource(), numbers(6), name)


@pytest.mark.parametrize(
    ("name", "magic"), [("xlsx", b"PK"), ("ods", b"PK"), ("parquet", b"PAR1"), ("csv.gz", b"\x1f")]
)
async def test_first_bytes_leave_at_once(name: str, magic: bytes) -> None:
    """Formats that gather send the start of their file when the first batch is fetched."""
    fetched: list[int] = []

    async def source() -> AsyncIterator[Any]:
        for row in numbers(6):
            fetched.append(row["number"])
            yield row

    async with NumberResource(batch_size=2).stream(name, source()) as stream:
        assert fetched == [1, 2]
        assert (await anext(stream)).startswith(magic)
        assert fetched == [1, 2]
        assert [chunk async for chunk in stream]


async def test_hooks_run_batch_by_batch() -> None:
    """The hooks of the second batch have not run when the first chunk is there."""
    seen: list[int] = []

    class Noting(NumberResource):
        async def dehydrate_number(self, row: Any) -> int:
            seen.append(row["number"])
            return int(row["number"])

    async with Noting(batch_size=3, chunk_size=1).stream("csv", numbers(9)) as stream:
        assert await anext(stream) == b"number\r\n1\r\n2\r\n3\r\n"
        assert seen == [1, 2, 3]


@pytest.mark.parametrize("chunk_size", [1, 100, 1000, 65_536, 10_000_000])
async def test_chunk_size(chunk_size: int) -> None:
    """Chunks have chunk_size bytes or more, but for the first and the last."""
    resource = NumberResource(chunk_size=chunk_size, batch_size=10)
    async with resource.stream("csv", numbers(3000)) as stream:
        chunks = [chunk async for chunk in stream]
    assert b"".join(chunks) == await bytes_of(NumberResource(), numbers(3000))
    assert all(chunks)
    assert all(chunk_size <= len(chunk) < chunk_size + 100 for chunk in chunks[1:-1])
    assert (len(chunks) > 2) is (chunk_size <= 1000)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("count", [0, 1, 250])
async def test_the_result_tells_of_the_output(name: str, count: int) -> None:
    """Rows, bytes and sha256 of the result are those of the chunks."""
    async with NumberResource(chunk_size=100).stream(name, numbers(count)) as stream:
        out = b"".join([chunk async for chunk in stream])
    assert stream.result.rows == count
    assert stream.result.bytes == len(out)
    assert stream.result.sha256 == hashlib.sha256(out).hexdigest()


async def test_rows_so_far() -> None:
    """stream.rows tells the progress."""
    stream = NumberResource(batch_size=2, chunk_size=1).stream("csv", numbers(4))
    assert stream.rows == 0
    async with stream:
        assert stream.rows == 2
        _ = [chunk async for chunk in stream]
    assert stream.rows == 4


async def test_what_kind_of_file_it_is() -> None:
    """A stream tells content type and extension before it is entered."""
    stream = NumberResource().stream("csv", numbers(1))
    assert stream.extension == "csv"
    assert stream.content_type.startswith("text/csv")


# --- when errors come -----------------------------------------------------------------------


async def test_sql_errors_come_on_entering(library: AsyncEngine) -> None:
    """A statement that the database refuses raises before the first byte."""
    with pytest.raises(SourceError) as caught:
        async with SeriesResource(library).stream("csv", text("SELECT n FROM nowhere")):
            pytest.fail("entered")
    assert "nowhere" in str(caught.value)
    await assert_nothing_open(library)


async def test_errors_of_the_first_batch_come_on_entering(library: AsyncEngine) -> None:
    """A hook that fails in the first batch fails the entering."""

    class Failing(BookResource):
        def dehydrate_title(self, book: Book) -> str:
            raise LookupError

    with pytest.raises(RowError, match="row 1"):
        async with Failing(library).stream("csv"):
            pytest.fail("entered")
    await assert_nothing_open(library)


async def test_later_errors_come_once_from_the_iteration(library: AsyncEngine) -> None:
    """An error of a later batch raises from the iteration, once, and there is no result."""

    class Failing(BookResource):
        def dehydrate_title(self, book: Book) -> str:
            if book.id == 3:
                raise LookupError
            return book.title

    async with Failing(library, batch_size=1, chunk_size=1).stream("csv") as stream:
        assert b"1," in await anext(stream)
        assert b"2," in await anext(stream)
        with pytest.raises(RowError, match="row 3"):
            await anext(stream)
        with pytest.raises(ExportStateError, match="failed before its end"):
            await anext(stream)
        with pytest.raises(ExportStateError):
            _ = stream.result
    await assert_nothing_open(library)


async def test_sql_errors_amid_the_rows(pg_engine: AsyncEngine) -> None:
    """An error of the server while rows come says how many came, and shows no values."""
    resource = SeriesResource(pg_engine, batch_size=10, chunk_size=1)
    async with resource.stream("csv", series(100, "1 / (55 - i)")) as stream:
        assert await anext(stream)
        with pytest.raises(SourceError) as caught:
            _ = [chunk async for chunk in stream]
    assert caught.value.sqlstate == "22012"
    assert 0 < caught.value.rows < 55
    await assert_nothing_open(pg_engine)


async def test_a_value_in_an_error_of_the_server_is_not_shown(pg_engine: AsyncEngine) -> None:
    """The server's message may quote data; ours does not."""
    statement = text("SELECT ('secret' || i)::integer AS n FROM generate_series(1, 3) AS i")
    with pytest.raises(SourceError) as caught:
        await SeriesResource(pg_engine).export(statement)
    assert caught.value.sqlstate == "22P02"
    assert "secret" not in str(caught.value)


async def test_an_error_of_the_iterable_passes_unchanged() -> None:
    """What the caller's own iterable raises arrives as it is."""

    class OwnError(Exception):
        """The caller's own."""

    async def source() -> AsyncIterator[Any]:
        yield {"number": 1}
        raise OwnError

    with pytest.raises(OwnError):
        await NumberResource().export(source())


async def test_an_error_of_the_reader_passes_unchanged(library: AsyncEngine) -> None:
    """What the body of ``async with`` raises arrives as it is, and all is closed."""

    class OwnError(Exception):
        """The caller's own."""

    with pytest.raises(OwnError):
        async with BookResource(library, batch_size=1).stream("csv") as stream:
            await anext(stream)
            raise OwnError
    await assert_nothing_open(library)


# --- the states of a stream -----------------------------------------------------------------


async def test_there_is_no_result_before_the_end() -> None:
    """The result is there after the last chunk, not before."""
    stream = NumberResource(batch_size=1, chunk_size=1).stream("csv", numbers(2))
    with pytest.raises(ExportStateError, match="after its last chunk"):
        _ = stream.result
    async with stream:
        with pytest.raises(ExportStateError):
            _ = stream.result
        await anext(stream)
        with pytest.raises(ExportStateError):
            _ = stream.result
        _ = [chunk async for chunk in stream]
        assert stream.result.rows == 2
    assert stream.result.rows == 2


async def test_a_stream_serves_once() -> None:
    """Entering a stream twice is an error, during its use and after it."""
    stream = NumberResource().stream("csv", numbers(2))
    async with stream:
        with pytest.raises(ExportStateError, match="serves once"):
            await stream.__aenter__()
        assert b"".join([chunk async for chunk in stream]) == b"number\r\n1\r\n2\r\n"
    with pytest.raises(ExportStateError, match="serves once"):
        await stream.__aenter__()


async def test_a_stream_that_failed_serves_no_more() -> None:
    """After an error on entering, the stream is over."""
    stream = NumberResource().stream("csv", 7)
    with pytest.raises(ConfigurationError):
        await stream.__aenter__()
    with pytest.raises(ExportStateError):
        await stream.__aenter__()
    with pytest.raises(ExportStateError):
        await anext(stream)


async def test_a_stream_is_iterated_inside_its_block() -> None:
    """Iterating before or after the block is an error that shows how."""
    stream = NumberResource().stream("csv", numbers(2))
    with pytest.raises(ExportStateError, match="async with"):
        aiter(stream)
    async with stream:
        pass
    with pytest.raises(ExportStateError):
        aiter(stream)
    with pytest.raises(ExportStateError):
        await anext(stream)


async def test_an_exhausted_stream_stays_exhausted() -> None:
    """After the last chunk there is none, however often one asks."""
    async with NumberResource().stream("csv", numbers(2)) as stream:
        _ = [chunk async for chunk in stream]
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)


async def test_a_stream_that_is_never_entered(library: AsyncEngine) -> None:
    """A stream or records that nobody starts open nothing and warn of nothing."""
    stream = BookResource(library).stream("csv")
    records = BookResource(library).records()
    del stream, records
    await assert_nothing_open(library)


# --- nothing stays open ---------------------------------------------------------------------


@pytest.mark.parametrize("resource_class", RESOURCES)
@pytest.mark.parametrize("chunks", [0, 1, 2])
async def test_leaving_early_closes_all(
    library: AsyncEngine, resource_class: type[BookResource], chunks: int
) -> None:
    """Leaving a stream after some chunks closes cursor, transaction and connection at once."""
    async with resource_class(library, batch_size=1, chunk_size=1).stream("csv") as stream:
        for _ in range(chunks):
            await anext(stream, None)  # by COPY, all of these rows are one chunk
        assert held(library) == 1
    assert held(library) == 0
    await assert_nothing_open(library)


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_leaving_records_early_closes_all(
    library: AsyncEngine, resource_class: type[BookResource]
) -> None:
    """Closing the records after the first one gives the connection back."""
    async with aclosing(resource_class(library, batch_size=1).records()) as records:
        assert (await anext(records))[0] == "1"
        assert held(library) == 1
    assert held(library) == 0
    await assert_nothing_open(library)


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_after_the_end_nothing_is_open(
    library: AsyncEngine, resource_class: type[BookResource]
) -> None:
    """A whole export leaves nothing open."""
    await bytes_of(resource_class(library))
    await assert_nothing_open(library)


async def test_the_iterable_is_closed() -> None:
    """Generators of the caller's are closed when the stream is left early."""
    closed: list[str] = []

    async def asynchronous() -> AsyncIterator[Any]:
        try:
            for row in numbers(9):
                yield row
        finally:
            await asyncio.sleep(0)
            closed.append("async")

    def plain() -> Any:
        try:
            yield from numbers(9)
        finally:
            closed.append("plain")

    for source in (asynchronous(), plain()):
        async with NumberResource(batch_size=1, chunk_size=1).stream("csv", source) as stream:
            await anext(stream)
    assert closed == ["async", "plain"]


async def test_a_session_of_the_caller_s_stays_open(library: AsyncEngine) -> None:
    """Leaving early closes the export's cursor, not the caller's connection."""
    async with library.connect() as connection:
        async with BookResource(connection, batch_size=1, chunk_size=1).stream("csv") as stream:
            await anext(stream)
        assert await connection.scalar(text("SELECT count(*) FROM book")) == 4
        # SQLite refuses this while a cursor is open.
        await connection.execute(text("DROP TABLE book_tag"))
        assert len(await bytes_of(BookResource(connection))) > 10
    await assert_nothing_open(library)


# --- cancellation ---------------------------------------------------------------------------

SLOW = series(300, "CASE WHEN i > 100 THEN pg_sleep(20)::text ELSE '' END || i")


class WaitingResource(SeriesResource):
    """Its hook waits for long at one row."""

    @depends("n")
    async def dehydrate_n(self, row: Any) -> Any:
        """Wait."""
        await asyncio.sleep(20 if row.n == 150 else 0)
        return row.n


async def cancel_task(work: Callable[[], Awaitable[Any]]) -> float:
    """Cancel *work* as asyncio does; give the seconds that it took to end."""
    task = asyncio.ensure_future(work())
    await asyncio.sleep(0.3)
    assert not task.done()
    began = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.perf_counter() - began


async def cancel_scope(work: Callable[[], Awaitable[Any]]) -> float:
    """Cancel *work* by a scope of anyio's; give the seconds that it took to end."""
    with anyio.move_on_after(0.3) as scope:
        await work()
        pytest.fail("came to its end")
    return time.perf_counter() - anyio_overdue(scope)


def anyio_overdue(scope: anyio.CancelScope) -> float:
    """Give the moment at which *scope* was to end, as ``time.perf_counter`` counts."""
    return time.perf_counter() - (anyio.current_time() - scope.deadline)


@pytest.mark.parametrize("cancel", [cancel_task, cancel_scope])
@pytest.mark.parametrize("where", ["query", "hook", "reader"])
async def test_cancelling(
    pg_engine: AsyncEngine, cancel: Callable[..., Awaitable[float]], where: str
) -> None:
    """A cancelled export ends within a second, and its connection is free again."""
    resource = (WaitingResource if where == "hook" else SeriesResource)(
        pg_engine, batch_size=100, chunk_size=1
    )
    chunks: list[bytes] = []

    async def work() -> None:
        async with resource.stream("csv", SLOW if where == "query" else series(300)) as stream:
            async for chunk in stream:
                chunks.append(chunk)
                if where == "reader":
                    await asyncio.sleep(20)

    assert await cancel(work) < 1
    rows = b"".join(chunks).count(b"\n") - 1
    assert rows in {16, 100}  # the first chunk, or the first batch
    assert held(pg_engine) == 0
    await assert_nothing_open(pg_engine)
    assert await bytes_of(SeriesResource(pg_engine), series(1)) == b"n\r\n1\r\n"


@pytest.mark.parametrize("cancel", [cancel_task, cancel_scope])
async def test_cancelling_before_the_first_row(
    pg_engine: AsyncEngine, cancel: Callable[..., Awaitable[float]]
) -> None:
    """An export that waits for its first row can be cancelled as well."""
    slow = text("SELECT pg_sleep(20)::text AS n")
    assert await cancel(lambda: bytes_of(SeriesResource(pg_engine), slow)) < 1
    await assert_nothing_open(pg_engine)


# --- the event loop -------------------------------------------------------------------------


class Ticker:
    """Looks every millisecond whether the event loop is free."""

    def __init__(self) -> None:
        self.gaps: list[float] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(0.01)
        self.gaps.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _tick(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            self.gaps.append(time.perf_counter() - began)

    @property
    def p99(self) -> float:
        """Seconds that 99 of 100 looks took at most."""
        return sorted(self.gaps)[int(len(self.gaps) * 0.99)]


def work_hard(seconds: float) -> None:
    """Hold the processor for a while."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_hooks_that_do_not_wait_leave_the_loop_its_turns(kind: str, concurrency: int) -> None:
    """Hooks of a millisecond each hold the loop for some milliseconds, not for a whole batch."""

    class Plain(NumberResource):
        def dehydrate_number(self, row: Any) -> Any:
            work_hard(0.001)
            return row["number"]

    class Asynchronous(NumberResource):
        async def dehydrate_number(self, row: Any) -> Any:
            work_hard(0.001)
            return row["number"]

    resource_class = Plain if kind == "def" else Asynchronous
    resource = resource_class(hook_concurrency=concurrency, batch_size=200)
    async with Ticker() as ticker:
        assert len(await resource.export(generate(numbers(400)))) == 400
    assert len(ticker.gaps) > 60
    assert ticker.p99 < 0.05


@pytest.mark.parametrize("name", FORMATS)
async def test_many_rows_leave_the_loop_its_turns(pg_engine: AsyncEngine, name: str) -> None:
    """An export of many rows without hooks holds the loop for some milliseconds at a time."""
    columns = ", ".join(f"i AS c{n}" for n in range(8))
    statement = text(f"SELECT {columns} FROM generate_series(1, 20000) AS i")

    class Wide(Resource):
        class Meta:
            fields = "__all__"

    async with Ticker() as ticker:
        await bytes_of(Wide(pg_engine), statement, name)
    assert ticker.p99 < 0.05


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_hooks_that_block_are_found(kind: str) -> None:
    """A hook that calls time.sleep is found by the guard of these tests."""

    class Plain(NumberResource):
        def dehydrate_number(self, row: Any) -> Any:
            time.sleep(0.001)

    class Asynchronous(NumberResource):
        async def dehydrate_number(self, row: Any) -> Any:
            time.sleep(0.001)  # noqa: ASYNC251

    with pytest.raises(RowError, match="row 1") as caught:
        await (Plain if kind == "def" else Asynchronous)().export(numbers(1))
    assert isinstance(caught.value.__cause__, BlockingError)


async def test_rows_and_hooks_see_one_snapshot(pg_engine: AsyncEngine) -> None:
    """What is committed during an export is seen neither in its rows nor by its hooks."""
    engine = await fill(pg_engine)

    class Counting(ModelResource):
        count = Field()

        class Meta:
            model = Book
            fields = ("id", "count")
            batch_size = 1
            chunk_size = 1
            hooks_use_database = True

        @depends("id")
        async def dehydrate_count(self, row: Any) -> Any:
            return await self.session.scalar(text("SELECT count(*) FROM book"))

    async with Counting(engine).stream("csv") as stream:
        first = await anext(stream)
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM book WHERE id = 4"))
        rest = [chunk async for chunk in stream]
    assert b"".join([first, *rest]) == b"id,count\r\n1,4\r\n2,4\r\n3,4\r\n4,4\r\n"
