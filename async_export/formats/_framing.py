"""From what COPY writes to the lines of a format, in pieces cut anywhere; no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Final, Protocol

from async_export.formats._json_objects import key_texts, line_template
from async_export.types import Column

__all__ = ("VALUE_END", "Framing", "JSONLinesFraming", "LineFraming", "pieces_of")

PIECE: Final = 65_536
"""Bytes that are framed at once: they stay in the processor's cache, and a huge cell is cut."""

VALUE_END: Final = b"\x02"
"""Between values in JSON text, which holds no control character."""


class Framing(Protocol):
    """Turns the bytes of COPY into those of a format; one serves for one export."""

    def frame(self, data: bytes) -> tuple[bytes, int]:
        """Frame the next piece.

        Args:
            data: What follows the last piece; it may end in the midst of a cell.

        Returns:
            The format's bytes, and how many records ended in them.
        """
        ...


def pieces_of(data: bytes | bytearray) -> Iterator[bytes]:
    """Cut *data* into pieces that are framed at once."""
    if len(data) <= PIECE:
        yield bytes(data)
        return
    view = memoryview(data)
    for start in range(0, len(data), PIECE):
        yield bytes(view[start : start + PIECE])


class LineFraming:
    r"""Replaces the ``\n`` that ends COPY's lines of CSV, and not those inside of cells.

    A quote opens or closes a quoted cell, or is one of a pair inside of it; so a line break is
    inside if and only if an odd number of quotes comes before it, wherever the bytes are cut.

    Args:
        line_end: What ends a line instead.
    """

    def __init__(self, line_end: bytes) -> None:
        self._line_end = line_end
        self._inside = 0

    def frame(self, data: bytes) -> tuple[bytes, int]:
        """Replace the line ends of the next piece."""
        if not self._inside and b'"' not in data:
            return data.replace(b"\n", self._line_end), data.count(b"\n")
        parts = data.split(b'"')
        first = self._inside
        self._inside = (first + len(parts) - 1) & 1
        outside = b'"'.join(parts[first::2])
        ends = outside.count(b"\n")
        if ends == data.count(b"\n"):
            return data.replace(b"\n", self._line_end), ends
        if parts[first::2]:
            parts[first::2] = outside.replace(b"\n", self._line_end).split(b'"')
        return b'"'.join(parts), ends


class JSONLinesFraming:
    """Puts the keys between the values of each record.

    Args:
        columns: The columns; their headers are the keys.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._before = [key.encode() for key in key_texts(columns)]
        self._template = line_template(columns).encode()
        self._rest: Iterator[bytes] | None = None

    def frame(self, data: bytes) -> tuple[bytes, int]:
        """Frame the next piece."""
        if self._rest is None:
            whole = data.rfind(b"\n") + 1
            framed, records = self._records(data[:whole])
            if whole == len(data):
                return framed, records
            self._rest = cycle([*self._before[1:], b"}\n"])
            cut, more = self._values(self._before[0] + data[whole:])
            return framed + cut, records + more
        return self._values(data)

    def _records(self, data: bytes) -> tuple[bytes, int]:
        """Frame whole records, all at once."""
        count = data.count(b"\n")
        values = data.replace(b"\n", VALUE_END).split(VALUE_END)
        values.pop()
        return self._template * count % tuple(values), count

    def _values(self, data: bytes) -> tuple[bytes, int]:
        """Frame the middle of a record that is longer than a piece, value by value."""
        end = data.find(b"\n")
        rest = b"" if end < 0 else data[end + 1 :]
        assert self._rest is not None
        first, *others = (
            (data if end < 0 else data[: end + 1]).replace(b"\n", VALUE_END).split(VALUE_END)
        )
        framed = [first]
        for value in others:
            framed += (next(self._rest), value)
        if end < 0:
            return b"".join(framed), 0
        self._rest = None
        more, records = self.frame(rest) if rest else (b"", 0)
        return b"".join(framed) + more, records + 1
