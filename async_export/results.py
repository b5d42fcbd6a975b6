"""`ExportResult`: what an export tells when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ("ExportResult", "Origin", "Progress", "Snapshot", "WorkbookResult")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an export is.

    Attributes:
        rows: Records made so far.
        bytes: Bytes made so far.
        total: How many records there will be, if that is known without counting them.
        elapsed: Seconds since the start.
    """

    rows: int
    bytes: int
    total: int | None
    elapsed: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the database that an export shows.

    Attributes:
        time: When it was taken, by the server's clock; None if that is not known.
        lsn: Where the server's log was then, as ``0/1A2B3C4D``; None if that is not known.
        isolation: Isolation level of the transaction, in lower case.
        unlocked: Relations that are read and could not be locked, such as materialized views.
    """

    time: datetime | None = None
    lsn: str | None = None
    isolation: str = ""
    unlocked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows of an export came from.

    Attributes:
        fingerprint: Hexadecimal digest of the queryset's SQL and parameters; empty if it is no
            statement. Who knows the SQL can find out by it whether a guessed parameter is right.
        snapshot: The state of the database; None if there was none.
        versions: By name, versions of what took part.
    """

    fingerprint: str = ""
    snapshot: Snapshot | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export made.

    Attributes:
        rows: Records written, without header, titles and footers.
        skipped: Rows left out because they failed.
        bytes: Length of the output.
        sha256: Hexadecimal digest of the output.
        elapsed: Seconds from the start to the last byte.
        format: Name of the format.
        strategy: Who rendered: ``server``, ``rows`` or ``instances``.
        transport: How rows arrived: ``copy``, ``cursor``, ``stream`` or ``iterable``.
        columns: The headers.
        escaped: Cells changed because a spreadsheet would take them for formulas.
        cut: Cells cut because they were longer than the format can hold.
        stopped: Name of the limit that ended the export in good order; empty if none did.
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
    escaped: int = 0
    cut: int = 0
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class WorkbookResult:
    """What an export of several resources into one file made.

    Attributes:
        bytes: Length of the file.
        sha256: Hexadecimal digest of the file.
        elapsed: Seconds from the start to the last byte.
        format: Name of the format.
        sheets: By name, what each resource made; ``bytes`` is what left while it was written, and
            ``sha256`` is empty.
    """

    bytes: int
    sha256: str
    elapsed: float
    format: str
    sheets: Mapping[str, ExportResult]

    @property
    def rows(self) -> int:
        """Records written, in all sheets."""
        return sum(each.rows for each in self.sheets.values())

    @property
    def skipped(self) -> int:
        """Rows left out because they failed, in all sheets."""
        return sum(each.skipped for each in self.sheets.values())

    @property
    def escaped(self) -> int:
        """Cells changed because a spreadsheet would take them for formulas, in all sheets."""
        return sum(each.escaped for each in self.sheets.values())

    @property
    def cut(self) -> int:
        """Cells cut because they were too long, in all sheets."""
        return sum(each.cut for each in self.sheets.values())
