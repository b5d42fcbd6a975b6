"""The archive around files: what Python's own reader finds in it, and its limits."""

from __future__ import annotations

import io
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from async_export.errors import FormatLimitError
from async_export.formats import _zip
from async_export.formats._zip import ZipWriter


def archive_of(*pieces: bytes) -> bytes:
    """Make an archive of one entry of these pieces."""
    writer = ZipWriter(lambda: zlib.compressobj(6, zlib.DEFLATED, -15))
    head = writer.stored("first", b"as it is") + writer.begin("é/second.txt")
    made = head + b"".join(map(writer.data, pieces)) + writer.end() + writer.file("third", b"3")
    return made + writer.close()


@settings(deadline=None)
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
