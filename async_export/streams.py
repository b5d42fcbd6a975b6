"""`ExportStream`: the bytes of an export, in chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from functools import partial
from types import TracebackType
from typing import Generic, Self, TypeAlias, TypeVar

from async_export.errors import ExportStateError, RowError
from async_export.formats import Encoder
from async_export.manifests import Tally
from async_export.pieces import file_pieces, refuse_too_many, result_of
from async_export.results import ExportResult, Origin
from async_export.run import Run

__all__ = ("ByteStream", "ExportStream", "SheetRejected")

_TEXT_TYPES = frozenset(
    {"application/json", "application/sql", "application/x-ndjson", "application/x-tex"}
    | {"application/yaml"}
)

SheetRejected: TypeAlias = Callable[[str, Sequence[RowError]], Awaitable[None]]
"""Takes the name of a sheet, or nothing, and the errors of rows that are skipped there."""

Result = TypeVar("Result")


class ByteStream(ABC, Generic[Result]):
    """The bytes of one file, as they are made.

    Use it once, as ``async with resource.stream("csv") as stream``. Entering goes through the
    workflow and makes the first chunk, so that errors of configuration and SQL raise there.
    Later errors raise from the iteration. Leaving early closes cursor and connection.

    Attributes:
        content_type: Media type of the format.
        extension: Ending of its files, without the dot.
        has_sheets: Whether it holds several tables.
        origin: What was exported, when it has been.
        tally: What is remembered of the bytes.
        rejected: What takes the errors of rows that are skipped; None for nobody.
    """

    has_sheets = False

    def __init__(self, encoder: Encoder, chunk_size: int) -> None:
        self.origin = Origin()
        self.tally = Tally(lines=False)
        self.rejected: SheetRejected | None = None
        self._encoder = encoder
        self._chunk_size = chunk_size
        self._state = "new"
        self._stack = AsyncExitStack()
        self._first = b""
        self._result: Result | None = None
        self.content_type = encoder.content_type
        self.extension = encoder.extension

    @property
    def is_text(self) -> bool:
        """Whether the bytes are lines of text."""
        kind = self.content_type.partition(";")[0]
        return kind.startswith("text/") or kind in _TEXT_TYPES

    @property
    @abstractmethod
    def rows(self) -> int:
        """Records made so far, for whoever shows progress."""

    @abstractmethod
    async def _open(self, stack: AsyncExitStack) -> None:
        """Go through the workflow up to the first row; *stack* closes what is opened."""

    @abstractmethod
    def _pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the bytes: what stands before the first records at first, then what follows."""

    @abstractmethod
    def _rest(self) -> None:
        """Note that the reader has the turn."""

    @abstractmethod
    def _resume(self) -> None:
        """Note that the reader has come back."""

    @abstractmethod
    async def _finish(self, size: int, sha256: str) -> Result:
        """Tell what was made: so many bytes, of that digest."""

    @property
    def result(self) -> Result:
        """What was made; there is one only after the last chunk.

        Raises:
            ExportStateError: the stream has not come to its end.
        """
        if self._result is None:
            raise ExportStateError("a stream has its result after its last chunk")
        return self._result

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise ExportStateError("a stream serves once; make another one")
        self._state = "closed"  # should entering fail
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._chunks = await stack.enter_async_context(aclosing(self._make_chunks()))
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
            raise ExportStateError("iterate inside 'async with … as stream:'")
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

    async def _make_chunks(self) -> AsyncGenerator[bytes, None]:
        """Make chunks of at least `chunk_size` bytes, but for the first and the last one.

        The first one leaves when the first records are encoded.
        """
        size = number = 0
        waiting: list[bytes] = []
        is_first = True

        def take() -> bytes:
            nonlocal is_first, size, waiting
            chunk = b"".join(waiting)
            is_first, size, waiting = False, 0, []
            self.tally.update(chunk)
            return chunk

        async with aclosing(self._pieces()) as pieces:
            async for piece in pieces:
                waiting.append(piece)
                size += len(piece)
                if number and size and (is_first or size >= self._chunk_size):
                    chunk = take()
                    self._rest()
                    yield chunk
                    self._resume()
                number += 1
        was_first = is_first
        last = take()
        self._result = await self._finish(self.tally.bytes, self.tally.sha256)
        # The first chunk is awaited on entering: an export of no bytes has an empty one.
        if last or was_first:
            yield last


class ExportStream(ByteStream[ExportResult]):
    """The bytes of one export; `ByteStream` tells how to use it."""

    def __init__(
        self,
        begin: Callable[[], AbstractAsyncContextManager[Run]],
        encoder: Encoder,
        chunk_size: int,
    ) -> None:
        super().__init__(encoder, chunk_size)
        self._begin = begin
        self._run: Run | None = None

    @property
    def rows(self) -> int:
        """Records made so far, for whoever shows progress."""
        return 0 if self._run is None else self._run.rows

    async def _open(self, stack: AsyncExitStack) -> None:
        self._run = await stack.enter_async_context(self._begin())
        if self.rejected is not None:
            self._run.rejected = partial(self.rejected, "")
        await refuse_too_many(self._run, self._encoder)

    def _pieces(self) -> AsyncGenerator[bytes, None]:
        assert self._run is not None
        return file_pieces(self._run, self._encoder)

    def _rest(self) -> None:
        assert self._run is not None
        self._run.rest()

    def _resume(self) -> None:
        assert self._run is not None
        self._run.resume()

    async def _finish(self, size: int, sha256: str) -> ExportResult:
        assert self._run is not None
        result = result_of(self._run, self._encoder, size=size, sha256=sha256)
        self.origin = self._run.origin
        await self._run.finish(result)
        return result
