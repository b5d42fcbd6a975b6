"""What names things by number: UUIDs and network addresses."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any
from uuid import UUID

from async_export.postgres import texts
from async_export.postgres.texts import Expression
from async_export.types import Cell, Kind
from async_export.widgets._base import DatabaseTextWidget, Widget

__all__ = ("InetWidget", "UUIDWidget")

_IPV4 = (IPv4Address, IPv4Network)


class UUIDWidget(Widget):
    """UUIDs in their usual form: 36 characters, lower case."""

    kind = Kind.UUID
    accepts = (UUID,)
    expects = "a UUID"

    def render(self, value: Any, **_kwargs: Any) -> Cell:
        """Return the UUID as text."""
        return str(value) if isinstance(value, UUID) else self._unusual(value, "")

    def native(self, value: Any, **_kwargs: Any) -> Cell:
        """Return *value* itself."""
        return value if isinstance(value, UUID) else self._unusual(value, None)

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the column, which is in the usual form."""
        return texts.unchanged(column) if type == "uuid" else None

    def native_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - likewise
        """Return the column."""
        return column if type == "uuid" else None


class InetWidget(DatabaseTextWidget):
    """Network addresses in PostgreSQL's form, as ``ipaddress`` objects or strings.

    It differs from Python's own only where IPv4 is embedded: ``::ffff:1.2.3.4`` here.
    """

    accepts = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
    expects = "an IP address or network"

    def render_sql(self, column: Expression, type: str) -> Expression | None:  # noqa: A002 - PostgreSQL's word
        """Return the text of ``inet`` and ``cidr``."""
        if type == "inet":
            return texts.inet_text(column)
        return texts.unchanged(column) if type == "cidr" else None

    def _shown(self, value: Any) -> Cell:
        if isinstance(value, IPv6Interface):
            return f"{_ipv6_text(value.ip)}/{value.network.prefixlen}"
        if isinstance(value, IPv6Network):
            return f"{_ipv6_text(value.network_address)}/{value.prefixlen}"
        if isinstance(value, IPv6Address):
            return _ipv6_text(value)
        if isinstance(value, str):
            return value
        return str(value) if isinstance(value, _IPV4) else self._unusual(value, None)


def _ipv6_text(address: IPv6Address) -> str:
    """PostgreSQL shows IPv4 addresses inside IPv6 ones; Python does not before 3.13."""
    high, low = divmod(int(address), 1 << 32)
    if high == 0xFFFF:  # noqa: PLR2004 - bit masks
        return f"::ffff:{IPv4Address(low)}"
    return f"::{IPv4Address(low)}" if high == 0 and low > 0xFFFF else str(address)  # noqa: PLR2004 - bit masks
