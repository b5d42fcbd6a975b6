"""The hooks of a resource, as the plan and the run see them; `def` and `async def` alike."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy.types import TypeEngine

from async_export.fields import Field
from async_export.options import ResourceOptions
from async_export.widgets import Widget

__all__ = ("Hooks", "default_hook", "is_async", "is_overridden", "maybe_await")

_T = TypeVar("_T")
_Method = TypeVar("_Method", bound=Callable[..., Any])

_DEFAULT = "__export_default__"


class Hooks(Protocol):
    """What an export asks of its resource; `Resource` says what each hook is for."""

    fields: dict[str, Field]
    options: ResourceOptions

    def before_export(self, queryset: Any, **kwargs: Any) -> Awaitable[None] | None: ...  # noqa: D102
    def get_queryset(self) -> Any: ...  # noqa: D102
    def filter_export(self, queryset: Any, **kwargs: Any) -> Any: ...  # noqa: D102
    def get_export_headers(self, selected_fields: Any = None) -> Any: ...  # noqa: D102
    def get_export_fields(self, selected_fields: Any = None) -> Any: ...  # noqa: D102
    def iter_queryset(self, queryset: Any) -> AsyncIterable[Any]: ...  # noqa: D102
    def iter_batches(self, queryset: Any) -> AsyncIterable[Sequence[Any]]: ...  # noqa: D102
    def prepare_batch(  # noqa: D102
        self, batch: Sequence[Any], **kwargs: Any
    ) -> Awaitable[None] | None: ...
    def export_resource(  # noqa: D102
        self, instance: Any, selected_fields: Any = None, **kwargs: Any
    ) -> Any: ...
    def export_field(self, field: Field, instance: Any, **kwargs: Any) -> Any: ...  # noqa: D102
    def title_records(self, **kwargs: Any) -> Any: ...  # noqa: D102
    def footer_records(self, result: Any, **kwargs: Any) -> Any: ...  # noqa: D102
    def after_export(  # noqa: D102
        self, queryset: Any, result: Any, **kwargs: Any
    ) -> Awaitable[None] | None: ...
    def widget_for_column(self, name: str, sqltype: TypeEngine[Any]) -> Widget: ...  # noqa: D102


async def maybe_await(value: Awaitable[_T] | _T) -> _T:
    """Await *value* if it is awaitable, else give it back.

    For ``super()`` calls in hooks, whose parent may be ``def`` or ``async def``::

        async def filter_export(self, queryset, **kwargs):
            queryset = await maybe_await(super().filter_export(queryset, **kwargs))
    """
    if hasattr(value, "__await__"):
        return await cast("Awaitable[_T]", value)
    return value


def default_hook(method: _Method) -> _Method:
    """Mark a hook as the one that a resource has when nobody overrides it."""
    setattr(method, _DEFAULT, True)
    return method


def is_overridden(hook: Callable[..., Any]) -> bool:
    """Tell whether somebody overrode *hook*."""
    return not getattr(hook, _DEFAULT, False)


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether calling *function* always gives an awaitable."""
    while isinstance(function, functools.partial):
        function = function.func
    call = getattr(type(function), "__call__", None)  # noqa: B004 - its kind is asked for
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
