"""Fields: what a resource declares for each output column, and `depends`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from sqlalchemy import Row
from sqlalchemy.types import TypeEngine, to_instance

from async_export.errors import ConfigurationError
from async_export.types import CellForm
from async_export.widgets import AutoWidget, Widget

__all__ = ("DEPENDS", "NO_TEXT", "Field", "depends", "read_path", "split_path")

NO_TEXT: Final = object()
"""What `Field.database_text` gives of an object that the database did not render."""

DEPENDS: Final = "__export_depends__"
"""Attribute of a hook that holds the paths it declares to read."""

_STEP = re.compile(r"\.|__(?=[^_])")

_Hook = TypeVar("_Hook", bound=Callable[..., Any])


def split_path(attribute: str) -> tuple[str, ...]:
    """Split a path such as ``author.name`` or ``author__name`` into its steps."""
    steps = tuple(_STEP.split(attribute))
    if not all(steps):
        raise ConfigurationError(f"{attribute!r} is not an attribute path; write it as 'a.b'")
    return steps


def depends(*paths: str) -> Callable[[_Hook], _Hook]:
    """Declare what a hook reads, so that no mapped object has to be built for it.

    The hook then receives a light read-only row that has these paths and the primary key.

    Args:
        paths: Attribute paths from the model, such as ``"price"`` or ``"author.country"``.

    Raises:
        ConfigurationError: a path is not a string.
    """
    if not all(isinstance(path, str) for path in paths):
        raise ConfigurationError('depends takes attribute names: @depends("price", "author.name")')

    def mark(hook: _Hook) -> _Hook:
        try:
            setattr(hook, DEPENDS, paths)
        except AttributeError:
            raise ConfigurationError(
                f"@depends marks a function written in Python, not {hook!r}"
            ) from None
        return hook

    return mark


class Field:
    """One output column.

    Args:
        attribute: Path of the value from the instance: ``"name"``, ``"author.name"`` or
            ``"author__name"``, through to-one relations, dicts, JSON, properties and methods
            without arguments. By default the attribute that has the field's own name.
        column_name: What the header shows. By default the field's name.
        widget: Turns the value into a cell. By default chosen by `type`, else by the column's
            SQLAlchemy type, else by the type of each value.
        dehydrate_method: A callable that takes the instance, or the name of a method of the
            resource; what it returns is the cell. By default ``dehydrate_<name>``, if it exists.
        type: SQLAlchemy type of a computed value; typed formats take its column type from it.
        number_format: Spreadsheet number format, such as ``"0.00"``.

    Attributes:
        name: The name under which the resource declares it; set by the resource.
        form: Whether its cells are text or native; set for each export.
        keep_none: Whether None stays None in text cells; set for each export.
        reader: Reads its value from an instance; set for each export.
        database_text: Finds the cell that the database rendered of an instance; set for each
            export, None if it renders none.

    Raises:
        ConfigurationError: an argument is of another type.
    """

    def __init__(
        self,
        attribute: str | None = None,
        column_name: str | None = None,
        widget: Widget | None = None,
        *,
        dehydrate_method: Callable[[Any], Any] | str | None = None,
        type: TypeEngine[Any] | type[TypeEngine[Any]] | None = None,  # noqa: A002 - design's name
        number_format: str | None = None,
    ) -> None:
        _expect("attribute", attribute, str)
        if attribute is not None:
            split_path(attribute)
        _expect("column_name", column_name, str)
        _expect("widget", widget, Widget)
        self.name = ""
        self.attribute = attribute
        self.column_name = column_name
        self.widget = widget
        self.dehydrate_method = dehydrate_method
        self.number_format = number_format
        self.type = None if type is None else _sqltype(type)
        self.form: CellForm = "text"
        self.keep_none = False
        self.reader: Callable[[Any], Any] | None = None
        self.database_text: Callable[[Any], Any] | None = None

    def __repr__(self) -> str:
        return f"<Field {self.name or '?'}: {self.header}>"

    @property
    def header(self) -> str:
        """What the header line shows."""
        return self.name if self.column_name is None else str(self.column_name)

    def get_value(self, instance: Any) -> Any:
        """Follow the path on *instance*; None where a step on the way is None.

        Absent keys of dicts give None; an attribute that an object does not have raises
        AttributeError, for it would be a misspelt name.
        """
        if self.reader is not None:
            return self.reader(instance)
        return read_path(instance, split_path(self.attribute or self.name))

    def export(self, instance: Any, **kwargs: Any) -> Any:
        """Give the cell of *instance*: its value, through the widget."""
        if self.database_text is not None:
            text = self.database_text(instance)
            if text is not NO_TEXT:
                return text
        return self.cell(self.get_value(instance), **kwargs)

    def cell(self, value: Any, **kwargs: Any) -> Any:
        """Turn *value* into a cell of the form that the export takes: text or native."""
        if value is None and self.keep_none:
            return None
        widget = self.widget or _AUTO
        make = widget.render if self.form == "text" else widget.native
        return make(value, **kwargs)


_AUTO = AutoWidget()


def _expect(name: str, value: object, expected: type) -> None:
    if value is not None and not isinstance(value, expected):
        raise ConfigurationError(
            f"Field({name}=...) takes a {expected.__name__}, not {_described(value)}"
        )


def _sqltype(given: Any) -> TypeEngine[Any]:
    is_type = isinstance(given, TypeEngine) or (
        isinstance(given, type) and issubclass(given, TypeEngine)
    )
    if not is_type:
        raise ConfigurationError(
            f"Field(type=...) takes a SQLAlchemy type such as Integer(), not {_described(given)}"
        )
    found: TypeEngine[Any] = to_instance(given)
    return found


def _described(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def read_path(value: Any, steps: tuple[str, ...]) -> Any:
    """Follow *steps* from *value* through objects, rows, dicts and lists."""
    for step in steps:
        if value is None:
            return None
        value = _read(value, step)
    if callable(value) and not isinstance(value, type):
        value = value()
        if hasattr(value, "__await__"):
            getattr(value, "close", lambda: None)()
            raise TypeError(
                f"{'.'.join(steps)} is async; await it in an 'async def dehydrate_...' hook"
            )
    return value


def _read(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, Row):
        return value._mapping[step]  # noqa: SLF001 - public, despite its name
    if isinstance(value, list | tuple) and step.isdecimal():
        return value[int(step)] if int(step) < len(value) else None
    return getattr(value, step)
