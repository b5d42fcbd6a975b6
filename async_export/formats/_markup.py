"""Cells as text within markup."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from async_export.formats._formulas import FormulaGuard, FormulaPolicy
from async_export.formats._text_columns import TextColumns
from async_export.formats._texts import SEPARATOR, joined_texts
from async_export.types import Cell, Column, Record

__all__ = ("MarkupCells",)


class MarkupCells:
    """The cells of one export, escaped so that they are text and nothing else.

    Args:
        columns: The columns.
        formula_policy: What to do with text that a spreadsheet would take for a formula.
        escape: Makes markup of a text. What stands between two texts changes neither of them.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        formula_policy: FormulaPolicy,
        escape: Callable[[str], str],
    ) -> None:
        self._guard = FormulaGuard(formula_policy)
        self._guard.begin(columns)
        self._headers = [column.header for column in columns]
        self._columns = TextColumns(columns, [lambda cells: _escaped(cells, escape)] * len(columns))
        self.to_bytes = self._columns.to_bytes

    @property
    def escaped(self) -> int:
        """How many cells were changed because they looked like formulas."""
        return self._guard.escaped

    def headers(self) -> list[Sequence[str]]:
        """Give the headers, each as a column of one text; errors are those of `texts`."""
        return self.texts([self._guard.headers(self._headers)])

    def texts(self, records: Sequence[Record]) -> list[Sequence[str]]:
        """Give the *records*, at least one, column by column.

        Raises:
            ConfigurationError: a header is refused as a formula.
            EncodeError: a cell has no text, or is refused; names its column.
        """
        return self._columns.texts(self._guard.records(records))


def _escaped(cells: Sequence[Cell], escape: Callable[[str], str]) -> Sequence[str]:
    texts, joined = joined_texts(cells, SEPARATOR)
    escaped = escape(joined)
    if escaped == joined:
        return texts
    if joined.count(SEPARATOR) == len(texts) - 1:
        return escaped.split(SEPARATOR)
    return [escape(text) for text in texts]
