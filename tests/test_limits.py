"""Limits of rows, bytes, seconds and errors: an error, or an end in good order."""

# ruff: noqa: ASYNC240 - a test may look at files

from __future__ import annotations

import asyncio
import csv
import io
import time
from pathlib import Path
from typing import Any

import pytest
from models import Tag, create
from openpyxl import load_workbook
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from async_export import (
    ConfigurationError,
    ExportResult,
    Field,
    LimitError,
    ModelResource,
    Progress,
    Resource,
    RowError,
    SourceTimeoutError,
    depends,
    export_workbook,
)

ROWS = 300


class TagResource(ModelResource):
    """No hooks: rendered by the server."""

    class Meta:
        """Texts only."""

        model = Tag
        fields = ("id", "name")


class HookedTagResource(TagResource):
    """A hook of known reads."""

    @depends("name")
    def dehydrate_name(self, row: Any) -> str:
        """Shout."""
        return str(row.name).upper()


class AsyncTagResource(TagResource):
    """An async hook."""

    @depends("name")
    async def dehydrate_name(self, row: Any) -> str:
        """Shout."""
        return str(row.name).upper()


class ObjectTagResource(TagResource):
    """A hook that takes the mapped object."""

    class Meta:
        """Its options."""

        infer_reads = False

    def dehydrate_name(self, tag: Tag) -> str:
        """Shout."""
        return str(tag.name).upper()


class FailingTagResource(TagResource):
    """A hook that fails for every tenth row."""

    @depends("id")
    def dehydrate_name(self, row: Any) -> str:
        """Fail."""
        if row.id % 10 == 0:
            raise ValueError(f"tag {row.id}")
        return "x"


RESOURCES = [TagResource, HookedTagResource, AsyncTagResource, ObjectTagResource]


@pytest.fixture
async def tags(engine: AsyncEngine) -> AsyncEngine:
    """An engine to some tags."""
    await create(engine, [Tag(id=i, name=f"tag {i}") for i in range(1, ROWS + 1)])
    return engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_more_rows_are_an_error(
    tags: AsyncEngine, folder: Path, resource_class: type[TagResource]
) -> None:
    """One row too many, and there is no file; not one too many, and there is."""
    path = folder / "tags.csv"
    with pytest.raises(LimitError, match="more rows than max_rows=299") as caught:
        await resource_class(tags, max_rows=ROWS - 1).export_to(path)
    assert (caught.value.option, caught.value.limit) == ("max_rows", ROWS - 1)
    assert list(folder.iterdir()) == []
    result = await resource_class(tags, max_rows=ROWS).export_to(path)
    assert (result.rows, result.stopped) == (ROWS, "")


@pytest.mark.parametrize("on_limit", ["raise", "stop"])
@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_as_many_rows_as_allowed(
    tags: AsyncEngine, resource_class: type[TagResource], on_limit: str
) -> None:
    """Exactly as many rows as allowed are no limit passed, and the bytes are the same."""
    whole = await _bytes(resource_class(tags))
    resource = resource_class(tags, max_rows=ROWS, on_limit=on_limit)
    async with resource.stream("csv") as stream:
        chunks = [chunk async for chunk in stream]
    assert b"".join(chunks) == whole
    assert stream.result.stopped == ""


@pytest.mark.parametrize("batch_size", [None, 1])
@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_stops_after_so_many_rows(
    tags: AsyncEngine, resource_class: type[TagResource], batch_size: int | None
) -> None:
    """The output is that of the first rows alone, whatever strategy and batches."""
    first = select(Tag).where(Tag.id <= 7).order_by(Tag.id)
    for name in ("csv", "json", "html"):
        resource = resource_class(tags, max_rows=7, on_limit="stop", batch_size=batch_size)
        async with resource.stream(name) as stream:
            found = b"".join([chunk async for chunk in stream])
        assert found == await _bytes(resource_class(tags), name, first)
        assert (stream.result.rows, stream.result.stopped) == (7, "max_rows")
    resource = resource_class(tags, max_rows=7, on_limit="stop", batch_size=batch_size)
    assert len(await resource.export()) == 7
    assert len([record async for record in resource.records()]) == 7


async def test_stops_workbook_sheets(tags: AsyncEngine, folder: Path) -> None:
    """A limit of one resource ends its sheet, and the others follow."""
    path = folder / "tags.xlsx"
    resources = {"few": TagResource(tags, max_rows=3, on_limit="stop"), "all": TagResource(tags)}
    result = await export_workbook(resources, path)
    assert [each.rows for each in result.sheets.values()] == [3, ROWS]
    assert result.sheets["few"].stopped == "max_rows"
    book = load_workbook(path, read_only=True)
    assert [len(list(sheet.rows)) for sheet in book.worksheets] == [4, ROWS + 1]
    book.close()


async def test_skipped_rows_are_not_counted(tags: AsyncEngine) -> None:
    """Rows that fail are no part of ``max_rows``; those behind its end are not looked at."""
    for batch_size in (None, 3, 500):
        options: dict[str, Any] = {"on_error": "skip", "batch_size": batch_size}
        resource = FailingTagResource(tags, max_rows=18, on_limit="stop", **options)
        result = await _result(resource)
        assert (result.rows, result.skipped, result.stopped) == (18, 1, "max_rows")


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_more_bytes_are_an_error(
    tags: AsyncEngine, folder: Path, resource_class: type[TagResource]
) -> None:
    """One byte too many, and there is no file; not one too many, and there is."""
    for name in ("csv", "jsonl", "xlsx", "csv.gz"):
        path = folder / f"tags.{name}"
        size = (await _result(resource_class(tags), name)).bytes
        with pytest.raises(LimitError, match="more bytes than max_bytes"):
            await resource_class(tags, max_bytes=size - 1).export_to(path)
        assert list(folder.iterdir()) == []
        result = await resource_class(tags, max_bytes=size).export_to(path)
        assert result.bytes == size
        path.unlink()


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_stops_with_the_record_that_reaches_the_bytes(
    tags: AsyncEngine, resource_class: type[TagResource], batch_size: int | None
) -> None:
    """The same records every time, the last one of which reaches ``max_bytes``."""
    resource = resource_class(tags, max_bytes=100, on_limit="stop", batch_size=batch_size)
    async with resource.stream("csv") as stream:
        found = b"".join([chunk async for chunk in stream])
    lines = found.splitlines(keepends=True)
    assert len(found) >= 100 > len(b"".join(lines[:-1]))
    assert (stream.result.rows, stream.result.stopped) == (len(lines) - 1, "max_bytes")
    assert (await _bytes(resource_class(tags))).startswith(found)


@pytest.mark.parametrize("name", ["xlsx", "parquet", "csv.gz", "xls"])
async def test_formats_that_hold_bytes_back_do_not_stop_at_bytes(
    tags: AsyncEngine, folder: Path, name: str
) -> None:
    """Nobody knows in time how many there are."""
    resource = TagResource(tags, max_bytes=3_000, on_limit="stop")
    with pytest.raises(ConfigurationError, match="holds bytes back"):
        await resource.export_to(folder / f"tags.{name}")
    with pytest.raises(ConfigurationError, match="holds bytes back"):
        await export_workbook({"tags": resource}, folder / "tags.xlsx")
    assert list(folder.iterdir()) == []


class SlowTagResource(TagResource):
    """A hook that takes its time for the row after the first hundred and fifty."""

    @depends("id")
    async def dehydrate_name(self, row: Any) -> str:
        """Wait."""
        await asyncio.sleep(30 if row.id == 151 else 0)
        return f"tag {row.id}"


async def test_deadline_of_a_hook(tags: AsyncEngine, folder: Path) -> None:
    """A hook that takes too long is interrupted: an error, or the rows before."""
    path = folder / "tags.csv"
    began = time.perf_counter()
    with pytest.raises(LimitError, match=r"more seconds than deadline=0\.3"):
        await SlowTagResource(tags, deadline=0.3).export_to(path)
    assert not path.exists()
    resource = SlowTagResource(tags, deadline=0.3, on_limit="stop", batch_size=50)
    result = await resource.export_to(path)
    assert time.perf_counter() - began < 3
    assert (result.rows, result.stopped) == (150, "deadline")
    assert len(list(csv.reader(io.StringIO(path.read_text())))) == 151


async def test_deadline_in_good_order_keeps_what_is_made(tags: AsyncEngine, folder: Path) -> None:
    """Rows that were finished are in the file, counted, and told to hooks of the end."""

    class Counting(TagResource):
        """Takes its time, and counts."""

        total = 0

        @depends("id")
        async def dehydrate_name(self, row: Any) -> str:
            """Wait, or fail."""
            await asyncio.sleep(0.01)
            if row.id == 3:
                raise ValueError
            self.total += 1
            return f"tag {row.id}"

        def footer_records(self, result: ExportResult, **kwargs: Any) -> Any:
            """Tell the count."""
            return [["total", self.total]]

    path = folder / "tags.csv"
    options: dict[str, Any] = {"on_error": "skip", "on_limit": "stop", "deadline": 0.5}
    result = await Counting(tags, **options).export_to(path, manifest=True)
    *rows, total = list(csv.reader(io.StringIO(path.read_text())))[1:]
    assert (result.stopped, result.skipped) == ("deadline", 1)
    assert 5 < result.rows == len(rows)
    assert total == ["total", str(result.rows)]
    assert path.with_name("tags.csv.rejects.csv").exists()


async def test_deadline_in_good_order_leaves_the_transaction(pg_engine: AsyncEngine) -> None:
    """The database is not interrupted: other sheets, hooks and a caller go on."""
    await create(pg_engine, [Tag(id=i, name=f"tag {i}") for i in range(1, ROWS + 1)])
    slow = select(Tag).where(func.pg_sleep(0.002).is_not(None)).order_by(Tag.id)

    class Asking(TagResource):
        """Asks for something at the end."""

        class Meta:
            """Its options."""

            hooks_use_database = True

        async def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> None:
            """Ask."""
            assert await self.session.scalar(select(func.count()).select_from(Tag)) == ROWS

    options: dict[str, Any] = {"deadline": 0.1, "on_limit": "stop", "batch_size": 20}
    for resource in (Asking(pg_engine, **options), TagResource(pg_engine, **options)):
        async with resource.stream("csv", slow) as stream:
            async for _ in stream:
                pass
        assert stream.result.stopped == "deadline" or isinstance(resource, TagResource)
    both: dict[str, Any] = {
        "slow": (Asking(pg_engine, **options), slow),
        "all": TagResource(pg_engine),
    }
    result = await export_workbook(both, io.BytesIO(), "xlsx")
    assert result.sheets["slow"].stopped == "deadline"
    assert result.sheets["all"].rows == ROWS
    async with pg_engine.connect() as connection:
        async with Asking(connection, **options).stream("csv", slow) as stream:
            async for _ in stream:
                pass
        assert await connection.scalar(select(func.count()).select_from(Tag)) == ROWS


async def test_deadline_of_a_reader_that_stands_still(pg_engine: AsyncEngine) -> None:
    """The database is free soon after the deadline, and the reader learns of it."""
    await create(pg_engine, [Tag(id=i, name=f"tag {i}" * 100) for i in range(1, ROWS + 1)])
    resource = TagResource(pg_engine, deadline=0.2, chunk_size=64, batch_size=10)
    held = text(
        "select count(*) from pg_stat_activity where state <> 'idle' and pid <> pg_backend_pid()"
        " and query like '%tag%'"
    )
    with pytest.raises(LimitError, match="deadline"):
        async with resource.stream("json") as stream:
            await anext(stream)
            await asyncio.sleep(1.6)
            async with pg_engine.connect() as connection:
                assert await connection.scalar(held) == 0
            async for _ in stream:
                pass


async def test_deadline_of_a_slow_reader(tags: AsyncEngine) -> None:
    """The time of whoever takes the chunks counts, too."""
    resource = TagResource(tags, deadline=0.2, chunk_size=64)
    with pytest.raises(LimitError, match="deadline"):
        async with resource.stream("csv") as stream:
            async for _ in stream:
                await asyncio.sleep(0.3)


async def test_deadline_before_the_first_row(tags: AsyncEngine) -> None:
    """There is nothing to end in good order: it is an error in any case."""

    class Waiting(TagResource):
        """Never comes to its first row."""

        async def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
            """Wait."""
            await asyncio.sleep(30)
            return queryset

    for on_limit in ("raise", "stop"):
        with pytest.raises(LimitError, match="deadline"):
            await Waiting(tags, deadline=0.1, on_limit=on_limit).export()


@pytest.mark.parametrize("resource_class", RESOURCES)
async def test_deadline_of_the_database(
    pg_engine: AsyncEngine, folder: Path, resource_class: type[TagResource]
) -> None:
    """A query that takes too long is interrupted, and the connection comes back."""
    await create(pg_engine, [Tag(id=i, name=f"tag {i}") for i in range(1, ROWS + 1)])
    path = folder / "tags.csv"
    slow = select(Tag).where(func.pg_sleep(0.01).is_not(None)).order_by(Tag.id)
    began = time.perf_counter()
    with pytest.raises(LimitError, match="deadline"):
        await resource_class(pg_engine, deadline=0.3).export_to(path, "csv", slow)
    with pytest.raises(SourceTimeoutError, match="read_timeout") as caught:
        await resource_class(pg_engine, read_timeout=0.3).export_to(path, "csv", slow)
    assert caught.value.setting == "read_timeout"
    assert time.perf_counter() - began < 3
    assert not path.exists()
    assert pg_engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    result = await resource_class(pg_engine, deadline=30, read_timeout=30).export_to(path)
    assert result.rows == ROWS


async def test_read_timeout_is_not_about_the_reader(tags: AsyncEngine) -> None:
    """Only the database is measured, not hooks nor whoever takes the chunks."""
    resource = TagResource(tags, read_timeout=0.5, chunk_size=4_096)
    async with resource.stream("csv") as stream:
        await anext(stream)
        await asyncio.sleep(0.7)
        async for _ in stream:
            pass
    assert stream.result.rows == ROWS


async def test_max_errors(tags: AsyncEngine, folder: Path) -> None:
    """More failing rows than allowed stop the export; as many do not."""
    path = folder / "tags.csv"
    with pytest.raises(LimitError, match="more failing rows than max_errors=29") as caught:
        await FailingTagResource(tags, on_error="skip", max_errors=29).export_to(path)
    assert isinstance(caught.value.__cause__, RowError)
    assert list(folder.iterdir()) == []
    resource = FailingTagResource(tags, on_error="skip", max_errors=30)
    assert (await resource.export_to(path)).skipped == 30
    with pytest.raises(LimitError):
        await FailingTagResource(tags, on_error=lambda _: None, max_errors=0).export()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_bytes", 0),
        ("max_bytes", 1.5),
        ("deadline", 0),
        ("deadline", "1"),
        ("deadline", float("nan")),
        ("read_timeout", -1),
        ("max_errors", -1),
        ("on_limit", "ignore"),
        ("deferrable", 1.5),
        ("progress", "print"),
    ],
    ids=str,
)
def test_impossible_limits(name: str, value: Any) -> None:
    """An impossible value says what is possible."""
    with pytest.raises(ConfigurationError, match=name):
        TagResource(**{name: value})


class NumbersResource(Resource):
    """Objects at hand."""

    n = Field()


async def test_progress_of_objects() -> None:
    """It is told at most ten times a second and at the end, with the total where it is known."""
    told: list[Progress] = []

    class Slow(NumbersResource):
        """Takes a millisecond a row."""

        async def dehydrate_n(self, row: Any) -> int:
            """Wait."""
            await asyncio.sleep(0.001)
            return int(row["n"])

    rows = [{"n": n} for n in range(400)]
    began = time.perf_counter()
    resource = Slow(progress=told.append, batch_size=10)
    async with resource.stream("csv", rows) as stream:
        async for _ in stream:
            pass
    seconds = time.perf_counter() - began
    assert 2 <= len(told) <= seconds * 10 + 1
    assert told[-1] == Progress(400, stream.result.bytes, 400, told[-1].elapsed)
    assert [each.rows for each in told] == sorted(each.rows for each in told)
    assert all(each.total == 400 for each in told)


async def test_progress_of_queries(tags: AsyncEngine, folder: Path) -> None:
    """An async function is awaited; nobody knows how many rows a query will have."""
    told: list[Progress] = []

    async def tell(progress: Progress) -> None:
        await asyncio.sleep(0)
        told.append(progress)

    result = await TagResource(tags, progress=tell).export_to(folder / "tags.csv")
    assert told[-1] == Progress(ROWS, result.bytes, None, told[-1].elapsed)
    told.clear()
    await TagResource(tags, progress=tell).export()
    assert (told[-1].rows, told[-1].bytes) == (ROWS, 0)


async def test_progress_that_fails(tags: AsyncEngine, folder: Path) -> None:
    """Its exception is the export's, and there is no file."""

    def fail(_: Progress) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await TagResource(tags, progress=fail).export_to(folder / "tags.csv")
    assert list(folder.iterdir()) == []


async def test_logging(tags: AsyncEngine, caplog: pytest.LogCaptureFixture) -> None:
    """What is done is logged under ``async_export``, and no cell."""
    caplog.set_level("INFO", "async_export")
    with pytest.raises(RowError):
        await FailingTagResource(tags).export()
    await FailingTagResource(tags, on_error="skip").export()
    logged = [(each.name.partition(".")[0], each.getMessage()) for each in caplog.records]
    assert {name for name, _ in logged} == {"async_export"}
    messages = [message for _, message in logged]
    assert any(each.startswith("FailingTagResource: rows, rows arrive by ") for each in messages)
    assert any("RowError after 0 rows" in each for each in messages)
    assert any("270 rows, 30 skipped" in each for each in messages)
    assert "tag 10" not in caplog.text


async def _bytes(resource: Resource, name: str = "csv", queryset: Any = None) -> bytes:
    async with resource.stream(name, queryset) as stream:
        return b"".join([chunk async for chunk in stream])


async def _result(resource: Resource, name: str = "csv") -> ExportResult:
    async with resource.stream(name) as stream:
        async for _ in stream:
            pass
    return stream.result
