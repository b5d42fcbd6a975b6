"""Sinks: a file complete or not at all, errors that say what to do, nothing left behind."""

# ruff: noqa: ASYNC230, ASYNC240 - a test may block the loop for a look at the disk

from __future__ import annotations

import asyncio
import errno
import io
import os
import pickle
import resource
import tempfile
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from async_export import hidden_files, sinks
from async_export.errors import ConfigurationError, DiskFullError, ExportStateError, SinkError
from async_export.sinks import FileObjectSink, FileSink, FunctionSink, Sink, make_sink

CHUNKS = (b"first,", b"", b"second\r\n", b"x" * 300_000)
WHOLE = b"".join(CHUNKS)


async def export(sink: Sink, chunks: tuple[bytes, ...] = CHUNKS) -> None:
    """Do with the sink what an export does."""
    await sink.open()
    try:
        for chunk in chunks:
            await sink.write(chunk)
        await sink.finish()
    except BaseException:
        await sink.abort()
        raise


def descriptors() -> int:
    """Count the files that this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the names do not matter


@pytest.fixture(params=["no name", "hidden name"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write to files without a name, where the system has them, or with a hidden one."""
    if request.param == "hidden name":
        monkeypatch.setattr(hidden_files, "O_TMPFILE", 0)
    way: str = request.param
    return way


@pytest.fixture
def hidden_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without files that have no name."""
    monkeypatch.setattr(hidden_files, "O_TMPFILE", 0)


class Gate:
    """Holds a worker thread in a system call until the test lets it go."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.entered = threading.Event()
        self.released = threading.Event()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Wait, then make the call."""
        self.entered.set()
        assert self.released.wait(10)
        return self.function(*arguments, **options)


# How files are published


async def test_file_appears_when_finished(tmp_path: Path, way: str) -> None:
    """Until ``finish`` there is nothing, or only a hidden temporary file beside the target."""
    path = tmp_path / "books.csv"
    sink = FileSink(path)
    await sink.open()
    await sink.write(WHOLE)
    assert all(each.name.startswith(".books.csv.") for each in tmp_path.iterdir())
    await sink.finish()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == WHOLE


async def test_empty_file(tmp_path: Path) -> None:
    """An export without a byte is an empty file."""
    await export(FileSink(tmp_path / "a"), ())
    assert (tmp_path / "a").read_bytes() == b""


async def test_old_file_is_kept_until_the_end(tmp_path: Path, way: str) -> None:
    """The file that is replaced can be read, whole, until the new one is complete."""
    path = tmp_path / "books.csv"
    path.write_bytes(b"old")
    sink = FileSink(str(path))
    await sink.open()
    await sink.write(b"new")
    assert path.read_bytes() == b"old"
    await sink.finish()
    assert path.read_bytes() == b"new"


async def test_symbolic_link_stays(tmp_path: Path) -> None:
    """Writing to a link replaces the file that it points to."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "real" / "books.csv")
    await export(FileSink(link))
    assert link.is_symlink()
    assert (tmp_path / "real" / "books.csv").read_bytes() == WHOLE


async def test_relative_path_survives_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path means the folder in which the export began."""
    monkeypatch.chdir(tmp_path)
    sink = FileSink("a")
    await sink.open()
    monkeypatch.chdir("/")
    await sink.finish()
    assert (tmp_path / "a").exists()


async def test_short_writes_to_a_file_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that takes a few bytes at a time gets them all."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:50_000]))
    await export(FileSink(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == WHOLE


async def test_sealed_file_is_on_disk_and_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """After ``seal`` all is written and synced, and ``finish`` only gives the name."""
    sink = FileSink(tmp_path / "a")
    await sink.open()
    await sink.write(WHOLE)
    await sink.seal()
    assert not (tmp_path / "a").exists()
    monkeypatch.delattr(os, "write")
    await sink.seal()
    await sink.finish()
    assert (tmp_path / "a").read_bytes() == WHOLE


async def test_sealed_file_may_be_aborted(tmp_path: Path, way: str) -> None:
    """A sink that was sealed can still leave nothing."""
    sink = FileSink(tmp_path / "a")
    await sink.open()
    await sink.write(WHOLE)
    await sink.seal()
    await sink.abort()
    assert list(tmp_path.iterdir()) == []


async def test_sealed_file_takes_nothing_more(tmp_path: Path) -> None:
    """Its size has been checked, so that nothing may be added."""
    sink = FileSink(tmp_path / "a")
    await sink.open()
    await sink.seal()
    with pytest.raises(ExportStateError, match="sealed"):
        await sink.write(b"x")
    await sink.abort()


@pytest.mark.parametrize("found", [b"", WHOLE[:-1], WHOLE + b"x"])
async def test_file_of_another_size_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, found: bytes
) -> None:
    """A file that has not as many bytes as were written is an error, and nothing is left."""
    write = os.write
    sink = FileSink(tmp_path / "a")
    await sink.open()
    await sink.write(WHOLE)
    monkeypatch.setattr(os, "write", lambda fd, data: (write(fd, found) and 0) or len(data))
    with pytest.raises(SinkError, match=f"{len(WHOLE)} bytes were written and the file has"):
        await sink.seal()
    assert list(tmp_path.iterdir()) == []


async def test_target_is_the_file_that_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``target`` follows links and is absolute; it is known when the sink is open."""
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    sink = FileSink("link")
    with pytest.raises(ExportStateError):
        _ = sink.target
    await export(sink)
    assert sink.target == tmp_path / "real"
    assert sink.target.read_bytes() == WHOLE


# Files that must not be replaced


async def test_existing_file_is_refused_at_open(tmp_path: Path) -> None:
    """With ``overwrite=False`` an existing file is an error before any work is done."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    sink = FileSink(path, overwrite=False)
    with pytest.raises(SinkError, match="overwrite=True") as caught:
        await sink.open()
    assert caught.value.errno == errno.EEXIST
    assert isinstance(caught.value.__cause__, FileExistsError)
    assert path.read_bytes() == b"old"


async def test_new_file_without_overwriting(tmp_path: Path, way: str) -> None:
    """With ``overwrite=False`` a new file is published all the same."""
    await export(FileSink(tmp_path / "a", overwrite=False))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == WHOLE
    assert (tmp_path / "a").stat().st_nlink == 1


async def test_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path, way: str) -> None:
    """With ``overwrite=False`` another program's file, made during the export, stays."""
    sink = FileSink(tmp_path / "a", overwrite=False)
    await sink.open()
    (tmp_path / "a").write_bytes(b"other")
    with pytest.raises(SinkError) as caught:
        await sink.finish()
    assert caught.value.errno == errno.EEXIST
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"other"]


# What abort and cancellation leave


async def test_abort_leaves_nothing(tmp_path: Path, way: str) -> None:
    """After ``abort`` neither the file nor a temporary one nor a descriptor is left."""
    sink = FileSink(tmp_path / "a")
    await sink.abort()  # starts the worker thread, which keeps descriptors of its own
    before = descriptors()
    sink = FileSink(tmp_path / "a")
    await sink.open()
    await sink.write(WHOLE)
    await sink.abort()
    await sink.abort()
    assert list(tmp_path.iterdir()) == []
    assert descriptors() == before


async def test_abort_keeps_the_old_file(tmp_path: Path, way: str) -> None:
    """A failing export leaves the file of the last one as it was."""
    (tmp_path / "a").write_bytes(b"old")
    sink = FileSink(tmp_path / "a")
    await sink.open()
    await sink.write(b"new")
    await sink.abort()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


async def test_abort_after_finish_keeps_the_file(tmp_path: Path) -> None:
    """What was published stays."""
    sink = FileSink(tmp_path / "a")
    await export(sink)
    await sink.abort()
    assert (tmp_path / "a").exists()


@pytest.mark.usefixtures("hidden_name")
async def test_temporary_file_that_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """``abort`` does not mind that someone else removed the temporary file."""
    sink = FileSink(tmp_path / "a")
    await sink.open()
    [temporary] = tmp_path.iterdir()
    temporary.unlink()
    await sink.abort()
    assert not caplog.text


@pytest.mark.usefixtures("hidden_name")
async def test_temporary_file_that_cannot_be_removed_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """``abort`` raises nothing over the original error, but the leftover is not hidden."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    sink = FileSink(tmp_path / "a")
    await sink.open()
    monkeypatch.setattr(Path, "unlink", refuse)
    await sink.abort()
    assert ".part: Permission denied" in caplog.text


async def test_cancelled_scope_leaves_nothing(tmp_path: Path, way: str) -> None:
    """A sink aborts in a scope of anyio that is cancelled already."""
    sink = FileSink(tmp_path / "a")
    with anyio.CancelScope() as scope:
        await sink.open()
        scope.cancel()
        await export_rest(sink)
    assert scope.cancelled_caught
    assert list(tmp_path.iterdir()) == []


async def export_rest(sink: Sink) -> None:
    """Write and finish, aborting on any failure."""
    try:
        await sink.write(WHOLE)
        await sink.finish()
    except BaseException:
        await sink.abort()
        raise


@pytest.mark.parametrize("again", [False, True])
async def test_cancelled_open_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, again: bool
) -> None:
    """``Task.cancel()`` while the thread creates the file, even twice, leaves no file."""
    sink = FileSink(tmp_path / "a")
    await sink.abort()  # starts the worker thread
    before = descriptors()
    gate = Gate(os.open)
    monkeypatch.setattr(os, "open", gate)
    task = asyncio.create_task(FileSink(tmp_path / "a").open())
    await asyncio.to_thread(gate.entered.wait, 10)
    task.cancel()
    await asyncio.sleep(0.01)
    # A second cancel() makes the loop itself wait for the thread, which needs letting go.
    threading.Timer(0.05, gate.released.set).start()
    if again:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.released.is_set()
    assert list(tmp_path.iterdir()) == []
    assert descriptors() == before


@pytest.mark.usefixtures("hidden_name")
async def test_cancelled_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``abort`` waits for a write that ``Task.cancel()`` left behind in its thread."""
    gate = Gate(os.write)
    monkeypatch.setattr(os, "write", gate)
    monkeypatch.setattr("async_export.sinks.WRITE_BYTES", 1)
    task = asyncio.create_task(export(FileSink(tmp_path / "a")))
    await asyncio.to_thread(gate.entered.wait, 10)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    gate.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []


async def test_call_that_begins_after_the_abort_does_nothing(tmp_path: Path) -> None:
    """A thread that gets its turn only after ``abort`` creates no file."""
    sink = FileSink(tmp_path / "a")
    await sink.abort()
    with pytest.raises(ExportStateError):
        await sink.open()
    assert list(tmp_path.iterdir()) == []


# Files that cannot be written


@pytest.mark.parametrize(
    ("path", "number", "advice"),
    [
        ("missing/books.csv", errno.ENOENT, "create it first"),
        ("folder", errno.EISDIR, "add the name of a file"),
        ("folder/", errno.EISDIR, "add the name of a file"),
        ("new/", errno.EISDIR, "add the name of a file"),
        ("file/books.csv", errno.ENOTDIR, "choose another path"),
        ("loop/books.csv", errno.ELOOP, ""),
        ("pipe", errno.ENODEV, "pass the file"),
        ("x" * 256, errno.ENAMETOOLONG, "choose a shorter one"),
    ],
)
async def test_target_that_cannot_be_written(
    tmp_path: Path, path: str, number: int, advice: str
) -> None:
    """``open`` says what is wrong with the path and what to do, and leaves nothing."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    full_path = f"{tmp_path}/{path}"
    with pytest.raises(SinkError) as caught:
        await FileSink(full_path).open()
    assert caught.value.errno == number
    assert caught.value.filename == full_path
    assert full_path in str(caught.value)
    assert advice in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert sorted(tmp_path.rglob("*")) == before


async def test_device_is_not_replaced() -> None:
    """A path such as /dev/null is refused: renaming would put a file in its place."""
    with pytest.raises(SinkError, match="device"):
        await FileSink("/dev/null").open()
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
async def test_folder_without_permission(tmp_path: Path) -> None:
    """A folder that may not be written is an error of ``open``."""
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="no permission"):
        await FileSink(tmp_path / "a").open()


async def test_folder_of_the_kernel() -> None:
    """A folder in which not even root may create files is an error of ``open``."""
    with pytest.raises(SinkError) as caught:
        await FileSink("/proc/self/fd/a.csv").open()
    assert isinstance(caught.value.__cause__, OSError)


async def test_failing_write_leaves_nothing(tmp_path: Path, way: str) -> None:
    """A file that reaches the limit of the process fails in the middle and is removed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sink = FileSink(tmp_path / "a")
    await sink.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DiskFullError) as caught:
            await export_rest(sink)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "close"])
async def test_failing_finish_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, call: str
) -> None:
    """A disk that turns out to be full when the file is synced or closed publishes nothing."""
    real = getattr(os, call)

    def fail(descriptor: int) -> None:
        if call == "close":
            real(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "a").write_bytes(b"old")
    sink = FileSink(tmp_path / "a")
    await sink.open()
    await sink.write(b"new")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(DiskFullError, match="the disk is full"):
        await sink.finish()
    monkeypatch.undo()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


async def test_target_that_became_a_folder(tmp_path: Path, way: str) -> None:
    """A rename that fails leaves no temporary file."""
    sink = FileSink(tmp_path / "a")
    await sink.open()
    (tmp_path / "a").mkdir()
    with pytest.raises(SinkError):
        await sink.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


async def test_sinks_serve_once_and_in_order(tmp_path: Path) -> None:
    """Writing before ``open`` or after ``finish``, and opening twice, are errors."""
    with pytest.raises(ExportStateError):
        await FileSink(tmp_path / "a").write(b"x")
    sink = FileSink(tmp_path / "a")
    await sink.open()
    with pytest.raises(ExportStateError):
        await sink.open()
    await sink.finish()
    for late in (sink.write(b"x"), sink.finish(), sink.open()):
        with pytest.raises(ExportStateError):
            await late
    assert (tmp_path / "a").exists()


def test_null_character_in_a_path() -> None:
    """A path that no file can have is refused at once."""
    with pytest.raises(ConfigurationError):
        FileSink("a\0b")


async def test_errors_can_be_pickled(tmp_path: Path) -> None:
    """A SinkError keeps number, message and path on its way to another process."""
    with pytest.raises(SinkError) as caught:
        await FileSink(tmp_path / "missing" / "a").open()
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is SinkError
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (errno.ENOENT, str(tmp_path / "missing" / "a"))
    assert str(error) == str(caught.value)


# Files that the caller opened


class AsyncFile:
    """An async file whose ``write`` is a plain function that returns an awaitable."""

    def __init__(self) -> None:
        self.output = b""
        self.flushed = 0

    def write(self, chunk: bytes) -> Any:
        """Return a coroutine that takes the bytes."""
        return self._write(chunk)

    async def flush(self) -> None:
        """Count the calls."""
        self.flushed += 1

    async def _write(self, chunk: bytes) -> int:
        await asyncio.sleep(0)
        self.output += chunk
        return len(chunk)


class DrippingFile(io.RawIOBase):
    """A raw file that takes seven bytes at a time, as a pipe may."""

    def __init__(self, answer: int | None = 7) -> None:
        self.answer = answer
        self.output = b""

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, chunk: Any) -> int | None:
        """Take what the answer says."""
        self.output += bytes(chunk[: self.answer or 0])
        return self.answer and min(len(chunk), self.answer)


async def test_bytes_io() -> None:
    """A buffer in memory gets the bytes and stays open."""
    file = io.BytesIO()
    await export(FileObjectSink(file))
    assert file.getvalue() == WHOLE
    assert not file.closed


async def test_file_of_the_caller(tmp_path: Path) -> None:
    """A real file is written in a worker thread, flushed and left open."""
    with (tmp_path / "a").open("wb") as file:
        await export(FileObjectSink(file))
        assert (tmp_path / "a").read_bytes() == WHOLE
        assert not file.closed


async def test_async_file_of_anyio(tmp_path: Path) -> None:
    """An async file is awaited, flushed and left open."""
    async with await anyio.open_file(tmp_path / "a", "wb") as file:
        await export(FileObjectSink(file))
        assert (tmp_path / "a").read_bytes() == WHOLE


async def test_write_that_returns_an_awaitable() -> None:
    """What a plain ``write`` returns is awaited, if it can be."""
    file = AsyncFile()
    await export(FileObjectSink(file))
    assert (file.output, file.flushed) == (WHOLE, 1)


@pytest.mark.parametrize("mode", ["wb", "w+b"])
async def test_temporary_files_of_the_standard_library(mode: str) -> None:
    """The wrappers of :mod:`tempfile` are binary files too."""
    for make in (tempfile.NamedTemporaryFile, tempfile.SpooledTemporaryFile):
        with make(mode=mode) as file:
            await export(FileObjectSink(file))
            assert file.tell() == len(WHOLE)


async def test_short_writes_are_continued() -> None:
    """A raw file that takes less than it is given is given the rest."""
    file = DrippingFile()
    await export(FileObjectSink(file), (b"x" * 100, b"y" * 5))
    assert file.output == b"x" * 100 + b"y" * 5


@pytest.mark.parametrize(("answer", "number"), [(0, errno.EIO), (None, errno.EAGAIN)])
async def test_file_that_takes_nothing(answer: int | None, number: int) -> None:
    """A raw file that takes no bytes is an error, not an endless loop."""
    with pytest.raises(SinkError) as caught:
        await export(FileObjectSink(DrippingFile(answer)))
    assert caught.value.errno == number


class AnsweringFile(io.BytesIO):
    """A file that takes all and says so in its own way."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        super().__init__()

    def write(self, chunk: Any) -> Any:
        """Take all of *chunk*."""
        super().write(chunk)
        return self.answer


@pytest.mark.parametrize("answer", [True, None, "done", 1.0])
async def test_answers_that_are_no_count(answer: object) -> None:
    """Only a number of bytes says that there is a rest; True means that all went well."""
    file = AnsweringFile(answer)
    await export(FileObjectSink(file))
    assert file.getvalue() == WHOLE


async def test_false_is_a_failure() -> None:
    """A file that says that it did not write is believed."""
    with pytest.raises(SinkError, match="took no bytes"):
        await export(FileObjectSink(AnsweringFile(False)))


@pytest.mark.parametrize("kind", ["buffered", "raw", "memory", "async"])
@pytest.mark.parametrize("method", ["write", "finish"])
async def test_file_that_is_closed_meanwhile(tmp_path: Path, kind: str, method: str) -> None:
    """A caller who closes the file too early is told so."""
    file: Any = io.BytesIO()
    if kind == "async":
        file = await anyio.open_file(tmp_path / "a", "wb")
    elif kind != "memory":
        file = (tmp_path / "a").open("wb", buffering=0 if kind == "raw" else -1)
    sink = FileObjectSink(file)
    await sink.open()
    await sink.write(b"x")
    await (file.aclose() if kind == "async" else asyncio.to_thread(file.close))
    with pytest.raises(SinkError, match="the file is closed; keep it open") as caught:
        await (sink.write(b"y") if method == "write" else sink.finish())
    assert caught.value.errno == errno.EBADF


async def test_other_errors_of_a_file_pass() -> None:
    """A ValueError of an open file is the caller's own."""
    file = AsyncFile()
    file.write = int  # type: ignore[method-assign, assignment]  # b"ab" is no number
    with pytest.raises(ValueError, match="invalid literal"):
        await export(FileObjectSink(file))


async def test_full_device() -> None:
    """A full disk is a SinkError that says so and names the file."""
    with (
        Path("/dev/full").open("wb", buffering=0) as file,
        pytest.raises(DiskFullError, match="the disk is full") as caught,
    ):
        await export(FileObjectSink(file))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "/dev/full"


async def test_full_device_that_shows_when_flushed() -> None:
    """Bytes that wait in a buffer fail in ``finish``, not after the export."""
    file = Path("/dev/full").open("wb")  # noqa: SIM115 - closing it fails as well
    sink = FileObjectSink(file)
    await sink.open()
    await sink.write(b"x")
    with pytest.raises(DiskFullError, match="the disk is full"):
        await sink.finish()
    file.raw.close()


async def test_pipe_without_a_reader() -> None:
    """A reader that went away is a SinkError."""
    reader, writer = os.pipe()
    os.close(reader)
    with (
        os.fdopen(writer, "wb", buffering=0) as file,
        pytest.raises(SinkError, match="the reader is gone"),
    ):
        await export(FileObjectSink(file))


async def test_abort_waits_for_the_thread() -> None:
    """After ``abort`` no thread writes to the caller's file any more."""
    file = AsyncFile()
    gate = Gate(len)
    file.write = gate  # type: ignore[method-assign]  # holds the thread
    task = asyncio.create_task(export(FileObjectSink(file)))
    await asyncio.to_thread(gate.entered.wait, 10)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    gate.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_text_files_are_refused(tmp_path: Path) -> None:
    """A file opened for text is refused with the mode that is needed."""
    with (tmp_path / "a").open("w") as file, pytest.raises(ConfigurationError, match="'wb'"):
        FileObjectSink(file)
    with pytest.raises(ConfigurationError, match="'wb'"):
        FileObjectSink(io.StringIO())


async def test_async_text_files_are_refused(tmp_path: Path) -> None:
    """So is an async one."""
    async with await anyio.open_file(tmp_path / "a", "w") as file:
        with pytest.raises(ConfigurationError, match="'wb'"):
            FileObjectSink(file)


async def test_files_that_take_nothing_are_refused(tmp_path: Path) -> None:
    """A file opened for reading, and a closed one, are refused before the export."""
    (tmp_path / "a").touch()
    with (tmp_path / "a").open("rb") as file, pytest.raises(ConfigurationError, match="reading"):
        FileObjectSink(file)
    with (tmp_path / "a").open("wb") as file:
        sink = FileObjectSink(file)
    with pytest.raises(ConfigurationError, match="closed"):
        await sink.open()


async def test_stream_writer_is_refused() -> None:
    """A StreamWriter would gather the whole export in memory."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        with pytest.raises(ConfigurationError, match="drain"):
            FileObjectSink(writer)
        writer.close()
        await writer.wait_closed()


# Functions


async def test_function() -> None:
    """A ``def`` is called with every chunk in order."""
    chunks: list[bytes] = []
    await export(FunctionSink(chunks.append))
    assert tuple(chunks) == CHUNKS


async def test_async_function() -> None:
    """An ``async def`` is awaited, one call after the other."""
    chunks: list[bytes] = []

    async def take(chunk: bytes) -> None:
        await asyncio.sleep(0)
        chunks.append(chunk)

    await export(FunctionSink(take))
    assert tuple(chunks) == CHUNKS


@pytest.mark.parametrize("error", [ValueError("mine"), ConnectionResetError(104, "reset")])
async def test_errors_of_the_function_pass(error: Exception) -> None:
    """The caller's own exception comes out unchanged, be it an OSError."""

    def fail(chunk: bytes) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await export(FunctionSink(fail))
    assert caught.value is error


# Choosing


class OwnSink:
    """A sink of a third party, which subclasses nothing."""

    async def open(self) -> None:
        """Do nothing."""

    async def write(self, chunk: bytes) -> None:
        """Do nothing."""

    async def finish(self) -> None:
        """Do nothing."""

    async def abort(self) -> None:
        """Do nothing."""


def test_target_decides(tmp_path: Path) -> None:
    """Paths, files, functions and sinks are told apart."""
    own = OwnSink()
    assert make_sink(own) is own
    assert isinstance(make_sink(io.BytesIO()), FileObjectSink)
    assert isinstance(make_sink(print), FunctionSink)
    for path in ("a.csv", tmp_path, anyio.Path("a.csv")):
        sink = make_sink(path, overwrite=False)
        assert isinstance(sink, FileSink)
        assert not sink.overwrite


@pytest.mark.parametrize("target", [None, 1, b"a.csv", io.BytesIO, OwnSink])
def test_target_of_no_use(target: object) -> None:
    """Anything else is refused with what was seen and what is expected."""
    name = target.__name__ if isinstance(target, type) else type(target).__name__
    with pytest.raises(ConfigurationError, match=f"{name}; expected a path"):
        make_sink(target)


def test_public_names() -> None:
    """Everything in ``__all__`` exists, in alphabetical order."""
    assert list(sinks.__all__) == sorted(sinks.__all__)
    assert all(hasattr(sinks, name) for name in sinks.__all__)
