"""Several resources in one file: sheets of a workbook, or files of an archive."""

from __future__ import annotations

import copy
import functools
import hashlib
import operator
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from math import inf
from typing import Any, TypeAlias, cast

from async_export.binds import Database, open_database
from async_export.errors import ConfigurationError, UnknownNameError
from async_export.formats import (
    Encoder,
    PackingEncoder,
    SheetEncoder,
    ZipEncoder,
    format_for_path,
    make_encoder,
)
from async_export.limits import Limits
from async_export.pieces import (
    counts_of,
    in_thread_if_heavy,
    refuse_too_many,
    result_of,
    sheet_pieces,
)
from async_export.publishing import publish
from async_export.relations import relations_of
from async_export.resources import Resource
from async_export.results import ExportResult, Origin, WorkbookResult
from async_export.run import Run
from async_export.sinks import FileSink, make_sink
from async_export.streams import ByteStream

__all__ = (
    "Exported",
    "WorkbookStream",
    "export_workbook",
    "is_archive_path",
    "stream_workbook",
    "workbook_encoder",
)


Exported: TypeAlias = Resource | tuple[Resource, Any]
"""What one table has: a resource, or a pair of one and its queryset."""


async def export_workbook(
    resources: Mapping[str, Exported],
    target: Any,
    format: str | type[Encoder] | Encoder | None = None,  # noqa: A002 - the field's word
    *,
    overwrite: bool = True,
    manifest: bool = False,
    **kwargs: Any,
) -> WorkbookResult:
    """Export several resources into one file, all over one connection, in one transaction.

    With an engine or sessionmaker that is one snapshot of the database. A session or connection
    of the caller's has the isolation that the caller gave it.

    Args:
        resources: By name of the sheet or file, what is exported, in order: a resource, or a pair
            of one and its queryset.
        target: A path, a binary file object, or a coroutine function that takes chunks.
        format: xlsx, ods or zip; or any other format, of which each resource becomes a file in a
            zip archive. By default by the path's extension; ``.zip`` has files of csv.
        overwrite: Whether an existing file may be replaced.
        manifest: Whether to write ``shop.xlsx.manifest.json`` beside the file.
        **kwargs: Reach every hook, and the widgets.

    Raises:
        ConfigurationError: the resources have different binds, or the format holds one table.
        ExportError: as its tree says; see `async_export.errors`.
    """
    sink = make_sink(target, overwrite=overwrite)
    path = sink.path if isinstance(sink, FileSink) else None
    stream = WorkbookStream(resources, workbook_encoder(path, format), kwargs)
    return await publish(stream, sink, manifest=manifest)


def stream_workbook(
    resources: Mapping[str, Exported],
    format: str | type[Encoder] | Encoder = "xlsx",  # noqa: A002 - the field's word
    **kwargs: Any,
) -> WorkbookStream:
    """Export several resources as the bytes of one file, like `Resource.stream`.

    Args:
        resources: As for `export_workbook`.
        format: As for `export_workbook`.
        **kwargs: Reach every hook, and the widgets.

    Raises:
        ConfigurationError: the resources have different binds.
    """
    return WorkbookStream(resources, workbook_encoder(None, format), kwargs)


class WorkbookStream(ByteStream[WorkbookResult]):
    """The bytes of a file of several tables, as they are made.

    Use it once, as ``async with stream_workbook({...}) as stream``. ``after_export`` of all the
    resources runs after the last byte was made.

    Attributes:
        content_type: Media type of the format.
        extension: Ending of its files, without the dot.
    """

    has_sheets = True

    def __init__(
        self, resources: Mapping[str, Exported], encoder: SheetEncoder, kwargs: Mapping[str, Any]
    ) -> None:
        self._exported = _checked(resources)
        _check_keywords(kwargs)
        chunk_size = max(each.options.chunk_size for each, _ in self._exported.values())
        super().__init__(encoder, chunk_size)
        if isinstance(encoder, ZipEncoder):
            self.extension = encoder.ending
        self._sheets = encoder
        self._kwargs = kwargs
        self._runs: dict[str, Run] = {}
        self._made: dict[str, ExportResult] = {}
        self._started = 0.0

    @property
    def rows(self) -> int:
        """Records made so far, for whoever shows progress."""
        return sum(run.rows for run in self._runs.values())

    async def _open(self, stack: AsyncExitStack) -> None:
        self._started = time.perf_counter()
        bound = [each for each, _ in self._exported.values() if each.bind is not None]
        database = None
        if bound:
            first = min(bound, key=lambda each: each.options.deadline or inf)
            opening = functools.partial(self._database, bound, stack)
            limits = Limits(first.options)
            database = await limits.in_time_to_begin(opening, is_database=True)
        # All of them, before the first byte: what is wrong with the last one shows at once.
        for name, (resource, queryset) in self._exported.items():
            with _told_of(name):
                started = resource.start_run(self._sheets, database, queryset, self._kwargs)
                self._runs[name] = run = await stack.enter_async_context(started)
                if self.rejected is not None:
                    run.rejected = functools.partial(self.rejected, name)
                await refuse_too_many(run, self._sheets)
                probe = copy.copy(self._sheets)
                await in_thread_if_heavy(probe, probe.begin, run.plan.columns)

    async def _database(self, bound: Sequence[Resource], stack: AsyncExitStack) -> Database:
        """Open the bind for all of the resources."""
        bind, on_unrepresentable = bound[0].bind, bound[0].options.on_unrepresentable
        assert bind is not None
        read = (relations_of(each, queryset) for each, queryset in self._exported.values())
        relations = functools.reduce(operator.or_, read)
        deferrable = any(each.options.deferrable for each in bound)
        opened = open_database(bind, relations, deferrable=deferrable)
        database = await stack.enter_async_context(opened)
        await stack.enter_async_context(database.decoding(on_unrepresentable))
        return database

    def _origin(self) -> Origin:
        """Tell where the rows of all resources come from."""
        origins = [run.origin for run in self._runs.values()]
        fingerprints = "".join(each.fingerprint for each in origins)
        snapshot = next((each.snapshot for each in origins if each.snapshot), None)
        versions = {name: v for each in origins for name, v in each.versions.items()}
        return Origin(hashlib.sha256(fingerprints.encode()).hexdigest(), snapshot, versions)

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        encoder = self._sheets
        yield await in_thread_if_heavy(encoder, encoder.begin_file)
        for name, run in self._runs.items():
            async with aclosing(self._sheet(name, run)) as pieces:
                async for piece in pieces:
                    yield piece
        yield await in_thread_if_heavy(encoder, encoder.end_file)

    async def _sheet(self, name: str, run: Run) -> AsyncGenerator[bytes, None]:
        encoder, size = self._sheets, 0
        before = counts_of(encoder)
        with _told_of(name):
            async with aclosing(sheet_pieces(run, encoder, name)) as pieces:
                async for piece in pieces:
                    size += len(piece)
                    yield piece
        self._made[name] = result_of(run, encoder, before, size=size)

    def _rest(self) -> None:
        for run in self._runs.values():
            run.rest()

    def _resume(self) -> None:
        for run in self._runs.values():
            run.resume()

    async def _finish(self, size: int, sha256: str) -> WorkbookResult:
        self.origin = self._origin()
        for name, run in self._runs.items():
            await run.finish(self._made[name])
        elapsed = time.perf_counter() - self._started
        return WorkbookResult(size, sha256, elapsed, self._sheets.name, self._made)


def workbook_encoder(
    path: str | None, given: str | type[Encoder] | Encoder | None, **options: Any
) -> SheetEncoder:
    """Choose the format of a file of several tables.

    Args:
        path: The file; None if it has no name.
        given: The format that was asked for, as for `export_workbook`.
        **options: Of the format.

    Raises:
        UnknownNameError: there is no such format or option.
        ConfigurationError: the format holds one table.
    """
    is_archive = path is not None and is_archive_path(path)
    if given is None:
        given = _format_of(path, is_archive=is_archive)
    encoder = make_encoder(_DEFAULT if given == _ARCHIVE else given, **options)
    if isinstance(encoder, ZipEncoder):
        return encoder
    if isinstance(encoder, PackingEncoder):
        raise ConfigurationError(
            f"{encoder.name} holds one table; a .zip holds a file of {encoder.inner.name} for each"
        )
    if is_archive:
        return ZipEncoder(encoder)
    if all(callable(getattr(encoder, method, None)) for method in _SHEET_METHODS):
        return cast("SheetEncoder", encoder)
    if path is None or given == _ARCHIVE:
        return ZipEncoder(encoder)
    raise ConfigurationError(
        f"a file of {encoder.name} holds one table; xlsx and ods hold several, and so does a "
        f".zip with a file of {encoder.name} for each"
    )


def is_archive_path(path: str) -> bool:
    """Tell whether *path* is that of a zip archive."""
    return path.lower().endswith(f".{_ARCHIVE}")


_SHEET_METHODS = ("begin_file", "begin_sheet", "end_sheet", "end_file")

_ARCHIVE, _DEFAULT = "zip", "csv"


def _format_of(path: str | None, *, is_archive: bool) -> type[Encoder] | Encoder | str:
    if path is None:
        raise ConfigurationError("name the format: export_workbook({...}, target, 'xlsx')")
    try:
        return format_for_path(path)
    except UnknownNameError:
        if is_archive:
            return _DEFAULT
        raise


@contextmanager
def _told_of(name: str) -> Iterator[None]:
    """Say of an error which table it is about."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in {name!r}")
        raise


def _checked(resources: Mapping[str, Exported]) -> dict[str, tuple[Resource, Any]]:
    """Give each resource with its queryset, and refuse what cannot be in one file.

    Raises:
        ConfigurationError: it is no mapping of names to resources of one database.
    """
    if not isinstance(resources, Mapping) or not resources:
        raise ConfigurationError(
            "a workbook takes resources by name: {'Books': BookResource(engine)}"
        )
    exported: dict[str, tuple[Resource, Any]] = {}
    for name, given in resources.items():
        resource, queryset = given if isinstance(given, tuple) else (given, None)
        if not isinstance(name, str) or not isinstance(resource, Resource):
            raise ConfigurationError(
                "a workbook takes resources by name, such as BookResource(engine), "
                f"not a {type(resource).__name__}"
            )
        exported[name] = (resource, queryset)
    bound = [each for each, _ in exported.values() if each.bind is not None]
    if len({id(each.bind) for each in bound}) > 1:
        raise ConfigurationError(
            "the resources of a workbook have different binds, and one snapshot is of one "
            "database; pass all of them the same engine, session or connection"
        )
    if len({each.options.on_unrepresentable for each in bound}) > 1:
        raise ConfigurationError(
            "the resources of a workbook share a connection, which gives values in one way; let "
            "all of them have the same on_unrepresentable"
        )
    return exported


def _check_keywords(kwargs: Mapping[str, Any]) -> None:
    """Refuse keywords that would mean one of the resources."""
    for name in ("fields", "export_fields", "queryset"):
        if name in kwargs:
            raise ConfigurationError(
                f"{name} is of one resource, and a workbook has several; for a queryset pass a "
                "pair: {'Books': (BookResource(engine), queryset)}"
            )
