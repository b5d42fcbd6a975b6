"""The plan of the strategy ``rows`` where rows are fetched: exactly the columns that are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, String, Text, cast, func, literal_column

from async_export.fields import DEPENDS, Field, read_path
from async_export.hooks import is_async, is_overridden
from async_export.plan._columns import Columns
from async_export.plan._draft import Draft, DraftField, widget_is_async, widget_is_foreign
from async_export.plan._light import light_rows
from async_export.plan._plan import Plan, PlannedField, Reader, Transport
from async_export.plan._rendering import text_of
from async_export.records import CellMaker
from async_export.values import FieldValue, combined, primary_key

__all__ = ("cell_function", "key_reader", "rows_plan")


def rows_plan(
    draft: Draft,
    items: Sequence[DraftField],
    planned: tuple[PlannedField, ...],
    columns: Columns,
    transport: Transport,
) -> Plan:
    """Plan an export that fetches rows.

    Args:
        draft: What the steps of compiling share.
        items: The fields.
        planned: The fields, as they are explained.
        columns: What is selected; empty so far.
        transport: How the rows arrive.
    """
    columns.add_labels()
    makers = [_row_maker(draft, item, columns) for item in items]
    prepare = draft.hooks.prepare_batch
    prepared = None
    if is_overridden(prepare):
        prepared = light_rows(draft, "prepare_batch", getattr(prepare, DEPENDS), columns)
    key = key_reader(draft, columns)
    return Plan(
        strategy="rows",
        transport=transport,
        reasons=tuple(draft.reasons),
        statement=columns.statement(),
        fields=planned,
        cells=tuple(makers),
        whole=False,
        subject=None,
        prepared=prepared,
        key=key,
        concurrency=draft.hooks.options.hook_concurrency,
    )


def key_reader(draft: Draft, columns: Columns) -> Reader:
    """Give the function that reads the primary key of a row, for errors; None if it has none."""
    if draft.mapper is None:
        return lambda _: None
    readers = [columns.add_path(target).reader() for target in primary_key(draft.mapper)]
    return readers[0] if len(readers) == 1 else lambda row: tuple(read(row) for read in readers)


def _row_maker(draft: Draft, item: DraftField, columns: Columns) -> CellMaker:
    name = item.field.name
    if item.value is None:
        assert item.hook is not None
        assert item.reads is not None
        light = light_rows(draft, item.hook_name, item.reads, columns)
        return CellMaker(name, item.hook, of=light, is_async=is_async(item.hook), is_hook=True)
    if item.rendered:
        text = _fetched_text(text_of(draft, item, columns.select), item.field)
        return CellMaker(name, position=columns.add(("text", name), lambda: text))
    return CellMaker(
        name,
        cell_function(draft, item),
        of=_row_reader(item.value, columns),
        is_async=widget_is_async(item.field),
        is_hook=widget_is_foreign(item.field),
    )


def _fetched_text(column: ColumnElement[Any], field: Field) -> ColumnElement[Any]:
    """Give the text of a cell where it is fetched: NULL is the empty text, unless kept."""
    text = column if isinstance(column.type, String) else cast(column, Text)
    return text if field.keep_none else func.coalesce(text, literal_column("''"), type_=Text())


def _row_reader(value: FieldValue, columns: Columns) -> Reader:
    if value.label:
        return inside(columns.add_label(value.label).reader(), value.steps)
    if value.element is not None:
        return columns.add_many(value.targets[0], value.element).reader()
    readers = [inside(columns.add_path(target).reader(), target.tail) for target in value.targets]
    return combined(readers)


def inside(read: Reader, steps: tuple[str, ...]) -> Reader:
    """Follow *steps* inside of what *read* gives."""
    return (lambda row: read_path(read(row), steps)) if steps else read


def cell_function(draft: Draft, item: DraftField) -> Callable[[Any], Any]:
    """Give the function that makes a cell of a field's value."""
    each, kwargs = item.field, draft.kwargs
    if not kwargs and not each.keep_none:
        assert each.widget is not None
        return each.widget.render
    return lambda value: each.cell(value, **kwargs)
