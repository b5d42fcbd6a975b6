"""Settings of the transaction that an export reads in on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import asyncpg
from sqlalchemy import text

__all__ = (
    "FOREIGN_SETTINGS",
    "OWN_SETTINGS",
    "TIMEOUTS",
    "Foreign",
    "set_command",
    "text_settings",
)

_TEXT: Final = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
"""What the text of values depends on, but for TimeZone.

What also decides what the queryset's own expressions mean stays as it is: TimeZone, for the
expressions of the export name their zone; the order of day and month, which a DateStyle without
one does not touch; and ``standard_conforming_strings``, of which no literal of the export depends.
"""

_PATIENCE: Final = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "client_connection_check_interval": "1s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""What keeps a slow reader alive, and ends the session of one that has gone."""


def _values(settings: dict[str, str]) -> str:
    return ", ".join(f"('{name}', '{value}')" for name, value in settings.items())


OWN_SETTINGS: Final = text(
    f"""
    select name, wanted.value
    from (values {_values({**_PATIENCE, **_TEXT})}) as wanted(name, value)
    join pg_catalog.pg_settings using (name)
    where name <> 'client_connection_check_interval' or version() ~ 'linux'
    """  # noqa: S608 - constants
)
"""Finds the settings of a transaction of the export's own.

Those that a server does not have are left out: ``transaction_timeout`` came with PostgreSQL 17,
``client_connection_check_interval`` with 14, the latter not on every system.
"""


def set_command(name: str, value: str) -> str:
    """Give the statement that sets *name* for this transaction; it needs no snapshot.

    Args:
        name: As `OWN_SETTINGS` gives it.
        value: Likewise.
    """
    return f"SET LOCAL {name} = '{value}'"


FOREIGN_SETTINGS: Final = text(
    f"""
    select name, setting, wanted.value
    from (values {_values(_TEXT)}) as wanted(name, value)
    join pg_catalog.pg_settings using (name)
    where setting <> wanted.value and not (name = 'DateStyle' and setting like 'ISO,%')
    """  # noqa: S608 - constants
)
"""Finds what gives values another text in a transaction of somebody else's."""

TIMEOUTS: Final = text(
    """
    select name, setting::double precision / 1000 - case name when 'transaction_timeout'
      then extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.now()) else 0 end as seconds
    from pg_catalog.pg_settings
    where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')
      and setting <> '0'
    """
)
"""Finds what closes an idle session in a transaction of somebody else's, and after how long."""

Foreign: TypeAlias = Sequence[tuple[str, str, str]]
"""Names of settings, what they are and what they should be."""


@asynccontextmanager
async def text_settings(connection: asyncpg.Connection, foreign: Foreign) -> AsyncGenerator[None]:
    """Let values have the text of an export for a while, and then that which they had.

    Args:
        connection: In a transaction. If that fails, its settings are gone with it.
        foreign: What `FOREIGN_SETTINGS` found.
    """
    for name, _, wanted in foreign:
        await connection.execute("select set_config($1, $2, true)", name, wanted)
    try:
        yield
    finally:
        if foreign and not connection.is_closed():
            # A transaction that failed restores them itself, and takes no command.
            with suppress(asyncpg.InFailedSQLTransactionError):
                for name, setting, _ in foreign:
                    await connection.execute("select set_config($1, $2, true)", name, setting)
