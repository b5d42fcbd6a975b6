"""Tables of LaTeX."""

from __future__ import annotations

import re
from typing import Any

from async_export.formats._tablib import TablibEncoder, utf8_text
from async_export.types import Cell

__all__ = ("LaTeXEncoder",)

_OPTION_OF_BREAK = re.compile(r"^      (?=[\[*])", re.MULTILINE)
"""Before what TeX takes for an option of the line break or rule above."""


class LaTeXEncoder(TablibEncoder):
    """A table of LaTeX with rules of booktabs, as tablib writes it.

    Whatever TeX takes for a command is escaped. Unlike in tablib, a row may begin with ``[`` or
    ``*``, before which stands ``{}`` then.
    """

    name = "latex"
    extension = "tex"
    content_type = "application/x-tex"

    def _cell(self, cell: Cell) -> str:
        return utf8_text(cell)

    def _export(self, dataset: Any) -> str:
        return _OPTION_OF_BREAK.sub("      {}", dataset.export(self.name))
