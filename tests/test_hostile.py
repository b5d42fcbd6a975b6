"""Mistakes of users and hostile values: each is a clear error, and none is silent."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from library import Author, Book, BookResource, bytes_of, fill
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import selectinload

from async_export import (
    ConfigurationError,
    EncodeError,
    Encoder,
    ExportResult,
    ExportStateError,
    Field,
    FormatLimitError,
    ModelResource,
    Resource,
    RowError,
    SourceError,
    UnknownNameError,
    depends,
    maybe_await,
)
from async_export.formats import CSVEncoder
from async_export.widgets import CharWidget, DateTimeWidget, ForeignKeyWidget, ManyToManyWidget


@pytest.fixture
async def library(engine: AsyncEngine) -> AsyncEngine:
    """A database with the books."""
    await fill(engine)
    return engine


def resource_of(hook: Any, **members: Any) -> type[ModelResource]:
    """Make a resource whose titles are made by *hook*."""
    meta = type("Meta", (), {"model": Book, "fields": ("id", "title")})
    return type("Wrong", (ModelResource,), {"Meta": meta, "dehydrate_title": hook, **members})


async def forgotten(self: Any, row: Any) -> Any:
    """Return a coroutine out of another one."""

    async def helper() -> str:
        await asyncio.sleep(0)
        return "Emma"

    return helper()


async def test_a_forgotten_await_is_made_up_for(library: AsyncEngine) -> None:
    """A coroutine that an async hook returns is awaited, never written."""
    assert b"Emma" in await bytes_of(resource_of(forgotten)(library))


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_object_is_no_text(library: AsyncEngine, is_async: bool) -> None:
    """A hook that returns an object is an error: its address is no cell."""

    def plain(self: Any, row: Any) -> Any:
        return row

    async def later(self: Any, row: Any) -> Any:
        return row

    with pytest.raises(RowError, match="gave a Book, which has no text"):
        await resource_of(later if is_async else plain)(library).export()


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (lambda self: "x", "positional argument"),
        (lambda self, row: row.tilte, "no attribute 'tilte'"),
        (lambda self, row: 1 / 0, "ZeroDivisionError$"),
        (lambda self, row: int("secret"), "ValueError$"),
    ],
)
async def test_row_errors_tell_what_they_may(library: AsyncEngine, hook: Any, message: str) -> None:
    """A wrong signature or attribute is named; texts that may hold values are not shown."""
    with pytest.raises(RowError, match=message):
        await resource_of(hook)(library).export()


@pytest.mark.parametrize(
    ("attribute", "widget", "message"),
    [
        ("tags", ForeignKeyWidget(field="name"), "ManyToManyWidget"),
        ("author", ManyToManyWidget(field="name"), "ForeignKeyWidget"),
    ],
)
async def test_widgets_of_the_other_relation(
    library: AsyncEngine, attribute: str, widget: Any, message: str
) -> None:
    """The widget of a to-one relation does not fit a to-many one, nor the reverse."""

    class Wrong(ModelResource):
        value = Field(attribute, widget=widget)

        class Meta:
            model = Book
            fields = ("value",)

    with pytest.raises(ConfigurationError, match=message):
        await Wrong(library).export()


async def test_a_wrong_widget_says_what_it_expected(library: AsyncEngine) -> None:
    """The widget's own message, which names types only, is shown."""

    class Wrong(ModelResource):
        title = Field(widget=DateTimeWidget())
        author = Field(widget=CharWidget())

        class Meta:
            model = Book
            fields = ("title", "author")

    with pytest.raises(RowError, match="DateTimeWidget expected a datetime, not str"):
        await Wrong(library).export(fields=["title"])
    with pytest.raises(RowError, match="CharWidget got a Author, which has no text"):
        await Wrong(library).export(fields=["author"])


async def test_getattr_hides_no_undeclared_read(library: AsyncEngine) -> None:
    """A default of getattr is not taken for what @depends forgot."""
    hook = depends("id")(lambda self, row: getattr(row, "price", "none"))
    with pytest.raises(RowError, match="reads 'price'; add it to its @depends"):
        await resource_of(hook)(library).export()


async def test_loading_is_hinted_at_in_prepare_batch(library: AsyncEngine) -> None:
    """What prepare_batch reads without loading it is named, with the cure."""

    def prepare_batch(self: Any, batch: Any, **kwargs: Any) -> None:
        assert [book.author.name for book in batch]

    resource_class = resource_of(lambda self, row: "x", prepare_batch=prepare_batch)
    with pytest.raises(RowError, match=r"Book\.author is not loaded.*Meta\.load"):
        await resource_class(library).export()


@pytest.mark.parametrize("load", [selectinload(Book.author), ["author"], None])
def test_load_takes_loader_options(load: Any) -> None:
    """Anything else is refused with the class."""
    with pytest.raises(ConfigurationError, match="load takes loader options"):
        type("Wrong", (BookResource,), {"Meta": type("Meta", (), {"load": load})})


books = Table("shelf", MetaData(), Column("id", Integer, primary_key=True), Column("name", String))


async def test_depends_without_mapped_classes(library: AsyncEngine) -> None:
    """Hooks over tables, texts and dicts get light rows of what they declare, too."""
    async with library.begin() as connection:
        await connection.run_sync(books.metadata.create_all)
        await connection.execute(insert(books), [{"id": 1, "name": "Emma"}])

    class Shelf(ModelResource):
        shout = Field()

        class Meta:
            model = books
            fields = ("id", "shout")

        @depends("name")
        def dehydrate_shout(self, row: Any) -> str:
            return str(row.name).upper()

    class Curious(Shelf):
        @depends("name")
        def dehydrate_shout(self, row: Any) -> str:
            return str(row.id)

    class Wrong(Shelf):
        @depends("nmae")
        def dehydrate_shout(self, row: Any) -> str:
            return ""

    assert (await Shelf(library).export()).dict == [{"id": "1", "shout": "EMMA"}]
    selected = text("SELECT id, name FROM shelf")
    assert (await Shelf(library).export(selected)).dict == [{"id": "1", "shout": "EMMA"}]
    assert (await Shelf().export([{"id": 2, "name": "x"}])).dict == [{"id": "2", "shout": "X"}]
    with pytest.raises(RowError, match="reads 'id'"):
        await Curious(library).export()
    with pytest.raises(UnknownNameError, match=r"'nmae'.*did you mean 'name'"):
        await Wrong(library).export()


async def test_the_rows_that_a_format_holds(library: AsyncEngine) -> None:
    """More rows than an encoder's max_rows are a FormatLimitError."""

    class Short(CSVEncoder):
        name = "short"
        max_rows = 2

    with pytest.raises(FormatLimitError, match="short holds 2 rows"):
        await bytes_of(BookResource(library), name=Short())


async def test_heavy_encoders_work_in_a_thread(library: AsyncEngine) -> None:
    """An encoder with offload makes the same bytes, away from the event loop."""
    import threading

    threads: set[int] = set()

    class Heavy(CSVEncoder):
        offload = True

        def encode(self, records: Any) -> bytes:
            threads.add(threading.get_ident())
            return super().encode(records)

    assert await bytes_of(BookResource(library), name=Heavy()) == await bytes_of(
        BookResource(library)
    )
    assert threads - {threading.get_ident()}


async def test_after_export_of_records(library: AsyncEngine) -> None:
    """Iterating over all records ends with after_export, as every way out does."""
    seen: list[Any] = []

    class Told(BookResource):
        def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> None:
            seen.append(result)

    count = len([record async for record in Told(library).records()])
    assert isinstance(seen[0], ExportResult)
    assert (seen[0].rows, seen[0].bytes) == (count, 0)


async def test_two_names_for_the_selection() -> None:
    """A selection by both of its names is a contradiction."""
    with pytest.raises(ConfigurationError, match="export_fields is another name"):
        await BookResource().export([], fields=["id"], export_fields=["title"])


class Values(Resource):
    """Whatever a query gives."""

    class Meta:
        """All of it."""

        fields = "__all__"


async def test_values_stay_out_of_messages(sqlite_engine: AsyncEngine) -> None:
    """What a driver says of a value is not repeated."""
    broken = text("SELECT CAST(x'73656372657480' AS TEXT) AS t")
    with pytest.raises(SourceError) as caught:
        await Values(sqlite_engine).export(broken)
    assert "secret" not in str(caught.value)
    assert "OperationalError" in str(caught.value)


async def test_the_setting_that_ended_an_export(pg_engine: AsyncEngine) -> None:
    """A statement that timed out says which setting did it."""
    slow = text("SELECT pg_sleep(5)::text AS t")

    class Hurried(Values):
        async def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            await self.session.execute(text("SET LOCAL statement_timeout = 50"))
            return queryset

    with pytest.raises(SourceError, match="statement_timeout"):
        await Hurried(pg_engine).export(slow)


@pytest.fixture
async def psycopg_engine(postgres_url: str, pg_schema: str) -> AsyncIterator[AsyncEngine]:
    """An engine of another async driver, to the same schema."""
    url = make_url(postgres_url).set(drivername="postgresql+psycopg")
    engine = create_async_engine(url, connect_args={"options": f"-c search_path={pg_schema}"})
    yield engine
    await engine.dispose()


async def test_another_driver(pg_engine: AsyncEngine, psycopg_engine: AsyncEngine) -> None:
    """Another async dialect gives the same bytes, and its connection back."""
    await fill(pg_engine)

    class Whole(BookResource):
        author = Field("author.name")
        tags = Field("tags", widget=ManyToManyWidget(field="name"))

        class Meta:
            model = Book
            fields = ("id", "title", "price", "author", "tags", "published", "added", "details")

    assert await bytes_of(Whole(psycopg_engine)) == await bytes_of(Whole(pg_engine))
    async with Whole(psycopg_engine, batch_size=1).stream("csv") as stream:
        await anext(stream)
    assert psycopg_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_the_author_of_a_row_is_named(library: AsyncEngine) -> None:
    """Objects at hand whose relation is not loaded fail with the cure."""

    class Named(ModelResource):
        author = Field("author.name")

        class Meta:
            model = Book
            fields = ("id", "author")

    async with library.connect() as connection:
        names = (await connection.execute(select(Author.name))).scalars().all()
    assert names
    loose = Book(id=1, title="x", author_id=1)
    assert (await Named().export([loose])).dict == [{"id": "1", "author": ""}]


class _Unused(Encoder):
    """Keeps the protocol's abstract methods honest."""


def test_an_encoder_needs_its_methods() -> None:
    """A class without begin, encode and end cannot be instantiated."""
    with pytest.raises(TypeError):
        _Unused()  # type: ignore[abstract]


async def test_a_cancelled_look_up_loses_no_row() -> None:
    """A hook that awaits something cancelled fails its row, also among concurrent ones."""

    class Looking(Resource):
        id = Field()
        value = Field("id")

        async def dehydrate_value(self, row: Any) -> int:
            await asyncio.sleep(0)
            if row["id"] == 150:
                shared = asyncio.get_running_loop().create_future()
                shared.cancel()
                await shared
            return int(row["id"])

    items = [{"id": number} for number in range(300)]
    for concurrency in (1, 4):
        with pytest.raises(RowError, match=r"row 151, .*CancelledError"):
            await Looking(hook_concurrency=concurrency).export(items)


class _Numbers(Resource):
    """Rows whose hook is the test's; each tenth does what `hostile` does."""

    id = Field()
    hostile: Any

    async def dehydrate_id(self, row: Any) -> int:
        """Wait as a look-up would."""
        await asyncio.sleep(0)
        if row["id"] % 10 == 0:
            await maybe_await(type(self).hostile())
        return int(row["id"])


class _Plain(_Numbers):
    """The same by a plain function, which gives an awaitable from the second row on."""

    def dehydrate_id(self, row: Any) -> Any:
        """Give a number, or a coroutine."""
        return 1 if row["id"] == 1 else super().dehydrate_id(row)


_NUMBERS = [{"id": number} for number in range(1, 101)]


async def _await_cancelled(_: object = None) -> None:
    shared = asyncio.get_running_loop().create_future()
    shared.cancel()
    await shared


def _cancel_myself(_: object = None) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def _cancel_myself_and_wait(_: object = None) -> None:
    _cancel_myself()
    await asyncio.sleep(1)


async def _cancel_workers() -> None:
    for task in asyncio.all_tasks():
        if "_make_concurrently" in task.get_name():
            task.cancel()


def _raise(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("kind", [_Numbers, _Plain])
async def test_cancelled_look_ups_are_skipped(kind: type[_Numbers], concurrency: int) -> None:
    """A hook that awaits something cancelled fails its row, which is counted, and no other."""
    resource = type("Skipping", (kind,), {"hostile": staticmethod(_await_cancelled)})
    result = await resource(hook_concurrency=concurrency, on_error="skip").export_to(
        io.BytesIO(), "csv", _NUMBERS
    )
    assert (result.rows, result.skipped) == (90, 10)


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("kind", [_Numbers, _Plain])
@pytest.mark.parametrize("on_error", [_await_cancelled, _cancel_myself_and_wait])
async def test_on_error_that_is_cancelled(
    tmp_path: Path, on_error: Any, kind: type[_Numbers], concurrency: int
) -> None:
    """A cancellation that comes out of on_error ends the export; nothing is published."""
    resource = type("Failing", (kind,), {"hostile": lambda: 1 / 0})
    with pytest.raises(asyncio.CancelledError):
        await resource(hook_concurrency=concurrency, on_error=on_error).export_to(
            tmp_path / "numbers.csv", queryset=_NUMBERS
        )
    assert not [path async for path in anyio.Path(tmp_path).iterdir()]


@pytest.mark.parametrize("concurrency", [1, 2, 8, 100])
async def test_hooks_that_cancel_their_task(concurrency: int) -> None:
    """A hook that cancels the task that it runs in cancels the export."""
    resource = type("Cancelling", (_Numbers,), {"hostile": staticmethod(_cancel_myself_and_wait)})
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(
            resource(hook_concurrency=concurrency, on_error="skip").export(_NUMBERS)
        )


@pytest.mark.parametrize("concurrency", [2, 8, 100])
@pytest.mark.parametrize("hostile", [_cancel_myself, _cancel_workers])
async def test_tasks_that_are_cancelled_between_rows(hostile: Any, concurrency: int) -> None:
    """Wherever that finds the workers, the export has all of its rows or is cancelled."""
    resource = type("Cancelling", (_Numbers,), {"hostile": staticmethod(hostile)})
    with suppress(asyncio.CancelledError):
        assert len(await resource(hook_concurrency=concurrency).export(_NUMBERS)) == 100


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_is_no_error_of_a_row(error: type[BaseException], concurrency: int) -> None:
    """What a hook raises to end the process arrives by itself, whatever on_error says."""
    resource = type("Ending", (_Numbers,), {"hostile": lambda: _raise(error())})
    with pytest.raises(error):
        await resource(hook_concurrency=concurrency, on_error="skip").export(_NUMBERS)


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_cancelled_exports_with_hooks(concurrency: int) -> None:
    """Whoever cancels an export whose hooks wait gets a CancelledError, and fails no row."""
    failed: list[RowError] = []
    resource = type("Waiting", (_Numbers,), {"hostile": asyncio.Event().wait})
    options: dict[str, Any] = {"hook_concurrency": concurrency, "on_error": failed.append}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await resource(**options).export(_NUMBERS)
    with anyio.move_on_after(0.05) as scope:
        await resource(**options).export(_NUMBERS)
    assert scope.cancelled_caught
    assert not failed


async def test_a_failed_stream_has_no_end(library: AsyncEngine) -> None:
    """Whoever goes on after an error is not told that the export is complete."""
    hook = depends("id")(lambda self, row: 1 // (row.id - 3))
    async with resource_of(hook)(library, batch_size=1).stream("csv") as stream:
        with pytest.raises(RowError):
            async for _ in stream:
                pass
        with pytest.raises(ExportStateError, match="failed before its end"):
            await anext(stream)


@pytest.mark.parametrize("order", ["shelf", "metadata", "__table__", "-registry", 0, object()])
async def test_what_rows_are_not_ordered_by(library: AsyncEngine, order: Any) -> None:
    """Only names of mapped attributes and expressions order rows; nothing else is called."""
    with pytest.raises(ConfigurationError, match="order_by"):
        await BookResource(library, order_by=order).export()

    class Ordered(BookResource):
        """The same in Meta."""

        class Meta:
            """Its options."""

            order_by = order

    with pytest.raises(ConfigurationError, match="order_by"):
        await Ordered(library).export()


async def test_users_order_by_fields_only(library: AsyncEngine) -> None:
    """A name in a constructor is one of a field; what is not exported orders nothing."""

    class FewResource(ModelResource):
        """Not everything."""

        cost = Field("price")
        writer = Field("author.name")

        class Meta:
            """Ordered by what is not exported."""

            model = Book
            fields = ("id", "cost", "writer")
            order_by = ("-title", "id")

    by_title = [row[0] for row in await FewResource(library).export()]
    for order in ("title", "-title", ["id", "title"], "price"):
        with pytest.raises(UnknownNameError, match="order_by of FewResource") as caught:
            FewResource(library, order_by=order)
        assert set(caught.value.known) == {"id", "cost", "writer"}
    with pytest.raises(ConfigurationError, match="writer is no column of the model"):
        FewResource(library, order_by="writer")
    by_cost = [row[0] for row in await FewResource(library, order_by=["-cost", "id"]).export()]
    statement = select(Book.id).order_by(Book.price.desc(), Book.id)
    async with library.connect() as connection:
        assert by_cost == [str(key) for key in await connection.scalars(statement)]
    own = await FewResource(library, order_by=Book.title.desc()).export()
    assert [row[0] for row in own] == by_title


def test_no_field_replaces_a_method() -> None:
    """A field called like a part of the API is refused, with the way out."""
    with pytest.raises(ConfigurationError, match="column_name='export'"):
        type("Wrong", (Resource,), {"export": Field("x")})


@pytest.mark.parametrize("fields", [[None], [1], [[]], "id"])
async def test_selections_are_names(fields: Any) -> None:
    """Anything else in a selection is refused."""
    with pytest.raises(ConfigurationError, match="sequence of names"):
        await BookResource().export([], fields=fields)


async def test_keys_stay_out_of_reprs(library: AsyncEngine) -> None:
    """The repr of a RowError has no key; the attribute has it."""
    with pytest.raises(RowError) as caught:
        await resource_of(lambda self, row: 1 / 0)(library).export()
    assert caught.value.key == 1
    assert repr(caught.value) == f"<RowError: {caught.value}>"


async def test_a_cell_without_a_text_of_its_own(library: AsyncEngine) -> None:
    """A cell whose text cannot be made is an EncodeError that does not show it."""

    class Sharp:
        def __str__(self) -> str:
            raise ValueError("secret")

    with pytest.raises(EncodeError) as caught:
        await bytes_of(resource_of(lambda self, row: Sharp())(library))
    assert "secret" not in str(caught.value)
    assert "title" in str(caught.value)
