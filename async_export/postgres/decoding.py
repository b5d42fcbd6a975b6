"""From the text that PostgreSQL writes to the values that asyncpg gives with our codecs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, TypeAlias

from asyncpg.pgproto.pgproto import UUID

from async_export.types import UnrepresentableText

__all__ = ("TEMPORAL", "TEXTUAL", "Decoder", "decoder_of")

Decoder: TypeAlias = Callable[[str], Any]

TEMPORAL = frozenset({"date", "time", "timetz", "timestamp", "timestamptz", "interval"})
"""Types that hold what Python's own types cannot."""

TEXTUAL = frozenset({"text", "varchar", "bpchar", "name", "citext", "enum"})
"""Types whose text is the value."""


def decoder_of(type: str) -> Decoder | None:  # noqa: A002 - PostgreSQL's word
    """Give what makes a value of its text; None if the text does not hold it all.

    Args:
        type: PostgreSQL's name of the type. The text of a timestamptz is that of the timestamp
            in UTC.
    """
    return str if type in TEXTUAL else _DECODERS.get(type)


def _boolean(text: str) -> bool:
    return text == "t"


def _date(text: str) -> Any:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return UnrepresentableText(text)


def _time(text: str) -> Any:
    return UnrepresentableText(text) if text.startswith("24") else time.fromisoformat(text)


def _timestamp(text: str) -> Any:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return UnrepresentableText(text)


def _timestamptz(text: str) -> Any:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        pass
    if text.endswith("infinity"):
        return UnrepresentableText(text)
    if text.endswith(" BC"):
        return UnrepresentableText(f"{text[:-3]}+00 BC")
    return UnrepresentableText(f"{text}+00")


_DECODERS: dict[str, Decoder] = {
    "int2": int,
    "int4": int,
    "int8": int,
    "oid": int,
    "float4": float,
    "float8": float,
    "numeric": Decimal,
    "bool": _boolean,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "uuid": UUID,
}
