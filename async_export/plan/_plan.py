"""What a plan is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from async_export.fields import Field
from async_export.formats import CopyForm, Splice
from async_export.records import CellMaker
from async_export.types import CellForm, Column, Kind

__all__ = ("CellSpec", "CopyPlan", "Plan", "PlannedField", "Reader", "Strategy", "Transport")

Strategy: TypeAlias = Literal["server", "rows", "instances"]
"""Who renders: PostgreSQL, Python from columns, or Python from mapped objects."""

Transport: TypeAlias = Literal["copy", "cursor", "stream", "iterable"]
"""How rows arrive: COPY, asyncpg's cursor, SQLAlchemy's stream, or from an iterable."""


Reader: TypeAlias = Callable[[Any], Any]
"""Gives something of a fetched row, or of what stands for it."""


@dataclass(frozen=True, slots=True)
class CellSpec:
    """Which cells a format takes.

    Attributes:
        form: Text or native ones.
        natives: The kinds that it holds natively; columns of other kinds get text.
        copy: How COPY carries the format; None if it cannot, or records are wanted.
    """

    form: CellForm = "text"
    natives: frozenset[Kind] = frozenset(Kind)
    copy: CopyForm | None = None


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What COPY writes, and what is made of it.

    Attributes:
        sql: The query, without parameters.
        form: How COPY carries the format.
        splice: Takes out what hooks read, and puts their cells in; None without hooks.
    """

    sql: str
    form: CopyForm
    splice: Splice | None


@dataclass(frozen=True, slots=True)
class PlannedField:
    """One field of a plan.

    Attributes:
        field: The export's own copy of the field.
        column: The column that the encoder is told of.
        rendered_by: Name of the widget or hook that makes the cell.
        why: Why it is rendered there.
        reads: Paths that it reads; empty if it wants the mapped object.
    """

    field: Field
    column: Column
    rendered_by: str
    why: str
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one export is carried out.

    Attributes:
        strategy: Who renders.
        transport: How rows arrive.
        reasons: Why no cheaper strategy serves.
        statement: The statement to run; None for an iterable.
        fields: The fields, in the order of the output.
        cells: Makers of the cells of a record, or of the whole record (`whole`).
        whole: Whether the one maker in `cells` makes the whole record.
        subject: Gives what the cell makers receive of a fetched row; None for the row itself.
        texts: Gives the cells that PostgreSQL rendered of a fetched row; None if there are none.
        prepared: Gives what ``prepare_batch`` receives of a fetched row; None if it is not
            overridden.
        key: Gives the primary key of what the cell makers receive; None if it is not known.
        annotates: Whether mapped objects get labelled columns as attributes, row by row: one
            object may stand for several rows that differ in them.
        is_looked_up: Whether each batch costs statements of its own, for related objects or by
            ``prepare_batch``.
        concurrency: How many rows may be worked on at once.
        cures: For hooks that cost mapped objects, what to write so that they do not.
        sql: For the transport ``cursor``, the statement without parameters.
        copy: For the transport ``copy``, what is copied.
    """

    strategy: Strategy
    transport: Transport
    reasons: tuple[str, ...]
    statement: Any
    fields: tuple[PlannedField, ...]
    cells: tuple[CellMaker, ...]
    whole: bool
    subject: Reader | None
    prepared: Reader | None
    key: Reader
    annotates: bool = False
    is_looked_up: bool = False
    concurrency: int = 1
    texts: Callable[[Any], list[str]] | None = None
    cures: tuple[str, ...] = ()
    sql: str = ""
    copy: CopyPlan | None = None

    @property
    def columns(self) -> list[Column]:
        """The columns that the encoder is told of."""
        return [each.column for each in self.fields]
