"""YAML: one list of mappings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Final, TypeAlias
from uuid import UUID

from async_export.errors import EncodeError
from async_export.formats._cell_error import CellError, reason_of
from async_export.formats._encoder import Encoder
from async_export.formats._headers import check_distinct
from async_export.formats._json_objects import JSON_NATIVES
from async_export.formats._optional import require
from async_export.types import Cell, CellForm, Column, Kind, Record

__all__ = ("YAMLEncoder",)

_Dumper: TypeAlias = Any
"""A ``yaml.SafeDumper``."""

_Node: TypeAlias = Any
"""A ``yaml.Node``."""

_Represent: TypeAlias = Callable[[_Dumper, Any], _Node]


class YAMLEncoder(Encoder):
    """A list of mappings keyed by header; byte for byte tablib's ``yaml`` export, with exceptions.

    =========================  ==========================================================
    cell                       YAML 1.1
    =========================  ==========================================================
    None, bool, int, float     null, true or false, number; ``.nan``, ``.inf``
    str                        string, quoted where it would be something else
    bytes                      ``!!binary``
    date, datetime             ``2024-01-31``, ``!!timestamp '2024-01-31 09:05:00'``
    list, tuple, dict, set     list, list, mapping, ``!!set`` in a fixed order
    Decimal, UUID, time        string, as JSON has it
    timedelta                  string, ``1 day, 2:00:00``
    Enum                       its value
    others                     EncodeError
    =========================  ==========================================================

    What differs from tablib:

    - Decimals, UUIDs, times, durations, members of enums and subclasses of all the types above,
      at which tablib fails.
    - A value that occurs twice is written twice, where tablib has ``&id001`` and ``*id001``.
    - Text with U+0085, U+2028 or U+2029 is in double quotes, since tablib's reads back changed.
    - A datetime whose offset has seconds is a string, since no reader takes such a timestamp.

    It is written by PyYAML in Python, many times slower than JSON: its fast C library would write
    other bytes.

    Raises:
        MissingDependencyError: PyYAML is not installed.
    """

    name = "yaml"
    extension = "yaml"
    content_type = "application/yaml"
    cells: CellForm = "native"
    natives = JSON_NATIVES | {Kind.BINARY}
    extra = "yaml"

    def __init__(self) -> None:
        require("yaml", "the format yaml", self.extra)

    def begin(self, columns: Sequence[Column]) -> bytes:
        self._headers = [column.header for column in columns]
        check_distinct(self._headers, "a YAML mapping")
        self._is_empty = True
        return b""

    def encode(self, records: Sequence[Record]) -> bytes:
        if not records:
            return b""
        self._is_empty = False
        rows = [dict(zip(self._headers, record, strict=True)) for record in records]
        try:
            return _dumped(rows if self._headers else [[] for _ in records])
        except Exception as error:
            where = self._column_of(records)
            raise EncodeError(f"{where}{reason_of(error)}") from error

    def end(self) -> bytes:
        return b"[]\n" if self._is_empty else b""

    def _column_of(self, records: Sequence[Record]) -> str:
        """Name the column of the first cell of the *records* that YAML cannot hold."""
        for record in records:
            for header, cell in zip(self._headers, record, strict=True):
                try:
                    _dumped(cell)
                except Exception:  # noqa: BLE001 - whatever it is, it is this cell's
                    return f"column {header!r}: "
        return ""


def _dumped(value: Cell) -> bytes:
    import yaml

    text: str = yaml.dump(
        value,
        Dumper=_dumper_class(),
        default_flow_style=None,
        allow_unicode=True,
        sort_keys=False,
    )
    return text.encode()


@cache
def _dumper_class() -> type[_Dumper]:
    """Make the dumper, which needs PyYAML to be installed."""
    from yaml import SafeDumper

    class Dumper(SafeDumper):
        """Writes all that `YAMLEncoder` promises, and never an alias."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
            return True

    for cls, represent in _REPRESENTERS.items():
        # The first is for the class itself, the second for those derived from it.
        Dumper.add_representer(cls, represent)
        Dumper.add_multi_representer(cls, represent)
    Dumper.add_multi_representer(object, _refuse)
    return Dumper


_BREAKS: Final = re.compile("[\x85\u2028\u2029]")
"""What YAML 1.1 takes for the end of a line; PyYAML does not read back how it folds them."""


def _text(dumper: _Dumper, value: str) -> _Node:
    text = str.__str__(value)
    style = '"' if _BREAKS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _datetime(dumper: _Dumper, value: datetime) -> _Node:
    offset = value.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):
        return _text(dumper, datetime.isoformat(value, " "))
    return dumper.represent_datetime(value)


def _set(dumper: _Dumper, value: set[Any]) -> _Node:
    # The order of a set of texts is another one in each process.
    ordered = dict.fromkeys(sorted(value, key=repr))
    return dumper.represent_mapping("tag:yaml.org,2002:set", ordered)


def _refuse(_: _Dumper, value: object) -> _Node:
    raise CellError(f"a value of type {type(value).__name__!r} has no YAML form")


_REPRESENTERS: Final[dict[type, _Represent]] = {
    str: _text,
    int: lambda dumper, value: dumper.represent_int(int(value)),
    float: lambda dumper, value: dumper.represent_float(float(value)),
    bytes: lambda dumper, value: dumper.represent_binary(bytes(value)),
    bytearray: lambda dumper, value: dumper.represent_binary(bytes(value)),
    memoryview: lambda dumper, value: dumper.represent_binary(bytes(value)),
    date: lambda dumper, value: dumper.represent_date(value),
    datetime: _datetime,
    time: lambda dumper, value: _text(dumper, time.isoformat(value)),
    timedelta: lambda dumper, value: _text(dumper, timedelta.__str__(value)),
    list: lambda dumper, value: dumper.represent_list(value),
    tuple: lambda dumper, value: dumper.represent_list(value),
    dict: lambda dumper, value: dumper.represent_dict(value),
    set: _set,
    Decimal: lambda dumper, value: _text(dumper, str(value)),
    UUID: lambda dumper, value: _text(dumper, str(value)),
    Enum: lambda dumper, value: dumper.represent_data(value.value),
}
"""By type, what writes its values; for bool and None it is PyYAML's own."""
