"""Widgets: from a value to a cell. They never know the output format.

A widget gives two cells for a value: ``render`` a text, ``native`` one that keeps its Python type.
In both, None is empty (``""`` and None), and `UnrepresentableText` passes unchanged. A value of the
wrong type raises TypeError: it is never dropped.

| widget | text | native |
|---|---|---|
| `Widget`, `CharWidget` | ``str(value)``, bytes as UTF-8 | unchanged; text for `CharWidget` |
| `NumberWidget` and its kin | all digits, never an exponent, never localized | unchanged |
| `BooleanWidget` | ``1`` or ``0`` | bool |
| `DateWidget` | ``2024-01-31`` | date |
| `DateTimeWidget` | ``2024-01-31 09:05:00`` | datetime in the widget's zone |
| `TimeWidget` | ``09:05:00`` | time |
| `DurationWidget`, `IntervalWidget` | ``2 days, 3:00:00`` | timedelta |
| `SimpleArrayWidget` | ``a,b,c`` | list |
| `JSONWidget` | JSON | unchanged |
| `ForeignKeyWidget` | text of the key | the key, or a list for composite ones |
| `ManyToManyWidget` | ``1,2,3`` | list |
| `UUIDWidget` | ``6f1c…`` | UUID |
| `EnumWidget` | the stored text | the same |
| `BinaryWidget` | hexadecimal or base64 | bytes |
| `RangeWidget`, `InetWidget`, `BitWidget` | PostgreSQL's own text | the same |
| `AutoWidget` | that of the value's Python type | likewise |
"""

from __future__ import annotations

import inspect
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from copy import copy
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from json import JSONEncoder
from numbers import Number
from typing import Any, ClassVar, Literal, Self, TypeAlias, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from async_export.errors import ConfigurationError
from async_export.types import Cell, Kind, LogicalType, UnrepresentableText

__all__ = (
    "AutoWidget",
    "BinaryWidget",
    "BitWidget",
    "BooleanWidget",
    "CharWidget",
    "DateTimeWidget",
    "DateWidget",
    "DecimalWidget",
    "DurationWidget",
    "EnumWidget",
    "FloatWidget",
    "ForeignKeyWidget",
    "InetWidget",
    "IntegerWidget",
    "IntervalWidget",
    "JSONWidget",
    "ManyToManyWidget",
    "NumberWidget",
    "RangeWidget",
    "SimpleArrayWidget",
    "TimeWidget",
    "UUIDWidget",
    "Widget",
    "parse_timezone",
)

W = TypeVar("W", bound="Widget")

EnumLookup: TypeAlias = Mapping[Any, str] | Callable[[Any], str]
"""From a member of an enum to the text that the database stores for it."""

_EXACT_NUMBERS = frozenset({int, float, Decimal})
_BYTES = (bytes, bytearray, memoryview)
_LISTS = (list, tuple)
_CONTAINERS = (dict, list, tuple)
_IPV4 = (IPv4Address, IPv4Network)


class Widget:
    """Any value as its ``str()``, bytes as UTF-8; the base of all widgets.

    A subclass overrides `render`, with ``def`` or ``async def``, and `native` where typed formats
    should get something else than the value itself.

    Attributes:
        kind: What the native cells are.
        accepts: The types of values for which `AutoWidget` prefers this widget.
        expects: The values it takes, for error messages.
    """

    kind: ClassVar[Kind] = Kind.ANY
    accepts: ClassVar[tuple[type, ...]] = ()
    expects: ClassVar[str] = "a value"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the text cell of *value*: ``""`` for None.

        Args:
            value: What the field's attribute, or the database, gave.
            _kwargs: The keywords that the caller passed to the export.

        Raises:
            TypeError: *value* is none of what the widget takes; the message names types only.
        """
        return value if type(value) is str else self._text(value)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the typed cell of *value*: None for None.

        Args and errors are those of `render`.
        """
        return value

    def with_timezone(self, zone: tzinfo) -> Widget:  # noqa: ARG002
        """Return the widget to use in an export of which *zone* is the timezone.

        Called once per export. A widget without a zone of its own whose values may hold datetimes
        answers with a copy, all others with themselves.
        """
        return self

    @property
    def logical_type(self) -> LogicalType:
        """The type of the native cells, as far as the widget alone knows it."""
        return LogicalType(self.kind)

    def _text(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, UnrepresentableText):
            return value
        if isinstance(value, str):
            # A subclass may show something else in __str__: an enum its own name.
            return str.__str__(value)
        if isinstance(value, _BYTES):
            return self._decoded(bytes(value))
        return str(value)

    def _decoded(self, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            # Not chained: that error holds the value.
            name = type(self).__name__
            raise ValueError(f"{name} got bytes that are not UTF-8; use BinaryWidget") from None

    def _unusual(self, value: Any, empty: Cell) -> Cell:
        """Return *empty* for None, the database's own text as it is, and refuse all else."""
        if value is None:
            return empty
        if isinstance(value, UnrepresentableText):
            return value
        found = type(value).__name__
        raise TypeError(f"{type(self).__name__} expected {self.expects}, not {found}")

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters.values()
        options = [(p.name, getattr(self, p.name, p.default), p.default) for p in parameters]
        shown = (f"{name}={value!r}" for name, value, default in options if value != default)
        return f"{type(self).__name__}({', '.join(shown)})"


class CharWidget(Widget):
    """Text: ``str(value)``, bytes as UTF-8."""

    kind = Kind.TEXT
    accepts = (str,)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the same text; None for None."""
        return None if value is None else self._text(value)


class NumberWidget(Widget):
    """Numbers with all their digits: never an exponent, never localized.

    Integers, floats and decimals, and any other ``numbers.Number`` as its ``str()``.
    """

    accepts = (int, float, Decimal, Number)
    expects = "a number"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the digits of *value*."""
        cls = type(value)
        if cls is int:
            return str(value)
        if cls is float:
            return _float_text(value)
        if cls is Decimal:
            return format(value, "f")
        return self._other(value)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return *value* itself."""
        if type(value) in _EXACT_NUMBERS or isinstance(value, Number):
            return value
        return self._unusual(value, None)

    def _other(self, value: Any) -> Cell:
        if value is None or isinstance(value, str):
            return self._unusual(value, "")
        if isinstance(value, bool):
            return str(value)
        # Subclasses may show something else than digits: an enum its name, numpy its type.
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, float):
            return _float_text(value)
        if isinstance(value, Decimal):
            return Decimal.__format__(value, "f")
        return str(value) if isinstance(value, Number) else self._unusual(value, "")


class IntegerWidget(NumberWidget):
    """Integers."""

    kind = Kind.INTEGER


class FloatWidget(NumberWidget):
    """Floats: the shortest digits that read back as the same float."""

    kind = Kind.FLOAT


class DecimalWidget(NumberWidget):
    """Decimals: with the scale they have."""

    kind = Kind.DECIMAL


class BooleanWidget(Widget):
    """Booleans as ``1`` and ``0``; the integers 1 and 0 count as booleans, as SQLite has them."""

    kind = Kind.BOOLEAN
    accepts = (bool,)
    expects = "a bool, 0 or 1"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return ``1`` or ``0``."""
        if value is True:
            return "1"
        if value is False:
            return "0"
        return str(int(value)) if _is_bit(value) else self._unusual(value, "")

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return a bool."""
        if value is True or value is False:
            return value
        return bool(value) if _is_bit(value) else self._unusual(value, None)


class DateWidget(Widget):
    """Dates as ``2024-01-31``; of a datetime its date, in the zone it has.

    Args:
        format: How, in ``strftime``'s terms; None and ``"iso"`` for the form above.

    Raises:
        ConfigurationError: *format* is none that ``strftime`` takes.
    """

    kind = Kind.DATE
    accepts = (date,)
    expects = "a date"

    def __init__(self, format: str | None = None) -> None:  # noqa: A002
        self.format = _checked_format(format)
        self._pattern = None if format == "iso" else format

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the date as text, its year in four digits."""
        if not isinstance(value, date):
            return self._unusual(value, "")
        if self._pattern is None:
            return date.isoformat(value)
        return _strftime(value, self._pattern)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return a date."""
        if isinstance(value, datetime):
            return value.date()
        return value if isinstance(value, date) else self._unusual(value, None)


class DateTimeWidget(Widget):
    """Datetimes as ``2024-01-31 09:05:00``: fraction and offset are not shown.

    Aware ones are converted to *timezone*; naive ones stay as they are.

    Args:
        format: How, in ``strftime``'s terms; ``"iso"`` for ISO 8601 with fraction and offset;
            None for the form above.
        timezone: A zone, or the name of one, such as ``"Europe/Paris"``; None for that of the
            export.

    Raises:
        ConfigurationError: *format* is none that ``strftime`` takes, or there is no such zone.
    """

    kind = Kind.DATETIME
    accepts = (datetime,)
    expects = "a datetime"

    def __init__(
        self,
        format: str | None = None,  # noqa: A002
        timezone: tzinfo | str | None = None,
    ) -> None:
        self.format = _checked_format(format)
        self.timezone = None if timezone is None else parse_timezone(timezone)

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the datetime as text, its year in four digits.

        Raises:
            TypeError: *value* is no datetime; a date is none.
            OverflowError: in the zone, its year would be below 1 or above 9999.
        """
        if not isinstance(value, datetime):
            return self._unusual(value, "")
        if value.tzinfo is not None:
            value = self._converted(value)
        if self.format is None:
            return datetime.isoformat(value, " ", "seconds")[:19]
        if self.format == "iso":
            return datetime.isoformat(value)
        return _strftime(value, self.format)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the datetime, an aware one in the zone; errors are those of `render`."""
        if not isinstance(value, datetime):
            return self._unusual(value, None)
        return value if value.tzinfo is None else self._converted(value)

    def with_timezone(self, zone: tzinfo) -> Widget:
        """Return a copy that converts to *zone*, or itself when it has a zone of its own."""
        return self if self.timezone is not None else _copy(self, timezone=zone)

    def _converted(self, value: datetime) -> datetime:
        zone = self.timezone
        # Without the second test, astimezone would take the machine's own zone.
        if zone is None or value.utcoffset() is None:
            return value
        return _astimezone(value, zone)


class TimeWidget(Widget):
    """Times of day as ``09:05:00``: fraction and offset are not shown.

    Args:
        format: How, in ``strftime``'s terms; ``"iso"`` for ISO 8601 with fraction and offset;
            None for the form above.

    Raises:
        ConfigurationError: *format* is none that ``strftime`` takes.
    """

    kind = Kind.TIME
    accepts = (time,)
    expects = "a time"

    def __init__(self, format: str | None = None) -> None:  # noqa: A002
        self.format = _checked_format(format)

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the time as text."""
        if not isinstance(value, time):
            return self._unusual(value, "")
        if self.format is None:
            return time.isoformat(value, "seconds")[:8]
        if self.format == "iso":
            return time.isoformat(value)
        return value.strftime(self.format)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return *value* itself."""
        return value if isinstance(value, time) else self._unusual(value, None)


class DurationWidget(Widget):
    """Durations as Python writes them: ``2 days, 3:00:00.000005``, ``-1 day, 23:00:00``."""

    kind = Kind.DURATION
    accepts = (timedelta,)
    expects = "a timedelta"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the duration as text."""
        if isinstance(value, timedelta):
            return timedelta.__str__(value)
        return self._unusual(value, "")

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return *value* itself."""
        return value if isinstance(value, timedelta) else self._unusual(value, None)


class IntervalWidget(DurationWidget):
    """Intervals of a database: as `DurationWidget`."""


class UUIDWidget(Widget):
    """UUIDs in their usual form: 36 characters, lower case."""

    kind = Kind.UUID
    accepts = (UUID,)
    expects = "a UUID"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the UUID as text."""
        return str(value) if isinstance(value, UUID) else self._unusual(value, "")

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return *value* itself."""
        return value if isinstance(value, UUID) else self._unusual(value, None)


class BinaryWidget(Widget):
    """Bytes as text.

    Args:
        encoding: ``"hex"``, in lower case without prefix, or ``"base64"`` without line breaks.

    Raises:
        ConfigurationError: *encoding* is neither.
    """

    kind = Kind.BINARY
    accepts = _BYTES
    expects = "bytes"

    def __init__(self, encoding: Literal["hex", "base64"] = "hex") -> None:
        self.encoding = _one_of("encoding", encoding, ("hex", "base64"))

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the bytes as text."""
        if not isinstance(value, _BYTES):
            return self._unusual(value, "")
        return value.hex() if self.encoding == "hex" else b64encode(value).decode("ascii")

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return bytes, whatever buffer they came in."""
        if isinstance(value, _BYTES):
            return bytes(value)
        return self._unusual(value, None)


class JSONWidget(Widget):
    """Any value that JSON can hold, as JSON; None is empty, not ``null``.

    Args:
        ensure_ascii: Whether to escape everything beyond ASCII.
        sort_keys: Whether to sort the keys of objects. The keyword ``sort_json_keys`` of an
            export, where given, counts instead.
    """

    kind = Kind.JSON
    accepts = (dict, list, tuple, str, int, float, bool)

    def __init__(self, ensure_ascii: bool = False, sort_keys: bool = False) -> None:
        self.ensure_ascii = ensure_ascii
        self.sort_keys = sort_keys
        # json.dumps would make an encoder for every value.
        self._encode = JSONEncoder(ensure_ascii=ensure_ascii).encode
        self._encode_sorted = JSONEncoder(ensure_ascii=ensure_ascii, sort_keys=True).encode

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the value as JSON.

        Raises:
            TypeError: something in *value* has no JSON form.
            ValueError: *value* holds itself.
        """
        if value is None or isinstance(value, UnrepresentableText):
            return self._unusual(value, "")
        if kwargs.get("sort_json_keys", self.sort_keys):
            return self._encode_sorted(value)
        return self._encode(value)


class EnumWidget(Widget):
    """Members of an enum.

    Args:
        show: ``"stored"`` for the text in the database, ``"name"`` or ``"value"`` of the member.
        lookup: From a member to its stored text: a mapping, or a function. Without one the
            value counts as stored.

    Plain strings pass: a database may hold labels that the enum does not have.

    Raises:
        ConfigurationError: *show* is none of the three.
    """

    kind = Kind.TEXT
    accepts = (Enum,)
    expects = "a member of an enum"

    def __init__(
        self,
        show: Literal["stored", "name", "value"] = "stored",
        lookup: EnumLookup | None = None,
    ) -> None:
        self.show = _one_of("show", show, ("stored", "name", "value"))
        self.lookup = lookup
        self._stored = lookup.__getitem__ if isinstance(lookup, Mapping) else lookup

    @property
    def logical_type(self) -> LogicalType:
        """Text, unless values are shown: these may be anything."""
        return LogicalType(Kind.ANY if self._shows_values() else Kind.TEXT)

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the text of the member."""
        return _AUTO.render(self._shown(value)) if value is not None else ""

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the same text; where values are shown, the value with its type."""
        return self._shown(value)

    def _shows_values(self) -> bool:
        return self.show == "value" or (self.show == "stored" and self._stored is None)

    def _shown(self, value: Any) -> Any:
        if not isinstance(value, Enum):
            return value if isinstance(value, str) else self._unusual(value, None)
        if self.show == "name":
            return value.name
        if self._stored is None or self.show == "value":
            return value.value
        try:
            return self._stored(value)
        except LookupError:
            # Not chained: that error holds the value.
            found = type(value).__name__
            raise ValueError(f"EnumWidget has no stored text for this member of {found}") from None


class InetWidget(Widget):
    """Network addresses in PostgreSQL's form, as ``ipaddress`` objects or strings.

    It differs from Python's own only where IPv4 is embedded: ``::ffff:1.2.3.4`` here.
    """

    kind = Kind.TEXT
    accepts = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
    expects = "an IP address or network"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the address as text."""
        return "" if value is None else self._address(value)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the same text; None for None."""
        return None if value is None else self._address(value)

    def _address(self, value: Any) -> Cell:
        if isinstance(value, IPv6Interface):
            return f"{_ipv6_text(value.ip)}/{value.network.prefixlen}"
        if isinstance(value, IPv6Network):
            return f"{_ipv6_text(value.network_address)}/{value.prefixlen}"
        if isinstance(value, IPv6Address):
            return _ipv6_text(value)
        return value if isinstance(value, str) else self._plain(value)

    def _plain(self, value: Any) -> Cell:
        known = isinstance(value, _IPV4)
        return str(value) if known else self._unusual(value, None)


class BitWidget(Widget):
    """Bit strings as zeros and ones: strings, or asyncpg's ``BitString``."""

    kind = Kind.TEXT
    expects = "a bit string"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the bits as text."""
        return "" if value is None else self._bits(value)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the same text; None for None."""
        return None if value is None else self._bits(value)

    def _bits(self, value: Any) -> Cell:
        if isinstance(value, str):
            return self._text(value)
        if not _is_bit_string(type(value)):
            return self._unusual(value, None)
        # asyncpg groups them by four.
        return value.as_string().replace(" ", "")


class RangeWidget(Widget):
    """Ranges in PostgreSQL's form, ``[1,10)``, and lists of them as multiranges, ``{[1,2),[5,7)}``.

    The range objects of SQLAlchemy, asyncpg and psycopg serve. Aware datetimes are in UTC, as
    PostgreSQL writes them with ``TimeZone=UTC``.
    """

    kind = Kind.TEXT
    expects = "a range or a list of ranges"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the range as text."""
        return "" if value is None else self._ranges(value)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the same text; None for None."""
        return None if value is None else self._ranges(value)

    def _ranges(self, value: Any) -> Cell:
        if isinstance(value, _LISTS):
            return f"{{{','.join(map(self._range, value))}}}"
        return self._range(value)

    def _range(self, value: Any) -> str:
        if not _is_range(type(value)):
            refused: str = self._unusual(value, None)
            return refused
        if value.isempty:
            return "empty"
        lower, upper = value.lower, value.upper
        # An infinite bound is never inclusive, whatever the object says.
        opening = "[" if lower is not None and value.lower_inc else "("
        closing = "]" if upper is not None and value.upper_inc else ")"
        return f"{opening}{_bound_text(lower)},{_bound_text(upper)}{closing}"


class _ItemsWidget(Widget):
    """What widgets of several values share: *item*, the widget of each of them."""

    def __init__(self, item: Widget | None) -> None:
        if item is not None and inspect.iscoroutinefunction(item.render):
            raise ConfigurationError(f"{type(self).__name__}: render of item must not be async")
        self.item = item

    def with_item(self, item: Widget) -> Self:
        """Return a copy with this widget for each value, or itself when it already has one."""
        return self if self.item is not None else _copy(self, item=item)

    def with_timezone(self, zone: tzinfo) -> Widget:
        """Return a copy of which the item has this timezone, or itself when that is the same."""
        item = self.item and self.item.with_timezone(zone)
        return self if item is self.item else _copy(self, item=item)


class SimpleArrayWidget(_ItemsWidget):
    """Lists and tuples, their values joined. None is ``None``; separators are not escaped.

    Args:
        separator: What stands between two values, at least one character.
        item: The widget of the values; None for their ``str()``.

    Raises:
        ConfigurationError: *separator* is empty, or *item* renders with ``async def``.
    """

    kind = Kind.LIST
    accepts = _LISTS
    expects = "a list or tuple"

    def __init__(self, separator: str = ",", item: Widget | None = None) -> None:
        super().__init__(item)
        self.separator = _checked_separator(separator)

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the values' texts, joined."""
        if not isinstance(value, _LISTS):
            return self._unusual(value, "")
        if self.item is None:
            return self.separator.join([str(each) for each in value])
        return self.separator.join([_item_text(each, self.item, kwargs) for each in value])

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return a list of the values' native cells."""
        if not isinstance(value, _LISTS):
            return self._unusual(value, None)
        if self.item is None:
            return list(value)
        return [_item_cell(each, self.item, kwargs) for each in value]


class _RelationWidget(_ItemsWidget):
    """What widgets over relations share: values as texts by their Python type."""

    def with_timezone(self, zone: tzinfo) -> Widget:
        """Return a copy that renders datetimes in this timezone."""
        return _copy(self, item=(self.item or _AUTO).with_timezone(zone))


class ForeignKeyWidget(_RelationWidget):
    """A to-one relation: the related object's key, or another attribute of it.

    The plan resolves *field*: what the widget gets is the value already, a tuple for a composite
    key. Only with *use_natural_foreign_keys* it gets the related object.

    Args:
        field: Path on the related object, dotted or with ``__``; ``"pk"`` for its primary key.
        use_natural_foreign_keys: Whether to show ``natural_key()`` of the related object, as JSON.
        item: The widget of the value; None for that of its Python type.

    Raises:
        ConfigurationError: *field* is empty, *field* and natural keys are both asked for, or *item*
            renders with ``async def``.
    """

    def __init__(
        self,
        field: str = "pk",
        use_natural_foreign_keys: bool = False,
        item: Widget | None = None,
    ) -> None:
        super().__init__(item)
        if use_natural_foreign_keys and field != "pk":
            raise ConfigurationError(
                f"ForeignKeyWidget shows a field or the natural key, not both: drop {field!r}"
            )
        self.field = _checked_field(field)
        self.use_natural_foreign_keys = use_natural_foreign_keys

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the text of the value; those of a composite key joined by commas.

        Raises:
            TypeError: natural keys are asked for and the object has none.
        """
        if value is None or isinstance(value, UnrepresentableText):
            return self._unusual(value, "")
        if self.use_natural_foreign_keys:
            return _encode_natural_key(self._natural_key(value))
        item = self.item or _AUTO
        if isinstance(value, tuple):
            return ",".join([item.render(each, **kwargs) for each in value])
        return item.render(value, **kwargs)

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return the value; a list for composite and natural keys. Errors are those of `render`."""
        if value is None or isinstance(value, UnrepresentableText):
            return value
        if self.use_natural_foreign_keys:
            return self._natural_key(value)
        item = self.item or _AUTO
        if isinstance(value, tuple):
            return [item.native(each, **kwargs) for each in value]
        return item.native(value, **kwargs)

    def _natural_key(self, related: Any) -> list[Any]:
        natural_key = getattr(related, "natural_key", None)
        if natural_key is None:
            name = type(related).__name__
            raise TypeError(f"{name} has no natural_key(): add it, or give the widget a field")
        return list(natural_key())


class ManyToManyWidget(_RelationWidget):
    """A to-many relation: the related objects' keys, or another attribute of each, joined.

    The plan resolves *field*: what the widget gets is the list of values. None is ``None``;
    separators are not escaped.

    Args:
        separator: What stands between two values, at least one character.
        field: Path on the related objects, dotted or with ``__``; None for their primary key.
        item: The widget of the values; None for that of their Python type.

    Raises:
        ConfigurationError: *separator* or *field* is empty, or *item* renders with ``async def``.
    """

    kind = Kind.LIST
    expects = "a list or tuple"

    def __init__(
        self, separator: str = ",", field: str | None = None, item: Widget | None = None
    ) -> None:
        super().__init__(item)
        self.separator = _checked_separator(separator)
        self.field = None if field is None else _checked_field(field)

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the values' texts, joined."""
        if not isinstance(value, _LISTS):
            return self._unusual(value, "")
        item = self.item or _AUTO
        return self.separator.join([_item_text(each, item, kwargs) for each in value])

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return a list of the values' native cells."""
        if not isinstance(value, _LISTS):
            return self._unusual(value, None)
        item = self.item or _AUTO
        return [_item_cell(each, item, kwargs) for each in value]


class AutoWidget(Widget):
    """Any value, by the widget of its Python type: decided once per type, then remembered.

    Lists and tuples of plain values are arrays; those that hold dicts or lists are JSON. What has
    no widget of its own is shown as its ``str()``.

    Args:
        preferred: A widget to use for the types that it accepts.
    """

    def __init__(self, preferred: Widget | None = None) -> None:
        self.preferred = preferred
        self.timezone: tzinfo | None = None
        self._chosen: dict[type, Widget] = {}

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the text of *value*; errors are those of the widget that was chosen."""
        return self._widget(type(value)).render(value, **kwargs)

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return the typed cell of *value*; errors are those of the widget that was chosen."""
        return self._widget(type(value)).native(value, **kwargs)

    def with_timezone(self, zone: tzinfo) -> Widget:
        """Return a copy that hands the timezone to the widgets it chooses."""
        return _copy(self, timezone=zone, _chosen={})

    def _widget(self, cls: type) -> Widget:
        widget = self._chosen.get(cls)
        if widget is None:
            widget = self._choice(cls)
            if self.timezone is not None:
                widget = widget.with_timezone(self.timezone)
            self._chosen[cls] = widget
        return widget

    def _choice(self, cls: type) -> Widget:
        base = _known_base(cls)
        accepted = self.preferred.accepts if self.preferred else ()
        # Of known types only the exact one counts: a bool is no number, a datetime no date.
        if self.preferred and (base in accepted if base else issubclass(cls, accepted)):
            return self.preferred
        return _widget_of_type(cls, base)


class _SequenceWidget(Widget):
    """Lists and tuples of anything: what they hold decides."""

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the text of the list."""
        return _widget_of_items(value).render(value, **kwargs)

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return the typed cell of the list."""
        return _widget_of_items(value).native(value, **kwargs)


def parse_timezone(zone: tzinfo | str) -> tzinfo:
    """Return the zone of this name; a zone is returned as it is.

    Args:
        zone: A zone, or a name from the IANA database, such as ``"Europe/Paris"``.

    Raises:
        ConfigurationError: there is no such zone on this machine.
    """
    if isinstance(zone, tzinfo):
        return zone
    if zone == "UTC":
        # Known even where no time zone database is installed.
        return UTC
    try:
        return ZoneInfo(zone)
    except (LookupError, OSError, TypeError, ValueError):
        raise ConfigurationError(
            f"unknown timezone {zone!r}; names look like 'Europe/Paris', and come from the system"
            " or the package tzdata"
        ) from None


# Text of single values


def _float_text(value: float) -> str:
    text = float.__repr__(value)
    return format(Decimal(text), "f") if "e" in text else text


_YEAR_DIRECTIVE = re.compile("%[%YGCF]")


def _strftime(day: date, pattern: str) -> str:
    """Like ``strftime``, with four digits for the years before 1000 on every platform."""
    if day.year < 1000:  # noqa: PLR2004

        def digits(match: re.Match[str]) -> str:
            directive = match[0]
            if directive == "%%":
                return directive
            if directive == "%F":
                return date.isoformat(day)
            if directive == "%C":
                return f"{day.year // 100:02}"
            return f"{day.isocalendar().year if directive == '%G' else day.year:04}"

        pattern = _YEAR_DIRECTIVE.sub(digits, pattern)
    return day.strftime(pattern)


def _astimezone(value: datetime, zone: tzinfo) -> datetime:
    try:
        return value.astimezone(zone)
    except OverflowError:
        raise OverflowError(f"a datetime in year 1 or 9999 has no equal in {zone}") from None


def _ipv6_text(address: IPv6Address) -> str:
    """PostgreSQL shows IPv4 addresses inside IPv6 ones; Python does not before 3.13."""
    high, low = divmod(int(address), 1 << 32)
    if high == 0xFFFF:  # noqa: PLR2004
        return f"::ffff:{IPv4Address(low)}"
    return f"::{IPv4Address(low)}" if high == 0 and low > 0xFFFF else str(address)  # noqa: PLR2004


_QUOTED_BOUND = re.compile(r'[ \t\n\v\f\r"\\()\[\],]')


def _bound_text(bound: Any) -> str:
    """The bound of a range as PostgreSQL's ``range_out`` writes it."""
    if bound is None:
        return ""
    text: str = _timestamp_text(bound) if isinstance(bound, datetime) else _AUTO.render(bound)
    if text and not _QUOTED_BOUND.search(text):
        return text
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '""'))


def _timestamp_text(value: datetime) -> str:
    aware = value.utcoffset() is not None
    naive = (_astimezone(value, UTC) if aware else value).replace(tzinfo=None)
    text = datetime.isoformat(naive, " ")
    if naive.microsecond:
        text = text.rstrip("0")
    return f"{text}+00" if aware else text


_encode_natural_key = JSONEncoder(ensure_ascii=False).encode


# Items of lists


def _item_text(value: Any, item: Widget, kwargs: Mapping[str, Any]) -> str:
    if value is None:
        return "None"
    if isinstance(value, list):
        # An inner dimension looks as str() would show it.
        return f"[{', '.join([_item_text(each, item, kwargs) for each in value])}]"
    text: str = item.render(value, **kwargs)
    return text


def _item_cell(value: Any, item: Widget, kwargs: Mapping[str, Any]) -> Cell:
    if isinstance(value, list):
        return [_item_cell(each, item, kwargs) for each in value]
    return item.native(value, **kwargs)


# Options


def _checked_format(pattern: str | None) -> str | None:
    if pattern is None:
        return None
    try:
        datetime(2000, 1, 1, tzinfo=UTC).strftime(pattern)
    except (TypeError, ValueError):
        raise ConfigurationError(f"not a format of dates and times: {pattern!r}") from None
    return pattern


def _checked_separator(separator: str) -> str:
    if not separator:
        raise ConfigurationError("the separator must have at least one character")
    return separator


def _checked_field(field: str) -> str:
    if not field:
        raise ConfigurationError('the field must have a name; "pk" is the primary key')
    return field


def _one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ConfigurationError(f"unknown {option} {value!r}; known: {', '.join(known)}")
    return value


def _copy(widget: W, **changes: Any) -> W:
    other = copy(widget)
    vars(other).update(changes)
    return other


# Choice by type


def _is_bit(value: Any) -> bool:
    return isinstance(value, int) and value in (0, 1)


def _is_range(cls: type) -> bool:
    return all(hasattr(cls, name) for name in ("isempty", "lower_inc", "upper_inc"))


def _is_bit_string(cls: type) -> bool:
    return hasattr(cls, "as_string") and hasattr(cls, "to_int")


def _known_base(cls: type) -> type | None:
    """The class above *cls* that decides its widget."""
    if issubclass(cls, Enum):
        # First, because an enum may be a str or int as well.
        return Enum
    nearest = next((base for base in cls.__mro__ if base in _WIDGETS), None)
    return Number if nearest is None and issubclass(cls, Number) else nearest


def _widget_of_type(cls: type, base: type | None) -> Widget:
    if base is not None:
        return _WIDGETS[base]
    if _is_range(cls):
        return RangeWidget()
    return BitWidget() if _is_bit_string(cls) else CharWidget()


def _widget_of_items(value: list[Any] | tuple[Any, ...]) -> Widget:
    types = {type(each) for each in value}
    if any(issubclass(cls, _CONTAINERS) for cls in types):
        return _JSON
    if types and all(map(_is_range, types)):
        return _RANGE
    plain = not any(issubclass(cls, _UNSPEAKABLE) for cls in types)
    return _ARRAY if plain else _ARRAY_OF_ANY


_UNSPEAKABLE = (*_BYTES, Enum)
"""Types of which ``str()`` shows Python source."""

_AUTO = AutoWidget()
_ARRAY = SimpleArrayWidget()
_ARRAY_OF_ANY = SimpleArrayWidget(item=_AUTO)
_JSON = JSONWidget()
_RANGE = RangeWidget()

_WIDGETS: dict[type, Widget] = {
    accepted: widget
    for widget in (
        CharWidget(),
        NumberWidget(),
        BooleanWidget(),
        DateWidget(),
        DateTimeWidget(),
        TimeWidget(),
        DurationWidget(),
        UUIDWidget(),
        EnumWidget(),
        BinaryWidget(),
        InetWidget(),
    )
    for accepted in widget.accepts
} | {dict: _JSON, list: _SequenceWidget(), tuple: _SequenceWidget()}
