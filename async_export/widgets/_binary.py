"""Bytes and bit strings."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Literal

from async_export.postgres import texts
from async_export.postgres.texts import Expression
from async_export.types import Cell, Kind
from async_export.widgets._base import BYTES, DatabaseTextWidget, Widget, one_of

__all__ = ("BinaryWidget", "BitWidget", "is_bit_string")


class BinaryWidget(Widget):
    """Bytes as text.

    Args:
        encoding: ``"hex"``, in lower case without prefix, or ``"base64"`` without line breaks.

    Raises:
        ConfigurationError: *encoding* is neither.
    """

    kind = Kind.BINARY
    accepts = BYTES
    expects = "bytes"

    def __init__(self, encoding: Literal["hex", "base64"] = "hex") -> None:
        self.encoding = one_of("encoding", encoding, ("hex", "base64"))

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the bytes as text."""
        if not isinstance(value, BYTES):
            return self._unusual(value, "")
        return value.hex() if self.encoding == "hex" else b64encode(value).decode("ascii")

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the text of ``bytea``."""
        if type != "bytea":
            return None
        return texts.hex_text(column) if self.encoding == "hex" else texts.base64_text(column)

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return bytes, whatever buffer they came in."""
        if isinstance(value, BYTES):
            return bytes(value)
        return self._unusual(value, None)


class BitWidget(DatabaseTextWidget):
    """Bit strings as zeros and ones: strings, or asyncpg's ``BitString``."""

    expects = "a bit string"

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the bits; there may be none."""
        return texts.own_text(column, may_be_empty=True) if type in {"bit", "varbit"} else None

    def _shown(self, value: Any) -> Cell:
        if isinstance(value, str):
            return self._text(value)
        if not is_bit_string(type(value)):
            return self._unusual(value, None)
        # asyncpg groups them by four.
        return value.as_string().replace(" ", "")


def is_bit_string(cls: type) -> bool:
    return hasattr(cls, "as_string") and hasattr(cls, "to_int")
