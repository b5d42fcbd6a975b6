"""JSON: one list of objects."""

from __future__ import annotations

from collections.abc import Sequence

from async_export.formats._encoder import Encoder
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
    Decimal, UUID              string
    date, datetime, time       string, ISO 8601
    Enum                       its value
    others                     EncodeError
    =========================  ==========================================================

    Args:
        ensure_ascii: Whether to escape whatever is not ASCII.
    """

    name = "json"
    extension = "json"
    content_type = "application/json"
    cells: CellForm = "native"
    natives = JSON_NATIVES

    def __init__(self, *, ensure_ascii: bool = False) -> None:
        self.ensure_ascii = ensure_ascii

    def begin(self, columns: Sequence[Column]) -> bytes:
        self._objects = JSONObjects(columns, ensure_ascii=self.ensure_ascii)
        self._separator = ""
        return b"["

    def encode(self, records: Sequence[Record]) -> bytes:
        if not records:
            return b""
        text = self._separator + self._objects.dump(records)[1:-1]
        self._separator = ", "
        return self._objects.to_bytes(text, records)

    def end(self) -> bytes:
        return b"]"
