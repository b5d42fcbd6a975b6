"""Options: what Meta and constructors may say."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from library import Author, Book, BookResource, NumberResource, bytes_of, fill, numbers, records_of
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import selectinload

from async_export import (
    ConfigurationError,
    ModelResource,
    ResourceOptions,
    RowError,
    UnknownNameError,
)
from async_export.widgets import BooleanWidget, DateWidget

# Reading a zone from disk would be a blocking call.
PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture
async def library(engine: AsyncEngine) -> AsyncEngine:
    """The library, in each of the databases."""
    return await fill(engine)


def test_defaults() -> None:
    """A resource that says nothing has the documented defaults."""
    options = NumberResource().options
    assert options == ResourceOptions()
    assert (options.batch_size, options.chunk_size, options.timezone) == (None, 65_536, UTC)
    assert (options.on_error, options.native, options.max_rows) == ("raise", None, None)
    assert (options.hook_concurrency, options.hooks_use_database) == (1, False)


def test_a_constructor_overrides_meta() -> None:
    """A keyword of the constructor beats Meta, for that object alone."""

    class Small(NumberResource):
        class Meta:
            batch_size = 5
            max_rows = 50

    assert Small(batch_size=7).options.batch_size == 7
    assert Small(batch_size=7).options.max_rows == 50
    assert Small(max_rows=None).options.max_rows is None
    assert Small().options.batch_size == 5


@pytest.mark.parametrize(
    ("option", "near"),
    [("batchsize", "batch_size"), ("time_zone", "timezone"), ("max_row", "max_rows")],
)
def test_a_misspelt_option_names_the_nearest(option: str, near: str) -> None:
    """An option that does not exist is an error with the nearest name, in Meta and constructor."""
    expected = f"unknown option '{option}' in .*; did you mean '{near}'"
    with pytest.raises(UnknownNameError, match=expected):
        NumberResource(None, **{option: 1})
    with pytest.raises(UnknownNameError, match=expected):
        type("Wrong", (NumberResource,), {"Meta": type("Meta", (), {option: 1})})


def test_an_option_like_no_other_lists_all() -> None:
    """Where nothing is near, the message lists what there is."""
    with pytest.raises(UnknownNameError, match=r"known: .*batch_size, chunk_size.*timezone"):
        NumberResource(zzz=1)


@pytest.mark.parametrize(
    "option", ["model", "fields", "exclude", "export_order", "widgets", "name", "load"]
)
def test_what_shapes_a_class_belongs_to_meta(option: str) -> None:
    """Options that the class is checked against cannot come with the constructor."""
    with pytest.raises(ConfigurationError, match=r"set it in BookResource\.Meta"):
        BookResource(None, **{option: ()})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("batch_size", 0),
        ("batch_size", -1),
        ("batch_size", 2.5),
        ("batch_size", "100"),
        ("batch_size", True),
        ("chunk_size", 0),
        ("chunk_size", None),
        ("hook_concurrency", 0),
        ("hook_concurrency", None),
        ("max_rows", -1),
        ("max_rows", 1.0),
        ("on_error", "ignore"),
        ("on_error", None),
        ("on_unrepresentable", "skip"),
        ("native", "yes"),
        ("native", []),
        ("timezone", "Mars/Olympus"),
        ("timezone", ""),
        ("timezone", 2),
        ("timezone", "../../etc/passwd"),
        ("hooks_use_database", "no"),
    ],
)
def test_impossible_values(option: str, value: Any) -> None:
    """A value that an option cannot have is refused by the constructor and by Meta."""
    with pytest.raises(ConfigurationError, match=option):
        NumberResource(**{option: value})
    with pytest.raises(ConfigurationError, match=rf"Wrong\.Meta: .*{option}"):
        type("Wrong", (NumberResource,), {"Meta": type("Meta", (), {option: value})})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("fields", "id"),
        ("fields", ("id", 7)),
        ("fields", ("id", "title", "id")),
        ("fields", 7),
        ("exclude", "id"),
        ("exclude", None),
        ("exclude", ("id", "id")),
        ("export_order", "id"),
        ("export_order", ("id", "id")),
        ("widgets", ("id",)),
        ("widgets", None),
    ],
)
def test_impossible_shapes(option: str, value: Any) -> None:
    """Meta refuses names that are no names, that come twice, and widgets that are none."""
    with pytest.raises(ConfigurationError):
        type("Wrong", (BookResource,), {"Meta": type("Meta", (), {option: value})})


def test_one_connection_serves_one_hook_at_a_time() -> None:
    """Concurrent hooks cannot share self.session."""
    with pytest.raises(ConfigurationError, match="hooks_use_database needs hook_concurrency=1"):
        NumberResource(hooks_use_database=True, hook_concurrency=2)


def test_options_are_frozen() -> None:
    """Nobody can change the options of a class through an object of it."""
    with pytest.raises(AttributeError):
        NumberResource().options.batch_size = 3  # type: ignore[misc]


def test_names_are_taken_from_any_sequence() -> None:
    """Lists of names serve as well as tuples."""

    class Listed(ModelResource):
        class Meta:
            model = Book
            fields = ["id", "title"]  # noqa: RUF012
            export_order = ["title"]  # noqa: RUF012

    assert list(Listed().fields) == ["title", "id"]


# --- what the options do --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", "2024-07-01 23:30:00"),
        ("utc", "2024-07-01 23:30:00"),
        ("Europe/Paris", "2024-07-02 01:30:00"),
        (ZoneInfo("Asia/Kolkata"), "2024-07-02 05:00:00"),
        (timezone(timedelta(hours=-3)), "2024-07-01 20:30:00"),
    ],
)
async def test_timezone(pg_engine: AsyncEngine, zone: Any, expected: str) -> None:
    """Aware datetimes are written in the zone of the option, in both strategies."""

    class Added(ModelResource):
        class Meta:
            model = Book
            fields = ("added",)

    class Instances(Added):
        def iter_queryset(self, queryset: Any) -> Any:
            return super().iter_queryset(queryset)

    engine = await fill(pg_engine)
    queryset = select(Book).where(Book.id == 3)
    for resource_class in (Added, Instances):
        assert await records_of(resource_class(engine, timezone=zone), queryset) == [[expected]]


async def test_the_server_s_zone_changes_nothing(pg_engine: AsyncEngine) -> None:
    """The session's own time zone has no part in what is written."""

    class Added(ModelResource):
        class Meta:
            model = Book
            fields = ("added",)

    engine = await fill(pg_engine)
    queryset = select(Book).where(Book.id == 3)
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SET TIME ZONE 'Asia/Tokyo'")
        assert await records_of(Added(connection), queryset) == [["2024-07-01 23:30:00"]]


@pytest.mark.parametrize("size", [1, 2, 3, 100, None])
async def test_batch_size(size: int | None) -> None:
    """batch_size is how many rows prepare_batch sees, but for the last batch."""
    seen: list[int] = []

    class Counted(NumberResource):
        def prepare_batch(self, batch: Any, **kwargs: Any) -> None:
            seen.append(len(batch))

    await Counted(batch_size=size).export(numbers(7))
    assert sum(seen) == 7
    assert seen == (
        [7] if size in {100, None} else [size] * (7 // size) + [7 % size] * (7 % size > 0)
    )


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("__all__", ["1", "2", "3", "4"]),
        ("-id", ["4", "3", "2", "1"]),
        (("published",), None),
        (("in_print", "-id"), ["4", "2", "3", "1"]),
        (Book.title, None),
        ([func.lower(Book.title).desc()], ["1", "2", "3", "4"]),
        (None, None),
    ],
)
async def test_order_by(library: AsyncEngine, order: Any, expected: list[str] | None) -> None:
    """order_by takes names, -names and expressions; None for no order."""

    class Ordered(BookResource):
        class Meta:
            order_by = order

    out = (await Ordered(library).export())["id"]
    assert sorted(out) == ["1", "2", "3", "4"]
    if expected is not None:
        assert out == expected
    sql = (await Ordered(library).explain()).sql
    assert ("ORDER BY" in sql) is (order is not None)


async def test_a_misspelt_order_names_the_nearest(library: AsyncEngine) -> None:
    """order_by by a name that does not exist is an error."""

    class Ordered(BookResource):
        class Meta:
            order_by = "-titel"

    with pytest.raises(UnknownNameError, match="did you mean 'title'"):
        await Ordered(library).export()


async def test_widgets_of_meta(pg_engine: AsyncEngine) -> None:
    """Meta.widgets gives a field another widget, or its own one other arguments."""

    class Formatted(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "published", "added")
            widgets = {  # noqa: RUF012
                "published": DateWidget(format="%d.%m.%Y"),
                "added": {"format": "%H:%M", "timezone": "Europe/Paris"},
            }

    assert (await records_of(Formatted(await fill(pg_engine))))[0] == ["1", "01.05.1974", "10:05"]


async def test_misspelt_widget_arguments(library: AsyncEngine) -> None:
    """An argument that the widget does not have is an error with the nearest name."""

    class Wrong(BookResource):
        class Meta:
            fields = ("published",)
            widgets = {"published": {"fromat": "%d"}}  # noqa: RUF012

    with pytest.raises(UnknownNameError, match="did you mean 'format'"):
        await Wrong(library).export()


@pytest.mark.parametrize("wrong", [7, BooleanWidget, "CharWidget"])
async def test_what_is_no_widget(library: AsyncEngine, wrong: Any) -> None:
    """A widget in Meta.widgets is an object or a dict of arguments."""

    class Wrong(BookResource):
        class Meta:
            widgets = {"title": wrong}  # noqa: RUF012

    with pytest.raises(ConfigurationError, match="takes a widget or a dict"):
        await Wrong(library).export()


async def test_load(library: AsyncEngine) -> None:
    """Meta.load has relations loaded for hooks without @depends."""

    class Loaded(BookResource):
        class Meta:
            load = (selectinload(Book.author).selectinload(Author.books),)

        def dehydrate_title(self, book: Book) -> str:
            return str(len(book.author.books)) if book.author else "-"

    assert (await Loaded(library).export())["title"] == ["1", "2", "2", "-"]


async def test_native_in_text_formats() -> None:
    """native=True hands typed cells to a text format, which writes them as str()."""
    rows = [{"number": True}, {"number": None}]
    assert await bytes_of(NumberResource(), rows) == b'number\r\n1\r\n""\r\n'
    assert await bytes_of(NumberResource(native=True), rows) == b'number\r\nTrue\r\n""\r\n'


async def test_on_error_in_meta() -> None:
    """A function in Meta is called as it stands, not as a method of Meta."""
    seen: list[int] = []

    class Noting(NumberResource):
        class Meta:
            def on_error(error: RowError) -> None:  # type: ignore[misc]  # noqa: N805
                seen.append(error.row_number)

        def dehydrate_number(self, row: Any) -> float:
            return 1 / int(row["number"] - 2)

    assert len(await Noting().export(numbers(3))) == 2
    assert seen == [2]


def test_display_name() -> None:
    """Meta.name is what the resource is called for people, by default the class's name."""

    class Named(BookResource):
        class Meta:
            name = "All our books"

    assert Named.get_display_name() == "All our books"
    assert BookResource.get_display_name() == "BookResource"


@pytest.mark.parametrize("name", ["max_rows", "timezone", "on_error", "model"])
async def test_options_are_no_keywords_of_an_export(name: str) -> None:
    """An option that is passed to an export would have no effect, and is refused."""
    keywords: dict[str, Any] = {name: 1}
    with pytest.raises(ConfigurationError, match=f"{name} is an option, and goes into NumberR"):
        await NumberResource().export([], **keywords)
