"""Expressions whose text on PostgreSQL is the text that Python shows of the value.

The text is what ``COPY … (FORMAT csv)`` writes and what ``CAST(… AS TEXT)`` gives. An expression is
NULL where its column is, and the empty string stays the empty string. Its ``.type`` says what it
is: a ``String`` is text, a `NeverEmpty` is text that is never empty, anything else is not text and
never empty.

They hold with ``DateStyle='ISO, YMD'``, ``IntervalStyle=postgres``, ``extra_float_digits=1``,
``bytea_output=hex`` and ``standard_conforming_strings=on``, in any ``TimeZone``. Moments that
Python cannot hold are shown as PostgreSQL writes them in UTC.

Most forms read their column several times: what is volatile or costly belongs in a subquery.
Constants are part of the SQL, never bind parameters, so that COPY can carry them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Double,
    Enum,
    Integer,
    Numeric,
    String,
    Text,
    and_,
    case,
    cast,
    extract,
    func,
    literal_column,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import INTERVAL, TIMESTAMP
from sqlalchemy.types import NullType

__all__ = (
    "Expression",
    "NeverEmpty",
    "array_text",
    "base64_text",
    "boolean_text",
    "date_text",
    "float4_form",
    "float4_text",
    "float8_form",
    "float8_text",
    "hex_text",
    "inet_text",
    "instant_isoformat",
    "instant_seconds",
    "instant_text",
    "interval_text",
    "is_named",
    "is_utc",
    "jsonb_text",
    "own_text",
    "padded_text",
    "quoted",
    "time_isoformat",
    "time_seconds",
    "time_text",
    "timestamp_isoformat",
    "timestamp_seconds",
    "timestamp_text",
    "timetz_seconds",
    "to_char_pattern",
    "unchanged",
    "utc_isoformat",
)

Expression: TypeAlias = ColumnElement[Any]

_pg = func.pg_catalog
"""Functions with their schema: another one whose arguments fit better, in a schema of the search
path, would be taken in place of PostgreSQL's own."""


class NeverEmpty(Text):
    """Text that is never the empty string, so that ``nullif(…, '')`` has nothing to do."""


def _const(sql: str) -> Expression:
    return literal_column(sql)


# Text, bytes and what is shown as PostgreSQL has it


def quoted(text: str) -> Expression | None:
    """Return *text* as a literal of SQL; None if PostgreSQL cannot hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    if "\0" in text:
        return None
    literal = "'{}'".format(text.replace("'", "''"))
    # Its meaning must not depend on standard_conforming_strings.
    return _const("E" + literal.replace("\\", r"\\") if "\\" in literal else literal)


def unchanged(column: Expression, *, is_text: bool = False) -> Expression:
    """The column itself, for types of which COPY writes what Python shows.

    Args:
        column: The column, of whatever type the model has.
        is_text: Whether the type in the database is text.
    """
    counts_as_text = isinstance(column.type, String) and not isinstance(column.type, Enum)
    if is_text:
        return column if counts_as_text else type_coerce(column, Text())
    return _bare(column) if isinstance(column.type, String) else column


def own_text(column: Expression, *, may_be_empty: bool = False) -> Expression:
    """PostgreSQL's own text of the value."""
    return cast(column, Text() if may_be_empty else NeverEmpty())


def padded_text(column: Expression) -> Expression:
    """``char(n)`` with its blanks, which a cast to text would strip."""
    return _pg.textin(_pg.bpcharout(column), type_=Text())


def hex_text(column: Expression) -> Expression:
    """``bytea`` as ``bytes.hex()``."""
    return _pg.encode(column, _const("'hex'"), type_=Text())


def base64_text(column: Expression) -> Expression:
    """``bytea`` in base64, without PostgreSQL's line breaks."""
    lines = _pg.encode(column, _const("'base64'"))
    return _pg.replace(lines, _const(r"E'\n'"), _const("''"), type_=Text())


def inet_text(column: Expression) -> Expression:
    """``inet`` as COPY writes it: a cast to text would add ``/32``."""
    return _pg.abbrev(column, type_=NeverEmpty())


def jsonb_text(column: Expression) -> Expression:
    """``jsonb`` as PostgreSQL writes it; the JSON ``null`` is NULL."""
    return func.nullif(own_text(column), _const("'null'"), type_=NeverEmpty())


def array_text(column: Expression, separator: Expression) -> Expression:
    """An array's elements, joined; one of several dimensions as PostgreSQL writes it.

    Args:
        column: The array, of elements of which PostgreSQL's own text is right.
        separator: What stands between two elements.
    """
    joined = _pg.array_to_string(column, separator, _const("'None'"))
    nested = _pg.array_ndims(column) > _const("1")
    return type_coerce(case((nested, cast(column, Text())), else_=joined), Text())


def _bare(column: Expression) -> Expression:
    """The column without the operators of its type in the model."""
    return type_coerce(column, NullType())


def _never_empty(expression: Expression) -> Expression:
    return type_coerce(expression, NeverEmpty())


# Numbers and booleans


def boolean_text(column: Expression) -> Expression:
    """A boolean as ``1`` or ``0``."""
    return cast(column, Integer())


def float8_text(column: Expression) -> Expression:
    """``double precision`` as Python's ``repr()``, but never with an exponent."""
    return float8_form(column, _FLOAT_TEXTS, _digits)


def float4_text(column: Expression) -> Expression:
    """``real`` as the float that is written alike, never with an exponent."""
    return float4_form(column, _FLOAT_TEXTS, _digits)


def float8_form(
    column: Expression,
    specials: Mapping[str, str],
    exponential: Callable[[Expression], Expression],
) -> Expression:
    """``double precision`` as Python's ``repr()``.

    Args:
        column: The float.
        specials: What is shown for the zeros, the infinities and not a number, as literals of SQL.
        exponential: What to make of a text where that of ``repr()`` has an exponent.
    """
    value = _bare(column)
    return _float_form(value, specials, exponential, "1e15", _shortest_text(value))


def float4_form(
    column: Expression,
    specials: Mapping[str, str],
    exponential: Callable[[Expression], Expression],
) -> Expression:
    """``real`` as the ``repr()`` of the float that is written alike; args as for `float8_form`."""
    value = _bare(column)
    return _float_form(value, specials, exponential, "1e6", own_text(value))


_FLOAT_TEXTS: Final = {
    "'0'": "'0.0'",
    "'-0'": "'-0.0'",
    "'NaN'": "'nan'",
    "'Infinity'": "'inf'",
    "'-Infinity'": "'-inf'",
}
"""Texts of Python by those of PostgreSQL."""


def _float_form(
    value: Expression,
    specials: Mapping[str, str],
    exponential: Callable[[Expression], Expression],
    plain_below: str,
    shortest: Expression,
) -> Expression:
    text, size = own_text(value), _pg.abs(value)
    plain = and_(size >= _const("1e-4"), size < _const(plain_below))
    return _never_empty(
        case(
            (plain, _with_point(value, text)),
            *[(text == _const(own), _const(shown)) for own, shown in specials.items()],
            (size < _const("1"), exponential(text)),
            (size < _const("1e16"), _with_point(value, _digits(text))),
            else_=exponential(shortest),
        )
    )


def _shortest_text(value: Expression) -> Expression:
    """The shortest text that reads back as this ``double precision`` of at least 1e16.

    From 2^54 to 1e40 numbers of few digits may lie midway between two floats. They read back as the
    one that is even, so that Python takes them for its text; PostgreSQL does not.
    """
    text, size = own_text(value), _pg.abs(value)
    settled = (size < _const(str(2**54))) | (size > _const("1e40"))
    tries = [_rounded_text(value, places) for places in (14, 15)]
    return case(
        (settled, text),
        *[(cast(rounded, Double()) == value, rounded) for rounded in tries],
        else_=text,
    )


def _rounded_text(value: Expression, places: int) -> Expression:
    rounded = _pg.ltrim(_pg.to_char(value, _const(f"'9.{'9' * places}EEEE'")))
    return _pg.regexp_replace(rounded, _const(r"E'\\.?0+e'"), _const("'e'"))


def _with_point(value: Expression, text: Expression) -> Expression:
    return case((value == _pg.trunc(value), text.concat(_const("'.0'"))), else_=text)


def _digits(text: Expression) -> Expression:
    """The text of a float without exponent."""
    return cast(cast(text, Numeric()), Text())


# Dates, timestamps and times in a form of strftime's

_DIRECTIVES: Final = {
    "%": '"%"',
    "D": "MM/DD/YY",
    "F": "YYYY-MM-DD",
    "G": "IYYY",
    "H": "HH24",
    "I": "HH12",
    "M": "MI",
    "R": "HH24:MI",
    "S": "SS",
    "T": "HH24:MI:SS",
    "V": "IW",
    "Y": "YYYY",
    "d": "DD",
    "f": "US",
    "j": "DDD",
    "m": "MM",
    "u": "ID",
    "y": "YY",
}
"""What ``to_char`` has in place of the directives of ``strftime`` that no locale changes."""

_PIECES = re.compile("%(.?)|([^%]+)", re.DOTALL)


def to_char_pattern(pattern: str) -> str | None:
    """Translate a pattern of ``strftime`` for ``to_char``; None if that cannot say the same."""
    pieces = []
    for directive, verbatim in _PIECES.findall(pattern):
        if not verbatim and directive not in _DIRECTIVES:
            return None
        pieces.append(_verbatim(verbatim) if verbatim else _DIRECTIVES[directive])
    # Nothing stands between them, but without it YY and YY would be YYYY.
    return '""'.join(pieces) or None


def _verbatim(text: str) -> str:
    return '"{}"'.format(text.replace("\\", r"\\").replace('"', r"\""))


def _formatted(moment: Expression, pattern: str) -> Expression | None:
    """The text of a timestamp by a pattern of ``strftime``."""
    translated = to_char_pattern(pattern)
    literal = None if translated is None else quoted(translated)
    return None if literal is None else _pg.to_char(moment, literal)


def _or_else(condition: Any, text: Expression | None, otherwise: Expression) -> Expression | None:
    return None if text is None else _never_empty(case((condition, text), else_=otherwise))


def date_text(column: Expression, pattern: str) -> Expression | None:
    """``date`` by a pattern of ``strftime``; None if there is no such form."""
    value = _bare(column)
    held = and_(value >= _const("DATE '0001-01-01'"), value <= _const("DATE '9999-12-31'"))
    return _or_else(held, _formatted(cast(value, TIMESTAMP()), pattern), own_text(value))


def timestamp_text(column: Expression, pattern: str) -> Expression | None:
    """``timestamp`` by a pattern of ``strftime``; None if there is no such form."""
    value = _bare(column)
    return _or_else(_is_held(value), _formatted(value, pattern), own_text(value))


def time_text(column: Expression, pattern: str) -> Expression | None:
    """``time`` by a pattern of ``strftime``, of which the date is 1900-01-01; None if none is."""
    value = _bare(column)
    moment = _const("DATE '1900-01-01'") + value
    return _or_else(value < _const("TIME '24:00'"), _formatted(moment, pattern), own_text(value))


# Dates, timestamps and times in the usual forms


def timestamp_seconds(column: Expression) -> Expression:
    """``timestamp`` as ``2024-01-31 09:05:00``, without its fraction."""
    return _pg.date_trunc(_const("'second'"), column, type_=TIMESTAMP())


def time_seconds(column: Expression) -> Expression:
    """``time`` as ``09:05:00``, without its fraction."""
    return _pg.date_trunc(_const("'second'"), column, type_=INTERVAL())


def timetz_seconds(column: Expression) -> Expression:
    """``timetz`` as ``09:05:00``, without fraction and offset."""
    return _pg.left(own_text(column), _const("8"), type_=NeverEmpty())


def time_isoformat(column: Expression) -> Expression:
    """``time`` as ``time.isoformat()``, whose fraction has six digits or none."""
    text = own_text(column)
    whole = _pg.octet_length(text) == _const("8")
    return _never_empty(case((whole, text), else_=_pg.rpad(text, _const("15"), _const("'0'"))))


def timestamp_isoformat(column: Expression, mark: str = "") -> Expression:
    """``timestamp`` as ``datetime.isoformat()``, with *mark* before and after it."""
    value = _bare(column)
    own = _between(own_text(value), mark)
    return _never_empty(case((_is_held(value), _isoformat(value, mark, mark)), else_=own))


def _isoformat(moment: Expression, before: str, after: str) -> Expression:
    # Within the pattern what is around it costs less than when it is appended.
    whole = _pg.date_trunc(_const("'second'"), moment) == moment
    forms = [_formatted(moment, f"{before}{form}{after}") for form in ("%FT%T", "%FT%T.%f")]
    return case((whole, forms[0]), else_=forms[1])


def _between(text: Expression, mark: str) -> Expression:
    return _const(f"'{mark}'").concat(text).concat(_const(f"'{mark}'")) if mark else text


def _is_held(value: Expression) -> ColumnElement[bool]:
    """Whether Python can hold a timestamp."""
    earliest, end = _const("TIMESTAMP '0001-01-01'"), _const("TIMESTAMP '10000-01-01'")
    return and_(value >= earliest, value < end)


# Timestamps with time zone


def is_utc(zone: tzinfo) -> bool:
    """Tell whether a zone shows every instant as UTC does."""
    return zone == UTC or _name(zone) in {"UTC", "Etc/UTC"}


def is_named(zone: tzinfo) -> bool:
    """Tell whether Python and PostgreSQL each look a zone up, in tables that may differ."""
    return bool(_name(zone)) and not is_utc(zone)


def instant_seconds(column: Expression, zone: tzinfo) -> Expression | None:
    """``timestamptz`` in a zone, without fraction and offset; None if PostgreSQL lacks the zone."""
    value = _bare(column)
    if is_utc(zone):
        return timestamp_seconds(_in_utc(value))
    moment = _in_zone(value, zone)
    if moment is None:
        return None
    # Far from what Python holds, the way to the zone may overflow.
    held = _is_between(value, _EARLIEST, _LATEST)
    moments = case((held, moment), else_=_in_utc(value))
    return timestamp_seconds(moments)


def instant_text(column: Expression, zone: tzinfo, pattern: str) -> Expression | None:
    """``timestamptz`` in a zone by a pattern of ``strftime``; None if there is no such form."""
    value = _bare(column)
    moment = _in_zone(value, zone)
    text = None if moment is None else _formatted(moment, pattern)
    return _or_else(_is_held_in(value, zone), text, _own_instant_text(value))


def instant_isoformat(column: Expression, zone: tzinfo) -> Expression | None:
    """``timestamptz`` in a zone as ``datetime.isoformat()``; None if PostgreSQL lacks the zone."""
    value = _bare(column)
    moment = _in_zone(value, zone)
    if moment is None:
        return None
    if is_named(zone):
        text = _isoformat(moment, "", "").concat(_offset_text(moment - _in_utc(value)))
    else:
        text = _isoformat(moment, "", time(tzinfo=zone).isoformat()[len("HH:MM:SS") :])
    return _or_else(_is_held_in(value, zone), text, _own_instant_text(value))


def utc_isoformat(column: Expression, mark: str) -> Expression:
    """``timestamptz`` as ``datetime.isoformat()`` in UTC, with *mark* before and after it."""
    value = _bare(column)
    text = _isoformat(_in_utc(value), mark, f"+00:00{mark}")
    own = _between(_own_instant_text(value), mark)
    return _never_empty(case((_is_held_in(value, UTC), text), else_=own))


_EARLIEST, _LATEST = datetime.min, datetime.max  # noqa: DTZ901 - in UTC, without saying so
_DAY, _NOTHING = timedelta(days=1), timedelta()


def _name(zone: tzinfo) -> str:
    """The name by which PostgreSQL knows a zone; empty if it has none, or means another one."""
    # Of names without a slash PostgreSQL takes some for abbreviations: CET for an hour, all year.
    name = zone.key if type(zone) is ZoneInfo else ""
    return name if name == "UTC" or "/" in (name or "") else ""


def _in_utc(value: Expression) -> Expression:
    return _pg.timezone(_const("'UTC'"), value)


def _in_zone(value: Expression, zone: tzinfo) -> Expression | None:
    """The ``timestamp`` that clocks show in a zone; None if PostgreSQL cannot tell."""
    if is_utc(zone):
        return _in_utc(value)
    if isinstance(zone, timezone):
        offset = zone.utcoffset(None)
        if offset % timedelta(seconds=1):
            return None
        # As a text, its sign would be POSIX's.
        seconds = offset // timedelta(seconds=1)
        return _pg.timezone(_const(f"INTERVAL '{seconds} seconds'"), value)
    name = quoted(_name(zone)) if _name(zone) else None
    return None if name is None else _pg.timezone(name, value)


def _is_held_in(value: Expression, zone: tzinfo) -> ColumnElement[bool]:
    """Whether Python can hold an instant, in UTC and in the zone."""
    first = (_EARLIEST + _DAY).replace(tzinfo=zone).utcoffset() or _NOTHING
    last = (_LATEST - _DAY).replace(tzinfo=zone).utcoffset() or _NOTHING
    return _is_between(value, _EARLIEST - min(first, _NOTHING), _LATEST - max(last, _NOTHING))


def _is_between(value: Expression, first: datetime, last: datetime) -> ColumnElement[bool]:
    bounds = [_const(f"TIMESTAMPTZ '{bound.isoformat(' ')}+00'") for bound in (first, last)]
    return and_(value >= bounds[0], value <= bounds[1])


def _offset_text(ahead: Expression) -> Expression:
    """An offset as ``isoformat()`` shows it: seconds only if there are any."""
    sign = case((ahead < _const("INTERVAL '0'"), _const("''")), else_=_const("'+'"))
    return sign.concat(_pg.regexp_replace(cast(ahead, Text()), _const("':00$'"), _const("''")))


def _own_instant_text(value: Expression) -> Expression:
    """PostgreSQL's own text in UTC, whatever the session's zone."""
    text = _pg.regexp_replace(
        cast(_in_utc(value), Text()), _const("'( BC)?$'"), _const(r"E'+00\\1'")
    )
    return case((_pg.isfinite(value), text), else_=cast(value, Text()))


# Intervals


def interval_text(column: Expression) -> Expression:
    """``interval`` as ``str(timedelta)``; with months, and out of its range, as PostgreSQL's."""
    value = _bare(column)
    text = own_text(value)
    short = _pg.octet_length(text) == _const("8")
    return _never_empty(
        case(
            # What most intervals are, at a third of the cost.
            (
                and_(_is_from(value, "0", "10 hours"), short),
                _pg.substr(text, _const("2")),
            ),
            (and_(_is_from(value, "10 hours", "24 hours"), short), text),
            (_is_timedelta(value), _timedelta_text(value)),
            else_=text,
        )
    )


def _is_from(value: Expression, first: str, end: str) -> ColumnElement[bool]:
    return and_(value >= _const(f"INTERVAL '{first}'"), value < _const(f"INTERVAL '{end}'"))


def _is_timedelta(value: Expression) -> ColumnElement[bool]:
    zero = _const("0")
    return and_(
        _is_from(value, "-999999999 days", "1000000000 days"),
        _pg.date_part(_const("'year'"), value) == zero,
        _pg.date_part(_const("'month'"), value) == zero,
    )


def _timedelta_text(value: Expression) -> Expression:
    days = _days(value)
    shown = case(
        (_const("0"), _const("''")),
        (_const("1"), _const("'1 day, '")),
        (_const("-1"), _const("'-1 day, '")),
        value=days,
        else_=cast(days, Text()).concat(_const("' days, '")),
    )
    # Python counts days back and hours onward, and so does adding to a time.
    clock = _const("TIME '00:00'") + value
    whole = _pg.octet_length(cast(clock, Text())) == _const("8")
    forms = [_pg.to_char(clock, _const(f"'FMHH24:MI:SS{form}'")) for form in ("", ".US")]
    return shown.concat(case((whole, forms[0]), else_=forms[1]))


def _days(value: Expression) -> Expression:
    """The days of an interval without months, rounded down, those in its hours included."""
    # A quotient would be rounded to sixteen digits. div is exact but rounds towards zero, so that
    # it gets a number above that.
    seconds = extract("epoch", value) + _const("86400000000000")
    return _pg.div(seconds, _const("86400")) - _const("1000000000")
