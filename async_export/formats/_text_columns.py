"""Records as columns of text: what formats of text share, and how they name the cell at fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from async_export.errors import EncodeError
from async_export.formats._cell_error import reason_of
from async_export.types import Cell, Column, Record

__all__ = ("TextColumns", "TextMaker")

TextMaker: TypeAlias = Callable[[Sequence[Cell]], Sequence[str]]
"""Makes the texts of the cells of one column."""


class TextColumns:
    """The cells of one export as text, column by column.

    Args:
        columns: The columns.
        makers: What makes the texts of each.
    """

    def __init__(self, columns: Sequence[Column], makers: Sequence[TextMaker]) -> None:
        self._makers = [(column.header, make) for column, make in zip(columns, makers, strict=True)]

    def texts(self, records: Sequence[Record]) -> list[Sequence[str]]:
        """Give the texts of the *records*, at least one, column by column.

        Raises:
            EncodeError: a cell has none; names its column.
        """
        columns: list[Sequence[str]] = []
        cells = zip(*records, strict=True)
        for (header, make), column in zip(self._makers, cells, strict=True):
            try:
                columns.append(make(column))
            except Exception as error:
                raise EncodeError(f"column {header!r}: {reason_of(error)}") from error
        return columns

    def to_bytes(self, text: str, columns: Sequence[Sequence[str]]) -> bytes:
        """Give *text* in UTF-8.

        Args:
            text: What was made of the columns.
            columns: The texts of the cells, column by column.

        Raises:
            EncodeError: a cell has a character that UTF-8 cannot hold; names its column.
        """
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            named = (
                header
                for (header, _), column in zip(self._makers, columns, strict=True)
                if not _is_utf8("".join(column))
            )
            where = "".join([f"column {header!r}: " for header in [*named][:1]])
            raise EncodeError(f"{where}{reason_of(error)}") from error


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
