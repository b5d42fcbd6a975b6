"""Where the bytes of an export go: a file, a file object, a function."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import io
import logging
import os
import secrets
import stat
import threading
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import anyio
from anyio import to_thread

from async_export.errors import ConfigurationError, ExportStateError, SinkError

__all__ = ("FileObjectSink", "FileSink", "FunctionSink", "Sink", "make_sink")

logger = logging.getLogger("async_export")

Result = TypeVar("Result")

ChunkFunction: TypeAlias = Callable[[bytes], Awaitable[object] | object]
"""A ``def`` or ``async def`` that takes a chunk."""

WRITE_BYTES = 524_288
"""Bytes that are written to a file at once: handing them to a thread takes as long as 50 KB."""

STEM_LENGTH = 60
"""Characters of the file's name within the temporary name: as UTF-8 at most 240 of the 255 bytes
that a name may have, which leaves room for the dots, eight digits and ``.part``."""


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

    The chunks go to a hidden temporary file in the same folder (``.books.csv.1f0c93ab.part``),
    which is synced to disk and then renamed. A process that is killed leaves the temporary file,
    never a part of the output under its name.

    A file that is replaced hands on its permissions, as if it had been written over: what was
    private stays private. Its owner, links and other attributes are lost. A new file gets what
    the umask allows. If *path* is a symbolic link, the file that it points to is replaced.

    Cancelling ``finish`` may come too late: the file is published then, and complete.

    Args:
        path: The file; its folder must exist.
        overwrite: Whether to replace a file that is there. If not, a file that appears while
            the export runs is not replaced either; this takes a file system with hard links.

    Raises:
        ConfigurationError: *path* holds a null character.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        self.path = os.fsdecode(path)
        self.overwrite = overwrite
        if "\0" in self.path:
            raise ConfigurationError("the path holds a null character")
        self._thread = _Thread()
        self._descriptor: int | None = None
        self._temporary: Path | None = None
        self._target: Path | None = None
        self._waiting: list[bytes] = []
        self._bytes = 0

    async def open(self) -> None:
        """Create the temporary file; a failing or cancelled call leaves none."""
        if self._target is not None:
            raise ExportStateError("this sink was opened before; a sink serves one export")
        try:
            await self._thread.run(self._open)
        except BaseException:
            await self.abort()
            raise

    async def write(self, chunk: bytes) -> None:
        """Write *chunk* to the temporary file, as soon as there is enough to be worth a thread."""
        self._opened()
        self._waiting.append(chunk)
        self._bytes += len(chunk)
        if self._bytes >= WRITE_BYTES:
            await self._thread.run(self._write)

    async def finish(self) -> None:
        """Sync the temporary file and give it its name; if that fails, nothing is left."""
        try:
            await self._thread.run(self._publish)
        except BaseException:
            await self.abort()
            raise

    async def abort(self) -> None:
        """Remove the temporary file; one that cannot be removed is logged as a warning."""
        await self._thread.stop(self._discard)

    def _open(self) -> None:
        with _sink_errors(self.path):
            # Absolute, so that the working folder may change during the export.
            self._target = Path(os.path.realpath(self.path))
            mode = self._replaced_mode(self._target)
            stem = self._target.name[:STEM_LENGTH]
            temporary = self._target.with_name(f".{stem}.{secrets.token_hex(4)}.part")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            # Not even empty may the file be open to more people than the one it replaces.
            created_as = 0o666 if mode is None else 0o600
            self._descriptor = os.open(temporary, flags, created_as)
            self._temporary = temporary
            if mode is not None and hasattr(os, "fchmod"):
                with contextlib.suppress(OSError):  # file systems without permissions
                    os.fchmod(self._descriptor, mode)

    def _replaced_mode(self, target: Path) -> int | None:
        """Return the permissions of the file that will be replaced; None if there is none."""
        if self.path.endswith(("/", os.sep)):
            raise _os_error(errno.EISDIR, self.path)
        try:
            mode = target.stat().st_mode
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(mode):
            raise _os_error(errno.EISDIR, self.path)
        if not self.overwrite:
            raise _os_error(errno.EEXIST, self.path)
        if not stat.S_ISREG(mode):
            # Renaming would put a file in the place of /dev/null or a pipe.
            raise _os_error(errno.ENODEV, self.path)
        return mode & 0o777

    def _write(self) -> None:
        descriptor = self._opened()
        rest: bytes | memoryview = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        with _sink_errors(self.path):
            while rest:
                rest = _rest(rest, os.write(descriptor, rest))

    def _publish(self) -> None:
        descriptor = self._opened()
        self._write()
        assert self._temporary is not None
        assert self._target is not None
        with _sink_errors(self.path):
            os.fsync(descriptor)
            self._descriptor = None
            os.close(descriptor)
            if self.overwrite:
                self._temporary.replace(self._target)
                self._temporary = None
            else:
                # Unlike a rename, a link never replaces what came in the meantime.
                self._target.hardlink_to(self._temporary)
                self._discard()
        _sync_folder(self._target.parent)

    def _opened(self) -> int:
        if self._descriptor is None:
            raise ExportStateError("the sink is not open")
        return self._descriptor

    def _discard(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        temporary, self._temporary = self._temporary, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if temporary is not None:
            try:
                temporary.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("could not remove %s: %s", temporary, error.strerror)


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

    def __init__(self, file: Any) -> None:
        _check_file(file)
        self.file = file
        name = getattr(file, "name", None)
        self._name = name if isinstance(name, str) else None
        self._thread = _Thread()

    async def open(self) -> None:
        """Check that the file was not closed."""
        if getattr(self.file, "closed", False) is True:
            raise ConfigurationError("the file is closed; keep it open until the export ends")

    async def write(self, chunk: bytes) -> None:
        """Write all of *chunk*, in several calls if the file takes less at once."""
        rest: bytes | memoryview = chunk
        with _sink_errors(self._name):
            while rest:
                written = await self._call(self.file.write, rest)
                if written is None and isinstance(self.file, io.RawIOBase):
                    raise _os_error(errno.EAGAIN, self._name)
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
        if isinstance(self.file, io.BytesIO) or inspect.iscoroutinefunction(method):
            result = method(*arguments)
        else:
            result = await self._thread.run(method, *arguments)
        return await result if inspect.isawaitable(result) else result


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
    if not isinstance(written, int):
        return b""
    if written <= 0:
        raise OSError(errno.EIO, "the file took no bytes")
    return memoryview(chunk)[written:]


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut, where the platform opens folders and syncs them."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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


@contextlib.contextmanager
def _sink_errors(name: str | None) -> Iterator[None]:
    try:
        yield
    except SinkError:
        raise
    except OSError as error:
        number = error.errno or errno.EIO
        message = HINTS.get(number) or error.strerror or type(error).__name__
        raise SinkError(number, message, name) from error


def _os_error(number: int, name: str | None) -> OSError:
    return OSError(number, os.strerror(number), name)
