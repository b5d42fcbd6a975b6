"""Names of test cases, the same in every process: tests may run in several at once."""

from __future__ import annotations

import re

__all__ = ("named",)

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def named(value: object) -> str:
    """Give the ``repr`` of *value*, without the address where it is."""
    return _ADDRESS.sub("", repr(value))
