"""Formats that tablib writes: its bytes where they are right, and no wrong file elsewhere."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import io
import re
import string
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
import tablib
from encoded import Dataset, columns_of, datasets, encoded
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from async_export.errors import (
    ConfigurationError,
    EncodeError,
    FormatLimitError,
    MissingDependencyError,
)
from async_export.formats import _optional, _registry
from async_export.formats._cli import CLIEncoder
from async_export.formats._dbf import DBFEncoder
from async_export.formats._jira import JiraEncoder
from async_export.formats._latex import LaTeXEncoder
from async_export.formats._rst import ReSTEncoder
from async_export.formats._tablib import TablibEncoder
from async_export.formats._xls import XLSEncoder
from async_export.types import Column, Kind, LogicalType, Record, UnrepresentableText

CLASSES: tuple[type[TablibEncoder], ...] = (
    XLSEncoder,
    ReSTEncoder,
    LaTeXEncoder,
    JiraEncoder,
    CLIEncoder,
    DBFEncoder,
)
TEXT_CLASSES = CLASSES[1:]

each_class = pytest.mark.parametrize("cls", CLASSES)
each_text_class = pytest.mark.parametrize("cls", TEXT_CLASSES)

EASTERN = dt.timezone(dt.timedelta(hours=9))


class Number(enum.IntEnum):
    """An integer that is none in a file."""

    ONE = 1


class Hostile:
    """A value without a text."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("secret")


def by_tablib(name: str, dataset: Dataset, **options: Any) -> bytes:
    """Let tablib export the same."""
    made = tablib.Dataset(*dataset.records, headers=dataset.headers).export(name, **options)
    return made.encode() if isinstance(made, str) else bytes(made)


def made_of(encoder: TablibEncoder, dataset: Dataset) -> bytes:
    """Encode a dataset in its batches."""
    return encoded(encoder, dataset.columns, dataset.records, dataset.cuts)


def column_of(encoder: TablibEncoder, *cells: Any) -> bytes:
    """Encode records of one cell."""
    return encoded(encoder, columns_of("a"), [[cell] for cell in cells])


# What all of them have in common


@each_class
def test_attributes(cls: type[TablibEncoder]) -> None:
    """They can be registered, gather, and have the name that tablib has."""
    _registry._check_encoder_class(cls)
    assert (cls.streaming, cls.offload, cls.concatenable, cls.with_titles) == (
        False,
        True,
        False,
        False,
    )
    assert cls.max_rows == (65_535 if cls is XLSEncoder else 100_000)
    assert tablib.formats.registry.get_format(cls.name)


@each_class
def test_nothing_leaves_before_the_end(cls: type[TablibEncoder]) -> None:
    """Tables are made at the end, and do not depend on batches."""
    encoder = cls()
    assert encoder.begin(columns_of("a", "b")) == b""
    assert encoder.encode([["x", "1"], ["y", "2"]]) == encoder.encode([]) == b""
    made = encoder.end()
    assert made == encoded(cls(), columns_of("a", "b"), [["x", "1"], ["y", "2"]], [1, 1])


@each_class
def test_one_instance_serves_many_exports(cls: type[TablibEncoder]) -> None:
    """Copies of an instance do not see each other's records."""
    configured = cls()
    one, other = copy.copy(configured), copy.copy(configured)
    for encoder, name in ((one, "a"), (other, "b")):
        encoder.begin(columns_of(name))
    one.encode([["x"]])
    other.encode([["y"]])
    made = (one.end(), other.end())
    assert vars(configured) == vars(cls())
    assert made == (
        encoded(cls(), columns_of("a"), [["x"]]),
        encoded(cls(), columns_of("b"), [["y"]]),
    )


@each_class
def test_too_many_rows(cls: type[TablibEncoder], monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than the most is refused as soon as it comes."""
    monkeypatch.setattr(cls, "max_rows", 3)
    encoder = cls()
    encoder.begin(columns_of("a"))
    encoder.encode([["x"], ["y"]])
    encoder.encode([["z"]])
    with pytest.raises(FormatLimitError, match=f"{cls.name} holds 3 rows at most"):
        encoder.encode([["x"]])


@pytest.mark.parametrize(("cls", "most"), [(XLSEncoder, 256), (DBFEncoder, 255)])
def test_too_many_columns(cls: type[TablibEncoder], most: int) -> None:
    """Files of that many columns are right; with more they do not begin."""
    headers = [f"c{number}" for number in range(most)]
    made = encoded(cls(), columns_of(*headers), [headers])
    read = tablib.Dataset().load(made, cls.name)
    assert [name.lower() for name in read.headers] == list(read[0]) == headers
    with pytest.raises(FormatLimitError, match=f"holds {most} columns; there are {most + 1}"):
        cls().begin(columns_of(*headers, "more"))


@each_class
def test_no_columns(cls: type[TablibEncoder]) -> None:
    """There is no table without any."""
    with pytest.raises(ConfigurationError, match="needs a column at least"):
        cls().begin([])


@each_class
def test_cells_without_a_text(cls: type[TablibEncoder]) -> None:
    """The message names the column and the reason, and no value."""
    encoder = cls()
    encoder.begin(columns_of("a", "b"))
    with pytest.raises(EncodeError, match=r"^column 'b': a value without a text \(RuntimeError\)$"):
        encoder.encode([["x", Hostile()]])
    with pytest.raises(EncodeError, match=r"^column 'a': .*surrogates") as caught:
        encoder.encode([["x\ud800y", "z"]])
    assert "x\ud800y" not in str(caught.value)


@each_text_class
def test_cells_that_are_no_text(cls: type[TablibEncoder]) -> None:
    """Hooks may return anything that has a text; None is empty."""
    cells = [0, False, Decimal("1.10"), None, uuid.UUID(int=1)]
    texts = ["0", "False", "1.10", "", str(uuid.UUID(int=1))]
    assert column_of(cls(), *cells) == column_of(cls(), *texts)


@pytest.mark.parametrize(
    ("cls", "library", "extra"),
    [(XLSEncoder, "xlwt", "xls"), (XLSEncoder, "xlrd", "xls"), (CLIEncoder, "wcwidth", "tabulate")],
)
def test_missing_libraries(
    cls: type[TablibEncoder], library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has begun when it is told which extra is missing."""
    monkeypatch.setattr(_optional, "find_spec", lambda name: None if name == library else name)
    with pytest.raises(MissingDependencyError, match=rf"{cls.name} needs .*\[{extra}\]"):
        cls()


# xls

WALL_TIMES = st.datetimes(dt.datetime.fromisoformat("1900-03-01"))
XLS_CELLS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15) + 1, 10**15 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(-(10**6), 10**6, places=4)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.sampled_from(["=1+1", "a\nb", "x" * 32_767, "\x00\x01"])
    | WALL_TIMES
    | WALL_TIMES.map(dt.datetime.date)
    | st.times()
)


def sheet_of(made: bytes) -> list[list[Any]]:
    """Read a workbook."""
    return CalamineWorkbook.from_filelike(io.BytesIO(made)).get_sheet_by_index(0).to_python()


def read_cells(*cells: Any) -> list[Any]:
    """Encode a record of these cells, and read it."""
    headers = [f"c{place}" for place in range(len(cells))]
    first, *rows = sheet_of(encoded(XLSEncoder(), columns_of(*headers), [cells]))
    assert first == headers
    return rows[0]


@given(datasets(XLS_CELLS))
@settings(max_examples=40, deadline=None)
def test_xls_is_that_of_tablib(dataset: Dataset) -> None:
    """What Excel can hold is written byte for byte as tablib does."""
    assert made_of(XLSEncoder(), dataset) == by_tablib("xls", dataset)


@given(st.lists(XLS_CELLS, min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_xls_holds_the_values(cells: list[Any]) -> None:
    """What is read is what was written; of moments all but parts of a second."""
    read = read_cells(*cells, "end")
    for cell, found in zip(cells, read, strict=False):
        if isinstance(cell, dt.datetime):
            assert as_moment(found) == cell.replace(microsecond=0)
        elif isinstance(cell, dt.time):
            assert as_moment(found).time() == cell.replace(microsecond=0)
        elif isinstance(cell, Decimal):
            assert Decimal(repr(found)) == cell
        else:
            assert found == ("" if cell is None else cell)


def as_moment(found: Any) -> dt.datetime:
    """Give the second of what a reader found, which is a day's fraction or made of it."""
    if isinstance(found, float):
        found = dt.datetime.fromisoformat("1899-12-31") + dt.timedelta(found)
    if isinstance(found, dt.time):
        found = dt.datetime.combine(dt.date(1900, 1, 1), found)
    if not isinstance(found, dt.datetime):
        found = dt.datetime.combine(found, dt.time())
    moment: dt.datetime = found + dt.timedelta(milliseconds=500)
    return moment.replace(microsecond=0)


def test_xls_of_what_has_no_type_there() -> None:
    """What would crash tablib, or lose digits, is text."""
    cells = {
        10**15: "1000000000000000",
        -(10**20): "-100000000000000000000",
        Decimal("0.1234567890123456"): "0.1234567890123456",
        Decimal("1E+400"): "1" + "0" * 400,
        Decimal("NaN"): "NaN",
        float("nan"): "nan",
        float("-inf"): "-inf",
        dt.date(1900, 2, 28): "1900-02-28",
        dt.datetime.fromisoformat("0001-01-01T12:00"): "0001-01-01 12:00:00",
        uuid.UUID(int=1): str(uuid.UUID(int=1)),
        b"\x00\xff": "00ff",
        dt.timedelta(1): "1 day, 0:00:00",
        Number.ONE: "1",
        (1, "a"): "1,a",
        frozenset(): "frozenset()",
        UnrepresentableText("infinity"): "infinity",
    }
    assert read_cells(*cells) == list(cells.values())
    assert read_cells({"a": [1]}, [{"b": 2}]) == ['{"a": [1]}', '[{"b": 2}]']


def test_xls_of_values_with_an_offset() -> None:
    """They are shown as the clock on the wall showed them, and do not crash."""
    moment = dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=EASTERN)
    assert read_cells(moment, 1)[0] == moment.replace(tzinfo=None)
    assert encoded(XLSEncoder(), columns_of("a"), [[moment.timetz()]]) == encoded(
        XLSEncoder(), columns_of("a"), [[moment.time()]]
    )


def test_xls_numbers_stay_numbers() -> None:
    """Numbers that Excel holds are exact, and no texts."""
    cells = [999_999_999_999_999, -1, 0, 0.1, 1e300, Decimal("123456.78"), True, False]
    assert read_cells(*cells) == [
        999_999_999_999_999,
        -1,
        0,
        0.1,
        1e300,
        123456.78,
        True,
        False,
    ]


@pytest.mark.parametrize("text", ["x" * 32_768, "\U0001f600" * 16_384])
def test_xls_texts_that_are_too_long(text: str) -> None:
    """Excel counts units of UTF-16, and what it cannot hold is refused."""
    with pytest.raises(FormatLimitError, match=r"column 'a': a text of 32,768 characters; xls"):
        column_of(XLSEncoder(), text)
    with pytest.raises(FormatLimitError, match="32,768"):
        XLSEncoder().begin(columns_of(text))
    assert column_of(XLSEncoder(), text[:-1])


# rst

RST_TEXT = st.text(st.sampled_from(string.ascii_letters + string.digits + " .,:;()äß\n"))
RST_FIRST = RST_TEXT.map(lambda text: f"x{text}")


@given(datasets(RST_FIRST, RST_FIRST), st.lists(st.none() | RST_TEXT, max_size=4))
@settings(max_examples=60)
def test_rst_is_that_of_tablib(dataset: Dataset, more: list[str | None]) -> None:
    """Tables of two columns and more are tablib's, in both of its forms, and the empty one."""
    assume(len(dataset.headers) > 1)
    records = [
        [*record[:1], *more[: len(record) - 1], *record[1 + len(more) :]]
        for record in dataset.records
    ]
    shown = [["" if cell is None else cell for cell in record] for record in records]
    drawn = Dataset(dataset.headers, records, dataset.cuts)
    expected = by_tablib("rst", Dataset(dataset.headers, shown, []))
    assert made_of(ReSTEncoder(), drawn) == expected


def lines_of(headers: Sequence[str], *records: Record) -> list[str]:
    """Give the lines of a table of reStructuredText."""
    return encoded(ReSTEncoder(), columns_of(*headers), records).decode().split("\n")


def test_rst_tables_that_need_lines() -> None:
    """Where no lines would mean another table, or none, there are some."""
    assert lines_of(["a", "b"], ["x", "y"])[0] == "=  ="
    for first in ("", "  ", "=", "-", "= ="):
        grid = lines_of(["a", "b"], ["x", "y"], [first, "z"])
        assert grid[0].startswith("+-")
        assert len([line for line in grid if line.startswith("+")]) == 4
    assert lines_of(["=", "b"], ["x", "y"])[0] == "+---+---+"
    assert lines_of(["a"], ["x"]) == ["+---+", "| a |", "+===+", "| x |", "+---+"]


@pytest.mark.parametrize("space", ["\t", "\n", "\x0b", "\x1c", "\x85", "\xa0", "\u2028", "\u3000"])
def test_rst_white_space(space: str) -> None:
    """All white space is a space: nothing breaks a line but the table."""
    assert lines_of(["a", "b"], [f"x{space}y", "z"]) == lines_of(["a", "b"], ["x y", "z"])


def test_rst_widths() -> None:
    """Wide characters are two columns, and combining marks none, as readers count them."""
    assert lines_of(["ab", "c"], ["漢字", "x"], ["e\u0301e\u0301", "y"], ["\u0301", "z"]) == [
        "====  =",
        " ab   c",
        "====  =",
        "漢字  x",
        "e\u0301e\u0301    y",
        "\xa0\u0301     z",
        "====  =",
    ]
    assert lines_of(["\U000f0000", "c"], ["e\u0301", "x"])[1:4:2] == ["\U000f0000  c", "e\u0301  x"]


@pytest.mark.parametrize("headers", [["a", "a"], ["a b", "a\xa0b"]])
def test_rst_headers_that_are_equal(headers: list[str]) -> None:
    """Where tablib would keep one of two columns, nothing begins."""
    with pytest.raises(ConfigurationError, match="two columns have the header"):
        ReSTEncoder().begin(columns_of(*headers))


@pytest.mark.parametrize("header", ["", " ", "\u3000"])
def test_rst_headers_that_are_blank(header: str) -> None:
    """Nor does it where tablib would crash or draw a column without width."""
    with pytest.raises(ConfigurationError, match="blank header"):
        ReSTEncoder().begin(columns_of("a", header))


def test_rst_nul() -> None:
    """Readers have a use of their own for NUL."""
    with pytest.raises(EncodeError, match="column 'a': a NUL character"):
        column_of(ReSTEncoder(), "x\0")


# latex


@given(datasets(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
@settings(max_examples=60)
def test_latex_is_that_of_tablib(dataset: Dataset) -> None:
    """Any text but what TeX takes for an option."""
    texts = [*dataset.headers, *(cell for record in dataset.records for cell in record if cell)]
    assume(not any(re.search(r"(^| )[\[*]", text, re.MULTILINE) for text in texts))
    assert made_of(LaTeXEncoder(), dataset) == by_tablib("latex", dataset)


@pytest.mark.parametrize("text", ["[x]", "*", "[", "* x"])
def test_latex_rows_that_begin_like_an_option(text: str) -> None:
    """They do not become options of the line break before them; all else is tablib's."""
    made = encoded(LaTeXEncoder(), columns_of(text, "b"), [[text, text], ["x", "y"]]).decode()
    rows = [line for line in made.split("\n") if line.startswith("      ")]
    assert rows == [
        f"      {{}}{text} & b \\\\",
        f"      {{}}{text} & {text} \\\\",
        "      x & y \\\\",
    ]
    plain = Dataset([text, "b"], [[text, text], ["x", "y"]], [])
    assert made.replace("{}", "").encode() == by_tablib("latex", plain)


# jira

JIRA_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="|\\\r\n"))


@given(datasets(st.none() | JIRA_TEXT))
@settings(max_examples=60)
def test_jira_is_that_of_tablib(dataset: Dataset) -> None:
    """Cells without what breaks tables are tablib's."""
    assume(not any(set(header) & set("|\\\r\n") for header in dataset.headers))
    assert made_of(JiraEncoder(), dataset) == by_tablib("jira", dataset)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", r"a\|b"),
        ("a\\b", "a\\b"),
        ("a\\", "a&#92;"),
        ("a\\\\|b\\|", r"a&#92;&#92;\|b&#92;\|"),
        ("a\nb\r\nc\rd", r"a \\ b \\ c \\ d"),
        ("\n", r" \\ "),
    ],
)
def test_jira_cells_that_would_break_the_table(text: str, expected: str) -> None:
    """Bars, line breaks, and backslashes before a bar stay within their cell."""
    made = encoded(JiraEncoder(), columns_of(text, "b"), [[text, "y"]]).decode()
    assert made == f"||{expected}||b||\n|{expected}|y|"


@given(st.text(st.sampled_from("ab|\\\r\n"), min_size=1))
def test_jira_tables_are_never_broken(text: str) -> None:
    """There are two lines, and as many bars that count as in any other table."""
    made = encoded(JiraEncoder(), columns_of("a", "b"), [[text, text]]).decode()
    _, row = made.split("\n")
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert row.startswith("|")
    assert row.endswith("|")


# cli

WORDS = st.text(st.sampled_from("bcdg éй漢"), min_size=1).map(str.strip).filter(bool)
INTEGERS = st.integers(-(10**9), 10**9).map(str)


@given(datasets(WORDS, WORDS), st.sampled_from(["plain", "simple", "grid", "psql"]))
@settings(max_examples=60)
def test_cli_is_that_of_tablib(dataset: Dataset, tablefmt: str) -> None:
    """Texts without spaces around, which are no numbers, are tablib's."""
    expected = by_tablib("cli", dataset, tablefmt=tablefmt)
    assert made_of(CLIEncoder(tablefmt=tablefmt), dataset) == expected


@given(datasets(INTEGERS, WORDS))
@settings(max_examples=30)
def test_cli_of_integers_is_that_of_tablib(dataset: Dataset) -> None:
    """Columns of numbers are aligned as tablib does."""
    kind = LogicalType(Kind.INTEGER)
    columns = [Column(each.name, each.header, kind) for each in dataset.columns]
    made = encoded(CLIEncoder(), columns, dataset.records, dataset.cuts)
    assert made == by_tablib("cli", dataset)


def cli_lines(kind: Kind, *cells: str) -> list[str]:
    """Give the lines of a table of one column."""
    columns = [Column("a", "a", LogicalType(kind))]
    return encoded(CLIEncoder(), columns, [[cell] for cell in cells]).decode().split("\n")


def test_cli_texts_stay_as_they_are() -> None:
    """What looks like a number is none, and spaces in front are kept."""
    cells = ["1.10", "007", "1e5", "1_000", "nan", " x", "True", "1,000.50"]
    assert cli_lines(Kind.TEXT, *cells) == ["a", *cells]


def test_cli_numbers_are_aligned_at_the_point() -> None:
    """All of their digits are kept."""
    assert cli_lines(Kind.DECIMAL, "1.10", "12.5", "-300", "") == [
        "      a",
        "   1.10",
        "  12.5",
        "-300",
        "",
    ]


def test_cli_commands_are_not_obeyed() -> None:
    """Control characters are shown; none draws a line, moves the cursor or colours the rest."""
    cells = ["\x1b[31mred", "\x01", "a\rb\tc", "\x9b1m", "a\u2028b", "x\\y"]
    assert cli_lines(Kind.TEXT, *cells) == [
        "a",
        r"\x1b[31mred",
        r"\x01",
        r"a\rb\tc",
        r"\x9b1m",
        r"a\u2028b",
        r"x\y",
    ]


def test_cli_lines_within_cells() -> None:
    """They are lines within the table."""
    made = encoded(CLIEncoder(), columns_of("a", "b"), [["x\ny", "1"], ["", "2"]]).decode()
    assert made == "a    b\nx    1\ny\n     2"


def test_cli_wide_characters() -> None:
    """They are as wide as terminals show them."""
    made = encoded(CLIEncoder(), columns_of("a", "b"), [["漢字漢字", "1"], ["x", "2"]]).decode()
    assert made == "a         b\n漢字漢字  1\nx         2"


@given(datasets(st.text(max_size=10), st.text(max_size=10)))
@settings(max_examples=60)
def test_cli_tables_keep_every_row(dataset: Dataset) -> None:
    """Whatever the cells hold, a grid has a row for each record."""
    assume(not re.search("[\ud800-\udfff]", str(dataset.headers) + str(dataset.records)))
    text = made_of(CLIEncoder(tablefmt="grid"), dataset).decode()
    lines = [line for line in text.split("\n") if line.startswith("+")]
    assert len(lines) == 2 + len(dataset.records) + (not dataset.records)


def test_cli_formats_that_do_not_exist() -> None:
    """The message names those that do."""
    with pytest.raises(ConfigurationError, match=r"tablefmt must be one of plain, .*'html'"):
        CLIEncoder(tablefmt="html")


# dbf

ASCII = st.text(st.characters(max_codepoint=127, exclude_characters="\0\x1a"), max_size=80)
NAMES = st.text(
    st.sampled_from(string.ascii_uppercase + string.digits + "_ "), min_size=1, max_size=10
).filter(str.strip)


@given(datasets(st.none() | ASCII, NAMES))
@settings(max_examples=30, deadline=None)
def test_dbf_is_that_of_tablib(dataset: Dataset) -> None:
    """All but the date is as tablib writes it, and tablib reads it."""
    made = made_of(DBFEncoder(), dataset)
    shown = [["" if cell is None else cell for cell in record] for record in dataset.records]
    if shown:
        expected = by_tablib("dbf", Dataset(dataset.headers, shown, []))
        assert made[:1] + made[4:] == expected[:1] + expected[4:]
    assert made[1:4] == bytes((80, 1, 1))
    read = tablib.Dataset().load(io.BytesIO(made), "dbf")
    assert read.headers == dataset.headers
    assert [list(row) for row in read] == [[cell.rstrip(" ") for cell in row] for row in shown]


def test_dbf_without_records() -> None:
    """The file has its columns, no records, and its end."""
    made = encoded(DBFEncoder(), columns_of("A", "B"), [])
    assert int.from_bytes(made[4:8], "little") == 0
    assert len(made) == int.from_bytes(made[8:10], "little") + 1
    assert made.endswith(b"\r\x1a")


@pytest.mark.parametrize(
    ("cell", "error", "match"),
    [
        ("é", EncodeError, "a character that is not ASCII"),
        ("x\0", EncodeError, "a NUL or SUB character"),
        ("x\x1ay", EncodeError, "a NUL or SUB character"),
        ("x" * 81, FormatLimitError, "a text of 81 characters; dbf holds 80 in a cell"),
    ],
)
def test_dbf_cells_that_are_refused(cell: str, error: type[EncodeError], match: str) -> None:
    """Nothing is cut, and nothing written beyond its place."""
    with pytest.raises(error, match=f"^column 'a': {match}") as caught:
        column_of(DBFEncoder(), "fine", cell)
    assert cell not in str(caught.value)


@pytest.mark.parametrize("header", ["", " ", "x" * 11, "é", "a\nb", "a\0"])
def test_dbf_headers_that_are_refused(header: str) -> None:
    """The message says what a header may be."""
    with pytest.raises(ConfigurationError, match="1 to 10 printable characters of ASCII"):
        DBFEncoder().begin(columns_of("a", header))


def test_dbf_headers_that_differ_in_case() -> None:
    """Of two columns one would hold the cells of both."""
    with pytest.raises(ConfigurationError, match="two columns have the header 'NAME'"):
        DBFEncoder().begin(columns_of("Name", "name"))
