"""Which column names look as if they held something secret."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ("secret_names",)

# Long words are unlikely inside an innocent name; short ones count only as a part of their own,
# so that "shipping" (pin) and "assault" (salt) stay exportable.
_ANYWHERE = re.compile(r"passw|secret|token|apikey|privatekey|credential|signature|sessionid")
_AS_PART = frozenset(
    ("cvc", "cvv", "hash", "hashed", "otp", "passphrase", "pin", "pwd", "salt", "ssn", "totp")
)


def secret_names(names: Iterable[str]) -> list[str]:
    """Pick the names that look secret, such as ``password_hash`` or ``apiToken``."""
    return [name for name in names if _looks_secret(name)]


def _looks_secret(name: str) -> bool:
    parts = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)
    lowered = [part.lower() for part in parts]
    return bool(_ANYWHERE.search("".join(lowered))) or not _AS_PART.isdisjoint(lowered)
