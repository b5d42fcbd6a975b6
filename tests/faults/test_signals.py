"""Signals: an export that is terminated, interrupted or killed at any moment leaves nothing."""

# ruff: noqa: ASYNC110 - what others do is waited for by looking

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conditions import NETWORK_SECONDS, Conditions
from sqlalchemy import URL, make_url
from subjects import ORDERLY, ServerResource, sampled

import async_export

ROWS = 40
"""Rows of an export, of which each takes two milliseconds."""

SECONDS = 0.2
"""From the first sign of an export until somewhat after its end."""

SQL = f"select id, title from book where id <= {ROWS} and pg_sleep(0.002) is not null order by id"

SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "KILL": signal.SIGKILL}

INSTANTS = 17
"""Instants at which each signal is sent, for each way to export."""

CODES = {
    ("command", "TERM"): 143,
    ("command", "INT"): 130,
    ("command", "KILL"): -9,
    ("script", "TERM"): -15,
    ("script", "INT"): -2,
    ("script", "KILL"): -9,
}
"""Exit codes; a script that does nothing about signals dies of them."""


class Program:
    """The program that exports in child processes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._whole: dict[str, bytes] = {}

    async def start(self, how: str, url: URL, path: Path) -> int:
        """Start an export, and give the number of its process."""
        text = url.render_as_string(hide_password=False)
        asked = {"how": how, "url": text, "sql": SQL, "path": str(path)}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return await self.answer()

    async def answer(self) -> int:
        """Give the next number that the program tells: a process, or an exit code."""
        assert self._process.stdout is not None
        return int(await asyncio.to_thread(self._process.stdout.readline))

    async def whole(self, how: str, url: URL, path: Path) -> bytes:
        """Give the file of an export without a fault, which is gone again."""
        if how not in self._whole:
            self._whole[how] = await self.run(how, url, path)
            path.unlink()  # noqa: ASYNC240 - a test may block
        return self._whole[how]

    async def run(self, how: str, url: URL, path: Path) -> bytes:
        """Export without a fault, and give the file."""
        await self.start(how, url, path)
        assert await self.answer() == 0
        return path.read_bytes()  # noqa: ASYNC240 - a test may block


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    """The program, with exports whose sessions have the test's name."""
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("signalled.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(async_export.__path__[0]).parent)},
    )
    yield Program(process)
    assert process.stdin is not None
    process.stdin.close()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture
def url(postgres_url: str, fault_schema: str, name: str) -> URL:
    """Where the children export from, in sessions that have the test's name."""
    settings = {"search_path": fault_schema, "application_name": name, **ORDERLY}
    return make_url(postgres_url).update_query_dict(settings)


@pytest.mark.parametrize(
    ("how", "sent", "instant"),
    sampled(("command", "script"), SIGNALS, range(INSTANTS), every=37),
)
async def test_signal(
    conditions: Conditions,
    program: Program,
    url: URL,
    tmp_path: Path,
    *,
    how: str,
    sent: signal.Signals,
    instant: int,
) -> None:
    """A signal at any moment leaves a whole file or none; the next export finds no obstacle."""
    path = tmp_path / "books.csv"
    whole = await program.whole(how, url, path)
    resource = ServerResource(conditions.engine)
    within = NETWORK_SECONDS
    async with conditions.fault(resource, path, expected=whole, within=within, again=False) as end:
        child = await program.start(how, url, path)
        while not await conditions.sessions():
            await asyncio.sleep(0.002)
        await asyncio.sleep(SECONDS * random.Random(instant).random())
        with suppress(ProcessLookupError):  # it has ended
            os.kill(child, sent)
        code = await program.answer()
        if code:
            end.error = RuntimeError(f"exit code {code}")
    # Python's own end takes longer than the export's: by then nothing handles signals any more.
    after_the_end = {0, -sent} if path.exists() else set()
    assert code in {CODES[how, sent.name[3:]], *after_the_end}
    assert await program.run(how, url, path) == whole
    assert os.listdir(tmp_path) == ["books.csv"]  # noqa: PTH208 - names


@pytest.mark.faults
@pytest.mark.parametrize("sent", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("how", ["command", "script"])
async def test_signal_before_the_session(
    conditions: Conditions,
    program: Program,
    url: URL,
    tmp_path: Path,
    *,
    how: str,
    sent: signal.Signals,
) -> None:
    """A signal while the export begins leaves nothing either."""
    path = tmp_path / "books.csv"
    whole = await program.whole(how, url, path)
    resource = ServerResource(conditions.engine)
    for number in range(3):
        async with conditions.fault(
            resource, path, expected=whole, within=NETWORK_SECONDS, again=False
        ) as end:
            child = await program.start(how, url, path)
            await asyncio.sleep(number * 0.005)
            os.kill(child, sent)
            code = await program.answer()
            end.error = RuntimeError(f"exit code {code}")
        # Python's own handlers, or none, are in charge until the command has its own.
        assert code in {CODES[how, sent.name[3:]], CODES["script", sent.name[3:]]}
