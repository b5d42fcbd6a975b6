"""`ExportStream`: the bytes of an export, in chunks."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from types import TracebackType
from typing import Self

from async_export.errors import ExportStateError
from async_export.formats import Encoder
from async_export.pieces import encoded_pieces
from async_export.results import ExportResult
from async_export.run import Run

__all__ = ("ExportStream",)


class ExportStream:
    """The bytes of one export, as they are made.

    Use it once, as ``async with resource.stream("csv") as stream``. Entering goes through the
    workflow and makes the first chunk, so that errors of configuration and SQL raise there.
    Later errors raise from the iteration. Leaving early closes cursor and connection.

    Attributes:
        content_type: Media type of the format.
        extension: Ending of its files, without the dot.
    """

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Run]],
        encoder: Encoder,
        chunk_size: int,
    ) -> None:
        self._begin = begin
        self._encoder = encoder
        self._chunk_size = chunk_size
        self._state = "new"
        self._stack = AsyncExitStack()
        self._first = b""
        self._run: Run | None = None
        self._result: ExportResult | None = None
        self.content_type = encoder.content_type
        self.extension = encoder.extension

    @property
    def rows(self) -> int:
        """Records made so far, for whoever shows progress."""
        return 0 if self._run is None else self._run.rows

    @property
    def result(self) -> ExportResult:
        """What was made; there is one only after the last chunk.

        Raises:
            ExportStateError: the stream has not come to its end.
        """
        if self._result is None:
            raise ExportStateError("a stream has its result after its last chunk")
        return self._result

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise ExportStateError("a stream serves once; ask the resource for another one")
        self._state = "closed"  # should entering fail
        async with AsyncExitStack() as stack:
            self._run = run = await stack.enter_async_context(self._begin())
            self._chunks = await stack.enter_async_context(aclosing(self._make_chunks(run)))
            self._first = await anext(self._chunks)
            self._stack = stack.pop_all()
        self._state = "open"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._state = "closed"
        return await self._stack.__aexit__(kind, error, traceback)

    def __aiter__(self) -> Self:
        if self._state != "open":
            raise ExportStateError("iterate inside 'async with resource.stream(...) as stream:'")
        return self

    async def __anext__(self) -> bytes:
        if self._state != "open":
            raise ExportStateError("the stream is closed")
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            if self._result is None:
                raise ExportStateError("the export failed before its end") from None
            raise

    async def _make_chunks(self, run: Run) -> AsyncGenerator[bytes, None]:
        """Make chunks of at least `chunk_size` bytes, but for the first and the last one."""
        encoder, columns = self._encoder, run.plan.columns
        digest = hashlib.sha256()
        total = size = 0
        waiting = [encoder.begin(columns)]
        first = True

        def take() -> bytes:
            nonlocal first, size, total, waiting
            chunk = b"".join(waiting)
            first, size, waiting = False, 0, []
            digest.update(chunk)
            total += len(chunk)
            return chunk

        async with aclosing(encoded_pieces(run, encoder)) as pieces:
            async for piece in pieces:
                waiting.append(piece)
                size += len(piece)
                if size >= self._chunk_size or (first and size):
                    yield take()
        waiting.append(encoder.end())
        is_first = first
        last = take()
        result = run.result(encoder.name, total, digest.hexdigest())
        await run.finish(result)
        self._result = result
        # The first chunk is awaited on entering: an export of no bytes has an empty one.
        if last or is_first:
            yield last
