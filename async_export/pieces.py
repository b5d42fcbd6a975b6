"""From a run to the encoded pieces of a file: by records, or from what COPY writes."""

from __future__ import annotations

import copy
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Final, TypeVar

import anyio

from async_export.errors import (
    ConfigurationError,
    ConnectionLostError,
    EncodeError,
    ExportError,
    FormatLimitError,
)
from async_export.formats import (
    CopyForm,
    Encoder,
    PackingEncoder,
    SheetEncoder,
    Splice,
    pieces_of,
)
from async_export.limits import StopExport
from async_export.records import Turns
from async_export.results import ExportResult
from async_export.run import Run
from async_export.types import Column, Record

__all__ = (
    "counts_of",
    "file_pieces",
    "in_thread_if_heavy",
    "refuse_too_many",
    "result_of",
    "sheet_pieces",
)

_T = TypeVar("_T")

FIRST_PIECE: Final = 16
"""Records that are encoded together at first, unless they are wide."""

PIECE_BYTES: Final = 262_144
"""Bytes that are encoded together, from then on."""

PIECE_SECONDS: Final = 0.001
"""Seconds that encoding them may hold the event loop."""

MICROSECOND: Final = 1e-6

HUGE_CHUNK: Final = 1_048_576
"""Bytes of a chunk that are not worked on in the event loop."""


def file_pieces(run: Run, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    """Give the bytes of a file of one table, in pieces of any size.

    The first one is what stands before the records.

    Args:
        run: The export, which is prepared.
        encoder: The format, which nobody else uses.

    Raises:
        EncodeError: a cell has no representation, or there are too many records.
        ExportError: as `Run` raises them.
    """
    return _table_pieces(run, encoder, encoder.begin, encoder.end)


def sheet_pieces(run: Run, encoder: SheetEncoder, name: str) -> AsyncGenerator[bytes, None]:
    """Give the bytes of one table among several, like `file_pieces`.

    Args:
        run: The export, which is prepared.
        encoder: The format; the file has begun, and no table is open.
        name: What the table is called.
    """
    return _table_pieces(run, encoder, partial(encoder.begin_sheet, name), encoder.end_sheet)


async def in_thread_if_heavy(encoder: Encoder, method: Callable[..., bytes], *args: Any) -> bytes:
    """Call a method of *encoder*, in a worker thread if it may take long."""
    return await _call(method, *args, in_thread=_is_heavy(encoder))


def counts_of(encoder: Encoder) -> tuple[int, int]:
    """Give the cells so far that *encoder* escaped, and that it cut."""
    # An encoder of somebody else's need not count.
    return getattr(encoder, "escaped", 0), getattr(encoder, "cut", 0)


def result_of(
    run: Run,
    encoder: Encoder,
    before: tuple[int, int] = (0, 0),
    *,
    size: int = 0,
    sha256: str = "",
) -> ExportResult:
    """Tell what *run* and *encoder* made.

    Args:
        run: The export.
        encoder: The format.
        before: What `counts_of` gave before the export.
        size: Bytes of the output.
        sha256: Digest of the output.
    """
    escaped, cut = counts_of(encoder)
    return run.result(encoder.name, size, sha256, escaped=escaped - before[0], cut=cut - before[1])


async def refuse_too_many(run: Run, encoder: Encoder) -> None:
    """Refuse what the format cannot hold, if that is known beforehand.

    Raises:
        FormatLimitError: there are more rows than the format holds.
        ConfigurationError: nobody knows in time how many bytes there are.
    """
    if run.limits.bytes_to_stop_after is not None and _is_heavy(encoder):
        raise ConfigurationError(
            f"{encoder.name} holds bytes back, so that on_limit='stop' cannot end it at max_bytes; "
            "stop at max_rows, or let it raise"
        )
    if encoder.max_rows is not None and await run.has_more_than(encoder.max_rows):
        raise _too_many(encoder)


def _is_heavy(encoder: Encoder) -> bool:
    return encoder.offload or isinstance(encoder, PackingEncoder)


async def _table_pieces(
    run: Run, encoder: Encoder, begin: Callable[..., bytes], end: Callable[..., bytes]
) -> AsyncGenerator[bytes, None]:
    before = counts_of(encoder)
    with_titles = getattr(encoder, "with_titles", False)
    titles = [await run.titles()] if with_titles else []
    # What an extra brings is imported there, which takes long the first time.
    is_slow = _is_heavy(encoder) or bool(getattr(encoder, "extra", ""))
    begun = await _call(begin, run.plan.columns, *titles, in_thread=is_slow)
    run.wrote(len(begun))
    yield begun
    async with aclosing(_packed_pieces(run, encoder)) as pieces:
        async for piece in pieces:
            run.wrote(len(piece))
            yield piece
            await run.tell()
    footers = [await run.footers(result_of(run, encoder, before))] if with_titles else []
    ended = await in_thread_if_heavy(encoder, end, *footers)
    run.wrote(len(ended))
    yield ended


async def _packed_pieces(run: Run, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    """Give the bytes of all records; those that are packed are so in a thread, many at once."""
    if not isinstance(encoder, PackingEncoder):
        async with aclosing(_encoded_pieces(run, encoder)) as pieces:
            async for piece in pieces:
                yield piece
        return
    waiting: list[bytes] = []
    size = 0
    is_first = True
    async with aclosing(_encoded_pieces(run, encoder.inner)) as pieces:
        async for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if is_first or size >= PIECE_BYTES:
                yield await anyio.to_thread.run_sync(encoder.pack, b"".join(waiting))
                waiting, size, is_first = [], 0, False
    yield await anyio.to_thread.run_sync(encoder.pack, b"".join(waiting))


async def _encoded_pieces(run: Run, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    """Give the bytes of all records."""
    planned = run.plan.copy
    if planned is None:
        pieces = _of_records(run, encoder)
    elif planned.splice is None:
        pieces = _framed(run, planned.form)
    else:
        pieces = _spliced(run, planned.splice, encoder)
    with suppress(StopExport):
        async with aclosing(pieces):
            async for piece in pieces:
                if encoder.max_rows is not None and run.rows > encoder.max_rows:
                    raise _too_many(encoder)
                yield piece


def _too_many(encoder: Encoder) -> FormatLimitError:
    return FormatLimitError(
        f"{encoder.name} holds {encoder.max_rows:,} rows at most, and there are more"
    )


async def _of_records(run: Run, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    unused = copy.copy(encoder)
    rows = encoded = 0
    turns = Turns()
    async with aclosing(run.batches()) as batches:
        async for records in batches:
            done = 0
            if not encoded and records:
                is_wide = _length(records[0]) > PIECE_BYTES // FIRST_PIECE
                rows = 1 if is_wide else FIRST_PIECE
            # A batch is cut where its output would become long, as it does with wide rows.
            while done < len(records):
                some = records[done : done + max(1, rows)]
                began = time.perf_counter()
                taken = getattr(encoder, "taken", 0)
                try:
                    piece = await in_thread_if_heavy(encoder, encoder.encode, some)
                except EncodeError as error:
                    raise _located(unused, run.plan.columns, some, encoded) or error from error
                done += len(some)
                encoded += len(some)
                size = max(len(piece), getattr(encoder, "taken", 0) - taken)
                rows = PIECE_BYTES * len(some) // max(size, 1)
                if not encoder.offload:
                    spent = time.perf_counter() - began
                    rows = min(rows, int(len(some) * PIECE_SECONDS / max(spent, MICROSECOND)))
                run.batch_bytes += size
                yield piece
                await turns.give_when_due()
    if encoded != run.rows:
        raise ExportError(f"{run.rows} records were made, and {encoded} encoded")


def _length(record: Record) -> int:
    """Give the length of the texts in a record."""
    return sum(len(cell) for cell in record if isinstance(cell, str | bytes))


async def _framed(run: Run, form: CopyForm) -> AsyncGenerator[bytes, None]:
    """Frame what COPY writes; the event loop gets a turn every two milliseconds."""
    framing = form.framing(run.plan.columns)
    turns = Turns()
    async with aclosing(run.copied()) as chunks:
        async for chunk in chunks:
            for data in pieces_of(chunk):
                piece, records = framing.frame(data)
                run.count(records)
                yield piece
                await turns.give_when_due()


async def _spliced(run: Run, splice: Splice, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    """Put the cells of hooks into what COPY writes."""
    unused = copy.copy(encoder)
    size = run.batch_size
    turns = Turns()
    async with aclosing(run.copied()) as chunks:
        async for chunk in chunks:
            # A row of megabytes is one chunk.
            is_huge = len(chunk) > HUGE_CHUNK
            try:
                rows = await _call(splice.split, chunk, in_thread=is_huge)
            except ValueError as error:
                # A pooler that ends a query puts its message wherever the server's have got to.
                raise ConnectionLostError(
                    "COPY was ended inside of a row, by a pooler or what else is before the server",
                    run.rows,
                ) from error
            done = 0
            while done < rows:
                stop = min(done + min(size.rows, run.slice_rows), rows)
                size.begin()
                made = await run.make(splice.reads(done, stop))
                try:
                    piece, records = await _call(splice.join, done, stop, made, in_thread=is_huge)
                except Exception as error:
                    found = _unspliced(unused, run, made)
                    if found is None:
                        raise
                    raise found from error
                size.learn(stop - done, len(piece))
                done = stop
                run.count(records)
                yield piece
                await turns.give_when_due()


async def _call(function: Callable[..., _T], *args: Any, in_thread: bool) -> _T:
    return await anyio.to_thread.run_sync(function, *args) if in_thread else function(*args)


def _unspliced(unused: Encoder, run: Run, made: Sequence[Record | None]) -> EncodeError | None:
    """Say which cell that a hook made cannot be encoded; None if all can."""
    names = {each.name for each in run.plan.cells}
    columns = [column for column in run.plan.columns if column.name in names]
    records = [record for record in made if record is not None]
    return _located(unused, columns, records, run.rows)


def _located(
    unused: Encoder, columns: Sequence[Column], records: Sequence[Record], before: int
) -> EncodeError | None:
    """Say in which row a cell cannot be encoded, by encoding them one by one."""
    probe = copy.copy(unused)
    probe.begin(columns)
    for number, record in enumerate(records, before + 1):
        try:
            probe.encode([record])
        except EncodeError as found:
            return type(found)(f"record {number}: {found}")
    return None
