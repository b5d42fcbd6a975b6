"""Values exactly as PostgreSQL holds them, where asyncpg's own decoding alters or refuses them.

asyncpg turns ``infinity`` into 9999-12-31, ``1 mon`` into 30 days and the float4 ``0.1`` into
0.10000000149011612, cuts the seconds off a time's offset, and raises in the midst of the rows for
years before 1 or after 9999, for ``24:00:00`` and for intervals above 2.7 million years.
[`exact_values`][] replaces its decoders of these types for a while.

Arrays, ranges, domains and composites use the decoders of their elements, so they are exact too.
"""

from __future__ import annotations

import math
import struct
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from async_export.types import UnrepresentableText

__all__ = (
    "OnUnrepresentable",
    "UnrepresentableError",
    "exact_values",
    "types_with_own_codecs",
)

OnUnrepresentable: TypeAlias = Literal["text", "error", "null"]
"""What becomes of a value that Python's type cannot hold: its text, an error, or None."""

_Decoder: TypeAlias = Callable[[Any], Any]
_Encoder: TypeAlias = Callable[[Any], Any]
_Fallback: TypeAlias = Callable[[str, str], Any]

# PostgreSQL counts from 2000-01-01, in days and microseconds.
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - timestamp without time zone
_EPOCH_UTC = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()

_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_DAY = 24 * _HOUR
_DAYS_IN_400_YEARS = 146_097

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

# What asyncpg sends as infinity; a parameter must mean the same with and without these codecs.
_INFINITE_DAYS = {
    date.max.toordinal() - _EPOCH_ORDINAL: _INT32_MAX,
    date.min.toordinal() - _EPOCH_ORDINAL: _INT32_MIN,
}
_LATEST, _EARLIEST = datetime.max, datetime.min  # noqa: DTZ901 - timestamp without time zone
_INFINITE_MICROSECONDS = {
    (_LATEST - _EPOCH) // timedelta.resolution: _INT64_MAX,
    (_EARLIEST - _EPOCH) // timedelta.resolution: _INT64_MIN,
}

_FLOAT4 = struct.Struct("!f")
_FLOAT4_FORMS = ("%.6g", "%.7g", "%.8g")
"""The first that gives the same float4 back is its shortest form; nine digits always do."""

_FLOAT4_SHORT_FORMS = ("%.1g", "%.2g", "%.3g", "%.4g", "%.5g", *_FLOAT4_FORMS)
_FLOAT4_NORMAL = 2.0**-126
"""Below it a float4 may hold fewer than six digits."""

_FLOAT4_TIES = 2.0**24
"""Below it, what is midway between two float4 has nine digits or more."""

_FLOAT4_UNEVEN = {2.0**-96: 1.2621775e-29, 2.0**87: 1.5474251e26, 2.0**90: 1.2379401e27}
"""The powers of two whose shortest form is not the nearest of its length.

Above a power of two the next float4 is twice as far as below. Found by trying all of them.
"""


@asynccontextmanager
async def exact_values(
    connection: AsyncConnection | asyncpg.Connection,
    on_unrepresentable: OnUnrepresentable = "text",
) -> AsyncGenerator[None]:
    """Let *connection* decode dates, times, intervals and float4 without changing any value.

    What Python's types can hold is what asyncpg gives: date, naive datetime, datetime in UTC, time,
    time with offset, timedelta, float. What they cannot hold becomes, by *on_unrepresentable*:
    PostgreSQL's own text (``infinity``, ``0044-03-15 BC``, ``24:00:00``, ``1 mon 2 days``), in the
    ISO and postgres styles and UTC, whatever the session's settings; an UnrepresentableError, from
    the fetch; or None. Beware of None in ranges, where it reads as a missing bound.

    Nothing is sent to the server, so that it takes microseconds, works in any state of a
    transaction and cannot be interrupted. Statements that were prepared inside are not used
    outside, nor the reverse. Types for which the caller has set a codec of his own keep it.

    Args:
        connection: What is read from; not closed. A connection of SQLAlchemy's must be passed as
            such, because SQLAlchemy keeps prepared statements where asyncpg cannot see them.
        on_unrepresentable: What becomes of a value that Python cannot hold.
    """
    if isinstance(connection, AsyncConnection):
        raw = await connection.get_raw_connection()
        # The pool may have taken the connection back before the end, if it was lost.
        driver, adapter = raw.driver_connection, raw.dbapi_connection
        with _own_statements(adapter), _codecs(driver, on_unrepresentable):
            yield
    else:
        with _codecs(connection, on_unrepresentable):
            yield


_SCALARS = (
    *(16, 17, 18, 19, 20, 21, 23, 25, 26, 700, 701, 790, 829, 869, 650, 774),
    *(1042, 1043, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950),
)
"""Scalar types that come with PostgreSQL, but for JSON, which has a codec of SQLAlchemy's."""


def types_with_own_codecs(connection: asyncpg.Connection) -> frozenset[int]:
    """Give the types for which the caller has set a codec of his own, before `exact_values`."""
    settings = connection.get_settings()
    return frozenset(
        oid
        for oid in _SCALARS
        if settings.get_data_codec(oid)
        is not settings.get_data_codec(oid, ignore_custom_codec=True)
    )


@contextmanager
def _codecs(connection: Any, on_unrepresentable: OnUnrepresentable) -> Generator[None]:
    # What asyncpg's set_type_codec and reset_type_codec do, without what asyncpg 0.30 does first:
    # ask the server for the oids, which fails in an aborted transaction. They never change.
    settings = connection.get_settings()
    types = [
        (oid, name, codec)
        for (oid, name), codec in _type_codecs(_FALLBACKS[on_unrepresentable]).items()
        if settings.get_data_codec(oid) is settings.get_data_codec(oid, ignore_custom_codec=True)
    ]
    try:
        for oid, name, codec in types:
            settings.add_python_codec(
                oid, name, "pg_catalog", [], "scalar", codec.encode, codec.decode, codec.format
            )
        connection._drop_local_statement_cache()  # noqa: SLF001 - has no public name
        yield
    finally:
        for oid, name, _ in types:
            settings.remove_python_codec(oid, name, "pg_catalog")
        connection._drop_local_statement_cache()  # noqa: SLF001 - has no public name


@contextmanager
def _own_statements(adapter: Any) -> Generator[None]:
    """Give SQLAlchemy's *adapter* of a connection an empty cache of statements for a while."""
    statements = adapter._prepared_statement_cache  # noqa: SLF001 - likewise
    if statements is not None:
        adapter._prepared_statement_cache = type(statements)(statements.capacity)  # noqa: SLF001
    try:
        yield
    finally:
        adapter._prepared_statement_cache = statements  # noqa: SLF001 - likewise


class UnrepresentableError(ValueError):
    """A value of PostgreSQL that Python's type cannot hold."""


class _Codec(NamedTuple):
    encode: _Encoder
    decode: _Decoder
    format: Literal["binary", "text", "tuple"] = "tuple"


_AS_TEXT_TYPES = (
    (27, "tid"),
    (600, "point"),
    (601, "lseg"),
    (602, "path"),
    (603, "box"),
    (604, "polygon"),
    (628, "line"),
    (718, "circle"),
    (3220, "pg_lsn"),
)
"""Types that SQLAlchemy does not know and asyncpg gives as numbers, or tuples of them."""


def _type_codecs(fallback: _Fallback) -> Mapping[tuple[int, str], _Codec]:
    """The codecs by oid and name of the type, as in pg_type."""
    return {
        (700, "float4"): _Codec(_FLOAT4.pack, _decode_float4, "binary"),
        (1082, "date"): _Codec(_encode_date, _date_decoder(fallback)),
        (1083, "time"): _Codec(_encode_time, _time_decoder(fallback)),
        (1114, "timestamp"): _Codec(
            _encode_timestamp, _timestamp_decoder("timestamp", _EPOCH, "", fallback)
        ),
        (1184, "timestamptz"): _Codec(
            _encode_timestamptz, _timestamp_decoder("timestamptz", _EPOCH_UTC, "+00", fallback)
        ),
        (1700, "numeric"): _Codec(_encode_numeric, _decode_numeric, "binary"),
        (1186, "interval"): _Codec(_encode_interval, _interval_decoder(fallback)),
        (1266, "timetz"): _Codec(_encode_timetz, _timetz_decoder(fallback)),
        **{each: _Codec(str, str, "text") for each in _AS_TEXT_TYPES},
    }


_NUMERIC = struct.Struct("!HhHH")
"""Count of the groups of four digits, weight of the first, sign, digits after the point."""

_TWO_GROUPS = struct.Struct("!HhHHHH")
"""The same, with two groups, which only finite numbers have."""

_NEGATIVE = 0x4000
_NOT_FINITE = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}


def _decode_numeric(data: bytes) -> Decimal:
    """Decode to the digits that PostgreSQL shows: asyncpg makes ``2E+4`` of 20000."""
    if len(data) == _TWO_GROUPS.size:
        # Most amounts are that long; it takes half the time.
        _, weight, sign, scale, first, second = _TWO_GROUPS.unpack(data)
        shift = 4 * (weight - 1) + scale
        number = first * 10_000 + second
        number = number * 10**shift if shift >= 0 else number // 10**-shift
        return Decimal(f"{'-' if sign else ''}{number}E-{scale}")
    count, weight, sign, scale = _NUMERIC.unpack_from(data)
    if sign in _NOT_FINITE:
        return Decimal(_NOT_FINITE[sign])
    digits = "%04d" * count % struct.unpack_from(f"!{count}H", data, 8)
    surplus = 4 * (count - 1 - weight) - scale
    digits = digits[:-surplus] if surplus > 0 else digits + "0" * -surplus
    return Decimal(f"{'-' if sign else ''}{digits or 0}{f'E-{scale}' if scale else ''}")


def _encode_numeric(value: Any) -> bytes:
    number = Decimal(value)
    sign, places, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        text = "NaN" if number.is_nan() else str(number)
        flag = next(flag for flag, name in _NOT_FINITE.items() if name == text)
        return _NUMERIC.pack(0, 0, flag, 0)
    scale = max(-exponent, 0)
    digits = "".join(map(str, places)) + "0" * (max(exponent, 0) + -scale % 4)
    digits = digits.zfill(len(digits) + -len(digits) % 4)
    groups = [int(digits[start : start + 4]) for start in range(0, len(digits), 4)]
    weight = len(groups) - 1 - (scale + 3) // 4
    head = _NUMERIC.pack(len(groups), weight, _NEGATIVE if sign else 0, scale)
    return head + struct.pack(f"!{len(groups)}H", *groups)


# What becomes of unrepresentable values


def _as_text(_type: str, text: str) -> UnrepresentableText:
    return UnrepresentableText(text)


def _as_error(type_: str, _text: str) -> Any:
    raise UnrepresentableError(f"Python cannot hold this value of PostgreSQL's type {type_}")


def _as_null(_type: str, _text: str) -> None:
    return None


_FALLBACKS: Mapping[OnUnrepresentable, _Fallback] = {
    "text": _as_text,
    "error": _as_error,
    "null": _as_null,
}


# Decoders: the common case first, without a look at the value where Python checks it anyway


def _date_decoder(fallback: _Fallback) -> _Decoder:
    def decode(value: tuple[int], /, *, from_ordinal: Any = date.fromordinal) -> Any:
        try:
            return from_ordinal(value[0] + _EPOCH_ORDINAL)
        except (ValueError, OverflowError):
            return fallback("date", _date_text(value[0]))

    return decode


def _timestamp_decoder(name: str, epoch: datetime, offset: str, fallback: _Fallback) -> _Decoder:
    def decode(value: tuple[int]) -> Any:
        try:
            return epoch + timedelta(0, 0, value[0])
        except OverflowError:
            return fallback(name, _timestamp_text(value[0], offset))

    return decode


def _time_decoder(fallback: _Fallback) -> _Decoder:
    def decode(value: tuple[int]) -> Any:
        if value[0] < _DAY:
            return (_EPOCH + timedelta(0, 0, value[0])).time()
        return fallback("time", _clock_text(value[0]))

    return decode


def _timetz_decoder(fallback: _Fallback) -> _Decoder:
    def decode(value: tuple[int, int]) -> Any:
        # PostgreSQL counts seconds west of Greenwich, Python east.
        microseconds, seconds_west = value
        if microseconds < _DAY:
            offset = timezone(timedelta(0, -seconds_west))
            return (_EPOCH + timedelta(0, 0, microseconds)).time().replace(tzinfo=offset)
        return fallback("timetz", _clock_text(microseconds) + _offset_text(-seconds_west))

    return decode


def _interval_decoder(fallback: _Fallback) -> _Decoder:
    def decode(value: tuple[int, int, int]) -> Any:
        months, days, microseconds = value
        if not months:
            try:
                return timedelta(days, 0, microseconds)
            except OverflowError:
                pass
        return fallback("interval", _interval_text(months, days, microseconds))

    return decode


def _decode_float4(value: bytes) -> float:
    """The float that is written like the float4, instead of the one that equals it."""
    (widened,) = _FLOAT4.unpack(value)
    size = abs(widened)
    if size < _FLOAT4_TIES and widened.is_integer():
        return widened  # type: ignore[no-any-return]
    for form in _FLOAT4_FORMS if size >= _FLOAT4_NORMAL else _FLOAT4_SHORT_FORMS:
        shortest = float(form % widened)
        if _FLOAT4.pack(shortest) == value and not (
            size >= _FLOAT4_TIES and _is_tie(shortest, widened)
        ):
            return shortest
    return math.copysign(_FLOAT4_UNEVEN.get(size, float(f"{size:.9g}")), widened)


def _is_tie(shortest: float, widened: float) -> bool:
    """Whether *shortest* is midway to the next float4; PostgreSQL then writes one digit more."""
    neighbour = 2 * shortest - widened
    return neighbour != widened and _FLOAT4.unpack(_FLOAT4.pack(neighbour)) == (neighbour,)


# PostgreSQL's texts


def _date_text(days: int) -> str:
    if days in (_INT32_MIN, _INT32_MAX):
        return _infinity_text(days)
    text, era = _day_text(days)
    return text + era


def _timestamp_text(microseconds: int, offset: str) -> str:
    if microseconds in (_INT64_MIN, _INT64_MAX):
        return _infinity_text(microseconds)
    days, clock = divmod(microseconds, _DAY)
    text, era = _day_text(days)
    return f"{text} {_clock_text(clock)}{offset}{era}"


def _infinity_text(sign: int) -> str:
    return "infinity" if sign > 0 else "-infinity"


def _day_text(days: int) -> tuple[str, str]:
    """The day without its era, and the era, which comes last in a timestamp."""
    # The calendar repeats itself every 400 years, and Python knows the first 400.
    cycle, day = divmod(days + _EPOCH_ORDINAL - 1, _DAYS_IN_400_YEARS)
    alike = date.fromordinal(day + 1)
    year = alike.year + 400 * cycle
    era = "" if year > 0 else " BC"
    return f"{year if year > 0 else 1 - year:04}-{alike:%m-%d}", era


def _clock_text(microseconds: int) -> str:
    """Hours, minutes, seconds and the fraction that is not zero, of a time that is not negative."""
    seconds, fraction = divmod(microseconds, _SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    text = f"{hour:02}:{minute:02}:{second:02}"
    return f"{text}.{fraction:06}".rstrip("0") if fraction else text


def _offset_text(seconds: int) -> str:
    """An offset east of Greenwich, without minutes and seconds that are zero."""
    minutes, second = divmod(abs(seconds), 60)
    hour, minute = divmod(minutes, 60)
    text = f"{'-' if seconds < 0 else '+'}{hour:02}"
    if minute or second:
        text += f":{minute:02}"
    return f"{text}:{second:02}" if second else text


def _interval_text(months: int, days: int, microseconds: int) -> str:
    if (months, days, microseconds) == (_INT32_MAX, _INT32_MAX, _INT64_MAX):
        return "infinity"
    if (months, days, microseconds) == (_INT32_MIN, _INT32_MIN, _INT64_MIN):
        return "-infinity"
    years, months = divmod(months, 12) if months > 0 else (-(-months // 12), -(-months % 12))
    parts: list[str] = []
    negative = False
    for value, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if value:
            # A plus is written only where the part before was negative.
            plus = "+" if negative and value > 0 else ""
            parts.append(f"{plus}{value} {unit}{'' if value == 1 else 's'}")
            negative = value < 0
    if microseconds or not parts:
        sign = "-" if microseconds < 0 else "+" if negative else ""
        parts.append(sign + _clock_text(abs(microseconds)))
    return " ".join(parts)


# Encoders: what asyncpg does with a parameter, in its tuple format


def _encode_date(value: date) -> tuple[int]:
    days = value.toordinal() - _EPOCH_ORDINAL
    return (_INFINITE_DAYS.get(days, days),)


def _encode_timestamp(value: date) -> tuple[int]:
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return _microseconds_since(_EPOCH, value)


def _encode_timestamptz(value: date) -> tuple[int]:
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if value.tzinfo is None and value in (_EARLIEST, _LATEST):
        return _microseconds_since(_EPOCH, value)
    return _microseconds_since(_EPOCH_UTC, value.astimezone(UTC))


def _microseconds_since(epoch: datetime, value: datetime) -> tuple[int]:
    microseconds = (value - epoch) // timedelta.resolution
    return (_INFINITE_MICROSECONDS.get(microseconds, microseconds),)


def _encode_time(value: time) -> tuple[int]:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return (seconds * _SECOND + value.microsecond,)


def _encode_timetz(value: time) -> tuple[int, int]:
    offset = value.utcoffset()
    if offset is None:
        raise ValueError("a time with time zone needs an offset")
    return (*_encode_time(value), -int(offset.total_seconds()))


def _encode_interval(value: timedelta) -> tuple[int, int, int]:
    return (0, value.days, value.seconds * _SECOND + value.microseconds)
