"""Zstandard (RFC 8878)."""

from __future__ import annotations

import sys
from typing import Final

from async_export.errors import MissingDependencyError
from async_export.formats._deflate import check_level
from async_export.formats._encoder import Encoder
from async_export.formats._packing import PackingEncoder
from async_export.formats._zip import Compressor

__all__ = ("ZstdEncoder",)

_MAX_LEVEL: Final = 22


class ZstdEncoder(PackingEncoder):
    """Another format's files, packed by Zstandard: smaller than by gzip, and faster.

    They have a checksum of their content.

    Args:
        inner: The encoder of what is packed.
        level: How hard to try, from 1 to 22.

    Raises:
        ConfigurationError: there is no such level, or *inner* packs already.
        MissingDependencyError: Python is older than 3.14, and backports.zstd is not installed.
    """

    ending = "zst"
    content_type = "application/zstd"
    extra = "zstd"

    def __init__(self, inner: Encoder, *, level: int = 3) -> None:
        super().__init__(inner)
        check_level(level, 1, _MAX_LEVEL)
        self.level = level
        self.extra = self.extra or type(self).extra
        _make_stream(level)

    def _start(self) -> bytes:
        self._stream = _make_stream(self.level)
        return b""

    def _compress(self, block: bytes) -> bytes:
        return self._stream.compress(block)

    def _finish(self) -> bytes:
        return self._stream.flush()


def _make_stream(level: int) -> Compressor:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise MissingDependencyError("zstd", "zstd") from error
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {parameter.compression_level: level, parameter.checksum_flag: 1}
    return zstd.ZstdCompressor(options=options)
