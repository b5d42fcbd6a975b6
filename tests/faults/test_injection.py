"""Injections: whatever text comes from outside, it names and means nothing but itself.

The server is the real one, a table of canaries stands in its reach, and the connection is the
caller's own, which may write: no transaction that only reads is there to save what an injection
would do. What an export sends is compared with what it sends for harmless words.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from injections import ALL, BY_CLASS, NAMES, TEXTS, WORDS, harmless, is_one_line, rows_of
from library import bytes_of
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    insert,
    literal,
    make_url,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from wire import Wire, skeleton

from async_export import (
    ConfigurationError,
    ExportError,
    Field,
    ModelResource,
    Resource,
    SourceError,
    UnknownNameError,
    available_formats,
    depends,
)
from async_export.formats import make_encoder

SECRET = "canary-51f0"
"""What no export may give."""


def long(value: Any) -> Any:
    """Leave a case to the long set."""
    return pytest.param(value, marks=pytest.mark.faults)


BY_KIND = pytest.mark.parametrize("kind", BY_CLASS)
"""One by one, where many at once would hide what is refused."""


class Base(DeclarativeBase):
    """The registry of these models."""


class Note(Base):
    """A text; its number says which."""

    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]
    hidden: Mapped[str] = mapped_column(default=SECRET)


class NoteResource(ModelResource):
    """Two of its columns, rendered by PostgreSQL."""

    class Meta:
        """Options."""

        model = Note
        fields = ("id", "body")

    def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
        """Give those notes whose text is what a keyword says."""
        return queryset.where(Note.body == kwargs["body"]) if "body" in kwargs else queryset


class HookedResource(NoteResource):
    """The text goes through Python."""

    @depends("body")
    def dehydrate_body(self, row: Any) -> str:
        """Give the text as it is."""
        return str(row.body)


class CursorResource(HookedResource):
    """The same, without COPY."""

    class Meta:
        """Options."""

        hooks_use_database = True


class InstanceResource(NoteResource):
    """Mapped objects."""

    class Meta:
        """Options."""

        infer_reads = False

    def dehydrate_body(self, note: Note) -> str:
        """Give the text as it is."""
        return note.body


class EverythingResource(Resource):
    """The columns of a queryset."""

    class Meta:
        """Options."""

        fields = "__all__"

    def adopt_columns(self, names: Sequence[str]) -> None:
        """Take all of them, what looks secret among them."""
        self.fields |= {name: Field(name) for name in names}


TRANSPORTS = (NoteResource, HookedResource, CursorResource, InstanceResource)


@pytest.fixture
def wire() -> Wire:
    """What is sent."""
    return Wire()


@pytest.fixture(scope="module")
def filled(postgres_url: str) -> Iterator[str]:
    """A schema with the notes and the canaries."""
    schema = f"injection_{uuid.uuid4().hex}"

    async def fill() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            f"create schema {schema}; set search_path = {schema};"
            "create table note (id int primary key, body text not null, hidden text not null);"
            f"create table canary (id int, secret text); insert into canary values (1, '{SECRET}')"
        )
        notes = [(number, body, SECRET) for number, body in enumerate(TEXTS)]
        await connection.copy_records_to_table("note", records=notes)
        await connection.close()

    async def drop() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(f"set lock_timeout = '5s'; drop schema {schema} cascade")
        await connection.close()

    asyncio.run(fill())
    yield schema
    asyncio.run(drop())


@pytest.fixture
async def engine(postgres_url: str, filled: str, wire: Wire) -> AsyncIterator[AsyncEngine]:
    """An engine to the notes and the canaries, which are all there in the end."""
    engine = create_async_engine(
        make_url(postgres_url).set(drivername="postgresql+asyncpg"),
        connect_args={
            "server_settings": {"search_path": filled},
            "connection_class": wire.connection_class,
        },
    )
    try:
        yield engine
        async with engine.connect() as connection:
            assert (await connection.execute(text("table canary"))).all() == [(1, SECRET)]
    finally:
        await engine.dispose()


@pytest.fixture
async def caller(engine: AsyncEngine, wire: Wire) -> AsyncIterator[AsyncConnection]:
    """The caller's connection, whose transaction may write; nothing of it stays."""
    async with engine.connect() as connection:
        # What an export asks once for each connection.
        await bytes_of(InstanceResource(connection), select(Note).limit(1))
        wire.take()
        yield connection
        if not connection.invalidated:
            assert (await connection.execute(text("table canary"))).all() == [(1, SECRET)]


# --- the oracle itself ----------------------------------------------------------------------


def test_skeletons_keep_what_breaks_out() -> None:
    """Only what stands in quotes is taken out; escapes are those that PostgreSQL knows."""
    assert skeleton("select 'it''s' as \"a\"\"b\"") == "select '' as \"\""
    assert skeleton(r"select E'\'; drop', 'a\' ; --'") == "select '', '' ; --'"
    assert skeleton("select 'a' -- 'b") == "select '' -- 'b"
    assert skeleton("select $tag$ a $tag$") == "select $tag$ a $tag$"


async def test_the_wire_sees_every_transport(
    engine: AsyncEngine, caller: AsyncConnection, wire: Wire
) -> None:
    """COPY, cursor and stream are noted, and so is what an injection would look like."""
    seen = []
    for resource_class in TRANSPORTS:
        await bytes_of(resource_class(caller), select(Note).limit(1))
        seen.append("\n".join(wire.take()))
    assert [sent.count("COPY (") for sent in seen] == [1, 1, 0, 0]
    assert all("FROM note" in sent for sent in seen)
    with pytest.raises(SourceError, match="42P01"):
        await bytes_of(EverythingResource(engine), text("select * from absent"))
    assert any("absent" in sent for sent in wire.take())


# --- values ---------------------------------------------------------------------------------


def matching(bodies: Sequence[str]) -> Any:
    """Select the notes of which each one has the text in its place."""
    pairs = (and_(Note.id == number, Note.body == body) for number, body in enumerate(bodies))
    return select(Note).where(or_(*pairs)).order_by(Note.id)


@pytest.mark.parametrize(
    "resource_class",
    [NoteResource, CursorResource, long(HookedResource), long(InstanceResource)],
)
async def test_bound_values(
    resource_class: type[ModelResource], caller: AsyncConnection, wire: Wire
) -> None:
    """Each value finds the row that has it, and the SQL is that of harmless values."""
    found = rows_of(await bytes_of(resource_class(caller), matching(TEXTS)))
    sent = wire.skeletons()
    assert found[1:] == [[str(number), body] for number, body in enumerate(TEXTS)]
    await bytes_of(resource_class(caller), matching(WORDS[: len(TEXTS)]))
    assert sent == wire.skeletons()


@pytest.mark.parametrize("resource_class", [long(NoteResource), long(CursorResource)])
async def test_bound_values_of_an_own_transaction(
    resource_class: type[ModelResource], engine: AsyncEngine
) -> None:
    """With an engine it is the same."""
    found = rows_of(await bytes_of(resource_class(engine), matching(TEXTS)))
    assert found[1:] == [[str(number), body] for number, body in enumerate(TEXTS)]


@pytest.mark.parametrize(
    "setting",
    [
        "standard_conforming_strings = off",
        long("backslash_quote = on"),
        long("quote_all_identifiers = on"),
    ],
)
async def test_bound_values_under_old_settings(setting: str, caller: AsyncConnection) -> None:
    """Literals mean the same where a backslash is special."""
    await caller.execute(text(f"set local {setting}"))
    found = rows_of(await bytes_of(NoteResource(caller), matching(TEXTS)))
    assert found[1:] == [[str(number), body] for number, body in enumerate(TEXTS)]


@pytest.mark.parametrize("format_name", ["csv", *map(long, ("jsonl", "tsv", "json", "xlsx"))])
async def test_literals_in_columns(format_name: str, caller: AsyncConnection, wire: Wire) -> None:
    """Labelled columns of literals hold them exactly."""

    def literals(texts: Sequence[str]) -> Any:
        columns = (literal(each).label(f"c{place}") for place, each in enumerate(texts))
        return select(literal(1).label("id"), *columns)

    texts = [each for each in TEXTS if len(each) < 32_768]
    content = await bytes_of(EverythingResource(caller), literals(texts), format_name)
    sent = wire.skeletons()
    if format_name == "csv":
        assert rows_of(content)[1][1:] == texts
    if format_name.startswith("json"):
        found = json.loads(content)
        found = found[0] if isinstance(found, list) else found
        assert list(found.values())[1:] == texts
    await bytes_of(EverythingResource(caller), literals(WORDS[: len(texts)]), format_name)
    assert sent == wire.skeletons()


async def test_parameters_of_texts(caller: AsyncConnection, wire: Wire) -> None:
    """So do the parameters of written SQL."""
    names = [f"p{place}" for place in range(len(TEXTS))]
    written = text(f"select 1 as id, {', '.join(f'cast(:{n} as text) as {n}' for n in names)}")

    async def sent_for(texts: Sequence[str]) -> tuple[list[str], list[str]]:
        queryset = written.bindparams(**dict(zip(names, texts, strict=True)))
        content = await bytes_of(EverythingResource(caller), queryset)
        return rows_of(content)[1][1:], wire.skeletons()

    found, sent = await sent_for(TEXTS)
    assert found == list(TEXTS)
    assert (await sent_for(WORDS[: len(TEXTS)]))[1] == sent


async def test_keywords_of_the_caller(caller: AsyncConnection, wire: Wire) -> None:
    """A keyword that a hook compares with is a value, and its name is nothing to a database."""
    resource = HookedResource(caller)
    await bytes_of(resource, body=WORDS[0])
    plain = wire.skeletons()
    for kind in BY_CLASS.values():
        body = next(each for each in kind if each in TEXTS)
        found = rows_of(await bytes_of(resource, body=body, **{kind[-1]: kind[-1]}))
        assert found[1:] == [[str(TEXTS.index(body)), body]]
        assert wire.skeletons() == plain


@pytest.mark.parametrize("resource_class", [NoteResource, *map(long, TRANSPORTS[1:])])
async def test_values_that_no_database_holds(
    resource_class: type[ModelResource], engine: AsyncEngine
) -> None:
    """A zero or half a character is an error of ours, and the connection can be used again."""
    for body in (each for each in ALL if each not in TEXTS):
        with pytest.raises(ExportError) as caught:
            await bytes_of(resource_class(engine), body=body)
        assert is_one_line(str(caught.value))
    assert await bytes_of(resource_class(engine), select(Note).limit(1))


# --- names ----------------------------------------------------------------------------------


def is_path(name: str) -> bool:
    """Tell whether a field can have this name: dots and ``__`` in it stand between names."""
    return all(re.split(r"\.|__", name))


EATS_PARAMETERS = re.compile(r"%\((?!.*\)s)", re.DOTALL)
"""SQLAlchemy takes what follows such a name for one of its own marks, and the SQL is wrong."""

LOSES_ITS_END = re.compile(r"\w+\n")
"""SQLAlchemy takes this for a name without a line end, and writes it without quotes."""

LABELS = [
    name
    for name in NAMES
    if is_path(name) and not EATS_PARAMETERS.search(name) and not LOSES_ITS_END.fullmatch(name)
]
"""The names under which a queryset can have a column that is exported."""


@pytest.mark.parametrize("format_name", ["csv", *map(long, ("jsonl", "json"))])
async def test_labels(format_name: str, caller: AsyncConnection, wire: Wire) -> None:
    """Columns that are labelled with them have them for headers."""

    def labelled(labels: Sequence[str]) -> Any:
        return select(*(literal(place).label(each) for place, each in enumerate(labels)))

    content = await bytes_of(EverythingResource(caller), labelled(LABELS), format_name)
    sent = wire.skeletons()
    found = rows_of(content)[0] if format_name == "csv" else json.loads(content)
    assert list(found[0] if format_name == "json" else found) == LABELS
    await bytes_of(EverythingResource(caller), labelled(harmless(LABELS)), format_name)
    assert sent == wire.skeletons()


@pytest.mark.faults
@BY_KIND
async def test_labels_one_by_one(
    kind: str, engine: AsyncEngine, caller: AsyncConnection, wire: Wire
) -> None:
    """A label that does not serve is an error of ours, if one; the others are headers."""

    def labelled(label: str) -> Any:
        return select(literal("x").label("plain"), literal("y").label(label))

    await bytes_of(EverythingResource(caller), labelled(WORDS[0]))
    plain = wire.skeletons()
    for label in BY_CLASS[kind]:
        if label in LABELS:
            content = await bytes_of(EverythingResource(caller), labelled(label))
            assert rows_of(content) == [["plain", label], ["x", "y"]]
            assert wire.skeletons() == plain or label in harmless([label])
        else:
            with suppress(ExportError):
                await bytes_of(EverythingResource(engine), labelled(label))
            wire.take()


SYSTEM_COLUMNS = {"ctid", "xmin", "tableoid"}
"""Every table of PostgreSQL has them."""


def table_of(name: str, columns: Sequence[str]) -> Table:
    """Make a table with a key ``key`` and such columns."""
    others = (Column(each, Text, default="x") for each in columns)
    return Table(name, MetaData(), Column("key", Integer, primary_key=True), *others)


async def exported_table(table: Table, caller: AsyncConnection, wire: Wire) -> Any:
    """Create a table with a row, export it, and give the lines of the CSV and what was sent."""
    await caller.run_sync(table.create)
    await caller.execute(insert(table), {"key": 1})
    wire.take()
    fields = tuple(name for name in table.columns.keys() if is_path(name))  # noqa: SIM118 - no dict
    meta = type("Meta", (), {"model": table, "fields": fields})
    resource_class = type("TableResource", (ModelResource,), {"Meta": meta})
    content = await bytes_of(resource_class(caller))
    return rows_of(content), wire.skeletons()


@pytest.mark.faults
async def test_names_of_columns(caller: AsyncConnection, wire: Wire) -> None:
    """A table whose columns are called so is exported like any other."""
    names = [each for each in LABELS if each not in {"key", *SYSTEM_COLUMNS}]
    lines, sent = await exported_table(table_of("odd", names), caller, wire)
    assert lines == [["key", *names], ["1", *["x"] * len(names)]]
    _, plain = await exported_table(table_of("plain", harmless(names)), caller, wire)
    assert sent == [each.replace("plain", "odd") for each in plain]


async def test_names_of_mapped_columns(caller: AsyncConnection, wire: Wire) -> None:
    """So is one whose columns are mapped to names of Python, whatever they are."""

    async def sent_for(table: str, names: Sequence[str]) -> tuple[list[str], list[str]]:
        columns = {f"c{place}": mapped_column(n, Text) for place, n in enumerate(names)}
        key = {"__tablename__": table, "id": mapped_column(Integer, primary_key=True)}
        base: Any = type("OddBase", (DeclarativeBase,), {})
        model: Any = type("Odd", (base,), {**key, **columns})
        meta = type("Meta", (), {"model": model, "fields": ("id", *columns)})
        resource_class = type("OddResource", (ModelResource,), {"Meta": meta})
        await caller.run_sync(base.metadata.create_all, checkfirst=False)
        await caller.execute(insert(model.__table__), {"id": 1, names[-1]: "x"})
        wire.take()
        lines = rows_of(await bytes_of(resource_class(caller)))
        return lines[1], wire.skeletons()

    names = [each for each in NAMES if each not in {"id", *SYSTEM_COLUMNS}]
    names = [each for each in names if not LOSES_ITS_END.fullmatch(each)]
    line, sent = await sent_for("odd", names)
    assert line == ["1", *[""] * (len(names) - 1), "x"]
    _, plain = await sent_for("plain", harmless(names))
    assert sent == [each.replace("plain", "odd") for each in plain]


async def test_names_of_tables(caller: AsyncConnection, wire: Wire) -> None:
    """Tables that are called so are exported together."""
    names = [each for each in NAMES if not LOSES_ITS_END.fullmatch(each)]
    quoted = ['"{}"'.format(each.replace('"', '""')) for each in names]
    created = (
        "create table {} as select {} as key".format(*each)
        for each in zip(quoted, range(len(names)), strict=True)
    )
    driver: Any = (await caller.get_raw_connection()).driver_connection
    await driver.execute(";".join(created))

    def together(tables: Sequence[str]) -> Any:
        return union_all(*(select(table_of(each, ()).c.key) for each in tables))

    wire.take()
    lines = rows_of(await bytes_of(EverythingResource(caller), together(names)))
    sent = wire.skeletons()
    assert sorted(int(line[0]) for line in lines[1:]) == list(range(len(names)))
    await driver.execute(
        ";".join(f'create table if not exists "{word}" (key int)' for word in harmless(names))
    )
    wire.take()
    await bytes_of(EverythingResource(caller), together(harmless(names)))
    assert sent == wire.skeletons()


async def test_schemas_that_are_translated(engine: AsyncEngine, wire: Wire) -> None:
    """A tenant's name that stands for a schema is quoted, and there is no such schema."""

    async def sent_for(schema: str) -> list[str]:
        bind = engine.execution_options(schema_translate_map={None: schema})
        wire.take()
        with pytest.raises(ExportError) as caught:
            await bytes_of(NoteResource(bind))
        assert "\n" not in str(caught.value)
        return wire.skeletons()

    await sent_for(WORDS[0])
    plain = await sent_for(WORDS[0])
    for kind in BY_CLASS.values():
        for schema in (
            each for each in kind[:2] if each in LABELS and each not in harmless(LABELS)
        ):
            assert await sent_for(schema) == plain


# --- selections, orders, formats and their options -------------------------------------------


async def test_unknown_names_reach_no_database(caller: AsyncConnection, wire: Wire) -> None:
    """A selection that names no field is refused, and nothing of it is sent."""

    async def sent_for(name: str, keyword: str = "fields") -> list[str]:
        with pytest.raises(UnknownNameError) as caught:
            await bytes_of(NoteResource(caller), **{keyword: [name]})
        assert is_one_line(str(caught.value))
        return wire.take()

    plain = await sent_for(WORDS[0])
    assert not any("note" in each for each in plain)
    for kind in BY_CLASS.values():
        for name in kind[:2]:
            assert await sent_for(name) == plain
        assert await sent_for(kind[-1], "export_fields") == plain
    for name in ALL:
        with pytest.raises(UnknownNameError) as caught:
            NoteResource().get_export_fields([name])
        assert is_one_line(str(caught.value))


async def test_unknown_orders_reach_no_database(caller: AsyncConnection, wire: Wire) -> None:
    """So is an order by what is no attribute, before there is a queryset."""
    assert "hidden" in Note.__table__.columns
    for name in (*ALL, "hidden"):
        for order in (f"+{name}", f"--{name}", ["id", f"{name} "]):
            with pytest.raises(ConfigurationError) as caught:
                NoteResource(order_by=order).get_queryset()
            assert is_one_line(str(caught.value))
    with pytest.raises(UnknownNameError):
        await bytes_of(NoteResource(caller, order_by=ALL[0]))
    assert not any("note" in each for each in wire.take())


def test_unknown_formats() -> None:
    """The name of a format is looked up, and means nothing else."""
    names = {each.name for each in available_formats()}
    for name in ALL:
        for asked in (name, f"{name}.gz", f"{name}.zip"):
            if name.lower() not in names:
                with pytest.raises(UnknownNameError) as caught:
                    make_encoder(asked)
                assert is_one_line(str(caught.value))


@pytest.mark.parametrize("format_name", [each.name for each in available_formats()])
def test_options_of_formats(format_name: str) -> None:
    """An option that a format does not have is refused."""
    for name in ALL:
        with pytest.raises(ConfigurationError):
            make_encoder(format_name, **{name: name})


@pytest.mark.parametrize(
    "option", ["delimiter", *map(long, ("quotechar", "lineterminator", "encoding", "quoting"))]
)
async def test_options_of_copy(option: str, caller: AsyncConnection, wire: Wire) -> None:
    """What COPY is told of a delimiter is a literal, or COPY is not used."""
    for delimiter in (";", "\\"):  # COPY serves for the first one
        encoder = make_encoder("csv", delimiter=delimiter)
        await bytes_of(NoteResource(caller), select(Note).limit(1), encoder)
    plain = set(wire.skeletons())
    for value in ALL if option != "lineterminator" else ALL[::8]:
        try:
            encoder = make_encoder("csv", **{option: value})
        except ConfigurationError:
            continue
        await bytes_of(NoteResource(caller), select(Note).limit(1), encoder)
        assert set(wire.skeletons()) <= plain
