"""Tables for terminals."""

from __future__ import annotations

import re
from typing import Any, Final

from async_export.errors import ConfigurationError
from async_export.formats._tablib import TablibEncoder, utf8_text
from async_export.types import Cell, Kind

__all__ = ("CLIEncoder",)

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What moves the cursor or commands a terminal, except the line feed."""

_TABLE_FORMATS: Final = (
    "plain",
    "simple",
    "grid",
    "simple_grid",
    "rounded_grid",
    "heavy_grid",
    "fancy_grid",
    "psql",
    "pretty",
)

_NUMBERS: Final = frozenset({Kind.DECIMAL, Kind.FLOAT, Kind.INTEGER})


class CLIEncoder(TablibEncoder):
    r"""A table for terminals, as tablib writes it with tabulate.

    Columns of numbers are aligned at the point. Unlike in tablib, text stays as it is: what looks
    like a number is none, and spaces around it are kept. Control characters other than line feeds
    are written as ``\x1b`` and the like, so that no cell commands the terminal.

    Args:
        tablefmt: What tabulate draws between cells: ``"plain"``, ``"simple"``, ``"grid"``,
            ``"simple_grid"``, ``"rounded_grid"``, ``"heavy_grid"``, ``"fancy_grid"``, ``"psql"``
            or ``"pretty"``.

    Raises:
        ConfigurationError: *tablefmt* is none of these.
        MissingDependencyError: tabulate is not installed, or wcwidth, without which it aligns
            wide characters in another way.
    """

    name = "cli"
    extension = "txt"
    content_type = "text/plain; charset=utf-8"
    extra = "tabulate"
    libraries = ("tabulate", "wcwidth")

    def __init__(self, *, tablefmt: str = "plain") -> None:
        super().__init__()
        if tablefmt not in _TABLE_FORMATS:
            known = ", ".join(_TABLE_FORMATS)
            raise ConfigurationError(f"tablefmt must be one of {known}; not {tablefmt!r}")
        self.tablefmt = tablefmt

    def _cell(self, cell: Cell) -> str:
        return _CONTROL.sub(_visible, utf8_text(cell))

    def _export(self, dataset: Any) -> str:
        are_numbers = [column.type.kind in _NUMBERS for column in self._columns]
        made: str = dataset.export(
            self.name,
            tablefmt=self.tablefmt,
            disable_numparse=True,
            preserve_whitespace=True,
            colalign=["decimal" if is_number else "left" for is_number in are_numbers],
        )
        return made


def _visible(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
