"""What the formats of spreadsheets share: text for XML, and names of sheets."""

from __future__ import annotations

import re
from typing import Final

from async_export.types import Cell
from async_export.widgets import AutoWidget

__all__ = ("MAX_SHEET_ROWS", "SheetNames", "cell_text", "legal")

MAX_SHEET_ROWS: Final = 1_048_576
"""Rows of a sheet in Excel and LibreOffice, the header among them."""

_MAX_NAME: Final = 31

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot hold."""

_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
"""What the name of a sheet cannot hold."""

_EDGES = re.compile(r"^[\s']+|[\s']+\Z")
"""What it cannot begin or end with, and blanks."""

_RESERVED = frozenset({"history"})
"""Names that Excel keeps for itself."""

_WIDGET = AutoWidget()


def legal(text: str) -> str:
    """Give *text* with U+FFFD in the place of each character that XML cannot hold."""
    return text if _ILLEGAL.search(text) is None else _ILLEGAL.sub("\ufffd", text)


def cell_text(value: Cell) -> str:
    """Give the text of a value that spreadsheets have no type for, as text formats show it.

    Raises:
        TypeError: it has none; the message names types only.
    """
    return str(_WIDGET.render(value))


class SheetNames:
    """Gives every sheet of a workbook a name of its own that Excel and LibreOffice take."""

    def __init__(self) -> None:
        self._taken: set[str] = set(_RESERVED)

    def add(self, wanted: str) -> str:
        """Give the name that is nearest to *wanted*: cut to 31 characters, and numbered if taken.

        Names differ if they do so without regard to case.
        """
        name = legal(_FORBIDDEN.sub("-", wanted)).translate(_ONE_LINE).strip("' ")
        name = _shortened(name, "") or "Sheet"
        found, number = name, 1
        while found.lower() in self._taken:
            number += 1
            found = _shortened(name, f" ({number})")
        self._taken.add(found.lower())
        return found


_ONE_LINE = str.maketrans("\r\n\t", "   ")


def _shortened(name: str, ending: str) -> str:
    """Give *name* and *ending* within the limit, which Excel counts in units of UTF-16."""
    room = _MAX_NAME - len(ending)
    kept = name.encode("utf-16-le")[: 2 * room].decode("utf-16-le", "ignore")
    return _EDGES.sub("", kept) + ending
