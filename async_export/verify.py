"""Whether a file is as it was written, and if not, what happened to it."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import BinaryIO, Final, Literal, TypeAlias
from zlib import crc32

from anyio import to_thread

from async_export.manifests import (
    EDGE_BYTES,
    MANIFEST_BYTES,
    Manifest,
    ManifestError,
    ManifestFault,
    Tally,
    length_of_marks,
    manifest_path,
    read_manifest,
    rejects_path,
)

__all__ = ("Finding", "FindingCode", "Verification", "verify_export")

_BLOCK_BYTES: Final = 262_144
"""Bytes that are looked at together, which keeps the event loop waiting for a millisecond or so."""

FindingCode: TypeAlias = (
    ManifestFault
    | Literal[
        "appended",
        "changed",
        "file-missing",
        "manifest-missing",
        "manifest-too-long",
        "not-a-file",
        "rejects-changed",
        "rejects-missing",
        "rejects-unexpected",
        "row-inserted",
        "row-missing",
        "row-repeated",
        "rows-swapped",
        "truncated",
        "unreadable",
        "wrong-file",
        "wrong-manifest",
    ]
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written.

    Attributes:
        code: What it is.
        message: The same for people.
    """

    code: FindingCode
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of a file.

    Attributes:
        path: The file, as it was named.
        findings: What is not as it was written; empty if everything is.
        manifest: What was written; None if that cannot be told.
    """

    path: str
    findings: tuple[Finding, ...]
    manifest: Manifest | None

    @property
    def ok(self) -> bool:
        """Whether the file and what lies beside it are as they were written."""
        return not self.findings


async def verify_export(path: str | os.PathLike[str]) -> Verification:
    """Compare a file, and what lies beside it, with the manifest that its export wrote.

    Whatever is wrong, also with reading, is a finding. A file that was renamed or moved together
    with its companions is as it was written. It is read in blocks, in a worker thread.

    Args:
        path: The file of the export.
    """
    stop = threading.Event()
    try:
        return await to_thread.run_sync(_verify, os.fsdecode(path), stop, abandon_on_cancel=True)
    finally:
        stop.set()


class _FoundError(Exception):
    """Ends the look at one of the files."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding)
        self.finding = finding


def _verify(path: str, stop: threading.Event) -> Verification:
    findings: list[Finding] = []
    manifest = None
    with _collected(findings):
        manifest = _read_manifest(path)
    with _collected(findings):
        _check_file(path, manifest, stop)
    if manifest is not None:
        with _collected(findings):
            _check_rejects(path, manifest, stop)
    return Verification(path, tuple(findings), manifest)


@contextmanager
def _collected(findings: list[Finding]) -> Iterator[None]:
    try:
        yield
    except _FoundError as error:
        findings.append(error.finding)


def _read_manifest(path: str) -> Manifest:
    with _opened(manifest_path(path), "the manifest", "manifest-missing") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MANIFEST_BYTES:
            message = f"the manifest has {size:,} bytes; it is read up to {MANIFEST_BYTES:,}"
            raise _FoundError(Finding("manifest-too-long", message))
        data = file.read(size)
    try:
        return read_manifest(data)
    except ManifestError as error:
        raise _FoundError(Finding(error.fault, error.message)) from error


def _check_file(path: str, manifest: Manifest | None, stop: threading.Event) -> None:
    if manifest is None:
        with _opened(path, "the file", "file-missing"):
            return
    tally = Tally(lines=manifest.lines is not None)
    beginning = None
    for block in _blocks(path, "the file", "file-missing", stop):
        left = manifest.bytes - tally.bytes
        if 0 <= left < len(block):
            tally.update(block[:left])
            beginning = tally.sha256
            tally.update(block[left:])
        else:
            tally.update(block)
    if (beginning or tally.sha256) != manifest.sha256:
        raise _FoundError(_difference(path, manifest, tally, stop))
    if beginning is not None:
        many = tally.bytes - manifest.bytes
        raise _FoundError(Finding("appended", f"{many:,} bytes follow what was written"))


def _check_rejects(path: str, manifest: Manifest, stop: threading.Event) -> None:
    rejects = manifest.rejects
    path = rejects_path(path)
    if rejects is None:
        if os.path.lexists(path):
            message = "there is a file of rejected rows, and this export wrote none"
            raise _FoundError(Finding("rejects-unexpected", message))
        return
    digest = hashlib.sha256()
    for block in _blocks(path, "the file of rejected rows", "rejects-missing", stop):
        digest.update(block)
    if digest.hexdigest() != rejects.sha256:
        message = "the file of rejected rows is not as it was written"
        raise _FoundError(Finding("rejects-changed", message))


# --- files ----------------------------------------------------------------------------------


@contextmanager
def _opened(path: str, what: str, missing: FindingCode) -> Iterator[BinaryIO]:
    """Open a file, and make findings of what goes wrong with it, also while it is read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a Path is of no use here
            raise _FoundError(Finding("not-a-file", f"{what} is a folder or device now"))
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
            yield file
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a null character
        raise _FoundError(Finding(missing, f"{what} is missing")) from None
    except OSError as error:
        message = f"{what} cannot be read: {error.strerror}"
        raise _FoundError(Finding("unreadable", message)) from error


def _blocks(path: str, what: str, missing: FindingCode, stop: threading.Event) -> Iterator[bytes]:
    with _opened(path, what, missing) as file:
        while (block := file.read(_BLOCK_BYTES)) and not stop.is_set():
            yield block


def _lines_with(digest: int, blocks: Iterator[bytes]) -> list[int]:
    """Give the numbers of the lines that have this CRC, from 1."""
    numbers: list[int] = []
    done = crc = 0
    block = b""
    for block in blocks:
        first, *others = block.split(b"\n")
        *ended, crc = crc32(first, crc), *map(crc32, others)
        numbers += [done + at for at, each in enumerate(ended, 1) if each == digest]
        done += len(ended)
    if crc == digest and not block.endswith(b"\n"):
        numbers.append(done + 1)
    return numbers


# --- differences ----------------------------------------------------------------------------


def _difference(path: str, written: Manifest, found: Tally, stop: threading.Event) -> Finding:
    """Name what happened to a file whose bytes are not those that were written."""
    names = {os.path.basename(each) for each in (path, os.path.realpath(path))}  # noqa: PTH119 - a Path is of no use here
    if written.file not in names:
        message = f"the manifest beside it is that of {written.file}"
        return Finding("wrong-manifest", message)
    if found.bytes == written.bytes:
        return _difference_of_same_length(written, found)
    if found.bytes < written.bytes:
        return _difference_of_shorter(written, found)
    if _more_lines(written, found) == 1:
        more = int(found.line_digest or "0", 16) - int(written.line_digest or "0", 16)
        numbers = _lines_with(more % 2**64, _blocks(path, "the file", "file-missing", stop))
        if numbers:
            return _line_added(*numbers)
    return _difference_of_longer(written, found)


def _line_added(first: int, *others: int) -> Finding:
    if others:
        return Finding("row-repeated", f"line {first:,} is there again as line {others[0]:,}")
    return Finding("row-inserted", f"line {first:,} was inserted")


def _difference_of_same_length(written: Manifest, found: Tally) -> Finding:
    if written.lines == found.lines is not None and written.line_digest == found.line_digest:
        return Finding("rows-swapped", "all of its lines are there, in another order")
    if _is_another(written, found):
        return _another()
    return _changed(written, found)


def _difference_of_longer(written: Manifest, found: Tally) -> Finding:
    if _is_another(written, found):
        return _another()
    more = _more_lines(written, found)
    if more > 0 and written.tail == found.tail:
        return Finding("row-inserted", f"{more:,} lines were inserted, or are there twice")
    return _changed(written, found)


def _difference_of_shorter(written: Manifest, found: Tally) -> Finding:
    if _is_another(written, found):
        return _another()
    more = _more_lines(written, found)
    if more < 0 and written.tail == found.tail:
        return Finding("row-missing", f"{-more:,} of its {written.lines:,} lines are missing")
    is_cut = written.tail != found.tail and (more < 0 or not found.is_ended)
    if is_cut and list(written.marks[: len(found.marks)]) == found.marks:
        end = f"after {found.bytes:,} of {written.bytes:,} bytes"
        return Finding("truncated", f"it ends too early, {end}")
    return _changed(written, found)


def _another() -> Finding:
    message = (
        "its beginning and its end differ: this is another file, or both were changed, or all of "
        "it was converted"
    )
    return Finding("wrong-file", message)


def _changed(written: Manifest, found: Tally) -> Finding:
    if _is_converted(written, found):
        return Finding("changed", "the ends of its lines were converted")
    marks = zip(written.marks, found.marks, strict=False)
    equal = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], marks))
    after = f" after the first {length_of_marks(equal):,} bytes" if equal else ""
    size = f"{found.bytes:,} bytes instead of {written.bytes:,}"
    size = "its length is the same" if found.bytes == written.bytes else size
    return Finding("changed", f"its content was changed{after}; {size}")


def _more_lines(written: Manifest, found: Tally) -> int:
    return (found.lines or 0) - (written.lines or 0)


def _is_another(written: Manifest, found: Tally) -> bool:
    """Tell whether neither end is as it was written."""
    # In a small file, one change may be at both ends.
    is_small = written.bytes <= 2 * EDGE_BYTES
    begins_alike = is_small or found.marks[:1] in ([], list(written.marks[:1]))
    return not begins_alike and found.tail != written.tail and not _is_converted(written, found)


def _is_converted(written: Manifest, found: Tally) -> bool:
    """Tell whether each line, but for the last one maybe, has a character more or less."""
    lines = written.lines or 0
    many = abs(found.bytes - written.bytes)
    return lines > 1 and lines == found.lines and many in {lines - 1, lines}
