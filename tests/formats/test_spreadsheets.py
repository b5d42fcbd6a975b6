"""What spreadsheets share: names of sheets, legal text, and the archive around them."""

from __future__ import annotations

import io
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_export.errors import FormatLimitError
from async_export.formats import _zip
from async_export.formats._spreadsheets import SheetNames, legal
from async_export.formats._zip import ZipWriter


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["Books", "books", "BOOKS"], ["Books", "books (2)", "BOOKS (3)"]),
        (["a/b", "a:b"], ["a-b", "a-b (2)"]),
        (["", " ", "'"], ["Sheet", "Sheet (2)", "Sheet (3)"]),
        (["History"], ["History (2)"]),
        (["x" * 40, "x" * 50], ["x" * 31, "x" * 27 + " (2)"]),
        (["\N{GRINNING FACE}" * 20], ["\N{GRINNING FACE}" * 15]),
        (["'quoted'", "a\nb\x00"], ["quoted", "a b\ufffd"]),
        (["' 'x", "x' '", "\xa0'x"], ["x", "x (2)", "x (3)"]),
        (["x" * 30 + "'y", "z" * 26 + "' " + "z" * 9], ["x" * 30, "z" * 26 + "' zzz"]),
        (["z" * 26 + "'" + "z" * 9] * 2, ["z" * 26 + "'zzzz", "z" * 26 + " (2)"]),
    ],
)
def test_names_of_sheets(wanted: list[str], names: list[str]) -> None:
    """Names are made as Excel takes them, and differ without regard to case."""
    given_names = SheetNames()
    assert [given_names.add(each) for each in wanted] == names


@given(st.lists(st.text() | st.text("x' \n", max_size=40), max_size=12))
def test_any_name_is_one(wanted: list[str]) -> None:
    """Whatever is wanted, each sheet has a name of its own within the rules."""
    given_names = SheetNames()
    names = [given_names.add(each) for each in wanted]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert 0 < len(name.encode("utf-16-le", "strict")) // 2 <= 31
        assert not set(name) & set("[]:*?/\\\n\r\t")
        assert not {name[0], name[-1]} & set("' ")


@given(st.text())
def test_legal_text_is_xml(text: str) -> None:
    """What XML cannot hold is replaced, one character by one."""
    made = legal(text)
    assert len(made) == len(text)
    assert made.encode().decode() == made
    assert legal(made) == made


def archive_of(*pieces: bytes) -> bytes:
    """Make an archive of one entry of these pieces."""
    writer = ZipWriter(lambda: zlib.compressobj(6, zlib.DEFLATED, -15))
    head = writer.stored("first", b"as it is") + writer.begin("é/second.txt")
    made = head + b"".join(map(writer.data, pieces)) + writer.end() + writer.file("third", b"3")
    return made + writer.close()


@given(st.lists(st.binary(max_size=300_000), max_size=4))
def test_archives_read_back(pieces: list[bytes]) -> None:
    """Python's own reader finds every entry whole; the bytes do not depend on the pieces."""
    made = archive_of(*pieces)
    assert made == archive_of(b"".join(pieces))
    archive = zipfile.ZipFile(io.BytesIO(made))
    assert archive.testzip() is None
    read = {name: archive.read(name) for name in archive.namelist()}
    expected = {"first": b"as it is", "é/second.txt": b"".join(pieces), "third": b"3"}
    assert read == expected


def test_limits_of_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ZIP without extensions cannot say is an error, before it is written."""
    monkeypatch.setattr(_zip, "MAX_BYTES", 100_000)
    with pytest.raises(FormatLimitError, match="a file in a zip archive holds less than 4 GiB"):
        archive_of(b"x" * 100_001)
    monkeypatch.setattr(_zip, "MAX_BYTES", 100)
    with pytest.raises(FormatLimitError, match="a zip archive holds less than 4 GiB"):
        archive_of(b"x")
    monkeypatch.undo()
    monkeypatch.setattr(_zip, "MAX_ENTRIES", 2)
    with pytest.raises(FormatLimitError, match="2 files at most"):
        archive_of(b"x")
