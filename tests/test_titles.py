"""Titles above the header, footers below the last record, and where headers come from."""

from __future__ import annotations

import gzip
import io
import zipfile
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from library import (
    AUTHORS,
    Author,
    Base,
    Book,
    BookResource,
    NumberResource,
    bytes_of,
    fill,
    numbers,
)
from pyarrow import ipc, parquet
from python_calamine import CalamineWorkbook
from sqlalchemy import Column, Integer, MetaData, String, Table
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Mapped, mapped_column

from async_export import (
    ConfigurationError,
    ExportResult,
    Field,
    ModelResource,
    UnknownNameError,
    depends,
)
from async_export.fields import Field as AnyField

TITLED_FORMATS = ("csv", "tsv", "html", "markdown", "xlsx", "ods")


@pytest.fixture
async def library(engine: AsyncEngine) -> AsyncEngine:
    """The library, in each database."""
    return await fill(engine)


class ReportResource(NumberResource):
    """Numbers with a title and their sum."""

    def before_export(self, queryset: Any, **kwargs: Any) -> None:
        """Begin to sum up."""
        self.total = 0

    def title_records(self, **kwargs: Any) -> list[list[Any]]:
        """Say whose numbers these are."""
        return [["Numbers"], [kwargs.get("owner")]]

    def dehydrate_number(self, row: Any) -> int:
        """Sum up."""
        self.total += row["number"]
        number: int = row["number"]
        return number

    async def footer_records(self, result: ExportResult, **kwargs: Any) -> list[list[Any]]:
        """Give the sum and the number of rows."""
        return [[self.total], [result.rows]]


async def test_titles_and_footers() -> None:
    """They stand around the header and the records, and hooks may be async."""
    made = await bytes_of(ReportResource(), numbers(3), owner="me")
    assert made == b"Numbers\r\nme\r\nnumber\r\n1\r\n2\r\n3\r\n6\r\n3\r\n"


@pytest.mark.parametrize("name", [*TITLED_FORMATS, "csv.gz", "html.zip"])
async def test_every_titled_format_has_them(name: str) -> None:
    """All formats for people take titles and footers, and say so."""
    resource = ReportResource()
    stream = resource.stream(name, numbers(3), owner="somebody")
    async with stream:
        made = b"".join([chunk async for chunk in stream])
    assert stream.result.rows == 3
    plain = await bytes_of(NumberResource(), numbers(3), name=name)
    assert len(made) > len(plain)
    if name == "html.zip":
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            made = archive.read("export.html")
    elif name == "csv.gz":
        made = gzip.decompress(made)
    if name not in {"xlsx", "ods"}:  # these are read below
        assert b"Numbers" in made
        assert b"somebody" in made
        assert b"6" in made


@pytest.mark.parametrize("name", ["json", "jsonl", "yaml", "sql", "parquet", "arrow"])
async def test_formats_of_rows_leave_them_out(name: str) -> None:
    """Formats that programs read hold nothing but rows."""
    made = await bytes_of(ReportResource(), numbers(3), name=name)
    plain = await bytes_of(NumberResource(), numbers(3), name=name)
    if name == "parquet":
        assert parquet.read_table(io.BytesIO(made)).num_rows == 3
    elif name == "arrow":
        assert ipc.open_file(io.BytesIO(made)).read_all().num_rows == 3
    else:
        assert made == plain


async def test_totals_of_a_copy(library: AsyncEngine) -> None:
    """Footers follow what COPY writes, and may ask the database for them."""

    class Counted(BookResource):
        async def footer_records(self, result: ExportResult, **kwargs: Any) -> list[list[Any]]:
            connection = await self.session.connection()
            found = await connection.exec_driver_sql("select sum(price) from book")
            return [["", found.scalar_one()], [result.strategy]]

    resource = Counted(library)
    async with resource.stream("csv") as stream:
        lines = b"".join([chunk async for chunk in stream]).decode().splitlines()
    assert lines[-1] == f"{stream.result.strategy},"
    assert Decimal(lines[-2].split(",")[1]) == Decimal("22.40")


@pytest.mark.parametrize("fields", [["number", "half"], ["half", "number"], ["half"]])
async def test_cells_by_name(fields: list[str]) -> None:
    """Cells that are named stand under their fields, whichever are exported."""

    class Summed(NumberResource):
        half = Field()

        def footer_records(self, result: ExportResult, **kwargs: Any) -> list[dict[str, Any]]:
            return [{"number": "Total", "half": 3}]

    rows = [{"number": 4, "half": 2}, {"number": 2, "half": 1}]
    made = await bytes_of(Summed(), rows, fields=fields)
    cells = {"number": "Total", "half": "3"}
    assert made.decode().splitlines()[-1] == ",".join(cells[name] for name in fields)

    class Misspelt(Summed):
        def footer_records(self, result: ExportResult, **kwargs: Any) -> list[dict[str, Any]]:
            return [{"numbr": 1}]

    with pytest.raises(UnknownNameError, match="'numbr' in footer_records; did you mean 'number'"):
        await bytes_of(Misspelt(), rows)


async def test_a_hook_that_gives_no_records_is_told() -> None:
    """A text in place of records is refused before the first byte."""

    class Wrong(NumberResource):
        def title_records(self, **kwargs: Any) -> Any:
            return ["Numbers"]

    with pytest.raises(ConfigurationError, match="title_records gives a list of records"):
        await bytes_of(Wrong(), numbers(1))


async def test_titles_wider_than_the_table_are_told() -> None:
    """A title that has more cells than there are columns is refused."""

    class Wide(NumberResource):
        def title_records(self, **kwargs: Any) -> Any:
            return [["a", "b"]]

    for name in TITLED_FORMATS:
        with pytest.raises(ConfigurationError, match="2"):
            await bytes_of(Wide(), numbers(1), name=name)


async def test_spreadsheets_freeze_the_header_below_titles() -> None:
    """The header of a sheet stays in view, wherever it is."""
    made = await bytes_of(ReportResource(), numbers(3), name="xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(made)).active
    assert sheet is not None
    assert sheet.freeze_panes == "A4"
    assert [row[0] for row in sheet.values] == ["Numbers", None, "number", 1, 2, 3, 6, 3]
    ods = CalamineWorkbook.from_filelike(
        io.BytesIO(await bytes_of(ReportResource(), numbers(3), name="ods"))
    )
    values = ods.get_sheet_by_index(0).to_python()
    assert [row[0] for row in values] == ["Numbers", "", "number", 1, 2, 3, 6, 3]


# --- headers --------------------------------------------------------------------------------


class Ware(Base):
    """Something with comments and labels."""

    __tablename__ = "ware"

    id: Mapped[int] = mapped_column(primary_key=True)
    unit_price: Mapped[int] = mapped_column(comment="Price of one", info={"label": "Price (EUR)"})
    on_stock: Mapped[int]


class WareResource(ModelResource):
    """Wares, one of the headers given."""

    number = Field("id", column_name="No.")
    stock = Field("on_stock")

    class Meta:
        """Its options."""

        model = Ware
        fields = ("number", "unit_price", "stock")


async def _later(field: AnyField) -> str:
    return field.name.upper()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("name", "No.,unit_price,stock"),
        ("attribute", "No.,unit_price,on_stock"),
        ("label", "No.,Price (EUR),Stock"),
        ("comment", "No.,Price of one,stock"),
        (lambda field: f"<{field.name}>", "No.,<unit_price>,<stock>"),
        (_later, "No.,UNIT_PRICE,STOCK"),
    ],
)
async def test_headers_come_from_where_they_should(source: Any, expected: str) -> None:
    """A header is the column_name, or what the option says."""
    resource = WareResource(headers=source) if callable(source) else None
    if resource is None:

        class Own(WareResource):
            class Meta:
                headers = source

        resource = Own()
    assert await bytes_of(resource, []) == f"{expected}\r\n".encode()


async def test_headers_of_paths_and_tables() -> None:
    """A path takes the label of the column where it leads; a Table has comments as well."""
    table = Table("t", MetaData(), Column("a", Integer, comment="The A"), Column("b", String))

    class OfTable(ModelResource):
        class Meta:
            model = table
            fields = ("a", "b")
            headers = "comment"

    class OfPath(ModelResource):
        class Meta:
            model = Book
            fields = ("id", "author.name", "shelf")
            headers = "label"

    assert await bytes_of(OfTable(), []) == b"The A,b\r\n"
    assert await bytes_of(OfPath(), []) == b"Id,Author name,Shelf\r\n"


async def test_impossible_headers_are_told() -> None:
    """An unknown source, or a header that is no text, is an error that says what is expected."""
    with pytest.raises(ConfigurationError, match="headers takes 'name'"):
        BookResource(headers="title")
    with pytest.raises(ConfigurationError, match="the header of id is a int"):
        await bytes_of(BookResource(headers=lambda _: 1), [])


async def test_labels_beside_hooks(library: AsyncEngine) -> None:
    """Labels do not change what is exported."""

    class Named(ModelResource):
        class Meta:
            model = Author
            fields = ("id", "name")
            headers = "label"

        @depends("name")
        def dehydrate_name(self, row: Any) -> str:
            return str(row.name)

    lines = (await bytes_of(Named(library))).decode().splitlines()
    assert lines[0] == "Id,Name"
    assert len(lines) == len(AUTHORS) + 1
