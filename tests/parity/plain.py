"""Objects that no database knows, for both sides."""

from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

__all__ = ("PLAIN_DICTS", "PLAIN_OBJECTS", "Color", "broken_property")

PLAIN_DICTS: list[dict[str, Any]] = [
    {
        "name": "a, b",
        "number": 1,
        "price": Decimal("1.50"),
        "day": date(868, 5, 11),
        "address": {"city": "Bergen"},
    },
    {"name": None, "number": -2, "price": None, "day": None, "address": {}},
    {"name": "\U0001f600\r\n", "number": 0, "price": 1e16, "day": date(2024, 2, 29)},
]

PLAIN_OBJECTS: list[Any] = [
    SimpleNamespace(
        name=each["name"],
        number=each["number"],
        price=each["price"],
        day=each["day"],
        address=SimpleNamespace(city="Oslo") if "address" in each else None,
    )
    for each in PLAIN_DICTS
]


class Color(enum.Enum):
    """An enum whose value is text."""

    RED = "red"


class _Broken:
    """Its property fails, as a misspelt name inside it does."""

    @property
    def value(self) -> object:
        """Read an attribute that does not exist."""
        return getattr(self, "misspelt")  # noqa: B009


broken_property = _Broken()
