"""JSON: one list of objects."""

from __future__ import annotations

from collections.abc import Sequence

from async_export.formats._encoder import Encoder
from async_export.formats._json_compact import CompactObjects, check_compact
from async_export.formats._json_objects import JSON_NATIVES, JSONObjects
from async_export.types import CellForm, Column, Record

__all__ = ("JSONEncoder",)


class JSONEncoder(Encoder):
    """A list of objects keyed by header, on one line; byte for byte tablib's ``json`` export.

    =========================  ==========================================================
    cell                       JSON
    =========================  ==========================================================
    None, bool, int, str       null, true or false, every digit of the number, string
    float                      the shortest number that reads back the same; ``"nan"``,
                               ``"inf"`` and ``"-inf"`` as strings, where tablib writes
                               invalid JSON
    list, tuple, dict          list, list, object
    Decimal, UUID, timedelta   string
    date, datetime, time       string, ISO 8601
    Enum                       its value
    others                     EncodeError
    =========================  ==========================================================

    Args:
        ensure_ascii: Whether to escape whatever is not ASCII.
        compact: Whether to write no spaces, and be done several times sooner: the values are the
            same, but a float may look different, such as ``1e16`` for ``1e+16``. It needs the
            extra ``fast``, and is never ASCII alone.

    Raises:
        ConfigurationError: both are asked for.
        MissingDependencyError: msgspec is not installed, and *compact* needs it.
    """

    name = "json"
    extension = "json"
    content_type = "application/json"
    cells: CellForm = "native"
    natives = JSON_NATIVES

    def __init__(self, *, ensure_ascii: bool = False, compact: bool = False) -> None:
        if compact:
            check_compact(ensure_ascii=ensure_ascii)
            self.extra = "fast"
        self.ensure_ascii = ensure_ascii
        self.compact = compact

    def begin(self, columns: Sequence[Column]) -> bytes:
        if self.compact:
            self._dump = CompactObjects(columns).to_list
        else:
            self._dump = JSONObjects(columns, ensure_ascii=self.ensure_ascii).to_list
        self._between = b"," if self.compact else b", "
        self._before = b""
        return b"["

    def encode(self, records: Sequence[Record]) -> bytes:
        if not records:
            return b""
        piece = self._before + self._dump(records)[1:-1]
        self._before = self._between
        return piece

    def end(self) -> bytes:
        return b"]"
