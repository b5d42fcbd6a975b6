"""The record of what an export wrote, which is kept beside its file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from string import hexdigits
from types import MappingProxyType, UnionType
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin, get_type_hints
from zlib import crc32

from async_export.errors import ExportError
from async_export.results import ExportResult, Snapshot, WorkbookResult

__all__ = (
    "EDGE_BYTES",
    "MANIFEST_BYTES",
    "MANIFEST_VERSION",
    "Manifest",
    "ManifestError",
    "ManifestFault",
    "Rejects",
    "SheetManifest",
    "Tally",
    "length_of_marks",
    "make_manifest",
    "manifest_path",
    "read_manifest",
    "rejects_path",
)

MANIFEST_VERSION: Final = 1

MANIFEST_BYTES: Final = 3_000_000
"""What is longer is not read: parsing JSON keeps the event loop waiting, from a thread, too.

The manifest of ten thousand columns has 0.7 MB, or 2.4 MB if their names are 63 emojis; that of a
thousand sheets with fifty columns each has 2.3 MB.
"""

EDGE_BYTES: Final = 64
"""Bytes at either end of a file that are remembered on their own."""

_MARK_DIGITS: Final = 16

_CHECKSUM: Final = "checksum"

_VERSION: Final = "manifest_version"

ManifestFault: TypeAlias = Literal[
    "manifest-broken", "manifest-edited", "manifest-invalid", "manifest-newer"
]


class ManifestError(ExportError, ValueError):
    """Bytes that are no manifest, or not as it was written.

    Args:
        fault: Which of the four it is.
        message: What was found, and what to do.
    """

    def __init__(self, fault: ManifestFault, message: str) -> None:
        self.fault = fault
        self.message = message
        super().__init__(fault, message)

    def __str__(self) -> str:
        return self.message


class Tally:
    """What is remembered of the bytes of a file, so that a change can be found and named.

    Bytes come in chunks of any length, and how they are cut makes no difference.

    Args:
        lines: Whether the bytes are lines of text.

    Attributes:
        bytes: How many there were.
        marks: Digests of the first 64 bytes, of the first 128, and so on.
    """

    def __init__(self, *, lines: bool) -> None:
        self.bytes = 0
        self.marks: list[str] = []
        self._is_text = lines
        self._sha256 = hashlib.sha256()
        self._next_mark = EDGE_BYTES
        self._ends = 0
        self._sum = 0
        self._open = 0
        self._tail = b""

    def update(self, chunk: bytes) -> None:
        """Take the next chunk."""
        self._tail = (self._tail + chunk[-EDGE_BYTES:])[-EDGE_BYTES:]
        self._digest(chunk)
        if self._is_text:
            self._add_lines(chunk)

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the bytes so far."""
        return self._sha256.hexdigest()

    @property
    def is_ended(self) -> bool:
        """Whether the last line has its end; False if the bytes are no lines."""
        return self._is_text and self._tail.endswith(b"\n")

    @property
    def lines(self) -> int | None:
        """Number of lines, the last one included if it has no end; None if the bytes are none."""
        if not self._is_text:
            return None
        return self._ends + (self.bytes > 0 and not self.is_ended)

    @property
    def line_digest(self) -> str | None:
        """Digest of the lines that does not depend on their order; None if the bytes are none."""
        return f"{self._sum + self._open & _MASK:016x}" if self._is_text else None

    @property
    def tail(self) -> str:
        """Digest of the last 64 bytes, or of as many as belong to the last line."""
        start = self._tail.rfind(b"\n", 0, -1) + 1 if self._is_text else 0
        return f"{crc32(self._tail[start:]):08x}"

    def _digest(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while len(rest) >= self._next_mark - self.bytes:
            missing = self._next_mark - self.bytes
            self._sha256.update(rest[:missing])
            self.marks.append(self.sha256[:_MARK_DIGITS])
            self.bytes = self._next_mark
            self._next_mark *= 2
            rest = rest[missing:]
        self._sha256.update(rest)
        self.bytes += len(rest)

    def _add_lines(self, chunk: bytes) -> None:
        first, *others = chunk.split(b"\n")
        self._open = crc32(first, self._open)
        if others:
            last = others.pop()
            self._sum += self._open + sum(map(crc32, others))
            self._ends += len(others) + 1
            self._open = crc32(last)


_MASK: Final = 2**64 - 1


def length_of_marks(number: int) -> int:
    """Give how many bytes the first *number* marks stand for."""
    return EDGE_BYTES << number >> 1 if number else 0


@dataclass(frozen=True, slots=True)
class Rejects:
    """The file of the rows that were skipped.

    Attributes:
        file: Its name, without a folder.
        rows: How many rows it tells of.
        sha256: Hexadecimal digest of it.
    """

    file: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetManifest:
    """What is remembered of one table of several in a file.

    Attributes:
        name: Name of the sheet, or of the file in the archive.
        rows: Records written.
        skipped: Rows left out because they failed.
        columns: The headers.
        strategy: Who rendered.
        transport: How rows arrived.
    """

    name: str
    rows: int
    skipped: int
    columns: tuple[str, ...]
    strategy: str
    transport: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was written, when, from what, and by what.

    Attributes:
        file: Name of the file, without a folder.
        format: Name of the format.
        rows: Records written, without header, titles and footers; in all sheets.
        bytes: Length of the file.
        sha256: Hexadecimal digest of the file.
        lines: Number of its lines; None if it is no text.
        line_digest: Digest of its lines that does not depend on their order; None as before.
        tail: Digest of its last bytes.
        marks: Digests of its first 64 bytes, of its first 128, and so on.
        columns: The headers; empty if there are sheets, and so are strategy and transport.
        strategy: Who rendered.
        transport: How rows arrived.
        skipped: Rows left out because they failed.
        escaped: Cells changed because a spreadsheet would take them for formulas.
        cut: Cells cut because they were longer than the format can hold.
        stopped: Name of the limit that ended the export in good order; empty if none did.
        sheets: The tables, if the file has several.
        rejects: The file of the skipped rows, if there is one.
        fingerprint: What identifies the queryset; empty if there is none.
        snapshot: The state of the database; None if there was no database.
        versions: By name, versions of what took part.
        manifest_version: Which form of manifest this is.
    """

    file: str
    format: str
    rows: int
    bytes: int
    sha256: str
    lines: int | None
    line_digest: str | None
    tail: str
    marks: tuple[str, ...]
    columns: tuple[str, ...]
    strategy: str
    transport: str
    skipped: int
    escaped: int
    cut: int
    stopped: str
    sheets: tuple[SheetManifest, ...]
    rejects: Rejects | None
    fingerprint: str
    snapshot: Snapshot | None
    versions: Mapping[str, str] = field(default_factory=dict)
    manifest_version: int = MANIFEST_VERSION


def manifest_path(path: str | os.PathLike[str]) -> str:
    """Give the path of the manifest of the file at *path*."""
    return f"{os.fsdecode(path)}.manifest.json"


def rejects_path(path: str | os.PathLike[str]) -> str:
    """Give the path of the file that lists the rows that are missing from the file at *path*."""
    return f"{os.fsdecode(path)}.rejects.csv"


def make_manifest(
    path: str | os.PathLike[str],
    result: ExportResult | WorkbookResult,
    tally: Tally,
    *,
    rejects: Rejects | None = None,
    fingerprint: str = "",
    snapshot: Snapshot | None = None,
    versions: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Make the bytes of a manifest: equal ones for equal arguments.

    Args:
        path: The file; only its name is remembered.
        result: What the export told.
        tally: What went into the file.
        rejects: The file of the skipped rows.
        fingerprint: What identifies the queryset.
        snapshot: The state of the database that is shown.
        versions: By name, versions of what took part.
    """
    sheets = result.sheets if isinstance(result, WorkbookResult) else {}
    table = result if isinstance(result, ExportResult) else None
    stopped = (each.stopped for each in (table, *sheets.values()) if each and each.stopped)
    manifest = Manifest(
        file=os.path.basename(os.fsdecode(path)),  # noqa: PTH119 - the path may be of bytes
        format=result.format,
        rows=result.rows,
        bytes=tally.bytes,
        sha256=tally.sha256,
        lines=tally.lines,
        line_digest=tally.line_digest,
        tail=tally.tail,
        marks=tuple(tally.marks),
        columns=table.columns if table else (),
        strategy=table.strategy if table else "",
        transport=table.transport if table else "",
        skipped=result.skipped,
        escaped=result.escaped,
        cut=result.cut,
        stopped=next(stopped, ""),
        sheets=tuple(_sheet(name, each) for name, each in sheets.items()),
        rejects=rejects,
        fingerprint=fingerprint,
        snapshot=snapshot,
        versions=dict(versions),
    )
    return _written(manifest)


def read_manifest(data: bytes) -> Manifest:
    """Read a manifest, which must be exactly as it was written.

    Raises:
        ManifestError: it is something else.
    """
    fields = _parsed(data)
    version = fields.get(_VERSION)
    if type(version) is int and version > MANIFEST_VERSION:
        raise _newer(fields, version)
    if type(fields.pop(_CHECKSUM, None)) is not str:
        raise _invalid(_CHECKSUM)
    manifest: Manifest = _decoded(Manifest, fields, "manifest")
    # Its own checksum is a part of that.
    if _written(manifest) != data:
        raise _edited()
    if (manifest.line_digest or "").strip(hexdigits):
        raise _invalid("line_digest")
    return manifest


def _sheet(name: str, result: ExportResult) -> SheetManifest:
    return SheetManifest(
        name=name,
        rows=result.rows,
        skipped=result.skipped,
        columns=result.columns,
        strategy=result.strategy,
        transport=result.transport,
    )


# --- JSON -----------------------------------------------------------------------------------


def _written(manifest: Manifest) -> bytes:
    # Sorted, and as JSON gives it back: halves of a character that come together are one.
    fields = json.loads(_canonical(dataclasses.asdict(manifest)))
    text = json.dumps({**fields, _CHECKSUM: _checksum(fields)}, indent=2, ensure_ascii=False)
    # A name may hold what is no character, which JSON escapes in the same way.
    return f"{text}\n".encode("utf-8", "backslashreplace")


def _checksum(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(fields).encode()).hexdigest()


def _canonical(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), default=_iso)


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _broken()
    return fields


def _decoded(kind: Any, value: Any, name: str) -> Any:
    """Give *value* of JSON as the type *kind*.

    Raises:
        ManifestError: it is of another one.
    """
    if dataclasses.is_dataclass(kind):
        return _decoded_fields(kind, value, name)
    if isinstance(kind, UnionType):
        kinds = get_args(kind)
        return None if value is None else _decoded(kinds[0], value, name)
    arguments = get_args(kind)
    if get_origin(kind) is tuple and type(value) is list:
        return tuple(_decoded(arguments[0], each, name) for each in value)
    if get_origin(kind) is Mapping and type(value) is dict:
        return {key: _decoded(arguments[1], each, name) for key, each in value.items()}
    if kind is datetime and type(value) is str:
        return _decoded_time(value, name)
    if type(value) is not kind:
        raise _invalid(name)
    return value


def _decoded_fields(kind: Any, value: Any, name: str) -> Any:
    if type(value) is not dict:
        raise _invalid(name)
    types = _types_of(kind)
    differing = sorted(types.keys() ^ value.keys())
    if differing:
        raise _invalid(differing[0])
    return kind(**{each: _decoded(types[each], value[each], each) for each in types})


def _decoded_time(value: str, name: str) -> datetime:
    try:
        # The first and the last day may be out of reach in UTC.
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise _invalid(name) from None


@cache
def _types_of(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _newer(fields: dict[str, Any], version: int) -> ManifestError:
    try:
        is_as_written = fields.pop(_CHECKSUM, None) == _checksum(fields)
    except RecursionError:  # JSON can be read a little deeper than written
        return _broken()
    if not is_as_written:
        return _edited()
    return ManifestError(
        "manifest-newer",
        f"the manifest has version {version}, and this async_export knows {MANIFEST_VERSION}; "
        "update it",
    )


def _broken() -> ManifestError:
    return ManifestError(
        "manifest-broken", "the manifest is no JSON object; restore it, or export anew"
    )


def _invalid(name: str) -> ManifestError:
    return ManifestError(
        "manifest-invalid",
        f"the field {name!r} of the manifest is missing, unknown or of the wrong type; restore the "
        "manifest, or export anew",
    )


def _edited() -> ManifestError:
    return ManifestError(
        "manifest-edited",
        "the manifest is not as it was written: its checksum is another; restore it, or export "
        "anew",
    )
