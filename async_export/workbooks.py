"""Several resources in one file: sheets of a workbook, or files of an archive."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any

from async_export.binds import Database, open_database
from async_export.declare import mapper_of
from async_export.errors import ConfigurationError, ExportError, UnknownNameError
from async_export.formats import (
    Encoder,
    SheetEncoder,
    ZipEncoder,
    format_for_path,
    make_encoder,
)
from async_export.pieces import in_thread_if_heavy, sheet_pieces
from async_export.resources import Resource
from async_export.results import ExportResult, WorkbookResult
from async_export.run import Run
from async_export.sinks import FileSink, make_sink
from async_export.streams import ByteStream, pour

__all__ = ("WorkbookStream", "export_workbook", "stream_workbook", "workbook_encoder")


async def export_workbook(
    resources: Mapping[str, Resource],
    target: Any,
    format: str | type[Encoder] | Encoder | None = None,  # noqa: A002 - the field's word
    *,
    overwrite: bool = True,
    **kwargs: Any,
) -> WorkbookResult:
    """Export several resources into one file, all from one snapshot of the database.

    Args:
        resources: By name of the sheet or file, what is exported, in order.
        target: A path, a binary file object, or a coroutine function that takes chunks.
        format: xlsx, ods or zip; or any other format, of which each resource becomes a file in a
            zip archive. By default by the path's extension; ``.zip`` has files of csv.
        overwrite: Whether an existing file may be replaced.
        **kwargs: Reach every hook, and the widgets.

    Raises:
        ConfigurationError: the resources have different binds, or the format holds one table.
        ExportError: as its tree says; see `async_export.errors`.
    """
    sink = make_sink(target, overwrite=overwrite)
    path = sink.path if isinstance(sink, FileSink) else None
    return await pour(WorkbookStream(resources, workbook_encoder(path, format), kwargs), sink)


def stream_workbook(
    resources: Mapping[str, Resource],
    format: str | type[Encoder] | Encoder = "xlsx",  # noqa: A002 - the field's word
    **kwargs: Any,
) -> WorkbookStream:
    """Export several resources as the bytes of one file, like `Resource.stream`.

    Args:
        resources: By name of the sheet or file, what is exported, in order.
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

    def __init__(
        self, resources: Mapping[str, Resource], encoder: SheetEncoder, kwargs: Mapping[str, Any]
    ) -> None:
        _check_resources(resources)
        chunk_size = max(each.options.chunk_size for each in resources.values())
        super().__init__(encoder, chunk_size)
        self._sheets = encoder
        self._resources = dict(resources)
        self._kwargs = kwargs
        self._database: Database | None = None
        self._runs: dict[str, Run] = {}
        self._made: dict[str, ExportResult] = {}
        self._started = 0.0

    @property
    def rows(self) -> int:
        """Records made so far, for whoever shows progress."""
        return sum(run.rows for run in self._runs.values())

    async def _open(self, stack: AsyncExitStack) -> None:
        self._started = time.perf_counter()
        bound = [each for each in self._resources.values() if each.bind is not None]
        if bound:
            bind, model = bound[0].bind, bound[0].options.model
            assert bind is not None
            opened = open_database(bind, mapper_of(model))
            self._database = await stack.enter_async_context(opened)

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        encoder = self._sheets
        yield await in_thread_if_heavy(encoder, encoder.begin_file)
        for name, resource in self._resources.items():
            async with aclosing(self._sheet(name, resource)) as pieces:
                async for piece in pieces:
                    yield piece
        yield await in_thread_if_heavy(encoder, encoder.end_file)

    async def _sheet(self, name: str, resource: Resource) -> AsyncGenerator[bytes, None]:
        encoder, size = self._sheets, 0
        escaped, cut = encoder.escaped, encoder.cut
        try:
            async with (
                resource.start_run(encoder, self._database, self._kwargs) as run,
                aclosing(sheet_pieces(run, encoder, name)) as pieces,
            ):
                self._runs[name] = run
                async for piece in pieces:
                    size += len(piece)
                    yield piece
        except ExportError as error:
            error.add_note(f"in {name!r}")
            raise
        self._made[name] = run.result(
            encoder.name, size, escaped=encoder.escaped - escaped, cut=encoder.cut - cut
        )

    async def _finish(self, size: int, sha256: str) -> WorkbookResult:
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
    is_archive = path is not None and path.lower().endswith(".zip")
    if given is None:
        given = _format_of(path, is_archive=is_archive)
    encoder = make_encoder(_DEFAULT if given == _ARCHIVE else given, **options)
    if isinstance(encoder, ZipEncoder):
        return encoder
    if is_archive:
        return ZipEncoder(encoder)
    if isinstance(encoder, SheetEncoder):
        return encoder
    if path is None or given == _ARCHIVE:
        return ZipEncoder(encoder)
    raise ConfigurationError(
        f"a file of {encoder.name} holds one table; xlsx and ods hold several, and so does a "
        f".zip with a file of {encoder.name} for each"
    )


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


def _check_resources(resources: Mapping[str, Resource]) -> None:
    """Refuse what is no mapping of names to resources of one database."""
    if not isinstance(resources, Mapping) or not resources:
        raise ConfigurationError(
            "a workbook takes resources by name: {'Books': BookResource(engine)}"
        )
    for name, each in resources.items():
        if not isinstance(name, str) or not isinstance(each, Resource):
            raise ConfigurationError(
                "a workbook takes resources by name, such as BookResource(engine), "
                f"not a {type(each).__name__}"
            )
    binds = {id(each.bind) for each in resources.values() if each.bind is not None}
    if len(binds) > 1:
        raise ConfigurationError(
            "the resources of a workbook have different binds, and one snapshot is of one "
            "database; pass all of them the same engine, session or connection"
        )
