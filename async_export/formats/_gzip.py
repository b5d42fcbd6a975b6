"""Gzip (RFC 1952)."""

from __future__ import annotations

import zlib
from typing import Final

from async_export.formats._deflate import DeflateLibrary, deflate
from async_export.formats._encoder import Encoder
from async_export.formats._packing import PackingEncoder

__all__ = ("GzipEncoder",)

_HEADER: Final = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""Neither time nor name nor operating system, so that equal records make equal bytes."""


class GzipEncoder(PackingEncoder):
    """Another format's files, packed by gzip.

    The level is 1 because at 6, which is zlib's default, compressing takes longer than all else.

    Args:
        inner: The encoder of what is packed.
        level: How hard to try, from 0; with zlib to 9, with isal to 3.
        compressor: ``"isal"`` to compress with that library, several times as fast. The files are
            about as long, but their bytes differ.

    Raises:
        ConfigurationError: there is no such level or compressor, or *inner* packs already.
        MissingDependencyError: isal is not installed.
    """

    ending = "gz"
    content_type = "application/gzip"

    def __init__(
        self, inner: Encoder, *, level: int = 1, compressor: DeflateLibrary = "zlib"
    ) -> None:
        super().__init__(inner)
        self.level = level
        self.compressor = compressor
        self._make_stream = deflate(level, compressor, "gzip")

    def _start(self) -> bytes:
        self._stream = self._make_stream()
        self._crc = self._size = 0
        return _HEADER

    def _compress(self, block: bytes) -> bytes:
        self._crc = zlib.crc32(block, self._crc)
        self._size += len(block)
        return self._stream.compress(block)

    def _finish(self) -> bytes:
        size = self._size & 0xFFFF_FFFF
        trailer = self._crc.to_bytes(4, "little") + size.to_bytes(4, "little")
        return self._stream.flush() + trailer
