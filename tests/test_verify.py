"""Every accidental change of an export's files is found, and has its right name."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from async_export import Field, ModelResource, Resource, export_workbook
from async_export.cli.verification import verify_files
from async_export.manifests import Tally, make_manifest, manifest_path, rejects_path
from async_export.results import ExportResult, WorkbookResult
from async_export.verify import verify_export

ROWS = 300


class Base(DeclarativeBase):
    """The registry of these models."""


class Book(Base):
    """What is exported."""

    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class BookResource(ModelResource):
    """Two columns of books in a database."""

    class Meta:
        """Named columns."""

        model = Book
        fields = ("id", "title")


class ListResource(Resource):
    """Books that are at hand; each has lines that no other one has."""

    id = Field()
    title = Field()

    first = 0

    def get_queryset(self) -> list[dict[str, Any]]:
        """Give the books."""
        numbers = range(self.first, self.first + ROWS)
        return [{"id": number, "title": f"Žluťásek {number:05}"} for number in numbers]


class OtherResource(Resource):
    """As many rows in another column."""

    author = Field()

    def get_queryset(self) -> list[dict[str, Any]]:
        """Give the authors."""
        return [{"author": f"author of {number:05}"} for number in range(ROWS)]


class LaterResource(ListResource):
    """Other books in the same columns, and some more of them."""

    first = 1000


class FailingResource(ListResource):
    """Two of the books cannot be exported."""

    def dehydrate_title(self, book: Any) -> str:
        """Fail for two rows."""
        if book["id"] in {7, 8}:
            raise ZeroDivisionError
        return str(book["title"])


async def export(folder: Path, name: str, resource: Resource | None = None) -> None:
    """Export books with a manifest."""
    await (resource or ListResource()).export_to(folder / name, manifest=True)


async def export_rejecting(folder: Path, name: str) -> None:
    """Export books of which two are rejected."""
    await export(folder, name, FailingResource(on_error="skip"))


async def found(path: Path) -> list[str]:
    """Give the codes of what is found."""
    return [finding.code for finding in (await verify_export(path)).findings]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of exports, by their names."""
    folder = tmp_path_factory.mktemp("originals")

    async def make() -> None:
        for name in ("books.csv", "books.jsonl", "books.json", "books.csv.gz", "books.xlsx"):
            await export(folder, name)
        await export(folder, "others.csv", OtherResource())
        await export(folder, "later.csv", LaterResource())

    asyncio.run(make())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def manifest_of(path: Path) -> Path:
    """Give the path of the manifest of a file."""
    return Path(manifest_path(path))


def rejects_of(path: Path) -> Path:
    """Give the path of the rejected rows of a file."""
    return Path(rejects_path(path))


def restore(originals: dict[str, bytes], folder: Path, name: str) -> Path:
    """Put a file and its manifest into a folder."""
    for each in (name, manifest_path(name)):
        (folder / each).write_bytes(originals[each])
    return folder / name


# --- as written -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["b.csv", "b.tsv", "b.jsonl", "b.json", "b.csv.gz", "b.xlsx"])
async def test_nothing_happened(tmp_path: Path, name: str) -> None:
    """A file that was left alone has no findings, and its manifest tells of it."""
    await export(tmp_path, name)
    verified = await verify_export(tmp_path / name)
    assert verified.ok
    assert verified.path == str(tmp_path / name)
    assert verified.manifest is not None
    assert verified.manifest.file == name
    assert verified.manifest.bytes == (tmp_path / name).stat().st_size
    assert (verified.manifest.rows, verified.manifest.columns) == (ROWS, ("id", "title"))


async def test_a_file_of_a_database(tmp_path: Path) -> None:
    """An export from a database verifies, an empty one, too."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'books.sqlite'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await BookResource(connection).export_to(tmp_path / "none.csv", manifest=True)
        rows = [{"id": number, "title": "Solaris"} for number in range(ROWS)]
        await connection.execute(Book.__table__.insert(), rows)  # type: ignore[attr-defined]
        await BookResource(connection).export_to(tmp_path / "all.csv", manifest=True)
    await engine.dispose()
    for name, rows_written in (("none.csv", 0), ("all.csv", ROWS)):
        verified = await verify_export(tmp_path / name)
        assert verified.ok
        assert verified.manifest is not None
        assert verified.manifest.rows == rows_written


async def test_a_workbook(tmp_path: Path) -> None:
    """A file of several tables verifies, and the manifest tells of each."""
    path = tmp_path / "library.xlsx"
    await export_workbook({"A": ListResource(), "B": OtherResource()}, path, manifest=True)
    verified = await verify_export(path)
    assert verified.ok
    assert verified.manifest is not None
    assert [(each.name, each.rows) for each in verified.manifest.sheets] == [
        ("A", ROWS),
        ("B", ROWS),
    ]


async def test_rejects_belong_to_it(tmp_path: Path) -> None:
    """A file whose rows were partly rejected is as written, if its rejects are."""
    await export_rejecting(tmp_path, "books.csv")
    verified = await verify_export(tmp_path / "books.csv")
    assert verified.ok
    assert verified.manifest is not None
    assert verified.manifest.skipped == 2
    assert verified.manifest.rejects is not None
    assert verified.manifest.rejects.rows == 2


async def test_renamed_with_its_companions(tmp_path: Path) -> None:
    """Moving a file with what belongs to it is no change."""
    await export_rejecting(tmp_path, "books.csv")
    (tmp_path / "elsewhere").mkdir()
    for name in ("{}.csv", "{}.csv.manifest.json", "{}.csv.rejects.csv"):
        (tmp_path / name.format("books")).rename(tmp_path / "elsewhere" / name.format("moved"))
    assert await found(tmp_path / "elsewhere" / "moved.csv") == []


async def test_through_a_link(tmp_path: Path) -> None:
    """A file that a symbolic link points to is verified under the link's name."""
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    await export(tmp_path, "link.csv")
    assert await found(tmp_path / "link.csv") == []
    (tmp_path / "real.csv").write_bytes((tmp_path / "real.csv").read_bytes()[:-100])
    assert await found(tmp_path / "link.csv") == ["truncated"]


# --- rows and bytes -------------------------------------------------------------------------


def lines_of(data: bytes) -> list[bytes]:
    """Give the lines, each with its end."""
    return data.splitlines(keepends=True)


def on_lines(change: Callable[[list[bytes]], Any]) -> Callable[[bytes], bytes]:
    """Make a change of bytes of one of lines, which it makes in place."""

    def changed(data: bytes) -> bytes:
        lines = lines_of(data)
        change(lines)
        return b"".join(lines)

    return changed


def swap(first: int, second: int) -> Callable[[bytes], bytes]:
    """Swap two lines."""

    def change(lines: list[bytes]) -> None:
        lines[first], lines[second] = lines[second], lines[first]

    return on_lines(change)


def without(*numbers: int) -> Callable[[bytes], bytes]:
    """Leave out lines."""
    return on_lines(lambda lines: [lines.pop(number) for number in sorted(numbers)[::-1]])


def repeat(number: int, at: int) -> Callable[[bytes], bytes]:
    """Insert a copy of a line."""
    return on_lines(lambda lines: lines.insert(at, lines[number]))


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Replace bytes that are there."""

    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new)

    return change


MUTATIONS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "header and row swapped": (swap(0, 9), "rows-swapped"),
    "first and last row swapped": (swap(1, ROWS), "rows-swapped"),
    "neighbours swapped": (swap(7, 8), "rows-swapped"),
    "rows reversed": (on_lines(list.reverse), "rows-swapped"),
    "rows sorted": (on_lines(list.sort), "rows-swapped"),
    "header missing": (without(0), "row-missing"),
    "first row missing": (without(1), "row-missing"),
    "middle row missing": (without(150), "row-missing"),
    "row before the last missing": (without(ROWS - 1), "row-missing"),
    "several rows missing": (without(3, 4, 99), "row-missing"),
    "last row missing": (without(ROWS), "truncated"),
    "last rows missing": (without(ROWS, ROWS - 1, ROWS - 2), "truncated"),
    "all rows missing": (lambda data: lines_of(data)[0], "truncated"),
    "row repeated at once": (repeat(5, 5), "row-repeated"),
    "row repeated later": (repeat(5, 99), "row-repeated"),
    "row repeated earlier": (repeat(99, 5), "row-repeated"),
    "row repeated before the header": (repeat(9, 0), "row-repeated"),
    "header repeated": (repeat(0, 9), "row-repeated"),
    "last row repeated": (lambda data: data + lines_of(data)[-1], "appended"),
    "last row repeated earlier": (repeat(ROWS, 9), "row-repeated"),
    "rows repeated": (on_lines(lambda lines: lines.insert(9, lines[1] + lines[2])), "row-inserted"),
    "row inserted": (on_lines(lambda lines: lines.insert(9, b"999,new\r\n")), "row-inserted"),
    "row inserted at first": (on_lines(lambda lines: lines.insert(0, b"new\r\n")), "row-inserted"),
    "empty line inserted": (on_lines(lambda lines: lines.insert(9, b"\n")), "row-inserted"),
    "row appended": (lambda data: data + b"999,new\r\n", "appended"),
    "byte appended": (lambda data: data + b"\0", "appended"),
    "line end appended": (lambda data: data + b"\r\n", "appended"),
    "written twice": (lambda data: data * 2, "appended"),
    "appended for ever": (lambda data: data + bytes(1_000_000), "appended"),
    "byte missing at the end": (lambda data: data[:-1], "truncated"),
    "emptied": (lambda data: b"", "truncated"),
    "cell changed": (replaced(b"00150", b"99999"), "changed"),
    "cell longer": (replaced(b"00150", b"00150 and more"), "changed"),
    "cell shorter": (replaced(b"00150", b""), "changed"),
    "last cell longer": (replaced(b"00299", b"00299 and more"), "changed"),
    "last cell shorter": (replaced(b"00299", b"0"), "changed"),
    "header changed": (replaced(b"id,title", b"no,title"), "changed"),
    "header longer": (replaced(b"id,title", b"number,title"), "changed"),
    "row in place of another": (on_lines(lambda lines: lines.__setitem__(9, lines[8])), "changed"),
    "cells swapped": (
        lambda data: (
            data.replace(b"00150", b"x").replace(b"00151", b"00150").replace(b"x", b"00151")
        ),
        "changed",
    ),
    "mark of UTF-8 added": (lambda data: b"\xef\xbb\xbf" + data, "changed"),
    "line ends converted": (replaced(b"\r\n", b"\n"), "changed"),
    "line ends converted twice": (replaced(b"\r\n", b"\r\r\n"), "changed"),
    "of Latin-2": (lambda data: data.decode().encode("iso8859-2"), "wrong-file"),
    "zeros": (lambda data: bytes(len(data)), "wrong-file"),
    "other bytes": (lambda data: random.Random(1).randbytes(len(data)), "wrong-file"),
    "other delimiter": (replaced(b",", b";"), "wrong-file"),
}
"""By name, what happens to a file of csv, and what it is called."""


@pytest.mark.parametrize(("mutate", "code"), MUTATIONS.values(), ids=MUTATIONS)
async def test_what_happens_to_rows_is_named(
    originals: dict[str, bytes], tmp_path: Path, mutate: Callable[[bytes], bytes], code: str
) -> None:
    """Whatever happens to rows has its name."""
    path = restore(originals, tmp_path, "books.csv")
    path.write_bytes(mutate(originals["books.csv"]))
    assert await found(path) == [code]


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (repeat(5, 99), "line 6 is there again as line 100"),
        (repeat(99, 5), "line 6 is there again as line 101"),
        (on_lines(lambda lines: lines.insert(9, b"x\r\n")), "line 10 was inserted"),
        (without(3, 4), "2 of its 301 lines are missing"),
        (lambda data: data[:500], "it ends too early, after 500 of "),
        (lambda data: data + b"12", "2 bytes follow what was written"),
        (replaced(b"00150", b"99999"), "changed after the first 2,048 bytes; its length is the"),
        (replaced(b"\r\n", b"\n"), "the ends of its lines were converted"),
    ],
    ids=["later", "earlier", "inserted", "missing", "cut", "appended", "changed", "converted"],
)
async def test_findings_tell_where(
    originals: dict[str, bytes], tmp_path: Path, mutate: Callable[[bytes], bytes], message: str
) -> None:
    """Numbers of lines and bytes say where to look."""
    path = restore(originals, tmp_path, "books.csv")
    path.write_bytes(mutate(originals["books.csv"]))
    (finding,) = (await verify_export(path)).findings
    assert message in finding.message


@pytest.mark.parametrize(
    ("mutate", "code"),
    [
        (swap(1, 2), "rows-swapped"),
        (without(5), "row-missing"),
        (repeat(5, 9), "row-repeated"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data + b"\n", "appended"),
        (replaced(b"00150", b"x"), "changed"),
    ],
    ids=["swapped", "missing", "repeated", "cut", "appended", "changed"],
)
async def test_lines_of_json(
    originals: dict[str, bytes], tmp_path: Path, mutate: Callable[[bytes], bytes], code: str
) -> None:
    """Rows of JSON are lines, too."""
    path = restore(originals, tmp_path, "books.jsonl")
    path.write_bytes(mutate(originals["books.jsonl"]))
    assert await found(path) == [code]


@pytest.mark.parametrize(
    ("mutate", "code"),
    [
        (replaced(b'{"id": 150, ', b'{"id": 999, '), "changed"),
        (replaced(b'{"id": 150, ', b'{"id": 9, '), "changed"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[:5000], "truncated"),
        (lambda data: data + b"\n", "appended"),
    ],
    ids=["changed", "shorter", "end", "half", "appended"],
)
async def test_a_single_line_of_json(
    originals: dict[str, bytes], tmp_path: Path, mutate: Callable[[bytes], bytes], code: str
) -> None:
    """An array is one long line."""
    path = restore(originals, tmp_path, "books.json")
    path.write_bytes(mutate(originals["books.json"]))
    assert await found(path) == [code]


@pytest.mark.parametrize(
    ("mutate", "code"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[:9], "truncated"),
        (lambda data: b"", "truncated"),
        (lambda data: data + b"\0", "appended"),
        (lambda data: data[:500] + b"\n" + data[500:], "changed"),
        (lambda data: data[:500] + data[501:], "changed"),
        (lambda data: bytes(len(data)), "wrong-file"),
        (lambda data: bytes(len(data) - 9), "wrong-file"),
        (lambda data: bytes(len(data) + 9), "wrong-file"),
    ],
    ids=["half", "cut", "head", "empty", "appended", "more", "less", "same", "shorter", "longer"],
)
@pytest.mark.parametrize("name", ["books.csv.gz", "books.xlsx"])
async def test_bytes_that_are_no_lines(
    originals: dict[str, bytes],
    tmp_path: Path,
    name: str,
    mutate: Callable[[bytes], bytes],
    code: str,
) -> None:
    """Of packed files beginning, end and length are known."""
    path = restore(originals, tmp_path, name)
    path.write_bytes(mutate(originals[name]))
    assert await found(path) == [code]


@pytest.mark.parametrize("name", ["books.csv", "books.jsonl", "books.csv.gz", "books.xlsx"])
async def test_truncated_anywhere(originals: dict[str, bytes], tmp_path: Path, name: str) -> None:
    """Wherever a file is cut off, it is found, and called that."""
    path = restore(originals, tmp_path, name)
    data = originals[name]
    for size in {*range(0, len(data), 97), *range(130), *range(len(data) - 70, len(data))}:
        path.write_bytes(data[:size])
        assert await found(path) == ["truncated"], size


@pytest.mark.parametrize("name", ["books.csv", "books.jsonl", "books.csv.gz", "books.xlsx"])
async def test_one_bit_anywhere(originals: dict[str, bytes], tmp_path: Path, name: str) -> None:
    """One flipped bit is found, wherever it is: here at 200 places."""
    path = restore(originals, tmp_path, name)
    chance = random.Random(name)
    for _ in range(200):
        data = bytearray(originals[name])
        place, bit = chance.randrange(len(data)), chance.randrange(8)
        data[place] ^= 1 << bit
        path.write_bytes(data)
        assert await found(path) == ["changed"], (place, bit)


@pytest.mark.parametrize(
    ("other", "code"), [("others.csv", "wrong-file"), ("later.csv", "wrong-file")]
)
async def test_another_export_in_its_place(
    originals: dict[str, bytes], tmp_path: Path, other: str, code: str
) -> None:
    """The file of another export is called that, whether it has the same columns or not."""
    path = restore(originals, tmp_path, "books.csv")
    path.write_bytes(originals[other])
    assert await found(path) == [code]


async def test_a_small_file(tmp_path: Path) -> None:
    """A file of a few bytes is compared as a whole."""
    path = tmp_path / "small.csv"
    resource = ListResource()
    await resource.export_to(path, queryset=[{"id": 1, "title": "A"}], manifest=True)
    data = path.read_bytes()
    assert data == b"id,title\r\n1,A\r\n"
    for mutated, code in {
        b"id,title\r\n1,B\r\n": "changed",
        b"id,title\r\n1,AB\r\n": "changed",
        b"xx,title\r\n1,A\r\n": "changed",
        b"1,A\r\nid,title\r\n": "rows-swapped",
        b"1,A\r\n": "row-missing",
        b"id,title\r\n": "truncated",
        b"id,title\r\n1,A\r\n2,B\r\n": "appended",
        b"id,title\r\n1,A\r\n1,A\r\n": "appended",
        b"id,title\r\nid,title\r\n1,A\r\n": "row-repeated",
    }.items():
        path.write_bytes(mutated)
        assert await found(path) == [code], mutated


# --- the eleven mutilations of a backup, on a file and its companions -----------------------


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Have no more rights than other users, whom permissions keep out."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can enter; pytest's own ones are private."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made, "exports")
        path.parent.chmod(0o755)
        path.mkdir(0o755)
        yield path
        path.chmod(0o755)


def append(path: Path, data: bytes) -> int:
    """Append bytes to a file."""
    return path.write_bytes(path.read_bytes() + data)


def make_folder(path: Path) -> Path:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()
    return path


MUTILATIONS: dict[str, tuple[str, Callable[[Path], Any], list[str]]] = {
    "extra file": (
        "plain",
        lambda path: rejects_of(path).write_text("1\n"),
        ["rejects-unexpected"],
    ),
    "missing file": ("plain", lambda path: path.unlink(), ["file-missing"]),
    "missing companion": (
        "rejecting",
        lambda path: rejects_of(path).unlink(),
        ["rejects-missing"],
    ),
    "extra line in a companion": (
        "rejecting",
        lambda path: append(rejects_of(path), b"1\r\n"),
        ["rejects-changed"],
    ),
    "appended": ("plain", lambda path: append(path, b"x"), ["appended"]),
    "truncated": ("plain", lambda path: os.truncate(path, 1000), ["truncated"]),
    "replaced by as many bytes": (
        "plain",
        lambda path: path.write_bytes(b"x" * path.stat().st_size),
        ["wrong-file"],
    ),
    "bad manifest": (
        "plain",
        lambda path: manifest_of(path).write_text("{"),
        ["manifest-broken"],
    ),
    "missing manifest": (
        "plain",
        lambda path: manifest_of(path).unlink(),
        ["manifest-missing"],
    ),
    "unreadable file": ("plain", lambda path: path.chmod(0), ["unreadable"]),
    "unreadable manifest": (
        "plain",
        lambda path: manifest_of(path).chmod(0),
        ["unreadable"],
    ),
    "unreadable folder": (
        "rejecting",
        lambda path: path.parent.chmod(0o600),
        ["unreadable", "unreadable"],
    ),
    "folder in its place": ("plain", make_folder, ["not-a-file"]),
    "folder in the manifest's place": (
        "plain",
        lambda path: make_folder(manifest_of(path)),
        ["not-a-file"],
    ),
    "folder in the companion's place": (
        "rejecting",
        lambda path: make_folder(rejects_of(path)),
        ["not-a-file"],
    ),
    "everything missing": (
        "plain",
        lambda path: [each.rename(f"{each}.gone") for each in (path, manifest_of(path))],
        ["manifest-missing", "file-missing"],
    ),
    "file and companion changed": (
        "rejecting",
        lambda path: [append(path, b"x"), make_folder(rejects_of(path))],
        ["appended", "not-a-file"],
    ),
}
"""By name, what is exported, what happens to it, and what is found."""


@pytest.mark.parametrize(("kind", "mutilate", "codes"), MUTILATIONS.values(), ids=MUTILATIONS)
async def test_mutilations(
    folder: Path,
    request: pytest.FixtureRequest,
    kind: str,
    mutilate: Callable[[Path], Any],
    codes: list[str],
) -> None:
    """What a verifier of backups finds is found here, too, and nothing raises."""
    make = export if kind == "plain" else export_rejecting
    await make(folder, "books.csv")
    mutilate(folder / "books.csv")
    request.getfixturevalue("unprivileged")
    verified = await verify_export(folder / "books.csv")
    assert [finding.code for finding in verified.findings] == codes
    assert not verified.ok


@pytest.mark.parametrize("other", ["others.csv", "later.csv"])
async def test_the_manifest_of_another_export(
    originals: dict[str, bytes], tmp_path: Path, other: str
) -> None:
    """A manifest that was copied from beside another file is called that, and tells its file."""
    path = restore(originals, tmp_path, "books.csv")
    manifest_of(path).write_bytes(originals[manifest_path(other)])
    (finding,) = (await verify_export(path)).findings
    assert finding.code == "wrong-manifest"
    assert other in finding.message


# --- manifests ------------------------------------------------------------------------------


async def test_every_field_that_is_edited(originals: dict[str, bytes], tmp_path: Path) -> None:
    """A manifest of which any value was edited is found, and the file is not judged by it."""
    path = restore(originals, tmp_path, "books.csv")
    written = manifest_of(path)
    fields = json.loads(written.read_bytes())
    for name, value in fields.items():
        for other in (f"{value}x", 123_456, None, ["x"]):
            if other == value:
                continue
            edited = json.dumps({**fields, name: other}, indent=2, ensure_ascii=False)
            written.write_text(f"{edited}\n")
            verified = await verify_export(path)
            (finding,) = verified.findings
            assert finding.code in {"manifest-edited", "manifest-invalid"}, (name, other)
            assert verified.manifest is None


async def test_a_manifest_that_is_no_text(originals: dict[str, bytes], tmp_path: Path) -> None:
    """Whatever bytes stand in its place, it is a finding."""
    path = restore(originals, tmp_path, "books.csv")
    for data in (b"", b"\0" * 99, originals["books.xlsx"], originals["books.csv"], b"[" * 99_999):
        manifest_of(path).write_bytes(data)
        assert await found(path) == ["manifest-broken"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_time_out_of_reach(originals: dict[str, bytes], tmp_path: Path, time: str) -> None:
    """A snapshot before the first day, or after the last one, is a finding."""
    path = restore(originals, tmp_path, "books.csv")
    fields = json.loads(manifest_of(path).read_bytes())
    fields["snapshot"] = {"time": time, "lsn": None, "isolation": "x", "unlocked": []}
    manifest_of(path).write_text(json.dumps(fields))
    assert await found(path) == ["manifest-invalid"]


async def test_a_manifest_of_any_depth(originals: dict[str, bytes], tmp_path: Path) -> None:
    """However deep a manifest is, it is a finding, also where the stack is just too short."""
    path = restore(originals, tmp_path, "books.csv")
    codes = set()
    for depth in (*range(900, 1010), 200_000):
        deep = b"[" * depth + b"]" * depth
        data = b'{"manifest_version":2,"checksum":"x","a":%s}' % deep
        manifest_of(path).write_bytes(data)
        codes.update(await found(path))
    assert codes == {"manifest-edited", "manifest-broken"}


async def test_a_manifest_that_is_too_long(originals: dict[str, bytes], tmp_path: Path) -> None:
    """One of which no end can be seen is not read, and the file is not judged by it."""
    path = restore(originals, tmp_path, "books.csv")
    manifest_of(path).write_bytes(b'{"a":"%s"}' % (b"x" * 2_999_992))
    assert await found(path) == ["manifest-invalid"]
    os.truncate(manifest_of(path), 60_000_000)
    tracemalloc.start()
    try:
        verified = await verify_export(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    (finding,) = verified.findings
    assert finding.code == "manifest-too-long"
    assert finding.message == "the manifest has 60,000,000 bytes; it is read up to 3,000,000"
    assert verified.manifest is None


def names_of(count: int, length: int) -> tuple[str, ...]:
    """Give names of the longest characters."""
    return tuple(f"{number:06}".ljust(length, "😀") for number in range(count))


def table_of(*columns: str) -> ExportResult:
    """Give the result of an export of these columns."""
    return ExportResult(0, 0, 0, "", 0.1, "csv", "server", "copy", columns)


@pytest.mark.parametrize(
    "result",
    [
        table_of(*names_of(10_000, 63)),
        WorkbookResult(
            0, "", 0.1, "zip", dict.fromkeys(names_of(1000, 9), table_of(*["a" * 30] * 50))
        ),
    ],
    ids=["columns", "sheets"],
)
async def test_manifests_of_wide_exports_are_read(
    tmp_path: Path, result: ExportResult | WorkbookResult
) -> None:
    """Ten thousand columns are not too many, and a thousand tables neither."""
    path = tmp_path / "wide"
    path.touch()
    manifest_of(path).write_bytes(make_manifest(path, result, Tally(lines=True)))
    assert manifest_of(path).stat().st_size > 1_000_000
    assert await found(path) == []


@pytest.mark.parametrize("name", ["marks", "lines", "line_digest", "tail", "bytes", "file"])
async def test_a_manifest_edited_with_its_checksum(
    originals: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    """Whatever a well-formed manifest says, comparing with it raises nothing."""
    path = restore(originals, tmp_path, "books.csv")
    fields = json.loads(manifest_of(path).read_bytes())
    del fields["checksum"]
    values: list[Any] = [[], ["x"], None, 0, -1, 10**4000, "", "zz", "\ud800"]
    tried = 0
    for value in values:
        edited = {**fields, name: value}
        canonical = json.dumps(edited, sort_keys=True, separators=(",", ":")).encode()
        edited["checksum"] = hashlib.sha256(canonical).hexdigest()
        text = f"{json.dumps(edited, indent=2, ensure_ascii=False)}\n"
        manifest_of(path).write_bytes(text.encode("utf-8", "backslashreplace"))
        for data in (originals["books.csv"] + b"x\n", b"y" * 200 + b"\n", b"\n" * 400, b""):
            path.write_bytes(data)
            verified = await verify_export(path)
            assert len(verified.findings) == 1
            tried += verified.manifest is not None
    assert tried


# --- paths ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["", "nothing", "no/nothing", "books.csv/x", "a\0b", "x" * 300, "/dev/null", "."]
)
async def test_odd_paths(
    originals: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    """A path of any kind gives findings, and no error."""
    restore(originals, tmp_path, "books.csv")
    monkeypatch.chdir(tmp_path)
    assert not (await verify_export(path)).ok


def test_a_name_that_cannot_be_printed(
    originals: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line tells of a file whose name is no text in the encoding of stdout."""
    restore(originals, tmp_path, "books.csv")
    odd = tmp_path / os.fsdecode(b"b\xff.csv")
    (tmp_path / "books.csv").rename(odd)
    manifest_of(tmp_path / "books.csv").rename(manifest_of(odd))
    assert verify_files([str(odd)], as_json=False)
    told = capsys.readouterr()
    assert told.out.startswith(f"{tmp_path}/b\\udcff.csv: 300 rows, ")
    assert told.err == ""


async def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe that nobody writes to is no file."""
    path = tmp_path / "pipe.csv"
    await export(tmp_path, path.name)
    path.unlink()
    os.mkfifo(path)
    assert await found(path) == ["not-a-file"]


# --- in the event loop ----------------------------------------------------------------------


@pytest.fixture
async def large(tmp_path: Path) -> Path:
    """A file of 40 megabytes, with its manifest."""
    path = tmp_path / "large.csv"
    title = "x" * 1000
    rows = ({"id": number, "title": title} for number in range(40_000))
    await ListResource().export_to(path, queryset=rows, manifest=True)
    return path


async def test_the_loop_is_not_blocked(large: Path) -> None:
    """While a large file is read, others have their turns."""
    task = asyncio.create_task(verify_export(large))
    turns = 0
    while not task.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert (await task).ok
    assert turns >= 5


async def test_little_memory_is_needed(large: Path) -> None:
    """A large file is never in memory as a whole."""
    await verify_export(large)
    tracemalloc.start()
    try:
        assert (await verify_export(large)).ok
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


async def test_cancelled_at_once(large: Path) -> None:
    """Cancelling does not wait for the end of the file, and the thread ends soon."""
    task = asyncio.create_task(verify_export(large))
    await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if not is_open(large):
            return
        await asyncio.sleep(0.01)
    pytest.fail("the file is still being read")


def is_open(path: Path) -> bool:
    """Tell whether this process has a file open."""
    return any(each.samefile(path) for each in Path("/dev/fd").iterdir() if each.exists())
