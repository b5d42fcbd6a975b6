"""XLSX: read back by openpyxl and calamine cell by cell, within every limit, cut anywhere."""

# ruff: noqa: DTZ001, DTZ901 - spreadsheets have no zones

from __future__ import annotations

import datetime as dt
import enum
import io
import re
import shutil
import subprocess
import uuid
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import openpyxl
import pytest
from encoded import columns_of, exported
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from async_export.errors import ConfigurationError, EncodeError, FormatLimitError
from async_export.formats import XLSXEncoder
from async_export.formats import _sheets as sheets
from async_export.formats import _xlsx as xlsx
from async_export.types import Column, Kind, LogicalType, Record, UnrepresentableText

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
HOSTILE = st.sampled_from(
    [
        *(
            "=1+1",
            "@x",
            "_x0041\r",
            "_x00\r",
            "_x000D_",
            "__x0041_",
            "a\r\nb",
            "\n",
            "\t",
            " a ",
            "<&>\"'",
            "]]>",
            "\x00\x1e",
        ),
        *("\xa0", "\u3000a", "a\x85"),
    ]
)
CELLS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats()
    | st.decimals()
    | TEXT
    | HOSTILE
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.times()
    | st.timedeltas(dt.timedelta(-5), dt.timedelta(5))
    | st.uuids()
)


def export(
    records: Sequence[Record],
    cuts: Sequence[int] = (),
    encoder: XLSXEncoder | None = None,
    columns: Sequence[Column] | None = None,
    **around: Any,
) -> bytes:
    """Encode the records in batches that end at the *cuts*."""
    return exported(encoder or XLSXEncoder(), records, cuts, columns, **around)


def sheet_of(made: bytes, place: int = 0) -> Any:
    """Open a sheet with openpyxl."""
    return openpyxl.load_workbook(io.BytesIO(made)).worksheets[place]


def values_of(made: bytes, place: int = 0) -> list[tuple[Any, ...]]:
    """Read the records of a sheet, without its header."""
    return list(sheet_of(made, place).iter_rows(min_row=2, values_only=True))


def calamine_values(made: bytes, place: int = 0) -> list[list[Any]]:
    """Read the records of a sheet with calamine."""
    return (
        CalamineWorkbook.from_filelike(io.BytesIO(made)).get_sheet_by_index(place).to_python()[1:]
    )


def xml_of(made: bytes, name: str = "xl/worksheets/sheet1.xml") -> str:
    """Give a part as text."""
    return zipfile.ZipFile(io.BytesIO(made)).read(name).decode()


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_bytes_do_not_depend_on_batches(records: list[list[Any]], data: st.DataObject) -> None:
    """Any records, cut anywhere, make the same workbook, and both readers open it."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=4)))
    columns = columns_of("a", "b", "c")
    made = export(records, columns=columns)
    assert export(records, cuts, columns=columns) == made
    assert len(calamine_values(made)) <= len(records)
    assert len(ET.fromstring(xml_of(made)).findall(".//{*}row")) == len(records) + 1


def test_bytes_do_not_depend_on_batches_of_many_records() -> None:
    """Neither the held back records nor the blocks of the compressor show."""
    records = [[i, f"text {i * 7919}", None if i % 3 else "x"] for i in range(3000)]
    made = export(records)
    for size in (1, 7, 99, 100, 101, 1024):
        assert export(records, range(size, 3000, size)) == made


@pytest.mark.parametrize(
    "value",
    [" ", "\t", "\xa0", "\u3000a", "a\x85", "a\u2028", "\x1e", "a\x1e", "_x0041_", "_x", "", "\r"]
    + [0, 10**15, -0.0, 1e308, float("nan"), True]
    + [Decimal(text) for text in ("-0", "0E-10", "1E+5", "1.10", "123456789012345.6", "NaN")]
    + [dt.date(1900, 2, 28), dt.date.max, dt.datetime.max, dt.datetime(1900, 2, 28, 23, 59, 59)],
)
def test_a_cell_is_the_same_in_any_company(value: Any) -> None:
    """What is written at once, as columns of one type are, is what is written cell by cell."""
    records = [[value], [value], [None], [[]], [value]]
    made = export(records)
    assert export(records, [1, 3, 4]) == export(records, [2, 4]) == made


@pytest.mark.parametrize(
    ("value", "expected", "number_format"),
    [
        (1, 1, "General"),
        (-(10**15) + 1, -(10**15) + 1, "General"),
        (10**15, "1000000000000000", "General"),
        (True, True, "General"),
        (0.1, 0.1, "General"),
        (1e300, 1e300, "General"),
        (float("nan"), "nan", "General"),
        (float("-inf"), "-inf", "General"),
        (Decimal("1.10"), 1.1, "General"),
        (Decimal("-0.000123"), -0.000123, "General"),
        (Decimal("1E+20"), 1e20, "General"),
        (Decimal("12345678901234.56"), "12345678901234.56", "General"),
        (Decimal("NaN"), "NaN", "General"),
        (Decimal("1E+5000"), "1" + "0" * 5000, "General"),
        (dt.date(2024, 2, 29), dt.datetime(2024, 2, 29), "yyyy-mm-dd"),
        (dt.date(1900, 3, 1), dt.datetime(1900, 3, 1), "yyyy-mm-dd"),
        (dt.date(1900, 2, 28), "1900-02-28", "General"),
        (dt.date(9999, 12, 31), dt.datetime(9999, 12, 31), "yyyy-mm-dd"),
        (
            dt.datetime(2024, 1, 2, 3, 4, 5, 678000),
            dt.datetime(2024, 1, 2, 3, 4, 5, 678000),
            "yyyy-mm-dd hh:mm:ss",
        ),
        (
            dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=5))),
            dt.datetime(2024, 1, 2, 3, 4, 5),
            "yyyy-mm-dd hh:mm:ss",
        ),
        (dt.datetime(1066, 10, 14, 9), "1066-10-14 09:00:00", "General"),
        (dt.datetime.max, dt.datetime(9999, 12, 31, 23, 59, 59), "yyyy-mm-dd hh:mm:ss"),
        (dt.time.max, dt.time(23, 59, 59, 999000), "hh:mm:ss"),
        (dt.time(23, 59, 59), dt.time(23, 59, 59), "hh:mm:ss"),
        (dt.time(1, 2, tzinfo=dt.UTC), "01:02:00+00:00", "General"),
        (dt.timedelta(days=2, hours=3), dt.timedelta(days=2, hours=3), "[h]:mm:ss"),
        (dt.timedelta(-1), "-1 day, 0:00:00", "General"),
        (dt.timedelta(2_958_465), dt.timedelta(2_958_465), "[h]:mm:ss"),
        (dt.timedelta(2_958_466), "2958466 days, 0:00:00", "General"),
        (dt.timedelta.max, "999999999 days, 23:59:59.999999", "General"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001", "General"),
        ([1, "a"], "1,a", "General"),
        (UnrepresentableText("infinity"), "infinity", "General"),
        ("=1+1", "=1+1", "General"),
        ("007", "007", "General"),
        ("#N/A", "#N/A", "General"),
        ("  a  ", "  a  ", "General"),
        ("\xa0a\u3000", "\xa0a\u3000", "General"),
        ("a\nb", "a\nb", "General"),
        ("a\x01b\ufffe", "a\ufffdb\ufffd", "General"),
        ("\ud800", "\ufffd", "General"),
        ("x" * 32_767, "x" * 32_767, "General"),
    ],
)
def test_cells(value: Any, expected: Any, number_format: str) -> None:
    """Each value is read back with its type and number format, alone and in mixed company."""
    for records in ([[value]], [[value], [None], [value]], [["x"], [value]]):
        rows = list(sheet_of(export(records)).iter_rows(min_row=2))
        cell = rows[-1][0]
        if isinstance(expected, str) and len(expected) > 1000:
            assert (cell.value, len(cell.value)) == (expected, len(expected))
        else:
            assert cell.value == expected
        assert type(cell.value) is type(expected)
        assert cell.number_format == number_format
        assert cell.data_type != "f"


@given(st.lists(TEXT | HOSTILE, min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_any_text_reads_back(texts: list[str]) -> None:
    """Text is what it was, escapes of Excel's included; only what XML cannot hold is replaced."""
    read = calamine_values(export([[text, "end"] for text in texts]))
    legal = [re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", text) for text in texts]
    assert [row[0] for row in read] == legal


@given(st.lists(st.integers() | st.decimals(allow_nan=False, allow_infinity=False), min_size=1))
@settings(max_examples=80, deadline=None)
def test_any_number_is_exact(numbers: list[Any]) -> None:
    """A number is read back as a number that is equal, or as text with every digit."""
    for number, row in zip(numbers, values_of(export([[n, 0] for n in numbers])), strict=True):
        read = row[0]
        assert Decimal(read if isinstance(read, str) else repr(read)) == number or (
            abs(number) > Decimal("1e300") or 0 < abs(number) < Decimal("1e-290")
        )


class Color(enum.Enum):
    """Something that only has a text."""

    RED = "r"


class Whole(int):
    """A number of another class."""


def test_subclasses_are_what_they_are() -> None:
    """A subclass of a number is a number, a member of an enum is text."""
    assert values_of(export([[Whole(3), Color.RED]])) == [(3, "r")]


def test_the_sheet() -> None:
    """Header bold, frozen and filtered; columns as wide as they need to be."""
    records = [[i, "a rather long text that needs some room", "x" * 500] for i in range(5)]
    columns = columns_of("id", "text", "long")
    made = export(records, columns=columns)
    sheet = sheet_of(made)
    assert sheet.title == "Sheet1"
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:C6"
    assert [cell.font.b for cell in sheet[1]] == [True, True, True]
    assert not sheet["A2"].font.b
    widths = [sheet.column_dimensions[name].width for name in "ABC"]
    assert widths == [8, 40, 60]
    assert "_xlnm._FilterDatabase" in xml_of(made, "xl/workbook.xml")
    order = re.findall(r"<(sheetViews|sheetFormatPr|cols|sheetData|autoFilter)\b", xml_of(made))
    assert order == ["sheetViews", "sheetFormatPr", "cols", "sheetData", "autoFilter"]


def test_widths_are_of_the_first_hundred_records() -> None:
    """The hundredth record makes a column wide, the one after it does not, however they come."""
    for wide, width in ((99, 31), (100, 8)):
        records = [["x" * 30 if place == wide else "x"] for place in range(150)]
        made = export(records)
        assert sheet_of(made).column_dimensions["A"].width == width
        assert export(records, range(1, 150)) == made


def test_options_of_the_sheet() -> None:
    """Each part can be left out."""
    plain = XLSXEncoder(freeze=False, autofilter=False, sheet="My/Sheet")
    sheet = sheet_of(export([[1]], encoder=plain))
    assert (sheet.title, sheet.freeze_panes, sheet.auto_filter.ref) == ("My-Sheet", None, None)
    bare = sheet_of(export([[1]], encoder=XLSXEncoder(header=False)))
    assert list(bare.values) == [(1,)]
    assert bare.auto_filter.ref is None


def test_titles_and_footers() -> None:
    """They are bold, above the header and below the records, which alone are filtered."""
    made = export([[1, 2]], titles=[["Report"], []], footers=[["Sum", Decimal("1.5")]])
    sheet = sheet_of(made)
    expected = [("Report", None), (None, None), ("c0", "c1"), (1, 2), ("Sum", 1.5)]
    assert list(sheet.values) == expected
    assert sheet.freeze_panes == "A4"
    assert sheet.auto_filter.ref == "A3:B4"
    assert sheet["A1"].font.b
    assert sheet["B5"].font.b
    with pytest.raises(ConfigurationError, match="3 cells, and there are 2 columns"):
        export([[1, 2]], titles=[[1, 2, 3]])


def test_titles_have_no_number_format_of_a_field() -> None:
    """A date above a column of amounts is a date, and a sum below it is an amount."""
    columns = [Column("a", "a", LogicalType(Kind.DECIMAL), "#,##0.00")]
    made = export([[1]], columns=columns, titles=[[dt.date(2024, 1, 31)]], footers=[[2]])
    sheet = sheet_of(made)
    assert sheet["A1"].number_format == "yyyy-mm-dd"
    assert sheet["A4"].number_format == "#,##0.00"


def test_number_formats_of_fields() -> None:
    """A field's own number format takes the place of the usual one."""
    columns = [
        Column("a", "a", LogicalType(Kind.DECIMAL), '0.00 "EUR & more"'),
        Column("b", "b", LogicalType(Kind.DATE), "dd.mm.yyyy"),
    ]
    made = export([[Decimal(1), dt.date(2024, 1, 1)]], columns=columns, footers=[[Decimal(1)]])
    sheet = sheet_of(made)
    assert sheet["A2"].number_format == sheet["A3"].number_format == '0.00 "EUR & more"'
    assert sheet["B2"].number_format == "dd.mm.yyyy"


@pytest.mark.parametrize("rows", [3, 4, 7, 10])
def test_another_sheet_begins_where_one_is_full(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Each sheet has the header; no record is lost or repeated, wherever batches end."""
    monkeypatch.setattr(sheets, "MAX_SHEET_ROWS", 4)
    records = [[i] for i in range(rows)]
    made = export(records)
    assert export(records, range(1, rows)) == made
    workbook = openpyxl.load_workbook(io.BytesIO(made))
    read = [list(sheet.iter_rows(min_row=2, values_only=True)) for sheet in workbook]
    assert [len(each) for each in read] == [min(3, rows - start) for start in range(0, rows, 3)]
    assert [row[0] for each in read for row in each] == list(range(rows))
    assert workbook.sheetnames[:2] == ["Sheet1", "Sheet1 (2)"][: len(read)]
    assert all(sheet.freeze_panes == "A2" for sheet in workbook)


def test_footers_find_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Footers that do not fit any more come on another sheet."""
    monkeypatch.setattr(sheets, "MAX_SHEET_ROWS", 4)
    made = export([[1], [2], [3]], footers=[[6]])
    assert [list(sheet.values)[-1] for sheet in openpyxl.load_workbook(io.BytesIO(made))] == [
        (3,),
        (6,),
    ]


@pytest.mark.parametrize("long_text", ["error", "cut"])
def test_another_sheet_begins_before_four_gibibytes(
    monkeypatch: pytest.MonkeyPatch, long_text: Any
) -> None:
    """A sheet whose XML grows too long ends before, at the same record whatever the batches."""
    monkeypatch.setattr(xlsx, "MAX_SHEET_BYTES", 2000)
    records = [[i, "é€😀" * (5 + i % 9)] for i in range(60)]
    encoder = XLSXEncoder(long_text=long_text)
    made = export(records, encoder=encoder)
    assert export(records, range(1, 60), encoder) == made
    found = openpyxl.load_workbook(io.BytesIO(made)).worksheets
    read = [row for sheet in found for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert read == [tuple(record) for record in records]
    assert len(found) > 3
    sizes = [len(xml_of(made, f"xl/worksheets/sheet{n}.xml")) for n in range(1, len(found) + 1)]
    assert max(sizes) < 3000


def test_one_sheet_only() -> None:
    """Without rollover a full sheet is told as a limit, the most rows beforehand."""
    encoder = XLSXEncoder(rollover=False)
    assert encoder.max_rows == 1_048_575
    assert XLSXEncoder(rollover=False, header=False).max_rows == 1_048_576
    assert XLSXEncoder().max_rows is None


def test_a_full_sheet_without_rollover(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what helps."""
    monkeypatch.setattr(sheets, "MAX_SHEET_ROWS", 4)
    with pytest.raises(FormatLimitError, match="rollover=True"):
        export([[i] for i in range(4)], encoder=XLSXEncoder(rollover=False))


def test_too_many_columns() -> None:
    """They are refused before the first byte."""
    with pytest.raises(FormatLimitError, match="16,384 columns, and there are 16,385"):
        XLSXEncoder().begin(columns_of(*map(str, range(16_385))))
    assert len(export([], columns=columns_of(*map(str, range(16_384))))) > 0


@pytest.mark.parametrize("text", ["x" * 32_768, "😀" * 16_384])
def test_long_text(text: str) -> None:
    """Text that no cell holds is an error, or is cut and counted."""
    with pytest.raises(FormatLimitError, match=r"column 'c0': .*32,767 characters.*'cut'"):
        export([["a"], [text]])
    encoder = XLSXEncoder(long_text="cut")
    encoder.begin(columns_of("a"))
    begun = encoder.encode([["a"], [text], [text]]) + encoder.end()
    assert encoder.cut == 2
    assert begun
    read = values_of(export([[text]], encoder=XLSXEncoder(long_text="cut")))[0][0]
    assert text.startswith(read)
    assert len(read.encode("utf-16-le")) in {2 * 32_767, 2 * 32_766}


def test_what_is_replaced_counts_before_a_cut() -> None:
    """A text that is cut keeps its illegal characters' replacements, as shorter ones do."""
    cut = XLSXEncoder(long_text="cut")
    assert values_of(export([["\ud83d\ude00" * 20_000]], encoder=cut)) == [("\ufffd" * 32_767,)]


def test_values_without_text() -> None:
    """A value that has no text is told with its column, without a reader getting a file."""
    with pytest.raises(EncodeError, match=r"^column 'c1': a value without a text \(TypeError\)$"):
        export([[1, object()]])


@pytest.mark.parametrize(
    "options",
    [
        {"long_text": "drop"},
        {"level": 10},
        {"level": True},
        {"compressor": "lzma"},
        {"compressor": "isal", "level": 6},
    ],
)
def test_impossible_options(options: Any) -> None:
    """They are told at once."""
    with pytest.raises(ConfigurationError):
        XLSXEncoder(**options)


@pytest.mark.parametrize("options", [{"level": 1}, {"level": 9}, {"compressor": "isal"}])
def test_compressors(options: Any) -> None:
    """Whatever compresses, what is read is the same, and equal records make equal files."""
    records = [[i, f"text {i}"] for i in range(500)]
    made = export(records, encoder=XLSXEncoder(**options))
    assert made == export(records, encoder=XLSXEncoder(**options))
    assert values_of(made) == [tuple(record) for record in records]


def test_several_sheets() -> None:
    """Sheets have columns, formats and names of their own."""
    encoder = XLSXEncoder()
    made = [encoder.begin_file(), encoder.begin_sheet("Books & <more>", columns_of("a"))]
    made += [encoder.encode([[1]]), encoder.end_sheet([["x"]])]
    columns = [Column("d", "day", LogicalType(Kind.DATE), "dd.mm.yy")]
    made += [encoder.begin_sheet("O'Neil", columns, [["T"]]), encoder.encode([])]
    made += [encoder.encode([[dt.date(2024, 1, 1)]]), encoder.end_sheet(), encoder.end_file()]
    workbook = openpyxl.load_workbook(io.BytesIO(b"".join(made)))
    assert workbook.sheetnames == ["Books & <more>", "O'Neil"]
    assert workbook["O'Neil"]["A3"].number_format == "dd.mm.yy"
    assert list(workbook["Books & <more>"].values) == [("a",), (1,), ("x",)]
    assert CalamineWorkbook.from_filelike(io.BytesIO(b"".join(made))).sheet_names == [
        "Books & <more>",
        "O'Neil",
    ]


def test_the_archive() -> None:
    """It is plain ZIP: no ZIP64, no time, sound checksums."""
    made = export([[i, "x" * 50] for i in range(2000)])
    archive = zipfile.ZipFile(io.BytesIO(made))
    assert archive.testzip() is None
    assert b"PK\x06\x06" not in made
    assert b"PK\x06\x07" not in made
    assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.extra for info in archive.infolist()} == {b""}


def test_bytes_leave_at_once() -> None:
    """The first bytes are there before the first record, and more come while records do."""
    encoder = XLSXEncoder()
    assert encoder.begin(columns_of("a")).startswith(b"PK\x03\x04")
    pieces = [encoder.encode([[f"{i * 7919 % 1000003}"] for i in range(1000)]) for _ in range(20)]
    assert sum(map(bool, pieces)) >= 6


def test_a_truncated_file_does_not_open() -> None:
    """Wherever it ends too early, no reader takes it for whole."""
    made = export([[i, f"text {i}"] for i in range(300)])
    for end in [1, 100, *range(200, len(made), 97), len(made) - 1]:
        with pytest.raises((zipfile.BadZipFile, EOFError, KeyError)):
            openpyxl.load_workbook(io.BytesIO(made[:end]))


def test_one_encoder_serves_many_exports() -> None:
    """A configured encoder is copied, and keeps nothing of an export."""
    encoder = XLSXEncoder(long_text="cut")
    first = export([["x" * 40_000]], encoder=encoder)
    assert export([["x" * 40_000]], encoder=encoder) == first
    assert encoder.cut == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_reads_it(tmp_path: Path) -> None:
    """LibreOffice opens it without repair and shows every cell; no text becomes a formula."""
    records: list[Record] = [
        [1, "=1+1", Decimal("1.50"), dt.date(2024, 2, 29), True, "a\nb", dt.time(1, 2, 3)],
        [10**17, " _x000D_ ", Decimal("-0.1"), dt.date(1812, 1, 1), False, None, None],
    ]
    columns = columns_of("n", "t", "d", "day", "b", "x", "at")
    source = tmp_path / "made.xlsx"
    source.write_bytes(export(records, columns=columns))
    command = ["soffice", "--headless", f"-env:UserInstallation=file://{tmp_path}/profile"]
    for kind in ("csv", "fods"):
        command_line = [*command, "--convert-to", kind, "--outdir", str(tmp_path), str(source)]
        subprocess.run(command_line, check=True, capture_output=True, timeout=100)
    lines = (tmp_path / "made.csv").read_text().splitlines()
    assert lines == [
        "n,t,d,day,b,x,at",
        '1,=1+1,1.5,2024-02-29,TRUE,"a',
        'b",01:02:03 AM',
        "100000000000000000, _x000D_ ,-0.1,1812-01-01,FALSE,,",
    ]
    # It takes truth values for formulas of its own.
    formulas = set(re.findall('table:formula="([^"]*)"', (tmp_path / "made.fods").read_text()))
    assert formulas == {"of:=TRUE()", "of:=FALSE()"}
