"""Markdown: a table as GitHub and most others read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from async_export.errors import ConfigurationError
from async_export.formats._encoder import TitledEncoder
from async_export.formats._formulas import FormulaPolicy, check_policy
from async_export.formats._markup import MarkupCells
from async_export.formats._titles import padded
from async_export.types import Column, Kind, Record

__all__ = ("MarkdownEncoder",)

_NUMERIC: Final = frozenset({Kind.DECIMAL, Kind.FLOAT, Kind.INTEGER})
"""Kinds whose columns are aligned to the right."""


class MarkdownEncoder(TitledEncoder):
    r"""A table of Markdown, as GitHub Flavored Markdown has it; columns are not padded.

    None is written as nothing, every other cell as its ``str``, and shown as the text it is:

    - ``&``, ``<`` and ``>`` become entities, since not every reader lets them be escaped;
    - a backslash stands before ``\ ` * _ [ ] | ~ $``, and where a link would be made of bare text,
      in ``http\://`` and ``www\.``;
    - a line break becomes ``<br>``.

    Readers strip blanks around a cell, and show U+FFFD for NUL. What a site makes of the text that
    is shown cannot be prevented: links of addresses of e-mail, mentions, ``:emoji:``.

    Columns of numbers are aligned to the right. Titles are paragraphs above the table, their cells
    separated by spaces; footers are the last rows.

    Args:
        formula_policy: What to do with text that a spreadsheet would take for a formula when the
            table is pasted there: ``"raw"``, ``"escape"`` or ``"reject"``.

    Raises:
        ConfigurationError: there is no such policy.
    """

    name = "markdown"
    extension = "md"
    content_type = "text/markdown; charset=utf-8"

    def __init__(self, *, formula_policy: FormulaPolicy = "raw") -> None:
        check_policy(formula_policy)
        self.formula_policy = formula_policy

    def begin(self, columns: Sequence[Column], titles: Sequence[Record] = ()) -> bytes:
        if not columns:
            raise ConfigurationError("a table of Markdown has at least one column")
        self._width = len(columns)
        self._cells = MarkupCells(columns, self.formula_policy, _escape)
        paragraphs = b"".join(map(self._paragraph, padded(titles, self._width)))
        header = self._rows(self._cells.headers())
        rule = ["---:" if column.type.kind in _NUMERIC else "---" for column in columns]
        self.escaped = self._cells.escaped
        return paragraphs + header + self._rows([[each] for each in rule])

    def encode(self, records: Sequence[Record]) -> bytes:
        if not records:
            return b""
        rows = self._rows(self._cells.texts(records))
        self.escaped = self._cells.escaped
        return rows

    def end(self, footers: Sequence[Record] = ()) -> bytes:
        return self.encode(padded(footers, self._width))

    def _paragraph(self, line: Record) -> bytes:
        columns = self._cells.texts([line])
        text = _BLANK_EDGES.sub("", " ".join([text for (text,) in columns if text]))
        if not text:
            return b""
        return self._cells.to_bytes(_BLOCK_START.sub(r"\1\\", text) + "\n\n", columns)

    def _rows(self, columns: Sequence[Sequence[str]]) -> bytes:
        rows = [f"| {' | '.join(texts)} |\n" for texts in zip(*columns, strict=True)]
        return self._cells.to_bytes("".join(rows), columns)


_BLANK_EDGES: Final = re.compile(r"^(?:\s|<br>)+|(?:\s|<br>)+$")

_BLOCK_START: Final = re.compile(r"^(\d*)(?=[-+#%:.)])")
"""What would make a paragraph a list, a heading, a line, or the start of a file's metadata."""

_ESCAPES: Final = (
    *(("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")),
    *((mark, f"\\{mark}") for mark in "\\`*_[]|~$"),
    *(("://", "\\://"), ("www.", "www\\.")),
    *((line_break, "<br>") for line_break in ("\r\n", "\n", "\r")),
)
"""What is replaced by what, in this order: much faster than a regular expression."""


def _escape(text: str) -> str:
    for mark, escaped in _ESCAPES:
        text = text.replace(mark, escaped)
    return text
