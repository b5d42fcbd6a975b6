"""Tenants: exports that run at once see nothing of each other, on one resource object or on many.

The resource does what people do in one place: it keeps the tenant of the request in an attribute,
changes its fields, and waits between one and the other.
"""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import insert, make_url, select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_export import Field, ModelResource, Resource, depends, stream_workbook
from async_export.web import ExportResponse

TENANTS: Final = ("acme", "globex")

EXPORTS: Final = 50
"""At once, of both tenants in turn."""

ROWS: Final = 20
"""Of each tenant, interleaved in the table."""

current: ContextVar[str] = ContextVar("current", default="nobody")
"""The tenant of the request, as web frameworks keep it."""


class Base(DeclarativeBase):
    """The registry of these models."""


class Invoice(Base):
    """It belongs to a tenant."""

    __tablename__ = "invoice"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    word: Mapped[str]


INVOICES: Final = [
    {"id": number, "tenant": tenant, "word": f"{tenant} {number}"}
    for number, tenant in enumerate(itertools.islice(itertools.cycle(TENANTS), 2 * ROWS), 1)
]


async def pause() -> None:
    """Let others run, for a while that nobody can foresee."""
    await asyncio.sleep(random.random() / 1000)


class TenantHooks:
    """The hooks of a resource that keeps its tenant in attributes."""

    tenant: str
    seen: list[str]
    fields: Any

    async def before_export(self, queryset: Any, **kwargs: Any) -> None:
        """Note whose export this is, and name a column after it."""
        await pause()
        self.tenant = kwargs.get("tenant") or current.get()
        self.seen = []
        self.fields["word"].column_name = f"Word of {self.tenant}"
        self.fields["extra"] = Field("word", column_name=self.tenant)
        await pause()

    async def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
        """Give the tenant's own rows."""
        await pause()
        if isinstance(queryset, list):
            return [row for row in queryset if row["tenant"] == self.tenant]
        return queryset.where(Invoice.tenant == self.tenant)

    async def get_export_headers(self, selected_fields: Any = None) -> Any:
        """Take a while."""
        headers = super().get_export_headers(selected_fields)  # type: ignore[misc]
        await pause()
        return headers

    async def title_records(self, **kwargs: Any) -> Any:
        """Say whose file it is."""
        await pause()
        return [[self.tenant]]

    def footer_records(self, result: Any, **kwargs: Any) -> Any:
        """Say it again."""
        return [[self.tenant, result.rows]]

    async def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> None:
        """What was noted on the way is this export's own."""
        await pause()
        assert set(self.seen) <= {self.tenant}


class ServerResource(TenantHooks, ModelResource):
    """Rendered by PostgreSQL, sent by COPY."""

    class Meta:
        """Options."""

        model = Invoice
        fields = ("id", "tenant", "word")
        batch_size = 7
        chunk_size = 128


class CopyResource(ServerResource):
    """A hook of known reads."""

    @depends("word", "tenant")
    def dehydrate_word(self, row: Any) -> str:
        """Check whose row it is."""
        self.seen.append(row.tenant)
        return f"{row.word} for {self.tenant}"


class CursorResource(ServerResource):
    """The same through a cursor, and with a query of its own."""

    class Meta:
        """Options."""

        hooks_use_database = True

    session: Any

    @depends("id", "tenant")
    async def dehydrate_word(self, row: Any) -> str:
        """Look the word up."""
        self.seen.append(row.tenant)
        await pause()
        word = await self.session.scalar(select(Invoice.word).where(Invoice.id == row.id))
        return f"{word} for {self.tenant}"


class InstanceResource(ServerResource):
    """Mapped objects, several hooks at once."""

    class Meta:
        """Options."""

        infer_reads = False
        hook_concurrency = 4

    async def dehydrate_word(self, invoice: Invoice) -> str:
        """Check whose object it is."""
        self.seen.append(invoice.tenant)
        await pause()
        return f"{invoice.word} for {self.tenant}"


class ListResource(TenantHooks, Resource):
    """Rows at hand, the same list for everybody."""

    id = Field()
    tenant = Field()  # type: ignore[assignment]
    word = Field()

    class Meta:
        """Options."""

        batch_size = 7
        chunk_size = 128

    def get_queryset(self) -> Any:
        """Give all invoices."""
        return INVOICES

    async def dehydrate_word(self, row: Mapping[str, Any]) -> str:
        """Check whose row it is."""
        self.seen.append(row["tenant"])
        await pause()
        return f"{row['word']} for {self.tenant}"


def long(resource_class: type[ServerResource]) -> Any:
    """Leave a case to the long set."""
    return pytest.param(resource_class, marks=pytest.mark.faults)


@pytest.fixture
async def invoices(postgres_url: str, pg_schema: str) -> AsyncIterator[AsyncEngine]:
    """An engine with fewer connections than there are exports."""
    engine = create_async_engine(
        make_url(postgres_url).set(drivername="postgresql+asyncpg"),
        connect_args={"server_settings": {"search_path": pg_schema}},
        pool_size=8,
        max_overflow=0,
    )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(insert(Invoice), INVOICES)
        yield engine
    finally:
        await engine.dispose()


def tenants() -> Iterator[str]:
    """Give the tenant of each export."""
    return itertools.islice(itertools.cycle(TENANTS), EXPORTS)


def check(content: bytes, tenant: str) -> None:
    """Check that a file is one tenant's: all of its rows, and nothing of anybody else."""
    (other,) = set(TENANTS) - {tenant}
    assert other not in content.decode()
    title, header, *rows, footer = csv.reader(io.StringIO(content.decode(), newline=""))
    assert title[0] == footer[0] == tenant
    assert header == ["id", "tenant", f"Word of {tenant}", tenant]
    assert [int(row[0]) for row in rows] == [
        each["id"] for each in INVOICES if each["tenant"] == tenant
    ]
    assert footer[1] == str(len(rows)) == str(ROWS)


async def bytes_for(resource: Resource, **kwargs: Any) -> bytes:
    """Export, and wait between the chunks."""
    async with resource.stream("csv", **kwargs) as stream:
        chunks = []
        async for chunk in stream:
            chunks.append(chunk)
            await pause()
    return b"".join(chunks)


async def check_at_once(resources: Sequence[Resource]) -> None:
    """Export for the tenants in turn, all at once."""
    exports = [
        bytes_for(each, tenant=tenant) for each, tenant in zip(resources, tenants(), strict=True)
    ]
    for content, tenant in zip(await asyncio.gather(*exports), tenants(), strict=True):
        check(content, tenant)


@pytest.mark.parametrize(
    "resource_class", [ServerResource, CopyResource, long(CursorResource), long(InstanceResource)]
)
async def test_one_resource_for_everybody(
    resource_class: type[ServerResource], invoices: AsyncEngine
) -> None:
    """One object serves both tenants at once, and is as it was in the end."""
    resource = resource_class(invoices)
    await check_at_once([resource] * EXPORTS)
    assert not hasattr(resource, "tenant")
    assert list(resource.fields) == ["id", "tenant", "word"]
    assert resource.fields["word"].column_name is None


@pytest.mark.faults
async def test_one_resource_for_each_request(invoices: AsyncEngine) -> None:
    """So do objects of their own, on one sessionmaker."""
    maker = async_sessionmaker(invoices)
    await check_at_once([CopyResource(maker) for _ in range(EXPORTS)])


async def test_rows_at_hand() -> None:
    """So do rows that all exports share."""
    await check_at_once([ListResource()] * EXPORTS)
    await check_at_once([ListResource(hook_concurrency=4)] * EXPORTS)


@pytest.mark.faults
async def test_tenants_of_contexts(invoices: AsyncEngine) -> None:
    """The tenant may be in a context variable, which each task has its own of."""
    resource = CopyResource(invoices)

    async def request(tenant: str) -> bytes:
        current.set(tenant)
        return await bytes_for(resource)

    contents = await asyncio.gather(*map(request, tenants()))
    for content, tenant in zip(contents, tenants(), strict=True):
        check(content, tenant)


async def test_streams_in_turn() -> None:
    """Streams that one task reads in turn, chunk by chunk, are not mixed up."""
    resource = ListResource()
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(resource.stream("csv", tenant=tenant))
            for tenant in tenants()
        ]
        chunks: list[list[bytes]] = [[] for _ in streams]
        unfinished = set(range(EXPORTS))
        while unfinished:
            for place in sorted(unfinished):
                chunk = await anext(streams[place], None)
                if chunk is None:
                    unfinished.discard(place)
                else:
                    chunks[place].append(chunk)
    assert all(len(each) > 2 for each in chunks)
    for made, tenant in zip(chunks, tenants(), strict=True):
        check(b"".join(made), tenant)


async def test_files_and_responses(invoices: AsyncEngine, tmp_path: Path) -> None:
    """Nor are files, responses and workbooks of one resource."""
    resource = CopyResource(invoices)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def respond(tenant: str) -> bytes:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)
            await pause()

        response = ExportResponse(resource, "csv", tenant, tenant=tenant)
        await response({"type": "http", "method": "GET"}, receive, send)
        assert f'filename="{tenant}.csv"' in response.headers["content-disposition"]
        return b"".join(each.get("body", b"") for each in sent)

    async def publish(tenant: str, place: int) -> bytes:
        target = tmp_path / f"{place}.csv"
        result = await resource.export_to(target, tenant=tenant)
        assert result.columns[-1] == tenant
        return target.read_bytes()

    async def sheets(tenant: str) -> None:
        async with stream_workbook({"a": resource, "b": resource}, "ods", tenant=tenant) as stream:
            async for _ in stream:
                await pause()
        assert all(each.columns[-1] == tenant for each in stream.result.sheets.values())

    responses = map(respond, TENANTS * 4)
    files = itertools.starmap(publish, zip(TENANTS * 4, range(8), strict=True))
    contents = await asyncio.gather(*responses, *files)
    for content, tenant in zip(contents, TENANTS * 8, strict=True):
        check(content, tenant)
    await asyncio.gather(*map(sheets, TENANTS * 3))


async def test_a_cancelled_tenant_leaves_others_alone(invoices: AsyncEngine) -> None:
    """Exports that are cancelled among the others take nothing along."""
    resource = InstanceResource(invoices)

    async def cancelled(tenant: str) -> bytes:
        task = asyncio.create_task(bytes_for(resource, tenant=tenant))
        await asyncio.sleep(random.random() / 20)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return b""

    exports = [bytes_for(resource, tenant=tenant) for tenant in TENANTS * 5]
    contents = await asyncio.gather(*exports, *map(cancelled, TENANTS * 5))
    for content, tenant in zip(contents[:10], TENANTS * 5, strict=True):
        check(content, tenant)
