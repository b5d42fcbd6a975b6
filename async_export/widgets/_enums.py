"""Members of enums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from async_export.postgres import texts
from async_export.postgres.texts import Expression
from async_export.types import Cell, Kind, LogicalType
from async_export.widgets._auto import AUTO
from async_export.widgets._base import Widget, one_of

__all__ = ("EnumLookup", "EnumWidget")

EnumLookup: TypeAlias = Mapping[Any, str] | Callable[[Any], str]
"""From a member of an enum to the text that the database stores for it."""

_SQL_TYPES: Final = frozenset({"enum", "text", "varchar"})


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
        self.show = one_of("show", show, ("stored", "name", "value"))
        self.lookup = lookup
        self._stored = lookup.__getitem__ if isinstance(lookup, Mapping) else lookup

    @property
    def logical_type(self) -> LogicalType:
        """Text, unless values are shown: these may be anything."""
        return LogicalType(Kind.ANY if self._shows_values() else Kind.TEXT)

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the text of the member."""
        return AUTO.render(self._shown(value))

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the same text; where values are shown, the value with its type."""
        return self._shown(value)

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the stored text, if that is what is shown."""
        if not self._shows_stored(type):
            return None
        if type == "enum":
            return texts.own_text(column, may_be_empty=True)
        return texts.unchanged(column, is_text=True)

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - likewise
        """Return the column, if the stored text is shown."""
        return column if self._shows_stored(type) else None

    def _shows_stored(self, type: str) -> bool:  # noqa: A002 - likewise
        # Without a lookup the value of a member is shown, which may be stored under its name.
        return self.show == "stored" and self.lookup is not None and type in _SQL_TYPES

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
