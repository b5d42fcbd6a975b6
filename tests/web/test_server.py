"""`ExportResponse` over a real uvicorn, with clients that wait, dawdle and leave."""

# ruff: noqa: ASYNC110 - what others do is waited for by looking

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from async_export.web import ExportResponse
from web.serving import (
    ROWS,
    SLEEPING,
    STALLING,
    Book,
    BookResource,
    Client,
    FailingResource,
    Recorder,
    RowHookError,
    Watcher,
    checked_out,
    serving,
)

FREED_WITHIN = 1.0
"""Seconds in which a client that left is to be noticed and its connection given back."""


def starlette(
    respond: Callable[[], Response], *middleware: Middleware, methods: tuple[str, ...] = ("GET",)
) -> Recorder:
    """Make an app that answers every request to ``/`` in the same way."""

    async def endpoint(_: Request) -> Response:
        return respond()

    route = Route("/", endpoint, methods=list(methods))
    return Recorder(Starlette(routes=[route], middleware=list(middleware)))


async def through(_: Request, call_next: RequestResponseEndpoint) -> Response:
    """Do what the simplest middleware does."""
    return await call_next(_)


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Open a session for a request, as FastAPI's documentation shows it."""
    async with AsyncSession(request.app.state.engine) as session:
        yield session


HTTP_MIDDLEWARE = Middleware(BaseHTTPMiddleware, dispatch=through)


async def test_starlette_sends_the_whole_file(books: AsyncEngine, tmp_path: Path) -> None:
    """A download has the bytes that export_to writes, and the headers of a file to save."""
    await BookResource(books).export_to(tmp_path / "books.csv")
    app = starlette(lambda: ExportResponse(BookResource(books), "csv", "Bücher"))
    async with serving(app) as port, httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{port}/")
        assert checked_out(books) == 0
    assert response.status_code == 200
    assert response.content == (tmp_path / "books.csv").read_bytes()
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == (
        "attachment; filename=\"Bucher.csv\"; filename*=UTF-8''B%C3%BCcher.csv"
    )
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-length" not in response.headers


async def test_fastapi_sends_the_whole_file(books: AsyncEngine, tmp_path: Path) -> None:
    """FastAPI takes the response as it is, under middleware too, with queryset and fields."""
    first = select(Book).where(Book.id <= 3).order_by(Book.id)
    await BookResource(books).export_to(tmp_path / "books.json", "json", first, fields=["id"])
    app = FastAPI()
    app.middleware("http")(through)

    @app.get("/books")
    async def download() -> ExportResponse:
        return ExportResponse(BookResource(books), format="json", queryset=first, fields=["id"])

    async with serving(app) as port, httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{port}/books")
    assert response.content == (tmp_path / "books.json").read_bytes()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-disposition"] == 'attachment; filename="Books.json"'


async def test_export_in_a_handler(books: AsyncEngine) -> None:
    """A handler may await the Dataset of an export."""
    app = FastAPI()

    @app.get("/titles")
    async def titles(below: int) -> list[dict[str, Any]]:
        dataset = await BookResource(books).export(select(Book).where(Book.id < below))
        found: list[dict[str, Any]] = dataset.dict
        return found

    async with serving(app) as port, httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{port}/titles?below=3")
    assert [each["id"] for each in response.json()] == ["1", "2"]


async def test_background_export(books: AsyncEngine, tmp_path: Path) -> None:
    """A background task may export to a file after the response."""
    app = FastAPI()
    done = asyncio.Event()

    async def export() -> None:
        await BookResource(books).export_to(tmp_path / "books.csv")
        done.set()

    @app.post("/exports", status_code=202)
    async def start(background: BackgroundTasks) -> str:
        background.add_task(export)
        return "books.csv"

    async with serving(app) as port, httpx.AsyncClient() as client:
        response = await client.post(f"http://127.0.0.1:{port}/exports")
        assert response.status_code == 202
        async with asyncio.timeout(5):
            await done.wait()
    assert len((tmp_path / "books.csv").read_bytes().splitlines()) == ROWS + 1


@pytest.mark.parametrize("middleware", [(), (HTTP_MIDDLEWARE,)], ids=["plain", "middleware"])
async def test_failing_query(books: AsyncEngine, middleware: tuple[Middleware, ...]) -> None:
    """A query that the database refuses is a 500, not a broken 200."""
    broken = select(Book).where(text("title = no_such_column"))
    app = starlette(lambda: ExportResponse(BookResource(books), queryset=broken), *middleware)
    async with serving(app) as port, httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{port}/")
    assert response.status_code == 500
    assert "content-disposition" not in response.headers
    assert checked_out(books) == 0


@pytest.mark.parametrize(
    "middleware",
    [
        (),
        (HTTP_MIDDLEWARE,),
        (Middleware(GZipMiddleware),),
        (HTTP_MIDDLEWARE, Middleware(GZipMiddleware)),
        (Middleware(GZipMiddleware), HTTP_MIDDLEWARE),
    ],
    ids=["plain", "http", "gzip", "gzip in http", "http in gzip"],
)
async def test_failing_hook(
    books: AsyncEngine,
    watcher: Watcher,
    caplog: pytest.LogCaptureFixture,
    middleware: tuple[Middleware, ...],
) -> None:
    """A hook that fails midway breaks the body, whatever middleware there is; its error is told."""
    later: list[str] = []
    app = starlette(
        lambda: ExportResponse(
            FailingResource(books), background=BackgroundTask(later.append, "ran")
        ),
        *middleware,
    )
    async with serving(app) as port, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            await client.get(f"http://127.0.0.1:{port}/")
        await watcher.freed()
    assert app.sent > 0
    assert not app.ended
    assert not later
    assert RowHookError.__name__ in caplog.text


async def test_slow_reader(books: AsyncEngine, watcher: Watcher, tmp_path: Path) -> None:
    """The export waits for a client that reads slowly, and the client gets everything."""
    result = await BookResource(books).export_to(tmp_path / "books.csv")
    app = starlette(lambda: ExportResponse(BookResource(books)))
    digest = hashlib.sha256()
    received = ahead = 0
    async with serving(app) as port:
        client = await Client.get(port)
        _, _, body = (await client.read(1024)).partition(b"\r\n\r\n")
        while body:
            digest.update(body)
            received += len(body)
            ahead = max(ahead, app.sent - received)
            await asyncio.sleep(0.05)
            body = await client.read(65_536)
        client.leave()
        assert await watcher.freed() < FREED_WITHIN
    assert received == result.bytes > 1_400_000
    assert digest.hexdigest() == result.sha256
    assert ahead < result.bytes / 3


@pytest.mark.parametrize(
    ("reset", "middleware"),
    [(False, ()), (True, ()), (False, (HTTP_MIDDLEWARE,))],
    ids=["close", "reset", "close under middleware"],
)
@pytest.mark.parametrize("moment", ["first query", "later query", "sending"])
async def test_client_that_leaves(
    books: AsyncEngine,
    watcher: Watcher,
    caplog: pytest.LogCaptureFixture,
    *,
    moment: Literal["first query", "later query", "sending"],
    reset: bool,
    middleware: tuple[Middleware, ...],
) -> None:
    """Whenever a client leaves, query and connection are gone within a second, without errors."""
    caplog.set_level(logging.INFO, "async_export.web")
    later: list[str] = []
    queryset = {"first query": SLEEPING, "later query": STALLING, "sending": None}[moment]
    app = starlette(
        lambda: ExportResponse(
            BookResource(books),
            queryset=queryset,
            background=BackgroundTask(later.append, "ran"),
        ),
        *middleware,
    )
    async with serving(app) as port:
        for _ in range(3):
            client = await Client.get(port)
            if moment == "sending":
                assert len(await client.read(65_536)) == 65_536
                await watcher.held()
            else:
                # The half before the nap has to be read, or the export waits for that instead.
                reading = asyncio.create_task(client.read(10_000_000))
                await watcher.sleeping()
                reading.cancel()
                await asyncio.wait([reading])
            client.leave(reset=reset)
            assert await watcher.freed() < FREED_WITHIN
        while app.calls:
            await asyncio.sleep(0.01)
    assert not later
    assert not [each for each in caplog.records if each.levelno > logging.INFO]
    left = [each for each in caplog.messages if each.startswith("the client left after")]
    assert len(left) == 3


async def test_many_clients_leave(books: AsyncEngine, watcher: Watcher, tmp_path: Path) -> None:
    """After ten clients that left at any moment, a pool of two serves whole files."""
    result = await BookResource(books).export_to(tmp_path / "books.csv")
    app = starlette(lambda: ExportResponse(BookResource(books)))
    async with serving(app) as port:
        for number in range(10):
            client = await Client.get(port)
            await client.read(number * 10_000)
            client.leave(reset=number % 2 == 0)
        assert await watcher.freed() < FREED_WITHIN
        async with httpx.AsyncClient() as whole:
            urls = [f"http://127.0.0.1:{port}/"] * 2
            for response in await asyncio.gather(*map(whole.get, urls)):
                assert hashlib.sha256(response.content).hexdigest() == result.sha256


async def test_client_that_waits_for_a_connection_leaves(
    books: AsyncEngine, watcher: Watcher
) -> None:
    """A client that leaves while the pool is empty does not take a connection later."""
    app = starlette(lambda: ExportResponse(BookResource(books)))
    async with books.connect(), books.connect(), serving(app) as port:
        client = await Client.get(port)
        while not app.calls:
            await asyncio.sleep(0.01)
        client.leave()
        async with asyncio.timeout(FREED_WITHIN):
            while app.calls:
                await asyncio.sleep(0.01)
    assert await watcher.freed() < FREED_WITHIN
    assert app.sent == 0


async def test_session_of_a_dependency(books: AsyncEngine, watcher: Watcher) -> None:
    """A session that FastAPI opens for the request serves the download, and is closed after it."""
    app = FastAPI()
    app.state.engine = books

    @app.get("/{kind}")
    async def download(
        kind: str, session: Annotated[AsyncSession, Depends(open_session)]
    ) -> ExportResponse:
        queryset = SLEEPING if kind == "sleeping" else None
        return ExportResponse(BookResource(session), queryset=queryset)

    async with serving(app) as port, httpx.AsyncClient() as whole:
        response = await whole.get(f"http://127.0.0.1:{port}/all")
        assert len(response.content.splitlines()) == ROWS + 1
        assert await watcher.freed() < FREED_WITHIN
        for _ in range(3):
            client = await Client.get(port, "/sleeping")
            await watcher.sleeping()
            client.leave()
            assert await watcher.freed() < FREED_WITHIN


async def test_head(books: AsyncEngine) -> None:
    """A HEAD request gets the headers of the download, and the database is left alone."""
    later: list[str] = []
    app = starlette(
        lambda: ExportResponse(
            BookResource(books),
            queryset=SLEEPING,
            headers={"X-Kind": "full"},
            background=BackgroundTask(later.append, "ran"),
        ),
        methods=("GET", "HEAD"),
    )
    async with serving(app) as port, httpx.AsyncClient() as client:
        response = await client.head(f"http://127.0.0.1:{port}/")
    assert response.status_code == 200
    assert response.headers["content-disposition"] == 'attachment; filename="Books.csv"'
    assert response.headers["x-kind"] == "full"
    assert "content-length" not in response.headers
    assert not later
    assert books.pool.checkedin() == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("scope_cancels", [False, True], ids=["task", "cancel scope"])
async def test_cancelled_app(books: AsyncEngine, watcher: Watcher, *, scope_cancels: bool) -> None:
    """A server or middleware that cancels in the midst of a query leaves no query behind."""
    app = starlette(lambda: ExportResponse(BookResource(books), queryset=SLEEPING))

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_: object) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    cancel_scope = anyio.CancelScope()

    async def serve() -> None:
        with cancel_scope:
            await app(scope, receive, send)

    task = asyncio.create_task(serve())
    await watcher.sleeping()
    if scope_cancels:
        cancel_scope.cancel()
    else:
        task.cancel()
    assert await watcher.freed() < FREED_WITHIN
    await asyncio.wait([task])
    assert task.cancelled() is not scope_cancels
