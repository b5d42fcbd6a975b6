"""Ranges and multiranges."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from async_export.postgres import texts
from async_export.postgres.texts import Expression
from async_export.types import Cell
from async_export.widgets._auto import AUTO
from async_export.widgets._base import LISTS, DatabaseTextWidget
from async_export.widgets._dates import astimezone

__all__ = ("RangeWidget", "is_range")


class RangeWidget(DatabaseTextWidget):
    """Ranges in PostgreSQL's form, ``[1,10)``, and lists of them as multiranges, ``{[1,2),[5,7)}``.

    The range objects of SQLAlchemy, asyncpg and psycopg serve. Aware datetimes are in UTC, as
    PostgreSQL writes them with ``TimeZone=UTC``.
    """

    expects = "a range or a list of ranges"

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return PostgreSQL's own text; that of ``tstzrange`` follows the session's zone."""
        return texts.own_text(column) if type in _SQL_TYPES else None

    def _shown(self, value: Any) -> Cell:
        if isinstance(value, LISTS):
            return f"{{{','.join(map(self._range, value))}}}"
        return self._range(value)

    def _range(self, value: Any) -> str:
        if not is_range(type(value)):
            refused: str = self._unusual(value, None)
            return refused
        if value.isempty:
            return "empty"
        lower, upper = value.lower, value.upper
        # An infinite bound is never inclusive, whatever the object says.
        opening = "[" if lower is not None and value.lower_inc else "("
        closing = "]" if upper is not None and value.upper_inc else ")"
        return f"{opening}{_bound_text(lower)},{_bound_text(upper)}{closing}"


_SQL_TYPES: Final = frozenset(
    f"{values}{shape}"
    for values in ("int4", "int8", "num", "date", "ts")
    for shape in ("range", "multirange")
)


def is_range(cls: type) -> bool:
    return all(hasattr(cls, name) for name in ("isempty", "lower_inc", "upper_inc"))


_QUOTED_BOUND = re.compile(r'[ \t\n\v\f\r"\\()\[\],]')


def _bound_text(bound: Any) -> str:
    """The bound of a range as PostgreSQL's ``range_out`` writes it."""
    if bound is None:
        return ""
    text: str = _timestamp_text(bound) if isinstance(bound, datetime) else AUTO.render(bound)
    if text and not _QUOTED_BOUND.search(text):
        return text
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '""'))


def _timestamp_text(value: datetime) -> str:
    aware = value.utcoffset() is not None
    naive = (astimezone(value, UTC) if aware else value).replace(tzinfo=None)
    text = datetime.isoformat(naive, " ")
    if naive.microsecond:
        text = text.rstrip("0")
    return f"{text}+00" if aware else text
