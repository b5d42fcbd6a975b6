"""Names of sheets that Excel and LibreOffice take."""

from __future__ import annotations

import re
from typing import Final

from async_export.formats._xml_text import legal

__all__ = ("SheetNames",)

_MAX_NAME: Final = 31

_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
"""What the name of a sheet cannot hold."""

_EDGES = re.compile(r"^[\s']+|[\s']+\Z")
"""What it cannot begin or end with, and blanks."""

_RESERVED = frozenset({"history"})
"""Names that Excel keeps for itself."""

_ONE_LINE = str.maketrans("\r\n\t", "   ")


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


def _shortened(name: str, ending: str) -> str:
    """Give *name* and *ending* within the limit, which Excel counts in units of UTF-16."""
    room = _MAX_NAME - len(ending)
    kept = name.encode("utf-16-le")[: 2 * room].decode("utf-16-le", "ignore")
    return _EDGES.sub("", kept) + ending
