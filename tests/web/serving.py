"""A real server, a resource to export from it, and clients that misbehave."""

# ruff: noqa: ASYNC110 - what others do is waited for by looking

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import uvicorn
from sqlalchemy import ColumnElement, or_, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from async_export import ModelResource

ROWS = 6_000
"""Books in the table; about 1.5 MB as CSV, more than sockets hold by far."""

FAILING_ROW = 1_000
"""The one that `FailingResource` fails for, when much of the file has been sent."""

SOCKET_BYTES = 65_536
"""What the sockets may hold in each direction, so that a reader who stops is felt soon."""

NEVER: ColumnElement[bool] = text("(select 1 from pg_sleep(60)) = 2")  # type: ignore[assignment]
"""True for no row, after a minute."""


class Base(DeclarativeBase):
    """The tables of these tests."""


class Book(Base):
    """What is exported."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class BookResource(ModelResource):
    """All of a book, in small batches."""

    class Meta:
        """Options."""

        model = Book
        fields = ("id", "title")
        name = "Books"
        batch_size = 200


SLEEPING = select(Book).where(NEVER)
"""Sleeps before its first row."""

STALLING = select(Book).where(or_(Book.id <= ROWS // 2, NEVER))
"""Gives half of the rows, then sleeps."""


class RowHookError(Exception):
    """What the hook of `FailingResource` raises."""


class FailingResource(BookResource):
    """Fails in the middle."""

    def dehydrate_title(self, book: Book) -> str:
        """Fail."""
        if book.id == FAILING_ROW:
            raise RowHookError
        return book.title


@dataclass
class Recorder:
    """An app that counts what its inner app sends.

    Attributes:
        app: The inner app.
        sent: Bytes of bodies that the server has taken.
        ended: Whether a body was ended.
        calls: Calls under way.
    """

    app: ASGIApp
    sent: int = 0
    ended: bool = False
    calls: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""

        async def count(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body":
                self.sent += len(message.get("body", b""))
                self.ended |= not message.get("more_body", False)

        self.calls += 1
        try:
            await self.app(scope, receive, count)
        finally:
            self.calls -= 1


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """Serve *app* over real sockets; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                await asyncio.sleep(0.005)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            server.force_exit = True
            await task


class Client:
    """A client at the level of sockets, that speaks HTTP/1.0: its body ends with the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def get(cls, port: int, path: str = "/") -> Client:
        """Send a request, and read nothing."""
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_sendall(connection, f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return cls(connection)

    async def read(self, size: int) -> bytes:
        """Read that much, or all there is until the end."""
        received = b""
        while len(received) < size:
            piece = await self._loop.sock_recv(self._socket, size - len(received))
            if not piece:
                break
            received += piece
        return received

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection: politely, or with a reset."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()


class Watcher:
    """Looks at the database from outside.

    Args:
        connection: Its own connection.
        engine: What the exports use; its ``application_name`` is *name*.
        name: What the connections of the exports call themselves.
    """

    def __init__(self, connection: asyncpg.Connection, engine: AsyncEngine, name: str) -> None:
        self._connection = connection
        self._engine = engine
        self._name = name

    async def sleeping(self) -> None:
        """Wait until an export's query sleeps in the server."""
        async with asyncio.timeout(5):
            while not await self._states("wait_event = 'PgSleep'"):
                await asyncio.sleep(0.01)

    async def held(self) -> None:
        """Wait until an export has a connection, and whatever it may be doing with it."""
        async with asyncio.timeout(5):
            while not await self._states("state <> 'idle'"):
                await asyncio.sleep(0.01)

    async def freed(self) -> float:
        """Wait until pool and server are rid of all exports; gives the seconds that it took."""
        started = time.perf_counter()
        while checked_out(self._engine) or (states := await self._states("state <> 'idle'")):
            waited = time.perf_counter() - started
            assert waited < 5, f"still there: {checked_out(self._engine)}, {states}"
            await asyncio.sleep(0.01)
        return time.perf_counter() - started

    async def _states(self, condition: str) -> list[Any]:
        found = await self._connection.fetch(
            "select state, query from pg_stat_activity "
            f"where application_name = $1 and {condition}",
            self._name,
        )
        return list(found)


def checked_out(engine: AsyncEngine) -> int:
    """Count the connections that the pool has given out."""
    count: int = engine.pool.checkedout()  # type: ignore[attr-defined]
    return count
