"""The plan of the strategy ``instances``: mapped objects, or whatever an iterable gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Mapper

from async_export.declare import mapper_of
from async_export.fields import DEPENDS, Field
from async_export.hooks import is_async, is_overridden
from async_export.plan._draft import (
    Draft,
    DraftField,
    read_target,
    widget_is_async,
    widget_is_foreign,
)
from async_export.plan._light import light_instances
from async_export.plan._plan import Plan, PlannedField, Reader
from async_export.plan._rows import cell_function
from async_export.plan._texts import DatabaseTexts
from async_export.records import CellMaker
from async_export.statements import Queried, with_loading

__all__ = ("instances_plan",)


def instances_plan(
    draft: Draft,
    items: Sequence[DraftField],
    planned: tuple[PlannedField, ...],
    texts: DatabaseTexts,
) -> Plan:
    """Plan an export of mapped objects, or of whatever the queryset gives.

    Args:
        draft: What the steps of compiling share.
        items: The fields.
        planned: The fields, as they are explained.
        texts: The cells that are rendered by the database all the same.
    """
    hooks, queried = draft.hooks, texts.queried
    whole = is_overridden(hooks.export_resource)
    prepare = hooks.prepare_batch
    subject = _subject(queried, mapper_of(hooks.options.model))
    key = _instance_key(draft.mapper)
    # Unless hooks stand between row and field, cells are taken of the row.
    may_change = any(item.hook is not None and item.reads is None for item in items)
    between = (
        hooks.iter_queryset,
        hooks.iter_batches,
        hooks.export_resource,
        hooks.export_field,
        prepare,
    )
    direct = queried is not None and not any(is_overridden(hook) for hook in between)
    if direct:
        makers = [
            _direct_maker(draft, item, subject, texts, may_change=may_change) for item in items
        ]
        key = _then(subject, key)
    elif whole:
        makers = [_record_maker(draft, [item.field.name for item in items])]
    else:
        makers = [_instance_maker(draft, item) for item in items]
    kept = subject if direct else texts.kept(subject)
    prepared = None
    if is_overridden(prepare):
        light = light_instances(draft, "prepare_batch", getattr(prepare, DEPENDS, None))
        prepared = _then(kept, light)
    annotates = queried is not None and queried.mapper is not None and bool(queried.columns)
    return Plan(
        strategy="rows" if queried is not None and queried.mapper is None else "instances",
        transport="iterable" if queried is None else "stream",
        reasons=tuple(draft.reasons),
        statement=None if queried is None else _loaded(draft, items, queried),
        fields=planned,
        cells=tuple(makers),
        whole=whole,
        subject=None if direct else kept,
        prepared=prepared,
        key=key,
        annotates=annotates,
        is_looked_up=prepared is not None or _selects_per_batch(draft, items),
        concurrency=1 if annotates else hooks.options.hook_concurrency,
        texts=texts.split if direct else None,
    )


def _then(first: Reader | None, second: Reader | None) -> Reader:
    if first is None:
        return second or (lambda row: row)
    if second is None:
        return first
    return lambda row: second(first(row))


def _subject(queried: Queried | None, model: Mapper[Any] | None) -> Reader | None:
    """Give what stands for a fetched row: the mapped object, with the labelled columns on it."""
    if queried is None:
        return None if model is None else _unwrapper(model.class_)
    if queried.mapper is None:
        return None
    if not queried.columns:
        return itemgetter(0)
    positions = {name: 1 + place for place, name in enumerate(queried.names) if name}

    def annotated(row: Any) -> Any:
        instance = row[0]
        for name, position in positions.items():
            setattr(instance, name, row[position])
        return instance

    return annotated


def _unwrapper(model: type) -> Reader:
    """Give the objects themselves of ``session.execute(select(Model))`` without ``scalars()``."""

    def unwrap(item: Any) -> Any:
        is_row = isinstance(item, Row) and len(item) == 1 and isinstance(item[0], model)
        return item[0] if is_row else item

    return unwrap


def _instance_key(mapper: Mapper[Any] | None) -> Reader:
    if mapper is None:
        return lambda row: None  # noqa: ARG005 - the key of nothing mapped is not known

    def key(instance: Any) -> Any:
        if not isinstance(instance, mapper.class_):
            return None
        values = mapper.primary_key_from_instance(instance)
        return values[0] if len(values) == 1 else tuple(values)

    return key


def _loaded(draft: Draft, items: Sequence[DraftField], queried: Queried) -> Any:
    if queried.mapper is None:
        return queried.statement
    targets = [t for item in items if item.value for t in item.value.targets]
    prepare = draft.hooks.prepare_batch
    declared = [*(getattr(prepare, DEPENDS, None) or ())]
    for item in items:
        declared.extend(item.reads or ())
    for path in declared:
        target = read_target(draft, path, queried.mapper)
        if target is not None:
            targets.append(target)
    return with_loading(queried, targets, draft.hooks.options.load)


def _selects_per_batch(draft: Draft, items: Sequence[DraftField]) -> bool:
    """Tell whether related objects are selected once for each batch."""
    queried = draft.queried
    if queried is None or draft.hooks.options.load:
        return True
    if getattr(queried.statement, "_with_options", None) != ():
        return True
    targets = [target for item in items if item.value for target in item.value.targets]
    is_joined = not queried.fixed and all(target.leaf != "to_many" for target in targets)
    return not is_joined and any(t.relations or t.leaf in {"to_one", "to_many"} for t in targets)


def _record_maker(draft: Draft, names: Sequence[str]) -> CellMaker:
    export, kwargs = draft.hooks.export_resource, draft.kwargs
    return CellMaker(
        "export_resource",
        lambda instance: export(instance, names, **kwargs),
        is_async=is_async(export),
        is_hook=True,
    )


def _instance_maker(draft: Draft, item: DraftField) -> CellMaker:
    each, kwargs = item.field, draft.kwargs
    export_field = draft.hooks.export_field
    if is_overridden(export_field):
        return CellMaker(
            each.name,
            lambda instance: export_field(each, instance, **kwargs),
            is_async=is_async(export_field),
            is_hook=True,
        )
    if item.hook is not None:
        hook = item.hook
        light = light_instances(draft, item.hook_name, item.reads)
        make = hook if light is None else lambda instance: hook(light(instance))
        return CellMaker(each.name, make, is_async=is_async(hook), is_hook=True)
    return CellMaker(
        each.name,
        lambda instance: each.export(instance, **kwargs),
        is_async=widget_is_async(each) or is_async(each.export),
        is_hook=type(each).export is not Field.export or widget_is_foreign(each),
    )


def _direct_maker(
    draft: Draft,
    item: DraftField,
    subject: Reader | None,
    texts: DatabaseTexts,
    *,
    may_change: bool,
) -> CellMaker:
    """Make a cell of a fetched row, or of the mapped object in it.

    Args:
        draft: What the steps of compiling share.
        item: The field.
        subject: Gives the mapped object of a row.
        texts: The cells that the database renders.
        may_change: Whether a hook receives the mapped object, and may change it.
    """
    each = item.field
    place = texts.places.get(each.name)
    if place is not None and (draft.mapper is None or not may_change):
        return CellMaker(each.name, text=place)
    maker = _instance_maker(draft, item)
    kind = type(each)
    own = (kind.export, kind.get_value, kind.cell) == (Field.export, Field.get_value, Field.cell)
    value = item.value
    if own and draft.mapper is not None and value is not None and value.targets:
        make, read = cell_function(draft, item), value.mapped_reader()
        maker = CellMaker(
            each.name,
            make,
            is_async=widget_is_async(each),
            is_hook=widget_is_foreign(each),
            of=read,
        )
    is_text = place is not None
    return replace(maker, of=_then(subject, maker.of), text=place, unless_changed=is_text)
