"""What packed formats share: another encoder's bytes, compressed."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, cast

from async_export.errors import ConfigurationError
from async_export.formats._copy_form import CopyForm
from async_export.formats._encoder import Encoder, TitledEncoder
from async_export.types import Column, Record

__all__ = ("BLOCK_BYTES", "PackingEncoder")

BLOCK_BYTES: Final = 262_144
"""Bytes that are compressed together."""

_FOLLOWED: Final = (
    "cells",
    "natives",
    "streaming",
    "max_rows",
    "limits",
    "extra",
    "with_titles",
    "concatenable",
)
"""The attributes that are those of the encoder within."""


class PackingEncoder(TitledEncoder):
    """Packs the bytes of another encoder.

    Whoever has these bytes by another way, such as COPY, hands them to `pack` between `begin` and
    `end`. Compressing takes time, and `pack` may run in a worker thread; so may the rest.

    What comes out does not depend on how the bytes are cut: compressors that look ahead only as
    far as the data of one call get all data in blocks of the same size.

    Args:
        inner: The encoder, with its options; it is copied before each export.

    Raises:
        ConfigurationError: it packs already.

    Attributes:
        ending: What is added to the name and extension of the format.
        inner: The encoder within, of the export that was begun last.
    """

    ending: str

    def __init__(self, inner: Encoder) -> None:
        if isinstance(inner, type) or not callable(getattr(inner, "begin", None)):
            message = f"{type(self).__name__} packs an encoder, such as CSVEncoder(), not {inner!r}"
            raise ConfigurationError(message)
        if isinstance(inner, PackingEncoder):
            message = f"{inner.name} is packed already; pack {inner.inner.name} instead"
            raise ConfigurationError(message)
        self._given: Encoder = inner
        self.inner: Encoder = inner
        self.name: str = f"{inner.name}.{self.ending}"
        self.extension = f"{inner.extension}.{self.ending}"
        for attribute in _FOLLOWED:
            # Encoders of third parties need not have all of them.
            setattr(self, attribute, getattr(inner, attribute, getattr(Encoder, attribute)))

    @property
    def escaped(self) -> int:  # type: ignore[override]  # counted within, and only read
        """Cells so far that were changed because a spreadsheet would take them for formulas."""
        return getattr(self.inner, "escaped", 0)

    @property
    def cut(self) -> int:  # type: ignore[override]  # as above
        """Cells so far that were cut because they were too long."""
        return getattr(self.inner, "cut", 0)

    def copy_form(self) -> CopyForm | None:
        """Say how COPY writes the bytes that are packed."""
        make_form: Callable[[], CopyForm | None] | None = getattr(self.inner, "copy_form", None)
        return None if make_form is None else make_form()

    def begin(self, columns: Sequence[Column], titles: Sequence[Record] = ()) -> bytes:
        return self._start() + self._begin_inner(columns, titles)

    def encode(self, records: Sequence[Record]) -> bytes:
        return self.pack(self.inner.encode(records))

    def end(self, footers: Sequence[Record] = ()) -> bytes:
        return self._end_inner(footers) + self._finish()

    def pack(self, data: bytes) -> bytes:
        """Compress *data*, which the encoder within has made, or would have.

        Returns:
            The next bytes of the file; may be empty.

        Raises:
            FormatLimitError: the file would be larger than it can be.
        """
        self._waiting += data
        packed = []
        while len(self._waiting) >= BLOCK_BYTES:
            packed.append(self._compress(bytes(self._waiting[:BLOCK_BYTES])))
            del self._waiting[:BLOCK_BYTES]
        return b"".join(packed)

    def _begin_inner(self, columns: Sequence[Column], titles: Sequence[Record]) -> bytes:
        self._waiting = bytearray()
        self.inner = copy.copy(self._given)
        if titles:
            return self.pack(cast(TitledEncoder, self.inner).begin(columns, titles))
        return self.pack(self.inner.begin(columns))

    def _end_inner(self, footers: Sequence[Record]) -> bytes:
        inner = self.inner
        data = cast(TitledEncoder, inner).end(footers) if footers else inner.end()
        return self.pack(data) + self._compress(bytes(self._waiting))

    @abstractmethod
    def _start(self) -> bytes:
        """Make a new compressor, and give what stands before its data."""
        ...

    @abstractmethod
    def _compress(self, block: bytes) -> bytes:
        """Compress the next bytes."""
        ...

    @abstractmethod
    def _finish(self) -> bytes:
        """Give the rest of the data, and what stands behind."""
        ...
