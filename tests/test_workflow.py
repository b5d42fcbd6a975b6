"""The workflow: every hook, its order, and the ways out."""

# ruff: noqa: ASYNC240 - a test may block the loop for a look at the disk

from __future__ import annotations

import asyncio
import io
import json
import pickle
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tablib
from library import (
    IDS_AND_TITLES,
    Author,
    Book,
    BookResource,
    NumberResource,
    Tag,
    bytes_of,
    fill,
    generate,
    numbers,
    records_of,
)
from sqlalchemy import Integer, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from async_export import (
    ConfigurationError,
    ExportError,
    ExportResult,
    Field,
    LimitError,
    ModelResource,
    Resource,
    RowError,
    UnknownNameError,
    depends,
    maybe_await,
)
from async_export.widgets import CharWidget, Widget

KINDS = ("def", "async def", "returns an awaitable")


def of_kind(kind: str, function: Callable[..., Any]) -> Any:
    """Make of a plain *function* a hook of any kind."""

    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return await maybe_await(function(*args, **kwargs))

    def returning(*args: Any, **kwargs: Any) -> Any:
        return asynchronous(*args, **kwargs)

    return {"def": function, "async def": asynchronous, "returns an awaitable": returning}[kind]


@pytest.fixture
async def each_library(engine: AsyncEngine) -> AsyncEngine:
    """The library, in each of the databases."""
    return await fill(engine)


@pytest.fixture
async def library(sqlite_engine: AsyncEngine) -> AsyncEngine:
    """The library, where the database does not matter."""
    return await fill(sqlite_engine)


@pytest.fixture
async def pg_library(pg_engine: AsyncEngine) -> AsyncEngine:
    """The library in PostgreSQL."""
    return await fill(pg_engine)


# --- the order of the hooks -----------------------------------------------------------------

HOOKS = (
    "before_export",
    "get_queryset",
    "filter_export",
    "get_export_headers",
    "iter_queryset",
    "iter_batches",
    "prepare_batch",
    "export_resource",
    "export_field",
    "after_export",
)


def traced(kind: str, trace: list[str], names: Sequence[str] = HOOKS) -> type[BookResource]:
    """Make a resource whose hooks, all of one kind, note their names and call their parents."""

    def noting(name: str) -> Any:
        parent = getattr(BookResource, name)

        def hook(self: Any, *args: Any, **kwargs: Any) -> Any:
            trace.append(f"{name} {args[0].name}" if name == "export_field" else name)
            return parent(self, *args, **kwargs)

        return of_kind(kind, hook)

    def dehydrate_title(self: Any, book: Book) -> str:
        trace.append("dehydrate_title")
        return book.title.upper()

    members = {name: noting(name) for name in names}
    members["dehydrate_title"] = of_kind(kind, dehydrate_title)
    return type("Traced", (BookResource,), members)


ROW = ["export_resource", "export_field id", "export_field title", "dehydrate_title"]
ORDER = [*HOOKS[:7], *ROW, *ROW, *ROW, *ROW, "after_export"]


@pytest.mark.parametrize("kind", KINDS)
async def test_hooks_run_in_order(each_library: AsyncEngine, kind: str) -> None:
    """All hooks run in the order of the workflow, whatever kind of function they are."""
    trace: list[str] = []
    dataset = await traced(kind, trace)(each_library).export()
    if kind == "returns an awaitable":
        # The cells of a batch are made before they are awaited.
        assert sorted(trace) == sorted(ORDER)
        assert trace[:7] == ORDER[:7]
        assert trace[-1] == "after_export"
    else:
        assert trace == ORDER
    assert dataset.headers == ["id", "title"]
    assert dataset[1] == ("2", 'SOLARIS, OR "THE SEA"')


@pytest.mark.parametrize("kind", KINDS)
async def test_each_hook_alone(each_library: AsyncEngine, kind: str) -> None:
    """A hook that only calls its parent changes nothing, overridden alone."""
    for name in HOOKS:
        trace: list[str] = []
        resource = traced(kind, trace, (name,))(each_library)
        assert (await bytes_of(resource)).lower() == IDS_AND_TITLES.lower()
        assert trace.count("dehydrate_title") == 4
        assert any(each.startswith(name) for each in trace)


@pytest.mark.parametrize("kind", KINDS)
async def test_order_of_a_stream(each_library: AsyncEngine, kind: str) -> None:
    """A stream runs the first hooks on entering, and after_export before its last chunk."""
    trace: list[str] = []
    async with traced(kind, trace, (*HOOKS[:4], "after_export"))(each_library).stream(
        "csv"
    ) as stream:
        assert trace[:4] == list(HOOKS[:4])
        assert "after_export" not in trace[:4]
        _ = [chunk async for chunk in stream]
    assert trace == [*HOOKS[:4], *["dehydrate_title"] * 4, "after_export"]


async def test_a_passed_queryset_replaces_get_queryset(library: AsyncEngine) -> None:
    """get_queryset is not asked when the caller passes a queryset, even an empty one."""
    trace: list[str] = []
    resource = traced("def", trace, ("get_queryset",))(library)
    assert len(await resource.export(select(Book).where(Book.id == 2))) == 1
    assert len(await resource.export([])) == 0
    assert "get_queryset" not in trace


@pytest.mark.parametrize("kind", KINDS)
async def test_before_export_sees_what_the_caller_passed(library: AsyncEngine, kind: str) -> None:
    """before_export receives None when nothing was passed, else the very queryset."""
    seen: list[Any] = []

    class Noting(BookResource):
        before_export = of_kind(kind, lambda self, queryset, **kwargs: seen.append(queryset))

    queryset = select(Book)
    await Noting(library).export()
    await Noting(library).export(queryset)
    assert seen[0] is None
    assert seen[1] is queryset


@pytest.mark.parametrize("kind", KINDS)
async def test_before_export_changes_fields(each_library: AsyncEngine, kind: str) -> None:
    """before_export may add, drop and rename fields; headers and cells follow."""

    def change(self: Resource, queryset: Any, **kwargs: Any) -> None:
        del self.fields["id"]
        self.fields["title"].column_name = "Title"
        self.fields["author"] = Field("author.name", column_name="Author")
        self.fields["price"] = Field()

    class Changing(BookResource):
        before_export = of_kind(kind, change)

    resource = Changing(each_library)
    for _ in range(2):
        dataset = await resource.export()
        assert dataset.headers == ["Title", "Author", "price"]
        assert dataset[2] == ("Cyberiada", "Stanisław Lem", "")
    assert list(resource.fields) == ["id", "title"]
    assert resource.fields["title"].header == "title"


async def test_before_export_adds_a_dehydrated_field(library: AsyncEngine) -> None:
    """A field that before_export adds finds its dehydrate method."""

    class Adding(BookResource):
        def before_export(self, queryset: Any, **kwargs: Any) -> None:
            self.fields["shout"] = Field()

        @depends("title")
        def dehydrate_shout(self, row: Any) -> str:
            return str(row.title).upper() + "!"

    dataset = await Adding(library).export(fields=["shout"])
    assert dataset.headers == ["shout"]
    assert dataset[0] == ("THE DISPOSSESSED!",)


async def test_dropping_all_fields_is_an_error(library: AsyncEngine) -> None:
    """An export without fields says so."""

    class Dropping(BookResource):
        def before_export(self, queryset: Any, **kwargs: Any) -> None:
            self.fields.clear()

    with pytest.raises(ConfigurationError, match="Dropping has no fields to export"):
        await Dropping(library).export()


@pytest.mark.parametrize("kind", KINDS)
async def test_filter_export(library: AsyncEngine, kind: str) -> None:
    """What filter_export returns is exported, and is what after_export receives."""
    seen: list[Any] = []

    class Filtering(BookResource):
        filter_export = of_kind(kind, lambda self, queryset, **kw: queryset.where(Book.id < 3))
        after_export = of_kind(kind, lambda self, queryset, result, **kw: seen.append(queryset))

    dataset = await Filtering(library).export()
    assert dataset["id"] == ["1", "2"]
    assert "WHERE book.id <" in str(seen[0])


async def test_filter_export_that_returns_nothing(library: AsyncEngine) -> None:
    """A filter_export that forgets to return says so."""

    class Forgetting(BookResource):
        def filter_export(self, queryset: Any, **kwargs: Any) -> None:
            queryset.where(Book.id < 3)

    with pytest.raises(ConfigurationError, match="filter_export returned None"):
        await Forgetting(library).export()


async def test_filter_export_may_query(each_library: AsyncEngine) -> None:
    """filter_export has self.session, and may turn a select into a list."""

    class Querying(BookResource):
        async def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            lem = await self.session.scalar(select(Author.id).where(Author.country == "pl"))
            return queryset.where(Book.author_id == lem)

    assert (await Querying(each_library).export())["id"] == ["2", "3"]


@pytest.mark.parametrize("kind", KINDS)
async def test_headers_hook(kind: str) -> None:
    """get_export_headers decides the header line."""

    class Shouting(NumberResource):
        get_export_headers = of_kind(kind, lambda self, selected_fields=None: ["NUMBER"])

    assert await bytes_of(Shouting(), numbers(1)) == b"NUMBER\r\n1\r\n"
    assert (await Shouting().export(numbers(1))).headers == ["NUMBER"]


async def test_headers_of_another_length_are_an_error() -> None:
    """Two headers for one field cannot be."""

    class Confused(NumberResource):
        def get_export_headers(self, selected_fields: Any = None) -> list[str]:
            return ["a", "b"]

    with pytest.raises(ConfigurationError, match="2 headers for 1 fields"):
        await Confused().export(numbers(1))


@pytest.mark.parametrize("kind", KINDS)
async def test_after_export_edits_the_dataset(kind: str) -> None:
    """after_export gets the Dataset of export() and may change it in place."""

    class Summing(NumberResource):
        after_export = of_kind(kind, lambda self, queryset, result, **kw: result.append(["end"]))

    assert (await Summing().export(numbers(2)))["number"] == ["1", "2", "end"]


@pytest.mark.parametrize("kind", KINDS)
async def test_after_export_gets_the_result(kind: str, tmp_path: Path) -> None:
    """after_export gets the very ExportResult that export_to and stream give."""
    seen: list[Any] = []

    class Noting(NumberResource):
        after_export = of_kind(kind, lambda self, queryset, result, **kw: seen.append(result))

    result = await Noting().export_to(tmp_path / "numbers.csv", queryset=numbers(2))
    assert isinstance(result, ExportResult)
    assert seen == [result]


# --- the caller's keywords ------------------------------------------------------------------


class Noting(Widget):
    """A widget that notes its keywords."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def render(self, value: Any, **kwargs: Any) -> str:
        """Note them."""
        self.seen.append(("render", kwargs))
        return str(value)


@pytest.mark.parametrize("strategy", ["rows", "instances"])
async def test_keywords_reach_hooks_and_widgets(each_library: AsyncEngine, strategy: str) -> None:
    """The caller's keywords reach every hook and widget, but no dehydrate method."""
    seen: list[Any] = []

    class Everything(BookResource):
        id = Field(widget=Noting(seen))

        def before_export(self, queryset: Any, **kwargs: Any) -> None:
            seen.append(("before_export", kwargs))

        def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            seen.append(("filter_export", kwargs))
            return queryset.where(Book.id == 1)

        @depends("id")
        def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            seen.append(("prepare_batch", kwargs))

        def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> None:
            seen.append(("after_export", kwargs))

        @depends("title")
        def dehydrate_title(self, row: Any) -> str:
            seen.append(("dehydrate_title", {}))
            return "t"

    class Instances(Everything):
        def export_resource(self, instance: Any, selected_fields: Any = None, **kwargs: Any) -> Any:
            seen.append(("export_resource", kwargs))
            return super().export_resource(instance, selected_fields, **kwargs)

        def export_field(self, field: Field, instance: Any, **kwargs: Any) -> Any:
            seen.append((f"export_field {field.name}", kwargs))
            return super().export_field(field, instance, **kwargs)

    resource = (Everything if strategy == "rows" else Instances)(each_library)
    kwargs: dict[str, Any] = {"tenant": 7, "user": "ada"}
    assert (await resource.explain(**kwargs)).strategy == strategy
    seen.clear()
    assert await bytes_of(resource, **kwargs) == b"id,title\r\n1,t\r\n"
    per_row = ["render", "dehydrate_title"]
    if strategy == "instances":
        per_row = ["export_resource", "export_field id", "render", "export_field title"]
        per_row += ["dehydrate_title"]
    names = ["before_export", "filter_export", "prepare_batch", *per_row, "after_export"]
    assert [name for name, _ in seen] == names
    assert all(found == kwargs for name, found in seen if name != "dehydrate_title")


async def test_native_widgets_receive_keywords() -> None:
    """Widget.native receives the keywords as render does."""

    class Scaled(Widget):
        def native(self, value: Any, **kwargs: Any) -> Any:
            return value * kwargs["factor"]

    class ScaledResource(Resource):
        number = Field(widget=Scaled(), type=Integer())

    out = await bytes_of(ScaledResource(), numbers(2), "json", factor=10)
    assert [row["number"] for row in json.loads(out)] == [10, 20]


async def test_export_fields_is_the_reference_s_name_for_fields(library: AsyncEngine) -> None:
    """export_fields= selects fields too, in every way out."""
    resource = BookResource(library)
    assert (await resource.export(export_fields=["title"])).headers == ["title"]
    assert (await records_of(resource, export_fields=["title"]))[2] == ["Cyberiada"]
    assert (await bytes_of(resource, export_fields=["title"])).startswith(b"title\r\n")


# --- selection ------------------------------------------------------------------------------


async def test_the_selection_s_order_is_the_output_s(library: AsyncEngine) -> None:
    """Selected fields come in the order in which they are named."""
    dataset = await BookResource(library).export(fields=["title", "id"])
    assert dataset.headers == ["title", "id"]
    assert dataset[2] == ("Cyberiada", "3")


async def test_fields_are_selected_by_header(library: AsyncEngine) -> None:
    """A header serves as well as a name."""

    class Named(BookResource):
        title = Field(column_name="Book title")

    assert (await Named(library).export(fields=["Book title"])).headers == ["Book title"]


async def test_an_unknown_selection_names_the_nearest(library: AsyncEngine) -> None:
    """A field that does not exist is an error with the nearest name, before any query."""
    with pytest.raises(UnknownNameError, match="'titel' in BookResource; did you mean 'title'"):
        await BookResource(library).export(fields=["titel"])


async def test_a_selection_is_no_string(library: AsyncEngine) -> None:
    """A string in place of a list of names is refused, not read letter by letter."""
    with pytest.raises(ConfigurationError, match="sequence of names"):
        await BookResource(library).export(fields="id")


async def test_an_empty_selection_is_an_error(library: AsyncEngine) -> None:
    """No fields are not all fields."""
    with pytest.raises(ConfigurationError, match="no fields to export"):
        await BookResource(library).export(fields=[])


async def test_only_selected_hooks_run(library: AsyncEngine) -> None:
    """The hook of a field that is not selected does not run, and costs no strategy."""

    class Costly(BookResource):
        def dehydrate_title(self, book: Book) -> str:
            raise AssertionError

    resource = Costly(library)
    assert (await resource.explain(fields=["id"])).strategy == "rows"
    assert len(await resource.export(fields=["id"])) == 4


# --- dehydrate ------------------------------------------------------------------------------


def shouted(book: Any) -> str:
    """Give the title in capitals."""
    return str(book.title).upper()


SHOUTED = (
    b"id,title\r\n"
    b"1,THE DISPOSSESSED\r\n"
    b'2,"SOLARIS, OR ""THE SEA"""\r\n'
    b"3,CYBERIADA\r\n"
    b'4,"ANONYMOUS\nVERSES"\r\n'
)


@pytest.mark.parametrize("kind", KINDS)
async def test_dehydrate_variants(library: AsyncEngine, kind: str) -> None:
    """A dehydrate method of the resource, a callable and a named method all make the cell."""
    method = of_kind(kind, lambda self, book: shouted(book))
    function = of_kind(kind, shouted)
    variants: list[dict[str, Any]] = [
        {"dehydrate_title": method},
        {"dehydrate_title": staticmethod(function)},
        {"title": Field(dehydrate_method=function)},
        {"title": Field(dehydrate_method="shout"), "shout": method},
    ]
    for members in variants:
        resource_class = type("Shouting", (BookResource,), members)
        assert await bytes_of(resource_class(library)) == SHOUTED


async def test_dehydrate_method_beats_the_name() -> None:
    """With a dehydrate_method, dehydrate_<name> is not called."""

    class Both(NumberResource):
        number = Field(dehydrate_method=lambda row: "callable")

        def dehydrate_number(self, row: Any) -> str:
            raise AssertionError

    assert await records_of(Both(), numbers(1)) == [["callable"]]


async def test_dehydrate_goes_by_the_name_of_the_field() -> None:
    """The header has no part in finding the dehydrate method."""

    class Named(NumberResource):
        number = Field(column_name="title")

        def dehydrate_number(self, row: Any) -> str:
            return "by name"

    assert await bytes_of(Named(), numbers(1)) == b"title\r\nby name\r\n"


async def test_what_dehydrate_returns_is_the_cell() -> None:
    """The cell of a dehydrate method passes no widget: None stays None in a Dataset."""

    class Nothing(NumberResource):
        def dehydrate_number(self, row: Any) -> Any:
            return {1: None, 2: 2, 3: Decimal("1.50")}[row["number"]]

    assert await records_of(Nothing(), numbers(3)) == [[None], [2], [Decimal("1.50")]]
    assert await bytes_of(Nothing(), numbers(3)) == b'number\r\n""\r\n2\r\n1.50\r\n'


async def test_dehydrate_is_awaitable_for_some_rows_only() -> None:
    """A method that gives an awaitable now and then is awaited each time."""

    async def later(number: int) -> str:
        await asyncio.sleep(0)
        return f"later {number}"

    class Sometimes(NumberResource):
        class Meta:
            batch_size = 3

        def dehydrate_number(self, row: Any) -> Any:
            number = row["number"]
            return later(number) if number in {2, 5, 6, 10} else f"now {number}"

    cells = [cell for [cell] in await records_of(Sometimes(), numbers(10))]
    assert cells == [f"{'later' if n in {2, 5, 6, 10} else 'now'} {n}" for n in range(1, 11)]


async def test_any_awaitable_is_awaited() -> None:
    """Futures and objects with __await__ count as awaitables, not only coroutines."""

    class Custom:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return "custom"

    class Mixed(NumberResource):
        def dehydrate_number(self, row: Any) -> Any:
            if row["number"] == 1:
                return Custom()
            future = asyncio.get_running_loop().create_future()
            future.set_result("future")
            return future

    assert await records_of(Mixed(), numbers(2)) == [["custom"], ["future"]]


async def test_async_and_plain_cells_keep_their_places() -> None:
    """Async hooks, plain hooks and widgets may stand in one record in any order."""

    class Mixed(Resource):
        a = Field("number")
        b = Field()
        c = Field("number")
        d = Field()

        async def dehydrate_b(self, row: Any) -> str:
            await asyncio.sleep(0)
            return f"b{row['number']}"

        def dehydrate_d(self, row: Any) -> Awaitable[str]:
            return self.dehydrate_b(row)

    assert await records_of(Mixed(), numbers(2)) == [
        ["1", "b1", "1", "b1"],
        ["2", "b2", "2", "b2"],
    ]


# --- widgets and fields ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["rows", "instances"])
async def test_widgets_of_any_kind(each_library: AsyncEngine, strategy: str, kind: str) -> None:
    """Widget.render may be async, in every strategy."""

    class Starred(CharWidget):
        render = of_kind(kind, lambda self, value, **kwargs: f"*{value}*")

    class StarredResource(BookResource):
        id = Field(widget=Starred())

    class Instances(StarredResource):
        def dehydrate_title(self, book: Book) -> str:
            return book.title

    resource = (StarredResource if strategy == "rows" else Instances)(each_library)
    assert (await resource.explain()).strategy == strategy
    assert (await resource.export())["id"] == ["*1*", "*2*", "*3*", "*4*"]


async def test_a_field_may_override_get_value(library: AsyncEngine) -> None:
    """A Field subclass decides what its value is; the widget renders it."""

    class Initial(Field):
        def get_value(self, instance: Any) -> Any:
            return super().get_value(instance)[0]

    class Initials(BookResource):
        title = Initial()

    assert (await Initials(library).export())["title"] == ["T", "S", "C", "A"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_field_may_override_export(library: AsyncEngine, kind: str) -> None:
    """A Field subclass decides what its cell is, and may be async."""

    class Quoted(Field):
        def _export(self, instance: Any, **kwargs: Any) -> Any:
            return f"<{Field.export(self, instance, **kwargs)}>"

        export = of_kind(kind, _export)

    class QuotedResource(BookResource):
        id = Quoted()

    assert (await QuotedResource(library).export())["id"] == ["<1>", "<2>", "<3>", "<4>"]


async def test_a_field_without_attribute_reads_its_own_name() -> None:
    """Field() reads the attribute that has its name."""

    class Plain(Resource):
        number = Field()

    assert await records_of(Plain(), numbers(1)) == [["1"]]


async def test_a_misspelt_attribute_of_an_object_is_an_error() -> None:
    """A missing attribute of an object is an error that names the row, not an empty cell."""

    class Thing:
        name = "x"

    class Misspelt(Resource):
        nmae = Field()

    with pytest.raises(RowError, match="row 1, field 'nmae': AttributeError"):
        await Misspelt().export([Thing()])


# --- overriding with super() ----------------------------------------------------------------


async def test_export_resource_overridden(each_library: AsyncEngine) -> None:
    """export_resource may change the whole record that its parent makes."""

    class Doubled(BookResource):
        def export_resource(self, instance: Any, selected_fields: Any = None, **kwargs: Any) -> Any:
            return [cell * 2 for cell in super().export_resource(instance, selected_fields)]

    assert (await Doubled(each_library).export())[2] == ("33", "CyberiadaCyberiada")


async def test_export_resource_overridden_async(library: AsyncEngine) -> None:
    """An async export_resource awaits its parent, whose cells may be async."""

    class Doubled(BookResource):
        async def dehydrate_title(self, book: Book) -> str:
            await asyncio.sleep(0)
            return book.title.lower()

        async def export_resource(
            self, instance: Any, selected_fields: Any = None, **kwargs: Any
        ) -> Any:
            cells = await maybe_await(super().export_resource(instance, selected_fields, **kwargs))
            return [cell * 2 for cell in cells]

    assert (await Doubled(library).export())[2] == ("33", "cyberiadacyberiada")


async def test_export_resource_receives_the_selection(library: AsyncEngine) -> None:
    """export_resource is told the names of the fields to export, in order."""
    seen: list[Any] = []

    class Noted(BookResource):
        def export_resource(self, instance: Any, selected_fields: Any = None, **kwargs: Any) -> Any:
            seen.append(list(selected_fields))
            return super().export_resource(instance, selected_fields, **kwargs)

    dataset = await Noted(library).export(fields=["title", "id"])
    assert seen == [["title", "id"]] * 4
    assert dataset[2] == ("Cyberiada", "3")


async def test_a_record_of_the_wrong_width_is_an_error(library: AsyncEngine) -> None:
    """A record needs one cell for each header."""

    class Narrow(BookResource):
        def export_resource(self, instance: Any, selected_fields: Any = None, **kwargs: Any) -> Any:
            return ["one"]

    with pytest.raises(ExportError, match="1 cells for 2 columns"):
        await Narrow(library).export()


async def test_no_record_at_all_is_an_error(library: AsyncEngine) -> None:
    """An export_resource that forgets to return fails with an error of this library."""

    class Forgetting(BookResource):
        def export_resource(self, instance: Any, selected_fields: Any = None, **kwargs: Any) -> Any:
            super().export_resource(instance, selected_fields, **kwargs)

    with pytest.raises(ExportError, match="export_resource"):
        await Forgetting(library).export()


@pytest.mark.parametrize("kind", KINDS)
async def test_export_field_overridden(library: AsyncEngine, kind: str) -> None:
    """export_field may change each cell that its parent makes."""

    def export_field(self: Any, field: Field, instance: Any, **kwargs: Any) -> Any:
        cell = BookResource.export_field(self, field, instance, **kwargs)
        return f"{field.name}={cell}"

    resource_class = type("Named", (BookResource,), {"export_field": of_kind(kind, export_field)})
    assert (await resource_class(library).export())[2] == ("id=3", "title=Cyberiada")


async def test_iter_queryset_overridden(each_library: AsyncEngine) -> None:
    """iter_queryset may leave out and double what its parent gives."""

    class Odd(BookResource):
        async def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
            async for book in super().iter_queryset(queryset):
                if book.id % 2:
                    yield book
                    yield book

    assert (await Odd(each_library).export())["id"] == ["1", "1", "3", "3"]


async def test_iter_queryset_may_be_plain(library: AsyncEngine) -> None:
    """iter_queryset may give any iterable, and need not ask the database."""

    class Own(BookResource):
        def iter_queryset(self, queryset: Any) -> Any:
            return [Book(id=n, title=f"Volume {n}") for n in (1, 2)]

    assert (await Own(library).export())["title"] == ["Volume 1", "Volume 2"]


async def test_iter_batches_overridden(each_library: AsyncEngine) -> None:
    """iter_batches may change the batches that its parent fetches; prepare_batch sees them."""
    seen: list[list[int]] = []

    class Reversed(BookResource):
        class Meta:
            batch_size = 3

        async def iter_batches(self, queryset: Any) -> AsyncIterator[Sequence[Any]]:
            async with aclosing(super().iter_batches(queryset)) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    yield batch[::-1]

        def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            seen.append([book.id for book in batch])

    assert (await Reversed(each_library).export())["id"] == ["3", "2", "1", "4"]
    assert seen == [[3, 2, 1], [4]]


async def test_an_async_iter_batches_serves_the_default_iter_queryset(
    library: AsyncEngine,
) -> None:
    """The parent's iter_queryset goes through iter_batches, also when that is async."""

    class Both(BookResource):
        async def iter_batches(self, queryset: Any) -> Any:  # type: ignore[override]
            await asyncio.sleep(0)
            return super().iter_batches(queryset)

        def iter_queryset(self, queryset: Any) -> Any:
            return super().iter_queryset(queryset)

    assert (await Both(library).export())["id"] == ["1", "2", "3", "4"]


# --- batches --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("declared", [True, False])
async def test_prepare_batch_runs_once_per_batch(
    each_library: AsyncEngine, kind: str, declared: bool
) -> None:
    """prepare_batch sees each row once, in order, before the row's hooks run."""
    trace: list[Any] = []

    def prepare(self: Any, batch: Sequence[Any], **kwargs: Any) -> None:
        self.known = {each.id for each in batch}
        trace.append([each.author_id for each in batch])

    def dehydrate(self: Any, row: Any) -> str:
        assert row.id in self.known
        return str(row.id)

    mark: Any = depends("id", "author_id") if declared else lambda hook: hook

    class Prepared(BookResource):
        class Meta:
            batch_size = 3

        prepare_batch = mark(of_kind(kind, prepare))
        dehydrate_id = mark(dehydrate)

    resource = Prepared(each_library)
    assert (await resource.explain()).strategy == ("rows" if declared else "instances")
    assert (await resource.export())["id"] == ["1", "2", "3", "4"]
    assert trace == [[1, 2, 2], [None]]
    assert not hasattr(resource, "known")


async def test_prepare_batch_looks_up_in_one_query(each_library: AsyncEngine) -> None:
    """prepare_batch has self.session while rows are being fetched, for one query per batch."""

    class Counted(BookResource):
        class Meta:
            fields = ("id", "written")
            batch_size = 1

        written = Field(type=Integer())
        counts: dict[int | None, int]

        @depends("author_id")
        async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            statement = (
                select(Book.author_id, func.count())
                .where(Book.author_id.in_([row.author_id for row in batch]))
                .group_by(Book.author_id)
            )
            self.counts = {row[0]: row[1] for row in await self.session.execute(statement)}

        @depends("author_id")
        def dehydrate_written(self, row: Any) -> int:
            return self.counts.get(row.author_id, 0)

    assert await bytes_of(Counted(each_library)) == b"id,written\r\n1,1\r\n2,2\r\n3,2\r\n4,0\r\n"


async def test_a_failing_prepare_batch_names_itself() -> None:
    """An error of prepare_batch is a RowError of the batch's first row."""

    class Failing(NumberResource):
        class Meta:
            batch_size = 4

        def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
            if batch[0]["number"] > 4:
                raise KeyError

    with pytest.raises(RowError) as caught:
        await Failing().export(numbers(10))
    assert (caught.value.row_number, caught.value.field) == (5, "prepare_batch")


# --- hooks at once --------------------------------------------------------------------------


class SlowResource(NumberResource):
    """Its hook waits, the longer the earlier the row."""

    running = 0
    most = 0
    finished: list[int]
    seconds = 0.01
    fails: tuple[int, ...] = ()

    async def dehydrate_number(self, row: Any) -> int:
        """Wait; note how many rows do."""
        cls = type(self)
        number: int = row["number"]
        cls.running += 1
        cls.most = max(cls.most, cls.running)
        try:
            await asyncio.sleep(self.seconds / (1 + number % 7))
            if number in self.fails:
                raise LookupError(number)
            cls.finished.append(number)
        finally:
            cls.running -= 1
        return number


def slow(**members: Any) -> type[SlowResource]:
    """Make a fresh `SlowResource` class."""
    return type("Slow", (SlowResource,), {"finished": [], **members})


@pytest.mark.parametrize("concurrency", [1, 2, 8])
async def test_concurrent_hooks_keep_order_and_bound(concurrency: int) -> None:
    """Output keeps its order, and never more rows are worked on than hook_concurrency says."""
    resource_class = slow()
    resource = resource_class(hook_concurrency=concurrency)
    assert await records_of(resource, numbers(150)) == [[n] for n in range(1, 151)]
    assert resource_class.most == concurrency
    assert (resource_class.finished == sorted(resource_class.finished)) is (concurrency == 1)


async def test_concurrent_hooks_are_faster() -> None:
    """Sixteen waiting rows at once take far less than the sequential time."""
    resource_class = slow(seconds=0.02)
    times = []
    for concurrency in (1, 16):
        began = time.perf_counter()
        await resource_class(hook_concurrency=concurrency).export(numbers(64))
        times.append(time.perf_counter() - began)
    assert times[1] < times[0] / 4


async def test_concurrency_holds_for_hooks_that_return_awaitables() -> None:
    """A plain def that returns an awaitable runs concurrently as an async def does."""
    resource_class = slow()

    class Returning(resource_class):  # type: ignore[valid-type, misc]
        def dehydrate_number(self, row: Any) -> Any:
            return super().dehydrate_number(row)

    resource = Returning(hook_concurrency=8)
    assert await records_of(resource, numbers(100)) == [[n] for n in range(1, 101)]
    assert 1 < Returning.most <= 8


async def test_the_first_error_cancels_the_other_rows() -> None:
    """When a row fails, those under way are cancelled, and none starts."""
    resource_class = slow(fails=(5,), seconds=0.05)
    with pytest.raises(RowError) as caught:
        await resource_class(hook_concurrency=4).export(numbers(80))
    assert (caught.value.row_number, caught.value.error) == (5, "LookupError")
    assert resource_class.running == 0
    assert len(resource_class.finished) < 12


async def test_failing_rows_are_skipped_concurrently() -> None:
    """on_error="skip" leaves out failing rows, and only those."""
    resource_class = slow(fails=(3, 4, 77))
    resource = resource_class(hook_concurrency=8, on_error="skip")
    cells = [cell for [cell] in await records_of(resource, numbers(100))]
    assert cells == [n for n in range(1, 101) if n not in {3, 4, 77}]


async def test_an_error_of_on_error_passes_as_it_is() -> None:
    """What on_error raises of its own arrives unchanged, also with concurrent hooks."""

    class TooManyError(Exception):
        """The caller's own."""

    def give_up(error: RowError) -> None:
        raise TooManyError

    for concurrency in (1, 4):
        resource = slow(fails=(3,))(hook_concurrency=concurrency, on_error=give_up)
        with pytest.raises(TooManyError):
            await resource.export(numbers(10))


async def test_cancelled_concurrent_hooks_are_cancelled() -> None:
    """Cancelling the export cancels the hooks that wait."""
    resource_class = slow(seconds=30)
    task = asyncio.create_task(resource_class(hook_concurrency=4).export(numbers(10)))
    await asyncio.sleep(0.1)
    assert resource_class.running == 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert resource_class.running == 0


# --- failing rows ---------------------------------------------------------------------------


def failing_resource(kind: str, fails: set[int]) -> type[BookResource]:
    """Make a resource whose hook fails for some ids."""

    def dehydrate_title(self: Any, row: Any) -> str:
        if row.id in fails:
            raise ZeroDivisionError(f"secret of {row.title}")
        return str(row.title)

    hook = depends("title")(of_kind(kind, dehydrate_title))
    return type("Failing", (BookResource,), {"dehydrate_title": hook})


@pytest.mark.parametrize("kind", KINDS)
async def test_a_row_error_is_exact(each_library: AsyncEngine, kind: str) -> None:
    """A RowError tells row, field and key, whatever the batches are, and shows no value."""
    queryset = select(Book).where(Book.id > 1).order_by(Book.id)
    for batch_size in (1, 3, None):
        resource = failing_resource(kind, {3, 4})(each_library, batch_size=batch_size)
        with pytest.raises(RowError) as caught:
            await bytes_of(resource, queryset)
        error = caught.value
        assert (error.row_number, error.field, error.key) == (2, "title", 3)
        assert str(error) == "row 2, field 'title': ZeroDivisionError"
        assert isinstance(error.__cause__, ZeroDivisionError)
        assert "Cyberiada" not in str(error) + repr(error)


async def test_a_row_error_can_be_pickled(library: AsyncEngine) -> None:
    """A RowError survives pickling with all it knows."""
    with pytest.raises(RowError) as caught:
        await bytes_of(failing_resource("def", {2})(library))
    copied = pickle.loads(pickle.dumps(caught.value))
    assert vars(copied) == vars(caught.value)
    assert str(copied) == str(caught.value)


async def test_a_failing_widget_names_its_field(library: AsyncEngine) -> None:
    """A RowError of a widget tells its field, row and key, in both strategies."""

    class Fussy(CharWidget):
        def render(self, value: Any, **kwargs: Any) -> str:
            if "sea" in value:
                raise ValueError(value)
            return str(value)

    class FussyResource(BookResource):
        title = Field(widget=Fussy())

    class Instances(FussyResource):
        def dehydrate_id(self, book: Book) -> int:
            return book.id

    for resource_class in (FussyResource, Instances):
        with pytest.raises(RowError, match=r"^row 2, field 'title': ValueError$") as caught:
            await bytes_of(resource_class(library))
        assert caught.value.key == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_skipping_rows(each_library: AsyncEngine, kind: str) -> None:
    """on_error="skip" leaves failing rows out and counts them, whatever the batches are."""
    for batch_size in (1, 3, None):
        resource = failing_resource(kind, {2, 3})(
            each_library, on_error="skip", batch_size=batch_size
        )
        async with resource.stream("csv") as stream:
            out = b"".join([chunk async for chunk in stream])
        assert out == b'id,title\r\n1,The Dispossessed\r\n4,"Anonymous\nverses"\r\n'
        assert (stream.result.rows, stream.result.skipped) == (2, 2)
        assert (await resource.export())["id"] == ["1", "4"]


@pytest.mark.parametrize("kind", KINDS)
async def test_on_error_may_be_a_function(library: AsyncEngine, kind: str) -> None:
    """on_error as a function gets each RowError, and the row is skipped when it returns."""
    for hook_kind in KINDS:
        seen: list[tuple[int, str, Any]] = []
        note = of_kind(kind, lambda e, seen=seen: seen.append((e.row_number, e.field, e.key)))
        resource = failing_resource(hook_kind, {1, 3})(library, on_error=note)
        assert (await resource.export())["id"] == ["2", "4"]
        assert seen == [(1, "title", 1), (3, "title", 3)]


@pytest.mark.parametrize("kind", KINDS)
async def test_on_error_may_raise(library: AsyncEngine, kind: str) -> None:
    """on_error as a function may stop the export, with the RowError or an error of its own."""

    def stop(error: RowError) -> None:
        raise error

    with pytest.raises(RowError, match="row 3"):
        await failing_resource("def", {3})(library, on_error=of_kind(kind, stop)).export()


async def test_skipped_rows_of_another_hook_leave_no_coroutine() -> None:
    """A failing row leaves no coroutine of its other cells, or of rows before it, unawaited."""

    class Returning(Resource):
        a = Field()
        b = Field()

        async def _later(self, row: Any) -> int:
            return int(row["number"])

        def dehydrate_a(self, row: Any) -> Any:
            return self._later(row)

        def dehydrate_b(self, row: Any) -> int:
            return 1 // int(row["number"] % 3)

    assert await records_of(Returning(on_error="skip"), numbers(4)) == [[1, 1], [2, 0], [4, 1]]
    with pytest.raises(RowError, match=r"^row 3, field 'b': ZeroDivisionError$"):
        await records_of(Returning(), numbers(4))


async def test_the_earliest_row_s_error_is_raised() -> None:
    """The error of the first failing row is raised, although its hook is awaited later."""

    class Returning(Resource):
        a = Field()
        b = Field()

        async def _later(self, row: Any) -> int:
            return 1 // int(row["number"] - 2)

        def dehydrate_a(self, row: Any) -> Any:
            return self._later(row)

        def dehydrate_b(self, row: Any) -> int:
            return 1 // int(row["number"] - 3)

    with pytest.raises(RowError, match=r"^row 2, field 'a': ZeroDivisionError$"):
        await records_of(Returning(), numbers(4))


async def test_max_rows(library: AsyncEngine, tmp_path: Path) -> None:
    """More rows than max_rows are a LimitError, and no file; as many are none."""
    assert len(await BookResource(library, max_rows=4).export()) == 4
    resource = BookResource(library, max_rows=3, batch_size=2)
    folder = tmp_path / "out"
    folder.mkdir()
    for export in (resource.export, lambda: resource.export_to(folder / "books.csv")):
        with pytest.raises(LimitError, match="more rows than max_rows=3"):
            await export()
    assert list(folder.iterdir()) == []
    assert await BookResource(library, max_rows=0).export([]) is not None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["before_export", "filter_export", "after_export"])
async def test_errors_of_other_hooks_pass_unchanged(kind: str, name: str, tmp_path: Path) -> None:
    """A hook that is not about a row raises what it raises, and no file appears."""

    class OwnError(Exception):
        """The caller's own."""

    def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise OwnError

    resource = type("Failing", (NumberResource,), {name: of_kind(kind, fail)})()
    with pytest.raises(OwnError):
        await resource.export(numbers(1))
    with pytest.raises(OwnError):
        await resource.export_to(tmp_path / "numbers.csv", queryset=numbers(1))
    assert list(tmp_path.iterdir()) == []


async def test_a_hook_that_raises_leaves_no_file(library: AsyncEngine, tmp_path: Path) -> None:
    """After an error at the third row there is no file, and an older one is as it was."""
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "books.csv"
    resource = failing_resource("async def", {3})(library, batch_size=1, chunk_size=1)
    with pytest.raises(RowError):
        await resource.export_to(target)
    assert list(folder.iterdir()) == []
    target.write_bytes(b"older")
    with pytest.raises(RowError):
        await resource.export_to(target)
    assert target.read_bytes() == b"older"
    assert list(folder.iterdir()) == [target]


# --- one resource, many exports -------------------------------------------------------------


class TenantResource(NumberResource):
    """Its hooks keep what they are told on the resource."""

    tenant = 0
    header = ""

    async def before_export(self, queryset: Any, **kwargs: Any) -> None:
        """Keep the tenant, and put it into the header."""
        self.tenant = kwargs["tenant"]
        await asyncio.sleep(0)
        self.fields["number"].column_name = f"tenant {self.tenant}"

    async def dehydrate_number(self, row: Any) -> str:
        """Give the tenant and the number."""
        await asyncio.sleep(0)
        return f"{self.tenant}/{row['number']}"


async def test_fifty_exports_at_once_do_not_mix() -> None:
    """Hooks that set attributes and headers see only their own export's."""
    resource = TenantResource()
    outputs = await asyncio.gather(
        *(bytes_of(resource, generate(numbers(30)), tenant=tenant) for tenant in range(50))
    )
    for tenant, out in enumerate(outputs):
        lines = [f"tenant {tenant}", *(f"{tenant}/{n}" for n in range(1, 31))]
        assert out.decode().split() == [word for line in lines for word in line.split()]
    assert resource.tenant == 0
    assert resource.fields["number"].header == "number"


async def test_fifty_exports_at_once_from_the_database(pg_library: AsyncEngine) -> None:
    """One resource object serves fifty exports from one engine, with no connection left over."""

    class Querying(BookResource):
        async def before_export(self, queryset: Any, **kwargs: Any) -> None:
            self.author = await self.session.scalar(
                select(Author.name).where(Author.id == kwargs["author"])
            )

        @depends("title")
        def dehydrate_title(self, row: Any) -> str:
            return f"{self.author}: {row.title}"

    resource = Querying(pg_library)
    datasets = await asyncio.gather(*(resource.export(author=1 + n % 3) for n in range(50)))
    names = ["Ursula K. Le Guin", "Stanisław Lem", "Nobody"]
    for n, dataset in enumerate(datasets):
        assert dataset["title"][2] == f"{names[n % 3]}: Cyberiada"
    assert pg_library.pool.checkedout() == 0  # type: ignore[attr-defined]


# --- the ways out ---------------------------------------------------------------------------


async def test_all_ways_out_agree(each_library: AsyncEngine, tmp_path: Path) -> None:
    """Dataset, records, stream, file, file object and function all hold the same."""
    resource = BookResource(each_library)
    dataset = await resource.export()
    assert isinstance(dataset, tablib.Dataset)
    assert dataset.export("csv").encode() == IDS_AND_TITLES
    assert [tuple(record) for record in await records_of(resource)] == list(dataset)
    assert await bytes_of(resource) == IDS_AND_TITLES

    await resource.export_to(tmp_path / "books.csv")
    await resource.export_to(str(tmp_path / "named"), "csv")
    assert (tmp_path / "books.csv").read_bytes() == IDS_AND_TITLES
    assert (tmp_path / "named").read_bytes() == IDS_AND_TITLES

    buffer = io.BytesIO()
    await resource.export_to(buffer, "csv")
    assert buffer.getvalue() == IDS_AND_TITLES

    chunks: list[bytes] = []

    async def write(chunk: bytes) -> None:
        await asyncio.sleep(0)
        chunks.append(chunk)

    await resource.export_to(write, "csv")
    await resource.export_to(chunks.append, "csv")
    assert b"".join(chunks) == IDS_AND_TITLES * 2


async def test_a_path_is_replaced_unless_forbidden(library: AsyncEngine, tmp_path: Path) -> None:
    """overwrite=False keeps an existing file."""
    target = tmp_path / "books.csv"
    target.write_bytes(b"older")
    with pytest.raises(ExportError, match="already"):
        await BookResource(library).export_to(target, overwrite=False)
    assert target.read_bytes() == b"older"
    await BookResource(library).export_to(target)
    assert target.read_bytes() == IDS_AND_TITLES


async def test_a_target_without_extension_needs_a_format() -> None:
    """Where no path says the format, the caller does."""
    with pytest.raises(ConfigurationError, match="name the format"):
        await NumberResource().export_to(io.BytesIO(), queryset=numbers(1))


async def test_an_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    """A format that does not exist is an error at the call, and creates nothing."""
    with pytest.raises(UnknownNameError, match="unknown format 'cvs'; did you mean 'csv'"):
        NumberResource().stream("cvs")
    with pytest.raises(UnknownNameError, match="file extension"):
        await NumberResource().export_to(tmp_path / "numbers.cvs", queryset=numbers(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("csv", b"id,title\r\n"), ("tsv", b"id\ttitle\r\n"), ("json", b"[]"), ("jsonl", b"")],
)
async def test_an_empty_queryset_gives_the_header_only(
    each_library: AsyncEngine, name: str, expected: bytes
) -> None:
    """No rows are a header line, or an empty list."""
    async with BookResource(each_library).stream(name, select(Book).where(Book.id > 99)) as stream:
        out = b"".join([chunk async for chunk in stream])
    assert out.strip(b"\n" if name == "json" else b"") == expected
    assert stream.result.rows == 0
    assert stream.result.bytes == len(out)


async def test_an_empty_dataset_has_headers(library: AsyncEngine) -> None:
    """export() of no rows gives the headers."""
    dataset = await BookResource(library).export(select(Book).where(Book.id > 99))
    assert dataset.headers == ["id", "title"]
    assert len(dataset) == 0


async def test_the_result_tells_what_was_made(library: AsyncEngine, tmp_path: Path) -> None:
    """An ExportResult has rows, bytes, format, strategy, transport and headers."""
    result = await BookResource(library).export_to(tmp_path / "books.csv")
    assert (result.rows, result.skipped, result.bytes) == (4, 0, len(IDS_AND_TITLES))
    assert (result.format, result.strategy, result.columns) == ("csv", "rows", ("id", "title"))
    assert 0 < result.elapsed < 60
    assert (await NumberResource().export_to([].append, "csv", [])).transport == "iterable"


async def test_text_formats_get_text_and_typed_ones_native_cells(each_library: AsyncEngine) -> None:
    """The format decides between text and native cells; ``native=`` overrides it."""

    class Typed(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "price", "published", "in_print", "details")

    queryset = select(Book).where(Book.id.in_([1, 3])).order_by(Book.id)
    assert await bytes_of(Typed(each_library), queryset) == (
        b"id,price,published,in_print,details\r\n"
        b'1,9.90,1974-05-01,1,"{""pages"": 341}"\r\n'
        b"3,,,1,{}\r\n"
    )
    rows = json.loads(await bytes_of(Typed(each_library), queryset, "json"))
    assert (rows[0]["id"], rows[0]["in_print"], rows[0]["details"]) == (1, True, {"pages": 341})
    assert rows[1]["price"] is None
    texts = json.loads(await bytes_of(Typed(each_library, native=False), queryset, "json"))
    assert (texts[0]["id"], texts[0]["in_print"], texts[1]["price"]) == ("1", "1", "")
    natives = (await records_of(Typed(each_library, native=True), queryset))[0]
    assert natives[:2] == [1, Decimal("9.90")]
    assert natives[3] is True


async def test_check_finds_what_is_misspelt() -> None:
    """check() passes for a sound resource, and tells of a path that leads nowhere."""
    BookResource.check()

    with pytest.raises(UnknownNameError, match="did you mean 'name'"):

        class Misspelt(ModelResource):
            class Meta:
                model = Book
                fields = ("id", "author.nmae")

        Misspelt.check()


async def test_explain_runs_no_row(library: AsyncEngine) -> None:
    """explain() runs the hooks up to the headers and fetches nothing."""
    trace: list[str] = []
    explanation = await traced("async def", trace)(library).explain("csv")
    assert trace == list(HOOKS[:4])
    assert explanation.strategy == "instances"


# --- binds and querysets --------------------------------------------------------------------


async def test_binds(each_library: AsyncEngine) -> None:
    """Engine, sessionmaker, session and connection serve alike."""
    assert await bytes_of(BookResource(each_library)) == IDS_AND_TITLES
    assert await bytes_of(BookResource(async_sessionmaker(each_library))) == IDS_AND_TITLES
    async with AsyncSession(each_library) as session:
        session.add(Book(id=5, title="New"))
        out = await bytes_of(BookResource(session))
        assert out == IDS_AND_TITLES + b"5,New\r\n"
        assert session.in_transaction()
    async with each_library.connect() as connection:
        assert await bytes_of(BookResource(connection)) == IDS_AND_TITLES
        assert not connection.closed


async def test_what_is_no_bind(library: AsyncEngine) -> None:
    """A synchronous engine is refused by the constructor."""
    with pytest.raises(ConfigurationError, match=r"not sqlalchemy\.engine\.base\.Engine"):
        BookResource(library.sync_engine)  # type: ignore[arg-type]


async def test_a_select_without_bind_is_an_error() -> None:
    """A select with nowhere to run it says what is missing."""
    with pytest.raises(ConfigurationError, match="no bind"):
        await BookResource().export()


async def test_a_resource_without_model_needs_a_queryset() -> None:
    """Without model and queryset there is nothing to export."""
    with pytest.raises(ConfigurationError, match="NumberResource has no model"):
        await NumberResource().export()


@pytest.mark.parametrize("wrong", [7, object(), BookResource])
async def test_what_is_no_queryset(wrong: object) -> None:
    """What cannot be iterated over is refused before the first byte."""
    with pytest.raises(ConfigurationError):
        await NumberResource().export(wrong)


@pytest.mark.parametrize("make", [list, tuple, iter, generate, lambda rows: (r for r in rows)])
async def test_iterables(make: Callable[[Any], Any]) -> None:
    """Lists, iterators, generators and async generators of rows are querysets."""
    assert await bytes_of(NumberResource(), make(numbers(2))) == b"number\r\n1\r\n2\r\n"


async def test_instances_at_hand() -> None:
    """Mapped objects that the caller has are exported without a database."""
    books = [Book(id=1, title="A", author=Author(name="B"))]

    class WithAuthor(BookResource):
        class Meta:
            fields = ("id", "title", "author.name")

    assert await records_of(WithAuthor(), books) == [["1", "A", "B"]]


async def test_the_session_of_hooks(each_library: AsyncEngine) -> None:
    """self.session serves hooks that say so, and nobody outside an export."""

    class Counting(BookResource):
        class Meta:
            hooks_use_database = True
            batch_size = 2

        async def dehydrate_id(self, book: Book) -> str:
            tags = await self.session.scalar(select(func.count()).select_from(Tag))
            return f"{book.id}/{tags}"

    resource = Counting(each_library)
    assert (await resource.export())["id"] == ["1/3", "2/3", "3/3", "4/3"]
    with pytest.raises(ConfigurationError, match=r"self\.session"):
        _ = resource.session


# --- what hooks may read --------------------------------------------------------------------


class ReadingResource(BookResource):
    """Its hook reads through a relation."""

    class Meta:
        """Its options."""

        fields = ("id", "by")

    by = Field()

    @depends("author.country")
    def dehydrate_by(self, row: Any) -> str:
        """Give key and country of the author, who may be missing."""
        return "-" if row.author is None else f"{row.author.id} {row.author.country}"


class ReadingInstancesResource(ReadingResource):
    """The same with mapped objects."""

    def dehydrate_id(self, book: Book) -> int:
        """Want the mapped object."""
        return book.id


@pytest.mark.parametrize("resource_class", [ReadingResource, ReadingInstancesResource])
async def test_declared_reads(
    each_library: AsyncEngine, resource_class: type[ReadingResource]
) -> None:
    """A hook has what it declares and primary keys, in both strategies; a null key is None."""
    expected = {ReadingResource: "rows", ReadingInstancesResource: "instances"}
    assert (await resource_class(each_library).explain()).strategy == expected[resource_class]
    assert (await resource_class(each_library).export())["by"] == ["1 us", "2 pl", "2 pl", "-"]


@pytest.mark.parametrize("base", [ReadingResource, ReadingInstancesResource])
@pytest.mark.parametrize("undeclared", ["title", "author.name"])
async def test_undeclared_reads(
    each_library: AsyncEngine, base: type[ReadingResource], undeclared: str
) -> None:
    """Reading something else raises, and names the hook, what it read, and the cure."""

    @depends("author.country")
    def dehydrate_by(self: Any, row: Any) -> Any:
        return row.title if undeclared == "title" else row.author.name

    resource_class = type("Curious", (base,), {"dehydrate_by": dehydrate_by})
    with pytest.raises(RowError, match=rf"dehydrate_by reads '{undeclared}'.*@depends"):
        await resource_class(each_library).export()


async def test_light_rows_are_read_only(library: AsyncEngine) -> None:
    """A hook cannot write to its row."""

    class Writing(BookResource):
        @depends("title")
        def dehydrate_title(self, row: Any) -> str:
            row.title = "changed"
            return "never"

    with pytest.raises(RowError, match="AttributeError"):
        await Writing(library).export()


async def test_unloaded_relations_name_the_cure(each_library: AsyncEngine) -> None:
    """A hook without @depends that reads a relation is told how to have it loaded."""

    class Lazy(BookResource):
        def dehydrate_title(self, book: Book) -> str:
            return "" if book.author is None else book.author.name

    with pytest.raises(RowError, match=r"row 1, field 'title'.*Book\.author.*@depends.*Meta\.load"):
        await Lazy(each_library).export()


async def test_fields_and_their_order_may_be_async(library: AsyncEngine) -> None:
    """The hooks that choose fields may be ``async def``, like all others."""

    class Ordered(BookResource):
        async def get_export_order(self) -> Any:
            await asyncio.sleep(0)
            return ["title", "id"]

    class Chosen(Ordered):
        async def get_export_fields(self, selected_fields: Any = None) -> Any:
            fields = await maybe_await(super().get_export_fields(selected_fields))
            return fields[:1]

    class Whole(Chosen):
        def export_resource(self, instance: Any, selected_fields: Any = None, **kwargs: Any) -> Any:
            return super().export_resource(instance, selected_fields, **kwargs)

    assert (await Ordered(library).export()).headers == ["title", "id"]
    for resource_class in (Chosen, Whole):
        dataset = await resource_class(library).export()
        assert dataset.headers == ["title"]
        assert len(dataset) == 4
