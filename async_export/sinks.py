"""Where the bytes of an export go: a file, a file object, a function."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import io
import os
import threading
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import anyio
from anyio import to_thread

from async_export.errors import ConfigurationError, DiskFullError, ExportStateError, SinkError
from async_export.hidden_files import HiddenFile

__all__ = ("FileObjectSink", "FileSink", "FunctionSink", "Sink", "make_sink")

Result = TypeVar("Result")

ChunkFunction: TypeAlias = Callable[[bytes], Awaitable[object] | object]
"""A ``def`` or ``async def`` that takes a chunk."""

WRITE_BYTES = 524_288
"""Bytes that are written to a file at once: handing them to a thread takes as long as 50 KB."""


class Sink(Protocol):
    """Where the chunks of one export go.

    ``open``, ``write`` any number of times, then either ``finish`` or ``abort``.
    """

    @abstractmethod
    async def open(self) -> None:
        """Get ready for the first chunk; whatever is wrong with the target should show here.

        Raises:
            SinkError: the target cannot be written. Nothing is left behind.
        """
        ...

    @abstractmethod
    async def write(self, chunk: bytes) -> None:
        """Take all of *chunk*, before this returns.

        Raises:
            SinkError: the target could not be written; ``abort`` is to be called.
        """
        ...

    @abstractmethod
    async def finish(self) -> None:
        """Publish what was written.

        Raises:
            SinkError: it could not be published.
        """
        ...

    @abstractmethod
    async def abort(self) -> None:
        """Leave nothing behind, as far as the target allows it.

        Raises no error of its own, may be called at any time and more than once, and does its
        work even if the task is being cancelled.
        """
        ...


class FileSink(Sink):
    """A file that appears under its name complete, or not at all.

    The chunks go to a file without a name, or with a hidden one where the system has no such
    files (``.books.csv.5b8e0c1d.1f0c93ab.part`` in the same folder). It is synced to disk before it
    gets its name. Of a process that is killed there is never a part of the output under that
    name; a hidden file that it leaves is removed by the next export to the same name.

    A file that is replaced hands on its permissions and its group, as if it had been written
    over: what was private stays private. Its owner, links and other attributes are lost. A new
    file gets what the umask allows. If *path* is a symbolic link, the file that it points to is
    replaced.

    Cancelling ``finish`` may come too late: the file is published then, and complete.

    Args:
        path: The file; its folder must exist.
        overwrite: Whether to replace a file that is there. If not, a file that appears while
            the export runs is not replaced either; this takes a file system with hard links.
        like: A file whose group and permissions it has, where it replaces none.

    Raises:
        ConfigurationError: *path* holds a null character, or what is none.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, overwrite: bool = True, like: str | None = None
    ) -> None:
        self.path = os.fsdecode(path)
        self.overwrite = overwrite
        self._like = like
        if "\0" in self.path:
            raise ConfigurationError("the path holds a null character")
        try:
            os.fsencode(self.path)
        except UnicodeEncodeError:
            raise ConfigurationError("the path holds what is no character") from None
        self._thread = _Thread()
        self._hidden: HiddenFile | None = None
        self._is_sealed = False
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._bytes = 0

    @property
    def target(self) -> Path:
        """Absolute path of the file that is published, with symbolic links followed.

        Raises:
            ExportStateError: the sink was never open.
        """
        if self._hidden is None:
            raise ExportStateError("the target is known when the sink is open")
        return self._hidden.target

    async def open(self) -> None:
        """Create the file; a failing or cancelled call leaves none."""
        if self._hidden is not None:
            raise ExportStateError("this sink was opened before; a sink serves one export")
        await self._run_or_abort(self._open)

    async def write(self, chunk: bytes) -> None:
        """Write *chunk*, as soon as there is enough to be worth a thread."""
        self._opened()
        if self._is_sealed:
            raise ExportStateError("the sink is sealed; nothing can be added to it")
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk)
        self._bytes += len(chunk)
        if self._waiting_bytes >= WRITE_BYTES:
            await self._thread.run(self._write)

    async def seal(self) -> None:
        """Bring all that was written to disk and check it, so that only its name is missing.

        For who publishes several files, and none unless all are complete. ``finish`` does it
        otherwise.

        Raises:
            SinkError: the file is not complete. Nothing is left behind.
        """
        await self._run_or_abort(self._seal)

    async def finish(self) -> None:
        """Give the complete file its name; if that fails, nothing is left."""
        await self._run_or_abort(self._publish)

    async def finish_with(self, others: Sequence[FileSink]) -> None:
        """Give the complete files their names: those of *others*, and this one at last.

        It is done in one go, which a cancellation does not interrupt. If one of them fails, the
        others before it have theirs.

        Raises:
            SinkError: one of them cannot have its name.
        """

        def publish() -> None:
            for each in (*others, self):
                each._publish()  # noqa: SLF001 - one of its own kind

        await self._run_or_abort(publish)

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._bytes

    async def abort(self) -> None:
        """Remove the file; one that cannot be removed is logged as a warning."""
        await self._thread.stop(self._discard)

    async def _run_or_abort(self, function: Callable[[], None]) -> None:
        try:
            await self._thread.run(function)
        except BaseException:
            await self.abort()
            raise

    def _open(self) -> None:
        with _sink_errors(self.path):
            # Absolute from now on, so that the working folder may change during the export.
            self._hidden = HiddenFile(self.path, overwrite=self.overwrite, like=self._like)
            self._hidden.open()

    def _opened(self) -> HiddenFile:
        if self._hidden is None or not self._hidden.is_open:
            raise ExportStateError("the sink is not open")
        return self._hidden

    def _write(self) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        with _sink_errors(self.path):
            self._opened().write(data)

    def _seal(self) -> None:
        if not self._is_sealed:
            self._write()
            with _sink_errors(self.path):
                self._opened().seal(self._bytes)
            self._is_sealed = True

    def _publish(self) -> None:
        hidden = self._opened()
        self._seal()
        with _sink_errors(self.path):
            hidden.publish()

    def _discard(self) -> None:
        if self._hidden is not None:
            self._hidden.discard()


class FileObjectSink(Sink):
    """A binary file that the caller opened, and closes.

    Its ``write`` may be ``async def`` (anyio, aiofiles). A plain ``def`` is called in a worker
    thread, never by two threads at once; only ``io.BytesIO`` is written directly. What was
    written before a failure stays in it.

    Args:
        file: Anything with a ``write`` that takes bytes. A number that it returns is how many
            bytes were written, as :mod:`io` has it; the rest is written after them.

    Raises:
        ConfigurationError: the file is open for text or for reading only, is closed, or is an
            ``asyncio.StreamWriter``, whose ``write`` does not wait.
    """

    _CLOSED = "the file is closed; keep it open until the export ends"

    def __init__(self, file: Any) -> None:
        _check_file(file)
        self.file = file
        name = getattr(file, "name", None)
        self._name = name if isinstance(name, str) else None
        self._thread = _Thread()

    async def open(self) -> None:
        """Check that the file was not closed."""
        if self._is_closed():
            raise ConfigurationError(self._CLOSED)

    async def write(self, chunk: bytes) -> None:
        """Write all of *chunk*, in several calls if the file takes less at once."""
        rest: bytes | memoryview = chunk
        with _sink_errors(self._name):
            while rest:
                written = await self._call(self.file.write, rest)
                if written is None and isinstance(self.file, io.RawIOBase):
                    raise OSError(errno.EAGAIN, "the file took no bytes")
                rest = _rest(rest, written)

    async def finish(self) -> None:
        """Flush the file, if it can be flushed; it stays open."""
        flush = getattr(self.file, "flush", None)
        if flush is not None:
            with _sink_errors(self._name):
                await self._call(flush)

    async def abort(self) -> None:
        """Wait until no thread writes to the file any more; it is the caller's again."""
        await self._thread.stop(lambda: None)

    async def _call(self, method: Callable[..., Any], *arguments: object) -> Any:
        try:
            if isinstance(self.file, io.BytesIO) or inspect.iscoroutinefunction(method):
                result = method(*arguments)
            else:
                result = await self._thread.run(method, *arguments)
            return await result if inspect.isawaitable(result) else result
        except ValueError as error:
            if self._is_closed():
                raise SinkError(errno.EBADF, self._CLOSED, self._name) from error
            raise

    def _is_closed(self) -> bool:
        return getattr(self.file, "closed", False) is True


class FunctionSink(Sink):
    """A function that is called with each chunk, one call after the other.

    Its own exceptions pass through unchanged. It learns of the end of the export by the export's
    returning, not by a call.

    Args:
        function: A ``def`` or ``async def`` that takes ``bytes``. A ``def`` is called in the
            event loop and must not block.
    """

    def __init__(self, function: ChunkFunction) -> None:
        self.function = function

    async def open(self) -> None:
        """Do nothing: there is nothing to open."""

    async def write(self, chunk: bytes) -> None:
        """Call the function and await what it returns, if it can be awaited."""
        result = self.function(chunk)
        if inspect.isawaitable(result):
            await result

    async def finish(self) -> None:
        """Do nothing: every chunk has been handed over."""

    async def abort(self) -> None:
        """Do nothing: what the function was given cannot be taken back."""


def make_sink(target: Any, *, overwrite: bool = True) -> Sink:
    """Return the sink for whatever *target* is.

    Args:
        target: A path (``str`` or ``os.PathLike``), a file opened in ``"wb"`` or its async
            counterpart, a ``def`` or ``async def`` that takes chunks, or a :class:`Sink`, which
            is returned as it is.
        overwrite: Whether a file that is there may be replaced; concerns paths only.

    Raises:
        ConfigurationError: it is none of these, or a file that cannot take bytes.
    """
    if isinstance(target, (str, os.PathLike)):
        return FileSink(target, overwrite=overwrite)
    if not isinstance(target, type):
        if all(hasattr(target, method) for method in ("open", "write", "finish", "abort")):
            sink: Sink = target
            return sink
        if hasattr(target, "write"):
            return FileObjectSink(target)
        if callable(target):
            return FunctionSink(target)
    seen = f"the class {target.__name__}" if isinstance(target, type) else type(target).__name__
    message = (
        f"cannot export to {seen}; expected a path, a file opened in 'wb', a function that takes "
        "chunks, or a Sink"
    )
    raise ConfigurationError(message)


class _Thread:
    """Makes blocking calls in worker threads, one at a time, and none after ``stop``.

    ``Task.cancel()`` (unlike a cancel scope of anyio) returns to the task while the thread is
    still at work, or even before it began. Hence the lock: cleaning up waits for a call that is
    under way, and one that comes later finds the door closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        return await to_thread.run_sync(self._run, function, arguments)

    async def stop(self, clean_up: Callable[[], None]) -> None:
        """Call *clean_up* after the last call, whatever happens to the task meanwhile."""
        try:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._stop, clean_up)
        except BaseException:
            # Cancelled once more, or no thread to be had. Better a short block than a leak.
            self._stop(clean_up)
            raise

    def _run(self, function: Callable[..., Result], arguments: tuple[object, ...]) -> Result:
        with self._lock:
            if self._stopped:
                raise ExportStateError("the sink was finished or aborted before")
            return function(*arguments)

    def _stop(self, clean_up: Callable[[], None]) -> None:
        with self._lock:
            self._stopped = True
            clean_up()


def _check_file(file: Any) -> None:
    if isinstance(file, asyncio.StreamWriter):
        message = (
            "a StreamWriter does not wait for its reader; pass an async function that calls "
            "write(chunk) and awaits drain()"
        )
        raise ConfigurationError(message)
    mode = getattr(file, "mode", None)
    modes = mode if isinstance(mode, str) else "wb"
    if isinstance(file, io.TextIOBase) or hasattr(file, "encoding") or "b" not in modes:
        raise ConfigurationError("the file is open for text; open it in 'wb', or pass its .buffer")
    if not set(modes) & set("wax+"):
        raise ConfigurationError(f"the file is open in {modes!r}, for reading; open it in 'wb'")


def _rest(chunk: bytes | memoryview, written: object) -> bytes | memoryview:
    """Return what is left of *chunk*, given what a ``write`` returned."""
    if written is True or not isinstance(written, int):  # True says that all went well
        return b""
    if written <= 0:
        raise OSError(errno.EIO, "the file took no bytes")
    return memoryview(chunk)[written:]


HINTS = {
    errno.EACCES: "no permission; choose another folder, or change the permissions of this one",
    errno.EAGAIN: "the file is not blocking; open it in blocking mode",
    errno.EDQUOT: "the disk quota is used up; free some of it or choose another disk",
    errno.EEXIST: "there is such a file already; choose another name or pass overwrite=True",
    errno.EFBIG: "larger than this system or process may make a file; export less",
    errno.EISDIR: "this is a folder; add the name of a file",
    errno.ENAMETOOLONG: "the name is too long for this file system; choose a shorter one",
    errno.ENODEV: "this is a device, pipe or socket; open it in 'wb' and pass the file",
    errno.ENOENT: "the folder does not exist; create it first",
    errno.ENOSPC: "the disk is full; free some space or choose another disk",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.ENOTSUP: "this file system has no hard links; pass overwrite=True",
    errno.EPERM: "not permitted here; choose another folder, or pass overwrite=True",
    errno.EPIPE: "the reader is gone",
    errno.EROFS: "the file system is read-only; choose another folder",
}
"""What happened and what to do about it, by the number of the operating system's error."""

_FULL = frozenset({errno.EDQUOT, errno.EFBIG, errno.ENOSPC})


@contextlib.contextmanager
def _sink_errors(name: str | None) -> Iterator[None]:
    try:
        yield
    except SinkError:
        raise
    except OSError as error:
        number = error.errno or errno.EIO
        message = HINTS.get(number) or error.strerror or type(error).__name__
        kind = DiskFullError if number in _FULL else SinkError
        raise kind(number, message, name) from error
