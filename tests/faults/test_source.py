"""Faults of the source: sessions killed, statements cancelled, timeouts, locks, no connection."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg
import pytest
from conditions import Conditions
from sqlalchemy import column, create_engine, make_url, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from subjects import (
    BATCH,
    PASSWORD,
    ROWS,
    STRATEGIES,
    TABLES,
    TARGETS,
    Base,
    Book,
    CopiedResource,
    ServerResource,
    Target,
    export,
    gated,
    publish,
    sampled,
    slowly,
)

from async_export import (
    ConflictError,
    ConnectionLostError,
    ModelResource,
    PoolExhaustedError,
    SourceError,
    SourceTimeoutError,
)
from async_export.postgres.embedded import EmbeddedPostgres

NewEngine = Callable[..., AsyncEngine]
Watched = Callable[..., Conditions]

_WORKING = {
    "before the first row": 1,
    "first batch": BATCH // 2,
    "second batch": BATCH + BATCH // 2,
    "middle": ROWS // 2,
    "last batch": ROWS,
}
"""By name, the row that the server is making when a fault is injected."""

_IDLE = {"first chunk": 0.0, "second chunk": 0.06, "middle": 0.5, "almost all": 0.95}
"""By name, which part of a stream the reader has taken when a fault is injected."""


async def read_all(
    resource: ModelResource, path: Path, queryset: Any = None, *, pause: float
) -> None:
    """Read a stream to its end, with a *pause* after the first chunk, and publish it."""
    received = bytearray()
    async with resource.stream("csv", queryset) as stream:
        received += await anext(stream)
        await asyncio.sleep(pause)
        async for chunk in stream:
            received += chunk
    publish(path, received)


# Sessions that are ended


@pytest.mark.parametrize(
    ("strategy", "target", "row"), sampled(STRATEGIES, TARGETS, _WORKING, every=13)
)
async def test_killed_while_working(
    conditions: Conditions,
    tmp_path: Path,
    strategy: type[ModelResource],
    target: Target,
    row: int,
) -> None:
    """A session killed while the server makes rows is a ConnectionLostError that tells why."""
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path) as outcome, conditions.gate():
        task = asyncio.create_task(export(resource, target, path, gated(row, conditions.key)))
        await conditions.waiting()
        await conditions.kill()
        await task
    assert isinstance(outcome.error, ConnectionLostError)
    assert outcome.error.sqlstate == "57P01"
    assert outcome.error.rows < row


@pytest.mark.parametrize(("strategy", "taken"), sampled(STRATEGIES, _IDLE, every=7))
async def test_killed_while_idle(
    conditions: Conditions, tmp_path: Path, strategy: type[ModelResource], taken: float
) -> None:
    """A session killed while the reader does something else is a ConnectionLostError."""
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    size = len(await conditions.reference(resource))
    async with conditions.fault(resource, path) as outcome:
        received = bytearray()
        async with resource.stream("csv") as stream:
            received += await anext(stream)
            while len(received) < taken * size:
                received += await anext(stream)
            await conditions.kill()
            async for chunk in stream:
                received += chunk
        publish(path, received)
    # What the server has sent before its end may be all there is.
    if not taken or outcome.error is not None:
        assert isinstance(outcome.error, ConnectionLostError)


@pytest.mark.parametrize(
    ("strategy", "target", "row"), sampled(STRATEGIES, TARGETS, _WORKING, every=17)
)
async def test_cancelled_by_the_server(
    conditions: Conditions,
    tmp_path: Path,
    strategy: type[ModelResource],
    target: Target,
    row: int,
) -> None:
    """A statement cancelled by an administrator is no timeout, and no setting is blamed."""
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path) as outcome, conditions.gate():
        task = asyncio.create_task(export(resource, target, path, gated(row, conditions.key)))
        pid = await conditions.waiting()
        await conditions.watcher.execute("select pg_cancel_backend($1)", pid)
        await task
    assert type(outcome.error) is SourceError
    assert outcome.error.sqlstate == "57014"
    assert outcome.error.setting is None


@pytest.mark.parametrize("strategy", sampled(STRATEGIES, every=5))
async def test_cancelled_by_the_server_while_idle(
    conditions: Conditions, tmp_path: Path, strategy: type[ModelResource]
) -> None:
    """A cancellation between two fetches cancels nothing; one of a COPY is told as such."""
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    received = bytearray()
    async with conditions.fault(resource, path) as outcome:
        async with resource.stream("csv") as stream:
            received += await anext(stream)
            await conditions.watcher.execute(
                "select pg_cancel_backend(pid) from pg_stat_activity where application_name = $1",
                conditions.name,
            )
            await asyncio.sleep(0.05)
            async for chunk in stream:
                received += chunk
        publish(path, received)
    if outcome.error is not None:
        assert isinstance(outcome.error, SourceError)
        assert outcome.error.sqlstate == "57014"


# Timeouts

_TIMEOUTS = (
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
    "idle_session_timeout",
)


@pytest.mark.parametrize(("strategy", "setting"), sampled(STRATEGIES, _TIMEOUTS, every=11))
async def test_own_transaction_outlives_timeouts(
    new_engine: NewEngine,
    watched: Watched,
    name: str,
    tmp_path: Path,
    *,
    strategy: type[ModelResource],
    setting: str,
) -> None:
    """Timeouts of the role do not end an export on an engine, however slow server and reader."""
    conditions = watched(new_engine(name=name, settings={setting: "100ms"}), name)
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path) as outcome:
        await read_all(resource, path, slowly(ROWS // 2, 0.2), pause=0.2)
    assert outcome.error is None


@asynccontextmanager
async def bound(engine: AsyncEngine, kind: str) -> AsyncIterator[AsyncConnection | AsyncSession]:
    """Give a connection or session that the caller opens and closes."""
    opened = engine.connect() if kind == "connection" else AsyncSession(engine)
    async with opened as bind:
        yield bind


@pytest.mark.parametrize(
    ("strategy", "setting", "kind"),
    sampled(STRATEGIES, _TIMEOUTS[:3], ("connection", "session"), every=25),
)
async def test_timeout_of_the_callers(
    new_engine: NewEngine,
    watched: Watched,
    name: str,
    tmp_path: Path,
    *,
    strategy: type[ModelResource],
    setting: str,
    kind: str,
) -> None:
    """In a transaction of the caller's a timeout is a SourceTimeoutError that names it."""
    conditions = watched(new_engine(name=name, settings={setting: "100ms"}), name)
    path = tmp_path / "books.csv"
    async with (
        conditions.fault(strategy(conditions.engine), path) as outcome,
        bound(conditions.engine, kind) as bind,
    ):
        sleeping = slowly(ROWS // 2, 0.2) if setting == "statement_timeout" else None
        await read_all(strategy(bind), path, sleeping, pause=0.2)
    if outcome.error is None:
        assert (setting, strategy.__name__) in _NEVER_IDLE
        return
    assert isinstance(outcome.error, SourceTimeoutError)
    assert outcome.error.setting == setting
    assert setting in str(outcome.error)
    assert "raise it" in str(outcome.error)


_NEVER_IDLE = {
    ("idle_in_transaction_session_timeout", each.__name__)
    for each in (ServerResource, CopiedResource)
}
"""COPY waits for its reader without being idle."""


async def test_idle_session_timeout(
    new_engine: NewEngine, watched: Watched, name: str, tmp_path: Path
) -> None:
    """A pooled connection that idled for too long fails as such, or is replaced."""
    settings = {"idle_session_timeout": "100ms"}
    conditions = watched(new_engine(name=name, settings=settings), name)
    resource, path = ServerResource(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path) as outcome:
        await asyncio.sleep(0.2)
        await resource.export_to(path)
    if outcome.error is not None:
        assert isinstance(outcome.error, ConnectionLostError | SourceTimeoutError)


# Locks, and tables that change


async def test_locked_table(
    new_engine: NewEngine, watched: Watched, name: str, tmp_path: Path, pg_schema: str
) -> None:
    """A table that somebody has locked is a ConflictError after lock_timeout."""
    settings = {"lock_timeout": "100ms", "search_path": pg_schema}
    conditions = watched(new_engine(name=name, settings=settings), name)
    await conditions.watcher.execute(f"set search_path = {pg_schema}; {TABLES}")
    resource, path = ServerResource(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path) as outcome, conditions.watcher.transaction():
        await conditions.watcher.execute("lock table author in access exclusive mode")
        await resource.export_to(path)
    assert isinstance(outcome.error, ConflictError)
    assert outcome.error.setting == "lock_timeout"


class Interrupted:
    """Lets a test in after the export has begun, and may read a table that nobody declared."""

    async def before_export(self, queryset: Any, *, interrupt: Any = None, **_: Any) -> None:
        """Let the test in."""
        if interrupt is not None:
            await interrupt()

    def filter_export(self, queryset: Any, *, hidden: bool = False, **_: Any) -> Any:
        """Read the table."""
        if not hidden:
            return queryset
        return select(Book).where(Book.id.in_(select(column("id")).select_from(table("hidden"))))


class Shown(Base):
    """A view of books and their authors."""

    __tablename__ = "shown"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    name: Mapped[str]


class ShownResource(Interrupted, ModelResource):
    """Exports the view."""

    class Meta:
        """Its options."""

        model = Shown
        fields = ("id", "title", "name")


class Parted(Base):
    """A table with partitions."""

    __tablename__ = "parted"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class PartedResource(Interrupted, ModelResource):
    """Exports the table with partitions."""

    class Meta:
        """Its options."""

        model = Parted
        fields = ("id", "title")


_INTERRUPTED: dict[str, type[ModelResource]] = {
    name: type(f"Interrupted{each.__name__}", (Interrupted, each), {})
    for name, each in STRATEGIES.items()
}

_CHANGING = f"""
alter table book add spare integer; alter table author add spare integer;
alter table book drop constraint book_author_id_fkey;
create view shown as select book.id, title, name from book left join author
    on author.id = author_id;
create table parted (id integer primary key, title text not null, spare integer)
    partition by range (id);
create table parted_low partition of parted for values from (1) to ({ROWS // 2});
create table parted_high partition of parted for values from ({ROWS // 2}) to ({ROWS + 1});
insert into parted select id, title from book;
create table hidden as select id, 1 as spare from book
"""

_READ: dict[str, tuple[type[ModelResource], str]] = {
    "table": (_INTERRUPTED["server-copy"], "book"),
    "joined table": (_INTERRUPTED["server-copy"], "author"),
    "below a view": (ShownResource, "author"),
    "partition": (PartedResource, "parted_high"),
    **{name: (each, "book") for name, each in _INTERRUPTED.items()},
}
"""By name, what is exported, and a table that it reads."""

_CHANGES = {
    "truncate": "truncate {}",
    "rewrite": "alter table {} alter spare type bigint",
    "drop": "drop table {} cascade",
}
"""What leaves nothing for older snapshots to see."""


@pytest.fixture
async def changing(
    new_engine: NewEngine, watched: Watched, name: str, pg_schema: str
) -> Conditions:
    """Conditions of exports from tables of the test's own."""
    conditions = watched(new_engine(name=name, settings={"search_path": pg_schema}), name)
    await conditions.watcher.execute(
        f"set lock_timeout = '20ms'; set search_path = {pg_schema}; {TABLES}; {_CHANGING}"
    )
    return conditions


@pytest.mark.parametrize(("read", "change"), sampled(_READ, _CHANGES, every=13))
async def test_change_of_a_locked_table(
    changing: Conditions, tmp_path: Path, read: tuple[type[ModelResource], str], change: str
) -> None:
    """What an export is going to read is locked before its hooks run: nobody can empty it."""
    (resource_class, changed), path = read, tmp_path / "books.csv"
    resource = resource_class(changing.engine)
    if changed == "parted_high" and "alter" in change:
        changed = "parted"  # partitions inherit their columns

    async def interrupt() -> None:
        with pytest.raises(asyncpg.LockNotAvailableError):
            await changing.watcher.execute(change.format(changed))

    async with changing.fault(resource, path) as outcome:
        await resource.export_to(path, interrupt=interrupt)
    assert outcome.error is None


@pytest.mark.parametrize(("strategy", "change"), sampled(_INTERRUPTED, _CHANGES, every=7))
async def test_change_of_an_unknown_table(
    changing: Conditions, tmp_path: Path, strategy: type[ModelResource], change: str
) -> None:
    """A table that only a hook knew of, and that was emptied meanwhile, is no empty file."""
    resource, path = strategy(changing.engine), tmp_path / "books.csv"

    async def interrupt() -> None:
        await changing.watcher.execute(change.format("hidden"))

    async with changing.fault(resource, path, again=False) as outcome:
        await resource.export_to(path, interrupt=interrupt, hidden=True)
    assert isinstance(outcome.error, SourceError if "drop" in change else ConflictError)


@pytest.mark.parametrize("strategy", sampled(_INTERRUPTED, every=5))
async def test_change_while_rows_are_read(
    changing: Conditions, tmp_path: Path, strategy: type[ModelResource]
) -> None:
    """While rows are read, changes wait, and nothing of the file is missing."""
    resource, path = strategy(changing.engine), tmp_path / "books.csv"
    received = bytearray()
    async with changing.fault(resource, path) as outcome:
        async with resource.stream("csv") as stream:
            received += await anext(stream)
            for change in _CHANGES.values():
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await changing.watcher.execute(change.format("book"))
            async for chunk in stream:
                received += chunk
        publish(path, received)
    assert outcome.error is None


# No connection to be had


async def test_exhausted_pool(new_engine: NewEngine, watched: Watched, name: str) -> None:
    """Exports that find no connection fail before their first byte; the others are complete."""
    engine = new_engine(name=name, pool_size=2, pool_timeout=0.1)
    conditions = watched(engine, name)
    resource = ServerResource(engine)
    got: list[int] = []

    async def read() -> bytes:
        async with resource.stream("csv") as stream:
            received = bytearray(await anext(stream))
            got.append(len(received))
            await asyncio.sleep(0.3)
            async for chunk in stream:
                received += chunk
        return bytes(received)

    async with conditions.fault(resource):
        outcomes = await asyncio.gather(*(read() for _ in range(5)), return_exceptions=True)
        whole = [each for each in outcomes if each == await conditions.reference(resource)]
        failed = [each for each in outcomes if isinstance(each, PoolExhaustedError)]
    assert (len(whole), len(failed), len(got)) == (2, 3, 2)
    assert {each.setting for each in failed} == {"pool_timeout"}


async def test_too_many_connections(
    new_engine: NewEngine, watched: Watched, name: str, tmp_path: Path, fault_schema: str
) -> None:
    """A server without a free connection is a PoolExhaustedError."""
    conditions = watched(new_engine(name=name, arguments={"user": name}), name)
    run = conditions.watcher.execute
    await run(f"create role {name} login connection limit 1")
    try:
        await run(f"grant usage on schema {fault_schema} to {name}")
        await run(f"grant select on all tables in schema {fault_schema} to {name}")
        resource, path = ServerResource(conditions.engine), tmp_path / "books.csv"
        async with conditions.fault(resource, path) as outcome, conditions.engine.connect():
            await resource.export_to(path)
        assert isinstance(outcome.error, PoolExhaustedError)
        assert outcome.error.sqlstate == "53300"
    finally:
        await conditions.engine.dispose()
        await run(f"drop owned by {name}; drop role {name}")


async def test_unknown_database(
    conditions: Conditions, new_engine: NewEngine, tmp_path: Path, postgres_url: str, name: str
) -> None:
    """A database that does not exist is a SourceError with the server's own code."""
    resource, path = ServerResource(conditions.engine), tmp_path / "books.csv"
    elsewhere = new_engine(name=name, url=make_url(postgres_url).set(database="nowhere"))
    async with conditions.fault(resource, path) as outcome:
        await ServerResource(elsewhere).export_to(path)
    await elsewhere.dispose()
    assert type(outcome.error) is SourceError
    assert outcome.error.sqlstate == "3D000"


async def test_host_that_refuses(
    conditions: Conditions, new_engine: NewEngine, tmp_path: Path, name: str
) -> None:
    """A port where nobody listens is a ConnectionLostError that names it."""
    resource, path = ServerResource(conditions.engine), tmp_path / "books.csv"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"postgresql://somebody@127.0.0.1:{port}/postgres"
    elsewhere = new_engine(name=name, url=url)
    async with conditions.fault(resource, path) as outcome:
        await ServerResource(elsewhere).export_to(path)
    await elsewhere.dispose()
    assert isinstance(outcome.error, ConnectionLostError)
    assert str(port) in str(outcome.error)


# Values


@pytest.mark.parametrize(
    ("strategy", "target", "row"), sampled(STRATEGIES, TARGETS, _WORKING, every=23)
)
async def test_expression_that_fails(
    conditions: Conditions,
    tmp_path: Path,
    strategy: type[ModelResource],
    target: Target,
    row: int,
) -> None:
    """An expression that fails for one row is a SourceError with the server's own code."""
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    divided = select(Book).where(1 / (Book.id - row) < ROWS).order_by(Book.id)
    async with conditions.fault(resource, path) as outcome:
        await export(resource, target, path, divided)
    assert type(outcome.error) is SourceError
    assert outcome.error.sqlstate == "22012"
    assert outcome.error.rows < row


@pytest.fixture
async def latin_url(watcher: asyncpg.Connection, postgres_url: str) -> AsyncIterator[str]:
    """A database that knows no encoding, with books one of whose titles is in Latin-1."""
    name = f"latin_{uuid.uuid4().hex}"
    await watcher.execute(
        f"create database {name} encoding 'SQL_ASCII' template template0 "
        "locale_provider libc locale 'C'"
    )
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    await connection.execute(
        f"{TABLES}; update book set title = 'caf' || chr(233) where id = {ROWS // 2}"
    )
    await connection.close()
    yield url
    await watcher.execute(f"drop database {name}")


@pytest.mark.faults
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_unknown_encoding(
    conditions: Conditions,
    new_engine: NewEngine,
    tmp_path: Path,
    latin_url: str,
    name: str,
    *,
    strategy: type[ModelResource],
) -> None:
    """Bytes that are no UTF-8 are a SourceError, and the message does not hold them."""
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    latin = new_engine(name=name, url=latin_url, settings={"search_path": "public"})
    async with conditions.fault(resource, path) as outcome:
        try:
            await strategy(latin).export_to(path)
        finally:
            await latin.dispose()
    assert isinstance(outcome.error, SourceError)
    assert "caf" not in str(outcome.error)


# A server of its own


class OwnServer:
    """A server that restarts, and asks one role for its password."""

    def __init__(self, folder: Path) -> None:
        self._postgres = EmbeddedPostgres(folder / "postgres", settings={"fsync": "off"})

    def __enter__(self) -> Self:
        self._postgres.__enter__()
        self.url = self._postgres.url
        return self

    def __exit__(self, *_: object) -> None:
        self._postgres.__exit__()

    def restart(self, mode: str) -> None:
        """Stop the server, in order or not, and start it again."""
        if mode == "immediate":
            process = self._cluster / "postmaster.pid"
            os.kill(int(process.read_text().split()[0]), signal.SIGQUIT)
            while process.exists():
                time.sleep(0.005)
        self._postgres.__exit__()
        self._postgres.__enter__()
        assert self._postgres.url == self.url

    def ask_for_password(self, role: str) -> None:
        """Let *role* in with its password only."""
        rules = self._cluster / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")

    @property
    def _cluster(self) -> Path:
        return self._postgres.data_dir / "cluster"


@pytest.fixture(scope="module")
def own_server() -> Iterator[OwnServer]:
    """A server with the tables of `subjects`."""
    with tempfile.TemporaryDirectory(prefix="async-export-tests-") as folder:
        Path(folder).chmod(0o711)  # as root, the server's user must get through
        with OwnServer(Path(folder)) as server:
            engine = create_engine(make_url(server.url).set(drivername="postgresql+psycopg"))
            with engine.begin() as connection:
                connection.execute(text(TABLES))
            engine.dispose()
            yield server


@pytest.fixture
async def own_conditions(
    own_server: OwnServer,
    new_engine: NewEngine,
    watched: Watched,
    name: str,
    references: dict[Any, bytes],
) -> AsyncIterator[Conditions]:
    """Conditions of exports from the server that restarts."""
    settings = {"search_path": "public"}
    engine = new_engine(name=name, url=own_server.url, settings=settings, pool_pre_ping=True)
    conditions = watched(engine, name, references)
    conditions.watcher = await asyncpg.connect(own_server.url)
    yield conditions
    await conditions.watcher.close()


async def _restart(conditions: Conditions, server: OwnServer, mode: str) -> None:
    await asyncio.to_thread(server.restart, mode)
    conditions.watcher.terminate()
    conditions.watcher = await asyncpg.connect(server.url)


@pytest.mark.faults
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mode", ["fast", "immediate"])
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_restart_while_working(
    own_server: OwnServer,
    own_conditions: Conditions,
    tmp_path: Path,
    *,
    strategy: type[ModelResource],
    mode: str,
    target: Target,
) -> None:
    """A server that stops while it makes rows is a ConnectionLostError; the next export works."""
    resource, path = strategy(own_conditions.engine), tmp_path / "books.csv"
    async with own_conditions.fault(resource, path) as outcome:
        await own_conditions.watcher.execute("select pg_advisory_lock($1)", own_conditions.key)
        queryset = gated(ROWS // 2, own_conditions.key)
        task = asyncio.create_task(export(resource, target, path, queryset))
        await own_conditions.waiting()
        await _restart(own_conditions, own_server, mode)
        await task
    assert isinstance(outcome.error, ConnectionLostError)
    assert outcome.error.rows < ROWS // 2


@pytest.mark.faults
@pytest.mark.parametrize("mode", ["fast", "immediate"])
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_restart_while_idle(
    own_server: OwnServer,
    own_conditions: Conditions,
    tmp_path: Path,
    strategy: type[ModelResource],
    mode: str,
) -> None:
    """A server that stops while the reader does something else is a ConnectionLostError."""
    resource, path = strategy(own_conditions.engine), tmp_path / "books.csv"
    async with own_conditions.fault(resource, path) as outcome:
        received = bytearray()
        async with resource.stream("csv") as stream:
            received += await anext(stream)
            await _restart(own_conditions, own_server, mode)
            async for chunk in stream:
                received += chunk
        publish(path, received)
    assert isinstance(outcome.error, ConnectionLostError)


@pytest.mark.faults
async def test_wrong_password(
    own_server: OwnServer, own_conditions: Conditions, new_engine: NewEngine, tmp_path: Path
) -> None:
    """A password that is refused is a SourceError, and nowhere to be read."""
    resource, path = ServerResource(own_conditions.engine), tmp_path / "books.csv"
    run, role = own_conditions.watcher.execute, own_conditions.name
    await run(f"create role {role} login password 'another {PASSWORD}'")
    own_server.ask_for_password(role)
    await run("select pg_reload_conf()")
    engine = new_engine(name=role, url=own_server.url, arguments={"user": role})
    async with own_conditions.fault(resource, path) as outcome:
        await ServerResource(engine).export_to(path)
    await engine.dispose()
    assert type(outcome.error) is SourceError
    assert outcome.error.sqlstate == "28P01"
