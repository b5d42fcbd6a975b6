"""What a plan is made of: the fields with their values and hooks, not yet a strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Mapper

from async_export.binds import Database
from async_export.declare import dehydrate_name
from async_export.errors import UnknownNameError
from async_export.fields import DEPENDS, Field, split_path
from async_export.hooks import Hooks, is_async
from async_export.paths import PathTarget, resolve_path
from async_export.plan._plan import CellSpec
from async_export.postgres.describing import ServerType
from async_export.statements import Queried
from async_export.values import FieldValue, value_of

__all__ = (
    "Draft",
    "DraftField",
    "draft_field",
    "read_target",
    "widget_is_async",
    "widget_is_foreign",
)


@dataclass(slots=True)
class DraftField:
    """A field while the plan is being made.

    Attributes:
        field: The export's own copy of the field.
        value: Where its value comes from; None if a hook makes the cell.
        hook: That hook.
        hook_name: Its name.
        reads: The paths that it reads; None if it may read anything.
        inferred: Whether these were found in its bytecode.
        rendered: Whether PostgreSQL renders the cell.
        why: Why it is rendered where it is, when there is something to say.
    """

    field: Field
    value: FieldValue | None
    hook: Callable[[Any], Any] | None
    hook_name: str
    reads: tuple[str, ...] | None
    inferred: bool = False
    rendered: bool = False
    why: str = ""


@dataclass(slots=True)
class Draft:
    """What the steps of compiling share.

    Attributes:
        hooks: The export's own copy of the resource.
        queried: What the queryset selects; None if it is an iterable.
        database: The database; None without a bind.
        spec: Which cells the format takes.
        kwargs: The caller's keywords.
        types: The types of columns on the server; empty if they are not known.
        reasons: Why mapped objects are necessary.
    """

    hooks: Hooks
    queried: Queried | None
    database: Database | None
    spec: CellSpec
    kwargs: Mapping[str, Any]
    types: dict[Any, ServerType] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def dialect_name(self) -> str:
        """Name of the dialect; objects at hand have the types of PostgreSQL."""
        return "postgresql" if self.database is None else self.database.dialect.name

    @property
    def mapper(self) -> Mapper[Any] | None:
        return None if self.queried is None else self.queried.mapper


def draft_field(draft: Draft, each: Field) -> DraftField:
    """Find the hook or the value of a field, and fit the field to this export."""
    hook, name = _dehydrate_hook(draft.hooks, each)
    if hook is not None:
        return DraftField(each, None, hook, name, getattr(hook, DEPENDS, None))
    value = value_of(each, draft.hooks, draft.queried, draft.dialect_name)
    _fit(draft, each, value)
    return DraftField(each, value, None, "", None)


def _dehydrate_hook(hooks: Hooks, each: Field) -> tuple[Callable[[Any], Any] | None, str]:
    method = each.dehydrate_method
    if callable(method):
        return method, getattr(method, "__name__", "dehydrate_method")
    name = method or dehydrate_name(each.name)
    found = getattr(hooks, name, None)
    if found is None and method is not None:
        raise UnknownNameError("method", method, dir(hooks), type(hooks).__name__)
    return found, name


def _fit(draft: Draft, each: Field, value: FieldValue) -> None:
    """Fit the export's copy of a field to this export: its reader, widget and form of cells."""
    zone = draft.hooks.options.timezone
    assert not isinstance(zone, str)
    native = draft.spec.form == "native"
    each.reader = value.reader()
    each.widget = value.widget.with_timezone(zone)
    each.form = "native" if native and value.type.kind in draft.spec.natives else "text"
    each.keep_none = native


def read_target(draft: Draft, path: str, mapper: Mapper[Any]) -> PathTarget | None:
    """Where a declared read leads; None for a labelled column of the queryset."""
    assert draft.queried is not None
    if path in draft.queried.columns:
        return None
    return resolve_path(mapper, split_path(path))


def widget_is_async(each: Field) -> bool:
    if each.widget is None:
        return False
    return is_async(each.widget.render if each.form == "text" else each.widget.native)


def widget_is_foreign(each: Field) -> bool:
    """Tell whether somebody else wrote the widget, so that it may give awaitables."""
    return not type(each.widget).__module__.startswith("async_export.")
