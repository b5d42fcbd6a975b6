"""Which strategy and transport an export takes, and that all shapes come out right."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
from library import BOOKS, Author, Book, BookResource, bytes_of, fill, records_of
from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    cast,
    event,
    func,
    literal,
    select,
    text,
    values,
)
from sqlalchemy import column as sql_column
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import joinedload, registry

from async_export import (
    ConfigurationError,
    EncodeError,
    Field,
    LimitError,
    ModelResource,
    Resource,
    RowError,
    SourceError,
    depends,
)
from async_export.formats import CSVEncoder
from async_export.widgets import DateTimeWidget, Widget


@pytest.fixture
async def library(pg_engine: AsyncEngine) -> AsyncEngine:
    """The library in PostgreSQL."""
    return await fill(pg_engine)


class Rows(Resource):
    """Whatever columns a queryset has."""

    class Meta:
        """Its options."""

        fields = "__all__"


async def chosen(resource: Resource, queryset: Any = None, name: Any = "csv") -> tuple[str, str]:
    """Export, and give strategy and transport; they are the ones that explain tells."""
    explained = await resource.explain(name, queryset)
    async with resource.stream(name, queryset) as stream:
        _ = [chunk async for chunk in stream]
    assert (stream.result.strategy, stream.result.transport) == (
        explained.strategy,
        explained.transport,
    )
    return explained.strategy, explained.transport


def lines_of(output: bytes) -> list[list[str]]:
    """Read CSV, without the header."""
    csv.field_size_limit(2**24)
    return list(csv.reader(io.StringIO(output.decode(), newline="")))[1:]


# --- which one is taken ---------------------------------------------------------------------


class Priced(BookResource):
    """Has a hook whose reads are declared."""

    @depends("price", "author.country")
    def dehydrate_title(self, row: Any) -> str:
        """Read a number, and a text of a related row."""
        return f"{row.price} {row.author.country if row.author else '-'}"


class Looked(Priced):
    """Looks something up for each batch."""

    @depends("id")
    async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
        """Use the connection."""
        await self.session.scalar(select(func.count(Book.id)))


class Detailed(BookResource):
    """Has a column of type json, which no SQL shows as Python does."""

    class Meta:
        """Its options."""

        fields = ("id", "details")


@pytest.mark.parametrize(
    ("resource_class", "name", "expected", "reason"),
    [
        (BookResource, "csv", ("server", "copy"), ""),
        (BookResource, "tsv", ("server", "copy"), ""),
        (BookResource, "jsonl", ("server", "copy"), ""),
        (BookResource, CSVEncoder(delimiter=";", bom=True), ("server", "copy"), ""),
        (BookResource, "json", ("rows", "cursor"), "no COPY: the format is made of records"),
        (BookResource, CSVEncoder(encoding="utf-16"), ("rows", "cursor"), "made of records"),
        (Priced, "csv", ("rows", "copy"), ""),
        (Priced, "jsonl", ("rows", "copy"), ""),
        (Looked, "csv", ("rows", "cursor"), "prepare_batch is overridden"),
        (Detailed, "csv", ("rows", "cursor"), "json has no plain text"),
    ],
)
async def test_what_is_taken(
    library: AsyncEngine, resource_class: Any, name: Any, expected: tuple[str, str], reason: str
) -> None:
    """The cheapest way that serves; explain says what stands in the way of a cheaper one."""
    assert await chosen(resource_class(library), name=name) == expected
    reasons = (await resource_class(library).explain(name)).reasons
    assert any(reason in each for each in reasons) if reason else not reasons


async def test_hooks_see_the_same_values(library: AsyncEngine) -> None:
    """What a hook reads has value and type of the mapped object's, by every transport."""
    seen: list[list[tuple[Any, ...]]] = []

    def reading(self: Any, row: Any) -> str:
        values = (row.id, row.title, row.price, row.published, row.added, row.in_print)
        seen[-1].append(tuple((type(each), each) for each in values))
        return ""

    names = ("id", "title", "price", "published", "added", "in_print")
    members = {"dehydrate_title": depends(*names)(reading)}
    for meta in ({}, {"hooks_use_database": True}):
        resource = type("Reading", (BookResource,), {**members, "Meta": type("Meta", (), meta)})
        for name in ("csv", "jsonl"):
            seen.append([])
            await bytes_of(resource(library), name=name)
    seen.append([])
    await bytes_of(type("Mapped", (BookResource,), {"dehydrate_title": reading})(library))
    assert all(each == seen[-1] for each in seen)
    assert seen[0][0][2] == (Decimal, Decimal("9.90"))


async def test_a_queryset_with_values(library: AsyncEngine) -> None:
    """Values of the queryset become literals; those that have none are parameters of a stream."""
    nasty = "it's \\ %s :x $1 -- \n"
    plain = select(Book).where(Book.id.in_([1, 2]), Book.title != nasty, Book.price > 1).limit(2)
    assert await chosen(BookResource(library), plain) == ("server", "copy")
    bound = plain.where(func.coalesce(literal({"a": nasty}, JSONB)).is_not(None))
    explained = await BookResource(library).explain("csv", bound)
    assert (explained.strategy, explained.transport) == ("rows", "stream")
    assert any("JSONB" in reason for reason in explained.reasons)
    assert nasty not in str(explained)
    assert await bytes_of(BookResource(library), plain) == await bytes_of(
        BookResource(library), bound
    )


async def test_listeners_see_every_statement(library: AsyncEngine) -> None:
    """An engine whose listeners may change statements runs none that they do not see."""
    expected = await bytes_of(BookResource(library))
    told: list[str] = []

    @event.listens_for(library.sync_engine, "before_cursor_execute")
    def tell(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        told.append(statement)

    assert await bytes_of(BookResource(library)) == expected
    assert await chosen(BookResource(library)) == ("rows", "stream")
    assert any("FROM book" in each for each in told)


async def test_translated_schemas(library: AsyncEngine) -> None:
    """The names of schemas that a connection translates are translated."""
    async with library.connect() as connection:
        translated = await connection.execution_options(schema_translate_map={"x": None})
        assert await chosen(BookResource(translated)) == ("rows", "stream")


async def test_codecs_of_the_caller(library: AsyncEngine) -> None:
    """A type that the caller's connections decode in a way of their own is left to Python."""

    @event.listens_for(library.sync_engine, "connect")
    def decode_as_float(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.run_async(
            lambda driver: driver.set_type_codec(
                "numeric", schema="pg_catalog", encoder=str, decoder=float
            )
        )

    await library.dispose()

    class Amounts(BookResource):
        class Meta:
            fields = ("id", "price", "title")

        @depends("price")
        def dehydrate_title(self, row: Any) -> str:
            return type(row.price).__name__

    assert await chosen(Amounts(library)) == ("rows", "cursor")
    assert lines_of(await bytes_of(Amounts(library)))[0] == ["1", "9.9", "float"]


async def test_inferred_reads(library: AsyncEngine) -> None:
    """A hook that only reads columns needs no @depends; explain tells; Meta turns it off."""

    class Plain(BookResource):
        class Meta:
            infer_reads = True

        def dehydrate_title(self, book: Any) -> str:
            return f"{book.title}, {book.author.name if book.author else '-'}"

    class Doubtful(Plain):
        def dehydrate_title(self, book: Any) -> str:
            return f"{book.title} {getattr(book, 'price')} {vars(book) is None}"  # noqa: B009

    assert await chosen(Plain(library)) == ("rows", "copy")
    explained = await Plain(library).explain()
    assert explained.fields[1].why == "@depends('title', 'author', 'author.name'), inferred"
    off = Plain(library, infer_reads=False)
    with pytest.raises(RowError, match="not loaded"):
        await bytes_of(off)
    loaded = select(Book).options(joinedload(Book.author)).order_by(Book.id)
    assert await bytes_of(off, loaded) == await bytes_of(Plain(library))
    doubtful = await Doubtful(library).explain()
    assert doubtful.strategy == "instances"
    assert doubtful.cures == ('@depends("title") above dehydrate_title, if that is all it reads',)
    assert f"cure:      {doubtful.cures[0]}" in str(doubtful)


async def test_analyze(library: AsyncEngine, sqlite_engine: AsyncEngine) -> None:
    """PostgreSQL's own plan of the very statement; not elsewhere, nor for objects at hand."""
    explained = await Priced(library).explain(analyze=True)
    assert "Execution Time" in explained.analysis
    assert explained.analysis in str(explained)
    assert "\x1f" not in explained.sql
    with pytest.raises(ConfigurationError, match="analyze is for"):
        await BookResource(await fill(sqlite_engine)).explain(analyze=True)
    with pytest.raises(ConfigurationError, match="analyze is for"):
        await BookResource(library).explain("csv", [{"id": 1, "title": ""}], analyze=True)


async def test_hooks_that_query(library: AsyncEngine) -> None:
    """COPY takes the connection: a hook that reads self.session has a cursor, or is told why."""

    class Counting(BookResource):
        @depends("id")
        async def dehydrate_title(self, row: Any) -> Any:
            return await self.session.scalar(select(func.count(Book.id)).where(Book.id < row.id))

    class Hidden(BookResource):
        @depends("id")
        async def dehydrate_title(self, row: Any) -> Any:
            return await self.counted(row.id)

        async def counted(self, key: int) -> Any:
            return await self.session.scalar(select(func.count(Book.id)).where(Book.id < key))

    class Kept(BookResource):
        def before_export(self, queryset: Any, **kwargs: Any) -> None:
            self.kept = self.session

        @depends("id")
        async def dehydrate_title(self, row: Any) -> Any:
            return await self.kept.scalar(select(func.count(Book.id)))

    with pytest.raises(RowError, match="hooks_use_database = True"):
        await bytes_of(Kept(library))
    assert await chosen(Counting(library)) == ("rows", "cursor")
    expected = [["1", "0"], ["2", "1"], ["3", "2"], ["4", "3"]]
    assert lines_of(await bytes_of(Counting(library))) == expected
    with pytest.raises(RowError, match=r"hooks_use_database = True"):
        await bytes_of(Hidden(library))
    async with AsyncSession(library) as session:  # it may be that one, which hooks use
        assert await chosen(Hidden(session)) == ("rows", "cursor")
        assert lines_of(await bytes_of(Hidden(session))) == expected
    assert lines_of(await bytes_of(Hidden(library, hooks_use_database=True))) == expected


async def test_a_hook_that_changes_its_object(library: AsyncEngine) -> None:
    """Where a hook changes the mapped object, fields after it show the change."""

    class Changing(BookResource):
        def dehydrate_id(self, book: Any) -> int:
            book.title = book.title.upper()
            return int(book.id)

    titles = [record[1] for record in lines_of(await bytes_of(Changing(library)))]
    assert titles == [book["title"].upper() for book in BOOKS]


async def test_querysets_that_cannot_be_rewritten(library: AsyncEngine) -> None:
    """Where other columns would change what ORDER BY means, mapped objects are fetched."""

    class Turned(BookResource):
        class Meta:
            fields = ("title", "id", "author.name")

    for order in (text("1 desc"), text("title desc")):
        queryset = select(Book).order_by(order)
        async with AsyncSession(library) as session:
            expected = [book.title for book in await session.scalars(queryset)]
            found = [record[0] for record in lines_of(await bytes_of(Turned(session), queryset))]
            assert found == expected
            assert await session.scalar(select(func.count(Book.id))) == len(BOOKS)


async def test_definitions_hold_for_every_queryset(library: AsyncEngine) -> None:
    """What PostgreSQL's text defines, it defines for distinct querysets and under listeners."""

    class Zoned(BookResource):
        class Meta:
            fields = ("id", "added", "price")

        added = Field(widget=DateTimeWidget(timezone="America/New_York"))

    plain = select(Book).where(Book.id > 0).order_by(Book.id)
    expected = await bytes_of(Zoned(library), plain)
    for queryset in (plain.group_by(Book.id), plain.with_only_columns(Book, Author).join(Author)):
        explained = await Zoned(library).explain("csv", queryset)
        assert (explained.strategy, explained.fields[1].rendered_by) == ("instances", "PostgreSQL")
        assert expected.startswith(await bytes_of(Zoned(library), queryset))
    event.listen(library.sync_engine, "before_cursor_execute", lambda *_: None)
    explained = await Zoned(library).explain("csv", plain)
    assert (explained.transport, explained.fields[1].rendered_by) == ("stream", "PostgreSQL")
    assert "listeners" in explained.reasons[0]
    assert await bytes_of(Zoned(library), plain) == expected


# --- the settings of a session --------------------------------------------------------------

FOREIGN = {
    "DateStyle": "German",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "-3",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "TimeZone": "Asia/Tokyo",
}


class Everything(ModelResource):
    """All columns of the books but the JSON."""

    class Meta:
        """Its options."""

        model = Book
        exclude = ("details",)


class LookedEverything(Everything):
    """The same through a cursor."""

    class Meta:
        """Its options."""

        hooks_use_database = True


class MappedEverything(Everything):
    """The same of mapped objects."""

    def iter_queryset(self, queryset: Any) -> Any:
        """Iterate as ever."""
        return super().iter_queryset(queryset)


@pytest.mark.parametrize("kind", [AsyncSession, AsyncConnection])
async def test_settings_of_the_caller(library: AsyncEngine, kind: Any) -> None:
    """Foreign settings of a session change no byte, and are the same afterwards."""
    expected = [await bytes_of(Everything(library), name=name) for name in ("csv", "jsonl")]
    backslash = select(Book).where(Book.title != "\\' or 1=1 --").order_by(Book.id)

    async def check(bind: Any) -> None:
        for name, value in FOREIGN.items():
            await bind.execute(text(f"SET LOCAL {name} = '{value}'"))
        for queryset in (None, backslash):
            for name, output in zip(("csv", "jsonl"), expected, strict=True):
                for resource_class in (Everything, LookedEverything, MappedEverything):
                    assert await bytes_of(resource_class(bind), queryset, name) == output
        bound = backslash.where(func.coalesce(literal(b"", LargeBinary)).is_not(None))
        assert await bytes_of(Everything(bind), bound) == expected[0]
        for name, value in FOREIGN.items():
            assert value in str(await bind.scalar(text(f"SHOW {name}")))

    if kind is AsyncSession:
        async with AsyncSession(library) as session:
            await check(session)
    else:
        async with library.connect() as connection:
            await check(connection)


async def test_the_zone_of_the_session_keeps_its_meaning(library: AsyncEngine) -> None:
    """What the queryset computes in the session's own zone is computed there."""
    day = cast(func.date_trunc("day", Book.added), Text).label("day")
    queryset = select(Book.id, day).where(Book.added.is_not(None)).order_by(Book.id)
    async with library.connect() as connection:
        await connection.execute(text("SET LOCAL TimeZone = 'Asia/Tokyo'"))
        expected = [[str(a), b] for a, b in await connection.execute(queryset)]
        assert lines_of(await bytes_of(Rows(connection), queryset)) == expected
        assert expected[1][1] == "2024-07-02 00:00:00+09"


async def test_autocommit(library: AsyncEngine) -> None:
    """A connection without transactions serves by every transport."""
    async with library.connect() as connection:
        bind = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for resource_class in (BookResource, Priced, Looked):
            assert await bytes_of(resource_class(bind)) == await bytes_of(resource_class(library))


async def test_named_zones_are_the_servers(library: AsyncEngine) -> None:
    """A zone with rules is rendered by PostgreSQL in all strategies."""

    class Zoned(BookResource):
        class Meta:
            fields = ("id", "added")

        added = Field(widget=DateTimeWidget(timezone="America/New_York"))

    class Mapped(Zoned):
        def iter_queryset(self, queryset: Any) -> Any:
            return super().iter_queryset(queryset)

    output = await bytes_of(Zoned(library))
    assert b"2024-01-31 04:05:00" in output
    assert b"2024-07-01 19:30:00" in output
    assert await chosen(Zoned(library)) == ("server", "copy")
    assert await bytes_of(Mapped(library)) == output
    assert (await Mapped(library).explain()).fields[1].rendered_by == "PostgreSQL"


async def test_an_object_that_a_hook_changed(library: AsyncEngine) -> None:
    """Where a hook changes mapped objects before they are exported, the change is exported."""

    class Changing(BookResource):
        async def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
            instances: Any = super().iter_queryset(queryset)
            async with aclosing(instances) as books:
                async for book in books:
                    book.title = book.title.upper()
                    yield book

    titles = [record[1] for record in lines_of(await bytes_of(Changing(library)))]
    assert titles == [book["title"].upper() for book in BOOKS]


# --- shapes ---------------------------------------------------------------------------------


async def both(library: AsyncEngine, queryset: Any) -> list[list[str]]:
    """Export columns by COPY and from a stream; give what both agree on."""
    expected = [list(record) for record in await records_of(Rows(library), queryset)]
    output = await bytes_of(Rows(library), queryset)
    assert lines_of(output) == expected
    async with library.connect() as connection:
        rows = (await connection.execute(queryset)).all()
    assert len(rows) == len(expected)
    return expected


async def test_columns_of_any_origin(library: AsyncEngine) -> None:
    """Views, set-returning functions, CTEs, VALUES, unions and windows are carried by COPY."""
    async with library.begin() as connection:
        await connection.execute(text("CREATE VIEW cheap AS SELECT * FROM book WHERE price < 10"))
    numbers = values(sql_column("n", String), name="v").data([("a",), ("b,c",), (None,)])
    cte = select(Author.name.label("name")).order_by(Author.id).cte()
    querysets = [
        text("SELECT id, title FROM cheap ORDER BY id"),
        text("SELECT id, title FROM book ORDER BY id; "),
        text("SELECT id, title FROM book ORDER BY id -- all of them"),
        select(Book.id, func.generate_series(1, 3).label("n")).order_by(Book.id, text("n")),
        select(numbers.c.n, func.row_number().over().label("at")),
        select(cte.c.name, func.length(cte.c.name).label("size")),
        select(Book.id, Book.title).union_all(select(Author.id, Author.name)).order_by("title"),
        text("SELECT DISTINCT ON (author_id) title, id FROM book ORDER BY author_id, id"),
    ]
    for queryset in querysets:
        assert await both(library, queryset)
        assert await chosen(Rows(library), queryset) == ("server", "copy")


async def test_a_statement_that_is_no_subquery(library: AsyncEngine) -> None:
    """What cannot stand in another statement is run as it is."""
    ended = text("SELECT 1 AS one; -- the end")
    assert lines_of(await bytes_of(Rows(library), ended)) == [["1"]]
    queryset = text("SHOW server_encoding")
    assert lines_of(await bytes_of(Rows(library), queryset)) == [["UTF8"]]
    explained = await Rows(library).explain("csv", queryset)
    assert "PostgresSyntaxError" in explained.reasons[0]


async def test_columns_of_one_name(library: AsyncEngine) -> None:
    """Two columns of one name are an error; a label makes them two."""
    queryset = text("SELECT book.id, author.id FROM book JOIN author ON author_id = author.id")
    with pytest.raises(ConfigurationError, match="two columns 'id'"):
        await bytes_of(Rows(library), queryset)
    labelled = select(Book.id, Author.id.label("author")).join(Book.author).order_by(Book.id)
    assert await both(library, labelled) == [["1", "1"], ["2", "2"], ["3", "2"]]


async def test_many_columns(library: AsyncEngine) -> None:
    """As many columns as PostgreSQL selects, with and without a hook."""
    queryset = select(*(literal(n).label(f"c{n}") for n in range(1_600)))
    assert await both(library, queryset) == [[str(n) for n in range(1_600)]]

    class Hooked(Rows):
        c7 = Field()

        @depends("c7")
        def dehydrate_c7(self, row: Any) -> str:
            return f"<{row.c7}>"

    line = lines_of(await bytes_of(Hooked(library), queryset))[0]
    assert sorted(line) == sorted([*(str(n) for n in range(1_600) if n != 7), "<7>"])


async def test_no_columns_and_no_rows(library: AsyncEngine) -> None:
    """No columns are an error, no rows a header."""
    with pytest.raises(ConfigurationError, match="no fields"):
        await bytes_of(Rows(library), text("SELECT FROM book"))
    nothing = select(Book).where(Book.id < 0)
    for resource_class in (BookResource, Priced, Looked):
        assert await bytes_of(resource_class(library), nothing) == b"id,title\r\n"
    assert await bytes_of(BookResource(library), nothing, name="jsonl") == b""


@pytest.mark.parametrize("cell", ["", "\\.", "x", '"', "\n", None])
async def test_one_column(library: AsyncEngine, cell: str | None) -> None:
    """A line of one cell is as the csv module writes it, which COPY does not in two cases."""
    expected = io.StringIO(newline="")
    csv.writer(expected).writerows([["only"], [cell]])
    queryset = select(literal(cell, Text).label("only"))
    assert (await bytes_of(Rows(library), queryset)).decode() == expected.getvalue()


HUGE = "a\"b,c\n'd'" * 900_000


@pytest.mark.parametrize("name", ["csv", "jsonl"])
async def test_a_huge_cell(library: AsyncEngine, name: str) -> None:
    """A cell of megabytes is whole, wherever it is cut on its way."""
    async with library.begin() as connection:
        statement = text("UPDATE book SET title = repeat(:part, 900000) WHERE id = 2")
        await connection.execute(statement, {"part": HUGE[:9]})
    output = await bytes_of(BookResource(library), name=name)
    if name == "csv":
        assert lines_of(output)[1] == ["2", HUGE]
    else:
        lines = [json.loads(line) for line in output.split(b"\n")[:-1]]
        assert lines[1] == {"id": 2, "title": HUGE}
        assert len(lines) == len(BOOKS)


class Beside(BookResource):
    """Has a hook beside the title."""

    @depends("price")
    def dehydrate_id(self, row: Any) -> str:
        """Read a small value."""
        return str(row.price)


class BesideLooked(Beside):
    """The same through a cursor."""

    class Meta:
        """Its options."""

        hooks_use_database = True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("resource_class", "first"), [(BookResource, "1"), (Beside, "9.90"), (BesideLooked, "9.90")]
)
async def test_a_cell_of_200_megabytes(
    library: AsyncEngine, resource_class: Any, first: str
) -> None:
    """Such a cell goes whole through every transport."""
    async with library.begin() as connection:
        statement = "UPDATE book SET title = repeat('x\"', 100000000) WHERE id = 1"
        await connection.execute(text(statement))
    total = 0
    one = select(Book).where(Book.id == 1)
    async with resource_class(library).stream("csv", one) as stream:
        async for chunk in stream:
            total += len(chunk)
    assert total == stream.result.bytes
    assert total == len(f'id,title\r\n{first},""\r\n') + 300_000_000


# --- what fails -----------------------------------------------------------------------------


@pytest.mark.parametrize("resource_class", [BookResource, Priced, Looked])
async def test_a_sink_that_fails(library: AsyncEngine, resource_class: Any) -> None:
    """An error of the target ends the query, and the connection can be used again."""

    async def failing(_chunk: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await resource_class(library).export_to(failing, "csv")
    assert library.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert await bytes_of(BookResource(library))


async def test_a_statement_timeout(library: AsyncEngine) -> None:
    """A timeout that the caller sets ends the export, and the error names it."""
    async with AsyncSession(library) as session:
        await session.execute(text("SET LOCAL statement_timeout = 100"))
        slow = select(Book).where(func.pg_sleep(5).is_(None))
        with pytest.raises(SourceError, match="statement_timeout"):
            await bytes_of(BookResource(session), slow)
        # The failure is undone to a savepoint: what the caller began goes on.
        assert await session.scalar(select(func.count(Book.id))) == len(BOOKS)


@pytest.mark.parametrize("name", ["csv", "jsonl"])
async def test_rows_that_fail_are_left_out(library: AsyncEngine, name: str) -> None:
    """A hook that fails takes its row out, wherever that is; the others are whole."""

    class Failing(BookResource):
        failing: frozenset[int] = frozenset()

        class Meta:
            on_error = "skip"

        @depends("id")
        def dehydrate_id(self, row: Any) -> int:
            return {n: n for n in range(1, 5) if n not in self.failing}[row.id]

    whole = (await bytes_of(BookResource(library), name=name)).decode()
    everything = [[str(book["id"]), book["title"]] for book in BOOKS]
    assert whole
    for failing in ({1}, {4}, {2, 3}, {1, 2}, {1, 2, 3, 4}):
        resource = Failing(library)
        resource.failing = frozenset(failing)
        async with resource.stream(name) as stream:
            output = b"".join([chunk async for chunk in stream])
        kept = [each for each in everything if int(each[0]) not in failing]
        if name == "csv":
            assert lines_of(output) == kept
        else:
            found = [json.loads(line) for line in output.split(b"\n")[:-1]]
            assert [[str(row["id"]), row["title"]] for row in found] == kept
        assert (stream.result.rows, stream.result.skipped) == (4 - len(failing), len(failing))
        assert stream.result.transport == "copy"


async def test_errors_of_hooks_name_row_and_key(library: AsyncEngine) -> None:
    """By COPY, too, a RowError has the row's number and key."""

    class Failing(BookResource):
        @depends("title")
        def dehydrate_title(self, row: Any) -> str:
            return {"The Dispossessed": ""}[row.title]

    with pytest.raises(RowError) as caught:
        await bytes_of(Failing(library))
    assert (caught.value.row_number, caught.value.field, caught.value.key) == (2, "title", 2)
    assert isinstance(caught.value.__cause__, KeyError)


async def test_cells_without_bytes(library: AsyncEngine) -> None:
    """A cell that the format cannot hold is an error with its row and column."""

    class Broken(BookResource):
        @depends("id")
        def dehydrate_title(self, row: Any) -> str:
            return "\ud800" if row.id == 3 else ""

    for name in ("csv", "jsonl"):
        with pytest.raises(EncodeError, match=r"record 3: column 'title'"):
            await bytes_of(Broken(library), name=name)


async def test_limits(library: AsyncEngine) -> None:
    """max_rows stops every transport."""
    for resource_class in (BookResource, Priced, Looked):
        with pytest.raises(LimitError):
            await bytes_of(resource_class(library, max_rows=3))
        assert await bytes_of(resource_class(library, max_rows=4))


# --- what somebody else wrote ---------------------------------------------------------------


class Exclaimed(Widget):
    """A widget of somebody's, with SQL of its own."""

    def render(self, value: Any, **kwargs: Any) -> str:
        """Shout in Python."""
        return f"{value}!"

    def render_sql(self, column: Any, type: str) -> Any:  # noqa: A002 - PostgreSQL's word
        """Shout in SQL."""
        return func.concat(column, "!") if type == "varchar" else None


async def test_a_widget_with_sql(library: AsyncEngine) -> None:
    """A widget may say how PostgreSQL renders it; without, it is rendered in Python."""

    class Shouted(BookResource):
        title = Field(widget=Exclaimed())

    class Quiet(Exclaimed):
        def render(self, value: Any, **kwargs: Any) -> str:
            return str(value).lower()

    class Whispered(BookResource):
        title = Field(widget=Quiet())

    assert await chosen(Shouted(library)) == ("server", "copy")
    assert lines_of(await bytes_of(Shouted(library)))[0] == ["1", "The Dispossessed!"]
    assert await chosen(Whispered(library)) == ("rows", "copy")
    assert lines_of(await bytes_of(Whispered(library)))[0] == ["1", "the dispossessed"]


async def test_a_type_that_the_model_does_not_know(library: AsyncEngine) -> None:
    """Where model and database disagree, the database's type decides what is rendered how."""
    async with library.begin() as connection:
        await connection.execute(text("ALTER TABLE book ALTER title TYPE bytea USING title::bytea"))
    expected = [["1", "The Dispossessed"]]
    assert lines_of(await bytes_of(BookResource(library)))[:1] == expected
    assert (await BookResource(library).explain()).fields[1].rendered_by == "CharWidget"


# --- what was once told wrong ---------------------------------------------------------------


@pytest.mark.parametrize("delimiter", ["-", ":", ".", "t", "1"])
async def test_delimiters_inside_of_values(library: AsyncEngine, delimiter: str) -> None:
    """A delimiter that dates and numbers may hold does not keep hooks from reading them."""

    class Reading(BookResource):
        @depends("published", "price", "in_print", "id")
        def dehydrate_title(self, row: Any) -> str:
            return repr((row.published, row.price, row.in_print, row.id))

    encoder = CSVEncoder(delimiter=delimiter)
    output = await bytes_of(Reading(library), name=encoder)
    assert output == await bytes_of(Reading(library, hooks_use_database=True), name=encoder)
    read = list(csv.reader(io.StringIO(output.decode(), newline=""), delimiter=delimiter))
    assert read[1][1] == "(datetime.date(1974, 5, 1), Decimal('9.90'), True, 1)"


async def test_labels_are_computed_once(library: AsyncEngine) -> None:
    """A volatile label beside a mapped class has one value in a row, whoever shows it."""

    class Random(BookResource):
        class Meta:
            fields = ("id", "number", "title")

        number = Field("r")

        @depends("r")
        def dehydrate_title(self, row: Any) -> str:
            return repr(row.r)

    queryset = select(Book, func.random().label("r"))
    for record in lines_of(await bytes_of(Random(library), queryset)):
        assert float(record[1]) == float(record[2])
    each = select(Book, func.generate_series(1, 2).label("r")).order_by(Book.id, text("r"))
    assert [r[1] for r in lines_of(await bytes_of(Random(library), each))] == ["1", "2"] * 4


class Exclaiming(TypeDecorator[str]):
    """A type that makes its values in Python."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Any) -> str:
        """Exclaim, None too."""
        return f"{value}!"


class Raised(TypeDecorator[Any]):
    """A type that selects another expression than the column."""

    impl = Numeric
    cache_ok = True

    def column_expression(self, column: Any) -> Any:
        """Add one."""
        return column + 1


@pytest.mark.parametrize("name", ["csv", "jsonl"])
async def test_types_of_somebody_else(library: AsyncEngine, name: str) -> None:
    """Whatever a type makes of its values in Python or SQL, all transports show it."""
    table = Table(
        "book",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("title", String().with_variant(Exclaiming(), "postgresql")),
        Column("price", Raised()),
    )
    model = type("Odd", (), {})
    registry().map_imperatively(model, table)

    class Odd(ModelResource):
        class Meta:
            fields = ("id", "title", "price")

        Meta.model = model  # type: ignore[attr-defined]

    class Reading(Odd):
        @depends("price", "title")
        def dehydrate_id(self, row: Any) -> str:
            return f"{row.price} {row.title}"

    class Mapped(Odd):
        def iter_queryset(self, queryset: Any) -> Any:
            return super().iter_queryset(queryset)

    expected = await bytes_of(Mapped(library), name=name)
    assert b"Cyberiada!" in expected
    assert b"10.90" in expected
    assert await bytes_of(Odd(library), name=name) == expected
    first = (await bytes_of(Reading(library), name=name)).decode().splitlines()[name == "csv"]
    assert "10.90 The Dispossessed!" in first


async def test_autocommit_of_mapped_objects(library: AsyncEngine) -> None:
    """Mapped objects stream from a connection without transactions, too."""

    class Iterated(BookResource):
        def iter_queryset(self, queryset: Any) -> Any:
            return super().iter_queryset(queryset)

    async with library.connect() as connection:
        bind = await connection.execution_options(isolation_level="AUTOCOMMIT")
        assert await bytes_of(Iterated(bind)) == await bytes_of(BookResource(library))
