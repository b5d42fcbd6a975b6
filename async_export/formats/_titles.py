"""Titles and footers: records that are no rows of the export."""

from __future__ import annotations

from collections.abc import Sequence

from async_export.errors import ConfigurationError
from async_export.types import Record

__all__ = ("padded",)


def padded(records: Sequence[Record], width: int) -> list[Record]:
    """Give titles or footers with empty cells at the end, so that they are as wide as the others.

    Raises:
        ConfigurationError: one of them is wider.
    """
    for record in records:
        if len(record) > width:
            message = (
                f"a record of title_records or footer_records has {len(record)} cells, and there "
                f"are {width} columns; give it no more"
            )
            raise ConfigurationError(message)
    return [[*record, *[None] * (width - len(record))] for record in records]
