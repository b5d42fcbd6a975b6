"""Light rows: what a hook with `@depends` receives in place of a mapped object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

__all__ = ("LightRow", "Related", "UndeclaredReadError", "light_row_class")


class UndeclaredReadError(Exception):
    """A hook read what its ``@depends`` does not declare.

    It is no AttributeError, so that ``getattr`` with a default cannot hide it.
    """


@dataclass(frozen=True, slots=True)
class Related:
    """Where a related row has its values.

    Attributes:
        presence: Position of a column that is null only if there is no related row.
        values: Positions of its columns, and of rows related to it.
    """

    presence: int
    values: Mapping[str, Values]


Values: TypeAlias = int | Related
"""Position of a value in the cells of a row, or where the values of a related row are."""


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


def _value(position: int) -> property:
    return property(lambda row: row._cells[position])  # noqa: SLF001 - its own class's


def _related(related: Related, row_class: type[LightRow]) -> property:
    presence = related.presence

    def read(row: LightRow) -> LightRow | None:
        cells = row._cells  # noqa: SLF001 - its own class's
        return None if cells[presence] is None else row_class(cells)

    return property(read)
