"""URLs, as people type them."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from anyio import to_thread
from sqlalchemy import make_url, text

from async_export.errors import ConfigurationError, MissingDependencyError, SourceError
from async_export.urls import engine_from_url


async def _one(url: str, sql: str = "select 1") -> object:
    engine = await to_thread.run_sync(engine_from_url, url)  # it looks for SQLite's file
    try:
        async with engine.connect() as connection:
            return await connection.scalar(text(sql))
    finally:
        await engine.dispose()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A SQLite database with a table."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table book (id integer primary key)")
    connection.close()
    return path


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "POSTGRESQL", "postgresql+asyncpg"])
async def test_the_schemes_of_postgresql_connect(postgres_url: str, scheme: str) -> None:
    """Every way to write PostgreSQL's scheme leads to asyncpg."""
    assert await _one(f"{scheme}:{postgres_url.partition(':')[2]}") == 1


async def test_asyncpg_reads_the_parameters(pg_dsn: str, pg_schema: str) -> None:
    """Parameters of libpq and settings of the server work as asyncpg has them."""
    separator = "&" if "?" in pg_dsn else "?"
    dsn = f"{pg_dsn}{separator}sslmode=prefer&application_name=shop"
    shown = "select current_schema() || ' ' || current_setting('application_name')"
    assert await _one(dsn, shown) == f"{pg_schema} shop"


@pytest.mark.parametrize("given", ["ssl=prefer", "sslmode=prefer"])
async def test_the_parameter_ssl_has_two_names(pg_dsn: str, given: str) -> None:
    """SQLAlchemy's ``ssl`` and libpq's ``sslmode`` both work."""
    assert await _one(f"{pg_dsn}{'&' if '?' in pg_dsn else '?'}{given}") == 1


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
async def test_sqlite_files_are_read(file: Path, scheme: str) -> None:
    """SQLite's URLs lead to aiosqlite."""
    assert await _one(f"{scheme}:///{file}", "select count(*) from book") == 0


async def test_sqlite_in_memory() -> None:
    """A database in memory needs no file."""
    assert await _one("sqlite://") == 1


async def test_sqlite_is_only_read(file: Path) -> None:
    """Connections to SQLite cannot write."""
    with pytest.raises(Exception, match="readonly"):
        await _one(f"sqlite:///{file}", "insert into book values (1) returning id")


def test_a_missing_sqlite_file_is_not_created(tmp_path: Path) -> None:
    """SQLite would make an empty database of a misspelt name."""
    with pytest.raises(ConfigurationError, match=r"there is no SQLite database .*nope\.db"):
        engine_from_url(f"sqlite:///{tmp_path}/nope.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "named by a URL"),
        ("geheim", "named by a URL"),
        ("sqlite://shop.db", "three slashes"),
        ("sqlite://user:geheim@host/x", "three slashes"),
        ("nonsense://user:geheim@host/x", "no URL of a database"),
        ("mysql+nonsense://user:geheim@host/x", "no URL of a database"),
        ("sqlite+pysqlite:///x", "not async"),
        ("mysql://user:geheim@host/x", "not installed: MySQLdb"),
        ("mysql+asyncmy://user:geheim@host:port/x", "no URL of a database"),
    ],
)
def test_nonsense_is_refused_without_the_password(url: str, message: str) -> None:
    """What is no URL of a database is refused, and nothing of it is repeated."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        engine_from_url(url)
    assert "geheim" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("postgresql://user:geheim@127.0.0.1:1/x", SourceError),
        ("postgresql://user:geheim@127.0.0.1/x?sslmode=nonsense", SourceError),
        ("postgresql://user:geheim/heim@127.0.0.1/x", ConfigurationError),
        ("postgresql://user:ge[heim@127.0.0.1/x", ConfigurationError),
        ("postgresql://user:p@127.0.0.1:geheim/x", ConfigurationError),
    ],
)
async def test_a_connection_that_fails_is_one_error(url: str, error: type[Exception]) -> None:
    """Whatever asyncpg raises on connecting, it is an error of ours without the password."""
    with pytest.raises(error) as caught:
        await _one(url)
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_refused_login_tells_its_code(postgres_url: str) -> None:
    """What the server says is passed on, with its SQLSTATE."""
    with pytest.raises(SourceError, match="nosuchdb") as caught:
        await _one(make_url(postgres_url).set(database="nosuchdb").render_as_string(False))
    assert caught.value.sqlstate == "3D000"


def test_the_engine_does_not_show_the_password() -> None:
    """The repr of an engine is what ends up in logs."""
    engine = engine_from_url("postgresql://user:geheim@host/x")
    assert "geheim" not in f"{engine!r} {engine.url!r}"


def test_sqlite_needs_its_extra(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without aiosqlite the error has the line for pip."""
    monkeypatch.setitem(sys.modules, "aiosqlite", None)
    with pytest.raises(MissingDependencyError, match=r"async_export\[sqlite\]"):
        engine_from_url(f"sqlite:///{file}")
