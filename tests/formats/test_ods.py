"""ODS: read back by calamine and odfpy cell by cell, within every limit, cut anywhere."""

# ruff: noqa: DTZ001 - spreadsheets have no zones

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import os
import re
import shutil
import signal
import subprocess
import uuid
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from encoded import columns_of, exported
from hypothesis import given, settings
from hypothesis import strategies as st
from odf import opendocument, table, teletype
from odf.text import P
from python_calamine import CalamineWorkbook

from async_export.errors import ConfigurationError, EncodeError, FormatLimitError
from async_export.formats import ODSEncoder
from async_export.formats import _sheets as sheets
from async_export.formats._ods_formats import UnknownFormatError, data_style
from async_export.types import Column, Kind, LogicalType, Record, UnrepresentableText

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
HOSTILE = st.sampled_from(
    ["=1+1", "a\r\nb", "\n", "\t", " a ", "a   b", "\t \t", "<&>\"'", "]]>", "\x00\x1e", " \n "]
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
)


def export(
    records: Sequence[Record],
    cuts: Sequence[int] = (),
    encoder: ODSEncoder | None = None,
    columns: Sequence[Column] | None = None,
    **around: Any,
) -> bytes:
    """Encode the records in batches that end at the *cuts*."""
    return exported(encoder or ODSEncoder(), records, cuts, columns, **around)


def values_of(made: bytes, place: int = 0) -> list[list[Any]]:
    """Read all rows of a sheet with calamine."""
    return CalamineWorkbook.from_filelike(io.BytesIO(made)).get_sheet_by_index(place).to_python()


def part(made: bytes, name: str) -> str:
    """Give a part as text."""
    return zipfile.ZipFile(io.BytesIO(made)).read(name).decode()


def kept(text: str) -> str:
    """Give what a sheet keeps of a text: all but kinds of line breaks, and what XML cannot hold."""
    text = re.sub("\r\n?", "\n", text)
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", text)


def texts_of(made: bytes) -> list[list[str]]:
    """Read the texts of the first sheet's cells with odfpy, header and all."""
    document = opendocument.load(io.BytesIO(made))
    rows = document.spreadsheet.getElementsByType(table.TableRow)
    return [
        [
            "\n".join(teletype.extractText(line) for line in cell.getElementsByType(P))
            for cell in row.getElementsByType(table.TableCell)
        ]
        for row in rows
    ]


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_bytes_do_not_depend_on_batches(records: list[list[Any]], data: st.DataObject) -> None:
    """Any records, cut anywhere, make the same file, which is sound XML with a row for each."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=4)))
    columns = columns_of("a", "b", "c")
    made = export(records, columns=columns)
    assert export(records, cuts, columns=columns) == made
    assert values_of(made)[0] == ["a", "b", "c"]
    rows = ET.fromstring(part(made, "content.xml")).findall(".//{*}table-row")
    assert len(rows) == len(records) + 1


def test_bytes_do_not_depend_on_batches_of_many_records() -> None:
    """Neither the held back records nor the blocks of the compressor show."""
    records = [[i, f"text {i * 7919}", None if i % 3 else "x"] for i in range(2000)]
    made = export(records)
    for size in (1, 99, 100, 101, 1024):
        assert export(records, range(size, 2000, size)) == made


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (10**15, "1000000000000000"),
        (True, True),
        (0.1, 0.1),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("1.10"), 1.1),
        (Decimal("12345678901234.56"), "12345678901234.56"),
        (Decimal("NaN"), "NaN"),
        (dt.date(2024, 2, 29), dt.date(2024, 2, 29)),
        (dt.date(1583, 1, 1), dt.date(1583, 1, 1)),
        (dt.date(1582, 12, 31), "1582-12-31"),
        (dt.datetime(2024, 1, 2, 3, 4, 5, 678000), dt.datetime(2024, 1, 2, 3, 4, 5, 678000)),
        (
            dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=5))),
            dt.datetime(2024, 1, 2, 3, 4, 5),
        ),
        (dt.time(23, 59, 59), dt.time(23, 59, 59)),
        (dt.time(1, 2, tzinfo=dt.UTC), "01:02:00+00:00"),
        (dt.timedelta(days=2, hours=3), "PT51H00M00S"),  # what calamine makes of a long one
        (dt.timedelta(hours=3, seconds=1), dt.time(3, 0, 1)),
        (dt.timedelta(-1), "-1 day, 0:00:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (UnrepresentableText("infinity"), "infinity"),
        ("=1+1", "=1+1"),
        ("007", "007"),
        ("a\nb", "a\nb"),
        ("a\x01b\ufffe", "a\ufffdb\ufffd"),
    ],
)
def test_cells(value: Any, expected: Any) -> None:
    """Each value is read back with its type, alone and in mixed company."""
    for records in ([[value]], [[value], [None], [value]], [["x"], [value]]):
        made = export(records)
        read = values_of(made)[-1][0]
        assert read == expected
        assert type(read) is type(expected)
        assert "table:formula" not in part(made, "content.xml")


@given(st.lists(TEXT | HOSTILE, min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_any_text_reads_back(texts: list[str]) -> None:
    """Text is what it was, spaces and tabs included; line breaks are of one kind."""
    made = export([[text, "end"] for text in texts])
    expected = [[kept(text), "end"] for text in texts]
    assert texts_of(made)[1:] == expected
    assert values_of(made)[1:] == expected


@given(st.lists(st.integers() | st.floats() | st.decimals(), min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_any_number_reads_back(numbers: list[Any]) -> None:
    """Numbers are what they were, or their digits as text if they would be rounded."""
    read = values_of(export([[number, "end"] for number in numbers]))[1:]
    for number, (value, _) in zip(numbers, read, strict=True):
        if isinstance(value, float):
            assert value == float(number)
            assert isinstance(number, float) or Decimal(repr(value)) == number
        else:
            assert value == str(number) or Decimal(value) == number


def test_the_sheet() -> None:
    """Header bold, frozen and filtered; columns as wide as they need to be."""
    made = export([[i, "a rather long text that needs some room", "x" * 500] for i in range(5)])
    content, styles = part(made, "content.xml"), part(made, "styles.xml")
    assert re.findall('table-column table:style-name="co([0-9]+)"', content) == ["8", "40", "60"]
    header = re.search('table-cell table:style-name="([a-z0-9]+)"[^>]*><text:p>c0<', content)
    assert header is not None
    assert f'style:name="{header[1]}"' in styles
    assert (
        "fo:font-weight" in styles.split(f'style:name="{header[1]}"')[1].split("</style:style>")[0]
    )
    assert "'Sheet1'.A1:'Sheet1'.C6" in content
    view = part(made, "settings.xml")
    assert 'config:name="VerticalSplitPosition" config:type="int">1<' in view
    declared = [name for _, name in ET.iterparse(io.StringIO(view), ["start-ns"])]
    assert ("ooo", "http://openoffice.org/2004/office") in declared, "LibreOffice ignores the view"


class Day(dt.date):
    """A date of another class."""


def test_subclasses_are_what_they_are() -> None:
    """A subclass of a date has the style of a date."""
    content = part(export([[Day(2024, 1, 2), dt.date(2024, 1, 2)]]), "content.xml")
    styles = re.findall('style-name="(ce[0-9]+)" office:value-type="date"', content)
    assert len(styles) == 2
    assert len(set(styles)) == 1


def test_options_of_the_sheet() -> None:
    """Each part can be left out."""
    plain = ODSEncoder(freeze=False, autofilter=False, sheet="My/Sheet", header=False)
    made = export([[1]], encoder=plain)
    assert CalamineWorkbook.from_filelike(io.BytesIO(made)).sheet_names == ["My-Sheet"]
    assert values_of(made) == [[1.0]]
    assert "database-range" not in part(made, "content.xml")
    assert "VerticalSplit" not in part(made, "settings.xml")


def test_another_compressor() -> None:
    """It makes other bytes of the same sheet."""
    pytest.importorskip("isal")
    records = [[i, f"text {i}"] for i in range(300)]
    made = export(records, encoder=ODSEncoder(compressor="isal"))
    assert part(made, "content.xml") == part(export(records), "content.xml")
    assert zipfile.ZipFile(io.BytesIO(made)).testzip() is None


def test_titles_and_footers() -> None:
    """They are above the header and below the records, which alone are filtered."""
    made = export([[1, 2]], titles=[["Report"], []], footers=[["Sum", Decimal("1.5")]])
    expected = [["Report", ""], ["", ""], ["c0", "c1"], [1.0, 2.0], ["Sum", 1.5]]
    assert values_of(made) == expected
    assert ".A3:'Sheet1'.B4" in part(made, "content.xml")
    with pytest.raises(ConfigurationError, match="3 cells, and there are 2 columns"):
        export([[1, 2]], titles=[[1, 2, 3]])


@pytest.mark.parametrize("rows", [3, 4, 7])
def test_another_sheet_begins_where_one_is_full(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Each sheet has the header; no record is lost or repeated, wherever batches end."""
    monkeypatch.setattr(sheets, "MAX_SHEET_ROWS", 4)
    records = [[i] for i in range(rows)]
    made = export(records)
    assert export(records, range(1, rows)) == made
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(made))
    read = [workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names]
    assert all(each[0] == ["c0"] for each in read)
    assert [row[0] for each in read for row in each[1:]] == list(range(rows))
    with pytest.raises(FormatLimitError, match="rollover=True"):
        export([[i] for i in range(4)], encoder=ODSEncoder(rollover=False))


def test_limits() -> None:
    """Columns are refused before the first byte; what has no text is told with its column."""
    with pytest.raises(FormatLimitError, match="16,384 columns, and there are 16,385"):
        ODSEncoder().begin(columns_of(*map(str, range(16_385))))
    assert ODSEncoder(rollover=False).max_rows == 1_048_575
    with pytest.raises(EncodeError, match=r"^column 'c1': a value without a text \(TypeError\)$"):
        export([[1, object()]])
    with pytest.raises(ConfigurationError):
        ODSEncoder(level=10)


def test_several_sheets() -> None:
    """Sheets have columns, formats and names of their own."""
    encoder = ODSEncoder()
    made = [encoder.begin_file(), encoder.begin_sheet("Books & <more>", columns_of("a"))]
    made += [encoder.encode([[1]]), encoder.end_sheet([["x"]])]
    columns = [Column("d", "day", LogicalType(Kind.DATE), "dd.mm.yy")]
    made += [encoder.begin_sheet("O'Neil", columns, [["T"]]), encoder.encode([])]
    made += [encoder.encode([[dt.date(2024, 1, 1)]]), encoder.end_sheet(), encoder.end_file()]
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(b"".join(made)))
    assert workbook.sheet_names == ["Books & <more>", "O'Neil"]
    assert workbook.get_sheet_by_index(1).to_python()[2] == [dt.date(2024, 1, 1)]
    assert workbook.get_sheet_by_index(0).to_python() == [["a"], [1.0], ["x"]]


def test_the_archive() -> None:
    """The type comes first, as it is; no ZIP64, no time, sound checksums."""
    made = export([[i, "x" * 50] for i in range(2000)])
    archive = zipfile.ZipFile(io.BytesIO(made))
    assert archive.testzip() is None
    first = archive.infolist()[0]
    assert (first.filename, first.compress_type, first.extra) == ("mimetype", 0, b"")
    assert made[38:84] == b"application/vnd.oasis.opendocument.spreadsheet"
    assert b"PK\x06\x06" not in made
    assert b"PK\x06\x07" not in made


def test_a_truncated_file_does_not_open() -> None:
    """Wherever it ends too early, no reader takes it for whole."""
    made = export([[i, f"text {i}"] for i in range(300)])
    for end in [1, 100, *range(200, len(made), 197), len(made) - 1]:
        with pytest.raises(zipfile.BadZipFile):
            opendocument.load(io.BytesIO(made[:end]))


# --- number formats ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("0", ["number-style", 'min-integer-digits="1"']),
        ("#,##0.00", ['grouping="true"', 'decimal-places="2"', 'min-decimal-places="2"']),
        ("0.0#", ['decimal-places="2"', 'min-decimal-places="1"']),
        ("0%", ["percentage-style", "<number:text>%<"]),
        ('#,##0.00 "EUR & <x>"', ["<number:text>EUR &amp; &lt;x&gt;<"]),
        ("[$€-407] 0.00", ["<number:text>€<"]),
        ("0.00E+00", ["scientific-number", 'min-exponent-digits="2"']),
        (
            "dd.mm.yyyy",
            ['<number:day number:style="long"/>', '<number:month number:style="long"/>'],
        ),
        ("d mmm yy", ["<number:day/>", 'textual="true"', "<number:year/>"]),
        ("dddd", ['<number:day-of-week number:style="long"/>']),
        ("hh:mm:ss.000", ["time-style", '<number:minutes number:style="long"/>', 'places="3"']),
        ("[h]:mm", ['truncate-on-overflow="false"', "<number:hours/>"]),
        ("h:mm AM/PM", ["<number:am-pm/>"]),
        ("@", ["text-style", "text-content"]),
    ],
)
def test_number_formats(code: str, parts: list[str]) -> None:
    """What Excel calls a number format has the same meaning in OpenDocument."""
    style = data_style("N1", code)
    assert all(each in style for each in parts), style
    ET.fromstring(style.replace("number:", "").replace("style:", ""))


@pytest.mark.parametrize("code", ["0;-0", "# ?/?", "[Red]0", "0 0", "General x", "_-0", "0.0.0x"])
def test_number_formats_without_translation(code: str) -> None:
    """They are told with the column, before the first byte."""
    with pytest.raises(UnknownFormatError):
        data_style("N1", code)
    with pytest.raises(ConfigurationError, match="column 'A': the number format"):
        ODSEncoder().begin([Column("a", "A", LogicalType(Kind.INTEGER), code)])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_reads_it(tmp_path: Path) -> None:
    """LibreOffice opens it and shows every cell; no text becomes a formula."""
    columns = [
        Column("n", "n"),
        Column("t", "t"),
        Column("d", "d", LogicalType(Kind.DECIMAL), '#,##0.00 "EUR"'),
        Column("day", "day", LogicalType(Kind.DATE), "dd.mm.yyyy"),
        *columns_of("b", "x", "long"),
    ]
    records: list[Record] = [
        [1, "=1+1", Decimal("1234.5"), dt.date(2024, 2, 29), True, "a\nb", dt.timedelta(hours=30)],
        [10**17, " a  b ", Decimal("-0.1"), dt.date(1500, 1, 1), False, None, None],
    ]
    source = tmp_path / "made.ods"
    source.write_bytes(export(records, columns=columns))
    command = ["soffice", "--headless", f"-env:UserInstallation=file://{tmp_path}/profile"]
    subprocess.run(
        [*command, "--convert-to", "fods", "--outdir", str(tmp_path), str(source)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    read = (tmp_path / "made.fods").read_text()
    shown = re.findall("<text:p>(.*?)</text:p>", read.split("<table:table ")[1])
    assert shown == [
        *("n", "t", "d", "day", "b", "x", "long"),
        *("1", "=1+1", "1,234.50 EUR", "29.02.2024", "TRUE", "a", "b", "30:00:00"),
        *("100000000000000000", "<text:s/>a <text:s/>b ", "-0.10 EUR"),
        *("1500-01-01", "FALSE"),
    ]
    assert "table:formula" not in read
    assert 'table:display-filter-buttons="true"' in read


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_keeps_text(tmp_path: Path) -> None:
    """Any text is the same in LibreOffice, spaces, tabs and line breaks included."""
    pieces = [" ", "  ", "\t", "\n", "\r\n", "a", "<", "&", "'", '"', "=", "\x00", "\x1e", "1", "é"]
    texts = ["".join(each) for each in itertools.product(pieces, repeat=3)]
    source = tmp_path / "made.ods"
    source.write_bytes(export([[text, "end"] for text in texts]))
    command = ["soffice", "--headless", f"-env:UserInstallation=file://{tmp_path}/profile"]
    quoted_utf8 = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,true"
    subprocess.run(
        [*command, "--convert-to", quoted_utf8, "--outdir", str(tmp_path), str(source)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    with (tmp_path / "made.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [[kept(text), "end"] for text in texts]


_ASK_LIBREOFFICE = """
import sys, time, uno
from com.sun.star.beans import PropertyValue

local = uno.getComponentContext()
resolver = local.ServiceManager.createInstance("com.sun.star.bridge.UnoUrlResolver")
for attempt in range(100):
    try:
        there = resolver.resolve(f"uno:pipe,name={sys.argv[1]};urp;StarOffice.ComponentContext")
        break
    except Exception:
        time.sleep(0.2)
desktop = there.ServiceManager.createInstance("com.sun.star.frame.Desktop")
hidden = PropertyValue("Hidden", 0, True, 0)
document = desktop.loadComponentFromURL(sys.argv[2], "_blank", 0, (hidden,))
view = document.getCurrentController()
for sheet in document.Sheets:
    view.setActiveSheet(sheet)
    print(sheet.Name, view.hasFrozenPanes(), view.getSplitRow())
desktop.terminate()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_keeps_headers_in_view(tmp_path: Path) -> None:
    """What is above the first record is frozen, in each sheet."""
    python = shutil.which("python3", path="/usr/bin")
    if python is None:
        pytest.skip("LibreOffice has no Python")
    probe = subprocess.run([python, "-c", "import uno"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("LibreOffice has no Python")
    encoder, columns = ODSEncoder(), columns_of("a", "b")
    made = [encoder.begin_file(), encoder.begin_sheet("O'Neil & <x>", columns, [["T"], []])]
    made += [encoder.encode([[1, 2]]), encoder.end_sheet(), encoder.begin_sheet("Two", columns)]
    made += [encoder.encode([[3, 4]]), encoder.end_sheet(), encoder.end_file()]
    source = tmp_path / "made.ods"
    source.write_bytes(b"".join(made))
    pipe = f"async_export_{uuid.uuid4().hex}"
    office = subprocess.Popen(
        [
            *("soffice", "--headless", "--norestore", f"--accept=pipe,name={pipe};urp;"),
            f"-env:UserInstallation=file://{tmp_path}/profile",
        ],
        start_new_session=True,
    )
    try:
        asked = subprocess.run(
            [python, "-c", _ASK_LIBREOFFICE, pipe, source.as_uri()],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert asked.stdout.splitlines() == ["O'Neil & <x> True 3", "Two True 1"], asked.stderr
        office.wait(30)
    finally:
        if office.poll() is None:
            os.killpg(office.pid, signal.SIGKILL)
            office.wait()
