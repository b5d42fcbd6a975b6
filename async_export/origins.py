"""What tells one export from another: a digest of its queryset, and the versions of what ran."""

from __future__ import annotations

import hashlib
import platform
from typing import Any

import asyncpg
import sqlalchemy
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError

from async_export.statements import is_statement
from async_export.version import VERSION

__all__ = ("fingerprint_of", "versions_of")


def fingerprint_of(queryset: Any, dialect: Dialect) -> str:
    """Give a digest of the SQL and parameters of *queryset*; nothing if it is no statement."""
    if not is_statement(queryset):
        return ""
    try:
        compiled = queryset.compile(dialect=dialect)
    except SQLAlchemyError:  # what only runs in a session, such as a from_statement()
        return ""
    parameters = sorted((name, repr(value)) for name, value in compiled.params.items())
    return hashlib.sha256(f"{compiled}\n{parameters}".encode()).hexdigest()


def versions_of(dialect: Dialect | None) -> dict[str, str]:
    """Give the versions of what takes part in an export, by name."""
    versions = {
        "async_export": VERSION,
        "python": platform.python_version(),
        "sqlalchemy": sqlalchemy.__version__,
    }
    if dialect is None:
        return versions
    if dialect.driver == "asyncpg":
        versions["asyncpg"] = asyncpg.__version__
    server = getattr(dialect, "server_version_info", None) or ()
    return {**versions, dialect.name: ".".join(map(str, server))}
