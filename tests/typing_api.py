"""User code as the README has it: mypy alone reads it, to see that it passes.

Hooks may be ``def`` or ``async def``; ``assert_type`` holds what the ways out give.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any, assert_type

import tablib
from library import Book
from sqlalchemy import Integer, Select, select
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
)

from async_export import (
    Explanation,
    ExportResult,
    ExportStream,
    Field,
    ModelResource,
    Resource,
    RowError,
    WorkbookResult,
    WorkbookStream,
    depends,
    export_workbook,
    maybe_await,
    resource_factory,
    stream_workbook,
)
from async_export.formats import CSVEncoder
from async_export.types import Record
from async_export.widgets import CharWidget, ManyToManyWidget, Widget


class PlainResource(ModelResource):
    """Overrides every hook with a ``def``."""

    author = Field("author.name", column_name="Author")
    tags = Field("tags", widget=ManyToManyWidget(field="name"))
    stock = Field(type=Integer())

    class Meta:
        """Its options."""

        model = Book
        fields = ("id", "title", "author", "price", "tags", "stock")

    def before_export(self, queryset: Any, **kwargs: Any) -> None:
        """Change the fields."""
        super().before_export(queryset, **kwargs)
        self.fields["extra"] = Field("title")

    def get_queryset(self) -> Select[tuple[Book]]:
        """Select."""
        return select(Book)

    def filter_export(self, queryset: Select[Any], **kwargs: Any) -> Select[Any]:
        """Filter."""
        return queryset.where(Book.id > 1)

    def get_export_order(self) -> list[str]:
        """Order."""
        return ["id", "title"]

    def get_export_fields(self, selected_fields: Sequence[str] | None = None) -> list[Field]:
        """Choose the fields."""
        fields: list[Field] = super().get_export_fields(selected_fields)
        return fields

    def get_export_headers(self, selected_fields: Sequence[str] | None = None) -> list[str]:
        """Give the headers."""
        return [field.header for field in self.get_export_fields(selected_fields)]

    def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
        """Iterate."""
        return super().iter_queryset(queryset)

    def iter_batches(self, queryset: Any) -> AsyncIterator[Sequence[Any]]:
        """Iterate by batches."""
        return super().iter_batches(queryset)

    def prepare_batch(self, batch: Sequence[Book], **kwargs: Any) -> None:
        """Prepare."""

    def export_resource(
        self, instance: Book, selected_fields: Sequence[str] | None = None, **kwargs: Any
    ) -> Any:
        """Make a record."""
        return super().export_resource(instance, selected_fields, **kwargs)

    def export_field(self, field: Field, instance: Book, **kwargs: Any) -> Any:
        """Make a cell."""
        return super().export_field(field, instance, **kwargs)

    @depends("price", "author.country")
    def dehydrate_price(self, row: Any) -> str:
        """Make the cell of the price."""
        return str(row.price)

    def dehydrate_stock(self, book: Book) -> int:
        """Make the cell of the stock."""
        return book.id

    def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> None:
        """Finish."""
        super().after_export(queryset, result, **kwargs)


class AsyncResource(ModelResource):
    """Overrides every hook that may wait with an ``async def``."""

    class Meta:
        """Its options."""

        model = Book
        fields = ("id", "title", "price")

    async def before_export(self, queryset: Any, **kwargs: Any) -> None:
        """Call the parent, whatever kind of function it is."""
        await maybe_await(super().before_export(queryset, **kwargs))

    async def get_queryset(self) -> Any:
        """Select."""
        return await maybe_await(super().get_queryset())

    async def filter_export(self, queryset: Select[Any], **kwargs: Any) -> Select[Any]:
        """Filter by what the database says."""
        highest = await self.session.scalar(select(Book.id).limit(1))
        return queryset.where(Book.id != highest)

    async def get_export_headers(self, selected_fields: Sequence[str] | None = None) -> list[str]:
        """Give the headers."""
        headers: list[str] = await maybe_await(super().get_export_headers(selected_fields))
        return headers

    async def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
        """Iterate as an async generator."""
        async for book in super().iter_queryset(queryset):
            yield book

    async def iter_batches(self, queryset: Any) -> AsyncIterator[Sequence[Any]]:
        """Iterate by batches as an async generator."""
        async for batch in super().iter_batches(queryset):
            yield batch

    async def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> None:
        """Look up what the batch needs."""
        await maybe_await(super().prepare_batch(batch, **kwargs))

    async def export_resource(
        self, instance: Any, selected_fields: Sequence[str] | None = None, **kwargs: Any
    ) -> Record:
        """Make a record."""
        record: Record = await maybe_await(
            super().export_resource(instance, selected_fields, **kwargs)
        )
        return record

    async def export_field(self, field: Field, instance: Any, **kwargs: Any) -> Any:
        """Make a cell."""
        return await maybe_await(super().export_field(field, instance, **kwargs))

    @depends("title")
    async def dehydrate_title(self, row: Any) -> str:
        """Make the cell of the title."""
        return str(row.title)

    async def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> None:
        """Finish."""
        await maybe_await(super().after_export(queryset, result, **kwargs))


class ReturningResource(Resource):
    """Overrides hooks with a ``def`` that gives an awaitable."""

    def before_export(self, queryset: Any, **kwargs: Any) -> Awaitable[None]:
        """Give an awaitable."""
        return maybe_await(None)

    def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> Awaitable[None] | None:
        """Give an awaitable, or not."""
        return super().after_export(queryset, result, **kwargs)


class Shouting(CharWidget):
    """A widget whose render waits."""

    async def render(self, value: Any, **kwargs: Any) -> str:
        """Give it in capitals."""
        return str(value).upper()


class Plain(Widget):
    """A widget of both cells."""

    def render(self, value: Any, **kwargs: Any) -> str:
        """Give a text."""
        return str(value)

    def native(self, value: Any, **kwargs: Any) -> int:
        """Give a number."""
        return int(value)


class Initial(Field):
    """A field of the user's."""

    def get_value(self, instance: Any) -> Any:
        """Give the first letter."""
        return super().get_value(instance)[0]

    def export(self, instance: Any, **kwargs: Any) -> Any:
        """Make the cell."""
        return super().export(instance, **kwargs)


async def ways_out(engine: AsyncEngine) -> None:
    """Use a resource in every way."""
    resource = PlainResource(engine, timezone="Europe/Paris", on_error="skip")

    assert_type(await resource.export(), tablib.Dataset)
    assert_type(await resource.export(select(Book), fields=["id"], tenant=7), tablib.Dataset)
    assert_type(await resource.export_to("books.csv", tenant=7), ExportResult)
    assert_type(await resource.export_to(Path("books.csv"), overwrite=False), ExportResult)

    stream = resource.stream("csv", fields=("id", "title"), tenant=7)
    assert_type(stream, ExportStream)
    async with stream as entered:
        assert_type(entered, ExportStream)
        async for chunk in entered:
            assert_type(chunk, bytes)
    assert_type(stream.result, ExportResult)
    assert_type(stream.result.rows, int)
    assert_type(stream.result.columns, tuple[str, ...])

    async for record in resource.records(tenant=7):
        assert_type(record, Record)
    assert_type(await resource.explain("csv"), Explanation)
    resource.check()


class ReportResource(PlainResource):
    """Titles by a plain hook, footers by an async one."""

    def title_records(self, **kwargs: Any) -> list[list[str]]:
        """Give a title."""
        return [["Books"]]

    async def footer_records(self, result: ExportResult, **kwargs: Any) -> list[list[int]]:
        """Give the number of rows."""
        return [[result.rows]]


async def workbooks(engine: AsyncEngine) -> None:
    """Export several resources into one file."""
    resources = {
        "Books": PlainResource(engine, headers=lambda field: field.name.upper()),
        "Report": ReportResource(engine),
    }
    result = await export_workbook(resources, "library.xlsx", tenant=7)
    assert_type(result, WorkbookResult)
    assert_type(result.sheets["Books"], ExportResult)
    assert_type(result.rows, int)
    async with stream_workbook(resources, CSVEncoder.excel(delimiter=";")) as stream:
        assert_type(stream, WorkbookStream)
        async for chunk in stream:
            assert_type(chunk, bytes)
    assert_type(stream.result, WorkbookResult)


async def targets(resource: Resource) -> None:
    """Export to everything that takes bytes."""

    async def write(chunk: bytes) -> None:
        pass

    chunks: list[bytes] = []
    await resource.export_to(write, "csv")
    await resource.export_to(chunks.append, "csv")


async def note(error: RowError) -> None:
    """Note a row that failed."""
    assert_type(error.row_number, int)
    assert_type(error.field, str)


def binds(
    engine: AsyncEngine,
    connection: AsyncConnection,
    session: AsyncSession,
    factory: async_sessionmaker[AsyncSession],
) -> list[Resource]:
    """Bind a resource to everything that runs a select."""
    return [
        PlainResource(engine),
        PlainResource(connection, on_error=note),
        PlainResource(session, hook_concurrency=8),
        PlainResource(factory, batch_size=None),
        PlainResource(),
    ]


def made() -> type[ModelResource]:
    """Make a resource class."""
    return resource_factory(
        Book,
        meta_options={"fields": ("id", "title")},
        custom_fields={"title": Initial("title", widget=Shouting())},
        dehydrate_methods={"id": lambda book: book.id},
    )


async def awaited(value: Awaitable[int] | int) -> None:
    """Await what may be awaitable."""
    assert_type(await maybe_await(value), int)
