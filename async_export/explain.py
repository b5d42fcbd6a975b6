"""`Explanation`: a plan as people read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from async_export.plan import Plan, PlannedField

__all__ = ("Explanation", "FieldExplanation", "explain_plan")


@dataclass(frozen=True, slots=True)
class FieldExplanation:
    """How one field is made.

    Attributes:
        name: Its name.
        header: Its header.
        rendered_by: The widget or hook that makes its cells.
        why: Why it is rendered there.
        reads: What is read for it.
    """

    name: str
    header: str
    rendered_by: str
    why: str
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How an export would be carried out; ``str()`` gives a table.

    Attributes:
        strategy: Who renders: ``server``, ``rows`` or ``instances``.
        transport: How rows arrive: ``copy``, ``cursor``, ``stream`` or ``iterable``.
        reasons: Why nothing cheaper serves; empty if nothing is cheaper.
        cures: What to write so that hooks do without mapped objects.
        fields: How each field is made, in the order of the output.
        sql: The statement, with placeholders for its values; empty for an iterable.
        analysis: PostgreSQL's own plan, with its timings; empty unless asked for.
        unlocked: What is read and cannot be locked, such as materialized views.
    """

    strategy: str
    transport: str
    reasons: tuple[str, ...]
    fields: tuple[FieldExplanation, ...]
    sql: str
    cures: tuple[str, ...] = ()
    analysis: str = ""
    unlocked: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"strategy:  {self.strategy}", f"transport: {self.transport}"]
        lines += [f"because:   {reason}" for reason in self.reasons]
        lines += [f"cure:      {cure}" for cure in self.cures]
        lines += [f"unlocked:  {name}" for name in self.unlocked]
        lines += ["", *_table(self.fields)]
        if self.sql:
            lines += ["", self.sql]
        if self.analysis:
            lines += ["", self.analysis]
        return "\n".join(lines)


def explain_plan(
    plan: Plan, dialect: Any, analysis: str = "", unlocked: tuple[str, ...] = ()
) -> Explanation:
    """Explain *plan*; its statement is written in *dialect*."""
    sql = "" if plan.statement is None else str(plan.statement.compile(dialect=dialect))
    return Explanation(
        strategy=plan.strategy,
        transport=plan.transport,
        reasons=plan.reasons,
        fields=tuple(map(_explained, plan.fields)),
        sql=_MARKER.sub("'<marker>'", sql),
        cures=plan.cures,
        analysis=analysis,
        unlocked=unlocked,
    )


_MARKER = re.compile("'\x1f[^']*'")
"""What stands around the values that hooks read; it is random."""


def _explained(planned: PlannedField) -> FieldExplanation:
    return FieldExplanation(
        planned.field.name, planned.column.header, planned.rendered_by, planned.why, planned.reads
    )


def _table(fields: tuple[FieldExplanation, ...]) -> list[str]:
    rows = [("field", "header", "rendered by", "why", "reads")]
    rows += [(f.name, f.header, f.rendered_by, f.why, ", ".join(f.reads)) for f in fields]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
