"""What must hold after every fault, whatever it was.

1. The export is complete, or raised one typed `ExportError`, or `CancelledError` if cancelled.
2. The file has its name and all of its bytes, or there is no file, nor a temporary one.
3. Pool and server are rid of the export: connections, transactions, locks, snapshots.
4. No task, file descriptor or socket is left.
5. Messages and logs hold neither the password nor a cell.
6. The next export on the same engine is right.
"""

# ruff: noqa: ASYNC110 - what others do is waited for by looking

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from proxy import PROXY_TASK, Proxy
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from subjects import CANARY, PASSWORD

from async_export import ExportError, Resource

__all__ = ("NETWORK_SECONDS", "SECONDS", "Conditions", "Outcome", "Tally")

SECONDS = 1.0
"""In which pool and server must be rid of an export."""

NETWORK_SECONDS = 3.0
"""The same where the network is at fault."""

_HELD = """
select pid, state, backend_xmin is not null as xmin, left(query, 60) as query
from pg_stat_activity as activity
where application_name = $1 and (
    state <> 'idle' or backend_xmin is not null
    or exists (select from pg_locks where pg_locks.pid = activity.pid)
)
"""

_SESSIONS = "select count(*) from pg_stat_activity where application_name = $1"


@dataclass
class Tally:
    """How often what happened, over one test or all of them.

    Attributes:
        faults: Faults injected.
        partial: Files published that were not complete.
        rows: Rows lost or repeated in exports that claimed success.
        leaked: Connections, sessions, tasks or descriptors that stayed.
        unclassified: Errors that were not ours.
    """

    faults: int = field(default=0, metadata={"label": "faults injected"})
    partial: int = field(default=0, metadata={"label": "partial files published"})
    rows: int = field(default=0, metadata={"label": "rows lost or repeated"})
    leaked: int = field(default=0, metadata={"label": "leaked connections"})
    unclassified: int = field(default=0, metadata={"label": "unclassified errors"})

    def add(self, other: Tally) -> None:
        """Count what *other* counted."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def lines(self) -> list[str]:
        """Give the table that people read."""
        return [
            f"{each.metadata['label']:<24}{getattr(self, each.name):>8}" for each in fields(self)
        ]


@dataclass
class Outcome:
    """What became of an export.

    Attributes:
        error: What it raised; None if it is complete.
        freed: Seconds after which pool and server were rid of it.
    """

    error: BaseException | None = None
    freed: float = 0.0


class Conditions:
    """Checks the conditions after each fault of a test, and counts.

    Args:
        engine: What the exports run on; its sessions call themselves *name*.
        watcher: A connection of its own, not through a proxy.
        name: The ``application_name`` of the engine.
        caplog: What is logged.
        references: By resource and format, the bytes of complete exports, as far as known.

    Attributes:
        key: That of an advisory lock, for `subjects.gated` and `gate`.
        proxy: The proxy before the server, if there is one.
        tally: What was counted.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        watcher: asyncpg.Connection,
        name: str,
        caplog: pytest.LogCaptureFixture,
        references: dict[Any, bytes] | None = None,
    ) -> None:
        self.engine = engine
        self.watcher = watcher
        self.name = name
        self.tally = Tally()
        self.key = secrets.randbits(62)
        self.proxy: Proxy | None = None
        self._caplog = caplog
        self._references = {} if references is None else references
        self._live: set[int] = set()
        event.listen(engine.sync_engine, "connect", lambda each, _: self._live.add(id(each)))
        event.listen(engine.sync_engine, "close", lambda each, _: self._live.discard(id(each)))

    @asynccontextmanager
    async def fault(
        self,
        resource: Resource,
        path: Path | None = None,
        *,
        format: str = "csv",  # noqa: A002 - the field's word
        queryset: Any = None,
        expected: bytes | None = None,
        within: float = SECONDS,
        cancelled: bool = False,
        beside: Collection[str] = (),
        again: bool = True,
    ) -> AsyncIterator[Outcome]:
        """Run one export and inject one fault in the block; check the conditions after it.

        What the export raises belongs into the outcome: let it out of the block.

        Args:
            resource: What is exported.
            path: Where its bytes are published, if they are.
            format: Name of the format.
            queryset: What to export before and after, to compare with; must not need the fault.
            expected: The bytes of a complete export, where *resource* alone does not tell.
            within: Seconds in which everything must be given back.
            cancelled: Whether the export is cancelled.
            beside: Names of other files that a complete export leaves in the folder.
            again: Whether the next export is the same, which it is not if its table has gone.
        """
        if expected is None:
            expected = await self.reference(resource, format, queryset)
        listed = _listed(path)
        mark = self._mark()
        outcome = Outcome()
        self.tally.faults += 1
        problems: list[str] = []
        try:
            yield outcome
        except ExportError as error:
            outcome.error = error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if not cancelled or (task is not None and task.cancelling()):
                raise
            outcome.error = error
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 - drivers and networks raise anything
            outcome.error = error
            self.tally.unclassified += 1
            problems.append(f"not one of our errors: {error!r}")
        problems += self._published(outcome, path, expected, listed, beside)
        problems += await self._given_back(outcome, mark, within)
        problems += self._said(outcome)
        if again:
            problems += await self._next(resource, format, queryset, expected)
        if problems:
            raise AssertionError("\n".join(problems)) from outcome.error

    async def reference(
        self,
        resource: Resource,
        format: str = "csv",  # noqa: A002 - the field's word
        queryset: Any = None,
    ) -> bytes:
        """Give the bytes of a complete export of *resource*'s class, on the engine."""
        key = (type(resource), format)
        if queryset is None and key in self._references:
            return self._references[key]
        found = await self._bytes(resource, format, queryset)
        if queryset is None:
            self._references[key] = found
        return found

    async def waiting(self, wait_event: str = "advisory") -> int:
        """Wait until a session of the engine waits for that in the server; gives its pid."""
        sql = "select pid from pg_stat_activity where application_name = $1 and wait_event = $2"
        async with asyncio.timeout(5):
            while (pid := await self.watcher.fetchval(sql, self.name, wait_event)) is None:
                await asyncio.sleep(0.002)
        return int(pid)

    @asynccontextmanager
    async def gate(self) -> AsyncIterator[None]:
        """Hold the advisory lock `key`, at which the server waits."""
        await self.watcher.execute("select pg_advisory_lock($1)", self.key)
        try:
            yield
        finally:
            await self.watcher.execute("select pg_advisory_unlock($1)", self.key)

    async def kill(self) -> None:
        """End the sessions of the engine, and wait until they are gone."""
        await self.watcher.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1",
            self.name,
        )
        async with asyncio.timeout(5):
            while await self.sessions():
                await asyncio.sleep(0.002)

    def checked_out(self) -> int:
        """Count the connections that the pool has given out."""
        count: int = self.engine.pool.checkedout()  # type: ignore[attr-defined]
        return count

    async def sessions(self) -> int:
        """Count the sessions that the server has of this engine."""
        return int(await self.watcher.fetchval(_SESSIONS, self.name))

    async def _bytes(self, resource: Resource, name: str, queryset: Any) -> bytes:
        received = bytearray()
        async with type(resource)(self.engine).stream(name, queryset) as stream:
            async for chunk in stream:
                received += chunk
        digest = hashlib.sha256(received).hexdigest()
        assert (stream.result.bytes, stream.result.sha256) == (len(received), digest)
        return bytes(received)

    def _mark(self) -> _Mark:
        return _Mark(asyncio.all_tasks(), self._open(), _temporary())

    def _open(self) -> Counter[str]:
        """Count what this process has open, but for the sockets of the pool and the proxy."""
        found = _descriptors()
        found["socket"] -= len(self._live)
        if self.proxy is not None:
            found["socket"] -= self.proxy.sockets
        return found

    def _published(
        self,
        outcome: Outcome,
        path: Path | None,
        expected: bytes,
        listed: set[str],
        beside: Collection[str],
    ) -> list[str]:
        if path is None:
            return []
        problems = []
        allowed = set(listed)
        if path.exists():
            allowed |= {path.name, *beside}
            problems += self._compared(path.read_bytes(), expected, outcome)
        elif outcome.error is None:
            problems.append("the export claims success, and there is no file")
        if left := _listed(path) - allowed:
            problems.append(f"files are left: {left}")
        return problems

    def _compared(self, found: bytes, expected: bytes, outcome: Outcome) -> list[str]:
        if found == expected:
            return []
        if outcome.error is not None:
            self.tally.partial += 1
            return [f"{len(found)} bytes of {len(expected)} were published after a failure"]
        lines, wanted = Counter(found.splitlines()), Counter(expected.splitlines())
        wrong = ((lines - wanted) + (wanted - lines)).total()
        self.tally.rows += max(1, wrong)
        return [f"{wrong} rows differ in an export that claims success"]

    async def _given_back(self, outcome: Outcome, mark: _Mark, within: float) -> list[str]:
        async def held() -> list[str]:
            problems = []
            if given_out := self.checked_out():
                problems.append(f"{given_out} connections are not given back")
            for row in await self.watcher.fetch(_HELD, self.name):
                problems.append(f"a session is still busy: {dict(row)}")
            if (found := await self.sessions()) > len(self._live):
                problems.append(f"the server has {found} sessions, the pool {len(self._live)}")
            tasks = asyncio.all_tasks() - mark.tasks
            names = [task.get_name() for task in tasks if task.get_name() != PROXY_TASK]
            problems += [f"a task is left: {name}" for name in names]
            more = self._open() - mark.open
            problems += [f"{count} more open: {what}" for what, count in more.items()]
            temporary = _temporary() - mark.temporary
            problems += [f"a temporary file is left: {each}" for each in temporary]
            return problems

        problems, outcome.freed = await _until_none(held, within)
        self.tally.leaked += len(problems)
        return problems

    def _said(self, outcome: Outcome) -> list[str]:
        told = [str(outcome.error), repr(outcome.error), self._caplog.text]
        told += getattr(outcome.error, "__notes__", ())
        secrets = (CANARY, CANARY.upper(), PASSWORD)
        problems = [f"a message or log holds {s!r}" for s in secrets if any(s in t for t in told)]
        problems += [
            f"asyncio complains: {record.getMessage()}"
            for record in self._caplog.records
            if record.name == "asyncio" and record.levelno >= logging.ERROR
        ]
        return problems

    async def _next(
        self,
        resource: Resource,
        name: str,
        queryset: Any,
        expected: bytes,
    ) -> list[str]:
        try:
            found = await self._bytes(resource, name, queryset)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
            return [f"the next export fails: {error!r}"]
        if found == expected:
            return []
        self.tally.rows += 1
        return ["the next export differs"]


@dataclass(frozen=True)
class _Mark:
    """What there was before a fault."""

    tasks: set[asyncio.Task[Any]]
    open: Counter[str]
    temporary: set[str]


async def _until_none(
    look: Callable[[], Awaitable[list[str]]], within: float
) -> tuple[list[str], float]:
    """Look until there is no problem; gives those that remain, and the seconds that it took."""
    started = time.perf_counter()
    while problems := await look():
        if time.perf_counter() - started > within:
            break
        await asyncio.sleep(0.01)
    return problems, time.perf_counter() - started


def _listed(path: Path | None) -> set[str]:
    return set() if path is None else {each.name for each in path.parent.iterdir()}


def _temporary() -> set[str]:
    return _listed(Path(tempfile.gettempdir(), "any"))


def _descriptors() -> Counter[str]:
    """Count the open descriptors of this process, by what they are."""
    folder = "/proc/self/fd"
    found: Counter[str] = Counter()
    for each in os.listdir(folder) if os.path.isdir(folder) else ():  # noqa: PTH112, PTH208 - fast
        with suppress(FileNotFoundError):  # that of the folder itself
            found[os.readlink(f"{folder}/{each}").partition(":[")[0]] += 1  # noqa: PTH115 - fast
    return found
