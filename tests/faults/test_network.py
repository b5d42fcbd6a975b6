"""Faults of the network: connections reset, cut after n bytes, stalled and throttled."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from conditions import NETWORK_SECONDS, Conditions
from proxy import Proxy, boundaries
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from subjects import (
    STRATEGIES,
    TARGETS,
    Book,
    Target,
    export,
    publish,
    sampled,
)

from async_export import ConnectionLostError, LimitError, ModelResource, SourceTimeoutError

CUTS = 15
"""Cuts of each kind for each strategy."""

SLOW = 65_536
"""Bytes per second of the throttled network."""

SLOW_ROWS = 120
"""Rows that take almost a second there."""

SLOW_SECONDS = 0.7
"""How long they take at least."""

LIMIT = 0.3
"""Seconds of the options that limit a stall."""

_PATIENCE = 10.0
"""Seconds after which a test gives up."""


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the server."""
    async with Proxy(postgres_url) as proxy:
        yield proxy


@pytest.fixture
def far(
    proxy: Proxy,
    name: str,
    new_engine: Callable[..., AsyncEngine],
    watched: Callable[..., Conditions],
    references: dict[Any, bytes],
) -> Conditions:
    """The conditions of exports through the proxy."""
    engine = new_engine(name=name, url=proxy.url, arguments={"ssl": False}, pool_pre_ping=True)
    conditions = watched(engine, name, references)
    conditions.proxy = proxy
    return conditions


async def sent_by_server(
    far: Conditions, proxy: Proxy, resource: ModelResource, known: dict[Any, bytes]
) -> bytes:
    """Give what the server sends for one export, from the first byte of its connection."""
    key = (type(resource), "sent")
    if key not in known:
        known[key] = await _recorded(far, proxy, resource)
    return known[key]


async def _recorded(far: Conditions, proxy: Proxy, resource: ModelResource) -> bytes:
    await far.engine.dispose()
    proxy.record()
    async with resource.stream("csv") as stream:
        async for _ in stream:
            pass
    await far.engine.dispose()
    return bytes(proxy.recorded)


def cut_at(sent: bytes, number: int, place: str) -> int:
    """Give the byte after which the *number*-th cut is; cuts are spread over what the server sends.

    Args:
        sent: What the server sends without a cut.
        number: From 0.
        place: At the end of a message, or anywhere.
    """
    ends = boundaries(sent)
    if place == "boundary":
        return ends[1 + number * (len(ends) - 2) // CUTS]
    return 1 + random.Random(number).randrange(len(sent) - 1)


@pytest.mark.parametrize(
    ("strategy", "place", "how", "number"),
    sampled(STRATEGIES, ("boundary", "random"), ("cut", "reset"), range(CUTS), every=47),
)
async def test_cut_after_bytes(
    far: Conditions,
    proxy: Proxy,
    tmp_path: Path,
    references: dict[Any, bytes],
    *,
    strategy: type[ModelResource],
    place: str,
    how: str,
    number: int,
) -> None:
    """Wherever the connection ends, the export fails as lost, or had everything."""
    resource, path = strategy(far.engine), tmp_path / "books.csv"
    await far.reference(resource)
    sent = await sent_by_server(far, proxy, resource, references)
    await far.engine.dispose()
    after = cut_at(sent, number, place)
    async with far.fault(resource, path, within=NETWORK_SECONDS) as outcome:
        proxy.cut(after=after, reset=how == "reset")
        try:
            await resource.export_to(path)
        finally:
            proxy.restore()
    if outcome.error is not None:
        assert isinstance(outcome.error, ConnectionLostError)


@pytest.mark.parametrize("strategy", sampled(STRATEGIES, every=5))
async def test_reset_while_idle(
    far: Conditions, proxy: Proxy, tmp_path: Path, strategy: type[ModelResource]
) -> None:
    """A reset while the reader does something else is a ConnectionLostError."""
    resource, path = strategy(far.engine), tmp_path / "books.csv"
    async with far.fault(resource, path, within=NETWORK_SECONDS) as outcome:
        async with resource.stream("csv") as stream:
            received = bytearray(await anext(stream))
            proxy.reset()
            async for chunk in stream:
                received += chunk
        publish(path, received)
    assert isinstance(outcome.error, ConnectionLostError)


# A network that swallows everything

_MOMENTS = ("reading", "connecting")


async def read_into_stall(proxy: Proxy, resource: ModelResource, moment: str, path: Path) -> None:
    """Read a stream; the network stalls before it is opened, or after its first chunk."""
    if moment == "connecting":
        proxy.stall()
    async with resource.stream("csv") as stream:
        received = bytearray(await anext(stream))
        proxy.stall()
        async for chunk in stream:
            received += chunk
    publish(path, received)


@asynccontextmanager
async def stalled(far: Conditions, proxy: Proxy) -> AsyncIterator[None]:
    """See that what happens in the block ends, and gives its connection back, in a black hole."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(_PATIENCE):
            yield
    finally:
        elapsed = time.perf_counter() - started
        held = far.checked_out()
        proxy.restore()
        assert elapsed < LIMIT + NETWORK_SECONDS
        assert held == 0


@pytest.mark.faults
@pytest.mark.parametrize("option", ["read_timeout", "deadline"])
@pytest.mark.parametrize("moment", _MOMENTS)
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_stall_and_limit(
    far: Conditions,
    proxy: Proxy,
    tmp_path: Path,
    *,
    strategy: type[ModelResource],
    moment: str,
    option: str,
) -> None:
    """A server that says nothing any more is given up in time, by either limit."""
    resource, path = strategy(far.engine, **{option: LIMIT}), tmp_path / "books.csv"
    async with (
        far.fault(resource, path, within=NETWORK_SECONDS) as outcome,
        stalled(far, proxy),
    ):
        if moment == "connecting":
            await far.engine.dispose()
        await read_into_stall(proxy, resource, moment, path)
    if option == "deadline":
        assert isinstance(outcome.error, LimitError)
        assert outcome.error.option == "deadline"
    else:
        assert isinstance(outcome.error, SourceTimeoutError)
        assert outcome.error.setting == "read_timeout"


@pytest.mark.parametrize(
    ("strategy", "moment", "times"), sampled(STRATEGIES, _MOMENTS, (1, 2), every=17)
)
async def test_stall_and_cancel(
    far: Conditions,
    proxy: Proxy,
    tmp_path: Path,
    *,
    strategy: type[ModelResource],
    moment: str,
    times: int,
) -> None:
    """An export that is cancelled in a black hole is gone within three seconds."""
    resource, path = strategy(far.engine), tmp_path / "books.csv"
    async with far.fault(resource, path, within=NETWORK_SECONDS, cancelled=True) as outcome:
        if moment == "connecting":
            await far.engine.dispose()
        task = asyncio.create_task(read_into_stall(proxy, resource, moment, path))
        await asyncio.sleep(LIMIT)
        assert proxy.is_stalled
        async with stalled(far, proxy):
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0.01)
            await asyncio.wait([task], timeout=_PATIENCE)
        await task
    assert isinstance(outcome.error, asyncio.CancelledError)


@pytest.mark.faults
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_throttle(
    far: Conditions, proxy: Proxy, tmp_path: Path, strategy: type[ModelResource], target: Target
) -> None:
    """A slow network is waited for: no timeout mistakes it for a dead one."""
    # A batch, which arrives as a whole or not at all, takes a tenth of a second.
    resource = strategy(far.engine, read_timeout=SLOW_SECONDS - 0.1, batch_size=10)
    path = tmp_path / "books.csv"
    first = select(Book).where(Book.id <= SLOW_ROWS).order_by(Book.id)
    async with far.fault(resource, path, queryset=first, within=NETWORK_SECONDS) as outcome:
        proxy.throttle(SLOW)
        started = time.perf_counter()
        await export(resource, target, path, first)
        elapsed = time.perf_counter() - started
        proxy.restore()
    assert outcome.error is None
    assert elapsed > SLOW_SECONDS
