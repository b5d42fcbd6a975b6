"""`ExportResult`: what an export tells when it is done."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ("ExportResult",)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export made.

    Attributes:
        rows: Records written, without the header.
        skipped: Rows left out because they failed.
        bytes: Length of the output.
        sha256: Hexadecimal digest of the output.
        elapsed: Seconds from the start to the last byte.
        format: Name of the format.
        strategy: Who rendered: ``server``, ``rows`` or ``instances``.
        transport: How rows arrived: ``copy``, ``cursor``, ``stream`` or ``iterable``.
        columns: The headers.
    """

    rows: int
    skipped: int
    bytes: int
    sha256: str
    elapsed: float
    format: str
    strategy: str
    transport: str
    columns: tuple[str, ...]
