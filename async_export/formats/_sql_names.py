"""Names of tables and columns in SQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from async_export.errors import ConfigurationError

__all__ = ("plain_name", "quoted_name", "table_name")

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_IMPOSSIBLE: Final = re.compile("[\0\ud800-\udfff]")


def quoted_name(name: str) -> str:
    """Give *name* as a delimited identifier, which means exactly this name.

    Raises:
        ConfigurationError: SQL has no such name.
    """
    if not name or _IMPOSSIBLE.search(name):
        message = (
            f"{name!r} is no name in SQL: a table or column_name has at least one character, "
            "and none of them is NUL or a lone surrogate"
        )
        raise ConfigurationError(message)
    return '"{}"'.format(name.replace('"', '""'))


def plain_name(name: str) -> str:
    """Give *name* as it is if it is a plain word, else as `quoted_name` does."""
    return name if _PLAIN.fullmatch(name) else quoted_name(name)


def table_name(table: str, write: Callable[[str], str]) -> str:
    """Give the name of a table, whose schema may stand before it.

    Args:
        table: The name; a dot separates its parts.
        write: What writes each of them.
    """
    return ".".join(map(write, table.split(".")))
