"""Tables of reStructuredText."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from unicodedata import combining, east_asian_width

from async_export.errors import ConfigurationError
from async_export.formats._cell_error import CellError
from async_export.formats._headers import check_distinct
from async_export.formats._tablib import TablibEncoder, utf8_text
from async_export.types import Cell, Column

__all__ = ("ReSTEncoder",)

_SPACE = re.compile(r"\s")
"""White space: tablib counts words at all of it, but breaks lines only at some."""

_NO_FIRST_CELL = re.compile(r"[-=\s]*")
"""What in the first column of a simple table goes on with the row above, or ends the table."""

_NO_BREAK_SPACE: Final = "\u00a0"

_PADDING: Final = "\0"
"""Stands behind each character that is as wide as two, until the table is made."""

_FIRST_STAND_IN: Final = "\U000f0000"
"""Of the private characters that stand for one with combining marks, until the table is made."""


class ReSTEncoder(TablibEncoder):
    """A table of reStructuredText, as tablib writes it: about as wide as a terminal.

    Like tablib it breaks lines within cells, and writes any white space as a space. Cells are
    reStructuredText: what looks like markup is markup. Without records the file is empty.

    Unlike tablib it counts characters as readers do: wide ones, as of Chinese, as two, and
    combining marks not at all. And it writes a grid where a table without lines would be none: if
    it has one column, or if the first cell of a row is blank or looks like a line.

    Raises:
        ConfigurationError: from ``begin`` if two headers are equal, or one is blank.
    """

    name = "rst"
    extension = "rst"
    content_type = "text/x-rst; charset=utf-8"

    def begin(self, columns: Sequence[Column]) -> bytes:
        headers = [_SPACE.sub(" ", column.header) for column in columns]
        check_distinct(headers, "tablib's table of reStructuredText")
        if not all(map(str.strip, headers)):
            raise ConfigurationError("a column has a blank header, which rst cannot hold")
        self._stand_ins: dict[str, str] = {}
        return super().begin(columns)

    def _cell(self, cell: Cell) -> str:
        text = _SPACE.sub(" ", utf8_text(cell))
        if _PADDING in text:
            raise CellError("a NUL character, which reStructuredText cannot hold")
        return text if text.isascii() else "".join(map(self._measured, _clusters(text)))

    def _measured(self, cluster: str) -> str:
        """Give as many characters as the table needs columns for a *cluster*."""
        padding = _PADDING if east_asian_width(cluster[0]) in "WF" else ""
        if len(cluster) > 1 or cluster >= _FIRST_STAND_IN:
            free = chr(ord(_FIRST_STAND_IN) + len(self._stand_ins))
            cluster = self._stand_ins.setdefault(cluster, free)
        return cluster + padding

    def _export(self, dataset: Any) -> str:
        firsts = [self._headers[0], *(row[0] for row in self._rows)]
        as_grid = len(self._headers) == 1 or any(map(_NO_FIRST_CELL.fullmatch, firsts))
        made: str = dataset.export(self.name, force_grid=as_grid)
        clusters = {ord(stand_in): cluster for cluster, stand_in in self._stand_ins.items()}
        return made.translate({ord(_PADDING): "", **clusters})


def _clusters(text: str) -> list[str]:
    """Give the characters of *text*, each with the combining marks behind it."""
    clusters: list[str] = []
    for char in text:
        if combining(char):
            # A mark alone stands on a space that is none to break lines at.
            has_base = clusters and not clusters[-1].isspace()
            clusters.append(f"{clusters.pop() if has_base else _NO_BREAK_SPACE}{char}")
        else:
            clusters.append(char)
    return clusters
