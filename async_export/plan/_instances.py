"""The plan of the strategy ``instances``: mapped objects, or whatever an iterable gives."""

from __future__ import annotations

from collections.abc import Sequence
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
from async_export.records import CellMaker
from async_export.statements import Queried, with_loading

__all__ = ("instances_plan",)


def instances_plan(
    draft: Draft, items: Sequence[DraftField], planned: tuple[PlannedField, ...]
) -> Plan:
    hooks, queried = draft.hooks, draft.queried
    whole = is_overridden(hooks.export_resource)
    names = [item.field.name for item in items]
    makers = (
        [_record_maker(draft, names)] if whole else [_instance_maker(draft, item) for item in items]
    )
    prepare = hooks.prepare_batch
    reads = getattr(prepare, DEPENDS, None)
    subject = _subject(queried, mapper_of(hooks.options.model))
    prepared = None
    if is_overridden(prepare):
        light = light_instances(draft, "prepare_batch", reads)
        prepared = _then(subject, light)
    statement = None if queried is None else _loaded(draft, items, queried)
    annotates = queried is not None and queried.mapper is not None and bool(queried.columns)
    return Plan(
        strategy="rows" if queried is not None and queried.mapper is None else "instances",
        transport="iterable" if queried is None else "stream",
        reasons=tuple(draft.reasons),
        statement=statement,
        fields=planned,
        cells=tuple(makers),
        whole=whole,
        subject=subject,
        prepared=prepared,
        key=_instance_key(draft.mapper),
        annotates=annotates,
        concurrency=1 if annotates else hooks.options.hook_concurrency,
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
