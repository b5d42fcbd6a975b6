"""Exports through PgBouncer, where each transaction may have another session of the server.

They work, or say before their first byte why not; what they leave behind in the sessions of the
server, which are other clients' next, is nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from asyncpg import connection as asyncpg_connection
from conditions import NETWORK_SECONDS, Conditions, Tally
from servers import needs_pgbouncer, needs_postgres, pgbouncer, postgres, private_folder
from sqlalchemy import URL, NullPool, make_url
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from subjects import (
    ORDERLY,
    PASSWORD,
    ROWS,
    STRATEGIES,
    TABLES,
    Author,
    CopiedResource,
    CursorResource,
    InstancesResource,
    ServerResource,
    export,
    gated,
    publish,
    slowly,
)

from async_export import (
    ConnectionLostError,
    ModelResource,
    PoolExhaustedError,
    SourceError,
    SourceTimeoutError,
)
from async_export.postgres.embedded import EmbeddedPostgres

pytestmark = [pytest.mark.faults, needs_postgres, needs_pgbouncer]

Bouncer = Callable[..., URL]
NewEngine = Callable[..., AsyncEngine]

RECOMMENDED = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: f"__asyncpg_{uuid4()}__",
}
"""What SQLAlchemy recommends to connect with, beside its `NullPool`."""

FORMATS = ("csv", "xlsx")

BINDS = ("engine", "sessionmaker", "session", "connection")

by_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)


def _fill(url: str | URL) -> URL:
    async def fill() -> None:
        connection = await asyncpg.connect(_dsn(url))
        await connection.execute(TABLES)
        await connection.close()

    asyncio.run(fill())
    return make_url(url)


def _dsn(url: str | URL) -> str:
    return make_url(url).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def fifteen() -> Iterator[URL]:
    """PostgreSQL 15 with the tables of `subjects`."""
    with private_folder() as folder, postgres(folder / "postgres", settings=ORDERLY) as url:
        yield _fill(url)


@pytest.fixture(scope="module")
def eighteen() -> Iterator[URL]:
    """PostgreSQL 18 with the tables of `subjects`."""
    settings = {"fsync": "off", **ORDERLY}
    with (
        private_folder() as folder,
        EmbeddedPostgres(folder / "postgres", settings=settings) as server,
    ):
        yield _fill(server.url)


@contextmanager
def _bouncer(server: URL, **settings: str | int) -> Iterator[URL]:
    with private_folder() as folder, pgbouncer(folder / "bouncer", server, **settings) as url:
        yield url


@pytest.fixture(scope="module", params=["fifteen", "eighteen"])
def server(request: pytest.FixtureRequest) -> URL:
    """Each of the servers in turn."""
    url: URL = request.getfixturevalue(request.param)
    return url


@pytest.fixture(scope="module")
def shared(server: URL) -> Iterator[URL]:
    """A PgBouncer that many tests use, in front of each of the servers."""
    with _bouncer(server) as url:
        yield url


@pytest.fixture
def bouncer(fifteen: URL) -> Iterator[Bouncer]:
    """A function that runs a PgBouncer with some settings in front of PostgreSQL 15."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(_bouncer(fifteen, **settings))


@pytest.fixture
async def new_engine() -> AsyncIterator[NewEngine]:
    """A function that makes an engine, with the settings that are recommended or the usual ones."""
    made: list[AsyncEngine] = []

    def make(url: URL, *, recommended: bool = True, **arguments: Any) -> AsyncEngine:
        pool: Any = {"poolclass": NullPool} if recommended else {"pool_size": 2, "max_overflow": 0}
        every = {"password": PASSWORD, **(RECOMMENDED if recommended else {}), **arguments}
        url = url.set(drivername="postgresql+asyncpg")
        made.append(create_async_engine(url, connect_args=every, **pool))
        return made[-1]

    yield make
    for engine in made:
        await engine.dispose()


@asynccontextmanager
async def bound(engine: AsyncEngine, kind: str) -> AsyncIterator[Any]:
    """Give a bind of each kind."""
    opened: AsyncConnection | AsyncSession
    if kind == "engine":
        yield engine
    elif kind == "sessionmaker":
        yield async_sessionmaker(engine)
    else:
        opened = engine.connect() if kind == "connection" else AsyncSession(engine)
        async with opened as bind:
            yield bind


async def bytes_of(resource: ModelResource, name: str = "csv", **keywords: Any) -> bytes:
    """Give all bytes of an export."""
    async with resource.stream(name, **keywords) as stream:
        return b"".join([chunk async for chunk in stream])


async def direct(server: URL, strategy: type[ModelResource], name: str = "csv") -> bytes:
    """Give all bytes of an export that does not go through PgBouncer."""
    engine = create_async_engine(server.set(drivername="postgresql+asyncpg"))
    try:
        return await bytes_of(strategy(engine), name)
    finally:
        await engine.dispose()


async def _sessions(url: URL) -> dict[int, list[Any]]:
    """Give, by pid, the settings, cursors and prepared statements of PgBouncer's two sessions."""
    async with asyncio.timeout(2):  # both must be free
        clients = [await asyncpg.connect(_dsn(url), statement_cache_size=0) for _ in range(2)]
        for client in clients:
            await client.execute("begin")
        found = [
            (
                await client.fetchval("select pg_backend_pid()"),
                [await client.fetch(look) for look in _LOOKS],
            )
            for client in clients
        ]
        for client in clients:
            await client.execute("rollback")
            await client.close()
    assert found[0][0] != found[1][0]
    return dict(sorted(found))


_LOOKS = (
    # PgBouncer itself sets the name of the application.
    "select name, setting from pg_settings where name <> 'application_name' order by name",
    "select name from pg_cursors where name <> ''",
    "select name, statement from pg_prepared_statements",
)


@asynccontextmanager
async def untouched(url: URL, *, same: bool = True) -> AsyncIterator[None]:
    """Check that PgBouncer's sessions are free after the block, and what they were before.

    Args:
        url: That of PgBouncer.
        same: Whether they are the same ones; PgBouncer replaces what is left in a query.
    """
    before = await _sessions(url)
    yield
    after = await _sessions(url)
    assert list(after.values()) == list(before.values())
    assert after.keys() == before.keys() or not same


# What works


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", BINDS)
@by_strategy
async def test_exports(
    shared: URL,
    server: URL,
    new_engine: NewEngine,
    *,
    strategy: type[ModelResource],
    kind: str,
    name: str,
) -> None:
    """Every strategy, bind and format gives the bytes that it gives without PgBouncer."""
    expected = await direct(server, strategy, name)
    engine = new_engine(shared)
    async with bound(engine, kind) as bind:
        assert await bytes_of(strategy(bind), name) == expected


@pytest.mark.parametrize("kind", BINDS[:2])
@by_strategy
async def test_nothing_is_left_in_the_sessions(
    shared: URL, new_engine: NewEngine, strategy: type[ModelResource], kind: str
) -> None:
    """Neither settings, prepared statements, cursors nor locks stay for the next client."""
    async with untouched(shared), bound(new_engine(shared), kind) as bind:
        for _ in range(3):
            await bytes_of(strategy(bind))


@pytest.mark.parametrize("kind", BINDS[2:])
@by_strategy
async def test_settings_of_a_transaction_of_the_callers(
    bouncer: Bouncer, new_engine: NewEngine, strategy: type[ModelResource], kind: str
) -> None:
    """Settings that an export needs in a transaction of the caller's end with that, too."""
    url = bouncer()
    before = await _sessions(url)
    async with bound(new_engine(url), kind) as bind:
        connection = bind if kind == "connection" else await bind.connection()
        await connection.exec_driver_sql("set local DateStyle = 'German'")
        await bytes_of(strategy(bind))
    after = await _sessions(url)
    assert after.keys() == before.keys()
    for pid, (settings, cursors, _) in after.items():
        # Prepared statements have the names that the engine gives, as all of the caller's.
        assert [settings, cursors] == before[pid][:2]


class AskingResource(CursorResource):
    """A hook that queries the database between fetches."""

    async def prepare_batch(self, batch: Any, **kwargs: Any) -> None:
        """Look an author up."""
        assert self.session is not None
        author = await self.session.get(Author, 1)
        assert author is not None
        assert author.name == "author 1"


async def test_hooks_that_query(shared: URL, server: URL, new_engine: NewEngine) -> None:
    """Hooks query in the transaction of the export."""
    expected = await direct(server, CursorResource)
    async with untouched(shared):
        assert await bytes_of(AskingResource(new_engine(shared))) == expected


async def test_deferrable(shared: URL, server: URL, new_engine: NewEngine) -> None:
    """A serializable, deferrable transaction is to be had through PgBouncer, too."""
    expected = await direct(server, ServerResource)
    async with untouched(shared):
        assert await bytes_of(ServerResource(new_engine(shared), deferrable=True)) == expected


async def test_pool_mode_session(bouncer: Bouncer, fifteen: URL, new_engine: NewEngine) -> None:
    """In session mode, an engine with the usual settings works."""
    expected = await direct(fifteen, InstancesResource)
    engine = new_engine(bouncer(pool_mode="session"), recommended=False)
    assert await bytes_of(InstancesResource(engine)) == expected


# Names of prepared statements


async def _works(resource: ModelResource, expected: bytes) -> bool:
    """Tell whether an export gives its bytes; if not, it must say why before the first of them."""
    refusal: SourceError | None = None
    async with AsyncExitStack() as stack:
        try:
            stream = await stack.enter_async_context(resource.stream("csv"))
        except SourceError as error:
            refusal = error
        else:
            assert b"".join([chunk async for chunk in stream]) == expected
    if refusal is not None:
        assert not refusal.is_retryable
        assert "statement_cache_size" in str(refusal)
    return refusal is None


@by_strategy
async def test_names_that_are_taken(
    bouncer: Bouncer, fifteen: URL, new_engine: NewEngine, strategy: type[ModelResource]
) -> None:
    """If another client took the name of an engine's n-th statement, that is said at the start."""
    expected = await direct(fifteen, strategy)
    url = bouncer(default_pool_size=1)
    other = await asyncpg.connect(_dsn(url), statement_cache_size=0)
    refused = number = 0
    while True:
        number += 1
        first = asyncpg_connection._uid
        name = f"__asyncpg_stmt_{first + number:x}__"
        await other.execute(f"prepare {name} as select 1")
        engine = new_engine(url, recommended=False)
        refused += not await _works(strategy(engine), expected)
        await engine.dispose()
        used = asyncpg_connection._uid - first
        await other.execute("deallocate all")
        if used < number:
            break
    await other.close()
    assert 0 < refused < number


@pytest.mark.parametrize("instead", ["nothing", "another statement"])
@by_strategy
async def test_names_that_mean_something_else(
    bouncer: Bouncer,
    fifteen: URL,
    new_engine: NewEngine,
    *,
    strategy: type[ModelResource],
    instead: str,
) -> None:
    """If a statement that a warm engine remembers has gone, that is said at the start."""
    expected = await direct(fifteen, strategy)
    url = bouncer(default_pool_size=1)
    other = await asyncpg.connect(_dsn(url), statement_cache_size=0)
    number = worked = 0
    while True:
        await other.execute("deallocate all")
        engine = new_engine(url, recommended=False)
        await bytes_of(strategy(engine))
        names = await other.fetch("select name from pg_prepared_statements order by prepare_time")
        if number == len(names):
            break
        name = names[number]["name"]
        number += 1
        await other.execute(f'deallocate "{name}"')
        if instead != "nothing":
            await other.execute(f"prepare \"{name}\" as select 'another', 'statement', 1")
        worked += await _works(strategy(engine), expected)
        await engine.dispose()
    await engine.dispose()
    await other.close()
    assert number > 0
    assert worked > 0


async def test_usual_settings_under_several_clients(
    bouncer: Bouncer, fifteen: URL, new_engine: NewEngine
) -> None:
    """Several engines with the usual settings work at once, or say at the start why not."""
    expected = {each: await direct(fifteen, each) for each in STRATEGIES.values()}
    url = bouncer()
    engines = [new_engine(url, recommended=False) for _ in range(3)]

    async def client(engine: AsyncEngine) -> list[bool]:
        return [
            await _works(strategy(engine), expected[strategy])
            for _ in range(3)
            for strategy in STRATEGIES.values()
        ]

    assert any(any(each) for each in await asyncio.gather(*map(client, engines)))


# More exports than connections


@by_strategy
async def test_more_exports_than_connections(
    bouncer: Bouncer, fifteen: URL, new_engine: NewEngine, strategy: type[ModelResource]
) -> None:
    """Six exports at once on two connections queue, and all are right."""
    expected = await direct(fifteen, strategy)
    url = bouncer()
    engine = new_engine(url)
    async with untouched(url), asyncio.timeout(20):
        found = await asyncio.gather(*(bytes_of(strategy(engine)) for _ in range(6)))
    assert found == [expected] * 6


@by_strategy
async def test_query_wait_timeout(
    bouncer: Bouncer, fifteen: URL, new_engine: NewEngine, strategy: type[ModelResource]
) -> None:
    """Who waits for longer than query_wait_timeout has a PoolExhaustedError, and no byte."""
    expected = await direct(fifteen, strategy)
    url = bouncer(query_wait_timeout=1)
    engine = new_engine(url)
    release, begun = asyncio.Event(), asyncio.Semaphore(0)

    async def read() -> bytes:
        async with strategy(engine).stream("csv") as stream:
            begun.release()
            received = bytearray(await anext(stream))
            await release.wait()
            async for chunk in stream:
                received += chunk
        return bytes(received)

    async with asyncio.timeout(10):
        readers = [asyncio.create_task(read()) for _ in range(2)]
        for _ in readers:
            await begun.acquire()
        late = await asyncio.gather(*(read() for _ in range(4)), return_exceptions=True)
        release.set()
        assert await asyncio.gather(*readers) == [expected] * 2
    assert [type(each) for each in late] == [PoolExhaustedError] * 4
    for error in late:
        assert isinstance(error, PoolExhaustedError)
        assert error.setting == "query_wait_timeout"
        assert "default_pool_size" in str(error)


async def test_max_client_conn(bouncer: Bouncer, fifteen: URL, new_engine: NewEngine) -> None:
    """A PgBouncer that takes no more clients is a PoolExhaustedError."""
    expected = await direct(fifteen, ServerResource)
    url = bouncer(max_client_conn=1)
    resource = ServerResource(new_engine(url))
    client = await asyncpg.connect(_dsn(url))
    with pytest.raises(PoolExhaustedError, match="max_client_conn") as caught:
        await bytes_of(resource)
    assert caught.value.setting == "max_client_conn"
    await client.close()
    assert await bytes_of(resource) == expected


# What ends an export


class PooledConditions(Conditions):
    """Conditions of exports on an engine without a pool, to a pooler that keeps its sessions."""

    def checked_out(self) -> int:
        """Count the connections that the engine has given out."""
        return len(self._live)

    async def sessions(self) -> int:
        """Count the sessions that the export must have ended, which are the pooler's own."""
        return 0


@pytest.fixture
async def watch(
    watched: Any,
    new_engine: NewEngine,
    bouncer: Bouncer,
    fifteen: URL,
    caplog: pytest.LogCaptureFixture,
    *,
    name: str,
    tally: Tally,
) -> AsyncIterator[Callable[..., PooledConditions]]:
    """A function that gives the conditions of exports through a PgBouncer with some settings."""
    watcher = await asyncpg.connect(_dsn(fifteen))
    made: list[PooledConditions] = []

    def watch(**settings: str | int) -> PooledConditions:
        engine = new_engine(bouncer(**settings), server_settings={"application_name": name})
        made.append(PooledConditions(engine, watcher, name, caplog))
        return made[-1]

    yield watch
    for each in made:
        tally.add(each.tally)
    await watcher.close()


Watch = Callable[..., PooledConditions]


def _url(conditions: Conditions) -> URL:
    return conditions.engine.url.set(drivername="postgresql")


@asynccontextmanager
async def _in_use(engine: AsyncEngine) -> AsyncIterator[None]:
    """Keep one of the two connections busy."""
    async with ServerResource(engine).stream("csv") as stream:
        await anext(stream)
        yield


@pytest.mark.parametrize("is_full", [False, True], ids=["one-free", "none-free"])
@by_strategy
async def test_cancelled_while_working(
    watch: Watch,
    new_engine: NewEngine,
    tmp_path: Path,
    *,
    strategy: type[ModelResource],
    is_full: bool,
) -> None:
    """A cancelled export ends its query and frees its connection, even if it was the last one."""
    conditions = watch()
    url, resource, path = _url(conditions), strategy(conditions.engine), tmp_path / "books.csv"
    async with (
        untouched(url, same=False),
        _in_use(new_engine(url)) if is_full else nullcontext(),
        conditions.fault(resource, path, cancelled=True) as outcome,
        conditions.gate(),
    ):
        queryset = gated(ROWS // 2, conditions.key)
        task = asyncio.create_task(export(resource, "file", path, queryset))
        await conditions.waiting()
        task.cancel()
        await task
    assert isinstance(outcome.error, asyncio.CancelledError)


@by_strategy
async def test_cancelled_while_queueing(
    watch: Watch, new_engine: NewEngine, tmp_path: Path, strategy: type[ModelResource]
) -> None:
    """An export that is cancelled before it has a connection leaves none behind."""
    conditions = watch()
    url, resource, path = _url(conditions), strategy(conditions.engine), tmp_path / "books.csv"
    other = new_engine(url)
    async with (
        untouched(url, same=False),
        conditions.fault(resource, path, cancelled=True) as outcome,
        _in_use(other),
        _in_use(other),
    ):
        task = asyncio.create_task(export(resource, "file", path))
        await asyncio.sleep(0.2)
        assert not task.done()
        task.cancel()
        await task
    assert isinstance(outcome.error, asyncio.CancelledError)


@by_strategy
async def test_left_early(watch: Watch, strategy: type[ModelResource]) -> None:
    """A stream that is left after its first chunk frees its connection."""
    conditions = watch()
    resource = strategy(conditions.engine)
    async with (
        untouched(_url(conditions), same=False),
        conditions.fault(resource) as outcome,
        resource.stream("csv") as stream,
    ):
        await anext(stream)
    assert outcome.error is None


async def _read_all(resource: ModelResource, path: Path, *, pause: float) -> None:
    """Read a stream to its end, with a *pause* after the first chunk, and publish it."""
    received = bytearray()
    async with resource.stream("csv") as stream:
        received += await anext(stream)
        await asyncio.sleep(pause)
        async for chunk in stream:
            received += chunk
    publish(path, received)


@pytest.mark.parametrize("row", [1, ROWS // 2], ids=["first", "middle"])
@by_strategy
async def test_query_timeout(
    watch: Watch, tmp_path: Path, *, strategy: type[ModelResource], row: int
) -> None:
    """A query that takes longer than PgBouncer's query_timeout is told as such.

    Between rows PgBouncer may say so in the midst of one, where nobody can understand it.
    """
    conditions = watch(query_timeout=1)
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path, within=NETWORK_SECONDS) as outcome:
        await export(resource, "file", path, slowly(row, 3))
    if isinstance(outcome.error, SourceTimeoutError):
        assert outcome.error.setting == "query_timeout"
        return
    assert row > 1
    assert isinstance(outcome.error, ConnectionLostError)
    assert "pooler" in str(outcome.error)


_NEVER_IDLE = {"idle_transaction_timeout": {ServerResource, CopiedResource}}
"""COPY waits for its reader without being idle."""


@pytest.mark.parametrize("setting", ["query_timeout", "idle_transaction_timeout"])
@by_strategy
async def test_slow_reader(
    watch: Watch, tmp_path: Path, *, strategy: type[ModelResource], setting: str
) -> None:
    """A reader that is slower than PgBouncer allows loses its connection, and is told of it."""
    conditions = watch(**{setting: 1})
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path, within=NETWORK_SECONDS) as outcome:
        await _read_all(resource, path, pause=2)
    if strategy in _NEVER_IDLE.get(setting, ()):
        assert outcome.error is None
        return
    assert isinstance(outcome.error, ConnectionLostError | SourceTimeoutError)
    assert "pooler" in str(outcome.error)


@by_strategy
async def test_pgbouncer_stops(
    fifteen: URL, new_engine: NewEngine, strategy: type[ModelResource]
) -> None:
    """A PgBouncer that stops is a ConnectionLostError for who is served, and for who comes."""
    with ExitStack() as running:
        resource = strategy(new_engine(running.enter_context(_bouncer(fifteen))))
        async with resource.stream("csv") as stream:
            await anext(stream)
            await asyncio.to_thread(running.close)
            with pytest.raises(ConnectionLostError):
                async for _ in stream:
                    pass
    with pytest.raises(ConnectionLostError):
        await bytes_of(resource)


# Settings of an engine, or of PgBouncer, with which nothing works


async def test_settings_that_are_not_passed_on(bouncer: Bouncer, new_engine: NewEngine) -> None:
    """Settings of the server in the engine's arguments, which PgBouncer refuses, are named."""
    engine = new_engine(bouncer(), server_settings={"search_path": "elsewhere"})
    with pytest.raises(SourceError, match=r"search_path.*ALTER ROLE") as caught:
        await bytes_of(ServerResource(engine))
    assert not caught.value.is_retryable


async def test_pool_mode_statement(bouncer: Bouncer, new_engine: NewEngine) -> None:
    """A PgBouncer that knows no transactions is told apart."""
    engine = new_engine(bouncer(pool_mode="statement"))
    with pytest.raises(SourceError, match="pool_mode") as caught:
        await bytes_of(ServerResource(engine))
    assert not caught.value.is_retryable
