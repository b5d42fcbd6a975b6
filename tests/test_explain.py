"""What explain() tells, and that it is true."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from library import (
    AUTHORS,
    Author,
    Book,
    BookResource,
    NumberResource,
    Tag,
    bytes_of,
    fill,
    numbers,
)
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from async_export import (
    Explanation,
    Field,
    ModelResource,
    Resource,
    UnknownNameError,
    depends,
)
from async_export.widgets import CharWidget, ManyToManyWidget


@pytest.fixture
async def library(engine: AsyncEngine) -> AsyncEngine:
    """The library, in each of the databases."""
    return await fill(engine)


class TaggedResource(ModelResource):
    """Has every sort of field that SQL can select."""

    class Meta:
        """Its options."""

        model = Book
        fields = ("id", "title", "author.name", "price", "tags", "details.pages")

    tags = Field("tags", widget=ManyToManyWidget(field="name"))


async def test_a_resource_without_hooks_needs_rows_only(pg_engine: AsyncEngine) -> None:
    """Columns, to-one paths, JSON keys and to-many fields need no mapped object."""
    explanation = await TaggedResource(await fill(pg_engine)).explain()
    assert isinstance(explanation, Explanation)
    assert explanation.strategy == "rows"
    assert explanation.transport == "cursor"
    assert explanation.reasons == ("no COPY: details is no plain column",)
    assert [each.name for each in explanation.fields] == list(TaggedResource().fields)
    assert explanation.sql.count("LEFT OUTER JOIN") == 1
    assert "string_agg" in explanation.sql


async def test_to_many_fields_need_instances_elsewhere(sqlite_engine: AsyncEngine) -> None:
    """Without PostgreSQL a to-many field needs mapped objects, and explain says so."""
    explanation = await TaggedResource(await fill(sqlite_engine)).explain()
    assert explanation.strategy == "instances"
    assert explanation.reasons == (
        "tags: tags has many objects, aggregated in SQL on PostgreSQL only",
    )


class Lowered(CharWidget):
    """A widget of the user's."""

    def render(self, value: Any, **kwargs: Any) -> str:
        """Give it in small letters."""
        return str(value).lower()


class Initial(Field):
    """A field that overrides get_value."""

    def get_value(self, instance: Any) -> Any:
        """Give the first letter."""
        return super().get_value(instance)[0]


def reading(*paths: str) -> Any:
    """Make a dehydrate method that declares *paths*, or nothing."""

    def dehydrate_title(self: Any, book: Any) -> str:
        return "title"

    return depends(*paths)(dehydrate_title) if paths else dehydrate_title


def preparing(*paths: str) -> Any:
    """Make a prepare_batch that declares *paths*, or nothing."""

    def prepare_batch(self: Any, batch: Sequence[Any], **kwargs: Any) -> None:
        pass

    return depends(*paths)(prepare_batch) if paths else prepare_batch


def passing(name: str) -> Any:
    """Make an overriding of a hook that only calls its parent."""
    parent = getattr(BookResource, name)

    def hook(self: Any, *args: Any, **kwargs: Any) -> Any:
        return parent(self, *args, **kwargs)

    return hook


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, None),
        ({"title": Field(widget=Lowered())}, None),
        ({"dehydrate_title": reading("title", "author.name")}, None),
        ({"prepare_batch": preparing("title")}, None),
        ({"before_export": lambda self, queryset, **kwargs: None}, None),
        ({"filter_export": lambda self, queryset, **kwargs: queryset}, None),
        ({"after_export": lambda self, queryset, result, **kwargs: None}, None),
        ({"dehydrate_title": reading()}, r"title: dehydrate_title has no @depends\(\.\.\.\)"),
        ({"title": Field(dehydrate_method=lambda book: "")}, r"title: <lambda> has no @depends"),
        ({"prepare_batch": preparing()}, r"prepare_batch has no @depends"),
        ({"title": Initial()}, "title: Initial overrides export or get_value"),
        ({"title": Field("shelf")}, "title: shelf is an attribute of Python, not a column"),
        ({"dehydrate_title": reading("shelf")}, "reads shelf, which is no column"),
        ({"dehydrate_title": reading("tags")}, "reads tags, which is no column"),
        *(
            ({name: passing(name)}, f"{name} is overridden")
            for name in ("export_resource", "export_field", "iter_queryset", "iter_batches")
        ),
    ],
)
async def test_reasons(sqlite_engine: AsyncEngine, members: dict[str, Any], reason: str) -> None:
    """Explain says what makes mapped objects necessary; and the export comes to the same."""
    resource = type("Some", (BookResource,), members)(await fill(sqlite_engine))
    explanation = await resource.explain()
    if reason is None:
        assert (explanation.strategy, explanation.reasons) == ("rows", ())
    else:
        assert explanation.strategy == "instances"
        assert any(re.search(reason, each) for each in explanation.reasons)
        assert f"because:   {explanation.reasons[0]}" in str(explanation)
    async with resource.stream("csv") as stream:
        _ = [chunk async for chunk in stream]
    assert stream.result.strategy == explanation.strategy
    assert stream.result.transport == explanation.transport


@pytest.mark.parametrize(
    "queryset",
    [
        select(Book).distinct(),
        select(Book).group_by(Book.id),
        select(Book, Tag),
        select(Book).from_statement(text("SELECT * FROM book")),
    ],
    ids=["distinct", "grouped", "two entities", "from_statement"],
)
async def test_querysets_that_keep_their_columns(library: AsyncEngine, queryset: Any) -> None:
    """A queryset whose columns cannot be replaced needs mapped objects."""
    explanation = await BookResource(library).explain("csv", queryset)
    assert explanation.strategy == "instances"
    assert any("keeps its columns" in reason for reason in explanation.reasons)


async def test_only_what_is_exported_is_selected(library: AsyncEngine) -> None:
    """The rows strategy selects the columns of the fields, the reads of hooks, and the key."""

    class Some(BookResource):
        class Meta:
            fields = ("title", "stars")

        stars = Field()

        @depends("price")
        def dehydrate_stars(self, row: Any) -> str:
            return "*" * int(row.price or 0)

    sql = (await Some(library).explain()).sql.split("FROM")[0]
    assert all(f"book.{name}" in sql for name in ("title", "price", "id"))
    assert not any(f"book.{name}" in sql for name in ("details", "published", "author_id"))


async def test_fields_are_explained(library: AsyncEngine) -> None:
    """Each field tells who renders it, why, and what it reads."""

    class Mixed(BookResource):
        class Meta:
            fields = ("id", "title", "price", "author.name")

        title = Field(column_name="Title", widget=Lowered())

        @depends("price", "author.country")
        def dehydrate_price(self, row: Any) -> str:
            return ""

    fields = (await Mixed(library).explain()).fields
    on_server = library.dialect.name == "postgresql"
    author = "PostgreSQL" if on_server else "CharWidget"
    assert [(f.name, f.header, f.rendered_by, f.reads) for f in fields] == [
        ("id", "id", "PostgreSQL" if on_server else "IntegerWidget", ("id",)),
        ("title", "Title", "Lowered", ("title",)),
        ("price", "price", "dehydrate_price", ("price", "author.country")),
        ("author.name", "author.name", author, ("author.name",)),
    ]
    why = "no SQL gives the text of Lowered() for varchar" if on_server else "text column"
    assert fields[1].why == why
    assert fields[2].why == "@depends('price', 'author.country')"


async def test_the_table(library: AsyncEngine) -> None:
    """str() gives lines for people: strategy, transport, a table of the fields, the SQL."""
    explanation = await BookResource(library).explain()
    lines = str(explanation).splitlines()
    on_server = library.dialect.name == "postgresql"
    assert lines[0] == f"strategy:  {'server' if on_server else 'rows'}"
    assert lines[1] == f"transport: {'copy' if on_server else 'stream'}"
    assert lines[3].split() == ["field", "header", "rendered", "by", "why", "reads"]
    assert [line.split()[:3] for line in lines[5:7]] == [
        ["id", "id", "PostgreSQL" if on_server else "IntegerWidget"],
        ["title", "title", "PostgreSQL" if on_server else "CharWidget"],
    ]
    assert lines[8].startswith("SELECT")
    assert not any(line != line.rstrip() for line in lines[:8])


async def test_values_are_not_shown(library: AsyncEngine) -> None:
    """The SQL has placeholders for what may be confidential."""
    queryset = select(Book).where(Book.title == "confidential", Book.id.in_([1, 2]))
    assert "confidential" not in str(await BookResource(library).explain("csv", queryset))


async def test_iterables_have_no_sql() -> None:
    """For objects at hand there is no statement, and nothing is taken of an iterator."""
    rows = iter(numbers(3))
    explanation = await NumberResource().explain("csv", rows)
    assert (explanation.sql, explanation.transport) == ("", "iterable")
    assert len(list(rows)) == 3


async def test_explaining_fetches_nothing(pg_engine: AsyncEngine) -> None:
    """explain() of a select that would wait for long is quick, and leaves no connection open."""
    engine = await fill(pg_engine)
    queryset = select(Book).where(func.pg_sleep(30).is_not(None))
    assert (await BookResource(engine).explain("csv", queryset)).sql
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_statement_of_columns(library: AsyncEngine) -> None:
    """A select of columns, and text, are exported as they stand."""

    class Names(Resource):
        class Meta:
            fields = "__all__"

    columns = select(Author.name).order_by(Author.id)
    table = select(Author.__table__.c.name).order_by(Author.__table__.c.id)
    for queryset in (columns, table, text("SELECT name FROM author ORDER BY id")):
        explanation = await Names(library).explain("csv", queryset)
        assert (explanation.strategy, explanation.fields[0].name) == ("rows", "name")
        lines = (await bytes_of(Names(library), queryset)).decode().split("\r\n")
        assert lines[1:-1] == [author["name"] for author in AUTHORS]


async def test_misspelt_names(library: AsyncEngine) -> None:
    """explain() refuses what the export would."""
    with pytest.raises(UnknownNameError):
        await BookResource(library).explain("cvs")
    with pytest.raises(UnknownNameError):
        await BookResource(library).explain(fields=["titel"])
