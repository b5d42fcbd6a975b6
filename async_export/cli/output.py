"""Where an export of the command line goes, and what is told about it."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from async_export.cli.progress import progress_bar
from async_export.cli.totals import Total
from async_export.errors import (
    ConfigurationError,
    ExportError,
    RowError,
    SinkError,
    SourceError,
    UnknownNameError,
)
from async_export.formats import Encoder, SheetEncoder, format_for_path, make_encoder
from async_export.publishing import publish
from async_export.results import ExportResult, WorkbookResult
from async_export.sinks import Sink, make_sink
from async_export.streams import ByteStream
from async_export.workbooks import is_archive_path, workbook_encoder

__all__ = ("STDOUT", "Output", "described", "is_broken_pipe", "print_result", "write")

_Result = TypeVar("_Result", ExportResult, WorkbookResult)

STDOUT: Final = "-"


@dataclass(frozen=True, slots=True)
class Output:
    """Where the bytes go, and in which format.

    Attributes:
        path: A file, or ``-`` for stdout.
        format: Name of a format; by default by the file's extension, csv for stdout.
        overwrite: Whether an existing file may be replaced.
        options: Options of the format.
        manifest: Whether a manifest is written beside the file.
    """

    path: str
    format: str | None = None
    overwrite: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    manifest: bool = False

    @property
    def is_archive(self) -> bool:
        """Whether the file is a zip with a file for each table, be it one."""
        if self.format is not None:
            return self.format.lower() == "zip" or is_archive_path(self.path)
        try:
            format_for_path(self.path)
        except UnknownNameError:
            return is_archive_path(self.path)
        return False

    @property
    def is_stdout(self) -> bool:
        """Whether the bytes go to stdout."""
        return self.path == STDOUT

    @property
    def is_file(self) -> bool:
        """Whether the bytes go to a file, and not to stdout, a device or a pipe."""
        return not self.is_stdout and not _is_special(Path(self.path))

    def encoder(self) -> Encoder:
        """Make the encoder.

        Raises:
            UnknownNameError: there is no such format, or no format of such files.
        """
        if self.is_archive:
            return self.workbook_encoder()
        return make_encoder(self._format(), **self.options)

    def workbook_encoder(self) -> SheetEncoder:
        """Make the encoder of a file of several tables; errors are those of `encoder`."""
        if self.is_stdout and self.format is None:
            raise ConfigurationError(
                "several need a file, as in -o library.xlsx, or a format for stdout, as in -f zip"
            )
        path = None if self.is_stdout else self.path
        return workbook_encoder(path, self.format, **self.options)

    def _format(self) -> str | type[Encoder] | Encoder:
        if self.format is not None or self.is_stdout:
            return self.format or "csv"
        try:
            found = format_for_path(self.path)
        except UnknownNameError as error:
            error.add_note("or name one with --format")
            raise
        # By name, so that it can have options.
        return found.name

    @contextmanager
    def sink(self) -> Iterator[Sink]:
        """Give the sink, and close what it needed.

        Raises:
            SinkError: the device or pipe cannot be opened.
            ConfigurationError: there is no file for the manifest to be beside.
        """
        if self.manifest and not self.is_file:
            raise ConfigurationError("--manifest needs a file to be beside, as in -o books.csv")
        if self.is_stdout:
            # Unbuffered: nothing is left to be flushed into a pipe that is broken.
            with open(1, "wb", buffering=0, closefd=False) as stdout:
                yield make_sink(stdout)
        elif self.is_file:
            yield make_sink(self.path, overwrite=self.overwrite)
        else:
            with _opened(self.path) as special:
                yield make_sink(special)


def _opened(path: str) -> io.FileIO:
    try:
        return io.FileIO(path, "wb")
    except OSError as error:
        raise SinkError(error.errno, error.strerror, path) from error


def _is_special(path: Path) -> bool:
    """Tell a device or pipe, which is written to, from a file, which is replaced."""
    try:
        return path.is_char_device() or path.is_fifo()
    except (OSError, ValueError):
        return False


def write(
    stream: ByteStream[_Result], output: Output, total: Total, engine: AsyncEngine | None
) -> _Result:
    """Write *stream* to *output*, with a progress bar on a terminal.

    Args:
        stream: The export.
        output: Where to write.
        total: What is known of its rows.
        engine: What the export runs on; it is disposed of.

    Raises:
        ConfigurationError: the bytes would be shown on a terminal and are no text.
    """
    if output.is_stdout and not stream.is_text and sys.stdout.isatty():
        raise ConfigurationError(
            f"{stream.extension} is not for a terminal; write it to a file with -o"
        )
    with output.sink() as sink:
        return asyncio.run(_write(stream, output, sink, total, engine))


async def _write(
    stream: ByteStream[_Result],
    output: Output,
    sink: Sink,
    total: Total,
    engine: AsyncEngine | None,
) -> _Result:
    shown = not (output.is_stdout and sys.stdout.isatty())
    name = "stdout" if output.is_stdout else Path(output.path).name
    try:
        async with progress_bar(name, stream, total, shown=shown):
            return await publish(stream, sink, manifest=output.manifest)
    finally:
        if engine is not None:
            await engine.dispose()


def print_result(result: ExportResult | WorkbookResult, output: Output) -> None:
    """Print *result* as one JSON object: on stdout, or on stderr if the export went there."""
    told = {**asdict(result), "peak_memory": _peak_memory()}
    print(json.dumps(told), file=sys.stderr if output.is_stdout else sys.stdout)


def _peak_memory() -> int:
    """Give the most memory that this process ever held, in bytes."""
    try:
        # Unlike ru_maxrss, this begins anew with the program, not with the fork.
        lines = Path("/proc/self/status").read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(kibibytes) * 1024
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def described(error: BaseException) -> str:
    """Say in one line what went wrong."""
    message = _message(error)
    notes = getattr(error, "__notes__", ())
    return " ".join("; ".join([message, *notes]).split())


def _message(error: BaseException) -> str:
    if isinstance(error, SinkError) and error.strerror:
        # The library's own advice speaks of an argument.
        told = error.strerror.replace("pass overwrite=True", "leave out --no-clobber")
        return f"{error.filename or 'stdout'}: {told}"
    if isinstance(error, SourceError) and not error.rows:
        return error.message + (f" (SQLSTATE {error.sqlstate})" if error.sqlstate else "")
    if isinstance(error, RowError):
        return f"{error}; --traceback shows where"
    if isinstance(error, ExportError):
        return str(error)
    return f"{type(error).__name__}: {error}; --traceback shows where"


def is_broken_pipe(error: BaseException) -> bool:
    """Tell whether nobody reads stdout any more."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE
