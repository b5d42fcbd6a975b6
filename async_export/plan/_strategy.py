"""Which strategy a plan takes, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Mapper

from async_export.binds import Database
from async_export.fields import DEPENDS, Field
from async_export.hooks import is_overridden
from async_export.paths import PathTarget
from async_export.plan._draft import Draft, DraftField, read_target
from async_export.values import FieldValue

__all__ = ("collect_reasons",)


def collect_reasons(draft: Draft, items: Sequence[DraftField]) -> None:
    """Find out what makes mapped objects necessary."""
    queried, mapper, reasons = draft.queried, draft.mapper, draft.reasons
    for name in ("export_resource", "export_field", "iter_queryset", "iter_batches"):
        if is_overridden(getattr(draft.hooks, name)):
            reasons.append(f"{name} is overridden")
    if queried is None or mapper is None:
        return
    if queried.fixed:
        reasons.append(f"the queryset keeps its columns: {queried.fixed}")
    if _has_listeners(draft.database):
        reasons.append("the session has do_orm_execute listeners")
    for item in items:
        why = _needs_instance(draft, item, mapper)
        if why:
            reasons.append(f"{item.field.name}: {why}")
    prepare = draft.hooks.prepare_batch
    if is_overridden(prepare):
        why = _reads_need_instance(draft, getattr(prepare, DEPENDS, None), mapper)
        if why:
            reasons.append(f"prepare_batch {why}")


def _has_listeners(database: Database | None) -> bool:
    if database is None:
        return False
    return bool(database.session.sync_session.dispatch.do_orm_execute)


def _needs_instance(draft: Draft, item: DraftField, mapper: Mapper[Any]) -> str:
    kind = type(item.field)
    if kind.export is not Field.export or kind.get_value is not Field.get_value:
        return f"{kind.__name__} overrides export or get_value"
    if item.value is None:
        why = _reads_need_instance(draft, item.reads, mapper)
        return f"{item.hook_name} {why}" if why else ""
    for target in item.value.targets:
        why = _leaf_needs_instance(draft, item.value, target)
        if why:
            return why
    return ""


def _leaf_needs_instance(draft: Draft, value: FieldValue, target: PathTarget) -> str:
    if target.leaf == "python":
        return f"{target.name} is an attribute of Python, not a column"
    if target.leaf == "to_one":
        return f"its widget wants the whole {target.name}"
    if target.leaf == "to_many":
        if value.element is None:
            return f"what it takes of {target.name} is not one column"
        if draft.database is None or not draft.database.is_postgresql:
            return f"{target.name} has many objects, aggregated in SQL on PostgreSQL only"
    return ""


def _reads_need_instance(draft: Draft, reads: tuple[str, ...] | None, mapper: Mapper[Any]) -> str:
    if reads is None:
        return "has no @depends(...), so that it may read anything"
    for path in reads:
        target = read_target(draft, path, mapper)
        if target is not None and target.leaf in {"python", "to_many"}:
            return f"reads {path}, which is no column"
    return ""
