"""From a stream to a target: a file with its rejects and its manifest, all of them or none."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TypeVar

import anyio

from async_export.errors import ConfigurationError
from async_export.manifests import Tally, make_manifest, manifest_path, rejects_path
from async_export.rejects import RejectsFile
from async_export.results import ExportResult, WorkbookResult
from async_export.sinks import FileSink, Sink
from async_export.streams import ByteStream

__all__ = ("publish",)

Result = TypeVar("Result", bound=ExportResult | WorkbookResult)

logger = logging.getLogger(__name__)


async def publish(stream: ByteStream[Result], sink: Sink, *, manifest: bool = False) -> Result:
    """Write all of *stream* to *sink*, which publishes it or is left with nothing.

    A file gets its rejects, if rows are skipped, and its manifest beside it. All of them are
    complete on the disk before the first one has its name: the file, then these.

    Args:
        stream: What to write.
        sink: Where to.
        manifest: Whether to write a manifest.

    Raises:
        SinkError: the target cannot be written.
        ConfigurationError: there is no path for the manifest to be beside.
        ExportError: as the stream raises them.
    """
    if isinstance(sink, FileSink):
        return await _publish_file(stream, sink, with_manifest=manifest)
    if manifest:
        raise ConfigurationError("a manifest stands beside a file: export_to a path")
    await sink.open()
    try:
        await _pour(stream, sink)
        await sink.finish()
    except BaseException:
        await sink.abort()
        raise
    return stream.result


async def _publish_file(
    stream: ByteStream[Result], sink: FileSink, *, with_manifest: bool
) -> Result:
    rejects = RejectsFile(
        rejects_path(sink.path), overwrite=sink.overwrite, with_sheets=stream.has_sheets
    )
    record = FileSink(manifest_path(sink.path), overwrite=sink.overwrite)
    stream.rejected = rejects.add
    if with_manifest:
        stream.tally = Tally(lines=stream.is_text)
    try:
        await sink.open()
        await _pour(stream, sink)
        await sink.seal()
        rejected = await rejects.seal()
        if with_manifest:
            made = make_manifest(
                sink.path,
                stream.result,
                stream.tally,
                rejects=rejected,
                fingerprint=stream.origin.fingerprint,
                snapshot=stream.origin.snapshot,
                versions=stream.origin.versions,
            )
            await record.open()
            await record.write(made)
            await record.seal()
        await sink.finish()
        await rejects.finish()
        if with_manifest:
            await record.finish()
    except BaseException:
        for each in (sink, rejects, record):
            await each.abort()
        raise
    outdated = [] if rejected else [rejects_path(sink.path)]
    outdated += [] if with_manifest else [manifest_path(sink.path)]
    await anyio.to_thread.run_sync(_remove, outdated)
    return stream.result


async def _pour(stream: ByteStream[Result], sink: Sink) -> None:
    async with stream:
        async for chunk in stream:
            await sink.write(chunk)


def _remove(paths: list[str]) -> None:
    """Remove what an earlier export left beside a file that is replaced: it is about that one."""
    for path in paths:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("could not remove %s: %s", path, error.strerror)
