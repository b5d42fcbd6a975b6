"""The plans whose rows come by COPY, rendered by PostgreSQL but for the cells of hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, String, Text, func, literal_column, type_coerce
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from async_export.formats import CopyForm, Splice
from async_export.hooks import is_async
from async_export.paths import PathTarget
from async_export.plan._columns import (
    Columns,
    Key,
    carried,
    has_expression,
    processed,
    processor_of,
    type_name,
)
from async_export.plan._draft import Draft, DraftField, widget_is_async, widget_is_foreign
from async_export.plan._light import light_rows
from async_export.plan._plan import CopyPlan, Plan, PlannedField, Reader
from async_export.plan._rendering import NotRendered, json_of, source_of, text_of
from async_export.plan._rows import cell_function, key_reader
from async_export.postgres.decoding import TEMPORAL, TEXTUAL, decoder_of
from async_export.postgres.describing import ServerType
from async_export.postgres.json_texts import json_text
from async_export.postgres.literals import literal_sql
from async_export.postgres.texts import NeverEmpty
from async_export.records import CellMaker
from async_export.rows import Value
from async_export.statements import RowSelect

__all__ = ("copied_plan",)


def copied_plan(
    draft: Draft,
    items: Sequence[DraftField],
    planned: tuple[PlannedField, ...],
    select: RowSelect,
    form: CopyForm,
) -> Plan:
    """Plan an export by COPY.

    Args:
        draft: What the steps of compiling share.
        items: The fields.
        planned: The fields, as they are explained.
        select: Finds the columns.
        form: How COPY carries the format.

    Raises:
        NotRendered: a hook reads, or a widget renders, what COPY's text does not hold.
        LiteralError: a value of the queryset has no literal.
        SQLAlchemyError: the queryset cannot select other columns than its own.
    """
    assert draft.database is not None
    columns = [each.column for each in planned]
    made = [item for item in items if not item.rendered]
    splice = form.splice(columns, len(made)) if made else None
    cells = [_carried(draft, item, select, form) if item.rendered else None for item in items]
    makers: list[CellMaker] = []
    key: Reader = lambda _: None  # noqa: E731 - replaced where there is a key
    if splice is None:
        arranged: list[Any] = [*cells]
    else:
        reads = _SplicedReads(draft, select, splice, form)
        makers = [_maker(draft, item, reads) for item in made]
        key = key_reader(draft, reads)
        arranged = splice.arrange(cells, reads.columns)
    labelled = [
        (literal_column(f"'{each}'") if isinstance(each, str) else each).label(f"c{place}_")
        for place, each in enumerate(arranged)
    ]
    statement = select.statement(labelled)
    return Plan(
        strategy="rows" if makers else "server",
        transport="copy",
        reasons=tuple(draft.reasons),
        statement=statement,
        fields=planned,
        cells=tuple(makers),
        whole=False,
        subject=None,
        prepared=None,
        key=key,
        concurrency=draft.hooks.options.hook_concurrency,
        copy=CopyPlan(literal_sql(statement, draft.database.dialect), form, splice),
    )


def _carried(
    draft: Draft, item: DraftField, select: RowSelect, form: CopyForm
) -> ColumnElement[Any]:
    """Give what COPY writes as a field's cell."""
    if form.cells == "json":
        return json_of(draft, item, select)
    text = text_of(draft, item, select)
    may_be_empty = isinstance(text.type, String) and not isinstance(text.type, NeverEmpty)
    if not may_be_empty:
        return text
    # COPY quotes the empty text, which is no NULL. Some collations take other texts for it.
    exact = type_coerce(text, Text()).collate("C")
    return func.nullif(exact, literal_column("''"), type_=Text())


def _maker(draft: Draft, item: DraftField, reads: _SplicedReads) -> CellMaker:
    name = item.field.name
    if item.value is None:
        assert item.hook is not None
        assert item.reads is not None
        light = light_rows(draft, item.hook_name, item.reads, reads)
        return CellMaker(name, item.hook, of=light, is_async=is_async(item.hook), is_hook=True)
    source = source_of(item)
    value = (
        reads.add_label(source.key[1]) if source.target is None else reads.add_path(source.target)
    )
    return CellMaker(
        name,
        cell_function(draft, item),
        of=value.reader(),
        is_async=widget_is_async(item.field),
        is_hook=widget_is_foreign(item.field),
    )


class _SplicedReads(Columns):
    """The columns that hooks read out of COPY's text, and how to read them."""

    def __init__(self, draft: Draft, select: RowSelect, splice: Splice, form: CopyForm) -> None:
        super().__init__(select)
        self.null = splice.null
        self._splice = splice
        self._is_json = form.cells == "json"
        self._dialect: Dialect = draft.database.dialect  # type: ignore[union-attr]
        self._types: Mapping[Key, ServerType] = draft.types
        self._on_unrepresentable = draft.hooks.options.on_unrepresentable
        self._values: dict[Key, Value] = {}

    def add_many(self, target: PathTarget, element: PathTarget) -> Value:  # noqa: ARG002 - never
        """Refuse: an array has no plain text."""
        raise NotRendered(f"{target.name} has many objects")

    def _value(self, position: int, key: Key, sqltype: TypeEngine[Any] | None) -> Value:
        if key not in self._values:
            self._values[key] = self._decoded(position, self._types[key], sqltype)
        return self._values[key]

    def _decoded(self, position: int, server: ServerType, sqltype: TypeEngine[Any] | None) -> Value:
        name = type_name(server, sqltype)
        decode = self._splice.text if name in TEXTUAL else decoder_of(name)
        if decode is None:
            raise NotRendered(f"{name} has no plain text that hooks could be given")
        if name in TEMPORAL and self._on_unrepresentable != "text":
            raise NotRendered("on_unrepresentable is for fetched values")
        label: Any = self.columns[position]
        if has_expression(label, self._dialect):
            raise NotRendered(f"{type(label.type).__name__} selects an expression of its own")
        self.columns[position] = self._carried(label.element, name).label(label.name)
        value = Value(self._splice.first + position, decode, self.null)
        return processed(value, processor_of(label.type, self._dialect, server))

    def _carried(self, column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        """Give what COPY writes of a column, for the decoder of its type."""
        if not self._is_json or name not in TEXTUAL:
            return carried(column, name)
        found = json_text(column, name)
        assert found is not None
        return found
