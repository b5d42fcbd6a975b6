"""Fixtures for the injection of faults, and a table of what became of them.

A test takes ``conditions`` and exports ``subjects.Book`` on ``conditions.engine``::

    async def test_killed(conditions: Conditions, tmp_path: Path) -> None:
        resource = ServerResource(conditions.engine)
        async with conditions.fault(resource, tmp_path / "books.csv") as outcome:
            ...  # export, inject the fault, and let the export's error out of the block
        assert isinstance(outcome.error, ConnectionLostError)

Leaving the block checks everything that ``conditions.py`` lists. For another engine or other tables
take ``watched``: ``watched(engine, name)`` gives the `Conditions` of an engine whose
``application_name`` is *name*, and disposes of it. What a test injects without them, it counts by
itself: ``tally.faults += 1``.

Tests marked ``faults`` are left out by default. ``pytest -m faults`` runs all of this folder.
"""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from conditions import Conditions, Tally
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from subjects import ORDERLY, PASSWORD, TABLES

_COUNTS = "fault counts"
"""Name of the property of a report, which xdist passes on."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let ``-m faults`` choose all tests of this folder, not the long ones only."""
    expression = config.option.markexpr
    if "faults" not in expression or "not faults" in expression:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, if faults were injected."""
    total = Tally()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "teardown":
                for name, counts in report.user_properties:
                    if name == _COUNTS:
                        total.add(Tally(**counts))
    if total.faults:
        terminalreporter.section("faults")
        for line in total.lines():
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def fault_schema(postgres_url: str) -> Iterator[str]:
    """The name of a schema with the tables of `subjects`; nothing writes to it."""
    name = f"faults_{uuid.uuid4().hex}"
    engine = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            connection.execute(text(f"create schema {name}"))
            connection.execute(text(f"set local search_path = {name}"))
            connection.execute(text(TABLES))
        yield name
        with engine.begin() as connection:
            connection.execute(text("set local lock_timeout = '5s'"))
            connection.execute(text(f"drop schema {name} cascade"))
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def references() -> dict[Any, bytes]:
    """By resource and format, complete exports from ``fault_schema``."""
    return {}


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """What the test counts; the table at the end adds it up."""
    tally = Tally()
    yield tally
    request.node.user_properties.append((_COUNTS, asdict(tally)))


@pytest.fixture
async def watcher(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that looks at the others, and ends them."""
    connection = await asyncpg.connect(postgres_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def new_engine(postgres_url: str, fault_schema: str) -> Callable[..., AsyncEngine]:
    """A function that makes an engine to ``fault_schema``.

    Its keywords are those of ``create_async_engine``, and ``url``, ``arguments`` (of the driver),
    ``name`` (of the application) and ``settings`` (of the server, for its sessions).
    """

    def make(
        *,
        name: str,
        url: Any = None,
        settings: dict[str, str] | None = None,
        arguments: dict[str, Any] | None = None,
        **keywords: Any,
    ) -> AsyncEngine:
        url = make_url(postgres_url if url is None else url).set(drivername="postgresql+asyncpg")
        server = {"search_path": fault_schema, "application_name": name, **ORDERLY}
        server |= settings or {}
        arguments = {"server_settings": server, "password": PASSWORD, **(arguments or {})}
        keywords = {"pool_size": 3, "max_overflow": 0, "pool_timeout": 5, **keywords}
        return create_async_engine(url, connect_args=arguments, **keywords)

    return make


@pytest.fixture
async def watched(
    watcher: asyncpg.Connection,
    tally: Tally,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Callable[..., Conditions]]:
    """A function that makes `Conditions` of an engine and its ``application_name``.

    The engine is disposed of after the test.
    """
    caplog.set_level(logging.DEBUG, "async_export")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    made: list[Conditions] = []

    def watch(
        engine: AsyncEngine, name: str, references: dict[Any, bytes] | None = None
    ) -> Conditions:
        made.append(Conditions(engine, watcher, name, caplog, references))
        return made[-1]

    yield watch
    for each in made:
        tally.add(each.tally)
        await each.engine.dispose()


@pytest.fixture
def name() -> str:
    """What the sessions of the test call themselves."""
    return f"fault_{uuid.uuid4().hex}"


@pytest.fixture
def conditions(
    name: str,
    new_engine: Callable[..., AsyncEngine],
    watched: Callable[..., Conditions],
    references: dict[Any, bytes],
) -> Conditions:
    """The conditions of exports from ``fault_schema`` on an engine with three connections."""
    return watched(new_engine(name=name), name, references)
