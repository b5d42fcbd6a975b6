"""One schema with the tables of `parity.models`, and what django-import-export makes of them."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from parity.models import create_tables

_TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def parity_schema(postgres_url: str) -> Iterator[str]:
    """The name of a schema that has the tables; nothing writes to it."""
    name = f"parity_{uuid.uuid4().hex}"
    engine = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}"))
            connection.execute(text(f"SET LOCAL search_path = {name}"))
            create_tables(connection)
        yield name
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    finally:
        engine.dispose()


@pytest.fixture
async def parity_engine(postgres_url: str, parity_schema: str) -> AsyncIterator[AsyncEngine]:
    """An engine to the tables."""
    engine = create_async_engine(
        make_url(postgres_url).set(drivername="postgresql+asyncpg"),
        connect_args={"server_settings": {"search_path": parity_schema}},
    )
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture(scope="session")
def reference(postgres_url: str, parity_schema: str) -> Mapping[str, Any]:
    """What django-import-export makes of the tables, in a process of its own.

    ``["definitions"]`` has csv, tsv and dataset by definition, ``["differences"]`` an outcome by
    difference.
    """
    done = subprocess.run(
        [sys.executable, "-m", "parity.reference", postgres_url, parity_schema],
        cwd=_TESTS,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found
