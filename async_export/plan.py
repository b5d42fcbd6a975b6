"""The plan: resource, queryset and format, compiled once for one export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter, itemgetter
from typing import Any, Literal, Protocol, TypeAlias

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapper

from async_export.binds import Database
from async_export.declare import dehydrate_name
from async_export.errors import ConfigurationError, UnknownNameError
from async_export.fields import DEPENDS, Field, read_path, split_path
from async_export.hooks import Hooks, is_async, is_overridden
from async_export.paths import PathTarget, resolve_path
from async_export.records import CellMaker
from async_export.rows import LightRow, Related, Values, light_row_class
from async_export.sqltypes import logical_type
from async_export.statements import Queried, RowSelect, with_loading
from async_export.types import CellForm, Column, Kind, LogicalType
from async_export.values import FieldValue, primary_key, value_of

__all__ = ("CellSpec", "Plan", "PlannedField", "compile_plan")

Strategy: TypeAlias = Literal["server", "rows", "instances"]
"""Who renders: PostgreSQL, Python from columns, or Python from mapped objects."""

Transport: TypeAlias = Literal["copy", "cursor", "stream", "iterable"]
"""How rows arrive: COPY, asyncpg's cursor, SQLAlchemy's stream, or from an iterable."""

_Reader: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class CellSpec:
    """Which cells a format takes.

    Attributes:
        form: Text or native ones.
        natives: The kinds that it holds natively; columns of other kinds get text.
    """

    form: CellForm = "text"
    natives: frozenset[Kind] = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class PlannedField:
    """One field of a plan.

    Attributes:
        field: The export's own copy of the field.
        column: The column that the encoder is told of.
        rendered_by: Name of the widget or hook that makes the cell.
        why: Why it is rendered there.
        reads: Paths that it reads; empty if it wants the mapped object.
    """

    field: Field
    column: Column
    rendered_by: str
    why: str
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one export is carried out.

    Attributes:
        strategy: Who renders.
        transport: How rows arrive.
        reasons: Why no cheaper strategy serves.
        statement: The statement to run; None for an iterable.
        fields: The fields, in the order of the output.
        cells: Makers of the cells of a record, or of the whole record (`whole`).
        whole: Whether the one maker in `cells` makes the whole record.
        subject: Gives what the cell makers receive of a fetched row.
        prepared: Gives what ``prepare_batch`` receives of a fetched row; None if it is not
            overridden.
        key: Gives the primary key of what the cell makers receive; None if it is not known.
        annotates: Whether mapped objects get labelled columns as attributes, row by row: one
            object may stand for several rows that differ in them.
        concurrency: How many rows may be worked on at once.
    """

    strategy: Strategy
    transport: Transport
    reasons: tuple[str, ...]
    statement: Any
    fields: tuple[PlannedField, ...]
    cells: tuple[CellMaker, ...]
    whole: bool
    subject: _Reader | None
    prepared: _Reader | None
    key: _Reader
    annotates: bool = False
    concurrency: int = 1

    @property
    def columns(self) -> list[Column]:
        """The columns that the encoder is told of."""
        return [each.column for each in self.fields]


@dataclass(slots=True)
class _Item:
    """A field while the plan is being made."""

    field: Field
    value: FieldValue | None
    hook: Callable[[Any], Any] | None
    hook_name: str
    reads: tuple[str, ...] | None


@dataclass(slots=True)
class _Compiler:
    """What the steps of compiling share."""

    hooks: Hooks
    queried: Queried | None
    database: Database | None
    spec: CellSpec
    kwargs: Mapping[str, Any]
    reasons: list[str] = field(default_factory=list)

    @property
    def mapper(self) -> Mapper[Any] | None:
        return None if self.queried is None else self.queried.mapper


def compile_plan(
    hooks: Hooks,
    fields: Sequence[Field],
    headers: Sequence[str],
    *,
    queried: Queried | None,
    database: Database | None,
    spec: CellSpec,
    kwargs: Mapping[str, Any],
) -> Plan:
    """Compile the plan of one export.

    Args:
        hooks: The export's own copy of the resource.
        fields: Its own copies of the fields to export, in order; their widgets are set.
        headers: Their headers.
        queried: What the queryset selects; None if it is an iterable.
        database: The database; None without a bind.
        spec: Which cells the format takes.
        kwargs: The caller's keywords, for hooks and widgets.

    Raises:
        ConfigurationError: a field, hook or header does not fit the queryset.
    """
    if len(headers) != len(fields):
        raise ConfigurationError(
            f"get_export_headers gave {len(headers)} headers for {len(fields)} fields"
        )
    compiler = _Compiler(hooks, queried, database, spec, kwargs)
    items = [_item(compiler, each) for each in fields]
    for item in items:
        _bind(compiler, item)
    _collect_reasons(compiler, items)
    planned = tuple(
        _planned(compiler, item, header) for item, header in zip(items, headers, strict=True)
    )
    if queried is not None and queried.mapper is not None and not compiler.reasons:
        plan = _rows_plan(compiler, items, planned)
        try:
            plan.statement.compile(dialect=None if database is None else database.dialect)
        except SQLAlchemyError:
            compiler.reasons.append("the queryset's joins cannot be extended")
        else:
            return plan
    return _instances_plan(compiler, items, planned)


def _item(compiler: _Compiler, each: Field) -> _Item:
    hook, name = _dehydrate_hook(compiler.hooks, each)
    if hook is None:
        return _Item(each, value_of(each, compiler.hooks, compiler.queried), None, "", None)
    return _Item(each, None, hook, name, getattr(hook, DEPENDS, None))


def _dehydrate_hook(hooks: Hooks, each: Field) -> tuple[Callable[[Any], Any] | None, str]:
    method = each.dehydrate_method
    if callable(method):
        return method, getattr(method, "__name__", "dehydrate_method")
    name = method or dehydrate_name(each.name)
    found = getattr(hooks, name, None)
    if found is None and method is not None:
        raise UnknownNameError("method", method, dir(hooks), type(hooks).__name__)
    return found, name


def _bind(compiler: _Compiler, item: _Item) -> None:
    """Fit the export's copy of a field to this export: its reader, widget and form of cells."""
    if item.value is None:
        return
    each = item.field
    each.path = item.value.read
    each.widget = item.value.widget.with_timezone(compiler.hooks.options.timezone)  # type: ignore[arg-type]
    native = compiler.spec.form == "native"
    each.form = "native" if native and item.value.type.kind in compiler.spec.natives else "text"
    each.keep_none = native


def _planned(compiler: _Compiler, item: _Item, header: str) -> PlannedField:
    each = item.field
    if item.value is None:
        logical = LogicalType() if each.type is None else logical_type(each.type)
        reads = item.reads or ()
        why = f"@depends({', '.join(map(repr, reads))})" if reads else "wants the mapped object"
        by = item.hook_name
    else:
        logical = item.value.type
        reads = (each.attribute or each.name,)
        why = f"{logical.kind} column"
        by = type(each.widget).__name__
    if is_overridden(compiler.hooks.export_resource):
        by, why = "export_resource", "overridden"
    elif is_overridden(compiler.hooks.export_field):
        by, why = "export_field", "overridden"
    column = Column(each.name, header, logical, each.number_format)
    return PlannedField(each, column, by, why, reads)


# --- which strategy -------------------------------------------------------------------------


def _collect_reasons(compiler: _Compiler, items: Sequence[_Item]) -> None:
    """Find out what makes mapped objects necessary."""
    queried, mapper, reasons = compiler.queried, compiler.mapper, compiler.reasons
    for name in ("export_resource", "export_field", "iter_queryset", "iter_batches"):
        if is_overridden(getattr(compiler.hooks, name)):
            reasons.append(f"{name} is overridden")
    if queried is None or mapper is None:
        return
    if queried.fixed:
        reasons.append(f"the queryset keeps its columns: {queried.fixed}")
    if _has_listeners(compiler.database):
        reasons.append("the session has do_orm_execute listeners")
    for item in items:
        why = _needs_instance(compiler, item, mapper)
        if why:
            reasons.append(f"{item.field.name}: {why}")
    prepare = compiler.hooks.prepare_batch
    if is_overridden(prepare):
        why = _reads_need_instance(compiler, getattr(prepare, DEPENDS, None), mapper)
        if why:
            reasons.append(f"prepare_batch {why}")


def _has_listeners(database: Database | None) -> bool:
    if database is None:
        return False
    return bool(database.session.sync_session.dispatch.do_orm_execute)


def _needs_instance(compiler: _Compiler, item: _Item, mapper: Mapper[Any]) -> str:
    kind = type(item.field)
    if kind.export is not Field.export or kind.get_value is not Field.get_value:
        return f"{kind.__name__} overrides export or get_value"
    if item.value is None:
        why = _reads_need_instance(compiler, item.reads, mapper)
        return f"{item.hook_name} {why}" if why else ""
    for target in item.value.targets:
        why = _leaf_needs_instance(compiler, item.value, target)
        if why:
            return why
    return ""


def _leaf_needs_instance(compiler: _Compiler, value: FieldValue, target: PathTarget) -> str:
    if target.leaf == "python":
        return f"{target.name} is an attribute of Python, not a column"
    if target.leaf == "to_one":
        return f"its widget wants the whole {target.name}"
    if target.leaf == "to_many":
        if value.element is None:
            return f"what it takes of {target.name} is not one column"
        if compiler.database is None or not compiler.database.is_postgresql:
            return f"{target.name} has many objects, aggregated in SQL on PostgreSQL only"
    return ""


def _reads_need_instance(
    compiler: _Compiler, reads: tuple[str, ...] | None, mapper: Mapper[Any]
) -> str:
    if reads is None:
        return "has no @depends(...), so that it may read anything"
    for path in reads:
        target = _read_target(compiler, path, mapper)
        if target is not None and target.leaf in {"python", "to_many"}:
            return f"reads {path}, which is no column"
    return ""


def _read_target(compiler: _Compiler, path: str, mapper: Mapper[Any]) -> PathTarget | None:
    """Where a declared read leads; None for a labelled column of the queryset."""
    assert compiler.queried is not None
    if path in compiler.queried.columns:
        return None
    return resolve_path(mapper, split_path(path))


# --- rows -----------------------------------------------------------------------------------


def _rows_plan(
    compiler: _Compiler, items: Sequence[_Item], planned: tuple[PlannedField, ...]
) -> Plan:
    queried, mapper = compiler.queried, compiler.mapper
    assert queried is not None
    assert mapper is not None
    select = RowSelect(queried)
    makers = [_row_maker(compiler, item, select) for item in items]
    key = [select.add_path(target) for target in primary_key(mapper)]
    prepare = compiler.hooks.prepare_batch
    prepared = None
    if is_overridden(prepare):
        prepared = _light_rows(compiler, "prepare_batch", getattr(prepare, DEPENDS), select)
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
        concurrency=compiler.hooks.options.hook_concurrency,
    )


def _row_maker(compiler: _Compiler, item: _Item, select: RowSelect) -> CellMaker:
    name = item.field.name
    if item.value is None:
        assert item.hook is not None
        assert item.reads is not None
        light = _light_rows(compiler, item.hook_name, item.reads, select)
        hook = item.hook
        return CellMaker(name, lambda row: hook(light(row)), is_async=is_async(hook), is_hook=True)
    cell = _cell_function(compiler, item)
    read = _row_reader(item.value, select)
    return CellMaker(
        name,
        lambda row: cell(read(row)),
        is_async=_widget_is_async(item.field),
        is_hook=_widget_is_foreign(item.field),
    )


def _row_reader(value: FieldValue, select: RowSelect) -> _Reader:
    if value.label:
        return _inside(itemgetter(select.add_column(value.label)), value.steps)
    if value.element is not None:
        return itemgetter(select.add_many(value.targets[0], value.element))
    readers = [
        _inside(itemgetter(select.add_path(target)), target.tail) for target in value.targets
    ]
    if len(readers) == 1:
        return readers[0]
    return lambda row: _key_or_none([read(row) for read in readers])


def _key_or_none(values: Sequence[Any]) -> tuple[Any, ...] | None:
    return None if any(value is None for value in values) else tuple(values)


def _inside(read: _Reader, steps: tuple[str, ...]) -> _Reader:
    return (lambda row: read_path(read(row), steps)) if steps else read


class _Sink(Protocol):
    """Where the columns of light rows are noted: the SELECT, or readers of mapped objects."""

    def add_path(self, target: PathTarget) -> int: ...
    def add_column(self, name: str) -> int: ...


def _light_rows(
    compiler: _Compiler, hook: str, reads: Sequence[str], cells: _Sink
) -> Callable[[Any], LightRow]:
    """Make the rows that one hook receives: its reads, and the primary key."""
    mapper = compiler.mapper
    assert mapper is not None
    tree: dict[str, Any] = {}
    for target in primary_key(mapper):
        tree[target.name] = cells.add_path(target)
    for path in reads:
        found = _read_target(compiler, path, mapper)
        if found is None:
            tree[path] = cells.add_column(path)
            continue
        inside = 0 if found.leaf == "to_many" else len(found.tail)
        *parents, name = _steps(mapper, path)[: len(split_path(path)) - inside]
        related = (*found.relations, found.name) if found.leaf == "to_one" else found.relations
        node = tree
        # A proxy stands where it is declared, not where it leads.
        named = [*parents, name] if found.leaf == "to_one" else parents
        for depth, step in enumerate(named):
            node = _related_node(mapper, step, related[: depth + 1], node, cells)
        if found.leaf != "to_one":
            bare = found if found.leaf == "to_many" else replace(found, tail=())
            node[name] = cells.add_path(bare)
    return light_row_class(_frozen(tree), hook)


def _steps(mapper: Mapper[Any], path: str) -> tuple[str, ...]:
    return (path,) if path in mapper.all_orm_descriptors else split_path(path)


def _related_node(
    mapper: Mapper[Any],
    name: str,
    relations: tuple[str, ...],
    parent: dict[str, Any],
    cells: _Sink,
) -> dict[str, Any]:
    """Give the node of a related row, made with its primary key at first sight."""
    if name not in parent:
        related = mapper
        for relation in relations:
            related = related.relationships[relation].mapper
        node: dict[str, Any] = {}
        for target in primary_key(related):
            position = cells.add_path(replace(target, relations=relations))
            node[target.name] = position
            node.setdefault("", position)
        parent[name] = node
    found: dict[str, Any] = parent[name]
    return found


def _frozen(tree: Mapping[str, Any]) -> dict[str, Values]:
    return {
        name: Related(value[""], _frozen(value)) if isinstance(value, dict) else value
        for name, value in tree.items()
        if name
    }


# --- instances ------------------------------------------------------------------------------


def _instances_plan(
    compiler: _Compiler, items: Sequence[_Item], planned: tuple[PlannedField, ...]
) -> Plan:
    hooks, queried = compiler.hooks, compiler.queried
    whole = is_overridden(hooks.export_resource)
    names = [item.field.name for item in items]
    makers = (
        [_record_maker(compiler, names)]
        if whole
        else [_instance_maker(compiler, item) for item in items]
    )
    prepare = hooks.prepare_batch
    reads = getattr(prepare, DEPENDS, None)
    subject = _subject(queried)
    prepared = None
    if is_overridden(prepare):
        light = _light_instances(compiler, "prepare_batch", reads)
        prepared = _then(subject, light)
    statement = None if queried is None else _loaded(compiler, items, queried)
    annotates = queried is not None and queried.mapper is not None and bool(queried.columns)
    return Plan(
        strategy="rows" if queried is not None and queried.mapper is None else "instances",
        transport="iterable" if queried is None else "stream",
        reasons=tuple(compiler.reasons),
        statement=statement,
        fields=planned,
        cells=tuple(makers),
        whole=whole,
        subject=subject,
        prepared=prepared,
        key=_instance_key(compiler.mapper),
        annotates=annotates,
        concurrency=1 if annotates else hooks.options.hook_concurrency,
    )


def _then(first: _Reader | None, second: _Reader | None) -> _Reader:
    if first is None:
        return second or (lambda row: row)
    if second is None:
        return first
    return lambda row: second(first(row))


def _subject(queried: Queried | None) -> _Reader | None:
    """Give what stands for a fetched row: the mapped object, with the labelled columns on it."""
    if queried is None or queried.mapper is None:
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


def _instance_key(mapper: Mapper[Any] | None) -> _Reader:
    if mapper is None:
        return lambda row: None  # noqa: ARG005

    def key(instance: Any) -> Any:
        if not isinstance(instance, mapper.class_):
            return None
        values = mapper.primary_key_from_instance(instance)
        return values[0] if len(values) == 1 else tuple(values)

    return key


def _loaded(compiler: _Compiler, items: Sequence[_Item], queried: Queried) -> Any:
    if queried.mapper is None:
        return queried.statement
    targets = [t for item in items if item.value for t in item.value.targets]
    prepare = compiler.hooks.prepare_batch
    declared = [*(getattr(prepare, DEPENDS, None) or ())]
    for item in items:
        declared.extend(item.reads or ())
    for path in declared:
        target = _read_target(compiler, path, queried.mapper)
        if target is not None:
            targets.append(target)
    return with_loading(queried, targets, compiler.hooks.options.load)


def _record_maker(compiler: _Compiler, names: Sequence[str]) -> CellMaker:
    export, kwargs = compiler.hooks.export_resource, compiler.kwargs
    return CellMaker(
        "export_resource",
        lambda instance: export(instance, names, **kwargs),
        is_async=is_async(export),
        is_hook=True,
    )


def _instance_maker(compiler: _Compiler, item: _Item) -> CellMaker:
    each, kwargs = item.field, compiler.kwargs
    export_field = compiler.hooks.export_field
    if is_overridden(export_field):
        return CellMaker(
            each.name,
            lambda instance: export_field(each, instance, **kwargs),
            is_async=is_async(export_field),
            is_hook=True,
        )
    if item.hook is not None:
        hook = item.hook
        light = _light_instances(compiler, item.hook_name, item.reads)
        make = hook if light is None else lambda instance: hook(light(instance))
        return CellMaker(each.name, make, is_async=is_async(hook), is_hook=True)
    return CellMaker(
        each.name,
        lambda instance: each.export(instance, **kwargs),
        is_async=_widget_is_async(each) or is_async(each.export),
        is_hook=type(each).export is not Field.export or _widget_is_foreign(each),
    )


class _Readers:
    """Readers of the columns of light rows from mapped objects."""

    def __init__(self) -> None:
        self.readers: list[_Reader] = []

    def add_path(self, target: PathTarget) -> int:
        self.readers.append(target.reader())
        return len(self.readers) - 1

    def add_column(self, name: str) -> int:
        self.readers.append(attrgetter(name))
        return len(self.readers) - 1


def _light_instances(
    compiler: _Compiler, hook: str, reads: tuple[str, ...] | None
) -> _Reader | None:
    """Make light rows of mapped objects, so that a hook sees the same in every strategy."""
    if reads is None or compiler.mapper is None:
        return None
    cells = _Readers()
    light = _light_rows(compiler, hook, reads, cells)
    return lambda instance: light([read(instance) for read in cells.readers])


def _cell_function(compiler: _Compiler, item: _Item) -> _Reader:
    each, kwargs = item.field, compiler.kwargs
    if not kwargs and not each.keep_none:
        assert each.widget is not None
        return each.widget.render
    return lambda value: each.cell(value, **kwargs)


def _widget_is_async(each: Field) -> bool:
    if each.widget is None:
        return False
    return is_async(each.widget.render if each.form == "text" else each.widget.native)


def _widget_is_foreign(each: Field) -> bool:
    """Tell whether somebody else wrote the widget, so that it may give awaitables."""
    return not type(each.widget).__module__.startswith("async_export.")
