"""`ExportResponse` against ASGI itself: what it sends, refuses, and makes of a failing server."""

from __future__ import annotations

import asyncio
import importlib
import io
import logging
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import anyio
import httpx
import openpyxl
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from async_export import (
    ConfigurationError,
    ExportStateError,
    Field,
    MissingDependencyError,
    Resource,
    RowError,
    UnknownNameError,
    stream_workbook,
)
from async_export.web import ExportResponse

ROWS = [{"id": number} for number in range(1000)]

tenant: ContextVar[str] = ContextVar("tenant")


class NumberResource(Resource):
    """Numbers, without a database."""

    id = Field("id")

    class Meta:
        """Options."""

        batch_size = 10
        chunk_size = 1


class PickyResource(NumberResource):
    """Numbers, but not all."""

    def dehydrate_id(self, row: Mapping[str, int]) -> str:
        """Fail for negative ones."""
        if row["id"] < 0:
            raise ValueError
        return str(row["id"])


BAD = {"id": -1}


class Server:
    """The other side of ASGI, as version 2.4 has it: sending to nobody is an OSError.

    Args:
        leaves_after: Messages after which the client leaves; None to stay.
        tells: Whether ``receive`` tells of it.
    """

    def __init__(self, leaves_after: int | None = None, *, tells: bool = False) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self._leaves_after = leaves_after
        self._tells = tells
        self._requested = False
        if leaves_after == 0:
            self.gone.set()

    async def serve(self, response: Response, method: str = "GET") -> None:
        """Send a request."""
        asgi = {"version": "3.0", "spec_version": "2.4"}
        scope = {"type": "http", "method": method, "path": "/", "headers": [], "asgi": asgi}
        await response(scope, self.receive, self.send)

    async def receive(self) -> Message:
        """Tell of the request, then of the client's leaving."""
        if not self._requested:
            self._requested = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await (self.gone if self._tells else asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message."""
        if message["type"] not in {"http.response.start", "http.response.body"}:
            raise RuntimeError(message["type"])
        if self.gone.is_set():
            raise BrokenPipeError
        self.sent.append(message)
        if len(self.sent) == self._leaves_after:
            self.gone.set()
        await asyncio.sleep(0)

    @property
    def body(self) -> bytes:
        """What was sent."""
        return b"".join(each["body"] for each in self.sent[1:])

    @property
    def complete(self) -> bool:
        """Whether the body came to its end."""
        return bool(self.sent) and self.sent[-1].get("more_body") is False


def response(queryset: Any = ROWS, **options: Any) -> ExportResponse:
    """Make a response."""
    return ExportResponse(NumberResource(), "csv", "numbers", queryset, **options)


async def test_messages() -> None:
    """The headers come first, then chunks as they are made, then the end; then background."""
    server = Server()
    seen: list[bool] = []
    background = BackgroundTask(lambda: seen.append(server.complete))
    await server.serve(response(status_code=203, background=background))
    assert server.sent[0]["status"] == 203
    assert server.body == b"id\r\n" + b"".join(b"%d\r\n" % number for number in range(1000))
    assert len(server.sent) == 102
    assert all(type(each["body"]) is bytes for each in server.sent[1:])
    assert seen == [True]


async def test_empty_export() -> None:
    """An export without rows is a whole file too."""
    server = Server()
    await server.serve(response([]))
    assert server.body == b"id\r\n"
    assert server.complete


@pytest.mark.parametrize("leaves_after", [0, 1, 2, 50, 101])
@pytest.mark.parametrize("tells", [False, True])
async def test_client_leaves(
    leaves_after: int, tells: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that leaves stops and closes the export; it is information, not an error."""
    caplog.set_level(logging.INFO, "async_export.web")
    closed: list[bool] = []

    async def rows() -> AsyncGenerator[Mapping[str, int], None]:
        try:
            for row in ROWS:
                await asyncio.sleep(0)
                yield row
        finally:
            closed.append(True)

    server = Server(leaves_after, tells=tells)
    background = BackgroundTask(lambda: pytest.fail("ran"))
    await server.serve(response(rows(), background=background))
    assert len(server.sent) == leaves_after
    assert not server.complete
    assert closed == [True] or (tells and leaves_after == 0)
    assert [(each.name, each.levelname) for each in caplog.records] == [
        ("async_export.web", "INFO")
    ]
    assert "the client left after" in caplog.text


async def test_os_error_of_the_export_is_an_error() -> None:
    """Only an OSError of the server's means that the client left."""

    class Unreachable(NumberResource):
        def before_export(self, queryset: Any, **kwargs: Any) -> None:
            raise ConnectionResetError("the database")

    with pytest.raises(ConnectionResetError, match="the database"):
        await Server().serve(ExportResponse(Unreachable(), queryset=ROWS))


async def test_failure_before_the_first_chunk() -> None:
    """An error before the first chunk raises as it is, and nothing was sent."""
    server = Server()
    with pytest.raises(RowError, match="row 1,"):
        await server.serve(ExportResponse(PickyResource(), queryset=[BAD]))
    assert server.sent == []


async def test_failure_after_the_first_chunk(caplog: pytest.LogCaptureFixture) -> None:
    """A later error raises as it is, and the body is not ended."""
    server = Server()
    background = BackgroundTask(lambda: pytest.fail("ran"))
    rows = [*ROWS[:500], BAD, *ROWS]
    with pytest.raises(RowError, match="row 501,"):
        await server.serve(ExportResponse(PickyResource(), queryset=rows, background=background))
    assert server.sent
    assert not server.complete
    assert caplog.records == []  # the server tells of it


async def test_hooks_may_refuse() -> None:
    """A hook may raise Starlette's HTTPException; kwargs of the response reach it."""

    class Guarded(NumberResource):
        async def before_export(self, queryset: Any, **kwargs: Any) -> None:
            if kwargs["user"] != "owner":
                raise HTTPException(403, "not yours")

    async def endpoint(request: Request) -> Response:
        user = request.query_params["user"]
        return ExportResponse(Guarded(), queryset=ROWS, user=user)

    app = Starlette(routes=[Route("/", endpoint)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/?user=owner")).status_code == 200
        refused = await client.get("/?user=thief")
    assert (refused.status_code, refused.text) == (403, "not yours")


async def test_hooks_see_context_variables() -> None:
    """What a request keeps in context variables is there for the hooks."""
    seen: list[str] = []

    class Tenants(NumberResource):
        def before_export(self, queryset: Any, **kwargs: Any) -> None:
            seen.append(tenant.get())

    tenant.set("seven")
    await Server().serve(ExportResponse(Tenants(), queryset=ROWS))
    assert seen == ["seven"]


async def test_error_while_stopping(caplog: pytest.LogCaptureFixture) -> None:
    """An error that comes of being stopped is logged without its text, and bothers nobody else."""
    caplog.set_level(logging.INFO, "async_export.web")
    cell = "what a cell holds"

    async def rows() -> AsyncGenerator[Mapping[str, int], None]:
        try:
            await asyncio.Event().wait()
            yield {}
        finally:
            raise ValueError(cell)

    server = Server()
    server._tells = True
    serving = asyncio.create_task(server.serve(response(rows())))
    await asyncio.sleep(0.02)
    server.gone.set()
    await serving
    assert [each.levelname for each in caplog.records] == ["INFO", "INFO"]
    assert "ValueError, raised by" in caplog.text
    assert "raise ValueError(cell)" in caplog.text
    assert cell not in caplog.text


async def test_cancellation_waits_for_the_export() -> None:
    """A cancel scope round the app stops the export, and does not disturb its cleaning up."""
    steps: list[str] = []

    async def rows() -> AsyncGenerator[Mapping[str, int], None]:
        try:
            yield {"id": 1}
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0.001)
            steps.append("closed")

    server = Server()
    with anyio.move_on_after(0.05) as scope:
        await server.serve(response(rows()))
    assert scope.cancelled_caught
    assert steps == ["closed"]
    assert not server.complete


async def test_failing_receive() -> None:
    """A server whose receive fails gets its error back, and the export is closed."""

    async def receive() -> Message:
        raise LookupError("lost")

    server = Server()
    with pytest.raises(LookupError, match="lost"):
        await response()({"type": "http", "method": "GET"}, receive, server.send)
    assert not server.complete


async def test_head() -> None:
    """A HEAD request gets the headers and no body, and no row is fetched."""

    def rows() -> Iterator[Mapping[str, int]]:
        pytest.fail("fetched")
        yield {}

    server = Server()
    await server.serve(response(rows()), "HEAD")
    assert [each["type"] for each in server.sent] == ["http.response.start", "http.response.body"]
    assert (b"content-disposition", b'attachment; filename="numbers.csv"') in server.sent[0][
        "headers"
    ]
    assert server.body == b""


@pytest.mark.parametrize("leaves_after", [0, 1])
async def test_client_leaves_head(leaves_after: int) -> None:
    """Leaving before the answer to a HEAD request is no error either."""
    server = Server(leaves_after)
    await server.serve(response(), "HEAD")
    assert len(server.sent) == leaves_after


async def test_serves_once() -> None:
    """A response belongs to one request."""
    once = response()
    await Server().serve(once)
    with pytest.raises(ExportStateError, match="serves once"):
        await Server().serve(once)


def test_headers() -> None:
    """Headers of the caller's come along, and may replace the cautious ones."""
    made = response(headers={"ETag": '"7"', "cache-control": "private", "Content-Type": "text/x"})
    assert made.headers["etag"] == '"7"'
    assert made.headers["cache-control"] == "private"
    assert made.headers.getlist("content-type") == ["text/x"]
    assert made.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"X-Name": "a\r\nSet-Cookie: b"}, "'x-name' cannot be sent"),
        ({"X-Name": "a\nb"}, "'x-name' cannot be sent"),
        ({"X-Name": "a\0b"}, "'x-name' cannot be sent"),
        ({"X Name": "a"}, "'x name' cannot be sent"),
        ({"": "a"}, "'' cannot be sent"),
        ({"X-Name": "имя"}, "Latin-1"),
        ({"Content-Length": "5"}, "sets the header 'Content-Length' itself"),
        ({"Content-Disposition": "inline"}, "pass filename"),
    ],
)
def test_impossible_headers(headers: Mapping[str, str], message: str) -> None:
    """A header that HTTP cannot carry, or that only the response knows, is refused at once."""
    with pytest.raises(ConfigurationError, match=message):
        response(headers=headers)


async def test_impossible_header_set_later() -> None:
    """A header that is set on the response is checked before it leaves."""
    made = response()
    made.headers["X-Name"] = "a\r\nSet-Cookie: b"
    server = Server()
    with pytest.raises(ConfigurationError, match="'x-name'"):
        await server.serve(made)
    assert server.sent == []


def test_unknown_format() -> None:
    """A format that does not exist is refused in the handler, with the nearest names."""
    with pytest.raises(UnknownNameError, match="did you mean 'csv'"):
        ExportResponse(NumberResource(), "cvs")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("a\r\nSet-Cookie: b", 'attachment; filename="aSet-Cookie_ b.csv"'),
        ("../../etc/passwd", 'attachment; filename="passwd.csv"'),
        ("numbers.json", 'attachment; filename="numbers.csv"'),
        (None, 'attachment; filename="NumberResource.csv"'),
    ],
)
def test_file_name(asked: str | None, expected: str) -> None:
    """The file is called as asked, as far as that is safe, or after the resource."""
    made = ExportResponse(NumberResource(), "csv", asked)
    assert made.headers["content-disposition"] == expected


async def _get(response: ExportResponse) -> httpx.Response:
    """Get a response as a client does."""
    transport = httpx.ASGITransport(response)
    async with httpx.AsyncClient(transport=transport, base_url="http://books") as client:
        return await client.get("/")


async def test_workbooks_are_sent() -> None:
    """A stream of several resources is sent as one file."""

    class Given(NumberResource):
        def get_queryset(self) -> Any:
            return ROWS[:2]

    resources = {"A": Given(), "B": Given()}
    got = await _get(ExportResponse(stream_workbook(resources, "xlsx"), filename="library"))
    assert got.headers["content-disposition"].startswith('attachment; filename="library.xlsx"')
    assert "spreadsheetml" in got.headers["content-type"]
    assert openpyxl.load_workbook(io.BytesIO(got.content)).sheetnames == ["A", "B"]
    got = await _get(ExportResponse(stream_workbook(resources, "csv")))
    assert got.headers["content-disposition"].startswith('attachment; filename="export.zip"')
    with pytest.raises(ConfigurationError, match="a stream has its format"):
        ExportResponse(stream_workbook(resources, "csv"), format="csv")


@pytest.mark.parametrize(
    ("filename", "content_type"),
    [
        ("numbers.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("numbers.csv.gz", "application/gzip"),
        ("numbers.parquet", "application/vnd.apache.parquet"),
    ],
)
async def test_binary_files_are_sent(filename: str, content_type: str) -> None:
    """The file's name chooses the format, packed ones included."""
    got = await _get(ExportResponse(NumberResource(), filename=filename, queryset=ROWS))
    assert got.headers["content-type"] == content_type
    assert f'filename="{filename}"' in got.headers["content-disposition"]
    assert got.content


def test_display_name_is_no_path() -> None:
    """A slash in the name of a resource does not cut it."""

    class Fractions(NumberResource):
        class Meta:
            name = "Share 3/4"

    made = ExportResponse(Fractions(), "json")
    assert made.headers["content-disposition"] == 'attachment; filename="Share 3-4.json"'


def test_starlette_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Starlette, the import says what to install."""
    for name in list(sys.modules):
        if name.startswith("async_export.web"):
            monkeypatch.delitem(sys.modules, name)
        elif name.partition(".")[0] == "starlette":
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r'pip install "async_export\[web\]"'):
        importlib.import_module("async_export.web")
