"""What Excel can hold in a cell, whatever the format of the workbook."""

from __future__ import annotations

from datetime import date
from typing import Final

__all__ = ("FIRST_DAY", "MAX_TEXT")

MAX_TEXT: Final = 32_767
"""Characters of a cell, counted in units of UTF-16."""

FIRST_DAY: Final = date(1900, 3, 1)
"""Before that, Excel's calendar has a day that never was."""
