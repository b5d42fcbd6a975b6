"""What is known of values by their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

__all__ = ("ByType",)

_T = TypeVar("_T")


class ByType(dict[type, _T]):
    """What is *known* by type; a type that is not there gets what the first of its bases has.

    Args:
        known: By type, in order: subclasses before their bases, ``object`` last. Where ``Enum``
            comes before ``int`` and ``str``, it is also for enums whose members are such.
    """

    def __init__(self, known: Mapping[type, _T]) -> None:
        super().__init__(known)
        # Not looked up in the table itself, which may grow in another thread meanwhile.
        self._bases = tuple(known)

    def __missing__(self, cls: type) -> _T:
        found = next(self[base] for base in self._bases if issubclass(cls, base))
        self[cls] = found
        return found
