"""Compiling a plan: fields, strategy, transport, statement and makers, once for one export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from async_export.binds import Database
from async_export.errors import ConfigurationError
from async_export.fields import DEPENDS, Field
from async_export.hooks import Hooks, is_overridden
from async_export.plan._columns import Columns, DriverColumns
from async_export.plan._copied import copied_plan
from async_export.plan._draft import Draft, DraftField, draft_field
from async_export.plan._inferred import infer_all
from async_export.plan._instances import instances_plan
from async_export.plan._plan import CellSpec, Plan, PlannedField
from async_export.plan._rendering import NotRendered, json_of, text_of
from async_export.plan._rows import rows_plan
from async_export.plan._strategy import collect_reasons, why_no_copy, why_no_driver, why_no_text
from async_export.plan._texts import DatabaseTexts
from async_export.plan._types import RefusedError, describe_columns
from async_export.postgres.literals import LiteralError, literal_sql
from async_export.reads import suggest_reads
from async_export.sqltypes import logical_type
from async_export.statements import Queried, RowSelect
from async_export.types import Column, Kind, LogicalType

__all__ = ("compile_plan",)


async def compile_plan(
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
        SourceError: the database refuses the statement.
    """
    _check_headers(fields, headers)
    draft = Draft(hooks, queried, database, spec, kwargs)
    items = [draft_field(draft, each) for each in fields]
    collect_reasons(draft, items)
    infer_all(draft, items)
    why = why_no_driver(draft)
    if not why:
        try:
            await describe_columns(draft, items)
        except RefusedError as error:
            why = str(error)
            draft.reasons.append(why)
        except SQLAlchemyError as error:
            why = f"the queryset cannot select what is read ({type(error).__name__})"
            draft.reasons.append(why)
    if not why and not draft.reasons:
        return _driven_plan(draft, items, headers)
    if queried is not None and queried.mapper is not None and not draft.reasons:
        planned = _planned(draft, items, headers)
        try:
            plan = rows_plan(draft, items, planned, Columns(RowSelect(queried)), "stream")
            plan.statement.compile(dialect=None if database is None else database.dialect)
        except SQLAlchemyError:
            draft.reasons.append("the queryset's joins cannot be extended")
        else:
            missed = (f"no COPY: {why}",) if database is not None and database.is_postgresql else ()
            return replace(plan, reasons=(*plan.reasons, *missed))
    texts = DatabaseTexts(draft, items)
    plan = instances_plan(draft, items, _planned(draft, items, headers), texts)
    return replace(plan, cures=_cures(draft, items))


def _check_headers(fields: Sequence[Field], headers: Sequence[str]) -> None:
    if len(headers) != len(fields):
        raise ConfigurationError(
            f"get_export_headers gave {len(headers)} headers for {len(fields)} fields"
        )
    for each, header in zip(fields, headers, strict=True):
        if not isinstance(header, str):
            raise ConfigurationError(
                f"the header of {each.name} is a {type(header).__name__}; a header is text"
            )


def _cures(draft: Draft, items: Sequence[DraftField]) -> tuple[str, ...]:
    """Say what would let the hooks that receive mapped objects do without."""
    if draft.mapper is None:
        return ()
    hooks = [(item.hook_name, item.hook) for item in items if item.hook and item.reads is None]
    prepare = draft.hooks.prepare_batch
    if is_overridden(prepare) and not hasattr(prepare, DEPENDS):
        hooks.append(("prepare_batch", prepare))
    cures = []
    for name, hook in hooks:
        guessed = ", ".join(f'"{path}"' for path in suggest_reads(hook, draft.mapper))
        cures.append(f"@depends({guessed or '...'}) above {name}, if that is all it reads")
    return tuple(cures)


def _driven_plan(draft: Draft, items: Sequence[DraftField], headers: Sequence[str]) -> Plan:
    """Plan what asyncpg carries: by COPY if it can, else through its cursor."""
    queried, database, form = draft.queried, draft.database, draft.spec.copy
    assert queried is not None
    assert database is not None
    only_stream = why_no_text(draft)
    why = only_stream or why_no_copy(draft, items)
    if not why:
        assert form is not None
        _render(draft, items, json=form.cells == "json")
        planned = _planned(draft, items, headers)
        draft.reasons += [f"{i.field.name}: {i.why}" for i in items if i.value and not i.rendered]
        try:
            return copied_plan(draft, items, planned, RowSelect(queried), form)
        except NotRendered as error:
            why = str(error)
        except LiteralError as error:
            why = error.reason
        except SQLAlchemyError:
            why = "the queryset cannot select other columns"
        draft.reasons.clear()
    _render(draft, items, json=False)
    planned = _planned(draft, items, headers)
    draft.reasons.append(f"no COPY: {why}")
    if only_stream:
        return rows_plan(draft, items, planned, Columns(RowSelect(queried)), "stream")
    columns = DriverColumns(draft, RowSelect(queried))
    plan = rows_plan(draft, items, planned, columns, "cursor")
    try:
        return replace(plan, sql=literal_sql(plan.statement, database.dialect))
    except LiteralError as error:
        draft.reasons.append(f"no cursor: {error.reason}")
    return rows_plan(draft, items, planned, Columns(RowSelect(queried)), "stream")


def _render(draft: Draft, items: Sequence[DraftField], *, json: bool) -> None:
    """Decide for each field whether PostgreSQL renders it, and note why not."""
    assert draft.queried is not None
    select = RowSelect(draft.queried)
    for item in items:
        item.rendered = False
        if item.value is None:
            continue
        try:
            if json:
                json_of(draft, item, select)
            elif item.field.form == "text":
                text_of(draft, item, select)
            else:
                raise NotRendered("a typed cell")  # noqa: TRY301 - as the two above do
            item.rendered, item.why = True, ""
        except NotRendered as error:
            item.why = str(error)


def _planned(
    draft: Draft, items: Sequence[DraftField], headers: Sequence[str]
) -> tuple[PlannedField, ...]:
    return tuple(
        _planned_field(draft, item, header) for item, header in zip(items, headers, strict=True)
    )


def _why_hook(item: DraftField) -> str:
    if item.reads is None:
        return "wants the mapped object"
    declared = f"@depends({', '.join(map(repr, item.reads))})"
    return f"{declared}, inferred" if item.inferred else declared


def _planned_field(draft: Draft, item: DraftField, header: str) -> PlannedField:
    each = item.field
    if item.value is None:
        logical = LogicalType() if each.type is None else logical_type(each.type)
        reads = item.reads or ()
        why = _why_hook(item)
        by = item.hook_name
    else:
        logical = item.value.type
        reads = (each.attribute or each.name,)
        why = item.why or f"{logical.kind} column"
        by = "PostgreSQL" if item.rendered else type(each.widget).__name__
    if is_overridden(draft.hooks.export_resource):
        by, why = "export_resource", "overridden"
    elif is_overridden(draft.hooks.export_field):
        by, why = "export_field", "overridden"
    if draft.hooks.options.native is False:
        logical = LogicalType(Kind.TEXT)
    # SQLAlchemy's names are a kind of str that other libraries refuse.
    column = Column(str.__str__(each.name), str.__str__(header), logical, each.number_format)
    return PlannedField(each, column, by, why, reads)
