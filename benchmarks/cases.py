"""Our own cases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from async_export import ExportResult, Field, ModelResource, ResourceOptions, depends
from async_export.demo import City, CityResource
from async_export.urls import engine_from_url
from benchmarks.case import Case, Job, Opener, Ready, Told
from benchmarks.models import item_model
from benchmarks.tables import column_names

__all__ = ("CASES", "PAUSE")

PAUSE: Final = 0.005
"""Seconds that a hook takes which looks something up."""

_INFERS = any(field.name == "infer_reads" for field in fields(ResourceOptions))


class PriceHook:
    """One hook, of known reads."""

    @depends("price")
    def dehydrate_price(self, row: Any) -> str:
        """Give a price."""
        return f"{row.price:.2f} EUR"


class ThreeHooks:
    """Three hooks, of known reads."""

    @depends("name")
    def dehydrate_name(self, row: Any) -> str:
        """Give a name in capitals."""
        return str(row.name).upper()

    @depends("price")
    def dehydrate_price(self, row: Any) -> str:
        """Give a price with commas."""
        return f"{row.price:,.2f}"

    @depends("created")
    def dehydrate_created(self, row: Any) -> str:
        """Give a date as it is spelt in Germany."""
        return str(row.created.strftime("%d.%m.%Y %H:%M"))


class AsyncHook:
    """A hook that could wait, but does not."""

    @depends("price")
    async def dehydrate_price(self, row: Any) -> str:
        """Give a price."""
        return f"{row.price:.2f} EUR"


class WaitingHook:
    """A hook that waits for something."""

    @depends("price")
    async def dehydrate_price(self, row: Any) -> str:
        """Give a price."""
        await asyncio.sleep(PAUSE)
        return f"{row.price:.2f} EUR"


class InstanceHook:
    """A hook that receives the mapped object."""

    def dehydrate_price(self, item: Any) -> str:
        """Give a price."""
        return f"{item.price:.2f} EUR"


class PlainCityResource(ModelResource):
    """The cities of the demo without its hook."""

    country = Field("country.name")

    class Meta:
        """As in the demo."""

        model = City
        exclude = ("country_code",)
        export_order = ("id", "name", "country")


def _item_resource(columns: int, hooks: type, meta: dict[str, Any]) -> type[ModelResource]:
    """Write a resource of the items, with hooks."""
    options = {"model": item_model(columns), "fields": column_names(columns), **meta}
    return type("ItemResource", (hooks, ModelResource), {"Meta": type("Meta", (), options)})


class NoHooks:
    """Nothing to be done in Python."""


@asynccontextmanager
async def _resource(
    job: Job, hooks: type = NoHooks, cities: type[ModelResource] | None = None, **meta: Any
) -> AsyncIterator[ModelResource]:
    engine = engine_from_url(job.url)
    try:
        yield (cities or _item_resource(job.columns, hooks, meta))(engine)
    finally:
        await engine.dispose()


def _first(resource: ModelResource, limit: int | None) -> Any:
    """Give the queryset of the first rows; None for the resource's own."""
    if limit is None:
        return None
    model = resource.options.model
    return select(model).order_by(model.id).limit(limit)


def _how(result: ExportResult) -> str:
    return f"{result.strategy}, {result.transport}"


def _to_file(name: str, hooks: type = NoHooks, **more: Any) -> Opener:
    """Make a case of ``export_to``, in the format *name*."""

    @asynccontextmanager
    async def opened(job: Job) -> AsyncIterator[Ready]:
        async with _resource(job, hooks, **more) as resource:

            async def export(limit: int | None, path: Path) -> Told:
                result = await resource.export_to(path, name, _first(resource, limit))
                return Told(result.rows, _how(result))

            async def first() -> float:
                began = time.perf_counter()
                async with resource.stream(name) as stream:
                    await anext(stream)
                    return time.perf_counter() - began

            yield Ready(export, first)

    return opened


@asynccontextmanager
async def _dataset(job: Job) -> AsyncIterator[Ready]:
    async with _resource(job) as resource:

        async def export(limit: int | None, _path: Path) -> Told:
            return Told(len(await resource.export(_first(resource, limit))))

        yield Ready(export)


@asynccontextmanager
async def _records(job: Job) -> AsyncIterator[Ready]:
    async with _resource(job) as resource:

        async def export(limit: int | None, _path: Path) -> Told:
            rows = 0
            async with aclosing(resource.records(_first(resource, limit))) as records:
                async for _ in records:
                    rows += 1
            return Told(rows)

        yield Ready(export)


_YAML_ROWS: Final = 100_000
"""YAML takes many times as long as the others."""

_FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "csv": (),
    "csv-excel": (),
    "csv.gz": (),
    "csv.zip": (),
    "csv.zst": (),
    "tsv": (),
    "tsv-excel": (),
    "json": (),
    "jsonl": (),
    "xlsx": (),
    "ods": (),
    "html": (),
    "markdown": (),
    "yaml": ("yaml",),
    "sql": (),
    "postgresql": (),
    "parquet": ("pyarrow.parquet",),
    "arrow": ("pyarrow.ipc",),
    "arrows": ("pyarrow.ipc",),
}
"""The formats that stream, and what they import."""

CASES: Final = {
    "server": Case(
        title="csv, no hook", open=_to_file("csv"), file="plain", expected="server, copy"
    ),
    "hook": Case(
        title="csv, one hook",
        open=_to_file("csv", PriceHook),
        file="priced",
        expected="rows, copy",
    ),
    "async-hook": Case(
        title="csv, one async hook",
        open=_to_file("csv", AsyncHook),
        file="priced",
        expected="rows, copy",
    ),
    "three-hooks": Case(
        title="csv, three hooks",
        open=_to_file("csv", ThreeHooks),
        file="hooks",
        expected="rows, copy",
    ),
    "cursor": Case(
        title="csv, one hook that may query",
        open=_to_file("csv", PriceHook, hooks_use_database=True),
        file="priced",
        expected="rows, cursor",
    ),
    "instances": Case(
        title="csv, one hook on mapped objects",
        open=_to_file("csv", InstanceHook, **({"infer_reads": False} if _INFERS else {})),
        file="priced",
        expected="instances, stream",
    ),
    "jsonl": Case(
        title="jsonl, no hook", open=_to_file("jsonl"), file="jsonl", expected="server, copy"
    ),
    "records": Case(title="records(), counted", open=_records),
    "dataset": Case(title="export() to a Dataset", open=_dataset, most_rows=100_000),
    "sqlite": Case(
        title="csv, no hook, from SQLite",
        open=_to_file("csv"),
        modules=("aiosqlite",),
        source="sqlite",
        file="plain",
        expected="rows, stream",
    ),
    "cities": Case(
        title="cities: csv, no hook",
        open=_to_file("csv", cities=PlainCityResource),
        source="cities",
        against="copy-cities",
        file="cities",
        expected="server, copy",
    ),
    "cities-hook": Case(
        title="cities: csv, the demo's async hook",
        open=_to_file("csv", cities=CityResource),
        source="cities",
        against="copy-cities",
        file="offsets",
        expected="rows, copy",
    ),
    **{
        f"export-{name}": Case(
            title="from PostgreSQL",
            open=_to_file(name),
            modules=modules,
            against="",
            format=name,
            file="own",
            most_rows=_YAML_ROWS if name == "yaml" else None,
        )
        for name, modules in _FORMATS.items()
    },
    "wait-1": Case(
        title="5 ms hook, row by row",
        open=_to_file("csv", WaitingHook),
        against="",
        file="priced",
        most_rows=2_000,
    ),
    "wait-32": Case(
        title="5 ms hook, hook_concurrency=32",
        open=_to_file("csv", WaitingHook, hook_concurrency=32),
        against="",
        file="priced",
        most_rows=2_000,
    ),
}
"""Our own cases, by key."""
