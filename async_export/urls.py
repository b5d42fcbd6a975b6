"""From a URL, as people type it, to an engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import NullPool, event, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from async_export.errors import ConfigurationError, MissingDependencyError, SourceError
from async_export.faults import source_error

__all__ = ("engine_from_url",)

_POSTGRESQL: Final = ("postgres", "postgresql", "postgresql+asyncpg")
_SQLITE: Final = ("sqlite", "sqlite+aiosqlite")

_EXAMPLES: Final = "postgresql://user@host/database or sqlite:///file.db"


def engine_from_url(url: str) -> AsyncEngine:
    """Make an engine for *url*, one connection for each use.

    Nothing is connected yet, but the file of a SQLite database is looked for. Errors say nothing
    of what stands in the URL.

    Args:
        url: ``postgresql://``, ``postgres://`` or ``postgresql+asyncpg://``, with the parameters
            of libpq that asyncpg knows (``sslmode``, ``host=/socket/folder``, several hosts,
            ``passfile``); ``sqlite:///file.db``, of which connections only read; or any URL of
            SQLAlchemy's with an async driver.

    Raises:
        MissingDependencyError: SQLite's driver is not installed.
        ConfigurationError: this is no such URL, its driver is not async or not installed, or there
            is no such SQLite file.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.strip().lower()
    if not separator:
        raise ConfigurationError(f"a database is named by a URL, such as {_EXAMPLES}")
    if scheme in _POSTGRESQL:
        return _postgresql_engine(f"postgresql://{rest.strip()}")
    if scheme in _SQLITE:
        return _sqlite_engine(f"sqlite+aiosqlite://{rest}")
    return _engine(url)


def _postgresql_engine(dsn: str) -> AsyncEngine:
    # SQLAlchemy, asyncpg and libpq each have a name of their own for it.
    dsn = re.sub(r"([?&])ssl=true(?=&|$)", r"\1sslmode=require", dsn)
    dsn = re.sub(r"([?&])ssl=", r"\1sslmode=", dsn)

    async def connect() -> Any:
        try:
            return await asyncpg.connect(dsn)
        except asyncpg.InterfaceError as error:  # also a ValueError, for a wrong parameter
            raise SourceError(f"cannot connect to PostgreSQL: {error}") from error
        except ValueError:
            # Its text may be a part of the password, taken for the port.
            raise ConfigurationError(
                "the URL of PostgreSQL cannot be read; a special character in the password is "
                "written as %40 for @, %2F for /, %3A for :"
            ) from None
        except (asyncpg.PostgresError, OSError) as error:
            found = source_error(error)
            message = f"cannot connect to PostgreSQL: {found.message}"
            raise type(found)(message, 0, found.sqlstate, found.setting) from error
        except OverflowError as error:
            raise ConfigurationError("the port of a URL is a number up to 65535") from error

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


def _sqlite_engine(url: str) -> AsyncEngine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.host or parsed.username:
        raise ConfigurationError(
            "a SQLite URL has three slashes, and a fourth before an absolute path: "
            "sqlite:///file.db, sqlite:////folder/file.db"
        )
    path = parsed.database or ":memory:"
    # SQLite would create the file.
    if path != ":memory:" and not path.startswith("file:") and not Path(path).is_file():
        raise ConfigurationError(f"there is no SQLite database {path}")
    try:
        engine = create_async_engine(parsed, poolclass=NullPool)
    except ModuleNotFoundError as error:
        raise MissingDependencyError("SQLite", "sqlite") from error
    event.listen(engine.sync_engine, "connect", _only_read)
    return engine


def _only_read(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()


def _engine(url: str) -> AsyncEngine:
    try:
        return create_async_engine(url, poolclass=NullPool)
    except ModuleNotFoundError as error:
        message = (
            f"the driver of this URL is not installed: {error.name}; it has to be an async one"
        )
    except InvalidRequestError:
        message = "the driver of this URL is not async; name one that is: mysql+asyncmy://…"
    except (ArgumentError, ValueError, TypeError):
        message = f"this is no URL of a database; such as {_EXAMPLES}"
    raise ConfigurationError(message)
