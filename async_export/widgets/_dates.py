"""Dates, datetimes and their zones, times of day and durations."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from async_export.errors import ConfigurationError
from async_export.postgres import texts
from async_export.postgres.texts import Expression
from async_export.types import Cell, Kind, UnrepresentableText
from async_export.widgets._base import Widget, copy_with

__all__ = (
    "DateTimeWidget",
    "DateWidget",
    "DurationWidget",
    "IntervalWidget",
    "TimeWidget",
    "astimezone",
    "parse_timezone",
)


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

    def __init__(self, format: str | None = None) -> None:  # noqa: A002 - strftime's word
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

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the date as text, that of ``timestamptz`` in UTC."""
        pattern = "%F" if self._pattern is None else self._pattern
        if type == "timestamp":
            return texts.timestamp_text(column, pattern)
        if type == "timestamptz":
            return texts.instant_text(column, UTC, pattern)
        if type != "date":
            return None
        if self._pattern is None:
            return texts.unchanged(column)
        return texts.date_text(column, pattern)

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - likewise
        """Return the column where it is a date."""
        return column if type == "date" else None


class DateTimeWidget(Widget):
    """Datetimes as ``2024-01-31 09:05:00``: fraction and offset are not shown.

    Aware ones are converted to *timezone*; naive ones stay as they are. What Python cannot hold is
    shown as the database writes it, without fraction and offset if no *format* is given.

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
        format: str | None = None,  # noqa: A002 - strftime's word
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
            return self._own_text(value)
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

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the datetime as text.

        An instant that has no equal in the zone, which `render` refuses, is shown in UTC if there
        is a format, and else in the year 0 or 10000.
        """
        if type == "timestamp":
            return self._timestamp_sql(column)
        return self._instant_sql(column, self.timezone or UTC) if type == "timestamptz" else None

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - likewise
        """Return the column, if its datetimes are naive or in UTC."""
        in_utc = texts.is_utc(self.timezone or UTC)
        return column if type == "timestamp" or (type == "timestamptz" and in_utc) else None

    @property
    def sql_is_definition(self) -> bool:
        """Whether the zone is one that the database looks up in tables of its own."""
        return self.timezone is not None and texts.is_named(self.timezone)

    def with_timezone(self, zone: tzinfo) -> Widget:
        """Return a copy that converts to *zone*, or itself when it has a zone of its own."""
        return self if self.timezone is not None else copy_with(self, timezone=zone)

    def _own_text(self, value: Any) -> Cell:
        if self.format is None and isinstance(value, UnrepresentableText):
            return UnrepresentableText(_FRACTION_AND_OFFSET.sub("", value))
        return self._unusual(value, "")

    def _timestamp_sql(self, column: Expression) -> Expression | None:
        if self.format is None:
            return texts.timestamp_seconds(column)
        if self.format == "iso":
            return texts.timestamp_isoformat(column)
        return texts.timestamp_text(column, self.format)

    def _instant_sql(self, column: Expression, zone: tzinfo) -> Expression | None:
        if self.format is None:
            return texts.instant_seconds(column, zone)
        if self.format == "iso":
            return texts.instant_isoformat(column, zone)
        return texts.instant_text(column, zone, self.format)

    def _converted(self, value: datetime) -> datetime:
        zone = self.timezone
        # Without the second test, astimezone would take the machine's own zone.
        if zone is None or value.utcoffset() is None:
            return value
        return astimezone(value, zone)


class TimeWidget(Widget):
    """Times of day as ``09:05:00``: fraction and offset are not shown, not even of ``24:00:00``.

    Args:
        format: How, in ``strftime``'s terms; ``"iso"`` for ISO 8601 with fraction and offset;
            None for the form above.

    Raises:
        ConfigurationError: *format* is none that ``strftime`` takes.
    """

    kind = Kind.TIME
    accepts = (time,)
    expects = "a time"

    def __init__(self, format: str | None = None) -> None:  # noqa: A002 - strftime's word
        self.format = _checked_format(format)

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the time as text."""
        if not isinstance(value, time):
            return self._own_text(value)
        if self.format is None:
            return time.isoformat(value, "seconds")[:8]
        if self.format == "iso":
            return time.isoformat(value)
        return value.strftime(self.format)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return *value* itself."""
        return value if isinstance(value, time) else self._unusual(value, None)

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the time as text; of ``timetz`` only the form without a format."""
        if type == "timetz":
            return texts.timetz_seconds(column) if self.format is None else None
        if type != "time":
            return None
        if self.format is None:
            return texts.time_seconds(column)
        if self.format == "iso":
            return texts.time_isoformat(column)
        return texts.time_text(column, self.format)

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - likewise
        """Return the column, if it has no offset."""
        return column if type == "time" else None

    def _own_text(self, value: Any) -> Cell:
        if self.format is None and isinstance(value, UnrepresentableText):
            return UnrepresentableText(value[:8])
        return self._unusual(value, "")


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

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the duration as text."""
        return texts.interval_text(column) if type == "interval" else None


class IntervalWidget(DurationWidget):
    """Intervals of a database: as `DurationWidget`."""


def parse_timezone(zone: tzinfo | str) -> tzinfo:
    """Return the zone of this name; a zone is returned as it is.

    Args:
        zone: A zone, or a name from the IANA database, such as ``"Europe/Paris"``.

    Raises:
        ConfigurationError: there is no such zone on this machine.
    """
    if isinstance(zone, tzinfo):
        return zone
    if isinstance(zone, str) and zone.upper() == "UTC":
        # Known even where no time zone database is installed.
        return UTC
    try:
        return ZoneInfo(zone)
    except (LookupError, OSError, TypeError, ValueError):
        raise ConfigurationError(
            f"unknown timezone {zone!r}; names look like 'Europe/Paris', and come from the system"
            " or the package tzdata"
        ) from None


def astimezone(value: datetime, zone: tzinfo) -> datetime:
    try:
        return value.astimezone(zone)
    except OverflowError:
        raise OverflowError(f"a datetime in year 1 or 9999 has no equal in {zone}") from None


_FRACTION_AND_OFFSET = re.compile(r"(?<=:\d\d)(\.\d+)?(\+00)?(?= BC$|$)")
"""In PostgreSQL's text of a timestamp."""


def _checked_format(pattern: str | None) -> str | None:
    if pattern is None:
        return None
    try:
        datetime(2000, 1, 1, tzinfo=UTC).strftime(pattern)
    except (TypeError, ValueError):
        raise ConfigurationError(f"not a format of dates and times: {pattern!r}") from None
    return pattern


_YEAR_DIRECTIVE = re.compile("%[%YGCF]")


def _strftime(day: date, pattern: str) -> str:
    """Like ``strftime``, with four digits for the years before 1000 on every platform."""
    if day.year < 1000:  # noqa: PLR2004 - four digits

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
