"""Resources: what is exported and how. Their methods are the hooks, and the ways out."""

from __future__ import annotations

import copy
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, ClassVar, Self

import tablib
from sqlalchemy import Table, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import configure_mappers
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from async_export.binds import Bind, Database, check_bind
from async_export.declare import (
    DEHYDRATE,
    check_hooks,
    check_names,
    check_paths,
    collect_fields,
    collect_options,
    dehydrate_name,
    mapper_of,
    when_configured,
)
from async_export.errors import ConfigurationError, UnknownNameError
from async_export.explain import Explanation, explain_plan
from async_export.fields import DEPENDS, Field, split_path
from async_export.formats import Encoder, format_for_path, make_encoder
from async_export.guard import refuse_secrets
from async_export.hooks import default_hook, is_overridden, maybe_await
from async_export.options import ALL, ResourceOptions, check_keywords
from async_export.paths import column_at, has_attribute, key_names
from async_export.plan import CellSpec
from async_export.publishing import publish
from async_export.results import ExportResult
from async_export.run import COPYING, Run, running
from async_export.sinks import FileSink, make_sink
from async_export.sqltypes import widget_for_type
from async_export.streams import ExportStream
from async_export.types import Kind, Record
from async_export.widgets import Widget

__all__ = ("ModelResource", "Resource", "resource_factory")


class Resource:
    """What is exported, and how.

    A subclass declares fields and, in ``class Meta``, options; it overrides hooks, which may be
    ``def`` or ``async def``. Every export works on a copy of the resource that has `fields` of
    its own, so hooks may set attributes, and one resource may serve many exports at once.

    Args:
        bind: Where selects run: an AsyncEngine, async_sessionmaker, AsyncSession or
            AsyncConnection. Not needed for querysets of objects at hand.
        **options: Options that override those of Meta; see `ResourceOptions`.

    Attributes:
        bind: Where selects run.
        options: The options.
        fields: The fields by name, in the order of the output; hooks that run before the first
            row may add, drop and change them.

    Raises:
        UnknownNameError: an option that does not exist.
        ConfigurationError: an impossible option or bind.
    """

    _meta: ClassVar[ResourceOptions] = ResourceOptions()
    _declared: ClassVar[Mapping[str, Field]] = {}
    _names: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._meta = collect_options(cls)
        cls._declared = collect_fields(cls)
        for name in cls._declared:
            if hasattr(Resource, name):
                raise ConfigurationError(
                    f"{cls.__name__}.{name} would replace a method of Resource; give the field "
                    f"another name and column_name={name!r}"
                )
        cls._names = check_names(cls, cls._meta, cls._declared)
        if not is_overridden(cls.before_export):
            check_hooks(cls, cls._meta, cls._declared, cls._names)
        mapper = mapper_of(cls._meta.model)
        if mapper is not None:
            when_configured(mapper, cls._check_paths)

    def __init__(self, bind: Bind | None = None, **options: Any) -> None:
        check_bind(bind)
        self.bind = bind
        self.options = self._meta.override(self._checked_order(options), type(self).__name__)
        self.fields = {name: self._new_field(name) for name in self._names}
        self._run: Run | None = None
        self._planned: dict[tuple[str, ...], list[Field]] = {}
        self._session: AsyncSession | None = None

    # --- hooks, in the order in which they run ----------------------------------------------

    @default_hook
    def before_export(self, queryset: Any, **kwargs: Any) -> Awaitable[None] | None:
        """Prepare the export; it may add, drop and change ``self.fields``.

        Args:
            queryset: What the caller passed; None if nothing.
            **kwargs: The caller's keywords.
        """

    @default_hook
    def get_queryset(self) -> Any:
        """Give what to export when the caller passes nothing."""
        raise ConfigurationError(
            f"{type(self).__name__} has no model; pass a queryset, or override get_queryset"
        )

    @default_hook
    def filter_export(self, queryset: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - for overriding
        """Give the queryset to use in place of *queryset*."""
        return queryset

    @default_hook
    def get_export_order(self) -> Any:
        """Give the names of the fields, in the order of the output."""
        return list(self.fields)

    @default_hook
    def get_export_fields(self, selected_fields: Sequence[str] | None = None) -> Any:
        """Give the fields to export: the selected ones in that order, or all.

        Args:
            selected_fields: Names or column_names of fields.

        Raises:
            UnknownNameError: a selected field does not exist.
            ConfigurationError: there is nothing to export.
        """
        names = self.get_export_order() if selected_fields is None else selected_fields
        return self._find_later(names) if hasattr(names, "__await__") else self._find_fields(names)

    @default_hook
    def get_export_headers(self, selected_fields: Sequence[str] | None = None) -> Any:
        """Give the headers, one for each field to export."""
        fields = self.get_export_fields(selected_fields)
        if hasattr(fields, "__await__"):
            return self._headers_later(fields)
        headers = [self._header(field) for field in fields]
        return _awaited(headers) if any(hasattr(h, "__await__") for h in headers) else headers

    @default_hook
    def iter_queryset(self, queryset: Any) -> AsyncIterator[Any]:
        """Iterate over the instances of *queryset*, one by one.

        Overriding it makes the export build mapped objects.
        """
        return self._iter_instances(queryset)

    @default_hook
    def iter_batches(self, queryset: Any) -> AsyncIterator[Sequence[Any]]:
        """Iterate over the instances of *queryset*, in lists of what is fetched together.

        Overriding it makes the export build mapped objects.
        """
        return self._current_run().fetch(queryset)

    @default_hook
    def prepare_batch(self, batch: Sequence[Any], **kwargs: Any) -> Awaitable[None] | None:
        """Look up what the hooks of a whole batch need, in one query instead of one per row.

        Args:
            batch: What the hooks will receive, row by row.
            **kwargs: The caller's keywords.
        """

    @default_hook
    def export_resource(
        self, instance: Any, selected_fields: Sequence[str] | None = None, **kwargs: Any
    ) -> Any:
        """Give the record of *instance*: one cell for each field, or an awaitable of it."""
        fields = self._planned.get(tuple(selected_fields or ()))
        if fields is None:
            fields = self.get_export_fields(selected_fields)
        cells = [self.export_field(field, instance, **kwargs) for field in fields]
        return _awaited(cells) if any(hasattr(c, "__await__") for c in cells) else cells

    @default_hook
    def export_field(self, field: Field, instance: Any, **kwargs: Any) -> Any:
        """Give the cell of *field*: from its dehydrate hook, or from the field itself."""
        hook = field.dehydrate_method or dehydrate_name(field.name)
        method = getattr(self, hook, None) if isinstance(hook, str) else hook
        return field.export(instance, **kwargs) if method is None else method(instance)

    @default_hook
    def title_records(self, **kwargs: Any) -> Any:  # noqa: ARG002 - for overriding
        """Give records to stand above the header, such as what the report is called.

        A record is a list of cells, no longer than there are columns, or a dict of cells by the
        names of fields, of which those that are not exported are left out. Formats made of
        nothing but rows (json, jsonl, yaml, sql, parquet, arrow and a Dataset) have no titles.

        Args:
            **kwargs: The caller's keywords.
        """
        return ()

    @default_hook
    def footer_records(self, result: ExportResult, **kwargs: Any) -> Any:  # noqa: ARG002 - for overriding
        """Give records to stand below the last one, such as totals.

        They are records as titles are, and left out where these are.

        Args:
            result: What was made so far; its bytes are not told yet.
            **kwargs: The caller's keywords.
        """
        return ()

    @default_hook
    def after_export(self, queryset: Any, result: Any, **kwargs: Any) -> Awaitable[None] | None:
        """Finish the export.

        Args:
            queryset: What was exported.
            result: The Dataset for `export`, an ExportResult otherwise.
            **kwargs: The caller's keywords.
        """

    def widget_for_column(self, name: str, sqltype: TypeEngine[Any]) -> Widget:  # noqa: ARG002 - for overriding
        """Choose the widget of a column whose field has none of its own.

        Args:
            name: Name of the field.
            sqltype: SQLAlchemy type of the column, or the type that the field declares.
        """
        return widget_for_type(sqltype)

    # --- ways out ---------------------------------------------------------------------------

    async def export(
        self, queryset: Any = None, *, fields: Sequence[str] | None = None, **kwargs: Any
    ) -> tablib.Dataset:
        """Export into a Dataset, in memory.

        Args:
            queryset: A select or an iterable; by default what ``get_queryset`` gives.
            fields: Names or column_names of the fields to export, in order; by default all.
            **kwargs: Reach every hook, and the widgets.

        Raises:
            ExportError: as its tree says; see `async_export.errors`.
        """
        async with self._begin(queryset, CellSpec(self._form()), fields, kwargs) as run:
            dataset = tablib.Dataset(headers=[column.header for column in run.plan.columns])
            async with aclosing(run.batches()) as batches:
                async for records in batches:
                    dataset.extend(records)
            await run.finish(dataset)
        return dataset

    async def export_to(
        self,
        target: Any,
        format: str | type[Encoder] | Encoder | None = None,  # noqa: A002 - the field's word
        queryset: Any = None,
        *,
        fields: Sequence[str] | None = None,
        overwrite: bool = True,
        manifest: bool = False,
        **kwargs: Any,
    ) -> ExportResult:
        """Export to a path, a binary file object, or a coroutine function that takes chunks.

        A file appears under its name complete, or not at all. Beside it appears
        ``books.csv.rejects.csv`` if ``on_error="skip"`` left rows out.

        Args:
            target: Where to write.
            format: Name of a format, or an encoder; by default by the path's extension.
            queryset: A select or an iterable; by default what ``get_queryset`` gives.
            fields: Names or column_names of the fields to export, in order; by default all.
            overwrite: Whether an existing file may be replaced.
            manifest: Whether to write ``books.csv.manifest.json`` beside the file, by which
                `verify_export` finds what happens to it later.
            **kwargs: Reach every hook, and the widgets.

        Raises:
            ExportError: as its tree says; see `async_export.errors`.
        """
        sink = make_sink(target, overwrite=overwrite)
        if format is None:
            if not isinstance(sink, FileSink):
                raise ConfigurationError("name the format: export_to(target, 'csv')")
            format = format_for_path(sink.path)  # noqa: A001 - the field's word
        stream = self.stream(format, queryset, fields=fields, **kwargs)
        return await publish(stream, sink, manifest=manifest)

    def stream(
        self,
        format: str | type[Encoder] | Encoder,  # noqa: A002 - the field's word
        queryset: Any = None,
        *,
        fields: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> ExportStream:
        """Export as a stream of bytes: ``async with resource.stream("csv") as stream``.

        Args:
            format: Name of a format, or an encoder.
            queryset: A select or an iterable; by default what ``get_queryset`` gives.
            fields: Names or column_names of the fields to export, in order; by default all.
            **kwargs: Reach every hook, and the widgets.

        Raises:
            UnknownNameError: there is no such format.
        """
        encoder = make_encoder(format)
        spec = self._spec(encoder)
        return ExportStream(
            lambda: self._begin(queryset, spec, fields, kwargs), encoder, self.options.chunk_size
        )

    async def records(
        self, queryset: Any = None, *, fields: Sequence[str] | None = None, **kwargs: Any
    ) -> AsyncGenerator[Record, None]:
        """Iterate over the records: lists of cells, one for each row.

        After the last one ``after_export`` receives an ExportResult that has no bytes.

        Close it when you leave early: ``async with aclosing(resource.records()) as records``.

        Args:
            queryset: A select or an iterable; by default what ``get_queryset`` gives.
            fields: Names or column_names of the fields to export, in order; by default all.
            **kwargs: Reach every hook, and the widgets.

        Yields:
            The cells of one row, in the order of the fields.
        """
        async with (
            self._begin(queryset, CellSpec(self._form()), fields, kwargs) as run,
            aclosing(run.batches()) as batches,
        ):
            async for records in batches:
                for record in records:
                    yield record
            await run.finish(run.result())

    async def explain(
        self,
        format: str | type[Encoder] | Encoder = "csv",  # noqa: A002 - the field's word
        queryset: Any = None,
        *,
        fields: Sequence[str] | None = None,
        analyze: bool = False,
        **kwargs: Any,
    ) -> Explanation:
        """Tell how an export would be carried out, without fetching a row.

        The hooks up to ``get_export_headers`` run, as they would for the export.

        Args:
            format: Name of a format, or an encoder.
            queryset: A select or an iterable; by default what ``get_queryset`` gives.
            fields: Names or column_names of the fields to export, in order; by default all.
            analyze: Whether PostgreSQL runs the statement and tells its own plan, with timings.
            **kwargs: Reach every hook, and the widgets.

        Raises:
            ConfigurationError: *analyze* is for PostgreSQL through asyncpg.
        """
        encoder = make_encoder(format)
        spec = self._spec(encoder)
        async with self._begin(queryset, spec, fields, kwargs) as run:
            analysis = await run.analyze() if analyze else ""
            snapshot = run.origin.snapshot
            unlocked = () if snapshot is None else snapshot.unlocked
            return explain_plan(run.plan, run.dialect, analysis, unlocked)

    @classmethod
    def check(cls) -> None:
        """Check names and paths now, which happens by itself when the mappers are configured.

        Raises:
            ConfigurationError: something is declared that does not exist.
        """
        check_names(cls, cls._meta, cls._declared)
        check_hooks(cls, cls._meta, cls._declared, cls._names)
        try:
            configure_mappers()
        except SQLAlchemyError as error:
            raise ConfigurationError(f"the mappers cannot be configured: {error}") from error
        cls._check_paths()

    # --- what hooks may use -----------------------------------------------------------------

    @property
    def session(self) -> AsyncSession:
        """The session of this export, in its own snapshot; for hooks.

        Raises:
            ConfigurationError: no export is under way, it has no database, or COPY has taken its
                connection.
        """
        if self._run is not None and self._run.is_copying:
            raise ConfigurationError(COPYING)
        if self._session is None:
            raise ConfigurationError(
                "self.session is there for hooks, in an export that has a bind; for a queryset "
                "that is no select, set Meta.hooks_use_database = True"
            )
        return self._session

    @classmethod
    def get_display_name(cls) -> str:
        """Give the name for people: ``Meta.name``, or the class's."""
        return cls._meta.name or cls.__name__

    # --- inside -----------------------------------------------------------------------------

    def start_run(
        self,
        encoder: Encoder,
        database: Database | None,
        queryset: Any,
        kwargs: Mapping[str, Any],
    ) -> AbstractAsyncContextManager[Run]:
        """Begin an export of this resource among others; called by `WorkbookStream`.

        Args:
            encoder: The format.
            database: The bind, open.
            queryset: What is exported; None for what ``get_queryset`` gives.
            kwargs: The caller's keywords.
        """
        spec = self._spec(encoder)
        return running(self._copy(), queryset, spec, None, kwargs, database=database)

    def begin_run(self, run: Run, session: AsyncSession | None) -> None:
        """Receive the run that this copy serves; called by the run."""
        self._run = run
        self._session = session

    def plan_fields(self, fields: Sequence[Field]) -> None:
        """Remember the fields of the plan, so that no row has to find them; called by the run."""
        self._planned = {tuple(field.name for field in fields): list(fields)}

    def adopt_columns(self, names: Sequence[str]) -> None:
        """Take the queryset's columns for fields, if Meta says ``"__all__"`` and no model.

        Called by the run.
        """
        if self.options.model is None and self.options.fields == ALL:
            known = (*self.fields, *self.options.exclude)
            adopted = [name for name in names if name not in known]
            refuse_secrets(type(self).__name__, {name: name for name in adopted})
            self.fields |= {name: Field(name) for name in adopted}

    @classmethod
    def _check_paths(cls, *_: Any) -> None:
        mapper = mapper_of(cls._meta.model)
        if mapper is None:
            return
        declared = [each.attribute for each in cls._declared.values() if each.attribute]
        hooks = [getattr(cls, name) for name in dir(cls) if name.startswith(DEHYDRATE)]
        hooks += [each.dehydrate_method for each in cls._declared.values()]
        reads = [p for hook in (*hooks, cls.prepare_batch) for p in getattr(hook, DEPENDS, ())]
        # What the model lacks may be a labelled column of a queryset: the export will tell.
        known = [p for p in (*declared, *reads) if has_attribute(mapper, split_path(p)[0])]
        implied = [name for name in cls._names if name not in cls._declared]
        check_paths(cls, mapper, [*implied, *known])

    @classmethod
    def _checked_order(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Let names in the ``order_by`` of a constructor be those of fields, as a user's may be.

        Of what is not exported, the order would tell.
        """
        order = options.get("order_by")
        entries = [order] if isinstance(order, str) and order != ALL else order
        if not isinstance(entries, list | tuple):
            return options
        named = [cls._ordered(each) if isinstance(each, str) else each for each in entries]
        return {**options, "order_by": named}

    @classmethod
    def _ordered(cls, entry: str) -> str:
        """Give an entry of ``order_by`` with the attribute of the field that it names."""
        name = entry.removeprefix("-")
        if name not in cls._names:
            raise UnknownNameError("field", name, cls._names, f"order_by of {cls.__name__}")
        attribute = cls._new_field(name).attribute or name
        if len(split_path(attribute)) > 1:
            raise ConfigurationError(
                f"order_by: {name} is no column of the model itself; pass an expression instead"
            )
        return f"-{attribute}" if entry.startswith("-") else attribute

    @classmethod
    def _new_field(cls, name: str) -> Field:
        field = copy.copy(cls._declared[name]) if name in cls._declared else Field(name)
        field.name = name
        return field

    def _copy(self) -> Self:
        """Give the copy that one export works on, with fields of its own."""
        twin = copy.copy(self)
        twin.fields = {name: copy.copy(field) for name, field in self.fields.items()}
        return twin

    def _begin(
        self,
        queryset: Any,
        spec: CellSpec,
        fields: Sequence[str] | None,
        kwargs: Mapping[str, Any],
    ) -> AbstractAsyncContextManager[Run]:
        kwargs = dict(kwargs)
        named = kwargs.pop("export_fields", None)
        if fields is not None and named is not None:
            raise ConfigurationError("export_fields is another name of fields; pass one of them")
        check_keywords(kwargs, type(self).__name__)
        return running(self._copy(), queryset, spec, named if fields is None else fields, kwargs)

    def _form(self, encoder: Encoder | None = None) -> Any:
        if self.options.native is not None:
            return "native" if self.options.native else "text"
        return "text" if encoder is None else encoder.cells

    def _spec(self, encoder: Encoder) -> CellSpec:
        natives = encoder.natives if encoder.cells == "native" else frozenset(Kind)
        form = self._form(encoder)
        # An encoder of somebody else's need not have it.
        copy_form = getattr(encoder, "copy_form", None)
        copied = copy_form() if copy_form is not None and form == encoder.cells else None
        return CellSpec(form, natives, copied)

    async def _headers_later(self, fields: Awaitable[Sequence[Field]]) -> list[Any]:
        return await _awaited([self._header(field) for field in await fields])

    def _header(self, field: Field) -> Any:
        """Give the header of a field that has no ``column_name``, as `headers` says."""
        source = self.options.headers
        if field.column_name is not None or source == "name":
            return field.header
        if callable(source):
            return source(field)
        attribute = field.attribute or field.name
        if source == "attribute":
            return attribute
        column = self._column_at(attribute)
        if source == "comment":
            return getattr(column, "comment", None) or field.name
        label = None if column is None else column.info.get("label")
        return re.sub("[_.]+", " ", field.name).strip().capitalize() if label is None else label

    def _column_at(self, attribute: str) -> Any:
        """Give the model's column that an attribute is; None if it is none."""
        model = self.options.model
        if isinstance(model, Table):
            return model.columns.get(attribute)
        mapper = mapper_of(model)
        return None if mapper is None else column_at(mapper, split_path(attribute))

    async def _find_later(self, names: Awaitable[Sequence[str]]) -> list[Field]:
        return self._find_fields(await names)

    def _find_fields(self, names: Sequence[str]) -> list[Field]:
        for name, field in self.fields.items():
            field.name = name  # hooks may have added some
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ConfigurationError("fields takes a sequence of names, such as ['id', 'name']")
        chosen = [self._find_field(name) for name in names]
        if not chosen:
            raise ConfigurationError(f"{type(self).__name__} has no fields to export")
        return chosen

    def _find_field(self, name: str) -> Field:
        found = self.fields.get(name)
        if found is None:
            found = next((f for f in self.fields.values() if f.column_name == name), None)
        if found is None:
            raise UnknownNameError("field", name, self.fields, type(self).__name__)
        return found

    def _current_run(self) -> Run:
        if self._run is None:
            raise ConfigurationError("instances are iterated over inside an export")
        return self._run

    async def _iter_instances(self, queryset: Any) -> AsyncGenerator[Any, None]:
        batches: Any = await maybe_await(self.iter_batches(queryset))
        try:
            async for batch in batches:
                for instance in batch:
                    yield instance
        finally:
            if hasattr(batches, "aclose"):
                await batches.aclose()


async def _awaited(cells: list[Any]) -> list[Any]:
    """Await those of *cells* that are awaitable, one after the other."""
    try:
        for position, cell in enumerate(cells):
            if hasattr(cell, "__await__"):
                cells[position] = await cell
    finally:
        for cell in cells:
            if hasattr(cell, "__await__") and hasattr(cell, "close"):
                cell.close()
    return cells


class ModelResource(Resource):
    """A resource over a mapped class or Table, named in ``Meta.model``.

    ``Meta.fields`` or ``Meta.exclude`` is required. A name in ``Meta.fields`` that no Field
    declares is an attribute of the model, or a path through its to-one relations.
    """

    @default_hook
    def get_queryset(self) -> Any:
        """Select the model, ordered by ``Meta.order_by`` or the primary key."""
        model = self.options.model
        if model is None:
            raise ConfigurationError(f"{type(self).__name__}.Meta needs a model")
        order = self.options.order_by
        if order == ALL and isinstance(order, str):
            order = _key_columns(model)
        elif order is None:
            order = ()
        elif isinstance(order, str) or not isinstance(order, Sequence):
            order = (order,)
        selected = self._table_columns(model) if isinstance(model, Table) else [model]
        return select(*selected).order_by(*(_order_clause(model, each) for each in order))

    def _table_columns(self, table: Table) -> list[Any]:
        """Columns of a Table to select: those of the fields, or all if a hook may read others."""
        hooks = (self.prepare_batch, self.export_resource, self.export_field, self.iter_queryset)
        fields = self.fields.values()
        hooked = any(hasattr(self, dehydrate_name(name)) for name in self.fields)
        if (
            hooked
            or any(f.dehydrate_method for f in fields)
            or any(is_overridden(hook) for hook in hooks)
        ):
            return list(table.columns)
        attributes = [field.attribute or name for name, field in self.fields.items()]
        names = [a if a in table.columns else split_path(a)[0] for a in attributes]
        read = [table.columns[name] for name in dict.fromkeys(names) if name in table.columns]
        return read or list(table.columns)


def _key_columns(model: Any) -> list[Any]:
    mapper = mapper_of(model)
    if mapper is None:
        return list(model.primary_key.columns)
    return [getattr(model, name) for name in key_names(mapper)]


def _order_clause(model: Any, order: Any) -> Any:
    """Give the clause of one entry of ``Meta.order_by``: an expression, a name, or ``-name``."""
    if isinstance(order, ClauseElement) or hasattr(order, "__clause_element__"):
        return order
    if not isinstance(order, str):
        raise ConfigurationError(
            f"order_by takes names of attributes or expressions, not {type(order).__name__}"
        )
    mapper = mapper_of(model)
    known = list(model.columns.keys() if mapper is None else mapper.all_orm_descriptors.keys())
    name = order.removeprefix("-")
    if name not in known:
        raise UnknownNameError("attribute", name, known, "order_by")
    clause = model.columns[name] if mapper is None else getattr(model, name)
    return clause.desc() if order.startswith("-") else clause


def resource_factory(
    model: Any,
    *,
    resource_class: type[ModelResource] = ModelResource,
    meta_options: Mapping[str, Any] | None = None,
    custom_fields: Mapping[str, Field] | None = None,
    dehydrate_methods: Mapping[str, Callable[[Any], Any]] | None = None,
) -> type[ModelResource]:
    """Make a resource class for *model*.

    Args:
        model: Mapped class or Table.
        resource_class: The class to derive from.
        meta_options: Options, as in Meta; fields or exclude among them.
        custom_fields: Fields by name.
        dehydrate_methods: By field name, functions that take the instance and give the cell.

    Raises:
        ConfigurationError: as for a class that is written out.
    """
    name = f"{getattr(model, '__name__', None) or model.name.title()}Resource"
    members: dict[str, Any] = {
        "Meta": type("Meta", (), {"model": model, **(meta_options or {})}),
        **_checked("custom_fields", custom_fields, lambda each: isinstance(each, Field)),
    }
    methods = _checked("dehydrate_methods", dehydrate_methods, callable)
    members |= {dehydrate_name(field): staticmethod(m) for field, m in methods.items()}
    return type(name, (resource_class,), members)


def _checked(
    what: str, given: Mapping[str, Any] | None, fits: Callable[[Any], bool]
) -> Mapping[str, Any]:
    for name, value in (given or {}).items():
        if not fits(value):
            raise ConfigurationError(f"{what}[{name!r}] cannot be a {type(value).__name__}")
    return given or {}
