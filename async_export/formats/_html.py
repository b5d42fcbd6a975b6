"""HTML: a table, alone or as a page."""

from __future__ import annotations

from collections.abc import Sequence

from async_export.errors import ConfigurationError
from async_export.formats._encoder import TitledEncoder
from async_export.formats._formulas import FormulaPolicy, check_policy
from async_export.formats._markup import MarkupCells
from async_export.formats._titles import padded
from async_export.types import Column, Record

__all__ = ("HTMLEncoder",)


class HTMLEncoder(TitledEncoder):
    """A table of HTML; with the default options, byte for byte tablib's ``html`` export.

    None is written as nothing, every other cell as its ``str``; ``&``, ``<`` and ``>`` are escaped
    in cells, headers and titles, so that none of them is ever markup. Control characters stay as
    they are; browsers show U+FFFD for NUL, and a line feed for a carriage return.

    Titles stand above the headers in the head of the table, one of a single cell across all
    columns; footers stand in its foot.

    Args:
        page: Whether to write a whole document of HTML 5, which names its encoding.
        title: Title of the document.
        header: Whether to write the row of headers.
        formula_policy: What to do with text that a spreadsheet would take for a formula when the
            table is opened or pasted there: ``"raw"``, ``"escape"`` or ``"reject"``.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    name = "html"
    extension = "html"
    content_type = "text/html; charset=utf-8"

    def __init__(
        self,
        *,
        page: bool = False,
        title: str = "",
        header: bool = True,
        formula_policy: FormulaPolicy = "raw",
    ) -> None:
        check_policy(formula_policy)
        if title and not page:
            raise ConfigurationError("a table alone has no title; pass page=True as well")
        self.page = page
        self.title = title
        self.header = header
        self.formula_policy = formula_policy

    def begin(self, columns: Sequence[Column], titles: Sequence[Record] = ()) -> bytes:
        self._width = len(columns)
        self._cells = MarkupCells(columns, self.formula_policy, _escape)
        head = b"".join([self._title_row(*each) for each in self._with_padded(titles)])
        if self.header and columns:
            head += self._rows(self._cells.headers(), 1, "th")
        self.escaped = self._cells.escaped
        return self._page_head() + b"<table>" + _element("thead", head) + b"<tbody>"

    def encode(self, records: Sequence[Record]) -> bytes:
        if not records:
            return b""
        rows = self._rows(self._cells.texts(records), len(records), "td")
        self.escaped = self._cells.escaped
        return rows

    def end(self, footers: Sequence[Record] = ()) -> bytes:
        foot = self.encode([line for _, line in self._with_padded(footers)])
        return b"</tbody>" + _element("tfoot", foot) + b"</table>" + (b"\n" if self.page else b"")

    def _page_head(self) -> bytes:
        if not self.page:
            return b""
        head = f'<!doctype html><meta charset="utf-8"><title>{_escape(self.title)}</title>\n'
        return self._cells.to_bytes(head, [()] * self._width)

    def _with_padded(self, records: Sequence[Record]) -> list[tuple[Record, Record]]:
        return list(zip(records, padded(records, self._width), strict=True))

    def _title_row(self, record: Record, line: Record) -> bytes:
        texts = self._cells.texts([line])
        if len(record) > 1 or self._width <= 1:
            return self._rows(texts, 1, "th")
        row = f'<tr><th colspan="{self._width}">{texts[0][0]}</th></tr>'
        return self._cells.to_bytes(row, texts)

    def _rows(self, columns: Sequence[Sequence[str]], count: int, element: str) -> bytes:
        """Give *count* rows of cells of that *element*."""
        if not columns:
            return b"<tr></tr>" * count
        rows = map(f"</{element}><{element}>".join, zip(*columns, strict=True))
        start, end = f"<tr><{element}>", f"</{element}></tr>"
        return self._cells.to_bytes(f"{start}{f'{end}{start}'.join(rows)}{end}", columns)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _element(name: str, content: bytes) -> bytes:
    return b"<%b>%b</%b>" % (name.encode(), content, name.encode()) if content else b""
