"""What keeps a connection from waiting for a peer that is gone."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final

import asyncpg

__all__ = ("Watchdog", "keep_alive")

_OPTIONS: Final = {
    "TCP_KEEPIDLE": 30,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 60_000,
}
"""A peer that answers nothing for a minute is gone; seconds, but for the last one."""


def keep_alive(connection: asyncpg.Connection) -> None:
    """Let the system notice that the server, or the way to it, is gone, which takes a minute.

    asyncpg does not ask for it, so that a fetch would wait for ever.
    """
    transport = connection._transport  # noqa: SLF001 - has no public name
    found = transport.get_extra_info("socket")
    if found is None or found.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    with suppress(OSError):  # it was closed in this moment; whoever reads will be told
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _OPTIONS.items():
            number = getattr(socket, name, None)  # not every system has them all
            if number is not None:
                found.setsockopt(socket.IPPROTO_TCP, number, value)


class Watchdog:
    """Ends a connection that does not answer when an export on it is given up.

    Whoever is cancelled waits for the server to end the query, so that the connection stays
    usable. If the network swallows everything, that would be for ever.

    Args:
        seconds: How long the server may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._connection: asyncpg.Connection | None = None
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, connection: asyncpg.Connection) -> None:
        """Take care of *connection* from now on."""
        self._connection = connection

    def arm(self, seconds: float | None = None) -> None:
        """Begin to count, or count to an earlier end.

        Args:
            seconds: How long to wait, if it is another time than usual.
        """
        if self._connection is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + (self._seconds if seconds is None else seconds)
        if self._handle is None or end < self._handle.when():
            self.relax()
            self._handle = loop.call_at(end, self._connection.terminate)

    @property
    def is_armed(self) -> bool:
        """Whether it counts."""
        return self._handle is not None

    def relax(self) -> None:
        """Stop counting."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def disarm(self) -> None:
        """Let the connection be, which belongs to somebody else now."""
        self.relax()
        self._connection = None
