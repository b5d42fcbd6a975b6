"""`Explanation`: a plan as people read it."""

from __future__ import annotations

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
        strategy: Who renders: ``rows`` or ``instances``.
        transport: How rows arrive: ``stream`` or ``iterable``.
        reasons: Why no cheaper strategy serves; empty if none is cheaper.
        fields: How each field is made, in the order of the output.
        sql: The statement, with placeholders for its values; empty for an iterable.
    """

    strategy: str
    transport: str
    reasons: tuple[str, ...]
    fields: tuple[FieldExplanation, ...]
    sql: str

    def __str__(self) -> str:
        lines = [f"strategy:  {self.strategy}", f"transport: {self.transport}"]
        lines += [f"because:   {reason}" for reason in self.reasons]
        lines += ["", *_table(self.fields)]
        if self.sql:
            lines += ["", self.sql]
        return "\n".join(lines)


def explain_plan(plan: Plan, dialect: Any) -> Explanation:
    """Explain *plan*; its statement is written in *dialect*."""
    sql = "" if plan.statement is None else str(plan.statement.compile(dialect=dialect))
    fields = tuple(map(_explained, plan.fields))
    return Explanation(plan.strategy, plan.transport, plan.reasons, fields, sql)


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
