"""Numbers as spreadsheets keep them to the last digit, and values by their types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar

__all__ = ("FIRST_INEXACT", "MAX_DIGITS", "decimal_text", "float_text", "integer_text", "of_type")

_T = TypeVar("_T")

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
    return str(value) if len(significant) <= MAX_DIGITS else None


def of_type(known: Mapping[type, _T], value: Any) -> _T:
    """Find what *known* has for the type of *value*, or for a base of it.

    Args:
        known: By type; subclasses come before their bases. What ``str`` has is for all others,
            and for the members of enums, which are shown as text.
        value: Anything.
    """
    found = known.get(type(value))
    if found is not None:
        return found
    if isinstance(value, Enum):
        return known[str]
    return next((each for base, each in known.items() if isinstance(value, base)), known[str])
