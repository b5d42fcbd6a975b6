"""`ExportResponse`: an export as the body of an HTTP response."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

import anyio
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from async_export.errors import ConfigurationError, ExportError, UnknownNameError
from async_export.formats import Encoder, available_formats, format_for_path
from async_export.resources import Resource
from async_export.streams import ByteStream
from async_export.web._disposition import content_disposition, safe_file_name

__all__ = ("ExportResponse",)

logger = logging.getLogger("async_export.web")

CLIENT_LEFT: Final = 499
"""Status for middleware and logs when nobody is there to receive one; nginx's number for it."""

_OWN_HEADERS: Final = ("content-disposition", "content-length", "transfer-encoding")

_TOKEN: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""The name of a header (RFC 9110, 5.6.2)."""

_FORBIDDEN: Final = re.compile(rb"[\r\n\0]")
"""What may not be in the value of a header (RFC 9110, 5.5)."""


class ExportResponse(Response):
    """An export that is sent while it is made, as a file to save.

    The first chunk is made before the headers leave, so that whatever fails until then raises
    like any error of a handler and becomes a 500, or what the app's exception handlers make of
    it. What fails later raises as well and breaks off the body, which HTTP clients report; only
    those that speak HTTP/1.0 cannot tell a broken body from a whole one. A client that leaves
    stops the export, and its connection to the database is given back; that is no error, and is
    logged as information on the logger ``async_export.web``. A client that reads slowly makes
    the export wait. A HEAD request gets the headers, and nothing is exported.

    Args:
        resource: What is exported, or a stream of it, as `stream_workbook` gives one; for a stream
            the arguments that make it are left out here.
        format: Name of a format, or an encoder; by default by the extension of `filename`, else
            csv.
        filename: What the browser saves the file as: cleaned, and with the format's extension;
            by default the resource's display name, ``export`` for a stream.
        queryset: A select or an iterable; by default what ``get_queryset`` gives.
        fields: Names or column_names of the fields to export, in order; by default all.
        status_code: Status of the response.
        headers: More headers, or other values for ``Cache-Control`` and the like.
        background: Task that runs after the whole body was sent, and only then.
        **kwargs: Reach every hook, and the widgets.

    Raises:
        UnknownNameError: there is no such format.
        ConfigurationError: a header that HTTP cannot carry, or that the response sets itself.
    """

    def __init__(
        self,
        resource: Resource | ByteStream[Any],
        format: str | type[Encoder] | Encoder | None = None,  # noqa: A002 - the field's word
        filename: str | None = None,
        queryset: Any = None,
        *,
        fields: Sequence[str] | None = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(resource, ByteStream):
            if kwargs or any(each is not None for each in (format, queryset, fields)):
                raise ConfigurationError("a stream has its format, queryset, fields and keywords")
            stream, name = resource, "export"
        elif isinstance(resource, Resource):
            chosen = _format_of(filename) if format is None else format
            stream = resource.stream(chosen, queryset, fields=fields, **kwargs)
            name = resource.get_display_name().replace("/", "-")  # a name, not a path
        else:
            raise ConfigurationError("ExportResponse takes a resource: BookResource(engine)")
        self.status_code = status_code
        self.background = background
        self.media_type = stream.content_type
        self._stream = stream
        self._started = False
        self._init_headers(headers or {}, name if filename is None else filename)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the export; called by the server."""
        _check_headers(self.raw_headers)
        head = scope.get("method") == "HEAD"
        try:
            if head:
                await self._start(send)
            else:
                await _while_connected(self._send_chunks(self._stream, send), receive)
            await _send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except _ClientLeftError:
            logger.info("the client left after %d rows of the export", self._stream.rows)
            await self._excuse(send)
            return
        if self.background is not None and not head:
            await self.background()

    async def _send_chunks(self, stream: ByteStream[Any], send: Send) -> None:
        try:
            async with stream:
                await self._start(send)
                async for chunk in stream:
                    await _send(
                        send, {"type": "http.response.body", "body": chunk, "more_body": True}
                    )
        except BaseException as error:
            task = asyncio.current_task()
            cancelled = task is not None and task.cancelling() > 0
            if self._started and not cancelled and not isinstance(error, _ClientLeftError):
                await _break_off(send, error)
            raise

    async def _start(self, send: Send) -> None:
        self._started = True
        start = {"status": self.status_code, "headers": self.raw_headers}
        await _send(send, {"type": "http.response.start", **start})

    async def _excuse(self, send: Send) -> None:
        """Say in place of a response that the client left: Starlette's middleware wants one."""
        if self._started:
            return
        try:
            await _send(send, {"type": "http.response.start", "status": CLIENT_LEFT, "headers": []})
            await _send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except _ClientLeftError:
            return

    def _init_headers(self, headers: Mapping[str, str], filename: str) -> None:
        for header in headers:
            if header.lower() in _OWN_HEADERS:
                cure = "; pass filename" if header.lower() == "content-disposition" else ""
                raise ConfigurationError(f"the response sets the header {header!r} itself{cure}")
        try:
            self.init_headers(headers)
        except UnicodeEncodeError as error:
            raise ConfigurationError("headers hold Latin-1 characters only") from error
        extension = self._stream.extension
        known = {encoder.extension for encoder in available_formats()}
        known |= {extension, extension.rpartition(".")[2]}
        name = safe_file_name(filename, extension, known)
        self.headers["Content-Disposition"] = content_disposition(name, extension)
        self.headers.setdefault("X-Content-Type-Options", "nosniff")
        self.headers.setdefault("Cache-Control", "no-store")
        self.headers.setdefault("X-Accel-Buffering", "no")
        _check_headers(self.raw_headers)


class _ClientLeftError(Exception):
    """The client does not wait for the response any more."""


async def _send(send: Send, message: Message) -> None:
    try:
        await send(message)
    except OSError as error:  # so say servers of ASGI 2.4 and later
        raise _ClientLeftError from error


async def _break_off(send: Send, error: BaseException) -> None:
    """Keep middleware from ending the body of an export that failed as if it were whole.

    Starlette's BaseHTTPMiddleware, and hence ``@app.middleware("http")``, does so when the app
    raises. What makes it break off instead is a message that is out of place: a hint that comes
    after its response has started, which servers refuse, and GZipMiddleware lets through.
    """
    try:
        await send({"type": "http.response.early_hint", "links": []})
    except Exception:  # noqa: BLE001 - by the server, as it should be
        return
    # Whoever took it may raise its own error in the place of this one.
    logger.error("the export failed after its response had begun: %s", _trail(error))


async def _while_connected(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Do *work* unless the client leaves.

    It is done in a task of its own, which is cancelled once. A cancel scope of anyio would go on
    cancelling while the connection is being closed; the driver then gives up, and leaves its
    query running in the server.

    Raises:
        _ClientLeftError: the client left, and *work* was stopped.
    """
    task = asyncio.create_task(work, name="async_export.web: export")
    watch = asyncio.create_task(_disconnected(receive), name="async_export.web: client")
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        await _stop(task, watch)
        raise
    if task.done():
        await _stop(watch)
        return task.result()
    await _stop(task)
    watch.result()
    if not task.cancelled() and (error := task.exception()):
        logger.info("while it was being stopped, the export failed: %s", _trail(error))
    raise _ClientLeftError


def _trail(error: BaseException) -> str:
    """Tell of an error, its causes and where they come from, without the values in their texts."""
    each: BaseException | None = error
    told = [str(error) if isinstance(error, ExportError) else type(error).__name__]
    while each is not None:
        told += [f"{type(each).__name__}, raised by", *traceback.format_tb(each.__traceback__)]
        each = each.__cause__
    return "\n".join(line.rstrip() for line in told)


async def _stop(*tasks: asyncio.Task[None]) -> None:
    """Cancel *tasks* once, and wait for them whatever happens meanwhile."""
    for task in tasks:
        task.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # or asyncio complains that nobody asked for it


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _format_of(filename: str | None) -> type[Encoder] | Encoder | str:
    try:
        return "csv" if filename is None else format_for_path(filename)
    except UnknownNameError:
        return "csv"


def _check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse what would end a header early, or be no header at all.

    Raises:
        ConfigurationError: there is such a header; its value is not part of the message.
    """
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value):
            raise ConfigurationError(f"the header {name!r} cannot be sent over HTTP")
