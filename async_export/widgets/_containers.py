"""Values that hold others: arrays and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from enum import Enum
from inspect import iscoroutinefunction
from json import JSONEncoder
from typing import Any, Final, Self

from async_export.errors import ConfigurationError
from async_export.postgres import texts
from async_export.postgres.texts import Expression
from async_export.types import Cell, Kind, UnrepresentableText
from async_export.widgets._auto import AUTO
from async_export.widgets._base import BYTES, LISTS, Widget, copy_with, has_members
from async_export.widgets._binary import BitWidget
from async_export.widgets._enums import EnumWidget
from async_export.widgets._identifiers import InetWidget
from async_export.widgets._ranges import RangeWidget, is_range

__all__ = (
    "ItemsWidget",
    "JSONWidget",
    "SequenceWidget",
    "SimpleArrayWidget",
    "checked_separator",
    "item_cell",
    "item_text",
)

_ARRAYS: Final[Mapping[type, tuple[str, ...]]] = {
    type(None): (
        "bpchar[]",
        "date[]",
        "enum[]",
        "int2[]",
        "int4[]",
        "int8[]",
        "name[]",
        "oid[]",
        "text[]",
        "uuid[]",
        "varchar[]",
    ),
    BitWidget: ("bit[]", "varbit[]"),
    EnumWidget: ("enum[]",),
    InetWidget: ("cidr[]", "inet[]"),
}
"""The arrays of which PostgreSQL shows each element as the item's widget does."""

_CONTAINERS = (dict, list, tuple)

_UNSPEAKABLE = (*BYTES, Enum)
"""Types of which ``str()`` shows Python source."""


class ItemsWidget(Widget):
    """What widgets of several values share: *item*, the widget of each of them."""

    def __init__(self, item: Widget | None) -> None:
        self.item = None if item is None else self._checked(item)

    def with_item(self, item: Widget) -> Self:
        """Return a copy with this widget for each value, or itself when it already has one.

        Raises:
            ConfigurationError: *item* renders with ``async def``.
        """
        return self if self.item is not None else copy_with(self, item=self._checked(item))

    def with_timezone(self, zone: tzinfo) -> Widget:
        """Return a copy of which the item has this timezone, or itself when that is the same."""
        item = self.item and self.item.with_timezone(zone)
        return self if item is self.item else copy_with(self, item=item)

    def _checked(self, item: Widget) -> Widget:
        if iscoroutinefunction(item.render):
            raise ConfigurationError(f"{type(self).__name__}: render of item must not be async")
        return item


class SimpleArrayWidget(ItemsWidget):
    """Lists and tuples, their values joined. None is ``None``; separators are not escaped.

    Args:
        separator: What stands between two values, at least one character.
        item: The widget of the values; None for their ``str()``.

    Raises:
        ConfigurationError: *separator* is empty, or *item* renders with ``async def``.
    """

    kind = Kind.LIST
    accepts = LISTS
    expects = "a list or tuple"

    def __init__(self, separator: str = ",", item: Widget | None = None) -> None:
        super().__init__(item)
        self.separator = checked_separator(separator)

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the values' texts, joined."""
        if not isinstance(value, LISTS):
            return self._unusual(value, "")
        if self.item is None:
            return self.separator.join([str(each) for each in value])
        return self.separator.join([item_text(each, self.item, kwargs) for each in value])

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return a list of the values' native cells."""
        if not isinstance(value, LISTS):
            return self._unusual(value, None)
        if self.item is None:
            return list(value)
        return [item_cell(each, self.item, kwargs) for each in value]

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the elements' texts, joined, if they are PostgreSQL's own.

        What the model declares to have several dimensions is for Python.
        """
        separator = texts.quoted(self.separator)
        if separator is None or not self._shows_own_texts(column, type):
            return None
        return texts.array_text(column, separator)

    @property
    def sql_is_definition(self) -> bool:
        """Always: PostgreSQL's arrays may have more dimensions than the model says.

        The database shows these in its own way, Python the inner ones as Python source.
        """
        return True

    def _shows_own_texts(self, column: Expression, array: str) -> bool:
        dimensions = getattr(column.type, "dimensions", None) or 1
        if dimensions > 1 or array not in _ARRAYS.get(type(self.item), ()):
            return False
        if self.item is None:
            return not has_members(column)
        return self.item.render_sql(column, array.removesuffix("[]")) is not None


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

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return PostgreSQL's own text of ``jsonb``, unless Python's options ask for another."""
        return texts.jsonb_text(column) if type == "jsonb" and self.sql_is_definition else None

    @property
    def sql_is_definition(self) -> bool:
        """Whether it is PostgreSQL's text, whose numbers keep their digits, as 1.10 does."""
        return not (self.ensure_ascii or self.sort_keys)


class SequenceWidget(Widget):
    """Lists and tuples of anything: what they hold decides."""

    accepts = LISTS

    def render(self, value: Any, **kwargs: Any) -> Cell:
        """Return the text of the list."""
        return _widget_of_items(value).render(value, **kwargs)

    def native(self, value: Any, **kwargs: Any) -> Cell:
        """Return the typed cell of the list."""
        return _widget_of_items(value).native(value, **kwargs)


def checked_separator(separator: str) -> str:
    if not separator:
        raise ConfigurationError("the separator must have at least one character")
    return separator


def item_text(value: Any, item: Widget, kwargs: Mapping[str, Any]) -> str:
    if value is None:
        return "None"
    if isinstance(value, list):
        # An inner dimension looks as str() would show it.
        return f"[{', '.join([item_text(each, item, kwargs) for each in value])}]"
    text: str = item.render(value, **kwargs)
    return text


def item_cell(value: Any, item: Widget, kwargs: Mapping[str, Any]) -> Cell:
    if isinstance(value, list):
        return [item_cell(each, item, kwargs) for each in value]
    return item.native(value, **kwargs)


_ARRAY = SimpleArrayWidget()
_ARRAY_OF_ANY = SimpleArrayWidget(item=AUTO)
_JSON = JSONWidget()
_RANGE = RangeWidget()


def _widget_of_items(value: list[Any] | tuple[Any, ...]) -> Widget:
    types = {type(each) for each in value}
    if any(issubclass(cls, _CONTAINERS) for cls in types):
        return _JSON
    if types and all(map(is_range, types)):
        return _RANGE
    plain = not any(issubclass(cls, _UNSPEAKABLE) for cls in types)
    return _ARRAY if plain else _ARRAY_OF_ANY
