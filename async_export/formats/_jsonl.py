"""JSON Lines: one object per line (https://jsonlines.org)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from async_export.formats._copy_form import CopyForm
from async_export.formats._encoder import Encoder
from async_export.formats._framing import VALUE_END, JSONLinesFraming
from async_export.formats._json_compact import CompactObjects, check_compact
from async_export.formats._json_objects import JSON_NATIVES, JSONObjects
from async_export.formats._splicing import JSONLinesSplice
from async_export.types import CellForm, Column, Record

__all__ = ("JSONLinesEncoder",)


class JSONLinesEncoder(Encoder):
    r"""An object keyed by header on each line, every line ended by ``\n``.

    Cells are written as in JSON.

    Args:
        ensure_ascii: Whether to escape whatever is not ASCII.
        compact: As for JSON.

    Raises:
        ConfigurationError: both are asked for.
        MissingDependencyError: msgspec is not installed, and *compact* needs it.
    """

    name = "jsonl"
    extension = "jsonl"
    content_type = "application/x-ndjson"
    cells: CellForm = "native"
    natives = JSON_NATIVES
    concatenable = True

    def __init__(self, *, ensure_ascii: bool = False, compact: bool = False) -> None:
        if compact:
            check_compact(ensure_ascii=ensure_ascii)
            self.extra = "fast"
        self.ensure_ascii = ensure_ascii
        self.compact = compact

    def begin(self, columns: Sequence[Column]) -> bytes:
        if self.compact:
            self._compact = CompactObjects(columns)
            return b""
        # One call per batch is a third cheaper than one per line, but gives a list. The mark
        # tells where its objects begin; 128 random bits, so that no cell can hold it.
        mark = secrets.token_hex(16)
        self._objects = JSONObjects(columns, ensure_ascii=self.ensure_ascii, prefix=mark)
        self._first = f'[{{"{mark}'
        self._next = f', {{"{mark}'
        return b""

    def encode(self, records: Sequence[Record]) -> bytes:
        if not records:
            return b""
        if self.compact:
            return self._compact.to_lines(records)
        if not self._objects.headers:
            return b"{}\n" * len(records)
        text = self._objects.dump(records)[len(self._first) : -1].replace(self._next, '\n{"')
        return self._objects.to_bytes(f'{{"{text}\n', records)

    def end(self) -> bytes:
        return b""

    def copy_form(self) -> CopyForm | None:
        """Say how COPY writes the values, between which the keys are put."""
        own = (type(self).begin, type(self).encode, type(self).end)
        plain = (JSONLinesEncoder.begin, JSONLinesEncoder.encode, JSONLinesEncoder.end)
        if own != plain or self.ensure_ascii or self.compact:
            return None
        return CopyForm(
            cells="json",
            delimiter=VALUE_END.decode(),
            quote="\x01",
            null="null",
            framing=JSONLinesFraming,
            splice=lambda columns, _: JSONLinesSplice(columns),
        )
