"""What a case is, and what a process is told to do with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from benchmarks.tables import COLUMNS, Source, select_sql

__all__ = ("Case", "FileKey", "Job", "Opener", "Ready", "SuiteName", "Told")

SuiteName: TypeAlias = Literal["compare", "rows", "columns", "watch", "wait", "write"]

FileKind: TypeAlias = Literal[
    "plain", "priced", "hooks", "jsonl", "cities", "offsets", "copy", "same", "own", ""
]

FileKey: TypeAlias = tuple[str, int, int, int]
"""Kind of file, rows and columns of the table, rows of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One case on one table.

    Attributes:
        suite: What it is run for; "watch" means that the event loop and the first byte are
            watched, which takes time itself.
        case: Key of the case.
        source: Which table.
        size: Rows of the table.
        columns: Columns that are exported.
        limit: How many of the rows are exported; None for all.
        url: Where the table is.
    """

    suite: SuiteName
    case: str
    source: Source
    size: int
    columns: int = COLUMNS
    limit: int | None = None
    url: str = ""

    @property
    def rows(self) -> int:
        """Rows that are exported."""
        return self.size if self.limit is None else min(self.limit, self.size)

    def file_key(self, kind: str) -> FileKey:
        """Give what jobs have in common that write the same file of a kind."""
        return kind, self.size, self.columns, self.rows

    def sql(self, limit: int | None, *, as_text: str = "") -> str:
        """Write the select by hand; see `select_sql`."""
        return select_sql(self.source, self.columns, limit, as_text=as_text)


class Told(NamedTuple):
    """What an export tells.

    Attributes:
        rows: How many there were.
        how: How they were rendered and fetched.
        first_share: The share of its processor time after which the first byte was written.
    """

    rows: int
    how: str = ""
    first_share: float | None = None


class Ready(NamedTuple):
    """A case that is connected.

    Attributes:
        export: Exports so many rows (None for all) to a path, and gives what is `Told`; it may be
            ``async def``.
        first: Starts an export, stops after its first chunk, and gives the seconds until then.
        pid: The process that does the work, if it is another one.
    """

    export: Callable[[int | None, Path], Any]
    first: Callable[[], Any] | None = None
    pid: int | None = None


Opener: TypeAlias = Callable[
    [Job], AbstractContextManager[Ready] | AbstractAsyncContextManager[Ready]
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to export.

    Attributes:
        title: What it is called in tables.
        open: Connects.
        modules: What it imports; that takes time and memory which are not the export's.
        source: Which table it exports.
        against: Key of the case that is the yardstick, on the same rows; "" for none.
        base: Key of the case that makes the rows and no more. Then what counts is the time of the
            processor, without that case's.
        format: What it writes, if formats are compared; "" if ways to export CSV are.
        file: What it writes: a kind of file that `expected` knows, "copy" for what COPY makes,
            "same" for what its yardstick makes, "own" for a form of its own, or "" for no file.
        expected: Strategy and transport that it should have.
        most_rows: More rows would take too long, or too much memory.
        most_rounds: More rounds would take too long.
    """

    title: str
    open: Opener
    modules: tuple[str, ...] = ()
    source: Source = "items"
    against: str = "copy"
    base: str = ""
    format: str = ""
    file: FileKind = ""
    expected: str = ""
    most_rows: int | None = None
    most_rounds: int | None = None

    @property
    def name(self) -> str:
        """What it is called where formats stand side by side."""
        return f"{self.format}: {self.title}" if self.format else self.title
