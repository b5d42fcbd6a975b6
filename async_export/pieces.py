"""From a run to the encoded pieces of its output: by records, or from what COPY writes."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

import anyio

from async_export.errors import EncodeError, FormatLimitError
from async_export.formats import CopyForm, Encoder, Splice, pieces_of
from async_export.records import Turns
from async_export.run import Run
from async_export.types import Column, Record

__all__ = ("encoded_pieces",)

FIRST_PIECE: Final = 16
"""Records that are encoded together at first, before their width is known."""

PIECE_BYTES: Final = 262_144
"""Bytes that are encoded together, from then on."""

HUGE_CHUNK: Final = 1_048_576
"""Bytes of a chunk that are not worked on in the event loop."""


async def encoded_pieces(run: Run, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    """Give the output between ``begin`` and ``end`` of *encoder*, in pieces of any size.

    Args:
        run: The export, which is prepared.
        encoder: The format; ``begin`` was called.

    Raises:
        EncodeError: a cell has no representation, or there are too many records.
        ExportError: as `Run` raises them.
    """
    planned = run.plan.copy
    if planned is None:
        pieces = _of_records(run, encoder)
    elif planned.splice is None:
        pieces = _framed(run, planned.form)
    else:
        pieces = _spliced(run, planned.splice, encoder)
    async with aclosing(pieces):
        async for piece in pieces:
            if encoder.max_rows is not None and run.rows > encoder.max_rows:
                raise FormatLimitError(f"{encoder.name} holds {encoder.max_rows} rows at most")
            yield piece


async def _of_records(run: Run, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    unused = copy.copy(encoder)
    rows, encoded = FIRST_PIECE, 0
    async with aclosing(run.batches()) as batches:
        async for records in batches:
            done = 0
            # A batch is cut where its output would become long, as it does with wide rows.
            while done < len(records):
                some = records[done : done + max(1, rows)]
                try:
                    piece = await _encode(encoder, some)
                except EncodeError as error:
                    raise _located(unused, run.plan.columns, some, encoded) or error from error
                done += len(some)
                encoded += len(some)
                rows = PIECE_BYTES * len(some) // max(len(piece), 1)
                run.batch_bytes += len(piece)
                yield piece


async def _encode(encoder: Encoder, records: Sequence[Record]) -> bytes:
    if encoder.offload:
        return await anyio.to_thread.run_sync(encoder.encode, records)
    return encoder.encode(records)


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
            rows = await _call(splice.split, chunk, in_thread=is_huge)
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


async def _call(function: Callable[..., Any], *args: Any, in_thread: bool) -> Any:
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
