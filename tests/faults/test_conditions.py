"""The conditions themselves: what a fault must not leave behind does not escape them."""

from __future__ import annotations

import asyncio
import logging
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conditions import Conditions, Tally
from sqlalchemy import text
from subjects import CANARY, ServerResource, export

from async_export import RowError


@pytest.fixture
async def seen(conditions: Conditions) -> AsyncIterator[Conditions]:
    """Conditions whose counts are not those of real faults."""
    yield conditions
    conditions.tally = Tally()


async def test_complete(seen: Conditions, tmp_path: Path) -> None:
    """A complete export passes."""
    resource, path = ServerResource(seen.engine), tmp_path / "books.csv"
    async with seen.fault(resource, path) as outcome:
        await export(resource, "stream", path)
    assert outcome.error is None
    assert seen.tally == Tally(faults=1)


async def test_missing_file(seen: Conditions, tmp_path: Path) -> None:
    """Success without a file does not pass."""
    with pytest.raises(AssertionError, match="there is no file"):
        async with seen.fault(ServerResource(seen.engine), tmp_path / "books.csv"):
            pass


async def test_partial_file(seen: Conditions, tmp_path: Path) -> None:
    """A part of the file does not pass after a failure."""
    resource, path = ServerResource(seen.engine), tmp_path / "books.csv"
    with pytest.raises(AssertionError, match="were published after a failure"):
        async with seen.fault(resource, path):
            await export(resource, "file", path)
            with path.open("r+b") as file:
                file.truncate(1_000)
            raise RowError(1, "title", "ValueError")
    assert seen.tally == Tally(faults=1, partial=1)


async def test_lost_row(seen: Conditions, tmp_path: Path) -> None:
    """A missing row does not pass, nor one that comes twice."""
    resource, path = ServerResource(seen.engine), tmp_path / "books.csv"
    with pytest.raises(AssertionError, match="2 rows differ"):
        async with seen.fault(resource, path):
            await export(resource, "file", path)
            lines = path.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join([*lines[:5], *lines[6:], lines[9]]))
    assert seen.tally == Tally(faults=1, rows=2)


async def test_temporary_file(seen: Conditions, tmp_path: Path) -> None:
    """Other files do not pass, beside the file or in the system's folder for temporary ones."""
    with pytest.raises(AssertionError, match=r"left: \{'part'\}\na temporary file is left"):
        async with seen.fault(ServerResource(seen.engine), tmp_path / "books.csv", within=0):
            (tmp_path / "part").touch()
            tempfile.mkdtemp()
            raise RowError(1, "title", "ValueError")


async def test_leaks(seen: Conditions) -> None:
    """Connections, transactions, tasks, files and sockets that stay do not pass."""
    leaked = (
        r"1 connections are not given back\na session is still busy: .*idle in transaction.*\n"
        r"a task is left: sleeper\n1 more open: socket\n1 more open: /"
    )
    async with seen.engine.connect() as connection:
        with ExitStack() as stack, pytest.raises(AssertionError, match=leaked):
            async with seen.fault(ServerResource(seen.engine), within=0):
                await connection.execute(text("select 1"))
                stack.enter_context(tempfile.TemporaryFile())
                stack.enter_context(socket.socket())
                stack.callback(asyncio.create_task(asyncio.sleep(60), name="sleeper").cancel)
    assert seen.tally.leaked == 5


async def test_error_of_somebody_else(seen: Conditions) -> None:
    """An error that is not ours does not pass."""
    with pytest.raises(AssertionError, match="not one of our errors: ConnectionResetError"):
        async with seen.fault(ServerResource(seen.engine)):
            raise ConnectionResetError
    assert seen.tally.unclassified == 1


async def test_secrets(seen: Conditions) -> None:
    """A cell does not pass, neither in a message nor in a log."""
    with pytest.raises(AssertionError, match=f"holds '{CANARY}'"):
        async with seen.fault(ServerResource(seen.engine)):
            raise RowError(1, CANARY, "ValueError")
    with pytest.raises(AssertionError, match=f"holds '{CANARY}'"):
        async with seen.fault(ServerResource(seen.engine)):
            logging.getLogger("async_export").info(CANARY)
