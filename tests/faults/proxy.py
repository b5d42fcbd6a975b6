"""A TCP proxy before PostgreSQL that breaks the network in the ways that networks break."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Self

from sqlalchemy import URL, make_url

__all__ = ("PROXY_TASK", "Proxy", "boundaries")

PROXY_TASK = "proxy"
"""Name of the proxy's tasks, which are no leak of an export's."""

_READ_BYTES = 65_536

_SLICES = 20
"""Times a second that a throttled connection moves on."""

_STARTUP = ord("R")
"""The first message of a server is about authentication."""


class Proxy:
    """Passes everything on, until it is told to reset, cut, stall or throttle.

    Args:
        server_url: Where PostgreSQL listens, on a Unix socket or a port.

    Attributes:
        recorded: What servers have sent since `record`.
    """

    def __init__(self, server_url: str) -> None:
        self._server_url = make_url(server_url)
        self._links: set[_Link] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._rate: int | None = None
        self._left: int | None = None
        self._cut_resets = False
        self._records = False
        self.recorded = bytearray()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.restore()
        self.reset()
        while self._links:  # noqa: ASYNC110 - each ends by itself
            await asyncio.sleep(0.001)

    @property
    def url(self) -> URL:
        """The server's URL, through this proxy."""
        address = self._server.sockets[0].getsockname()
        query = {k: v for k, v in self._server_url.query.items() if k not in {"host", "port"}}
        return self._server_url.set(host=address[0], port=address[1], query=query)

    @property
    def sockets(self) -> int:
        """How many connected sockets this proxy has."""
        return sum(link.sockets for link in self._links)

    @property
    def is_stalled(self) -> bool:
        """Whether everything is swallowed."""
        return not self._flowing.is_set()

    def record(self) -> None:
        """Keep what servers send from now on, in `recorded`."""
        self._records = True

    def reset(self) -> None:
        """Reset all connections, as a firewall or a crashed host does."""
        for link in list(self._links):
            link.reset()

    def cut(self, *, after: int, reset: bool = False) -> None:
        """End the connection whose server sends the last of the next *after* bytes.

        Args:
            after: Bytes that still arrive, over all connections.
            reset: Whether the end is a reset, which may take bytes in flight with it.
        """
        self._left = after
        self._cut_resets = reset

    def stall(self) -> None:
        """Swallow everything from now on, new connections and their ends as well."""
        self._flowing.clear()

    def throttle(self, bytes_per_second: int) -> None:
        """Let servers send this much per second and connection."""
        self._rate = bytes_per_second

    def restore(self) -> None:
        """Pass on again; connections that lost bytes are reset."""
        self._rate = self._left = None
        if self.is_stalled:
            self._flowing.set()
            self.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name(PROXY_TASK)
        link = _Link(writer)
        self._links.add(link)
        try:
            if not self.is_stalled:
                with suppress(OSError):
                    await self._pass_on(link, reader)
            # Nobody learns of an end behind a black hole.
            await self._flowing.wait()
        finally:
            link.close()
            self._links.discard(link)

    async def _pass_on(self, link: _Link, reader: asyncio.StreamReader) -> None:
        answers, link.upstream = await self._connect()
        pumps = [
            asyncio.create_task(self._pump(reader, link.upstream), name=PROXY_TASK),
            asyncio.create_task(self._answer(answers, link), name=PROXY_TASK),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        folder = self._server_url.query.get("host")
        if isinstance(folder, str) and folder.startswith("/"):
            return await asyncio.open_unix_connection(Path(folder, ".s.PGSQL.5432"))
        url = self._server_url
        return await asyncio.open_connection(url.host or "localhost", url.port or 5432)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_READ_BYTES):
            if not self.is_stalled:
                writer.write(data)
                await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while data := await reader.read(_READ_BYTES):
            for piece in self._pieces(data):
                if self.is_stalled:
                    continue
                allowed = self._allowed(piece)
                if self._records:
                    self.recorded += allowed
                link.downstream.write(allowed)
                await link.downstream.drain()
                if self._left == 0:
                    self._left = None
                    if self._cut_resets:
                        link.reset()
                    return
                if self._rate is not None:
                    await asyncio.sleep(len(piece) / self._rate)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        size = _READ_BYTES if self._rate is None else max(1, self._rate // _SLICES)
        return (data[start : start + size] for start in range(0, len(data), size))

    def _allowed(self, data: bytes) -> bytes:
        if self._left is None:
            return data
        allowed = data[: self._left]
        self._left -= len(allowed)
        return allowed


class _Link:
    """One connection through the proxy."""

    def __init__(self, downstream: asyncio.StreamWriter) -> None:
        self.downstream = downstream
        self.upstream: asyncio.StreamWriter | None = None

    @property
    def sockets(self) -> int:
        return 1 if self.upstream is None else 2

    def close(self) -> None:
        """Let what was written arrive, and end."""
        for writer in filter(None, (self.downstream, self.upstream)):
            writer.close()

    def reset(self) -> None:
        """End with a reset, at once."""
        linger = struct.pack("ii", 1, 0)
        for writer in filter(None, (self.downstream, self.upstream)):
            end = writer.get_extra_info("socket")
            if end.family != socket.AF_UNIX:
                with suppress(OSError):  # it is closed
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()


def boundaries(data: bytes) -> list[int]:
    """Give the offsets at which messages of PostgreSQL's protocol begin, and the end.

    Args:
        data: What one server has sent from the first byte of a connection, without TLS.
    """
    assert data[0] == _STARTUP
    offsets = [0]
    while offsets[-1] < len(data):
        (length,) = struct.unpack_from("!i", data, offsets[-1] + 1)
        offsets.append(offsets[-1] + 1 + length)
    assert offsets[-1] == len(data)
    assert all(earlier < later for earlier, later in pairwise(offsets))
    return offsets
