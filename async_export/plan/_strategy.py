"""Which strategy a plan takes, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapper, RelationshipDirection

from async_export.binds import Database
from async_export.fields import DEPENDS, Field
from async_export.hooks import is_async, is_overridden
from async_export.paths import PathTarget
from async_export.plan._draft import Draft, DraftField, read_target, widget_is_async
from async_export.statements import Queried
from async_export.values import FieldValue

__all__ = ("collect_reasons", "why_no_copy", "why_no_driver", "why_no_text")

_ANYTHING = "has no @depends(...), so that it may read anything"


def collect_reasons(draft: Draft, items: Sequence[DraftField]) -> None:
    """Find out what makes mapped objects necessary."""
    queried, mapper, reasons = draft.queried, draft.mapper, draft.reasons
    for name in ("export_resource", "export_field", "iter_queryset", "iter_batches"):
        if is_overridden(getattr(draft.hooks, name)):
            reasons.append(f"{name} is overridden")
    if queried is None:
        return
    if mapper is None:
        reasons += _row_reasons(draft, items)
        return
    reasons += _instance_reasons(draft, items, queried, mapper)


def _instance_reasons(
    draft: Draft, items: Sequence[DraftField], queried: Queried, mapper: Mapper[Any]
) -> list[str]:
    reasons = []
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
    return reasons


def _row_reasons(draft: Draft, items: Sequence[DraftField]) -> list[str]:
    """Find out what makes whole rows of a statement's columns necessary."""
    assert draft.queried is not None
    reasons = []
    if _has_listeners(draft.database):
        reasons.append("the session has do_orm_execute listeners")
    if getattr(draft.queried.statement, "_with_options", ()):
        reasons.append("the queryset has options")
    for item in items:
        kind = type(item.field)
        if kind.export is not Field.export or kind.get_value is not Field.get_value:
            reasons.append(f"{item.field.name}: {kind.__name__} overrides export or get_value")
        elif item.value is None and item.reads is None:
            reasons.append(f"{item.field.name}: {item.hook_name} {_ANYTHING}")
    prepare = draft.hooks.prepare_batch
    if is_overridden(prepare) and not hasattr(prepare, DEPENDS):
        reasons.append(f"prepare_batch {_ANYTHING}")
    return reasons


def why_no_driver(draft: Draft) -> str:
    """Say why asyncpg cannot be asked for the rows itself; nothing if it can."""
    database, queried = draft.database, draft.queried
    if queried is None or database is None or database.dialect.driver != "asyncpg":
        return "the driver is not asyncpg"
    if queried.mapper is None and not _can_be_wrapped(queried):
        return "the queryset cannot be wrapped"
    if database.translates_schemas(queried.statement):
        return "the connection translates the names of schemas"
    return ""


def _can_be_wrapped(queried: Queried) -> bool:
    """Tell whether another statement can select all of the queryset's columns."""
    if not hasattr(queried.statement, "subquery"):
        return False
    return len(queried.statement.subquery().columns) == len(queried.columns)


def why_no_text(draft: Draft) -> str:
    """Say why the statement cannot be run as text, past SQLAlchemy; nothing if it can."""
    assert draft.database is not None
    connection = draft.database.connection.sync_connection
    assert connection is not None
    events = connection.dispatch
    if events.before_execute or events.before_cursor_execute:
        return "the engine has listeners that may change statements"
    return ""


def why_no_copy(draft: Draft, items: Sequence[DraftField]) -> str:
    """Say why COPY cannot carry the rows; nothing if it can."""
    queried, form = draft.queried, draft.spec.copy
    assert queried is not None
    if form is None:
        return "the format is made of records"
    options = draft.hooks.options
    limits = (options.max_rows, options.max_bytes, options.deadline)
    if options.on_limit == "stop" and any(each is not None for each in limits):
        return "on_limit='stop' ends after a record, which takes them one by one"
    why = _why_connection_is_used(draft, items)
    if why:
        return why
    if len(items) < form.least_columns:
        return f"COPY writes fewer than {form.least_columns} columns in another way"
    if queried.mapper is not None and queried.columns:
        return "the queryset has labelled columns, which have to stay"
    return ""


def _why_connection_is_used(draft: Draft, items: Sequence[DraftField]) -> str:
    """Say which hook may use the connection that COPY would take."""
    assert draft.database is not None
    if is_overridden(draft.hooks.prepare_batch):
        return "prepare_batch is overridden, and may use the connection"
    if draft.hooks.options.hooks_use_database:
        return "hooks_use_database is set"
    for item in items:
        code = getattr(item.hook, "__code__", None)
        if code is not None and "session" in code.co_names:
            return f"{item.hook_name} reads session"
        waits = widget_is_async(item.field) if item.hook is None else is_async(item.hook)
        if waits and (item.inferred or not draft.database.is_own):
            return f"{item.hook_name or item.field.name} is async, and may use the connection"
    return ""


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
        why = _leaf_needs_instance(draft, item.value, target) or _may_multiply(mapper, target)
        if why:
            return why
    return ""


def _may_multiply(mapper: Mapper[Any], target: PathTarget) -> str:
    """Say which relation on the way may have several rows, and would multiply those of a join."""
    for name in target.relations:
        relationship = mapper.relationships[name]
        mapper = relationship.mapper
        if relationship.direction is not RelationshipDirection.MANYTOONE and not _is_unique(
            {remote for _, remote in relationship.local_remote_pairs or ()}, mapper
        ):
            return f"{name} may have several rows: its key is not unique"
    return ""


def _is_unique(columns: set[Any], mapper: Mapper[Any]) -> bool:
    """Tell whether a row of the mapper's is the only one with its values of *columns*."""
    tables: list[Any] = list(mapper.tables)
    keys = [set(table.primary_key.columns) for table in tables]
    keys += [{column} for table in tables for column in table.columns if column.unique]
    for table in tables:
        constraints = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
        keys += [set(each.columns) for each in constraints]
        keys += [set(each.columns) for each in table.indexes if each.unique]
    return any(key and key <= columns for key in keys)


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
        return _ANYTHING
    for path in reads:
        target = read_target(draft, path, mapper)
        if target is not None and target.leaf in {"python", "to_many"}:
            return f"reads {path}, which is no column"
        why = "" if target is None else _may_multiply(mapper, target)
        if why:
            return f"reads {path}, and {why}"
    return ""
