"""Binds: every kind gives the same export, and is left as it was found."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import anyio
import asyncpg
import pytest
from models import (
    Author,
    Base,
    Book,
    Tag,
    create,
    filled_databases,
    library,
    many_books,
)
from sqlalchemy import (
    Column,
    Date,
    DateTime,
    Integer,
    Interval,
    MetaData,
    Table,
    Text,
    cast,
    create_engine,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import INTERVAL, REAL, TIME
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from async_export import (
    ConfigurationError,
    Field,
    ModelResource,
    Resource,
    RowError,
    SinkError,
    SourceError,
    depends,
)


class TagResource(ModelResource):
    """Rows, on every database."""

    class Meta:
        """Texts only."""

        model = Tag
        fields = ("id", "name")


class IteratedTagResource(TagResource):
    """Mapped objects."""

    def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
        """Iterate as ever."""
        return super().iter_queryset(queryset)


RESOURCES = (TagResource, IteratedTagResource)

TAGS = [["1", "novel"], ["2", "long"], ["3", "été"], ["4", ""]]


async def cells(resource: Resource, queryset: Any = None) -> list[list[Any]]:
    """Export, and give the cells."""
    return [list(record) async for record in resource.records(queryset)]


@pytest.fixture
async def filled(engine: AsyncEngine) -> AsyncEngine:
    """An engine to a library, with nothing checked out."""
    await create(engine, library())
    return engine


@pytest.fixture
async def filled_postgres(pg_engine: AsyncEngine) -> AsyncEngine:
    """An engine to a library in PostgreSQL."""
    await create(pg_engine, library())
    return pg_engine


@pytest.fixture(scope="module")
def makers(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Callable[[], AsyncEngine]]]:
    """Databases that are filled once for the module, for tests that only read."""
    with filled_databases(postgres_url, tmp_path_factory.mktemp("binds"), library) as makers:
        yield makers


@pytest.fixture(params=["postgres", "sqlite"])
async def readable(
    request: pytest.FixtureRequest, makers: dict[str, Callable[[], AsyncEngine]]
) -> AsyncIterator[AsyncEngine]:
    """An engine to each of those databases in turn."""
    engine = makers[request.param]()
    yield engine
    await engine.dispose()


def checked_out(engine: AsyncEngine) -> int:
    """Count the connections that the pool waits for."""
    pool: Any = engine.pool
    count: int = pool.checkedout()
    return count


async def open_transactions(engine: AsyncEngine, patience: float = 0.0) -> list[str]:
    """Give the states of other connections in a transaction that has used this schema.

    Args:
        engine: An engine whose connections work in the schema.
        patience: Seconds to wait for them to end.
    """
    statement = text(
        "SELECT state FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND xact_start IS NOT NULL AND pid IN (SELECT pid FROM pg_locks WHERE relation IN "
        "(SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace))"
    )
    deadline = time.monotonic() + patience
    while True:
        async with engine.connect() as connection:
            states = list(await connection.scalars(statement))
        if not states or time.monotonic() > deadline:
            return states
        await asyncio.sleep(0.05)


# --- each kind ------------------------------------------------------------------------------


@asynccontextmanager
async def _engine(engine: AsyncEngine) -> AsyncIterator[Any]:
    yield engine


@asynccontextmanager
async def _sessionmaker(engine: AsyncEngine) -> AsyncIterator[Any]:
    yield async_sessionmaker(engine)


@asynccontextmanager
async def _session(engine: AsyncEngine) -> AsyncIterator[Any]:
    async with AsyncSession(engine) as session:
        yield session


@asynccontextmanager
async def _connection(engine: AsyncEngine) -> AsyncIterator[Any]:
    async with engine.connect() as connection:
        yield connection


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[Any]:
    async with engine.begin() as connection:
        yield connection


BINDS = (_engine, _sessionmaker, _session, _connection, _transaction)


@pytest.mark.parametrize("kind", BINDS)
@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_every_bind(
    readable: AsyncEngine, kind: Any, resource_class: type[ModelResource]
) -> None:
    """Each kind of bind serves, one time after the other, and gives everything back."""
    async with kind(readable) as bind:
        resource = resource_class(bind)
        assert await cells(resource) == TAGS
        assert await cells(resource) == TAGS
    assert checked_out(readable) == 0


async def test_exports_at_once(readable: AsyncEngine) -> None:
    """One resource serves several exports at once, each on a connection of its own."""
    resource = TagResource(readable)
    found = await asyncio.gather(*(cells(resource) for _ in range(4)))
    assert found == [TAGS] * 4
    assert checked_out(readable) == 0


async def test_an_asyncpg_pool_serves(pg_dsn: str, filled_postgres: AsyncEngine) -> None:
    """A pool of asyncpg's is a bind through async_creator."""
    async with asyncpg.create_pool(pg_dsn, min_size=1, max_size=1) as pool:
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=pool.acquire, poolclass=NullPool
        )
        assert await cells(TagResource(engine)) == TAGS
        await engine.dispose()


@pytest.mark.parametrize(
    "make",
    [
        lambda: create_engine("sqlite://"),
        lambda: Session(create_engine("sqlite://")),
        lambda: sessionmaker(create_engine("sqlite://")),
        lambda: "sqlite://",
        object,
        lambda: AsyncSession,
    ],
)
def test_what_is_no_bind(make: Callable[[], Any]) -> None:
    """Synchronous binds, URLs and others are refused by the constructor."""
    with pytest.raises(ConfigurationError, match="AsyncEngine, async_sessionmaker"):
        TagResource(make())


async def test_no_bind() -> None:
    """A statement without a bind is refused with what to write."""
    for resource in (TagResource(), TagResource(None)):
        for queryset in (None, select(Tag), text("SELECT 1")):
            with pytest.raises(ConfigurationError, match=r"TagResource\(engine\)"):
                await resource.export(queryset)


@pytest.mark.parametrize("bind", [AsyncSession(), async_sessionmaker()])
async def test_a_session_without_engine(bind: Any) -> None:
    """A session that is bound to nothing is a mistake of configuration."""
    with pytest.raises(ConfigurationError):
        await TagResource(bind).export()


async def test_a_sessionmaker_with_binds_by_class(readable: AsyncEngine) -> None:
    """A sessionmaker that chooses the engine by the mapped class serves too."""
    maker = async_sessionmaker(binds={Base: readable})
    for bind in (maker, maker()):
        for resource_class in RESOURCES:
            assert await cells(resource_class(bind)) == TAGS
        if isinstance(bind, AsyncSession):
            await bind.close()
    assert checked_out(readable) == 0


async def test_self_session_without_an_export() -> None:
    """The session is there in exports only."""
    with pytest.raises(ConfigurationError, match="hooks"):
        _ = TagResource().session


# --- the caller's session -------------------------------------------------------------------


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_pending_changes_are_seen(
    filled: AsyncEngine, resource_class: type[ModelResource]
) -> None:
    """What the caller added, changed and deleted in the session is exported as it stands."""
    async with AsyncSession(filled) as session:
        session.add(Tag(id=5, name="new"))
        (await session.get_one(Tag, 2)).name = "changed"
        await session.delete(await session.get_one(Tag, 3))
        found = await cells(resource_class(session))
        assert found == [["1", "novel"], ["2", "changed"], ["4", ""], ["5", "new"]]
        await session.rollback()
    assert await cells(resource_class(filled)) == TAGS


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_no_autoflush_when_the_session_has_none(
    filled: AsyncEngine, resource_class: type[ModelResource]
) -> None:
    """A session without autoflush is not flushed."""
    async with AsyncSession(filled, autoflush=False) as session:
        added = Tag(id=5, name="new")
        session.add(added)
        assert await cells(resource_class(session)) == TAGS
        assert inspect(added).pending


SETTINGS = (
    "transaction_isolation",
    "transaction_read_only",
    "idle_in_transaction_session_timeout",
    "client_connection_check_interval",
    "statement_timeout",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "extra_float_digits",
)


async def _settings(bind: AsyncSession | AsyncConnection) -> list[str]:
    found = []
    for name in SETTINGS:
        found.append(str(await bind.scalar(text(f"SHOW {name}"))))
    return found


@pytest.mark.parametrize("resource_class", RESOURCES)
@pytest.mark.parametrize("kind", [_session, _transaction])
async def test_the_callers_transaction_is_left_as_it_was(
    filled_postgres: AsyncEngine, kind: Any, resource_class: type[ModelResource]
) -> None:
    """Transaction, settings and uncommitted rows survive; writing goes on; commit works."""
    statement = text("INSERT INTO tag (id, name) VALUES (:id, 'x')")
    async with kind(filled_postgres) as bind:
        await bind.execute(text("SET LOCAL DateStyle = 'German'"))
        await bind.execute(text("SET LOCAL statement_timeout = '7s'"))
        await bind.execute(statement, {"id": 5})
        number = await bind.scalar(text("SELECT txid_current()"))
        before = await _settings(bind)
        assert (await cells(resource_class(bind)))[-1] == ["5", "x"]
        assert await _settings(bind) == before
        assert await bind.scalar(text("SELECT txid_current()")) == number
        await bind.execute(statement, {"id": 6})
        await bind.commit() if isinstance(bind, AsyncSession) else None
    assert [each[0] for each in await cells(TagResource(filled_postgres))] == list("123456")


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_early_close_leaves_the_callers_session_usable(
    filled: AsyncEngine, resource_class: type[ModelResource]
) -> None:
    """Leaving an export early closes its cursor, not the caller's transaction."""
    async with AsyncSession(filled) as session:
        session.add(Tag(id=5, name="new"))
        async with aclosing(resource_class(session, batch_size=1).records()) as records:
            await anext(records)
        assert await session.scalar(select(func.count(Tag.id))) == 5
        await session.commit()
    assert len(await cells(resource_class(filled))) == 5


async def test_an_error_of_a_hook_leaves_the_callers_session_usable(filled: AsyncEngine) -> None:
    """A hook that fails ends the export; the transaction of the caller goes on."""

    class Failing(TagResource):
        @depends("name")
        def dehydrate_name(self, row: Any) -> str:
            return str(len(row.name))

    async with AsyncSession(filled) as session:
        session.add(Tag(id=5, name="new"))
        with pytest.raises(RowError, match="row 4, field 'name': TypeError"):
            await Failing(session).export()
        await session.commit()
    assert len(await cells(TagResource(filled))) == 5


async def test_codecs_of_the_callers_connection_are_reset(pg_engine: AsyncEngine) -> None:
    """After an export the connection decodes as it did, and has done so for other statements."""
    statement = text("SELECT DATE 'infinity' AS day, CAST(0.1 AS real) AS small")
    async with pg_engine.connect() as connection:
        before = (await connection.execute(statement)).one()

        class Everything(Resource):
            class Meta:
                fields = "__all__"

        assert await cells(Everything(connection), statement) == [["infinity", "0.1"]]
        after = (await connection.execute(statement)).one()
        assert before == after
        assert before.small != 0.1  # what asyncpg makes of a float4
        raw: Any = (await connection.get_raw_connection()).driver_connection
        assert tuple(await raw.fetchrow(str(statement))) == tuple(before)
    async with pg_engine.connect() as connection:
        assert (await connection.execute(statement)).one() == before


async def test_objects_of_the_callers_session_stay_usable(filled: AsyncEngine) -> None:
    """Objects that the caller holds can still load what the export has not."""
    async with AsyncSession(filled) as session:
        held = await session.get_one(Book, 1)
        bare = select(Book, func.upper(Book.name).label("loud")).order_by(Book.id)

        class Books(ModelResource):
            loud = Field()

            class Meta:
                model = Book
                fields = ("id", "loud", "author.name")

            def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
                return super().iter_queryset(queryset)

        kept: list[Any] = []

        class Keeping(Books):
            def dehydrate_loud(self, book: Any) -> str:
                kept.append(book)
                return str(book.loud)

        await Keeping(session).export(bare)
        assert len(kept) == 5
        assert not session.dirty
        for book in (held, await session.get_one(Book, 2)):
            shelf = await session.run_sync(_shelf_of, book)
            assert shelf.room == "a"


def _shelf_of(_session: Session, book: Book) -> Any:
    return book.shelf


@pytest.mark.parametrize("label", ["price", "name", "status"])
async def test_labels_never_change_the_callers_objects(filled: AsyncEngine, label: str) -> None:
    """A label that is also a mapped attribute is refused, or harmless: nothing is written."""

    class Books(ModelResource):
        class Meta:
            model = Book
            fields = ("id",)

        def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
            return super().iter_queryset(queryset)

    before = await cells(_all_books(filled))
    async with AsyncSession(filled) as session:
        labelled: Any = func.coalesce(None, Book.id).label(label)
        statement: Any = select(Book, labelled).order_by(Book.id)
        with suppress(ConfigurationError):
            await Books(session).export(statement)
        assert not session.dirty
        await session.commit()
    assert await cells(_all_books(filled)) == before


def _all_books(engine: AsyncEngine) -> ModelResource:
    meta = type("Meta", (), {"model": Book, "fields": "__all__"})
    made: type[ModelResource] = type("AllBooks", (ModelResource,), {"Meta": meta})
    return made(engine)


# --- the export's own transaction -----------------------------------------------------------


async def test_own_transactions_are_read_only_snapshots(filled_postgres: AsyncEngine) -> None:
    """With an engine or sessionmaker: REPEATABLE READ, READ ONLY, and no timeouts."""
    seen: list[list[str]] = []

    class Looking(TagResource):
        async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            seen.append(await _settings(self.session))

    class Declared(Looking):
        @depends()
        async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            await super().prepare_batch(batch)

    for bind in (filled_postgres, async_sessionmaker(filled_postgres)):
        for resource_class in (Looking, Declared):
            await resource_class(bind).export()
    assert len(seen) == 4
    for isolation, read_only, idle, interval, *_ in seen:
        assert (isolation, read_only, idle) == ("repeatable read", "on", "0")
        assert interval in {"1s", "0"}
    async with filled_postgres.connect() as connection:
        assert (await _settings(connection))[:2] == ["read committed", "off"]


async def test_an_autocommit_engine_gets_a_snapshot_too(filled_postgres: AsyncEngine) -> None:
    """An engine with another isolation level is overruled for the export alone."""
    seen = []

    class Looking(TagResource):
        @depends()
        async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            seen.append(await self.session.scalar(text("SHOW transaction_isolation")))

    bind = filled_postgres.execution_options(isolation_level="AUTOCOMMIT")
    assert await cells(Looking(bind)) == TAGS
    assert seen == ["repeatable read"]
    async with bind.connect() as connection:
        await connection.execute(text("INSERT INTO tag (id) VALUES (9)"))
    assert len(await cells(TagResource(filled_postgres))) == 5


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_rows_committed_meanwhile_are_not_seen(
    filled: AsyncEngine, resource_class: type[ModelResource]
) -> None:
    """Everything is read from one snapshot: the rows, the batches, and what hooks look up."""
    if filled.dialect.name == "sqlite":
        async with filled.connect() as connection:
            await connection.execute(text("PRAGMA journal_mode=WAL"))
    counts: list[Any] = []

    class Counting(resource_class):  # type: ignore[valid-type, misc]
        @depends()
        async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            counts.append(await self.session.scalar(select(func.count(Tag.id))))

    found = []
    async with aclosing(Counting(filled, batch_size=1).records()) as records:
        async for record in records:
            found.append(record)
            async with filled.begin() as connection:
                await connection.execute(insert(Tag).values(id=100 + len(found), name="late"))
                await connection.execute(text("UPDATE tag SET name = 'late' WHERE id = 4"))
    assert found == TAGS
    assert counts == [4] * 4
    assert len(await cells(resource_class(filled))) == 8


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_a_hook_that_writes_fails(
    filled_postgres: AsyncEngine, resource_class: type[ModelResource]
) -> None:
    """READ ONLY: what a hook writes is refused, and nothing is changed."""

    class Writing(resource_class):  # type: ignore[valid-type, misc]
        @depends()
        async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            await self.session.execute(insert(Tag).values(id=9))

    with pytest.raises(RowError, match="prepare_batch") as caught:
        await Writing(filled_postgres).export()
    assert "read-only" in str(caught.value.__cause__)
    assert checked_out(filled_postgres) == 0
    assert await cells(TagResource(filled_postgres)) == TAGS


async def test_nothing_is_written_through_the_exports_session(readable: AsyncEngine) -> None:
    """A hook that changes a mapped object changes nothing in the database."""

    class Changing(TagResource):
        def dehydrate_name(self, tag: Any) -> str:
            tag.name = "changed"
            return str(tag.name)

    for bind in (readable, async_sessionmaker(readable)):
        assert {each[1] for each in await cells(Changing(bind))} == {"changed"}
        assert await cells(TagResource(readable)) == TAGS


async def test_hooks_look_up_through_the_session(readable: AsyncEngine) -> None:
    """prepare_batch fetches for a batch, hooks for a row if Meta says so."""

    class Looking(ModelResource):
        wrote = Field()
        first = Field()

        class Meta:
            model = Author
            fields = ("name", "wrote", "first")
            hooks_use_database = True

        @depends("name")
        async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            assert [len(row.name) for row in batch] == [4] * len(batch)
            keys = [row.id for row in batch]
            counted = select(Book.author_id, func.count()).group_by(Book.author_id)
            found = await self.session.execute(counted.where(Book.author_id.in_(keys)))
            self.wrote_ = {row[0]: row[1] for row in found}

        @depends("id")
        def dehydrate_wrote(self, row: Any) -> int:
            return self.wrote_[row.id]

        @depends("id")
        async def dehydrate_first(self, row: Any) -> Any:
            return await self.session.scalar(
                select(func.min(Book.id)).where(Book.author_id == row.id)
            )

    class Iterated(Looking):
        def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
            return super().iter_queryset(queryset)

    expected = [["Anna", 2, 1], ["Bert", 1, 2], ["cleo", 1, 4]]
    for resource_class in (Looking, Iterated):
        for size in (1, 2, None):
            assert await cells(resource_class(readable, batch_size=size)) == expected
        async with AsyncSession(readable) as session:
            assert await cells(resource_class(session)) == expected


async def test_a_session_class_of_ones_own(readable: AsyncEngine) -> None:
    """Hooks get the session that the sessionmaker makes; with the caller's, its transaction."""

    class OwnSession(AsyncSession):
        pass

    seen: list[Any] = []

    class Looking(TagResource):
        async def before_export(self, queryset: Any, **kwargs: Any) -> None:
            seen.append(self.session)
            seen.append(await self.session.scalar(select(func.count(Tag.id))))

    maker = async_sessionmaker(readable, class_=OwnSession)
    await Looking(maker).export()
    assert isinstance(seen[0], OwnSession)
    async with maker() as session:
        session.add(Tag(id=5))
        await Looking(session).export()
        await session.rollback()
    assert seen[1::2] == [4, 5]


# --- databases that cannot be reached -------------------------------------------------------

PASSWORD = "s3cr3t-pass"


def free_port() -> int:
    """Give a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def refusal(engine: AsyncEngine) -> SourceError:
    """Try every way out with this engine; give the last error."""
    errors = []
    for bind in (engine, async_sessionmaker(engine), AsyncSession(engine)):
        with pytest.raises(SourceError) as caught:
            await TagResource(bind).export()
        errors.append(caught.value)
        with pytest.raises(SourceError):
            async with TagResource(bind).stream("csv"):
                pytest.fail("the stream was entered")
        if isinstance(bind, AsyncSession):
            await bind.close()
    await engine.dispose()
    for error in errors:
        shown = str(error)
        cause: BaseException | None = error
        assert PASSWORD not in shown
        assert error.__cause__ is not None
        assert error.rows == 0
        while cause is not None:
            assert PASSWORD not in str(cause)
            cause = cause.__cause__
    return errors[-1]


async def test_a_closed_port() -> None:
    """Where nobody listens the error says so, without the password."""
    url = f"postgresql+asyncpg://somebody:{PASSWORD}@127.0.0.1:{free_port()}/books"
    error = await refusal(create_async_engine(url))
    assert "onnect" in str(error)


async def test_a_host_that_does_not_exist() -> None:
    """A host without address is a SourceError."""
    url = f"postgresql+asyncpg://somebody:{PASSWORD}@nowhere.invalid/books"
    await refusal(create_async_engine(url))


async def test_a_database_that_does_not_exist(postgres_url: str) -> None:
    """The server's own message and code are shown."""
    url = make_url(postgres_url).set(drivername="postgresql+asyncpg", database="no_such_database")
    error = await refusal(create_async_engine(url))
    assert "no_such_database" in str(error)
    assert error.sqlstate == "3D000"


async def test_a_wrong_password() -> None:
    """A refused password is told by code, and the password is in no message."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(4), "big")
        await reader.readexactly(size - 4)
        message = 'password authentication failed for user "somebody"'
        fields = f"SFATAL\0VFATAL\0C28P01\0M{message}\0\0".encode()
        writer.write(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql+asyncpg://somebody:{PASSWORD}@127.0.0.1:{port}/books"
    try:
        error = await refusal(create_async_engine(url, connect_args={"ssl": False}))
    finally:
        server.close()
    assert error.sqlstate == "28P01"


@pytest.fixture
async def narrow_postgres(
    postgres_url: str, pg_schema: str, filled_postgres: AsyncEngine
) -> AsyncIterator[AsyncEngine]:
    """An engine to the library whose pool has one connection."""
    engine = create_async_engine(
        make_url(postgres_url).set(drivername="postgresql+asyncpg"),
        connect_args={"server_settings": {"search_path": pg_schema}},
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.05,
    )
    yield engine
    await engine.dispose()


async def test_an_exhausted_pool(narrow_postgres: AsyncEngine) -> None:
    """When the pool has no connection left in time the export says so."""
    async with narrow_postgres.connect():
        for bind in (narrow_postgres, async_sessionmaker(narrow_postgres)):
            with pytest.raises(SourceError) as caught:
                await TagResource(bind).export()
            assert caught.value.__cause__ is not None
    assert await cells(TagResource(narrow_postgres)) == TAGS


async def test_a_file_that_cannot_be_opened() -> None:
    """A SQLite file in a folder that does not exist is a SourceError."""
    engine = create_async_engine("sqlite+aiosqlite:////no/such/folder/x")
    with pytest.raises(SourceError):
        await TagResource(engine).export()
    await engine.dispose()
    await asyncio.sleep(0.1)  # aiosqlite's thread reports to the event loop once more


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_a_lost_connection(
    filled_postgres: AsyncEngine, resource_class: type[ModelResource]
) -> None:
    """A backend that is killed between two batches ends the export with a SourceError."""
    async with AsyncSession(filled_postgres) as session:
        session.add_all([Tag(id=n, name="x") for n in range(10, 300)])
        await session.commit()
    pids: list[Any] = []

    class Noting(resource_class):  # type: ignore[valid-type, misc]
        @depends()
        async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            if not pids:
                pids.append(await self.session.scalar(text("SELECT pg_backend_pid()")))

    with pytest.raises(SourceError) as caught:
        async with aclosing(Noting(filled_postgres, batch_size=10).records()) as records:
            await anext(records)
            async with filled_postgres.connect() as connection:
                kill = text("SELECT pg_terminate_backend(:pid)")
                await connection.execute(kill, {"pid": pids[0]})
            async for _ in records:
                pass
    assert caught.value.rows >= 10
    assert checked_out(filled_postgres) == 0
    assert (await cells(TagResource(filled_postgres)))[:4] == TAGS


# --- connections go back --------------------------------------------------------------------


async def _success(resource: ModelResource) -> None:
    await resource.export()


async def _early_close(resource: ModelResource) -> None:
    async with aclosing(resource.records()) as records:
        await anext(records)


async def _early_leave(resource: ModelResource) -> None:
    async with resource.stream("csv") as stream:
        await anext(aiter(stream))


async def _error_inside(resource: ModelResource) -> None:
    with pytest.raises(ZeroDivisionError):
        async with resource.stream("csv"):
            raise ZeroDivisionError


async def _bad_sink(resource: ModelResource) -> None:
    async def sink(_chunk: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises((ZeroDivisionError, SinkError)):
        await resource.export_to(sink, "csv")


async def _unknown_field(resource: ModelResource) -> None:
    with pytest.raises(ConfigurationError):
        await resource.export(fields=["nothing"])


async def _bad_sql(resource: ModelResource) -> None:
    with pytest.raises(SourceError):
        await resource.export(text("SELECT nothing"))


async def _explain(resource: ModelResource) -> None:
    await resource.explain()
    await resource.explain(queryset=text("SELECT id, name FROM tag"))


async def _cancelled(resource: ModelResource) -> None:
    started = asyncio.Event()

    async def sink(_chunk: bytes) -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.ensure_future(resource.export_to(sink, "csv"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _cancelled_scope(resource: ModelResource) -> None:
    with anyio.move_on_after(0.05) as scope:
        async with resource.stream("csv") as stream:
            async for _ in stream:
                await anyio.sleep(60)
    assert scope.cancelled_caught


async def _cancelled_query(resource: ModelResource) -> None:
    if _dialect(resource.bind) == "postgresql":
        slow = select(Tag).where(cast(func.pg_sleep(60), Text).is_not(None))
        with anyio.move_on_after(0.1) as scope:
            await resource.export(slow)
        assert scope.cancelled_caught


def _dialect(bind: Any) -> str:
    engine = bind if isinstance(bind, AsyncEngine) else bind.kw["bind"]
    return str(engine.dialect.name)


WAYS: tuple[Callable[[ModelResource], Awaitable[None]], ...] = (
    _success,
    _early_close,
    _early_leave,
    _error_inside,
    _bad_sink,
    _unknown_field,
    _bad_sql,
    _explain,
    _cancelled,
    _cancelled_scope,
    _cancelled_query,
)


@pytest.mark.parametrize("way", WAYS)
async def test_connections_go_back_to_the_pool(readable: AsyncEngine, way: Any) -> None:
    """However an export ends, nothing stays checked out or in a transaction."""
    for bind in (readable, async_sessionmaker(readable)):
        for resource_class in RESOURCES:
            await way(resource_class(bind, batch_size=1, chunk_size=1))
            assert checked_out(readable) == 0
            if readable.dialect.name == "postgresql":
                # The server ends the query of a client that has gone within a second.
                patience = 3.0 if way is _cancelled_query else 0.0
                assert await open_transactions(readable, patience) == []
    assert await cells(TagResource(readable)) == TAGS


@pytest.mark.parametrize(
    "hook", ["before_export", "prepare_batch", "after_export", "dehydrate_name"]
)
async def test_a_failing_hook_gives_the_connection_back(readable: AsyncEngine, hook: str) -> None:
    """Whichever hook fails, the connection returns to the pool."""

    async def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    resource_class: Any = type("Failing", (TagResource,), {hook: fail})
    with pytest.raises((RowError, ZeroDivisionError)):
        await resource_class(readable).export()
    assert checked_out(readable) == 0


async def test_a_cancelled_hook_gives_the_connection_back(readable: AsyncEngine) -> None:
    """An export that is cancelled inside a hook that queries leaves a clean pool."""
    if readable.dialect.name == "sqlite":
        pytest.skip("SQLite has no query that waits")
    started = asyncio.Event()

    class Waiting(TagResource):
        @depends()
        async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            started.set()
            await self.session.execute(text("SELECT pg_sleep(60)"))

    for bind in (readable, async_sessionmaker(readable)):
        started.clear()
        task = asyncio.ensure_future(Waiting(bind).export())
        await started.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert checked_out(readable) == 0
    assert await cells(TagResource(readable)) == TAGS


async def test_a_connection_that_came_back_is_clean(narrow_postgres: AsyncEngine) -> None:
    """Whoever gets the connection next finds default settings and isolation, and may write."""
    engine = narrow_postgres
    async with engine.connect() as connection:
        before = await _settings(connection)
        pid = await connection.scalar(text("SELECT pg_backend_pid()"))
    for number, resource_class in enumerate(RESOURCES):
        await resource_class(engine).export()
        await _early_close(resource_class(engine, batch_size=1))
        async with engine.begin() as connection:
            assert await connection.scalar(text("SELECT pg_backend_pid()")) == pid
            assert await _settings(connection) == before
            await connection.execute(insert(Tag).values(id=50 + number))


async def test_a_stream_that_is_never_left_is_no_leak_after_collection(
    readable: AsyncEngine,
) -> None:
    """A stream that was never entered holds nothing."""
    TagResource(readable).stream("csv")
    gc.collect()
    assert checked_out(readable) == 0


async def test_memory_of_the_session_stays_flat(pg_engine: AsyncEngine) -> None:
    """Mapped objects of earlier batches are not kept by the export's session."""
    await create(pg_engine, many_books(300))
    alive: list[int] = []

    class Counting(ModelResource):
        seen = Field()

        class Meta:
            model = Book
            fields = ("id", "seen")

        def dehydrate_seen(self, book: Any) -> int:
            if book.id % 50 == 0:
                alive.append(len(self.session.sync_session.identity_map))
            return 0

    await Counting(pg_engine, batch_size=10).export()
    assert max(alive) < 60


# --- values that Python cannot hold ---------------------------------------------------------

odd_metadata = MetaData()
odd = Table(
    "odd",
    odd_metadata,
    Column("id", Integer, primary_key=True),
    Column("day", Date),
    Column("moment", DateTime(timezone=True)),
    Column("naive", DateTime),
    Column("span", INTERVAL),
    Column("generic_span", Interval),
    Column("clock", TIME),
    Column("small", REAL),
)


class OddBase(Base):
    """A registry apart."""

    __abstract__ = True
    metadata = odd_metadata


class Odd(OddBase):
    """Values that are at home in PostgreSQL only."""

    __table__ = odd


ODD_ROWS = [
    ("infinity", "infinity", "-infinity", "1 mon", "1 year 2 days", "24:00:00", "0.1"),
    ("0044-03-15 BC", "0044-03-15 BC", "10000-01-01", "-1 mon 3 days", "1 mon", "12:30", "1e-40"),
    ("2024-02-29", "2024-02-29 12:00+02", "2024-02-29", "2 days", "3 hours", "00:00", "16777216"),
    (None,) * 7,
]

ODD_CELLS: dict[str, list[str | None]] = {
    "day": ["infinity", "0044-03-15 BC", "2024-02-29", ""],
    "moment": ["infinity", None, "2024-02-29 10:00:00", ""],
    "naive": ["-infinity", "10000-01-01 00:00:00", "2024-02-29 00:00:00", ""],
    "span": ["1 mon", None, "2 days, 0:00:00", ""],
    "generic_span": ["1 year 2 days", "1 mon", "3:00:00", ""],
    "clock": ["24:00:00", "12:30:00", "00:00:00", ""],
    "small": ["0.1", None, "16777216.0", ""],
}


@pytest.fixture
async def odd_engine(pg_engine: AsyncEngine) -> AsyncEngine:
    """An engine to odd values."""
    async with pg_engine.begin() as connection:
        await connection.run_sync(odd_metadata.create_all)
        for number, values in enumerate(ODD_ROWS, 1):
            texts = ", ".join("NULL" if each is None else f"'{each}'" for each in values)
            await connection.execute(text(f"INSERT INTO odd VALUES ({number}, {texts})"))
    return pg_engine


def _iterate(self: Any, queryset: Any) -> AsyncIterator[Any]:
    return ModelResource.iter_queryset(self, queryset)


def odd_resources(*fields: str) -> list[type[ModelResource]]:
    """Export these fields, from columns and from mapped objects."""
    meta = type("Meta", (), {"model": Odd, "fields": fields})
    plain: type[ModelResource] = type("OddResource", (ModelResource,), {"Meta": meta})
    iterate = {"iter_queryset": _iterate}
    return [plain, type("IteratedOddResource", (plain,), iterate)]


async def test_unrepresentable_values_as_text(odd_engine: AsyncEngine) -> None:
    """By default PostgreSQL's own text is exported, the same in both strategies."""
    plain, iterated = odd_resources(*ODD_CELLS)
    found = await cells(plain(odd_engine))
    assert await cells(iterated(odd_engine)) == found
    for position, (name, expected) in enumerate(ODD_CELLS.items()):
        shown = [record[position] for record in found]
        assert [a for a, b in zip(shown, expected, strict=True) if b is not None] == [
            each for each in expected if each is not None
        ], name
    assert [float(record[6]) for record in found[:3]] == [0.1, 1e-40, 16777216.0]
    assert found[1][1].endswith(" BC")
    assert "mon" in found[1][3]


async def test_unrepresentable_values_as_null(odd_engine: AsyncEngine) -> None:
    """Null leaves the cell empty, and only that one."""
    plain, iterated = odd_resources(*ODD_CELLS)
    found = await cells(plain(odd_engine, on_unrepresentable="null"))
    assert await cells(iterated(odd_engine, on_unrepresentable="null")) == found
    assert found[0] == ["", "", "", "", "", "", "0.1"]
    assert found[1][:6] == ["", "", "", "", "", "12:30:00"]
    assert found[2] == (await cells(plain(odd_engine)))[2]


@pytest.mark.parametrize("name", ["day", "moment", "naive", "span", "generic_span", "clock"])
async def test_unrepresentable_values_as_an_error(odd_engine: AsyncEngine, name: str) -> None:
    """Error ends the export with an error of the tree that holds no value."""
    for resource_class in odd_resources("id", name):
        with pytest.raises((SourceError, RowError)) as caught:
            await resource_class(odd_engine, on_unrepresentable="error").export()
        assert "infinity" not in str(caught.value)
        assert checked_out(odd_engine) == 0
        later = select(Odd).where(odd.c.id == 3)
        [record] = await cells(resource_class(odd_engine, on_unrepresentable="error"), later)
        assert record[0] == "3"


async def test_unrepresentable_values_in_hooks(odd_engine: AsyncEngine) -> None:
    """Hooks get the text in place of the value, from columns and from mapped objects."""

    class Reading(ModelResource):
        shown = Field()

        class Meta:
            model = Odd
            fields = ("shown",)

        @depends("day", "small")
        def dehydrate_shown(self, row: Any) -> str:
            return f"{row.day}/{row.small}"

    class Iterated(Reading):
        def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
            return super().iter_queryset(queryset)

    first = select(Odd).where(odd.c.id == 1)
    for resource_class in (Reading, Iterated):
        assert await cells(resource_class(odd_engine), first) == [["infinity/0.1"]]


async def test_a_refused_statement_has_no_values_in_its_message(readable: AsyncEngine) -> None:
    """Parameters of a failing statement are in the cause, never in the message."""
    statement = text("SELECT id FROM nowhere WHERE name = :name").bindparams(name=PASSWORD)
    with pytest.raises(SourceError) as caught:
        await TagResource(readable).export(statement)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is not None
