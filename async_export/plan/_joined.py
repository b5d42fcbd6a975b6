"""Cells that PostgreSQL renders, fetched as one text: a row with few values costs less."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import ColumnElement, Text, cast, func, literal

__all__ = ("JoinedTexts",)

_TOGETHER: Final = 45
"""Texts that one ``concat`` joins; with what stands between them, it takes 100 at most."""


_NULL: Final = "\x01"
"""Stands for NULL where that is not the empty text."""


class JoinedTexts:
    """Texts of one SELECT, joined by a marker that is random, so that no text can hold it.

    NULL is the empty text, or None where the two are to be told apart.
    """

    def __init__(self) -> None:
        self._marker = f"\x1f{secrets.token_urlsafe(6)}"
        self._texts: list[ColumnElement[Any]] = []
        self._nullable: list[int] = []

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: ColumnElement[Any], *, nullable: bool = False) -> int:
        """Join a text, or anything that has one; give its place among them.

        Args:
            text: The text.
            nullable: Whether NULL is None; the text holds no control character then.
        """
        if nullable:
            self._nullable.append(len(self._texts))
            text = func.coalesce(cast(text, Text()), literal(_NULL, Text()))
        self._texts.append(text)
        return len(self._texts) - 1

    def column(self) -> ColumnElement[Any]:
        """Give the column of all that was added."""
        # A parameter, so that the statement is the same each time.
        marker: ColumnElement[str] = literal(self._marker, Text())
        texts = self._texts
        while len(texts) > 1:
            texts = [
                _concat(texts[start : start + _TOGETHER], marker)
                for start in range(0, len(texts), _TOGETHER)
            ]
            if len(texts) == 1:
                return texts[0]
        return _concat(texts, marker)

    def splitter(self, position: int) -> Callable[[Any], list[Any]]:
        """Give the function that takes the texts out of a row.

        Args:
            position: Where the row has the column.
        """
        marker, nullable = self._marker, self._nullable
        if not nullable:
            return lambda row: row[position].split(marker)

        def split(row: Any) -> list[Any]:
            texts: list[Any] = row[position].split(marker)
            for place in nullable:
                if texts[place] == _NULL:
                    texts[place] = None
            return texts

        return split


def _concat(texts: list[ColumnElement[Any]], marker: ColumnElement[Any]) -> ColumnElement[Any]:
    between: list[ColumnElement[Any]] = []
    for text in texts:
        between += [marker, text]
    return func.pg_catalog.concat(*between[1:], type_=Text())
