"""Manifests: what they remember, and that they are exactly what was written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_export.manifests import (
    Manifest,
    ManifestError,
    Rejects,
    Tally,
    length_of_marks,
    make_manifest,
    manifest_path,
    read_manifest,
    rejects_path,
)
from async_export.results import ExportResult, Snapshot, WorkbookResult

CSV = b"id,title\r\n" + b"".join(b"%d,Solaris\r\n" % number for number in range(100))

RESULT = ExportResult(
    rows=100,
    skipped=2,
    bytes=len(CSV),
    sha256=hashlib.sha256(CSV).hexdigest(),
    elapsed=1.5,
    format="csv",
    strategy="server",
    transport="copy",
    columns=("id", "title"),
    escaped=3,
    cut=4,
    stopped="max_rows",
)

SNAPSHOT = Snapshot(
    datetime(2024, 3, 31, 1, 30, tzinfo=timezone(timedelta(hours=2))),
    "0/1A2B3C4D",
    "repeatable read",
    ("cheap",),
)


def tally_of(data: bytes, size: int = 7, *, lines: bool = True) -> Tally:
    """Tally *data* in chunks of *size* bytes."""
    tally = Tally(lines=lines)
    for start in range(0, len(data), size):
        tally.update(data[start : start + size])
    return tally


def manifest_of(**changes: Any) -> bytes:
    """Make a manifest of the table above."""
    arguments = {
        "path": "/home/somebody/books.csv",
        "result": RESULT,
        "tally": tally_of(CSV),
        "rejects": Rejects("books.csv.rejects.csv", 2, "ab" * 32),
        "fingerprint": "f1f2",
        "snapshot": SNAPSHOT,
        "versions": {"Python": "3.11.7", "async_export": "0.1.0"},
        **changes,
    }
    return make_manifest(**arguments)


# --- tallies --------------------------------------------------------------------------------


@given(data=st.binary(max_size=1500) | st.text("a\nb", max_size=1500).map(str.encode))
def test_how_bytes_are_cut_makes_no_difference(data: bytes) -> None:
    """One chunk, single bytes and everything between tell the same."""
    for lines in (True, False):
        whole = tally_of(data, len(data) or 1, lines=lines)
        for size in (1, 2, 63, 64, 65, 255, 256, 257):
            cut = tally_of(data, size, lines=lines)
            for name in ("bytes", "sha256", "lines", "line_digest", "tail", "marks"):
                assert getattr(cut, name) == getattr(whole, name), name


def test_the_digest_is_the_one_of_the_bytes() -> None:
    """Length and SHA-256 are those that every other program finds."""
    tally = tally_of(CSV)
    assert (tally.bytes, tally.sha256) == (len(CSV), hashlib.sha256(CSV).hexdigest())


def test_marks_are_digests_of_beginnings() -> None:
    """The first 64 bytes have a digest of their own, and each twice as long beginning."""
    assert tally_of(CSV[:63]).marks == []
    sizes = [64, 128, 256, 512, 1024]
    assert tally_of(CSV).marks == [hashlib.sha256(CSV[:n]).hexdigest()[:16] for n in sizes]
    assert [length_of_marks(number) for number in range(6)] == [0, *sizes]


@pytest.mark.parametrize(
    ("data", "lines"),
    [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n", 1), (b"\n\n", 2), (b"a\r\nb\r\n", 2)],
    ids=["nothing", "no-end", "one", "two", "empty", "two-empty", "crlf"],
)
def test_lines_are_counted(data: bytes, lines: int) -> None:
    """A last line without an end counts."""
    assert tally_of(data).lines == lines
    assert tally_of(data).is_ended == data.endswith(b"\n")


def test_bytes_that_are_no_lines_have_none() -> None:
    """Binary formats have no lines, and no end of them."""
    tally = tally_of(CSV, lines=False)
    assert (tally.lines, tally.line_digest, tally.is_ended) == (None, None, False)


def test_the_order_of_lines_shows_only_in_the_bytes() -> None:
    """Swapped lines have the same digest of lines, changed ones another."""
    tally = tally_of(b"a\nbb\nccc\n")
    assert tally_of(b"ccc\na\nbb\n").line_digest == tally.line_digest
    assert tally_of(b"ccc\na\nbb\n").sha256 != tally.sha256
    assert tally_of(b"ccb\na\nbc\n").line_digest != tally.line_digest
    assert tally_of(b"a\nbb\nbb\n").line_digest != tally.line_digest


def test_the_end_of_a_file() -> None:
    """The tail is of the last line, at most 64 bytes; without lines of the last 64 bytes."""
    assert tally_of(b"id\n1\n2\n").tail == tally_of(b"no\n2\n").tail
    assert tally_of(b"id\n1\n2\n").tail != tally_of(b"id\n1\n2").tail
    assert tally_of(b"a" + b"i" * 64).tail == tally_of(b"b" + b"i" * 64).tail
    assert tally_of(b"a" + b"i" * 63).tail != tally_of(b"b" + b"i" * 63).tail
    assert tally_of(b"a\nb\n" * 20, lines=False).tail != tally_of(b"b\n", lines=False).tail


# --- making ---------------------------------------------------------------------------------


def test_a_manifest_tells_what_was_written() -> None:
    """It is sorted, indented JSON, with its own checksum at the end."""
    data = manifest_of()
    fields = json.loads(data)
    names = list(fields)
    assert names == [*sorted(names[:-1]), "checksum"]
    assert data.startswith(b'{\n  "bytes": ')
    assert data.endswith(b'"\n}\n')
    assert "/" not in fields["file"]
    expected = {
        "manifest_version": 1,
        "file": "books.csv",
        "format": "csv",
        "rows": 100,
        "bytes": len(CSV),
        "sha256": RESULT.sha256,
        "lines": 101,
        "columns": ["id", "title"],
        "strategy": "server",
        "transport": "copy",
        "skipped": 2,
        "escaped": 3,
        "cut": 4,
        "stopped": "max_rows",
        "sheets": [],
        "rejects": {"file": "books.csv.rejects.csv", "rows": 2, "sha256": "ab" * 32},
        "fingerprint": "f1f2",
        "snapshot": {
            "isolation": "repeatable read",
            "lsn": "0/1A2B3C4D",
            "time": "2024-03-30T23:30:00+00:00",
            "unlocked": ["cheap"],
        },
        "versions": {"Python": "3.11.7", "async_export": "0.1.0"},
    }
    assert {name: fields[name] for name in expected} == expected


def test_equal_exports_have_equal_manifests() -> None:
    """Neither time nor order of arguments shows."""
    versions = {"async_export": "0.1.0", "Python": "3.11.7"}
    slower = dataclasses.replace(RESULT, elapsed=9.9)
    assert manifest_of(versions=versions, result=slower) == manifest_of()


def test_no_cell_is_in_a_manifest() -> None:
    """What stands in the rows is not remembered, nor the folder."""
    data = manifest_of()
    assert b"Solaris" not in data
    assert b"somebody" not in data


def test_a_manifest_without_database_and_rejects() -> None:
    """An iterable has no snapshot, an export without failures no rejects."""
    manifest = read_manifest(manifest_of(snapshot=None, rejects=None))
    assert (manifest.snapshot, manifest.rejects) == (None, None)
    unknown = read_manifest(manifest_of(snapshot=Snapshot())).snapshot
    assert unknown == Snapshot()


def test_a_workbook_has_its_sheets() -> None:
    """The tables are told one by one, and their sums."""
    sheet = dataclasses.replace(RESULT, stopped="")
    result = WorkbookResult(len(CSV), RESULT.sha256, 1.0, "xlsx", {"A": sheet, "B": RESULT})
    manifest = read_manifest(manifest_of(result=result, tally=tally_of(CSV, lines=False)))
    assert (manifest.rows, manifest.skipped, manifest.escaped, manifest.cut) == (200, 4, 6, 8)
    assert (manifest.columns, manifest.strategy, manifest.transport) == ((), "", "")
    assert manifest.stopped == "max_rows"
    assert manifest.lines is None
    told = [(each.name, each.rows, each.skipped, each.columns) for each in manifest.sheets]
    assert told == [("A", 100, 2, ("id", "title")), ("B", 100, 2, ("id", "title"))]


@pytest.mark.parametrize("path", ["x/books.csv", Path("x/books.csv"), b"x/books.csv"])
def test_names_of_companions(path: Any) -> None:
    """They lie beside the file, under its name and another ending."""
    assert manifest_path(path) == "x/books.csv.manifest.json"
    assert rejects_path(path) == "x/books.csv.rejects.csv"
    assert read_manifest(manifest_of(path=path)).file == "books.csv"


# --- reading --------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written() -> None:
    """Reading gives every field, times in UTC."""
    manifest = read_manifest(manifest_of())
    assert isinstance(manifest, Manifest)
    assert manifest.snapshot is not None
    assert manifest.snapshot.time == SNAPSHOT.time
    assert manifest.snapshot.time is not None
    assert manifest.snapshot.time.tzinfo == UTC
    assert manifest.columns == ("id", "title")
    assert manifest.rejects == Rejects("books.csv.rejects.csv", 2, "ab" * 32)
    assert manifest.versions == {"async_export": "0.1.0", "Python": "3.11.7"}


@given(names=st.lists(st.text(st.characters(exclude_categories=()))))
def test_any_header_can_be_read_again(names: list[str]) -> None:
    """Headers of any characters, halves of them included, come back."""
    data = manifest_of(result=dataclasses.replace(RESULT, columns=tuple(names)))
    data.decode("utf-8")
    read = read_manifest(data).columns
    assert len(read) == len(names)
    for name, expected in zip(read, names, strict=True):
        assert name.encode("utf-16-le", "surrogatepass") == expected.encode(
            "utf-16-le", "surrogatepass"
        )


def test_a_name_that_is_no_utf8() -> None:
    """A file's name of other bytes can be remembered."""
    assert read_manifest(manifest_of(path=b"b\xffcks.csv")).file == "b\udcffcks.csv"


FIELDS = sorted(json.loads(manifest_of()))


def fault_of(data: bytes) -> str:
    """Give the fault of what is no manifest."""
    with pytest.raises(ManifestError) as caught:
        read_manifest(data)
    assert str(caught.value) == caught.value.message
    return caught.value.fault


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Give a manifest to which *change* was made, laid out as it was."""
    fields = json.loads(manifest_of())
    change(fields)
    return f"{json.dumps(fields, indent=2, ensure_ascii=False)}\n".encode()


def other(value: Any) -> Any:
    """Give another value of the same type."""
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return [*value, value[0]] if value else value
    if value is None:
        return 1
    return {name: other(each) for name, each in value.items()}


def test_nothing_changed_is_no_fault() -> None:
    """The helper above leaves a manifest as it is."""
    assert changed(lambda fields: None) == manifest_of()


@pytest.mark.parametrize("name", [each for each in FIELDS if each != "sheets"])
def test_an_edited_field_is_found(name: str) -> None:
    """Another value of a field makes the checksum wrong, whatever the field."""
    data = changed(lambda fields: fields.update({name: other(fields[name])}))
    assert fault_of(data) in {"manifest-edited", "manifest-invalid"}
    if name != "snapshot":  # its time is none any more
        assert fault_of(data) == "manifest-edited"


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_is_found(name: str) -> None:
    """A field that is not there is named."""
    data = changed(lambda fields: fields.pop(name))
    assert fault_of(data) == "manifest-invalid"
    with pytest.raises(ManifestError, match=f"{name!r} of the manifest"):
        read_manifest(data)


@pytest.mark.parametrize("value", [[1], True, 1.5, {"a": 1}], ids=["list", "bool", "float", "dict"])
@pytest.mark.parametrize("name", FIELDS)
def test_a_field_of_the_wrong_type_is_found(name: str, value: object) -> None:
    """No field takes a list of numbers, a boolean, a fraction or an object of them."""
    assert fault_of(changed(lambda fields: fields.update({name: value}))) == "manifest-invalid"


def test_an_unknown_field_is_found() -> None:
    """A field that nobody writes is named, in nested objects, too."""
    assert fault_of(changed(lambda fields: fields.update(x=1))) == "manifest-invalid"
    assert fault_of(changed(lambda fields: fields["rejects"].update(x=1))) == "manifest-invalid"


def test_the_layout_is_part_of_it() -> None:
    """Other line ends, indents and orders are changes, too."""
    data = manifest_of()
    for edited in (data.replace(b"\n", b"\r\n"), data[:-1], data + b"\n"):
        assert fault_of(edited) == "manifest-edited"
    assert fault_of(json.dumps(json.loads(data)).encode()) == "manifest-edited"


@pytest.mark.parametrize("at", range(0, len(manifest_of()), 17))
def test_one_bit_is_found(at: int) -> None:
    """A flipped bit anywhere is found."""
    data = bytearray(manifest_of())
    data[at] ^= 1
    assert fault_of(bytes(data)).startswith("manifest-")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"3",
        manifest_of()[:-3],
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b"9" * 5000,
        CSV,
    ],
    ids=["empty", "bytes", "null", "list", "number", "cut", "deep", "deeper", "long", "csv"],
)
def test_what_is_no_object_is_no_manifest(data: bytes) -> None:
    """Bytes that are no JSON object are told as that."""
    assert fault_of(data) == "manifest-broken"


@pytest.mark.parametrize(
    "time",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01", "24:00", ""],
    ids=["before-the-first", "after-the-last", "no-zone", "no-date", "empty"],
)
def test_a_time_that_there_is_not(time: str) -> None:
    """What is no time in UTC is told, whatever the reason."""
    data = changed(lambda fields: fields["snapshot"].update(time=time))
    assert fault_of(data) == "manifest-invalid"


def nested(depth: int) -> bytes:
    """Give a manifest of a later version with lists in lists."""
    return b'{"manifest_version": 2, "checksum": "x", "a": %s}' % (b"[" * depth + b"]" * depth)


def deepest() -> int:
    """Give how deep such a manifest may be, so that it can just be read."""

    def is_too_deep(depth: int) -> bool:
        try:
            json.loads(nested(depth))
        except RecursionError:
            return True
        return False

    return bisect_left(range(200_000), True, key=is_too_deep)


def test_no_depth_is_too_deep() -> None:
    """JSON that can just be read, and not be written, is a fault, too."""
    limit = deepest()
    faults = {fault_of(nested(depth)) for depth in range(limit - 60, limit + 60)}
    assert faults == {"manifest-edited", "manifest-broken"}


def test_a_digest_of_lines_is_a_number() -> None:
    """One that cannot be calculated with is told, whatever the checksum says."""
    assert fault_of(forged(line_digest="0z0")) == "manifest-invalid"
    assert read_manifest(forged(line_digest="ABC")).line_digest == "ABC"


def forged(**changes: Any) -> bytes:
    """Give a manifest that somebody edited together with its checksum."""
    fields = {**json.loads(manifest_of()), **changes}
    del fields["checksum"]
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    fields["checksum"] = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{json.dumps(fields, indent=2, ensure_ascii=False)}\n".encode()


def test_a_newer_version_is_told() -> None:
    """A manifest of a later version is not judged by its fields, but by its checksum."""
    fields = {"manifest_version": 2, "files": ["a"]}
    canonical = json.dumps({"files": ["a"], "manifest_version": 2}, separators=(",", ":"))
    checksum = hashlib.sha256(canonical.encode()).hexdigest()
    assert fault_of(json.dumps({**fields, "checksum": checksum}).encode()) == "manifest-newer"
    assert fault_of(json.dumps({**fields, "checksum": "00"}).encode()) == "manifest-edited"
    assert fault_of(json.dumps(fields).encode()) == "manifest-edited"
