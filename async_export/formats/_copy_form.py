"""How COPY of PostgreSQL carries a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from async_export.formats._framing import Framing
from async_export.formats._splicing import Splice
from async_export.types import Column

__all__ = ("CopyForm",)


@dataclass(frozen=True, slots=True)
class CopyForm:
    """How ``COPY … TO STDOUT (FORMAT csv)`` carries the records of a format.

    Attributes:
        cells: Whether the values are the cells' text, or JSON text without control characters.
        delimiter: What COPY puts between values.
        quote: What it quotes with.
        null: What it writes for NULL.
        framing: Makes the framing of an export without hooks, for its columns.
        splice: Makes the splice of an export with hooks, for its columns and the number of cells
            of a record that hooks make.
        least_columns: Fewer columns would be written in another way than the format does.
    """

    cells: Literal["text", "json"]
    delimiter: str
    quote: str
    null: str
    framing: Callable[[Sequence[Column]], Framing]
    splice: Callable[[Sequence[Column], int], Splice]
    least_columns: int = 1

    @property
    def options(self) -> Mapping[str, str]:
        """The options of COPY."""
        return {"delimiter": self.delimiter, "quote": self.quote, "null": self.null}
