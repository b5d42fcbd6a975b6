"""From a stream to a target: a file, and what stands beside it: its rejects and its manifest."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TypeVar

import anyio

from async_export.errors import ConfigurationError, SinkError
from async_export.manifests import (
    MANIFEST_BYTES,
    ManifestError,
    Tally,
    make_manifest,
    manifest_path,
    read_manifest,
    rejects_path,
)
from async_export.rejects import RejectsFile, is_rejects
from async_export.results import ExportResult, WorkbookResult
from async_export.sinks import FileSink, Sink
from async_export.streams import ByteStream

__all__ = ("publish",)

Result = TypeVar("Result", bound=ExportResult | WorkbookResult)

logger = logging.getLogger(__name__)

_LINE_BYTES: Final = 100
"""The first line of rejects is shorter."""


async def publish(stream: ByteStream[Result], sink: Sink, *, manifest: bool = False) -> Result:
    """Write all of *stream* to *sink*, which publishes it or is left with nothing.

    A file gets its rejects, if rows are skipped, and its manifest beside it. All of them are
    complete on the disk before the first one has its name; the file itself is the last one. What
    earlier exports left beside a file that is replaced goes.

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
    path = await anyio.to_thread.run_sync(os.path.abspath, sink.path)
    overwrite = sink.overwrite
    rejects_sink = FileSink(rejects_path(path), overwrite=overwrite, like=path)
    manifest_sink = FileSink(manifest_path(path), overwrite=overwrite, like=path)
    rejects = RejectsFile(rejects_sink, with_sheets=stream.has_sheets)
    stream.rejected = rejects.add
    if with_manifest:
        stream.tally = Tally(lines=stream.is_text)
    async with AsyncExitStack() as stack:
        for each in (sink, rejects_sink, manifest_sink):
            stack.push_async_callback(each.abort)  # of what is published nothing is left to abort
        await sink.open()
        if with_manifest:
            await manifest_sink.open()
        await _pour(stream, sink)
        await sink.seal()
        if sink.size != stream.tally.bytes:
            raise SinkError(errno.EIO, "the file has not taken all bytes of the export", path)
        rejected = await rejects.seal()
        others = [] if rejected is None else [rejects_sink]
        if with_manifest:
            made = make_manifest(
                path,
                stream.result,
                stream.tally,
                rejects=rejected,
                fingerprint=stream.origin.fingerprint,
                snapshot=stream.origin.snapshot,
                versions=stream.origin.versions,
            )
            await manifest_sink.write(made)
            await manifest_sink.seal()
            others.append(manifest_sink)
        await sink.finish_with(others)
    if overwrite:
        outdated = {rejects_sink.path, manifest_sink.path} - {each.path for each in others}
        await anyio.to_thread.run_sync(_remove, outdated)
    return stream.result


async def _pour(stream: ByteStream[Result], sink: Sink) -> None:
    async with stream:
        async for chunk in stream:
            await sink.write(chunk)


def _remove(paths: Collection[str]) -> None:
    """Remove what earlier exports left beside a file that is replaced: it is about that one."""
    for path in paths:
        try:
            if _is_ours(path):
                Path(path).unlink()
        except OSError as error:
            logger.warning("could not remove %s: %s", path, error.strerror)


def _is_ours(path: str) -> bool:
    """Tell whether an export wrote the file at *path*; somebody else's must stay."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as it was written
            if path.endswith(rejects_path("")):
                return is_rejects(file.readline(_LINE_BYTES))
            read_manifest(file.read(MANIFEST_BYTES))
    except (FileNotFoundError, ManifestError):
        return False
    return True
