"""Numbers as spreadsheets keep them, to the last digit."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

__all__ = ("FIRST_INEXACT", "MAX_DIGITS", "decimal_text", "float_text", "integer_text")

MAX_DIGITS: Final = 15
"""Digits of a number that spreadsheets keep."""

FIRST_INEXACT: Final = 10**MAX_DIGITS
"""The first integer that has more."""

_MAX_EXPONENT: Final = 300
"""Decimals beyond are more than a number can be, or nearly so."""


def integer_text(value: int) -> str | None:
    """Give the digits of *value*; None if a spreadsheet would round it."""
    return int.__repr__(value) if -FIRST_INEXACT < value < FIRST_INEXACT else None


def float_text(value: float) -> str | None:
    """Give the shortest text that reads back as *value*; None for what is no number."""
    return float.__repr__(value) if math.isfinite(value) else None


def decimal_text(value: Decimal) -> str | None:
    """Give the digits of *value*; None if a spreadsheet would round it, or it is no number."""
    if not value.is_finite() or abs(value.adjusted()) > _MAX_EXPONENT:
        return None
    significant = "".join(map(str, value.as_tuple().digits)).strip("0")
    return Decimal.__str__(value) if len(significant) <= MAX_DIGITS else None
