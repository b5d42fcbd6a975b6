"""Exports from a hot standby, whose recovery goes on and is in the way of who reads for long."""

# ruff: noqa: ASYNC110 - what the standby does is waited for by looking

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from conditions import Conditions
from servers import needs_postgres, postgres, private_folder
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Mapped, mapped_column
from subjects import (
    ROWS,
    STRATEGIES,
    TABLES,
    Base,
    CopiedResource,
    CursorResource,
    ServerResource,
    export,
    publish,
    slowly,
)

from async_export import (
    ConfigurationError,
    ConflictError,
    ConnectionLostError,
    ModelResource,
    SourceError,
)

pytestmark = [pytest.mark.faults, needs_postgres]

_DELAY = 0.5
"""Seconds that recovery waits for who is in its way."""

_CHANGES = {
    "vacuum": ("update book set title = title", "vacuum book"),
    "truncate": (
        "begin",
        "create temporary table books on commit drop as table book",
        "truncate book",
        "insert into book select * from books order by id",
        "commit",
    ),
    "alter": ("alter table book alter price type numeric(9, 2)",),
}
"""By name, what is done on the primary; none of them changes a byte of an export."""

by_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
by_change = pytest.mark.parametrize("change", _CHANGES)


class Scratch(Base):
    """A table that the log of the primary leaves out."""

    __tablename__ = "scratch"

    id: Mapped[int] = mapped_column(primary_key=True)


class ScratchResource(ModelResource):
    """Exports it."""

    class Meta:
        """Its options."""

        model = Scratch
        fields = ("id",)


class Servers(NamedTuple):
    """Where they listen."""

    primary: URL
    standby: URL


def _dsn(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _fill(url: URL) -> None:
    async def fill() -> None:
        connection = await asyncpg.connect(_dsn(url))
        await connection.execute(TABLES)
        await connection.execute("create unlogged table scratch (id integer primary key)")
        await connection.close()

    asyncio.run(fill())


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """A primary with the tables of `subjects`, and a standby that soon ends who is in its way."""
    settings = {"max_standby_streaming_delay": f"{_DELAY}s", "wal_receiver_status_interval": "1s"}
    with (
        private_folder() as folder,
        postgres(folder / "primary", settings={"autovacuum": "off"}) as primary,
    ):
        _fill(primary)
        with postgres(folder / "standby", primary=primary, settings=settings) as standby:
            yield Servers(primary, standby)


class Replication:
    """The primary, and how far its standby is.

    Args:
        primary: A connection to the primary.
        standby: A connection to the standby.
    """

    def __init__(self, primary: asyncpg.Connection, standby: asyncpg.Connection) -> None:
        self.primary = primary
        self.standby = standby

    async def strike(self, change: str) -> None:
        """Do on the primary what its standby cannot repeat while somebody reads."""
        for statement in _CHANGES[change]:
            await self.primary.execute(statement)
        await self.flush()

    async def flush(self) -> None:
        """Let the standby have what the primary would keep for a moment, such as a vacuum."""
        await self.primary.execute("select pg_logical_emit_message(true, '', '')")

    async def catch_up(self) -> None:
        """Wait until the standby has repeated everything."""
        await self.flush()
        wanted = await self.primary.fetchval("select pg_current_wal_flush_lsn()::text")
        async with asyncio.timeout(10):
            while await self.standby.fetchval(
                "select pg_last_wal_replay_lsn() < $1::text::pg_lsn", wanted
            ):
                await asyncio.sleep(0.01)

    async def replayed(self) -> int:
        """Give how far the standby is, in bytes."""
        return int(await self.standby.fetchval("select pg_last_wal_replay_lsn() - '0/0'"))


@pytest.fixture
async def replication(servers: Servers) -> AsyncIterator[Replication]:
    """A replication that is up to date."""
    primary, standby = [await asyncpg.connect(_dsn(url)) for url in servers]
    replication = Replication(primary, standby)
    await replication.catch_up()
    yield replication
    await replication.catch_up()
    await primary.close()
    await standby.close()


@pytest.fixture
def conditions(
    replication: Replication,
    servers: Servers,
    new_engine: Callable[..., AsyncEngine],
    watched: Callable[..., Conditions],
    name: str,
) -> Conditions:
    """The conditions of exports from the standby."""
    settings = {"search_path": "public"}
    engine = new_engine(name=name, url=servers.standby, settings=settings, pool_pre_ping=True)
    conditions = watched(engine, name)
    conditions.watcher = replication.standby
    return conditions


@asynccontextmanager
async def bound(engine: AsyncEngine, kind: str) -> AsyncIterator[Any]:
    """Give a bind of each kind."""
    if kind == "engine":
        yield engine
    elif kind == "sessionmaker":
        yield async_sessionmaker(engine)
    else:
        opened: Any = engine.connect() if kind == "connection" else AsyncSession(engine)
        async with opened as bind:
            yield bind


async def bytes_of(resource: ModelResource, name: str = "csv") -> bytes:
    """Give all bytes of an export."""
    async with resource.stream(name) as stream:
        return b"".join([chunk async for chunk in stream])


# What works


@pytest.mark.parametrize("name", ["csv", "xlsx"])
@pytest.mark.parametrize("kind", ["engine", "sessionmaker", "session", "connection"])
@by_strategy
async def test_exports(
    conditions: Conditions,
    new_engine: Callable[..., AsyncEngine],
    servers: Servers,
    *,
    strategy: type[ModelResource],
    kind: str,
    name: str,
) -> None:
    """Every strategy, bind and format gives the bytes that it gives from the primary."""
    primary = new_engine(name="primary", url=servers.primary, settings={"search_path": "public"})
    expected = await bytes_of(strategy(primary), name)
    await primary.dispose()
    async with bound(conditions.engine, kind) as bind:
        assert await bytes_of(strategy(bind), name) == expected


class Interrupted:
    """Lets a test in after the snapshot was taken."""

    async def before_export(self, queryset: Any, *, meanwhile: Any = None, **_: Any) -> None:
        """Let the test in."""
        if meanwhile is not None:
            await meanwhile()


@by_strategy
async def test_snapshot(
    conditions: Conditions,
    replication: Replication,
    tmp_path: Path,
    strategy: type[ModelResource],
) -> None:
    """The manifest tells how far the standby was, of which no later change is in the file."""
    resource: Any = type("InterruptedResource", (Interrupted, strategy), {})(conditions.engine)
    expected, path = await conditions.reference(resource), tmp_path / "books.csv"
    replayed = [await replication.replayed()]

    async def insert() -> None:
        replayed.append(await replication.replayed())
        await replication.primary.execute("insert into book values ($1, 'late')", ROWS + 1)
        await replication.catch_up()
        replayed.append(await replication.replayed())

    try:
        await resource.export_to(path, manifest=True, meanwhile=insert)
    finally:
        await replication.primary.execute("delete from book where id > $1", ROWS)
    assert path.read_bytes() == expected
    manifest = json.loads((tmp_path / "books.csv.manifest.json").read_bytes())
    high, low = manifest["snapshot"]["lsn"].split("/")
    before, at_once, later = replayed
    assert before <= (int(high, 16) << 32) + int(low, 16) <= at_once < later


@by_strategy
async def test_locks(
    conditions: Conditions, replication: Replication, strategy: type[ModelResource]
) -> None:
    """Tables are locked on the standby, and on the primary nobody notices."""
    sql = (
        "select relation::regclass::text, mode from pg_locks join pg_class on relation = oid "
        "where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1"
    )
    async with strategy(conditions.engine).stream("csv") as stream:
        await anext(stream)
        locked = [tuple(row) for row in await replication.standby.fetch(sql)]
        assert locked == [("author", "AccessShareLock"), ("book", "AccessShareLock")]
        assert await replication.primary.fetch(sql) == []


@by_strategy
async def test_feedback(
    conditions: Conditions,
    replication: Replication,
    tmp_path: Path,
    strategy: type[ModelResource],
) -> None:
    """With hot_standby_feedback, the primary keeps what a slow export still has to read."""
    run, resource = replication.standby.execute, strategy(conditions.engine)
    path = tmp_path / "books.csv"
    held = "select backend_xmin::text = $1 from pg_stat_replication"
    await run("alter system set hot_standby_feedback = on")
    await run("select pg_reload_conf()")
    try:
        async with conditions.fault(resource, path) as outcome:
            received = bytearray()
            async with resource.stream("csv") as stream:
                received += await anext(stream)
                seen = "select backend_xmin::text from pg_stat_activity where application_name = $1"
                xmin = await replication.standby.fetchval(seen, conditions.name)
                async with asyncio.timeout(10):
                    while not await replication.primary.fetchval(held, xmin):
                        await asyncio.sleep(0.05)
                await replication.strike("vacuum")
                await replication.catch_up()
                await asyncio.sleep(2 * _DELAY)
                async for chunk in stream:
                    received += chunk
            publish(path, received)
        assert outcome.error is None
    finally:
        await run("alter system reset hot_standby_feedback")
        await run("select pg_reload_conf()")


async def test_promotion(servers: Servers, new_engine: Callable[..., AsyncEngine]) -> None:
    """A standby that becomes a primary goes on with what it has begun."""
    with (
        private_folder() as folder,
        postgres(folder / "standby", primary=servers.primary) as standby,
    ):
        engine = new_engine(
            name="promoted", url=standby, settings={"search_path": "public"}, pool_size=5
        )

        async def read(resource: ModelResource) -> bytes:
            async with resource.stream("csv") as stream:
                received = bytearray(await anext(stream))
                begun.release()
                await promoted.wait()
                async for chunk in stream:
                    received += chunk
            return bytes(received)

        begun, promoted = asyncio.Semaphore(0), asyncio.Event()
        reading = [asyncio.create_task(read(each(engine))) for each in STRATEGIES.values()]
        for _ in reading:
            await begun.acquire()
        async with engine.connect() as connection:
            await connection.exec_driver_sql("select pg_promote()")
        promoted.set()
        found = await asyncio.gather(*reading)
        assert found == [await bytes_of(each(engine)) for each in STRATEGIES.values()]
        await bytes_of(ServerResource(engine, deferrable=True))
        await engine.dispose()


# What does not work, and says so at the start


@pytest.mark.parametrize("kind", ["engine", "sessionmaker"])
async def test_deferrable(conditions: Conditions, tmp_path: Path, kind: str) -> None:
    """A serializable transaction is refused at the start, and why."""
    path = tmp_path / "books.csv"
    async with (
        conditions.fault(ServerResource(conditions.engine), path) as outcome,
        bound(conditions.engine, kind) as bind,
    ):
        await ServerResource(bind, deferrable=True).export_to(path)
    assert isinstance(outcome.error, ConfigurationError)
    assert "standby" in str(outcome.error)


async def test_unlogged_table(conditions: Conditions, tmp_path: Path) -> None:
    """A table that a standby does not have the rows of is refused at the start, and why."""
    path = tmp_path / "scratch.csv"
    async with conditions.fault(ServerResource(conditions.engine), path) as outcome:
        await ScratchResource(conditions.engine).export_to(path)
    assert type(outcome.error) is SourceError
    assert outcome.error.sqlstate == "0A000"
    assert "unlogged" in str(outcome.error)


# Recovery that does not wait for ever


@by_change
@by_strategy
async def test_conflict_while_working(
    conditions: Conditions,
    replication: Replication,
    tmp_path: Path,
    *,
    strategy: type[ModelResource],
    change: str,
) -> None:
    """A query that recovery ends is a ConflictError that tells what helps."""
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path) as outcome:
        task = asyncio.create_task(export(resource, "file", path, slowly(ROWS // 2, 10)))
        await conditions.waiting("PgSleep")
        await replication.strike(change)
        try:
            await task
        finally:
            await replication.catch_up()
    assert isinstance(outcome.error, ConflictError)
    assert outcome.error.sqlstate == "40001"
    assert outcome.error.is_retryable
    assert "max_standby_streaming_delay" in str(outcome.error)


async def _interrupted(
    resource: ModelResource, path: Path, replication: Replication, change: str
) -> None:
    """Read a stream to its end, with a conflict after the first chunk, and publish it."""
    received = bytearray()
    async with resource.stream("csv") as stream:
        received += await anext(stream)
        await replication.strike(change)
        await asyncio.sleep(2 * _DELAY)
        try:
            async for chunk in stream:
                received += chunk
        finally:
            await replication.catch_up()
    publish(path, received)


_NEVER_IDLE = (ServerResource, CopiedResource)
"""COPY waits for its reader without being idle."""


@by_change
@by_strategy
async def test_conflict_with_a_slow_reader(
    conditions: Conditions,
    replication: Replication,
    tmp_path: Path,
    *,
    strategy: type[ModelResource],
    change: str,
) -> None:
    """A session that recovery ends between two fetches is told as what it was, or may have been."""
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path) as outcome:
        await _interrupted(resource, path, replication, change)
    if strategy in _NEVER_IDLE:
        assert isinstance(outcome.error, ConflictError)
        assert outcome.error.sqlstate == "40001"
    # What the server says to an idle session, asyncpg does not tell.
    assert isinstance(outcome.error, ConflictError | ConnectionLostError)
    assert outcome.error.is_retryable
    assert "max_standby_streaming_delay" in str(outcome.error)


@pytest.mark.parametrize("kind", ["session", "connection"])
@pytest.mark.parametrize("strategy", [ServerResource, CursorResource], ids=["copy", "cursor"])
async def test_conflict_in_a_transaction_of_the_callers(
    conditions: Conditions,
    replication: Replication,
    tmp_path: Path,
    *,
    strategy: type[ModelResource],
    kind: str,
) -> None:
    """In a transaction of the caller's it is no other."""
    path = tmp_path / "books.csv"
    async with (
        conditions.fault(strategy(conditions.engine), path) as outcome,
        bound(conditions.engine, kind) as bind,
    ):
        await _interrupted(strategy(bind), path, replication, "truncate")
    assert isinstance(outcome.error, ConflictError | ConnectionLostError)
    assert "max_standby_streaming_delay" in str(outcome.error)
