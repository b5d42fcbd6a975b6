"""HTML: tablib's bytes, markup that no cell can break, pages, titles and footers."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import uuid
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any, Literal

import pytest
import tablib
from encoded import TEXT, Dataset, columns_of, datasets, encoded
from hypothesis import given, settings
from hypothesis import strategies as st

from async_export.errors import ConfigurationError, EncodeError
from async_export.formats._html import HTMLEncoder
from async_export.types import Record, UnrepresentableText

SEPARATORS = st.sampled_from(["\x1e", "<&>", "</td><td>", "\x1e<", "&amp;", "--><script>"])
CELLS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | SEPARATORS
    | st.decimals()
    | st.datetimes()
    | st.binary(max_size=3)
    | st.dictionaries(TEXT, st.none(), max_size=1)
)


class Table(HTMLParser):
    """Reads the cells of all rows, and notes every tag."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.title = ""
        self._is_cell = False
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Begin a row or a cell."""
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        self._is_cell = tag in {"td", "th"}

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        self._is_cell = False

    def handle_data(self, data: str) -> None:
        """Take the text of a cell, or of the title."""
        if self._is_cell:
            self.rows[-1][-1] += data
        else:
            self.title += data


@given(datasets(CELLS))
def test_bytes_are_those_of_tablib(dataset: Dataset) -> None:
    """Any cells in any batches give the bytes of tablib's export."""
    expected = tablib.Dataset(*dataset.records, headers=dataset.headers).export("html")
    made = encoded(HTMLEncoder(), dataset.columns, dataset.records, dataset.cuts)
    assert made == expected.encode()


@settings(max_examples=50)
@given(datasets(TEXT | SEPARATORS, TEXT | SEPARATORS), TEXT | SEPARATORS)
def test_no_text_is_markup(dataset: Dataset, title: str) -> None:
    """A reader finds every header, cell, title and footer as it was, and no other tags."""
    encoder = HTMLEncoder(page=True, title=title)
    width = len(dataset.headers)
    lines = [dataset.headers, *dataset.records]
    made = encoder.begin(dataset.columns, lines) + encoder.encode(lines) + encoder.end(lines)
    table = Table(made)
    assert table.rows == [*lines, dataset.headers, *lines, *lines]
    assert all(len(row) == width for row in table.rows)
    assert table.title.strip() == title.strip()
    assert table.tags == {*("meta", "title", "table", "thead", "tbody", "tfoot", "tr", "th", "td")}


@pytest.mark.parametrize(("headers", "records"), [(["a"], []), ([], []), ([], [[], []])])
def test_nothing(headers: list[str], records: list[list[Any]]) -> None:
    """Without records, or without columns, it is what tablib writes."""
    expected = tablib.Dataset(*records, headers=headers).export("html")
    assert encoded(HTMLEncoder(), columns_of(*headers), records).decode() == expected


def test_exact_bytes() -> None:
    """The table is on one line, and the page around it short."""
    records: list[Record] = [[1, None], ["<b>", '"&"']]
    body = '<tr><td>1</td><td></td></tr><tr><td>&lt;b&gt;</td><td>"&amp;"</td></tr>'
    head = "<thead><tr><th>id</th><th>Näme</th></tr></thead>"
    columns = columns_of("id", "Näme")
    table = f"<table>{head}<tbody>{body}</tbody></table>"
    assert encoded(HTMLEncoder(), columns, records).decode() == table
    assert encoded(HTMLEncoder(header=False), columns, records).decode() == (
        f"<table><tbody>{body}</tbody></table>"
    )
    assert encoded(HTMLEncoder(page=True, title="A<B"), columns, records).decode() == (
        f'<!doctype html><meta charset="utf-8"><title>A&lt;B</title>\n{table}\n'
    )


def test_titles_and_footers() -> None:
    """Titles stand above the headers, a single cell across; footers below, both padded."""
    encoder = HTMLEncoder()
    begin = encoder.begin(columns_of("a", "b", "c"), [["<Books>"], [1, dt.date(2024, 1, 31)]])
    assert begin.decode() == (
        '<table><thead><tr><th colspan="3">&lt;Books&gt;</th></tr>'
        "<tr><th>1</th><th>2024-01-31</th><th></th></tr>"
        "<tr><th>a</th><th>b</th><th>c</th></tr></thead><tbody>"
    )
    assert encoder.end([["sum"]]).decode() == (
        "</tbody><tfoot><tr><td>sum</td><td></td><td></td></tr></tfoot></table>"
    )


def test_titles_of_one_column_and_of_none() -> None:
    """A title is as wide as the table, were it of one column or of no columns at all."""
    assert b"<th>T</th>" in HTMLEncoder(header=False).begin(columns_of("a"), [["T"]])
    assert HTMLEncoder().begin([], [[]]) == b"<table><thead><tr></tr></thead><tbody>"


def test_too_long_a_title() -> None:
    """A title or footer wider than the table is refused."""
    encoder = HTMLEncoder()
    with pytest.raises(ConfigurationError, match="2 cells"):
        encoder.begin(columns_of("a"), [["x", "y"]])
    encoder.begin(columns_of("a"))
    with pytest.raises(ConfigurationError, match="2 cells"):
        encoder.end([["x", "y"]])


def test_formulas() -> None:
    """The policy holds for cells, headers and titles; changed cells are counted."""
    encoder = HTMLEncoder(formula_policy="escape")
    begin = encoder.begin(columns_of("=h"), [["=t"]])
    assert b"<th>'=t</th>" in begin
    assert b"<th>'=h</th>" in begin
    before = encoder.escaped
    assert encoder.encode([["=1<2"], ["a"]]) == (b"<tr><td>'=1&lt;2</td></tr><tr><td>a</td></tr>")
    assert encoder.escaped == before + 1
    encoder.end([["=f"]])
    assert encoder.escaped == before + 2
    encoder.begin(columns_of("a"))
    assert encoder.escaped == 0


def test_formulas_refused() -> None:
    """With ``reject`` a cell is an error that names its column, and shows nothing else."""
    encoder = HTMLEncoder(formula_policy="reject")
    encoder.begin(columns_of("a", "b"))
    with pytest.raises(EncodeError, match="column 'b'") as caught:
        encoder.encode([["x", "=secret"]])
    assert "secret" not in str(caught.value)


class Unspeakable:
    """A value whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("secret")


@pytest.mark.parametrize("cell", ["secret \ud800", Unspeakable()])
def test_cells_without_a_text(cell: object) -> None:
    """The error names the column and no value."""
    with pytest.raises(EncodeError, match="column 'b'") as caught:
        encoded(HTMLEncoder(), columns_of("a", "b"), [["\x1e", "x"], ["x", cell]])
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("options", [{"page": True, "title": "\ud800"}, {}])
def test_headers_and_titles_without_a_text(options: dict[str, Any]) -> None:
    """A header, or a title of the page, that UTF-8 cannot hold fails in ``begin``."""
    with pytest.raises(EncodeError, match="surrogates"):
        HTMLEncoder(**options).begin(columns_of("a" if options else "\ud800"))


class Word(str, enum.Enum):  # noqa: UP042 - what older code has
    """A text that shows something else in ``str()``."""

    ONE = "<one>"


@pytest.mark.parametrize("cell", [Word.ONE, UnrepresentableText("<one>")])
def test_strings_of_subclasses(cell: str) -> None:
    """A string is its own text, whatever its class shows."""
    assert b"<td>&lt;one&gt;</td>" in encoded(HTMLEncoder(), columns_of("a"), [[cell], [None]])


def test_values_from_hooks() -> None:
    """Other values are their ``str()``."""
    key = uuid.UUID(int=1)
    assert f"<td>{key}</td>".encode() in encoded(HTMLEncoder(), columns_of("a"), [[key]])


def test_wrong_options() -> None:
    """An unknown policy, or a title without a page, is refused at once."""
    wrong: Any = "quote"
    with pytest.raises(ConfigurationError, match="formula_policy"):
        HTMLEncoder(formula_policy=wrong)
    with pytest.raises(ConfigurationError, match="page=True"):
        HTMLEncoder(title="x")


@pytest.mark.parametrize("policy", ["raw", "escape"])
def test_copies_of_one_encoder_do_not_mix(policy: Literal["raw", "escape"]) -> None:
    """Two exports at once by copies of one encoder keep apart."""
    encoder = HTMLEncoder(formula_policy=policy)
    first, second = copy.copy(encoder), copy.copy(encoder)
    first.begin(columns_of("a"))
    second.begin(columns_of("b", "c"))
    assert second.encode([["=1", 2]]).count(b"td") == 4
    assert first.encode([[1]]) == b"<tr><td>1</td></tr>"
    assert first.escaped == 0
    assert second.escaped == (policy == "escape")
