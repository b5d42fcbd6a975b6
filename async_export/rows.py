"""Light rows: what a hook with `@depends` receives in place of a mapped object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar, Final, TypeAlias

__all__ = (
    "NEVER",
    "LightRow",
    "Related",
    "UndeclaredReadError",
    "Value",
    "Values",
    "light_row_class",
)


class UndeclaredReadError(Exception):
    """A hook read what its ``@depends`` does not declare.

    It is no AttributeError, so that ``getattr`` with a default cannot hide it.
    """


NEVER: Final = object()
"""A cell that there never is, for values of which none is None without a look."""


@dataclass(frozen=True, slots=True)
class Value:
    """Where a light row has one of its values.

    Attributes:
        position: Its position in the cells of a row.
        decode: Makes of that cell what the mapped object would have, when a hook reads it; None
            if the cell is the value.
        null: The cell of which that is None, without a look by `decode`.
    """

    position: int
    decode: Callable[[Any], Any] | None = None
    null: Any = NEVER

    def of_cell(self) -> Callable[[Any], Any]:
        """Give the function that makes the value of its cell."""
        decode, null = self.decode, self.null
        if decode is None:
            return lambda cell: cell
        return lambda cell: None if cell == null else decode(cell)

    def reader(self) -> Callable[[Any], Any]:
        """Give the function that reads the value from the cells of a row."""
        position, decode, null = self.position, self.decode, self.null
        if decode is None:
            return itemgetter(position)
        return lambda cells: None if cells[position] == null else decode(cells[position])


@dataclass(frozen=True, slots=True)
class Related:
    """Where a related row has its values.

    Attributes:
        presence: Position of a cell that is null only if there is no related row.
        values: Its values, and rows related to it.
        null: What that cell is when it is null.
    """

    presence: int
    values: Mapping[str, Values]
    null: Any = None


Values: TypeAlias = Value | Related
"""Where a value is, or the values of a related row are."""


class LightRow:
    """A read-only row of the columns that one hook declares to read."""

    __slots__ = ("_cells",)

    _hook: ClassVar[str] = ""
    _path: ClassVar[str] = ""

    def __init__(self, cells: Sequence[Any]) -> None:
        self._cells = cells

    def __repr__(self) -> str:
        names = [name for name in vars(type(self)) if not name.startswith("_")]
        return f"<row of {', '.join(names)}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UndeclaredReadError(
            f"{self._hook} reads {self._path + name!r}; add it to its @depends(...)"
        )


def light_row_class(values: Mapping[str, Values], hook: str, path: str = "") -> type[LightRow]:
    """Make the class of rows for one hook.

    Args:
        values: By attribute name, where its value is among the cells.
        hook: Name of the hook, for errors.
        path: Path from the model with a dot at the end; empty for the model itself.
    """
    members: dict[str, Any] = {"__slots__": (), "_hook": hook, "_path": path}
    for name, value in values.items():
        if isinstance(value, Related):
            members[name] = _related(value, light_row_class(value.values, hook, f"{path}{name}."))
        else:
            members[name] = _value(value)
    return type("LightRow", (LightRow,), members)


def _value(value: Value) -> property:
    position, decode, null = value.position, value.decode, value.null
    if decode is None:
        return property(lambda row: row._cells[position])  # noqa: SLF001 - its own class's

    def read(row: LightRow) -> Any:
        cell = row._cells[position]  # noqa: SLF001 - its own class's
        return None if cell == null else decode(cell)

    return property(read)


def _related(related: Related, row_class: type[LightRow]) -> property:
    presence, null = related.presence, related.null

    def read(row: LightRow) -> LightRow | None:
        cells = row._cells  # noqa: SLF001 - its own class's
        return None if cells[presence] == null else row_class(cells)

    return property(read)
