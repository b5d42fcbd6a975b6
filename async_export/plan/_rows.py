"""The plan of the strategy ``rows``: exactly the columns that are read."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from async_export.fields import DEPENDS, read_path
from async_export.hooks import is_async, is_overridden
from async_export.plan._draft import Draft, DraftField, widget_is_async, widget_is_foreign
from async_export.plan._light import light_rows
from async_export.plan._plan import Plan, PlannedField, Reader
from async_export.records import CellMaker
from async_export.statements import RowSelect
from async_export.values import FieldValue, combined, primary_key

__all__ = ("rows_plan",)


def rows_plan(draft: Draft, items: Sequence[DraftField], planned: tuple[PlannedField, ...]) -> Plan:
    queried, mapper = draft.queried, draft.mapper
    assert queried is not None
    assert mapper is not None
    select = RowSelect(queried)
    makers = [_row_maker(draft, item, select) for item in items]
    key = [select.add_path(target) for target in primary_key(mapper)]
    prepare = draft.hooks.prepare_batch
    prepared = None
    if is_overridden(prepare):
        prepared = light_rows(draft, "prepare_batch", getattr(prepare, DEPENDS), select)
    return Plan(
        strategy="rows",
        transport="stream",
        reasons=(),
        statement=select.statement(),
        fields=planned,
        cells=tuple(makers),
        whole=False,
        subject=None,
        prepared=prepared,
        key=itemgetter(*key),
        concurrency=draft.hooks.options.hook_concurrency,
    )


def _row_maker(draft: Draft, item: DraftField, select: RowSelect) -> CellMaker:
    name = item.field.name
    if item.value is None:
        assert item.hook is not None
        assert item.reads is not None
        light = light_rows(draft, item.hook_name, item.reads, select)
        hook = item.hook
        return CellMaker(name, lambda row: hook(light(row)), is_async=is_async(hook), is_hook=True)
    cell = _cell_function(draft, item)
    read = _row_reader(item.value, select)
    return CellMaker(
        name,
        lambda row: cell(read(row)),
        is_async=widget_is_async(item.field),
        is_hook=widget_is_foreign(item.field),
    )


def _row_reader(value: FieldValue, select: RowSelect) -> Reader:
    if value.label:
        return _inside(itemgetter(select.add_column(value.label)), value.steps)
    if value.element is not None:
        return itemgetter(select.add_many(value.targets[0], value.element))
    readers = [
        _inside(itemgetter(select.add_path(target)), target.tail) for target in value.targets
    ]
    return combined(readers)


def _inside(read: Reader, steps: tuple[str, ...]) -> Reader:
    return (lambda row: read_path(read(row), steps)) if steps else read


def _cell_function(draft: Draft, item: DraftField) -> Reader:
    each, kwargs = item.field, draft.kwargs
    if not kwargs and not each.keep_none:
        assert each.widget is not None
        return each.widget.render
    return lambda value: each.cell(value, **kwargs)
