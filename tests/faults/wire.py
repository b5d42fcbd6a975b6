"""What an engine sends to PostgreSQL, and what is left of it without literals and quoted names."""

from __future__ import annotations

import re
from typing import Any

import asyncpg

__all__ = ("Wire", "skeleton")

_QUOTED = re.compile(
    r"""
    (?<![\w$])E'(?:[^'\\]|\\.|'')*'   # the only ones in which a backslash means something
    | (?P<literal>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*")
    """,
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)

_SAVEPOINT = re.compile(r"__asyncpg_savepoint_\w+|sa_savepoint_\d+")


def skeleton(sql: str) -> str:
    """Give *sql* with all literals and quoted names empty; comments and dollars stay in it.

    Two statements with the same skeleton differ in nothing that a server obeys.
    """
    return _QUOTED.sub(lambda found: '""' if found["name"] else "''", sql)


class Wire:
    """Notes what connections send: as text, for what is sent as a parameter is no SQL.

    Attributes:
        connection_class: For ``connect_args`` of an engine.
        sent: The statements, with names of savepoints that are always the same.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        note = self._note

        class Noted(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
            """A connection that tells every text that it hands to the protocol."""

            async def execute(self, query: str, *args: Any, **kw: Any) -> Any:
                note(query)
                return await super().execute(query, *args, **kw)

            async def _get_statement(self, query: str, *args: Any, **kw: Any) -> Any:
                note(query)
                return await super()._get_statement(query, *args, **kw)

            async def _copy_out(self, copy_stmt: str, *args: Any, **kw: Any) -> Any:
                note(copy_stmt)
                return await super()._copy_out(copy_stmt, *args, **kw)

        self.connection_class = Noted

    def _note(self, sql: str) -> None:
        self.sent.append(_SAVEPOINT.sub("savepoint", sql))

    def take(self) -> list[str]:
        """Give what was sent since the last time."""
        sent, self.sent[:] = self.sent[:], []
        return sent

    def skeletons(self) -> list[str]:
        """Give the skeletons of what was sent since the last time."""
        return [skeleton(sql) for sql in self.take()]
