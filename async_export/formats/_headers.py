"""What formats ask of headers that name things, not only show them."""

from __future__ import annotations

from collections.abc import Iterable

from async_export.errors import ConfigurationError

__all__ = ("check_distinct",)


def check_distinct(headers: Iterable[str], holder: str) -> None:
    """Make sure that no two columns have the same header.

    Args:
        headers: The headers.
        holder: What is keyed by them, such as ``"a YAML mapping"``.

    Raises:
        ConfigurationError: two have, and one would be lost.
    """
    seen: set[str] = set()
    for header in headers:
        if header in seen:
            message = (
                f"two columns have the header {header!r}, and {holder} holds only one of them; "
                "give one another column_name"
            )
            raise ConfigurationError(message)
        seen.add(header)
