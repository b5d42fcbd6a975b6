"""The transaction of an export's own: what is locked when, and in which snapshot it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, make_url, select, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.schema import ForeignKey

from async_export import (
    ConfigurationError,
    ConflictError,
    Field,
    ModelResource,
    Resource,
    SourceError,
    export_workbook,
)
from async_export.widgets import ManyToManyWidget

TABLES = """
create table author (id integer primary key, name text);
create table book (id integer primary key, title text, author_id integer references author);
create table tag (id integer primary key, name text);
create table book_tag (book_id integer references book, tag_id integer references tag,
    primary key (book_id, tag_id));
create view shown as select book.id, title, name from book join author on author.id = author_id;
create table sale (id integer, day date, primary key (id, day)) partition by range (day);
create table sale_2025 partition of sale for values from ('2025-01-01') to ('2026-01-01');
create table sale_2026 partition of sale for values from ('2026-01-01') to ('2027-01-01');
create materialized view counted as select count(*) as id from book;
create table "odd: ""name""; -- %" (id integer primary key);
insert into author select i, 'author ' || i from generate_series(1, 5) i;
insert into book select i, 'book ' || i, i from generate_series(1, 5) i;
insert into sale select i, date '2025-06-01' + i * 100 from generate_series(1, 5) i;
insert into "odd: ""name""; -- %" values (1);
"""

LOCKED = """
select relname from pg_locks join pg_class on pg_class.oid = relation
where pid = pg_backend_pid() and mode = 'AccessShareLock' and relkind in ('r', 'p', 'v', 'm')
    and relnamespace = current_schema::regnamespace
order by 1
"""


class Base(DeclarativeBase):
    """The registry of these models."""


book_tag = Table(
    "book_tag",
    Base.metadata,
    Column("book_id", ForeignKey("book.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Author(Base):
    """Somebody who wrote books."""

    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Tag(Base):
    """A word that books are found by."""

    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Book(Base):
    """What is exported."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=book_tag)


def table(name: str) -> Table:
    """Describe a table with a key."""
    return Table(name, MetaData(), Column("id", Integer, primary_key=True))


class Looking(ModelResource):
    """Looks at the locks before it reads anything."""

    locked: list[str]

    class Meta:
        """Its options."""

        model = Book
        fields = ("id", "title")
        hooks_use_database = True

    async def before_export(self, queryset: Any, **kwargs: Any) -> None:
        """Look."""
        self.fields.pop("none", None)
        kwargs["locked"] += await self.session.scalars(text(LOCKED))


class LookingFar(Looking):
    """Reads relations of both kinds."""

    author = Field("author.name")
    tags = Field("tags", widget=ManyToManyWidget(field="name"))

    class Meta:
        """Its options."""

        fields = ("id", "title", "author", "tags")


class LookingAtAnything(Resource):
    """Whatever the queryset has."""

    class Meta:
        """Its options."""

        fields = "__all__"
        hooks_use_database = True

    before_export = Looking.before_export


@pytest.fixture
async def shop(pg_engine: AsyncEngine, pg_connection: asyncpg.Connection) -> AsyncEngine:
    """An engine to the tables."""
    await pg_connection.execute(TABLES)
    return pg_engine


async def locked_by(resource: Resource, queryset: Any = None) -> list[str]:
    """Export, and tell what was locked before the first query."""
    found: list[str] = []
    await resource.export(queryset, locked=found)
    return found


async def test_tables_of_a_model_are_locked_first(shop: AsyncEngine) -> None:
    """Those of the model, of its relations and of what lies between."""
    assert await locked_by(Looking(shop)) == ["book"]
    assert await locked_by(LookingFar(shop)) == ["author", "book", "book_tag", "tag"]
    maker = async_sessionmaker(shop)
    assert await locked_by(LookingFar(maker)) == ["author", "book", "book_tag", "tag"]


QUERYSETS = {
    "join": (select(Book.id).join(Book.author), ["author", "book"]),
    "subquery": (
        select(Book.id).where(Book.author_id.in_(select(Author.id))),
        ["author", "book"],
    ),
    "text": (text("with a as (select * from author) select id from a"), ["author"]),
    "view": (select(table("shown").c.id), ["author", "book", "shown"]),
    "partitions": (select(table("sale").c.id), ["sale", "sale_2025", "sale_2026"]),
    "odd name": (select(table('odd: "name"; -- %').c.id), ['odd: "name"; -- %']),
}


@pytest.mark.parametrize(("queryset", "expected"), QUERYSETS.values(), ids=QUERYSETS)
async def test_tables_of_a_queryset_are_locked_first(
    shop: AsyncEngine, queryset: Any, expected: list[str]
) -> None:
    """Joined ones, those below views, partitions, and names that need quotes."""
    assert await locked_by(LookingAtAnything(shop), queryset) == expected


async def test_another_driver_locks_too(shop: AsyncEngine, pg_schema: str) -> None:
    """Psycopg locks the tables of the model."""
    url = shop.url.set(drivername="postgresql+psycopg")
    options = f"-c search_path={pg_schema}"
    engine = create_async_engine(url, connect_args={"options": options})
    try:
        assert await locked_by(LookingFar(engine)) == ["author", "book", "book_tag", "tag"]

        class OddResource(Looking):
            """A table whose name needs care."""

            class Meta:
                """Its options."""

                model = table('odd: "name"; -- %')
                fields = ("id",)

        assert await locked_by(OddResource(engine)) == ['odd: "name"; -- %']
    finally:
        await engine.dispose()


async def test_translated_schemas(shop: AsyncEngine, pg_schema: str) -> None:
    """The engine's own map of schemas says which table is locked."""

    class ElsewhereResource(Looking):
        """A table of a schema that does not exist under that name."""

        class Meta:
            """Its options."""

            model = Table(
                "book",
                MetaData(),
                Column("id", Integer, primary_key=True),
                Column("title", Text),
                schema="tenant",
            )
            fields = ("id", "title")

    engine = shop.execution_options(schema_translate_map={"tenant": pg_schema})
    assert await locked_by(ElsewhereResource(engine)) == ["book"]


async def test_workbook_locks_all(shop: AsyncEngine, tmp_path: Any) -> None:
    """What any of its resources reads is locked before the first one reads."""
    found: list[str] = []
    resources: dict[str, Any] = {
        "books": Looking(shop),
        "view": (LookingAtAnything(shop), QUERYSETS["view"][0]),
    }
    await export_workbook(resources, tmp_path / "shop.xlsx", locked=found)
    assert found[: len(found) // 2] == ["author", "book", "shown"]


async def test_what_cannot_be_locked_is_told(
    shop: AsyncEngine, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    """Materialized views take no lock beforehand: log, origin and explain say so."""
    caplog.set_level("INFO", "async_export")
    queryset = select(table("counted").c.id)
    async with LookingAtAnything(shop).stream("csv", queryset, locked=[]) as stream:
        async for _ in stream:
            pass
    assert stream.origin.snapshot is not None
    (name,) = stream.origin.snapshot.unlocked
    assert name.endswith(".counted")
    assert "cannot be locked" in caplog.text
    assert ".counted" in caplog.text
    explained = await LookingAtAnything(shop).explain("csv", queryset, locked=[])
    assert explained.unlocked == (name,)
    assert f"unlocked:  {name}" in str(explained)


async def test_no_permission_to_lock(shop: AsyncEngine, pg_schema: str, postgres_url: str) -> None:
    """Who may select single columns only exports these, without a lock beforehand."""
    role = f"reader_{pg_schema}"
    async with shop.begin() as connection:
        await connection.execute(text(f"create role {role} login"))
        await connection.execute(text(f"grant usage on schema {pg_schema} to {role}"))
        await connection.execute(text(f"grant select (id, title) on book to {role}"))
    url = make_url(postgres_url).set(drivername="postgresql+asyncpg", username=role)
    settings = {"search_path": pg_schema}
    engine = create_async_engine(url, connect_args={"server_settings": settings})
    try:
        async with Looking(engine).stream("csv", locked=[]) as stream:
            async for _ in stream:
                pass
        assert stream.result.rows == 5
        assert stream.origin.snapshot is not None
        assert stream.origin.snapshot.unlocked == (f"{pg_schema}.book",)
    finally:
        await engine.dispose()
        async with shop.begin() as connection:
            await connection.execute(text(f"drop owned by {role}"))
            await connection.execute(text(f"drop role {role}"))


class LateResource(Looking):
    """Joins a table that nobody could know of, after somebody else has changed it."""

    async def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
        """Join."""
        await self.session.scalar(text("select 1"))  # the snapshot, if there was none
        await kwargs["change"]()
        return queryset.join(Author, Author.id == Book.author_id)


CHANGES = {
    "truncate": "truncate author",
    "rewrite": "alter table author alter id type bigint",
    "recreate": "drop table author; create table author (id bigint, name text)",
    "vacuum": "vacuum full author",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_changed_before_it_could_be_locked(
    shop: AsyncEngine, pg_connection: asyncpg.Connection, change: str
) -> None:
    """A table that is emptied between snapshot and lock is an error, never a short file."""

    async def run() -> None:
        await pg_connection.execute("alter table book drop constraint book_author_id_fkey")
        await pg_connection.execute("drop view shown")
        await pg_connection.execute("set lock_timeout = '1s'")
        for each in change.split(";"):
            await pg_connection.execute(each)

    class Unlocked(LateResource):
        """Without a lock on its own table, so that its constraint can go."""

        class Meta:
            """Its options."""

            model = None
            fields = ("id",)

        id = Field()

        def get_queryset(self) -> Any:
            """Select the key."""
            return select(Book.id)

    with pytest.raises(ConflictError, match="rewritten") as caught:
        await Unlocked(shop).export(locked=[], change=run)
    assert caught.value.is_retryable
    assert "author" in str(caught.value)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_emptied_after_the_callers_snapshot(
    shop: AsyncEngine, pg_connection: asyncpg.Connection, level: str
) -> None:
    """In a caller's transaction nothing can be locked before; it is found all the same."""
    async with shop.connect() as connection:
        bind = await connection.execution_options(isolation_level=level)
        await bind.execute(text("select 1"))
        await bind.execute(text("select count(*) from tag"))
        await pg_connection.execute("truncate book cascade")
        for name in ("csv", "xlsx"):
            with pytest.raises(ConflictError, match="rewritten"):
                async with Looking(bind).stream(name, locked=[]) as stream:
                    async for _ in stream:
                        pass
    async with shop.connect() as connection:
        assert len(await Looking(connection).export(locked=[])) == 0


class LookingUp(Resource):
    """Objects at hand, with what a table says of them."""

    id = Field()

    class Meta:
        """Its options."""

        hooks_use_database = True

    async def before_export(self, queryset: Any, **kwargs: Any) -> None:
        """Take the snapshot, and let somebody empty the table."""
        await self.session.scalar(text("select 1"))
        await kwargs["change"]()

    async def prepare_batch(self, batch: Any, **kwargs: Any) -> None:
        """Look up."""
        await self.session.execute(text("select id, name from author"))


async def test_emptied_tables_of_hooks(
    shop: AsyncEngine, pg_connection: asyncpg.Connection
) -> None:
    """What only a hook reads is looked at, too, whatever the queryset is."""

    async def change() -> None:
        await pg_connection.execute("truncate author cascade")

    with pytest.raises(ConflictError, match="author was rewritten"):
        await LookingUp(shop).export([{"id": 1}], change=change)


async def test_emptied_tables_and_limits(
    shop: AsyncEngine, pg_connection: asyncpg.Connection
) -> None:
    """An export that a limit ends in good order is looked at like any other."""

    class Untagged(Looking):
        """Asks a table that nobody could know of, after somebody has emptied it."""

        async def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            """Ask."""
            await self.session.scalar(text("select 1"))
            await pg_connection.execute("truncate tag cascade")
            return queryset.where(~select(Tag.id).exists())

    await pg_connection.execute("insert into tag values (1, 'x')")
    with pytest.raises(ConflictError, match="tag was rewritten"):
        await Untagged(shop, max_rows=2, on_limit="stop").export(locked=[])


async def test_schemas_that_a_statement_translates(
    shop: AsyncEngine, pg_connection: asyncpg.Connection, pg_schema: str
) -> None:
    """Its own execution options say where its tables are."""

    class TagResource(Looking):
        """Another model."""

        class Meta:
            """Its options."""

            model = Tag
            fields = ("id", "name")

    other = f"{pg_schema}_other"
    await pg_connection.execute(
        f"create schema {other}; create table {other}.tag (id integer, name text);"
        f"insert into {other}.tag values (7, 'elsewhere')"
    )
    try:
        columns = select(Tag.id, Tag.name)
        for statement in (columns, select(Tag), select(Tag.__table__)):
            moved = statement.execution_options(schema_translate_map={None: other})
            for name in ("csv", "jsonl", "xlsx"):
                async with TagResource(shop).stream(name, moved, locked=[]) as stream:
                    async for _ in stream:
                        pass
                assert stream.result.rows == 1
    finally:
        await pg_connection.execute(f"drop schema {other} cascade")


def _fail_before() -> None:
    raise asyncpg.SerializationError("canary")


async def test_a_retry_inherits_nothing(shop: AsyncEngine) -> None:
    """What the caller is handling is no cause of the next error."""
    broken = select(Book).where(text("1 / (id - 3) >= 0"))
    for resource, queryset in (
        (Looking(shop), broken),
        (LookingAtAnything(shop), select(text("1 / 0 as n"))),
    ):
        try:
            _fail_before()
        except asyncpg.SerializationError:
            with pytest.raises(SourceError) as caught:
                await resource.export(queryset, locked=[])
            assert caught.value.sqlstate == "22012"
            assert "canary" not in str(caught.value)


async def test_harmless_changes_pass(shop: AsyncEngine, pg_connection: asyncpg.Connection) -> None:
    """Rows that come and go, and indexes, are no reason to fail: the snapshot holds."""

    async def change() -> None:
        await pg_connection.execute("insert into author values (6, 'late')")
        await pg_connection.execute("create index on author (name)")
        await pg_connection.execute("delete from tag")

    dataset = await LateResource(shop).export(locked=[], change=change)
    assert len(dataset) == 5


async def test_the_lock_is_taken_before_the_snapshot(
    shop: AsyncEngine, writer: asyncpg.Connection
) -> None:
    """What somebody else changes under a lock is seen by an export that had to wait for it."""
    for maker in (shop, async_sessionmaker(shop)):
        async with writer.transaction():
            await writer.execute("lock table book in access exclusive mode")
            count = await writer.fetchval("select count(*) from book")
            await writer.execute("insert into book values ($1, 'new')", count + 1)
            export = asyncio.ensure_future(Looking(maker).export(locked=[]))
            done, _ = await asyncio.wait([export], timeout=0.2)
            assert not done
        assert len(await export) == count + 1


async def test_no_permission_below_a_view(
    shop: AsyncEngine, pg_schema: str, postgres_url: str
) -> None:
    """Its tables are locked with the view, though the role may not select from them."""
    role = f"viewer_{pg_schema}"
    async with shop.begin() as connection:
        await connection.execute(text(f"create role {role} login"))
        await connection.execute(text(f"grant usage on schema {pg_schema} to {role}"))
        await connection.execute(text(f"grant select on shown to {role}"))
    url = make_url(postgres_url).set(drivername="postgresql+asyncpg", username=role)
    engine = create_async_engine(url, connect_args={"server_settings": {"search_path": pg_schema}})
    found: list[str] = []
    try:
        async with LookingAtAnything(engine).stream(
            "csv", QUERYSETS["view"][0], locked=found
        ) as stream:
            async for _ in stream:
                pass
        assert found == ["author", "book", "shown"]
        assert stream.origin.snapshot is not None
        assert stream.origin.snapshot.unlocked == ()
    finally:
        await engine.dispose()
        async with shop.begin() as connection:
            await connection.execute(text(f"drop owned by {role}"))
            await connection.execute(text(f"drop role {role}"))


async def test_truncate_waits(shop: AsyncEngine, pg_connection: asyncpg.Connection) -> None:
    """Whoever wants to empty a table waits for the export."""
    await pg_connection.execute("set lock_timeout = '100ms'")
    async with Looking(shop, batch_size=1).stream("csv", locked=[]):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await pg_connection.execute("truncate book cascade")
    await pg_connection.execute("truncate book cascade")


async def test_deferrable(shop: AsyncEngine) -> None:
    """Serializable, read only, deferrable: as PostgreSQL itself says."""
    told: list[str] = []

    class Telling(Looking):
        """Asks for the modes."""

        async def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            """Ask."""
            for name in ("isolation", "read_only", "deferrable"):
                told.append(await self.session.scalar(text(f"show transaction_{name}")) or "")
            return queryset

    async with Telling(shop, deferrable=True).stream("csv", locked=[]) as stream:
        async for _ in stream:
            pass
    assert told == ["serializable", "on", "on"]
    assert stream.origin.snapshot is not None
    assert stream.origin.snapshot.isolation == "serializable"
    told.clear()
    await Telling(async_sessionmaker(shop)).export(locked=[])
    assert told == ["repeatable read", "on", "off"]


async def test_deferrable_waits_for_a_safe_snapshot(shop: AsyncEngine) -> None:
    """While a serializable transaction writes, there is none."""
    async with shop.connect() as connection:
        writer = await connection.execution_options(isolation_level="SERIALIZABLE")
        await writer.execute(text("select count(*) from book"))
        await writer.execute(text("insert into tag values (1, 'x')"))
        export = asyncio.ensure_future(Looking(shop, deferrable=True).export(locked=[]))
        done, _ = await asyncio.wait([export], timeout=0.3)
        assert not done
        await writer.rollback()
        assert len(await export) == 5


async def test_deferrable_is_not_for_everybody(
    shop: AsyncEngine, sqlite_engine: AsyncEngine
) -> None:
    """A transaction that has begun cannot become deferrable, nor one of SQLite."""
    async with shop.connect() as connection, AsyncSession(shop) as session:
        for bind in (connection, session):
            with pytest.raises(ConfigurationError, match="engine or sessionmaker"):
                await Looking(bind, deferrable=True).export(locked=[])
    with pytest.raises(ConfigurationError, match="PostgreSQL"):
        await Looking(sqlite_engine, deferrable=True).export(locked=[])


@pytest.fixture
async def writer(pg_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of somebody else's."""
    connection = await asyncpg.connect(pg_dsn)
    yield connection
    await connection.close()


async def test_the_snapshot_tells_where_it_is(
    shop: AsyncEngine, writer: asyncpg.Connection
) -> None:
    """Time and position of the log are those between two changes of others."""
    before = await writer.fetchrow("select clock_timestamp(), pg_current_wal_insert_lsn()::text")
    async with Looking(shop).stream("csv", locked=[]) as stream:
        await writer.execute("insert into tag values (1, 'x')")
        after = await writer.fetchrow("select clock_timestamp(), pg_current_wal_insert_lsn()::text")
        async for _ in stream:
            pass
    snapshot = stream.origin.snapshot
    assert snapshot is not None
    assert snapshot.time is not None
    assert snapshot.lsn is not None
    assert before[0] < snapshot.time < after[0]
    assert _position(before[1]) <= _position(snapshot.lsn) < _position(after[1])


def _position(lsn: str) -> int:
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)
