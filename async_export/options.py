"""`ResourceOptions`: what Meta declares, and what a constructor may override."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, tzinfo
from math import inf
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy.sql.base import ExecutableOption

from async_export.errors import ConfigurationError, RowError, UnknownNameError
from async_export.fields import Field
from async_export.results import Progress
from async_export.widgets import parse_timezone

__all__ = ("ALL", "Headers", "OnError", "ResourceOptions", "check_keywords")

ALL: Final = "__all__"
"""Value of ``Meta.fields`` that stands for every column of the model."""

OnError: TypeAlias = Literal["raise", "skip"] | Callable[[RowError], Any]

Headers: TypeAlias = Literal["name", "attribute", "label", "comment"] | Callable[[Field], Any]
"""Where headers come from; a function gives one, or an awaitable of it."""

_SHAPE = frozenset({"model", "fields", "exclude", "export_order", "widgets", "name", "load"})


def check_keywords(kwargs: Iterable[str], owner: str) -> None:
    """Refuse keywords of an export that are options, and would have no effect.

    Raises:
        ConfigurationError: there is one.
    """
    options = {each.name for each in fields(ResourceOptions)}
    for name in kwargs:
        if name in options:
            where = f"{owner}.Meta" if name in _SHAPE else f"{owner}(engine, {name}=…)"
            raise ConfigurationError(f"{name} is an option, and goes into {where}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceOptions:
    """The options of a resource: ``class Meta`` sets them, a constructor overrides some.

    Attributes:
        model: Mapped class or Table that is exported.
        fields: Names or paths to export, in order; ``"__all__"`` for every column.
        exclude: Names that are not exported.
        export_order: Names that come first, in this order.
        widgets: By field name, a widget or the keyword arguments of the column's own one.
        name: What the resource is called for people; by default the class's name.
        headers: Where the headers of fields without a ``column_name`` come from: their ``"name"``,
            the ``"attribute"`` that they show, the ``"label"`` in the ``info`` of their column
            (else the name in words), the ``"comment"`` of their column (else the name), or a
            function that takes the Field, and may be async.
        load: Loader options for the mapped objects that hooks receive.
        order_by: What ``get_queryset`` orders by: names, ``-names`` and expressions; by default
            the primary key, None for nothing. In a constructor, names are those of fields.
        batch_size: Rows fetched together; None lets it follow what a batch costs.
        chunk_size: Bytes after which a chunk leaves; a chunk may be bigger.
        timezone: Zone in which aware datetimes are written: a name or a tzinfo.
        native: Native cells (True) or text cells (False), whatever the format prefers.
        hook_concurrency: Rows of a batch whose async hooks run at once; output keeps its order.
        hooks_use_database: Whether hooks query through ``self.session``.
        infer_reads: Whether hooks without ``@depends`` whose code leaves no doubt what they read
            get light rows, too.
        max_rows: Records that an export may have; None for no limit.
        max_bytes: Bytes that its output may have; None for no limit.
        deadline: Seconds that it may take, the time of a slow reader included; None for no limit.
        on_limit: What happens where one of these three is passed: ``"raise"`` a LimitError, or
            ``"stop"``, which ends the output in good order after the last record before the limit.
            Output of more than ``max_bytes`` ends with the record that reaches it; formats that
            hold bytes back (xlsx, parquet, gz …) cannot. Neither limit of bytes is for `export`
            and `records`, which have none.
        read_timeout: Seconds that the database may let the export wait for rows; None for ever.
        deferrable: Whether the transaction of an engine's export is serializable, and waits until
            no transaction under way can prove its snapshot wrong; PostgreSQL only.
        progress: Function that is called with the Progress, at most ten times a second and at
            the end; it may be async.
        on_error: What a failing row does: stop the export, be skipped and counted, or call
            a function with the RowError, that skips the row by returning.
        max_errors: Rows that may be skipped; one more is a LimitError. None for no limit.
        on_unrepresentable: What becomes of values that Python's types cannot hold, such as
            infinite dates: the database's own text, an error, or null.
    """

    model: Any = None
    fields: Sequence[str] | str | None = None
    exclude: Sequence[str] = ()
    export_order: Sequence[str] = ()
    widgets: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    headers: Headers = "name"
    load: Sequence[Any] = ()
    order_by: Any = ALL
    batch_size: int | None = None
    chunk_size: int = 65_536
    timezone: tzinfo | str = UTC
    native: bool | None = None
    hook_concurrency: int = 1
    hooks_use_database: bool = False
    infer_reads: bool = True
    max_rows: int | None = None
    max_bytes: int | None = None
    deadline: float | None = None
    on_limit: Literal["raise", "stop"] = "raise"
    read_timeout: float | None = None
    deferrable: bool = False
    progress: Callable[[Progress], Any] | None = None
    on_error: OnError = "raise"
    max_errors: int | None = None
    on_unrepresentable: Literal["text", "error", "null"] = "text"

    def __post_init__(self) -> None:
        for name in ("exclude", "export_order", "fields"):
            self._check_names(name)
        self._check_number("batch_size", 1)
        self._check_number("chunk_size", 1)
        self._check_number("hook_concurrency", 1)
        self._check_number("max_rows", 0)
        self._check_number("max_bytes", 1)
        self._check_number("max_errors", 0)
        self._check_seconds("deadline")
        self._check_seconds("read_timeout")
        self._check_choice("on_limit", ("raise", "stop"))
        self._check_choice("deferrable", (True, False))
        self._check_choice("progress", (None,), function=True)
        self._check_choice("headers", ("name", "attribute", "label", "comment"), function=True)
        self._check_choice("on_error", ("raise", "skip"), function=True)
        self._check_choice("on_unrepresentable", ("text", "error", "null"))
        self._check_choice("native", (True, False, None))
        self._check_choice("hooks_use_database", (True, False))
        self._check_choice("infer_reads", (True, False))
        loads = self.load if isinstance(self.load, list | tuple) else [None]
        if not all(isinstance(each, ExecutableOption) for each in loads):
            raise ConfigurationError("load takes loader options: [selectinload(Book.author)]")
        if not isinstance(self.widgets, Mapping):
            raise ConfigurationError("widgets takes a dict of field names")
        if self.hook_concurrency > 1 and self.hooks_use_database:
            raise ConfigurationError(
                "hooks_use_database needs hook_concurrency=1: one connection serves one hook at "
                "a time; look up in prepare_batch, which runs alone"
            )
        object.__setattr__(self, "timezone", parse_timezone(self.timezone))

    @classmethod
    def from_meta(cls, values: Mapping[str, Any], owner: str) -> ResourceOptions:
        """Make options of the attributes of a Meta class.

        Raises:
            UnknownNameError: an attribute is no option.
            ConfigurationError: a value is impossible; the message names *owner*.
        """
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                raise UnknownNameError("option", name, known, f"{owner}.Meta")
        try:
            return cls(**values)
        except ConfigurationError as error:
            raise ConfigurationError(f"{owner}.Meta: {error}") from error

    def override(self, values: Mapping[str, Any], owner: str) -> ResourceOptions:
        """Give these options with the ones that a constructor sets.

        Raises:
            UnknownNameError: a keyword is no option.
            ConfigurationError: an option that only Meta may set, or an impossible value.
        """
        if not values:
            return self
        known = [each.name for each in fields(self) if each.name not in _SHAPE]
        for name in values:
            if name in _SHAPE:
                raise ConfigurationError(f"{owner}({name}=...): set it in {owner}.Meta")
            if name not in known:
                raise UnknownNameError("option", name, known, owner)
        return replace(self, **values)

    def _check_names(self, name: str) -> None:
        value = getattr(self, name)
        if name == "fields" and (value is None or value == ALL):
            return
        names = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [0]
        if not all(isinstance(each, str) for each in names):
            raise ConfigurationError(f"{name} takes a sequence of names, such as ('id', 'name')")
        twice = sorted({each for each in names if names.count(each) > 1})
        if twice:
            raise ConfigurationError(f"{name} names {twice[0]!r} twice")
        object.__setattr__(self, name, tuple(names))

    def _check_number(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if value is None and name in {"batch_size", "max_rows", "max_bytes", "max_errors"}:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigurationError(f"{name} takes a whole number from {least}, not {value!r}")

    def _check_seconds(self, name: str) -> None:
        value = getattr(self, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 < value < inf):
            raise ConfigurationError(f"{name} takes seconds above 0, not {value!r}")

    def _check_choice(self, name: str, choices: tuple[Any, ...], *, function: bool = False) -> None:
        value = getattr(self, name)
        if value in choices or (function and callable(value)):
            return
        also = " or a function" if function else ""
        raise ConfigurationError(
            f"{name} takes {', '.join(map(repr, choices))}{also}, not {value!r}"
        )
