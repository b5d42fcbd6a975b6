"""The types that the columns of a statement have on the server, which a model may not know."""

from __future__ import annotations

from typing import Any, NamedTuple

import asyncpg

from async_export.errors import ConfigurationError

__all__ = ("ServerColumn", "ServerType", "describe")


class ServerType(NamedTuple):
    """A type of PostgreSQL.

    Attributes:
        name: As asyncpg writes it: ``int4``, ``text[]``; that of a domain is its base type's.
        oid: Its number.
        is_builtin: Whether it came with the server, and not by ``CREATE TYPE`` or an extension.
        is_scalar: Whether it is no array, range or composite.
    """

    name: str
    oid: int
    is_builtin: bool = True
    is_scalar: bool = True


class ServerColumn(NamedTuple):
    """A column of a statement."""

    name: str
    type: ServerType


async def describe(connection: asyncpg.Connection, sql: str) -> list[ServerColumn]:
    """Tell the columns of *sql*, which may have parameters; nothing is run.

    Args:
        connection: In a transaction that has begun: preparing before it would break its options.
        sql: One statement that gives rows.

    Raises:
        asyncpg.PostgresError: the server refuses the statement.
        ConfigurationError: it holds what no text of PostgreSQL holds.
    """
    try:
        is_text = "\0" not in sql and bool(sql.encode())
    except UnicodeEncodeError:
        is_text = False
    if not is_text:
        raise ConfigurationError(
            "the statement holds a null character, or what is no character; look at its labels"
        )
    # Without a name: behind a pooler, a named one would stay in somebody else's session.
    prepared = await connection.prepare(sql, name="")
    return [ServerColumn(each.name, _server_type(each.type)) for each in prepared.get_attributes()]


def _server_type(type: Any) -> ServerType:  # noqa: A002 - asyncpg's word
    return ServerType(type.name, type.oid, type.schema == "pg_catalog", type.kind == "scalar")
