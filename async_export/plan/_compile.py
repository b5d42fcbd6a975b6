"""Compiling a plan: fields, strategy, statement and makers, once for one export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from async_export.binds import Database
from async_export.errors import ConfigurationError
from async_export.fields import Field
from async_export.hooks import Hooks, is_overridden
from async_export.plan._draft import Draft, DraftField, draft_field
from async_export.plan._instances import instances_plan
from async_export.plan._plan import CellSpec, Plan, PlannedField
from async_export.plan._rows import rows_plan
from async_export.plan._strategy import collect_reasons
from async_export.sqltypes import logical_type
from async_export.statements import Queried
from async_export.types import Column, LogicalType

__all__ = ("compile_plan",)


def compile_plan(
    hooks: Hooks,
    fields: Sequence[Field],
    headers: Sequence[str],
    *,
    queried: Queried | None,
    database: Database | None,
    spec: CellSpec,
    kwargs: Mapping[str, Any],
) -> Plan:
    """Compile the plan of one export.

    Args:
        hooks: The export's own copy of the resource.
        fields: Its own copies of the fields to export, in order; their widgets are set.
        headers: Their headers.
        queried: What the queryset selects; None if it is an iterable.
        database: The database; None without a bind.
        spec: Which cells the format takes.
        kwargs: The caller's keywords, for hooks and widgets.

    Raises:
        ConfigurationError: a field, hook or header does not fit the queryset.
    """
    if len(headers) != len(fields):
        raise ConfigurationError(
            f"get_export_headers gave {len(headers)} headers for {len(fields)} fields"
        )
    draft = Draft(hooks, queried, database, spec, kwargs)
    items = [draft_field(draft, each) for each in fields]
    collect_reasons(draft, items)
    planned = tuple(
        _planned(draft, item, header) for item, header in zip(items, headers, strict=True)
    )
    if queried is not None and queried.mapper is not None and not draft.reasons:
        plan = rows_plan(draft, items, planned)
        try:
            plan.statement.compile(dialect=None if database is None else database.dialect)
        except SQLAlchemyError:
            draft.reasons.append("the queryset's joins cannot be extended")
        else:
            return plan
    return instances_plan(draft, items, planned)


def _planned(draft: Draft, item: DraftField, header: str) -> PlannedField:
    each = item.field
    if item.value is None:
        logical = LogicalType() if each.type is None else logical_type(each.type)
        reads = item.reads or ()
        why = f"@depends({', '.join(map(repr, reads))})" if reads else "wants the mapped object"
        by = item.hook_name
    else:
        logical = item.value.type
        reads = (each.attribute or each.name,)
        why = f"{logical.kind} column"
        by = type(each.widget).__name__
    if is_overridden(draft.hooks.export_resource):
        by, why = "export_resource", "overridden"
    elif is_overridden(draft.hooks.export_field):
        by, why = "export_field", "overridden"
    column = Column(each.name, header, logical, each.number_format)
    return PlannedField(each, column, by, why, reads)
