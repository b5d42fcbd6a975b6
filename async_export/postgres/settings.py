"""Settings of the export's own transaction on PostgreSQL."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

__all__ = ("PREPARE_TRANSACTION",)

PREPARE_TRANSACTION: Final = text(
    """
    select set_config(name, wanted.value, true)
    from (values
        ('idle_in_transaction_session_timeout', '0'),
        ('transaction_timeout', '0'),
        ('client_connection_check_interval', '1s')
    ) as wanted(name, value)
    join pg_catalog.pg_settings using (name)
    where name <> 'client_connection_check_interval' or version() ~ 'linux'
    """
)
"""Keeps a slow reader alive, and ends the query of one that has gone, for this transaction only.

The settings that a server does not have are left out: ``transaction_timeout`` came with
PostgreSQL 17, ``client_connection_check_interval`` with 14, the latter not on every system.
"""
