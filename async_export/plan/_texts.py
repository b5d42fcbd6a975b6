"""Cells that PostgreSQL renders beside whole rows and mapped objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select

from async_export.fields import NO_TEXT
from async_export.plan._draft import Draft, DraftField
from async_export.plan._joined import JoinedTexts
from async_export.plan._plan import Reader
from async_export.plan._rendering import NotRendered, text_of
from async_export.statements import RowSelect
from async_export.widgets import JSONWidget

__all__ = ("DatabaseTexts",)

_TEXTS: Final = "__export_texts__"
"""Attribute of a mapped object that holds the cells that PostgreSQL rendered of it."""


class DatabaseTexts:
    """Cells that PostgreSQL renders beside mapped objects, or beside the columns of whole rows.

    They are selected behind the other columns. Where hooks may have changed a mapped object before
    its fields are exported, `Field.export` finds them on it, as long as it was not changed.

    Args:
        draft: What the steps of compiling share.
        items: The fields; those that are rendered here learn where their text is.

    Attributes:
        queried: What the queryset selects, with these texts.
        places: By field name, their places among the texts of a row.
        split: Gives the texts of a fetched row; None if there are none.
    """

    def __init__(self, draft: Draft, items: Sequence[DraftField]) -> None:
        self.queried = queried = draft.queried
        self.places: dict[str, int] = {}
        self.split: Callable[[Any], list[str]] | None = None
        if queried is None or not draft.types:
            return
        is_select = isinstance(queried.statement, Select)
        # What depends on an object's own columns changes neither its groups nor what is distinct.
        if queried.mapper is not None and queried.fixed and not is_select:
            return
        select = RowSelect(queried)
        texts = JoinedTexts()
        for item in items:
            text = _text(draft, item, select)
            if text is not None:
                item.rendered = True
                place = texts.add(text, nullable=item.field.keep_none)
                self.places[item.field.name] = place
        if not texts:
            return
        position = len(queried.columns) if queried.mapper is None else len(queried.names) + 1
        self.split = split = texts.splitter(position)
        statement = select.statement([texts.column().label("texts_")], beside=True)
        self.queried = replace(queried, statement=statement)
        for item in items:
            if item.rendered:
                place = self.places[item.field.name]
                is_row = draft.mapper is None
                item.field.database_text = (
                    _of_row(split, position, place) if is_row else _kept(place)
                )

    def kept(self, subject: Reader | None) -> Reader | None:
        """Let the mapped object that *subject* gives of a row keep the row's texts."""
        split = self.split
        if split is None or subject is None:
            return subject

        def with_texts(row: Any) -> Any:
            instance = subject(row)
            instance.__dict__[_TEXTS] = split(row)
            return instance

        return with_texts


def _kept(place: int) -> Callable[[Any], Any]:
    def read(item: Any) -> Any:
        values = getattr(item, "__dict__", {})
        texts = values.get(_TEXTS)
        return NO_TEXT if texts is None or values["_sa_instance_state"].modified else texts[place]

    return read


def _of_row(split: Callable[[Any], list[str]], position: int, place: int) -> Callable[[Any], Any]:
    return lambda row: (
        split(row)[place] if isinstance(row, Row) and len(row) > position else NO_TEXT
    )


def _text(draft: Draft, item: DraftField, select: RowSelect) -> ColumnElement[Any] | None:
    widget, value = item.field.widget, item.value
    if value is None or widget is None or item.field.form != "text":
        return None
    # Beside typed cells, JSON alone: its text in PostgreSQL and in Python may differ.
    if item.field.keep_none and not isinstance(widget, JSONWidget):
        return None
    if draft.mapper is not None and value.label:
        return None
    # What is loaded of related objects needs no second join, where Python's text is the same.
    is_own = value.element is None and not any(target.relations for target in value.targets)
    is_fixed = draft.queried is not None and bool(draft.queried.fixed)
    if not is_own and (is_fixed or not widget.sql_is_definition):
        return None
    try:
        return text_of(draft, item, select)
    except NotRendered:
        return None
