"""Relations: the keys of related objects, or other attributes of them."""

from __future__ import annotations

from datetime import tzinfo
from json import JSONEncoder
from typing import Any

from async_export.errors import ConfigurationError
from async_export.postgres.texts import Expression
from async_export.types import Cell, Kind, UnrepresentableText
from async_export.widgets._auto import AUTO
from async_export.widgets._base import LISTS, Widget, copy_with
from async_export.widgets._containers import ItemsWidget, checked_separator, item_cell, item_text

__all__ = ("ForeignKeyWidget", "ManyToManyWidget")


class _RelationWidget(ItemsWidget):
    """What widgets over relations share: values as texts by their Python type."""

    def with_timezone(self, zone: tzinfo) -> Widget:
        """Return a copy that renders datetimes in this timezone."""
        return copy_with(self, item=(self.item or AUTO).with_timezone(zone))


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
        if value is None:
            return ""
        if self.use_natural_foreign_keys and not isinstance(value, UnrepresentableText):
            return _encode_natural_key(self._natural_key(value))
        item = self.item or AUTO
        if isinstance(value, tuple):
            return ",".join([item.render(each, **kwargs) for each in value])
        return item.render(value, **kwargs)

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return the value; a list for composite and natural keys. Errors are those of `render`."""
        if value is None or isinstance(value, UnrepresentableText):
            return value
        if self.use_natural_foreign_keys:
            return self._natural_key(value)
        item = self.item or AUTO
        if isinstance(value, tuple):
            return [item.native(each, **kwargs) for each in value]
        return item.native(value, **kwargs)

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return what the item's widget gives for the value."""
        item = None if self.use_natural_foreign_keys else self.item
        return None if item is None else item.render_sql(column, type)

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - likewise
        """Return what the item's widget gives for the value."""
        item = None if self.use_natural_foreign_keys else self.item
        return None if item is None else item.native_sql(column, type)

    @property
    def sql_is_definition(self) -> bool:
        """Whether that of the item's widget is."""
        return self.item is not None and self.item.sql_is_definition

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
        self.separator = checked_separator(separator)
        self.field = None if field is None else _checked_field(field)

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the values' texts, joined."""
        if not isinstance(value, LISTS):
            return self._unusual(value, "")
        item = self.item or AUTO
        return self.separator.join([item_text(each, item, kwargs) for each in value])

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return a list of the values' native cells."""
        if not isinstance(value, LISTS):
            return self._unusual(value, None)
        item = self.item or AUTO
        return [item_cell(each, item, kwargs) for each in value]


def _checked_field(field: str) -> str:
    if not field:
        raise ConfigurationError('the field must have a name; "pk" is the primary key')
    return field


_encode_natural_key = JSONEncoder(ensure_ascii=False).encode
