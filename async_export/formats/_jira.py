"""Tables of Jira."""

from __future__ import annotations

import re

from async_export.formats._tablib import TablibEncoder, utf8_text
from async_export.types import Cell

__all__ = ("JiraEncoder",)

_BACKSLASHES = re.compile(r"\\+(?=\||\Z)")
"""Backslashes that would escape what follows, which is a bar or the end of the cell."""

_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class JiraEncoder(TablibEncoder):
    r"""A table in the markup of Jira, as tablib writes it.

    Empty cells hold a space. Cells are markup of Jira: what looks like it is. Unlike in tablib,
    no cell breaks the table: ``|`` is written as ``\|``, a line break as ``\\``, and a backslash
    before a bar or at the end as ``&#92;``.
    """

    name = "jira"
    extension = "jira"
    content_type = "text/plain; charset=utf-8"

    def _cell(self, cell: Cell) -> str:
        text = _LINE_BREAK.sub(r" \\\\ ", utf8_text(cell))
        text = _BACKSLASHES.sub(lambda found: "&#92;" * len(found[0]), text)
        return text.replace("|", r"\|")
