"""COPY as chunks, on the server, however the iteration ends."""

from __future__ import annotations

import asyncio
import csv
import gc
import io
import tracemalloc
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import asyncpg
import pytest

from async_export.postgres.copying import CopyOut

LONG = "SELECT generate_series(1, 1000000000), repeat('x', 100)"
"""More than any test waits for; the rows are sent as they are made."""

SLEEPING = "SELECT 1, pg_sleep(60)::text"
"""No chunk for a minute."""


def copy(connection: asyncpg.Connection, sql: str, **options: Any) -> CopyOut:
    """Make a COPY with the options of CSV."""
    return CopyOut(connection, sql, **{"delimiter": ",", **options})


async def output(out: CopyOut) -> list[bytes]:
    """All the chunks."""
    async with aclosing(out.chunks()) as chunks:
        return [bytes(chunk) async for chunk in chunks]


def records(data: bytes) -> list[list[str]]:
    """The rows in *data*, as a reader of CSV sees them."""
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


@asynccontextmanager
async def left_clean(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Check that no task and no query is left, and that the connection is usable at once.

    In a transaction, that is: after a rollback.
    """
    before = asyncio.all_tasks()
    pid = connection.get_server_pid()
    await connection.execute("BEGIN")
    yield
    async with asyncio.timeout(5):
        await connection.execute("ROLLBACK")
        assert await connection.fetchval("SELECT pg_backend_pid()") == pid
        while asyncio.all_tasks() != before:  # noqa: ASYNC110 - tasks have no event for all
            await asyncio.sleep(0)
        assert await output(copy(connection, "SELECT 1")) == [b"1\n"]


# What comes out


async def test_rows_are_counted_after_the_last_chunk(pg_connection: asyncpg.Connection) -> None:
    """The tag of COPY is there when the chunks are, not before."""
    out = copy(pg_connection, "SELECT n, repeat('x', 100) FROM generate_series(1, 20000) AS n")
    assert out.rows is None
    data = b""
    async for chunk in out.chunks():
        assert out.rows is None
        data += chunk
    assert out.rows == 20_000
    assert [int(number) for number, _ in records(data)] == list(range(1, 20_001))


async def test_chunks_are_whole_rows(pg_connection: asyncpg.Connection) -> None:
    """A row with line ends and quotes in it is never cut."""
    sql = """
        SELECT n, repeat(E'a\\r\\n"b", \\n', n % 50), n FROM generate_series(1, 50000) AS n
        -- the end
    """
    out = copy(pg_connection, sql)
    chunks = await output(out)
    assert len(chunks) > 10
    numbers = []
    for chunk in chunks:
        for first, middle, last in records(chunk):
            assert first == last
            assert middle == 'a\r\n"b", \n' * (int(first) % 50)
            numbers.append(int(first))
    assert numbers == list(range(1, 50_001))
    assert out.rows == 50_000


async def test_options(pg_connection: asyncpg.Connection) -> None:
    """Control characters and quotes are as good as commas."""
    sql = "SELECT 1, NULL, 'null', 'it''s', E'a\\tb'"
    for options, expected in (
        ({}, b"1,,null,it's,a\tb\n"),
        ({"null": "null"}, b'1,null,"null",it\'s,a\tb\n'),
        ({"delimiter": "\t", "null": "\\N"}, b'1\t\\N\tnull\tit\'s\t"a\tb"\n'),
        (
            {"delimiter": "\x02", "quote": "\x01", "null": "null"},
            b"1\x02null\x02\x01null\x01\x02it's\x02a\tb\n",
        ),
        ({"quote": "'", "null": ""}, b"1,,null,'it''s',a\tb\n"),
    ):
        assert await output(copy(pg_connection, sql, **options)) == [expected]


async def test_utf8_whatever_the_session(pg_connection: asyncpg.Connection) -> None:
    """The client's encoding is not that of the chunks."""
    await pg_connection.execute("SET client_encoding = 'latin1'")
    assert await output(copy(pg_connection, "SELECT chr(233)")) == ["é\n".encode()]


async def test_nothing(pg_connection: asyncpg.Connection) -> None:
    """No rows, and rows of no columns."""
    out = copy(pg_connection, "SELECT 1 WHERE false")
    assert await output(out) == []
    assert out.rows == 0
    out = copy(pg_connection, "SELECT FROM generate_series(1, 3)")
    assert b"".join(await output(out)) == b"\n\n\n"
    assert out.rows == 3


async def test_a_huge_cell(pg_connection: asyncpg.Connection) -> None:
    """A row is a chunk, even if it has 60 MB."""
    size = 60_000_000
    sql = f"SELECT n, repeat('x', n) FROM (VALUES (1), ({size}), (2)) AS v (n)"
    out = copy(pg_connection, sql)
    async with aclosing(out.chunks()) as chunks:
        sizes = [len(chunk) async for chunk in chunks]
    assert sum(sizes) == len("1,x\n60000000,\n2,xx\n") + size
    assert max(sizes) > size
    assert out.rows == 3


async def test_twice(pg_connection: asyncpg.Connection) -> None:
    """Each iteration is a COPY of its own."""
    out = copy(pg_connection, "SELECT 1")
    assert await output(out) == await output(out) == [b"1\n"]
    assert out.rows == 1


# Backpressure


async def test_a_stalled_reader_holds_the_server_back(
    pg_connection: asyncpg.Connection, pg_dsn: str
) -> None:
    """While nothing is taken, the server produces no more than its socket's buffers hold."""
    observer = await asyncpg.connect(pg_dsn)
    progress = "SELECT tuples_processed FROM pg_stat_progress_copy WHERE pid = $1"
    pid = pg_connection.get_server_pid()
    try:
        async with left_clean(pg_connection), aclosing(copy(pg_connection, LONG).chunks()) as out:
            await anext(out)
            await asyncio.sleep(0.3)
            first = await observer.fetchval(progress, pid)
            await asyncio.sleep(0.3)
            assert await observer.fetchval(progress, pid) == first
            assert first * 110 < 20_000_000
            for _ in range(100):
                await anext(out)
            await asyncio.sleep(0.3)
            assert await observer.fetchval(progress, pid) > first
    finally:
        await observer.close()


async def test_memory_is_flat(pg_connection: asyncpg.Connection) -> None:
    """However slow the reader, it holds one chunk, and another waits."""
    async with left_clean(pg_connection), aclosing(copy(pg_connection, LONG).chunks()) as chunks:
        sizes = []
        tracemalloc.start()
        try:
            for number in range(300):
                sizes.append(len(await anext(chunks)))
                if number % 10 == 0:
                    await asyncio.sleep(0.01)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert sum(sizes) > 10_000_000
    assert max(sizes) < 300_000
    assert peak < 3_000_000


async def test_no_chunk_waits(pg_connection: asyncpg.Connection) -> None:
    """What was not asked for stays with the server."""
    out = copy(pg_connection, LONG)
    given = 0

    class Counting:
        """The connection, counting what asyncpg hands over."""

        def __getattr__(self, name: str) -> Any:
            return getattr(pg_connection, name)

        async def copy_from_query(self, sql: str, *, output: Any, **options: Any) -> Any:
            async def count(chunk: bytes) -> None:
                nonlocal given
                given += 1
                await output(chunk)

            return await pg_connection.copy_from_query(sql, output=count, **options)

    out._connection = Counting()
    async with left_clean(pg_connection), aclosing(out.chunks()) as chunks:
        for taken in range(1, 20):
            await anext(chunks)
            await asyncio.sleep(0.01)
            assert given == taken


async def test_command_timeout_is_not_for_copy(pg_dsn: str) -> None:
    """The connection's timeout, which would count the reader's time, does not end a COPY."""
    connection = await asyncpg.connect(pg_dsn, command_timeout=0.2)
    try:
        out = copy(connection, "SELECT n, repeat('x', 100) FROM generate_series(1, 20000) AS n")
        async with aclosing(out.chunks()) as chunks:
            async for _ in chunks:
                await asyncio.sleep(0.05)
        assert out.rows == 20_000
        out = copy(connection, "SELECT pg_sleep(0.5)")
        assert await output(out) == [b'""\n']
    finally:
        await connection.close()


# Errors of the database


async def test_bad_sql(pg_connection: asyncpg.Connection) -> None:
    """What the server does not understand is its own error."""
    async with left_clean(pg_connection):
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await output(copy(pg_connection, "SELEC 1"))
    async with left_clean(pg_connection):
        with pytest.raises(asyncpg.UndefinedTableError):
            await output(copy(pg_connection, "SELECT * FROM nothing"))


async def test_an_error_in_the_midst_comes_after_the_chunks(
    pg_connection: asyncpg.Connection,
) -> None:
    """What was sent before an error is there, and then the error is."""
    out = copy(
        pg_connection, "SELECT n, 1 / (50000 - n) FROM (SELECT generate_series(1, 60000)) AS v (n)"
    )
    data = b""
    async with left_clean(pg_connection):
        with pytest.raises(asyncpg.DivisionByZeroError):
            async for chunk in out.chunks():
                data += chunk
    numbers = [int(number) for number, _ in records(data)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 1000 < len(numbers) < 50_000
    assert out.rows is None


@pytest.mark.parametrize("taken", [0, 1, 20])
async def test_killed(pg_connection: asyncpg.Connection, pg_dsn: str, taken: int) -> None:
    """A lost connection is one error, after the chunks that came through."""
    before = asyncio.all_tasks()
    killer = await asyncpg.connect(pg_dsn)
    chunks = copy(pg_connection, LONG if taken else SLEEPING).chunks()
    try:
        for _ in range(taken):
            await anext(chunks)
        following = asyncio.ensure_future(anext(chunks, b""))
        await asyncio.sleep(0.05)
        await killer.execute("SELECT pg_terminate_backend($1)", pg_connection.get_server_pid())
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            async with asyncio.timeout(10):
                await following
                async for _ in chunks:
                    pass
        assert await anext(chunks, None) is None
    finally:
        await killer.close()
    assert asyncio.all_tasks() <= before


async def test_statement_timeout(pg_connection: asyncpg.Connection) -> None:
    """PostgreSQL's own timeout counts the reader's time, and says so."""
    taken = 0
    async with left_clean(pg_connection):
        await pg_connection.execute("SET LOCAL statement_timeout = '300ms'")
        with pytest.raises(asyncpg.QueryCanceledError):
            async for _ in copy(pg_connection, LONG).chunks():
                taken += 1
                await asyncio.sleep(0.01)
    assert taken > 5


async def test_a_busy_connection(pg_connection: asyncpg.Connection) -> None:
    """A COPY on a connection that is at something else is an error, and harms neither."""
    busy = asyncio.ensure_future(pg_connection.fetchval("SELECT pg_sleep(0.2)::text"))
    await asyncio.sleep(0.05)
    with pytest.raises(asyncpg.InterfaceError):
        await output(copy(pg_connection, "SELECT 1"))
    assert await busy == ""


# The reader's end


async def _take(chunks: Any, count: int) -> None:
    for _ in range(count):
        await anext(chunks)


@pytest.mark.parametrize(
    ("sql", "taken"), [(LONG, 0), (LONG, 1), (LONG, 20), ("SELECT 1", 0), ("SELECT 1", 1)]
)
async def test_closed_early(pg_connection: asyncpg.Connection, sql: str, taken: int) -> None:
    """Who has seen enough leaves nothing behind, even if that was the whole of it."""
    chunks = copy(pg_connection, sql).chunks()
    async with left_clean(pg_connection), aclosing(chunks):
        await _take(chunks, taken)


async def test_a_failing_reader(pg_connection: asyncpg.Connection) -> None:
    """An error of the reader's ends the COPY and is raised as it is."""
    async with left_clean(pg_connection):
        with pytest.raises(ZeroDivisionError):
            async with aclosing(copy(pg_connection, LONG).chunks()) as chunks:
                async for _ in chunks:
                    raise ZeroDivisionError


async def test_forgotten(pg_connection: asyncpg.Connection) -> None:
    """An iterator that nobody closes is closed by the loop once it is collected."""
    async with left_clean(pg_connection):
        async for _ in copy(pg_connection, LONG).chunks():
            break
        gc.collect()
        await asyncio.sleep(0.05)


async def test_outside_of_a_transaction(pg_connection: asyncpg.Connection) -> None:
    """Without a transaction, the connection is usable without a rollback."""
    for _ in range(5):
        async with aclosing(copy(pg_connection, LONG).chunks()) as chunks:
            await _take(chunks, 2)
        async with asyncio.timeout(5):
            assert await pg_connection.fetchval("SELECT 1") == 1


async def _consume(connection: asyncpg.Connection, sql: str, seconds: float) -> None:
    async with aclosing(copy(connection, sql).chunks()) as chunks:
        async for _ in chunks:
            await asyncio.sleep(seconds)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize(
    ("sql", "seconds"), [(LONG, 60), (LONG, 0), (SLEEPING, 0)], ids=["slow", "busy", "waiting"]
)
async def test_cancelled(
    pg_connection: asyncpg.Connection, sql: str, seconds: float, times: int
) -> None:
    """A cancelled reader, once or repeatedly, ends the COPY and stays cancelled."""
    async with left_clean(pg_connection):
        task = asyncio.ensure_future(_consume(pg_connection, sql, seconds))
        await asyncio.sleep(0.1)
        for number in range(times):
            task.cancel(str(number))
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()


@pytest.mark.parametrize(
    ("sql", "seconds"), [(LONG, 60), (LONG, 0), (SLEEPING, 0)], ids=["slow", "busy", "waiting"]
)
async def test_cancel_scope(pg_connection: asyncpg.Connection, sql: str, seconds: float) -> None:
    """A cancel scope, which cancels again and again, gets its own cancellation back."""
    async with left_clean(pg_connection):
        with anyio.move_on_after(0.1) as scope:
            await _consume(pg_connection, sql, seconds)
        assert scope.cancelled_caught
    async with left_clean(pg_connection):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await _consume(pg_connection, sql, seconds)


async def test_cancelled_task_group(pg_connection: asyncpg.Connection) -> None:
    """A failing neighbour in a task group ends the COPY."""

    async def fail() -> None:
        await asyncio.sleep(0.1)
        raise ZeroDivisionError

    async with left_clean(pg_connection):
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:
                group.start_soon(_consume, pg_connection, LONG, 0)
                group.start_soon(fail)
        assert caught.group_contains(ZeroDivisionError)
        assert len(caught.value.exceptions) == 1


async def test_closing_does_not_wait(pg_connection: asyncpg.Connection) -> None:
    """Nothing can come between: an iterator is closed within one turn of the loop."""
    async with left_clean(pg_connection):
        chunks = copy(pg_connection, LONG).chunks()
        await anext(chunks)
        with pytest.raises(StopIteration):
            chunks.aclose().send(None)


@types.coroutine
def _cancelled_at(
    step: int, work: Coroutine[Any, Any, None], *, again: bool
) -> Generator[Any, Any, int]:
    """Run *work*, cancelling it when it suspends for the *step*-th time; count how often it did."""
    steps = 0
    resume: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
    while True:
        try:
            waiting = resume()
        except StopIteration:
            return steps
        steps += 1
        if steps == step:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if again:
                asyncio.get_running_loop().call_soon(task.cancel)
        try:
            yield waiting
        except BaseException as error:  # noqa: BLE001
            resume = lambda error=error: work.throw(error)  # type: ignore[misc] # noqa: E731
        else:
            resume = lambda: work.send(None)  # noqa: E731


async def _run(work: Awaitable[int]) -> int:
    return await work


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("size", [1, 30_000, 200_000])
async def test_cancelled_at_every_suspension(
    pg_connection: asyncpg.Connection, size: int, again: bool
) -> None:
    """Wherever a reader is cancelled, and once more right after it, nothing is left."""

    async def read() -> None:
        out = copy(pg_connection, f"SELECT generate_series(1, 20), repeat('x', {size})")
        async with aclosing(out.chunks()) as chunks:
            async for _ in chunks:
                await asyncio.sleep(0)
        assert out.rows == 20

    step = 1
    while True:
        async with left_clean(pg_connection):
            task = asyncio.ensure_future(_run(_cancelled_at(step, read(), again=again)))
            await asyncio.wait([task])
        if not task.cancelled():
            assert task.result() < step
            break
        step += 1
    assert step > 2
