"""Several resources in one file, from one snapshot."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from library import (
    AUTHORS,
    BOOKS,
    Author,
    Book,
    BookResource,
    NumberResource,
    fill,
    numbers,
)
from python_calamine import CalamineWorkbook
from sqlalchemy import delete, event, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from async_export import (
    ConfigurationError,
    ExportError,
    ExportResult,
    Field,
    FormatLimitError,
    ModelResource,
    RowError,
    UnknownNameError,
    depends,
    export_workbook,
    stream_workbook,
)
from async_export.formats import CSVEncoder, XLSXEncoder, ZipEncoder


@pytest.fixture
async def library(engine: AsyncEngine) -> AsyncEngine:
    """The library, in each database."""
    return await fill(engine)


class AuthorResource(ModelResource):
    """The second sheet."""

    class Meta:
        """Its options."""

        model = Author
        fields = ("id", "name", "country")


class CountedResource(NumberResource):
    """Numbers at hand."""

    def get_queryset(self) -> Any:
        """Give them."""
        return numbers(3)


def sheets(made: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """Read a workbook."""
    return {sheet.title: list(sheet.values) for sheet in openpyxl.load_workbook(io.BytesIO(made))}


async def stream_of(resources: Any, name: Any = "xlsx", **kwargs: Any) -> bytes:
    """Give all bytes of a workbook."""
    async with stream_workbook(resources, name, **kwargs) as stream:
        return b"".join([chunk async for chunk in stream])


async def test_sheets(library: AsyncEngine, tmp_path: Path) -> None:
    """Each resource is a sheet under its name, in order; the result tells of all of them."""
    path = tmp_path / "library.xlsx"
    resources = {
        "Books": BookResource(library),
        "Authors": AuthorResource(library),
        "Numbers": CountedResource(),
    }
    result = await export_workbook(resources, path)
    read = sheets(path.read_bytes())
    assert list(read) == ["Books", "Authors", "Numbers"]
    assert read["Books"] == [("id", "title"), *((b["id"], b["title"]) for b in BOOKS)]
    assert read["Authors"] == [("id", "name", "country"), *(tuple(a.values()) for a in AUTHORS)]
    assert read["Numbers"] == [("number",), (1,), (2,), (3,)]
    assert result.bytes == path.stat().st_size
    assert [each.rows for each in result.sheets.values()] == [4, 3, 3]
    assert (result.rows, result.skipped, result.escaped, result.cut) == (10, 0, 0, 0)
    assert result.format == "xlsx"


async def test_open_document(library: AsyncEngine, tmp_path: Path) -> None:
    """Sheets of ods are the same."""
    path = tmp_path / "library.ods"
    await export_workbook(
        {"Books": BookResource(library), "Authors": AuthorResource(library)}, path
    )
    read = CalamineWorkbook.from_path(path)
    assert read.sheet_names == ["Books", "Authors"]
    assert read.get_sheet_by_name("Authors").to_python()[1][:2] == [1, "Ursula K. Le Guin"]


@pytest.mark.parametrize(
    ("name", "format_name", "files"),
    [
        ("library.zip", None, ["Books.csv", "Authors.csv"]),
        ("library.zip", "jsonl", ["Books.jsonl", "Authors.jsonl"]),
        ("library.zip", "xlsx", ["Books.xlsx", "Authors.xlsx"]),
        ("library.zip", "parquet", ["Books.parquet", "Authors.parquet"]),
        ("library.tsv.zip", None, ["Books.tsv", "Authors.tsv"]),
        ("library.zip", CSVEncoder(delimiter=";"), ["Books.csv", "Authors.csv"]),
    ],
)
async def test_archives(
    library: AsyncEngine, tmp_path: Path, name: str, format_name: Any, files: list[str]
) -> None:
    """Any format becomes files of an archive, each with the bytes of an export of its own."""
    resources: dict[str, ModelResource] = {
        "Books": BookResource(library),
        "Authors": AuthorResource(library),
    }
    result = await export_workbook(resources, tmp_path / name, format_name)
    with zipfile.ZipFile(tmp_path / name) as archive:
        assert archive.namelist() == files
        assert archive.testzip() is None
        for file, resource in zip(files, resources.values(), strict=True):
            alone = tmp_path / file
            await resource.export_to(alone, None if format_name is None else format_name)
            assert archive.read(file) == alone.read_bytes()
    assert result.rows == len(BOOKS) + len(AUTHORS)


async def test_one_snapshot(library: AsyncEngine) -> None:
    """What is committed between two sheets is in neither of them."""
    if library.dialect.name == "sqlite":
        pytest.skip("SQLite lets nobody write while it is read")
    seen: list[str] = []

    class Disturbing(BookResource):
        async def footer_records(self, result: ExportResult, **kwargs: Any) -> list[list[Any]]:
            async with library.begin() as other:
                await other.execute(insert(Author).values(id=9, name="Late"))
                await other.execute(delete(Author).where(Author.id == 3))
            seen.append("disturbed")
            return []

    made = await stream_of({"Books": Disturbing(library), "Authors": AuthorResource(library)})
    assert [row[1] for row in sheets(made)["Authors"][1:]] == [each["name"] for each in AUTHORS]
    assert seen == ["disturbed"]


async def test_one_connection(library: AsyncEngine) -> None:
    """All resources share one connection, which is given back."""
    taken: list[Any] = []
    event.listen(library.sync_engine, "checkout", lambda *_: taken.append(1))
    await stream_of({"A": BookResource(library), "B": AuthorResource(library)})
    assert len(taken) == 1
    assert library.pool.checkedout() == 0  # type: ignore[attr-defined]  # of the pool in use


@pytest.mark.parametrize("of", ["session", "connection", "sessionmaker"])
async def test_other_binds(library: AsyncEngine, of: str) -> None:
    """Sessions and connections of the caller's serve as well."""
    if of == "sessionmaker":
        maker = async_sessionmaker(library)
        made = await stream_of({"A": BookResource(maker), "B": AuthorResource(maker)})
    elif of == "session":
        async with async_sessionmaker(library)() as session:
            made = await stream_of({"A": BookResource(session), "B": AuthorResource(session)})
    else:
        async with library.connect() as connection:
            made = await stream_of({"A": BookResource(connection), "B": AuthorResource(connection)})
    assert [len(rows) for rows in sheets(made).values()] == [5, 4]


async def test_different_databases_are_refused(library: AsyncEngine) -> None:
    """One snapshot is of one database."""
    other = create_async_engine("sqlite+aiosqlite://")
    with pytest.raises(ConfigurationError, match="different binds"):
        stream_workbook({"A": BookResource(library), "B": BookResource(other)})


async def test_all_is_prepared_before_the_first_byte(library: AsyncEngine) -> None:
    """What is wrong with the last resource shows on entering, with its name."""

    class Wrong(AuthorResource):
        def before_export(self, queryset: Any, **kwargs: Any) -> None:
            raise ConfigurationError("not today")

    stream = stream_workbook({"A": BookResource(library), "B": Wrong(library)})
    with pytest.raises(ConfigurationError, match="not today") as caught:
        await stream.__aenter__()
    assert caught.value.__notes__ == ["in 'B'"]
    assert library.pool.checkedout() == 0  # type: ignore[attr-defined]  # of the pool in use


async def test_columns_of_all_are_checked_before_the_first_byte() -> None:
    """What the format cannot hold of the last table is told on entering, too."""

    class Twice(NumberResource):
        other = Field("number", column_name="number")

    stream = stream_workbook({"A": CountedResource(), "B": (Twice(), numbers(1))}, "json")
    with pytest.raises(ConfigurationError, match="two columns have the header 'number'") as caught:
        await stream.__aenter__()
    assert caught.value.__notes__ == ["in 'B'"]


async def test_querysets_of_sheets(library: AsyncEngine) -> None:
    """A resource may come with its queryset; what means one resource is no keyword."""
    first = select(Book).where(Book.id == 1)
    made = await stream_of({"A": (BookResource(library), first), "B": AuthorResource(library)})
    assert [len(rows) for rows in sheets(made).values()] == [2, 4]
    for keyword in ("fields", "queryset", "export_fields"):
        with pytest.raises(ConfigurationError, match=f"{keyword} is of one resource"):
            stream_workbook({"A": BookResource(library)}, "xlsx", **{keyword: ["id"]})


async def test_one_connection_decodes_in_one_way(library: AsyncEngine) -> None:
    """Options that are of the connection cannot differ."""
    resources = {
        "A": BookResource(library),
        "B": BookResource(library, on_unrepresentable="null"),
    }
    with pytest.raises(ConfigurationError, match="same on_unrepresentable"):
        stream_workbook(resources)


async def test_counts_are_of_each_sheet() -> None:
    """Cells that were escaped count for the sheet where they are, in its footers, too."""
    told: list[int] = []

    class Text(NumberResource):
        def footer_records(self, result: ExportResult, **kwargs: Any) -> list[list[Any]]:
            told.append(result.escaped)
            return []

    rows = [{"number": "=1"}, {"number": "@x"}]
    resources = {"A": (Text(), rows), "B": (Text(), rows[:1])}
    async with stream_workbook(resources, CSVEncoder.excel()) as stream:
        assert [chunk async for chunk in stream]
    assert told == [each.escaped for each in stream.result.sheets.values()] == [2, 1]
    assert stream.result.escaped == 3


async def test_names_that_no_sheet_can_have(library: AsyncEngine) -> None:
    """Names are made fit, and stay apart."""
    made = await stream_of(
        {
            "a/b": BookResource(library),
            "A-B": BookResource(library),
            "x" * 40: BookResource(library),
        }
    )
    assert list(sheets(made)) == ["a-b", "A-B (2)", "x" * 31]
    made = await stream_of({"../up": CountedResource(), "../UP": CountedResource()}, "csv")
    names = zipfile.ZipFile(io.BytesIO(made)).namelist()
    assert len({name.lower() for name in names}) == 2
    assert not any("/" in name or ".." in name.removesuffix(".csv") for name in names)


async def test_hooks_of_all(library: AsyncEngine) -> None:
    """Keywords reach every hook, and after_export comes once for each, when all is made."""
    told: list[Any] = []

    class Hooked(BookResource):
        @depends("title")
        def dehydrate_title(self, row: Any) -> str:
            return str(row.title).upper()

        def title_records(self, **kwargs: Any) -> list[list[Any]]:
            return [[kwargs["tenant"]]]

        async def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> None:
            told.append((result.rows, result.strategy, kwargs))

    resources = {"A": Hooked(library), "B": Hooked(library)}
    made = sheets(await stream_of(resources, tenant="seven"))
    assert made["A"] == made["B"]
    assert made["A"][0][0] == "seven"
    assert made["A"][2] == (1, "THE DISPOSSESSED")
    assert told == [(4, "rows", {"tenant": "seven"})] * 2


async def test_a_failure_leaves_nothing(library: AsyncEngine, tmp_path: Path) -> None:
    """An error in a later sheet leaves no file, and says which sheet it was."""

    class Failing(AuthorResource):
        @depends("name")
        def dehydrate_name(self, row: Any) -> str:
            raise LookupError

    resources = {"Books": BookResource(library), "Authors": Failing(library)}
    with pytest.raises(RowError, match="LookupError") as caught:
        await export_workbook(resources, tmp_path / "library.xlsx")
    assert caught.value.__notes__ == ["in 'Authors'"]
    left = os.listdir(tmp_path)  # noqa: PTH208 - pathlib's would block
    assert not [name for name in left if "library" in name]
    assert library.pool.checkedout() == 0  # type: ignore[attr-defined]  # of the pool in use


@pytest.mark.parametrize(
    ("resources", "target", "given", "error", "message"),
    [
        ({}, "a.xlsx", None, ConfigurationError, "resources by name"),
        ([NumberResource()], "a.xlsx", None, ConfigurationError, "resources by name"),
        ({"A": NumberResource}, "a.xlsx", None, ConfigurationError, "not a type"),
        ({"A": NumberResource()}, "a.csv", None, ConfigurationError, "csv holds one table"),
        ({"A": NumberResource()}, "a.foo", None, UnknownNameError, "file extension 'foo'"),
        ({"A": NumberResource()}, "a.xlsx", "exel", UnknownNameError, "format 'exel'"),
        ({"A": NumberResource()}, print, None, ConfigurationError, "name the format"),
    ],
)
def test_mistakes(  # noqa: PLR0917 - as many as the table above has columns
    tmp_path: Path, resources: Any, target: Any, given: Any, error: type[ExportError], message: str
) -> None:
    """Each mistake is told before anything is written."""
    where = tmp_path / target if isinstance(target, str) else target
    with pytest.raises(error, match=message):
        asyncio.run(export_workbook(resources, where, given))
    assert not list(tmp_path.iterdir())


async def test_configured_formats(library: AsyncEngine) -> None:
    """An encoder with options serves, and is not used up."""
    encoder = XLSXEncoder(freeze=False)
    first = await stream_of({"A": BookResource(library)}, encoder)
    assert first == await stream_of({"A": BookResource(library)}, encoder)
    assert openpyxl.load_workbook(io.BytesIO(first))["A"].freeze_panes is None
    packed = ZipEncoder(CSVEncoder(header=False))
    made = await stream_of({"A": CountedResource()}, packed)
    assert zipfile.ZipFile(io.BytesIO(made)).read("A.csv") == b"1\r\n2\r\n3\r\n"


# --- limits known before the first byte -------------------------------------------------------


class ShortEncoder(CSVEncoder):
    """A format of few rows."""

    name = "short"
    max_rows = 3


@pytest.mark.parametrize("rows", [3, 4])
async def test_too_many_rows_are_refused_before_the_first_byte(
    engine: AsyncEngine, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queryset that is longer than the format is refused before a row is fetched."""
    await fill(engine)
    queryset = BookResource(engine).get_queryset().limit(rows)
    stream = BookResource(engine).stream(ShortEncoder(), queryset)
    if rows == 3:
        async with stream:
            assert len([chunk async for chunk in stream]) >= 1
        assert stream.result.rows == 3
        return
    monkeypatch.setattr("async_export.run.Run.batches", None)
    monkeypatch.setattr("async_export.run.Run.copied", None)
    with pytest.raises(FormatLimitError, match="short holds 3 rows at most"):
        await stream.__aenter__()


async def test_lists_tell_their_length() -> None:
    """Objects at hand are counted, and iterators refused when they go too far."""
    for queryset in (numbers(4), iter(numbers(4))):
        with pytest.raises(FormatLimitError, match="short holds 3 rows"):
            async with NumberResource().stream(ShortEncoder(), queryset) as stream:
                assert [chunk async for chunk in stream]


async def test_buffered_formats_refuse_before_the_first_byte(engine: AsyncEngine) -> None:
    """An old workbook refuses at once what it could not hold, without fetching it."""
    rows = 65_536
    more = f"SELECT 1 UNION ALL SELECT number + 1 FROM n WHERE number < {rows}"
    sql = f"WITH RECURSIVE n(number) AS ({more}) SELECT number FROM n"
    with pytest.raises(FormatLimitError, match="xls holds 65,535 rows at most"):
        async with NumberResource(engine).stream("xls", text(sql)):
            pass
