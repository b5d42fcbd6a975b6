"""Text that XML can hold."""

from __future__ import annotations

import re

__all__ = ("legal",)

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot hold."""


def legal(text: str) -> str:
    """Give *text* with U+FFFD in the place of each character that XML cannot hold."""
    return text if _ILLEGAL.search(text) is None else _ILLEGAL.sub("\ufffd", text)
