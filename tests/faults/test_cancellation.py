"""Cancelling an export wherever it waits: nothing is left, and CancelledError arrives."""

from __future__ import annotations

import asyncio
import gc
import io
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from conditions import NETWORK_SECONDS, SECONDS, Conditions
from proxy import Proxy
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from stepping import Steps
from subjects import STRATEGIES, TARGETS, Book, Target, gated, publish, sampled

from async_export import ModelResource

FORMATS = ("csv", "xlsx")

FIRST_ROWS = 250
"""Three batches."""


def some() -> Any:
    """Select the first books."""
    return select(Book).where(Book.id <= FIRST_ROWS).order_by(Book.id)


async def export(
    resource: ModelResource, target: Target, path: Path, name: str, queryset: Any
) -> None:
    """Export to a file, or through a stream that is published at its end."""
    if target == "file":
        await resource.export_to(path, name, queryset)
        return
    received = bytearray()
    async with resource.stream(name, queryset) as stream:
        async for chunk in stream:
            received += chunk
    publish(path, received)


async def sweep(
    conditions: Conditions,
    folder: Path,
    strategy: type[ModelResource],
    target: Target,
    name: str,
    *,
    is_cold: bool,
    times: int = 1,
) -> int:
    """Cancel at the first wait, at the second, and so on, until an export gets to its end.

    Args:
        conditions: What is checked after each.
        folder: Where to export to.
        strategy: What is exported.
        target: How.
        name: Name of the format.
        is_cold: Whether the pool has no connection.
        times: How often the export is cancelled, from that wait on.

    Returns:
        At how many waits it was cancelled.
    """
    resource, engine = strategy(conditions.engine), conditions.engine
    expected = await conditions._bytes(resource, name, some())
    cancelled, wait = 0, 1
    while True:
        if is_cold:
            await engine.dispose()
        steps = Steps(range(wait, wait + times))
        path = folder / f"books-{wait}.{name}"
        async with conditions.fault(
            resource,
            path,
            format=name,
            queryset=some(),
            expected=expected,
            cancelled=True,
            within=SECONDS,
            again=not is_cold,
        ) as outcome:
            started = time.perf_counter()
            await steps.run(export(resource, target, path, name, some()))
        assert time.perf_counter() - started < SECONDS
        if steps.count < wait:
            assert outcome.error is None
            return cancelled
        # It may have come too late: in the last moment, when the file had its name.
        assert isinstance(outcome.error, asyncio.CancelledError) or path.exists()
        cancelled += isinstance(outcome.error, asyncio.CancelledError)
        wait += 1


@pytest.fixture
async def proxied(
    postgres_url: str,
    name: str,
    new_engine: Callable[..., AsyncEngine],
    watched: Callable[..., Conditions],
) -> AsyncIterator[Conditions]:
    """The conditions of exports through a proxy."""
    async with Proxy(postgres_url) as proxy:
        conditions = watched(new_engine(name=name, url=proxy.url), name)
        conditions.proxy = proxy
        yield conditions
        await conditions.engine.dispose()


_KINDS = ("connection", "session")
_POOLS = {"warm": False, "cold": True}
_TIMES = {"once": 1, "twice": 2}


@pytest.mark.parametrize(
    ("strategy", "target", "name", "is_cold", "times"),
    sampled(STRATEGIES, TARGETS, FORMATS, _POOLS, _TIMES, every=27),
)
async def test_cancelled_at_every_wait(  # noqa: PLR0917 - the table has these axes
    conditions: Conditions,
    tmp_path: Path,
    strategy: type[ModelResource],
    target: Target,
    name: str,
    is_cold: bool,
    times: int,
) -> None:
    """Once or twice in a row, with connections in the pool or none."""
    cancelled = await sweep(
        conditions, tmp_path, strategy, target, name, is_cold=is_cold, times=times
    )
    assert cancelled > 20


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("way", ["asyncio.timeout", "anyio scope", "sibling", "wait_for"])
async def test_cancelled_by_others(
    conditions: Conditions, tmp_path: Path, strategy: type[ModelResource], way: str
) -> None:
    """A time limit, a cancel scope or a failing sibling cancels while the server works."""
    resource, path = strategy(conditions.engine), tmp_path / "books.csv"
    async with conditions.fault(resource, path, cancelled=True) as outcome, conditions.gate():
        work = export(resource, "file", path, "csv", gated(150, conditions.key))
        with pytest.raises(_CAUSES[way]):
            await _cancelled_by(way, work, conditions)
        raise asyncio.CancelledError  # for whoever checks: there is no file
    assert isinstance(outcome.error, asyncio.CancelledError)
    assert not path.exists()


class SiblingError(Exception):
    """What a sibling raises."""


_CAUSES = {
    "asyncio.timeout": TimeoutError,
    "anyio scope": TimeoutError,
    "sibling": ExceptionGroup,
    "wait_for": TimeoutError,
}


async def _cancelled_by(way: str, work: Coroutine[Any, Any, None], conditions: Conditions) -> None:
    if way == "asyncio.timeout":
        async with asyncio.timeout(0.1):
            await work
    elif way == "anyio scope":
        with anyio.fail_after(0.1):
            await work
    elif way == "wait_for":
        await asyncio.wait_for(work, 0.1)
    else:
        async with asyncio.TaskGroup() as group:
            group.create_task(work)
            await conditions.waiting()
            raise SiblingError


@pytest.mark.parametrize(("strategy", "name"), sampled(STRATEGIES, FORMATS, every=3))
async def test_cancelled_in_a_black_hole(
    proxied: Conditions,
    tmp_path: Path,
    strategy: type[ModelResource],
    name: str,
) -> None:
    """With a network that swallows everything, an export ends within three seconds."""
    resource, path = strategy(proxied.engine), tmp_path / f"books.{name}"
    assert proxied.proxy is not None
    async with proxied.fault(
        resource, path, format=name, cancelled=True, within=NETWORK_SECONDS
    ) as outcome:
        async with proxied.gate():
            task = asyncio.create_task(
                export(resource, "file", path, name, gated(FIRST_ROWS // 2, proxied.key))
            )
            await proxied.waiting()
            proxied.proxy.stall()
            started = time.perf_counter()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            seconds = time.perf_counter() - started
        proxied.proxy.restore()
        await task
    assert isinstance(outcome.error, asyncio.CancelledError)
    assert seconds < NETWORK_SECONDS


async def test_cancelled_in_a_black_hole_behind_a_lock(
    proxied: Conditions, watcher: asyncpg.Connection, fault_schema: str, tmp_path: Path
) -> None:
    """So it does while it waits for a lock, where a transaction of its own is just beginning."""
    resource, path = STRATEGIES["rows-cursor"](proxied.engine), tmp_path / "books.csv"
    assert proxied.proxy is not None
    seconds = 0.0
    async with proxied.fault(resource, path, cancelled=True, within=NETWORK_SECONDS) as outcome:
        async with watcher.transaction():
            await watcher.execute(f"lock table {fault_schema}.book in access exclusive mode")
            task = asyncio.create_task(export(resource, "file", path, "csv", some()))
            await asyncio.sleep(0.3)
            proxied.proxy.stall()
            started = time.perf_counter()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            seconds = time.perf_counter() - started
        proxied.proxy.restore()
        await task
    assert isinstance(outcome.error, asyncio.CancelledError)
    assert seconds < NETWORK_SECONDS


@pytest.mark.parametrize(("strategy", "kind"), sampled(STRATEGIES, _KINDS, every=5))
async def test_callers_cancelled_in_a_black_hole(
    proxied: Conditions, strategy: type[ModelResource], kind: str
) -> None:
    """On a caller's connection or session as well, and with CancelledError."""
    assert proxied.proxy is not None
    resource = strategy(proxied.engine)
    async with proxied.fault(resource, cancelled=True, within=NETWORK_SECONDS):
        opened: Any = AsyncSession if kind == "session" else AsyncEngine.connect
        async with proxied.gate(), opened(proxied.engine) as bind:
            gate = gated(FIRST_ROWS // 2, proxied.key)
            task = asyncio.create_task(strategy(bind).export_to(io.BytesIO(), "csv", gate))
            await proxied.waiting()
            proxied.proxy.stall()
            started = time.perf_counter()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.perf_counter() - started < NETWORK_SECONDS
        proxied.proxy.restore()
        raise asyncio.CancelledError  # for whoever checks


@pytest.mark.parametrize(("strategy", "kind"), sampled(STRATEGIES, _KINDS, every=5))
async def test_callers_cancelled_at_every_wait(
    conditions: Conditions, strategy: type[ModelResource], kind: str
) -> None:
    """The caller's connection is free afterwards, and CancelledError arrives."""
    resource = strategy(conditions.engine)
    expected = await conditions._bytes(resource, "csv", some())
    wait = 0
    while True:
        wait += 3
        steps = Steps([wait])
        opened: Any = AsyncSession if kind == "session" else AsyncEngine.connect
        async with (
            conditions.fault(
                resource, queryset=some(), expected=expected, cancelled=True
            ) as outcome,
            opened(conditions.engine) as bind,
        ):
            file = io.BytesIO()
            await steps.run(export_with(strategy(bind), file))
        if steps.count < wait:
            assert outcome.error is None
            assert file.getvalue() == expected
            return
        assert isinstance(outcome.error, asyncio.CancelledError)


async def export_with(resource: ModelResource, file: io.BytesIO) -> None:
    """Export the first books to *file*."""
    await resource.export_to(file, "csv", some())


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_left_early(conditions: Conditions, strategy: type[ModelResource]) -> None:
    """A reader that breaks off frees connection and server at once."""
    resource = strategy(conditions.engine)
    for chunks in range(4):
        async with conditions.fault(resource), resource.stream("csv") as stream:
            for _ in range(chunks):
                await anext(stream)
    async with conditions.fault(resource), aclosing(resource.records()) as records:
        await anext(records)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_never_started(conditions: Conditions, strategy: type[ModelResource]) -> None:
    """A stream that nobody enters, and an iteration that nobody begins, hold nothing."""
    resource = strategy(conditions.engine)
    async with conditions.fault(resource):
        streams = [resource.stream("csv"), resource.stream("xlsx")]
        records = resource.records()
        del streams, records
        gc.collect()


@pytest.mark.filterwarnings("ignore:.*garbage collector.*:sqlalchemy.exc.SAWarning")
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_collected_as_garbage(conditions: Conditions, strategy: type[ModelResource]) -> None:
    """Streams that are dropped without being left free their connections, too."""
    resource = strategy(conditions.engine)
    async with conditions.fault(resource):
        stream = resource.stream("csv")
        await stream.__aenter__()
        await anext(stream)
        del stream
        gc.collect()
    async with conditions.fault(resource):
        records = resource.records()
        await anext(records)
        del records
        gc.collect()
