"""Cells that PostgreSQL renders beside whole rows and mapped objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Row

from async_export.fields import NO_TEXT
from async_export.plan._draft import Draft, DraftField
from async_export.plan._plan import Reader
from async_export.plan._rendering import NotRendered, text_of
from async_export.plan._rows import cell_text
from async_export.statements import RowSelect

__all__ = ("DatabaseTexts",)

_TEXTS: Final = "__export_texts__"
"""Attribute of a mapped object that holds the row with the cells that PostgreSQL rendered."""


class DatabaseTexts:
    """Cells that PostgreSQL renders beside mapped objects, or beside the columns of whole rows.

    They are selected behind the other columns. Where hooks may have changed a mapped object before
    its fields are exported, `Field.export` finds them on it, as long as it was not changed.

    Args:
        draft: What the steps of compiling share.
        items: The fields; those that are rendered here learn where their text is.

    Attributes:
        queried: What the queryset selects, with these texts.
        places: By field name, their positions in a fetched row.
    """

    def __init__(self, draft: Draft, items: Sequence[DraftField]) -> None:
        self.queried = queried = draft.queried
        self.places: dict[str, int] = {}
        if queried is None or not draft.types or (queried.mapper is not None and queried.fixed):
            return
        select = RowSelect(queried)
        first = len(queried.columns) if queried.mapper is None else len(queried.names) + 1
        texts: list[ColumnElement[Any]] = []
        for item in items:
            text = _text(draft, item, select)
            if text is not None:
                place = first + len(texts)
                self.places[item.field.name] = place
                item.rendered = True
                item.field.database_text = _of_row(place) if draft.mapper is None else _kept(place)
                texts.append(text.label(f"c{len(texts)}_"))
        if texts:
            self.queried = replace(queried, statement=select.statement(texts, beside=True))

    def kept(self, subject: Reader | None) -> Reader | None:
        """Let the mapped object that *subject* gives of a row keep the row, for its texts."""
        if not self.places or subject is None:
            return subject

        def with_texts(row: Any) -> Any:
            instance = subject(row)
            instance.__dict__[_TEXTS] = row
            return instance

        return with_texts


def _kept(place: int) -> Callable[[Any], Any]:
    def read(item: Any) -> Any:
        values = getattr(item, "__dict__", {})
        row = values.get(_TEXTS)
        return NO_TEXT if row is None or values["_sa_instance_state"].modified else row[place]

    return read


def _of_row(place: int) -> Callable[[Any], Any]:
    return lambda row: row[place] if isinstance(row, Row) and len(row) > place else NO_TEXT


def _text(draft: Draft, item: DraftField, select: RowSelect) -> ColumnElement[Any] | None:
    widget = item.field.widget
    if item.value is None or item.field.form != "text" or widget is None:
        return None
    if draft.mapper is not None and item.value.label:
        return None
    # What is loaded of related objects needs no second join, where Python's text is the same.
    is_own = all(not target.relations for target in item.value.targets) and not item.value.element
    if not is_own and not widget.sql_is_definition:
        return None
    try:
        return cell_text(text_of(draft, item, select), keep_none=item.field.keep_none)
    except NotRendered:
        return None
