"""ZIP archives that are written from front to back, without going back (APPNOTE 6.3).

Sizes and checksum of a streamed entry follow its data in a descriptor. There are no ZIP64 records:
Excel and LibreOffice refuse or "repair" small workbooks that have them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from async_export.errors import FormatLimitError

__all__ = ("MAX_BYTES", "Compressor", "ZipWriter")

MAX_BYTES: Final = 0xFFFF_FFFF
"""Bytes of an entry, before and after compression, and of the archive, are fewer than that."""

MAX_ENTRIES: Final = 0xFFFF

BLOCK_BYTES: Final = 65_536
"""Bytes that are compressed together, so that what comes out does not depend on how they come."""

_STORED, _DEFLATED = 0, 8
_VERSION: Final = 20
_STREAMED_UTF8: Final = 0x0808
"""General flags: bit 3, sizes come after the data, and bit 11, names are UTF-8."""
_UTF8: Final = 0x0800
# The first day that MS-DOS knows, so that equal records make equal bytes.
_TIME, _DATE = 0, 0x0021

_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<4s3L")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")


class Compressor(Protocol):
    """A raw deflate stream, such as ``zlib.compressobj(6, zlib.DEFLATED, -15)``."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class ZipWriter:
    """Makes the bytes of one archive.

    Args:
        make_compressor: Makes the deflate stream of each entry.
        cure: What to do about files that are too large, for people.

    Attributes:
        written: Bytes of the archive so far.
        entry_bytes: Uncompressed bytes so far of the entry that is open.
    """

    def __init__(
        self, make_compressor: Callable[[], Compressor], cure: str = "export it in parts"
    ) -> None:
        self._make_compressor = make_compressor
        self._cure = cure
        self._directory: list[bytes] = []
        self._compressor: Compressor | None = None
        self.written = 0
        self.entry_bytes = 0

    def stored(self, name: str, data: bytes) -> bytes:
        """Give a whole entry that is not compressed."""
        encoded = name.encode()
        crc = zlib.crc32(data)
        sizes = (crc, len(data), len(data))
        self._list(encoded, _UTF8, _STORED, sizes, self.written)
        return self._counted(self._local(encoded, _UTF8, _STORED, sizes) + data)

    def file(self, name: str, data: bytes) -> bytes:
        """Give a whole entry."""
        return self.begin(name) + self.data(data) + self.end()

    def begin(self, name: str) -> bytes:
        """Start an entry; the last one has ended.

        Raises:
            FormatLimitError: there are too many.
        """
        if len(self._directory) >= MAX_ENTRIES:
            raise self._limit(f"a zip archive holds {MAX_ENTRIES:,} files at most")
        self._name = name.encode()
        self._start = self.written
        self._compressor = self._make_compressor()
        self._crc = self.entry_bytes = self._compressed = 0
        self._waiting = bytearray()
        return self._counted(self._local(self._name, _STREAMED_UTF8, _DEFLATED, (0, 0, 0)))

    def data(self, data: bytes) -> bytes:
        """Add *data* to the entry; what has been compressed comes back, perhaps nothing.

        Raises:
            FormatLimitError: the entry or the archive would have 4 GiB.
        """
        assert self._compressor is not None
        self._crc = zlib.crc32(data, self._crc)
        self.entry_bytes += len(data)
        self._waiting += data
        packed = []
        whole = len(self._waiting) - len(self._waiting) % BLOCK_BYTES
        for start in range(0, whole, BLOCK_BYTES):
            block = bytes(self._waiting[start : start + BLOCK_BYTES])
            packed.append(self._compressor.compress(block))
        del self._waiting[:whole]
        return self._packed(b"".join(packed))

    def end(self) -> bytes:
        """Finish the entry."""
        assert self._compressor is not None
        rest = self._compressor.compress(bytes(self._waiting)) + self._compressor.flush()
        rest = self._packed(rest)
        self._compressor = None
        sizes = (self._crc, self._compressed, self.entry_bytes)
        self._list(self._name, _STREAMED_UTF8, _DEFLATED, sizes, self._start)
        return rest + self._counted(_DESCRIPTOR.pack(b"PK\x07\x08", *sizes))

    def close(self) -> bytes:
        """Finish the archive."""
        directory = b"".join(self._directory)
        count = len(self._directory)
        where = self.written
        self._counted(directory)
        return directory + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), where, 0)

    def _packed(self, data: bytes) -> bytes:
        self._compressed += len(data)
        if self.entry_bytes >= MAX_BYTES:
            raise self._limit("a file in a zip archive holds less than 4 GiB")
        return self._counted(data)

    def _counted(self, data: bytes) -> bytes:
        self.written += len(data)
        if self.written >= MAX_BYTES:
            raise self._limit("a zip archive holds less than 4 GiB")
        return data

    def _limit(self, message: str) -> FormatLimitError:
        return FormatLimitError(f"{message}; {self._cure}")

    def _local(self, name: bytes, flags: int, method: int, sizes: tuple[int, int, int]) -> bytes:
        fields = (_VERSION, flags, method, _TIME, _DATE, *sizes, len(name), 0)
        return _LOCAL.pack(b"PK\x03\x04", *fields) + name

    def _list(
        self, name: bytes, flags: int, method: int, sizes: tuple[int, int, int], start: int
    ) -> None:
        fields = (_VERSION, _VERSION, flags, method, _TIME, _DATE, *sizes, len(name), 0, 0, 0, 0)
        self._directory.append(_CENTRAL.pack(b"PK\x01\x02", *fields, 0, start) + name)
