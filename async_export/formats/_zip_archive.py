"""ZIP archives of files of another format."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from async_export.errors import ConfigurationError
from async_export.formats._deflate import DeflateLibrary, deflate
from async_export.formats._encoder import Encoder, SheetEncoder
from async_export.formats._packing import PackingEncoder
from async_export.formats._zip import ZipWriter
from async_export.types import Column, Record

__all__ = ("FileNames", "ZipEncoder")

_MAX_NAME: Final = 255
"""Bytes of a file's name on common file systems."""

_FORBIDDEN = re.compile(
    r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]'
)
"""What some system does not take in a name, or takes for a path; and what hides an ending."""

_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(?=\.|$)", re.IGNORECASE)
"""Names that Windows takes for devices, whatever follows the dot."""


class ZipEncoder(PackingEncoder, SheetEncoder):
    """An archive of files of another format: one, or one for each table.

    Archives of equal records are equal: their files are of the first day that ZIP knows.

    Args:
        inner: The encoder of the files.
        level: How hard to try, from 0; with zlib to 9, with isal to 3.
        compressor: ``"isal"`` to compress with that library, several times as fast. The archives
            are about as long, but their bytes differ.
        file_name: Name of the file within, if there is one; by default ``export`` and the
            extension of its format.

    Raises:
        ConfigurationError: an option has no meaning, *file_name* is none that every system takes,
            or *inner* packs already.
        MissingDependencyError: isal is not installed.
    """

    ending = "zip"
    content_type = "application/zip"

    def __init__(
        self,
        inner: Encoder,
        *,
        level: int = 1,
        compressor: DeflateLibrary = "zlib",
        file_name: str | None = None,
    ) -> None:
        super().__init__(inner)
        self.concatenable = False
        self.level = level
        self.compressor = compressor
        self.file_name = f"export.{inner.extension}" if file_name is None else file_name
        if FileNames().add(self.file_name) != self.file_name:
            message = (
                f"{self.file_name!r} is no name for a file within an archive; it must be one that "
                "every system takes, without a path"
            )
            raise ConfigurationError(message)
        self._make_stream = deflate(level, compressor, "zip")
        self._past = dict.fromkeys(("escaped", "cut"), 0)

    @property
    def escaped(self) -> int:  # type: ignore[override]  # counted within, and only read
        """Cells of all files so far that were changed because of formulas."""
        return self._past["escaped"] + super().escaped

    @property
    def cut(self) -> int:  # type: ignore[override]  # as above
        """Cells of all files so far that were cut because they were too long."""
        return self._past["cut"] + super().cut

    def begin_file(self) -> bytes:
        name = self._given.name
        cure = f"export {name}.gz or {name}.zst, which have no such limit, or several archives"
        self._zip = ZipWriter(self._make_stream, cure)
        self._names = FileNames()
        self._past = dict.fromkeys(("escaped", "cut"), 0)
        self.inner = self._given
        return b""

    def begin_sheet(
        self, name: str, columns: Sequence[Column], titles: Sequence[Record] = ()
    ) -> bytes:
        for count in self._past:
            self._past[count] += getattr(self.inner, count, 0)
        ending = f".{self.inner.extension}"
        file_name = self._names.add(name.removesuffix(ending), ending)
        return self._zip.begin(file_name) + self._begin_inner(columns, titles)

    def end_sheet(self, footers: Sequence[Record] = ()) -> bytes:
        return self._end_inner(footers) + self._zip.end()

    def end_file(self) -> bytes:
        return self._zip.close()

    def _start(self) -> bytes:
        return self.begin_file() + self._zip.begin(self.file_name)

    def _compress(self, block: bytes) -> bytes:
        return self._zip.data(block)

    def _finish(self) -> bytes:
        return self._zip.end() + self.end_file()


class FileNames:
    """Gives every file of an archive a name of its own that every system takes, and no path."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def add(self, wanted: str, ending: str = "") -> str:
        """Give the name that is nearest to *wanted* with that *ending*, numbered if it is taken.

        Names differ if they do so without regard to case and to how accents are encoded.
        """
        ending = _FORBIDDEN.sub("-", ending)
        stem = _shortened(_FORBIDDEN.sub("-", wanted).lstrip(". "), ending) or "export"
        if _DEVICE.match(stem):
            stem = f"_{stem}"
        found, number = f"{stem}{ending}", 1
        while _key(found) in self._taken:
            number += 1
            numbered = f" ({number}){ending}"
            found = f"{_shortened(stem, numbered)}{numbered}"
        self._taken.add(_key(found))
        return found


def _shortened(stem: str, ending: str) -> str:
    """Give *stem*, cut so that a file's name can hold it and *ending*."""
    room = _MAX_NAME - len(ending.encode())
    # Windows drops spaces and dots at the end.
    return stem.encode()[: max(room, 0)].decode(errors="ignore").rstrip(". ")


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
