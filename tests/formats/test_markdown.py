"""Markdown: cells that every reader shows as they are, alignment, titles and footers."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from encoded import TEXT, Dataset, columns_of, datasets, encoded
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from async_export.errors import ConfigurationError, EncodeError
from async_export.formats._markdown import MarkdownEncoder
from async_export.types import Column, Kind, LogicalType

PIECES = (
    *("a", " ", "|", "\\", "\\|", "`", "``", "*", "**", "_", "[a](b)", "![", "]", "~~", "~", "$"),
    *("<b>", "<!--", "&amp;", "&#124;", "<br>", "\n", "\r\n", "\r", "---", "- ", "# ", "1. ", "2)"),
    *("http://", "https://a.b/c_d", "www.", "WWW.a.b", "a@b.c", "> ", "+", "=", ":", "%", "\x1e"),
    *("\t", "    ", "{", "}", "!", "^", "|---|", "[^1]", "```", "~~~", "\0", "\x0c", "\u2028", "."),
)
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
"""Reads what GitHub does, but for links of bare text."""


def shown(token: Token) -> str:
    """Give the text that an inline token shows; fail if there is anything else in it."""
    assert token.children is not None
    texts = []
    for child in token.children:
        if child.type == "html_inline":
            assert child.content == "<br>"
            texts.append("\n")
        else:
            assert child.type in {"text", "text_special"}, child
            texts.append(child.content)
    return "".join(texts).strip()


def as_shown(text: str) -> str:
    """Give *text* as a reader can show it."""
    return re.sub(r"\r\n?", "\n", text).replace("\0", "\ufffd").strip()


def read(made: bytes) -> tuple[list[str], list[list[str]]]:
    """Give the paragraphs, and the rows of the table with its header; there is nothing else."""
    paragraphs: list[str] = []
    rows: list[list[str]] = []
    is_cell = False
    for token in READER.parse(made.decode()):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and is_cell:
            rows[-1].append(shown(token))
        elif token.type == "inline":
            paragraphs.append(shown(token))
        else:
            assert re.fullmatch("(paragraph|table|thead|tbody|tr|th|td)_(open|close)", token.type)
        is_cell = token.type in {"th_open", "td_open"}
    return paragraphs, rows


def all_shown(lines: Iterable[Sequence[str]]) -> list[list[str]]:
    """Give the texts of *lines* as a reader can show them."""
    return [[as_shown(text) for text in line] for line in lines]


@settings(max_examples=60, deadline=None)
@given(datasets(HOSTILE | TEXT, HOSTILE | TEXT))
def test_cells_are_shown_as_they_are(dataset: Dataset) -> None:
    """A reader shows the text of all headers, cells and footers, and makes nothing of it."""
    encoder = MarkdownEncoder()
    made = encoder.begin(dataset.columns) + encoder.encode(dataset.records)
    made += encoder.end(dataset.records)
    assert read(made) == ([], all_shown([dataset.headers, *dataset.records, *dataset.records]))


@settings(max_examples=60, deadline=None)
@given(st.lists(HOSTILE, min_size=1, max_size=3), HOSTILE)
@example(["---"], "---")
@example(["1."], "2)")
@example(["    code"], "\tcode")
@example(["a"], "===")
def test_titles_are_shown_as_they_are(title: list[str], second: str) -> None:
    """Each title is a paragraph of its cells, and begins nothing else."""
    made = MarkdownEncoder().begin(columns_of("a", "b", "c"), [title, [second], [None]])
    joined = [" ".join(filter(None, title)), second]
    assert read(made) == (list(filter(None, map(as_shown, joined))), [["a", "b", "c"]])


@given(datasets(HOSTILE | st.none() | st.integers()))
def test_batches_change_nothing(dataset: Dataset) -> None:
    """Records in any batches give the same bytes."""
    columns, records = dataset.columns, dataset.records
    made = encoded(MarkdownEncoder(), columns, records, dataset.cuts)
    assert made == encoded(MarkdownEncoder(), columns, records)


def test_exact_bytes() -> None:
    """Cells are not padded, and columns of numbers are aligned to the right."""
    kinds = [Kind.INTEGER, Kind.FLOAT, Kind.DECIMAL, Kind.TEXT, Kind.ANY]
    columns = [Column(kind, kind, LogicalType(kind)) for kind in kinds]
    encoder = MarkdownEncoder()
    made = encoder.begin(columns, [["Books"], ["of", 2024]])
    made += encoder.encode([["1", "1.5", "1.50", "a|b\nc", None]]) + encoder.end([["sum"]])
    assert made.decode() == (
        "Books\n"
        "\n"
        "of 2024\n"
        "\n"
        "| integer | float | decimal | text | any |\n"
        "| ---: | ---: | ---: | --- | --- |\n"
        "| 1 | 1.5 | 1.50 | a\\|b<br>c |  |\n"
        "| sum |  |  |  |  |\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-31 09:05:00", "2024-01-31 09:05:00"),
        ("-1.5e+3 (x) #1!", "-1.5e+3 (x) #1!"),
        ("snake_case", "snake\\_case"),
        ("a\\|b", "a\\\\\\|b"),
        ("<a href=x>&amp;", "&lt;a href=x&gt;&amp;amp;"),
        ("http://a.b", "http\\://a.b"),
        ("www.a.b", "www\\.a.b"),
        ("a\r\n\r\nb\rc", "a<br><br>b<br>c"),
    ],
)
def test_what_is_escaped(text: str, expected: str) -> None:
    """Ordinary text stays readable; what would be markup or a link does not stay."""
    made = encoded(MarkdownEncoder(), columns_of("a"), [[text]]).decode()
    assert made == f"| a |\n| --- |\n| {expected} |\n"


def test_no_rows_and_no_columns() -> None:
    """Without records there is the header; without columns there can be no table."""
    assert encoded(MarkdownEncoder(), columns_of(""), []) == b"|  |\n| --- |\n"
    with pytest.raises(ConfigurationError, match="at least one column"):
        MarkdownEncoder().begin([])


def test_too_long_a_title() -> None:
    """A title or footer wider than the table is refused."""
    encoder = MarkdownEncoder()
    with pytest.raises(ConfigurationError, match="2 cells"):
        encoder.begin(columns_of("a"), [["x", "y"]])
    encoder.begin(columns_of("a"))
    with pytest.raises(ConfigurationError, match="2 cells"):
        encoder.end([["x", "y"]])


def test_formulas() -> None:
    """The policy looks at the text as it was, and counts the cells it changed."""
    encoder = MarkdownEncoder(formula_policy="escape")
    begin = encoder.begin(columns_of("=h"), [["=t"]])
    assert begin.startswith(b"'=t\n\n| '=h |\n")
    before = encoder.escaped
    # Escaped for Markdown first, this would begin with a backslash.
    assert encoder.encode([["*"], ["=a_b"]]) == b"| \\* |\n| '=a\\_b |\n"
    assert encoder.escaped == before + 1
    with pytest.raises(EncodeError, match="column 'a'"):
        encoded(MarkdownEncoder(formula_policy="reject"), columns_of("a"), [["=1"]])


def test_cells_without_a_text() -> None:
    """A lone surrogate is an error that names the column and no value."""
    with pytest.raises(EncodeError, match=r"column 'b'.*surrogates") as caught:
        encoded(MarkdownEncoder(), columns_of("a", "b"), [["x", "secret \ud800"]])
    assert "secret" not in str(caught.value)


def test_wrong_options() -> None:
    """An unknown policy is refused at once."""
    wrong: Any = "quote"
    with pytest.raises(ConfigurationError, match="formula_policy"):
        MarkdownEncoder(formula_policy=wrong)


def test_copies_of_one_encoder_do_not_mix() -> None:
    """Two exports at once by copies of one encoder keep apart."""
    encoder = MarkdownEncoder(formula_policy="escape")
    first, second = copy.copy(encoder), copy.copy(encoder)
    first.begin(columns_of("a"))
    second.begin(columns_of("b", "c"))
    assert second.encode([["=1", 2]]) == b"| '=1 | 2 |\n"
    assert first.encode([[1]]) == b"| 1 |\n"
    assert (first.escaped, second.escaped) == (0, 1)
